"""What the body and the headers of a prediction request ask for, and what of it is not passed on."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from consent_proxy.api.problems import Problem
from consent_proxy.api.requests import RequestHead
from consent_proxy.api.surface import strict
from consent_proxy.api.surface_replies import printable
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.refusals import Reason

#: The longest a create is held: SDKs give up at 60 s, and some then send again.
LONGEST_WAIT = 50
_PREFER = re.compile(r"wait(?:=([0-9]{1,6}))?")
_WEBHOOKS = ("webhook", "webhook_completed")
_KNOWN = frozenset({"version", "input", "stream", "webhook_events_filter", *_WEBHOOKS})


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionBody:
    """The model's input, and the names of the members beside it that stayed here."""

    input: dict[str, Json]
    dropped: list[str]


def read_prediction(body: Mapping[str, Json], head: RequestHead, *, version_expected: bool) -> PredictionBody:
    """Take the body apart. Raises ``Problem``.

    A stream is refused and not left out: an SDK that asks for one reads the result nowhere else, so the data would
    have left for nothing.
    """
    if any(body.get(name) is not None for name in _WEBHOOKS):
        raise Problem(Reason.NOT_OFFERED, "webhooks are not offered yet: wait for the prediction, or poll it")
    if body.get("stream") is True:
        raise Problem(Reason.NOT_OFFERED, "streams are not offered yet: wait for the prediction, or poll it")
    given = body.get("input")
    if not isinstance(given, dict):
        raise Problem(Reason.BODY_INVALID, "'input' has to be an object")
    known = _KNOWN if version_expected else _KNOWN - {"version"}
    dropped = printable([name for name in body if name not in known])
    if dropped and strict(head):
        raise Problem(
            Reason.FIELD_NOT_PERMITTED,
            "the body has members beside 'input' that are not passed on",
            paths=tuple(dropped),
        )
    return PredictionBody(input=given, dropped=dropped)


def wait_seconds(head: RequestHead) -> int | None:
    """How long the caller would have the reply held (``Prefer: wait`` or ``wait=n``), in seconds."""
    for preference in (head.get("prefer") or "").split(","):
        match = _PREFER.fullmatch(preference.strip())
        if match is not None:
            return min(int(match.group(1) or LONGEST_WAIT), LONGEST_WAIT) or None
    return None
