"""Another service's control API, asked over HTTP: one request at a time, and what goes wrong told in one line."""

import json
import re
import socket
import ssl
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

import httpx

from consent_proxy.adapters.http import (
    Outbound,
    ReplyEncoded,
    ReplyTooLarge,
    Timeouts,
    UnsafeUrl,
    began,
    chunks,
    read_capped,
    safe_url,
)
from consent_proxy.application.ports.desk import DeskAway, DeskRefused

#: A page of a thousand records, or of fifty disclosures in thirty languages, is smaller.
ANSWER_LIMIT = 64_000_000
#: No record is as long as that.
LINE_LIMIT = 4_000_000
_ASKED = Timeouts(connect=10, read=60, total=120)
#: The first record of an export may take the database a sort.
_STREAMED = Timeouts(connect=10, read=600, total=None)
_LONGEST_REASON = 500
#: What consent-proxy says of a path it does not have, such as one below an address that is not its own.
_NOWHERE = "there is nothing at this address"
_KEY = re.compile(r"[!-~]{1,4096}")

Parameters = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A success, or one of the statuses the asker said it has a use for."""

    status: int
    content: Mapping[str, Any]


class UnusableAddress(ValueError):
    """An address or a key that cannot be one; the message says why and quotes neither."""


class ControlApi:
    """Speaks for one key. Raises ``UnusableAddress`` for an address or a key that cannot be one, quoting neither."""

    def __init__(self, outbound: Outbound, *, url: str, key: str) -> None:
        try:
            address = safe_url(url)
        except UnsafeUrl as error:
            raise UnusableAddress(str(error)) from None
        if address.query or address.fragment:
            raise UnusableAddress("the address ends before any ? or #, as in https://consent.example.com")
        if _KEY.fullmatch(key) is None:
            raise UnusableAddress("a key is one word of plain characters, as in cpk_…")
        self._outbound, self._url = outbound, str(address).rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}", "Accept": "application/json, application/x-ndjson"}

    async def ask(
        self,
        method: str,
        path: str,
        *,
        parameters: Parameters = (),
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        known: frozenset[int] = frozenset(),
    ) -> Answered:
        """The answer's JSON object; ``known`` are the statuses besides success that are answers too.

        Raises ``DeskRefused`` for the service's no, and ``DeskAway`` where there is no such answer.
        """
        reply = await self._send(method, path, parameters, headers or {}, body, timeout=_ASKED)
        try:
            content = await read_capped(reply, ANSWER_LIMIT)
        except httpx.TransportError as error:
            raise self._away(error, changes=method != "GET") from None
        if reply.status_code == HTTPStatus.NO_CONTENT:
            return Answered(status=reply.status_code, content={})
        found = _object(content)
        if found is not None and (reply.is_success or (reply.status_code in known and _is_problem(found))):
            return Answered(status=reply.status_code, content=found)
        raise self._no(reply, found)

    async def items(self, path: str, *, parameters: Parameters = (), limit: int) -> list[dict[str, Any]]:
        """Every item of a list, in parts of ``limit``. Raises as ``ask`` does; to be read inside ``expected``."""
        found: list[dict[str, Any]] = []
        cursors: list[str] = []
        while True:
            after = [("cursor", cursors[-1])] if cursors else []
            page = (await self.ask("GET", path, parameters=[*parameters, ("limit", str(limit)), *after])).content
            found += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found
            if cursor in cursors:
                raise ValueError("a list that goes round in circles")
            cursors.append(cursor)

    async def lines(
        self, path: str, *, parameters: Parameters, headers: Mapping[str, str]
    ) -> AsyncGenerator[dict[str, Any], None]:
        """The objects of a stream, a line each, as they come. Raises as ``ask`` does, half-way too."""
        reply = await self._send("GET", path, parameters, headers, None, timeout=_STREAMED)
        try:
            if not reply.is_success or "ndjson" not in reply.headers.get("content-type", ""):
                raise self._no(reply, _object(await read_capped(reply, ANSWER_LIMIT)))
            async with aclosing(_lines(reply)) as lines:
                async for line in lines:
                    record = _object(line)
                    if record is None:
                        raise self._stranger(reply)
                    yield record
        except httpx.TransportError as error:
            raise self._away(error, changes=False) from None
        finally:
            await reply.aclose()

    @contextmanager
    def expected(self) -> Iterator[None]:
        """Around the reading of an answer: raises ``DeskAway`` where it has not the shape it should."""
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError):
            message = f"{self._url} does not answer as this version expects: is it consent-proxy, and as new as this?"
            raise DeskAway(message) from None

    async def _send(
        self,
        method: str,
        path: str,
        parameters: Parameters,
        headers: Mapping[str, str],
        body: Mapping[str, Any] | None,
        *,
        timeout: Timeouts,
    ) -> httpx.Response:
        content = json.dumps(body, ensure_ascii=False).encode() if body is not None else None
        typed = {"Content-Type": "application/json"} if content is not None else {}
        query = f"?{httpx.QueryParams(list(parameters))}" if parameters else ""
        try:
            return await self._outbound.request(
                method,
                f"{self._url}{path}{query}",
                headers={**self._headers, **typed, **headers},
                content=content,
                timeout=timeout,
            )
        except httpx.TransportError as error:
            raise self._away(error, changes=method != "GET") from None

    def _away(self, error: httpx.TransportError, *, changes: bool) -> DeskAway:
        doubt = "; it may have been done all the same: look before you repeat it" if changes and began(error) else ""
        return DeskAway(f"{self._url}: {_why(error)}{doubt}")

    def _no(self, reply: httpx.Response, problem: Mapping[str, Any] | None) -> DeskRefused | DeskAway:
        if problem is None or not _is_problem(problem):
            return self._stranger(reply)
        detail = _one_line(str(problem["detail"]))
        if reply.status_code == HTTPStatus.UNAUTHORIZED:
            return DeskRefused(f"{detail}; give a valid key with --key or CONSENT_PROXY_KEY")
        if reply.is_server_error:
            return DeskAway(f"{self._url}: {detail}")
        return DeskRefused(detail)

    def _stranger(self, reply: httpx.Response) -> DeskAway:
        if reply.is_redirect:
            return DeskAway(f"{self._url} redirects, which is never followed: give the address it leads to with --url")
        kind = reply.headers.get("content-type", "").split(";")[0].strip().lower()
        what = "HTML" if kind == "text/html" else "something else than the API"
        return DeskAway(
            f"{self._url} answers {what} (status {reply.status_code}): is --url where consent-proxy serves?"
        )


async def _lines(reply: httpx.Response) -> AsyncGenerator[bytes, None]:
    rest = b""
    async for chunk in chunks(reply):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield line
        if len(rest) > LINE_LIMIT:
            break
    if rest:
        yield rest


def _object(content: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _is_problem(content: Mapping[str, Any]) -> bool:
    """Whether it is one of the API's own, about what was asked: a path that leads nowhere is told like a stranger."""
    detail, reason = content.get("detail"), content.get("reason")
    return isinstance(detail, str) and isinstance(reason, str) and _NOWHERE not in detail


def _one_line(text: str) -> str:
    """What a stranger says, fit for a terminal."""
    plain = "".join(character if character.isprintable() else " " for character in text)
    return plain if len(plain) <= _LONGEST_REASON else f"{plain[:_LONGEST_REASON]} …"


def _why(error: httpx.TransportError) -> str:
    match error.__cause__:
        case ssl.SSLCertVerificationError() as untrusted:
            reason = _one_line(untrusted.verify_message)
            return f"its certificate is not trusted ({reason}); name your own authority's file in SSL_CERT_FILE"
        case ssl.SSLError():
            return "it does not speak TLS on that port: correct --url"
        case socket.gaierror():
            return "there is no such host: correct --url"
        case ConnectionRefusedError():
            return "nothing listens there: start it, or correct --url"
        case _ if isinstance(error, httpx.TimeoutException):
            return "no answer in time: is it there, and may this machine reach it?"
        case _ if isinstance(error, ReplyTooLarge | ReplyEncoded):
            return "its answer is compressed, or larger than any of ours: is --url where consent-proxy serves?"
        case _ if began(error):
            return "the connection broke before the whole answer was here: try again"
        case _:
            return "no connection: is it there, and may this machine reach it?"
