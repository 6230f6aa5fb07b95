"""What a path, a query and the headers of fal's protocol ask for."""

import math
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl
from uuid import UUID

from consent_proxy.api.problems import Problem
from consent_proxy.api.requests import RequestHead
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.transfers import ProviderCall

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_QUEUE_LENGTH = re.compile(r"[0-9]{1,6}")
#: fal's own bounds on how long a request may wait for its start, in seconds, the first exclusive.
_SHORTEST_WAIT, _LONGEST_WAIT = 0.1, 3600.0
_PRIORITIES = frozenset({"normal", "low"})


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePath:
    """A path of the queue: to a model or, with ``request_id``, to one of its requests."""

    app: str
    request_id: str | None = None
    action: str = ""

    @property
    def job_id(self) -> UUID | None:
        """The job the request id means, or ``None`` where it is none of ours."""
        return UUID(self.request_id) if _UUID.fullmatch(self.request_id or "") is not None else None


def read_queue_path(parts: list[str]) -> QueuePath:
    """The last ``requests/{id}`` after owner and app decides: a model's own path may hold the word too."""
    for at in range(len(parts) - 2, 1, -1):
        if parts[at] == "requests":
            return QueuePath(app="/".join(parts[:at]), request_id=parts[at + 1], action="/".join(parts[at + 2 :]))
    return QueuePath(app="/".join(parts))


def read_call(head: RequestHead, *, operation: str) -> ProviderCall:
    """What a run or submit asks of fal besides the model. Raises ``Problem``.

    A header of fal's that says nothing fal knows is left out, as fal does; a query is data and is refused.
    """
    options: dict[str, str] = {}
    query = dict(parse_qsl(head.query.decode("latin-1"), keep_blank_values=True))
    if operation == "submit":
        if "fal_webhook" in query:
            raise Problem(Reason.NOT_OFFERED, "webhooks are not offered yet: poll the request's status instead")
        longest = query.pop("fal_max_queue_length", None)
        if longest is not None:
            options["max_queue_length"] = _checked_length(longest)
        priority = head.get("x-fal-queue-priority")
        if priority in _PRIORITIES:
            options["priority"] = priority
    if query:
        raise Problem(Reason.FIELD_NOT_PERMITTED, "the query takes no input: put it into the body, as JSON")
    return ProviderCall(operation=operation, timeout_seconds=_start_timeout(head), options=options)


def wants_logs(head: RequestHead) -> bool:
    """Whether a status request asks for what the model printed; SDKs write it in four ways."""
    query = dict(parse_qsl(head.query.decode("latin-1")))
    return query.get("logs", "").lower() in {"1", "true"}


def _checked_length(text: str) -> str:
    if _QUEUE_LENGTH.fullmatch(text) is None:
        raise Problem(Reason.VALUE_NOT_ALLOWED, "fal_max_queue_length has to be a whole number")
    return text


def _start_timeout(head: RequestHead) -> float | None:
    text = head.get("x-fal-request-start-timeout") or head.get("x-fal-request-timeout")
    try:
        seconds = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return seconds if _SHORTEST_WAIT < seconds <= _LONGEST_WAIT else None
