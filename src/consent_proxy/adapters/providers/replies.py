"""Reading what a provider said: within a limit, as strict JSON, and never as anything it should not have said."""

import json
import logging
import re
from collections.abc import AsyncIterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Never

import httpx

from consent_proxy.adapters.http import Headers, Outbound, SendWindowClosed, Timeouts, began, read_capped
from consent_proxy.adapters.http_errors import ReplyEncoded, ReplyTooLarge
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.transfers import Answered, OutcomeState, Unanswered

logger = logging.getLogger(__name__)

#: Pictures may come inline, as data URIs; more than this is no JSON result any more. In bytes.
REPLY_LIMIT = 32 * 1024 * 1024
#: How deep a reply's arrays and objects may nest.
MAX_DEPTH = 100

_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
_PROVIDER_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._:-]{0,127}")
# About our account, or about the provider itself. The caller can do nothing with these, and an SDK would send again
# on some of them.
_NOT_FOR_THE_CALLER = frozenset({401, 402, 403, 407, 408, 409, 421, 425, 429})
_GATEWAY_TIMEOUT = 504


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply that was read. ``body`` is ``None`` where there is a ``problem``; ``size`` counts the body's bytes."""

    status: int
    headers: httpx.Headers
    body: Json
    size: int
    problem: Reason | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the provider did what it was asked, and said so in a way we understood."""
        return self.problem is None and self.status < 300  # noqa: PLR2004 - where the successes end

    def unusable(self) -> Answered:
        """The answer for a reply that is JSON and still makes no sense."""
        return Answered(
            http_status=self.status, body=None, bytes_received=self.size, problem=Reason.PROVIDER_REPLY_UNUSABLE
        )


@lru_cache(maxsize=1024)
def endpoint(url: str) -> httpx.URL:
    """The URL of an endpoint, parsed once: endpoints are few, and no subject's data is part of one."""
    return httpx.URL(url)


async def ask(
    outbound: Outbound,
    method: str,
    url: str | httpx.URL,
    *,
    headers: Headers,
    timeout: Timeouts,
    content: bytes | AsyncIterable[bytes] | None = None,
    begin_by: float | None = None,
    json_expected: bool = True,
) -> Reply | Unanswered:
    """Send one request, once, and read the reply. Never raises for what a provider or the network does.

    Without ``json_expected`` the reply's body is not looked at.
    """
    try:
        response = await outbound.request(
            method, url, headers=headers, content=content, timeout=timeout, begin_by=begin_by
        )
    except httpx.TransportError as error:
        return unanswered(error)
    reply = await _read(response, json_expected=json_expected)
    if isinstance(reply, Reply) and reply.problem is Reason.PROVIDER_REFUSED:
        logger.warning("%s refused a request with status %d", httpx.URL(url).host, reply.status)
    return reply


def unanswered(error: httpx.TransportError) -> Unanswered:
    """What an error of the transport means: ``not-delivered`` only where not one byte can have left."""
    if not began(error):
        return Unanswered(
            state=OutcomeState.NOT_DELIVERED,
            problem=Reason.PROVIDER_UNREACHABLE,
            window_closed=isinstance(error, SendWindowClosed),
        )
    timed_out = isinstance(error, httpx.TimeoutException)
    problem = Reason.PROVIDER_TIMEOUT if timed_out else Reason.PROVIDER_REPLY_UNUSABLE
    return Unanswered(state=OutcomeState.INDETERMINATE, problem=problem)


def provider_id(value: object) -> str | None:
    """The provider's own id, if it looks like one: it will stand in URLs and in the record."""
    return value if isinstance(value, str) and _PROVIDER_ID.fullmatch(value) is not None else None


def compact_json(value: Json) -> bytes:
    """The bytes of a request's body. Raises ``ValueError`` for NaN and for lone surrogates."""
    return _COMPACT.encode(value).encode()


def strings(value: Json) -> Iterator[str]:
    """Every string value in a JSON document, keys left out, in order."""
    waiting: list[Json] = [value]
    while waiting:
        match waiting.pop():
            case str() as text:
                yield text
            case dict() as members:
                waiting.extend(reversed(members.values()))
            case list() as items:
                waiting.extend(reversed(items))
            case _:
                pass


async def _read(response: httpx.Response, *, json_expected: bool) -> Reply | Unanswered:
    status, problem = response.status_code, _problem_of(response.status_code)
    body: Json = None
    size = 0
    try:
        content = await read_capped(response, REPLY_LIMIT)
        size = len(content)
        if problem is None and json_expected:
            body = _parse(content)
    except (ReplyTooLarge, ReplyEncoded, ValueError, RecursionError):
        problem = problem or Reason.PROVIDER_REPLY_UNUSABLE
    except httpx.TransportError as error:
        # The head of a reply came and the rest did not: the status is news only where it is the whole news.
        if problem is None:
            return unanswered(error)
    return Reply(status=status, headers=response.headers, body=body, size=size, problem=problem)


def _problem_of(status: int) -> Reason | None:
    if status == _GATEWAY_TIMEOUT:
        return Reason.PROVIDER_TIMEOUT
    if status >= 500 or status in _NOT_FOR_THE_CALLER:  # noqa: PLR2004 - where the server's own faults begin
        return Reason.PROVIDER_REFUSED
    if 300 <= status < 400:  # noqa: PLR2004 - redirects: a body goes where the manifest says and nowhere else
        return Reason.PROVIDER_REPLY_UNUSABLE
    return None


def _parse(content: bytes) -> Json:
    """Raises ``ValueError`` or ``RecursionError`` for what is not JSON in UTF-8, or nests too deep to be handled."""
    value: Json = json.loads(content.decode("utf-8"), parse_constant=_refuse_constant)
    if content.count(b"[") + content.count(b"{") > MAX_DEPTH:
        _check_depth(value)
    return value


def _refuse_constant(_: str) -> Never:
    raise ValueError("NaN and Infinity are not JSON")


def _check_depth(value: Json) -> None:
    level: list[Json] = [value]
    for _ in range(MAX_DEPTH):
        level = [
            item
            for container in level
            if isinstance(container, dict | list)
            for item in (container.values() if isinstance(container, dict) else container)
            if isinstance(item, dict | list)
        ]
        if not level:
            return
    raise ValueError("nested too deep")
