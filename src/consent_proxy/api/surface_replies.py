"""The way from an answer to a reply: what may be handed on, under which headers, and at whose addresses."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from uuid import UUID

from starlette.types import Send

from consent_proxy.api.problems import Problem
from consent_proxy.application.forward import Forwarded
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.transfers import Answer, Answered, OutcomeState, Unanswered

#: A header has an end; so does the record's own list.
NAMES_SHOWN = 64

_PART = r"(?:[A-Za-z_][A-Za-z0-9_]{0,39}(?:\[\])?|~)"
_NAME = re.compile(rf"{_PART}(?:\.{_PART}){{0,7}}")
_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_URL = re.compile(r"https?://[^\s/?#]+[^ ]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply on its way out: a JSON document and headers, names in lower case."""

    status: int
    body: Json
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = "application/json"


_FAULTS = {
    Reason.PROVIDER_UNREACHABLE: "the provider cannot be reached",
    Reason.PROVIDER_TIMEOUT: "the provider did not answer in time",
    Reason.PROVIDER_REFUSED: "the provider does not take this request now; the transfer's record has the status",
    Reason.PROVIDER_REPLY_UNUSABLE: "the provider's reply was lost or cannot be used",
    Reason.INTERNAL_ERROR: "this request was stopped half-way, or what became of it could not be recorded",
    Reason.OVERLOADED: "the rules or this person's standing kept changing: try again",
}
_SENT = {OutcomeState.NOT_DELIVERED: "no", OutcomeState.DELIVERED: "yes"}


def usable(answer: Answer, *, transfer_id: UUID, sent: str | None = None) -> Answered:
    """The answer, if it may be handed on. Raises ``Problem``, which says whether the data left.

    ``sent`` overrules what the answer says of that: what a job was started with left before.
    """
    if answer.problem is None:
        assert isinstance(answer, Answered)
        return answer
    if sent is None and isinstance(answer, Unanswered):
        sent = _SENT.get(answer.state, "maybe")
    raise Problem(answer.problem, _FAULTS[answer.problem], instance=transfer_id, sent=sent or "yes")


def transfer_headers(forwarded: Forwarded, *, dropped_before: Iterable[str] = ()) -> dict[str, str]:
    """What every reply to a sending carries: the transfer's id and the names of what stayed here."""
    headers = {"consent-transfer-id": str(forwarded.transfer_id), "cache-control": "no-store"}
    names = [*dropped_before, *(dropped.path for dropped in forwarded.payload.fields_dropped)]
    if names:
        headers["consent-fields-dropped"] = ", ".join(printable(names))
    return headers


def printable(names: Iterable[str]) -> list[str]:
    """Names of fields as a header may show them, each once; ``~`` for one that is more than a name. The first ones."""
    shown = (name if _NAME.fullmatch(name) is not None else "~" for name in names)
    return list(islice(dict.fromkeys(shown), NAMES_SHOWN))


def on_our_side(value: Json, *, capabilities: Mapping[str, str], public_url: str, kept: tuple[str, ...] = ()) -> Json:
    """A provider's JSON with its results at our addresses, and no other address for an SDK to take our credential to.

    A string that is as a whole a URL becomes ours or ``null``; ``kept`` are beginnings of URLs that stay.
    """
    match value:
        case str():
            if value[:4].lower() != "http" or _URL.fullmatch(value) is None or value.startswith(kept):
                return value
            capability = capabilities.get(value)
            return f"{public_url}/v1/files/{capability}" if capability is not None else None
        case dict():
            return {
                key: on_our_side(member, capabilities=capabilities, public_url=public_url, kept=kept)
                for key, member in value.items()
            }
        case list():
            return [on_our_side(item, capabilities=capabilities, public_url=public_url, kept=kept) for item in value]
        case _:
            return value


async def send_reply(send: Send, reply: Reply) -> None:
    """Write a reply as it is, in one piece."""
    content = _encode(reply.body)
    headers = [
        (b"content-type", reply.media_type.encode()),
        (b"content-length", str(len(content)).encode()),
        *((name.encode(), value.encode("latin-1", "replace")) for name, value in reply.headers.items()),
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _encode(body: Json) -> bytes:
    try:
        return _COMPACT.encode(body).encode()
    except UnicodeEncodeError:  # a provider wrote half of a surrogate pair: it stays an escape
        return json.dumps(body, separators=(",", ":")).encode()
