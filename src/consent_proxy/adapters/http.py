"""The only maker of outbound HTTP: a request is written at most once, in time or not at all, and fails honestly."""

import asyncio
import io
import re
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, lru_cache
from http import HTTPStatus
from ipaddress import IPv4Address
from time import monotonic
from typing import Any

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from yarl import URL

from consent_proxy.adapters.http_errors import (
    ReplyEncoded,
    ReplyTooLarge,
    RequestMalformed,
    SendWindowClosed,
    UnsafeUrl,
    began,
    system_error,
    true_error,
)

__all__ = [
    "Headers",
    "Outbound",
    "OutboundTransport",
    "ReplyEncoded",
    "ReplyTooLarge",
    "RequestMalformed",
    "SendWindowClosed",
    "Timeouts",
    "UnsafeUrl",
    "began",
    "chunks",
    "is_loopback",
    "read_capped",
    "safe_url",
]

Headers = Mapping[str, str] | Sequence[tuple[str, str]]

USER_AGENT = "consent-proxy"
# Whoever writes on a connection that the other side is just closing cannot know what arrived: let go first.
KEEPALIVE_SECONDS = 15.0
CONNECTIONS = 512
CONNECTIONS_PER_HOST = 256  # one provider that hangs leaves the others their places

_AT_ONCE = 1 << 16  # a longer body is written piece by piece, as the other side takes it
_CONNECTIONS_TRIED = 3
# The transport's own business: a second voice on framing is how requests are smuggled.
_OWN_HEADERS = frozenset(
    (b"host", b"connection", b"content-length", b"transfer-encoding", b"expect", b"user-agent", b"accept-encoding")
)
_HEADER_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(rb"[\t\x20-\x7e]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long to wait, in seconds.

    `connect` is for a place in the pool, DNS, TCP and TLS together; `read` for the reply to begin and between its
    bytes; `total` for everything up to the reply's last byte, None for a stream without an end.
    """

    connect: float
    read: float
    total: float | None

    def __post_init__(self) -> None:
        if self.connect <= 0 or self.read <= 0 or (self.total is not None and self.total <= 0):
            raise ValueError("a timeout is more than 0 s: aiohttp would take 0 for no timeout at all")


def safe_url(url: str | httpx.URL) -> httpx.URL:
    """The URL, if it may be called: https, or plain http to this machine; with a host, without credentials.

    Raises `UnsafeUrl` otherwise; its message quotes nothing of the URL.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise UnsafeUrl("not a URL") from None
    if parsed.userinfo:
        raise UnsafeUrl("a URL may not hold credentials")
    if not parsed.host or not (parsed.scheme == "https" or (parsed.scheme == "http" and is_loopback(parsed.host))):
        raise UnsafeUrl("only https may be called, and plain http on a loopback address")
    return parsed


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Whether a host's very name says that it is this machine."""
    try:
        return host in ("localhost", "::1") or IPv4Address(host).is_loopback
    except ValueError:
        return False


class Outbound:
    """Sends requests over an httpx transport: `OutboundTransport` in earnest, `httpx.MockTransport` in tests."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def request(
        self,
        method: str,
        url: str | httpx.URL,
        *,
        headers: Headers = (),
        content: bytes | AsyncIterable[bytes] | None = None,
        timeout: Timeouts,
        begin_by: float | None = None,
    ) -> httpx.Response:
        """The reply with its body unread: `read_capped` it, or iterate its `chunks` and then `aclose()` it.

        A redirect is a reply like any other. No byte is written after `begin_by`, a moment of `time.monotonic`.
        Streamed `content` is sent in chunks unless a Content-Length header says how long it is.
        Raises `httpx.TransportError`: ask `began(error)` whether anything may have been sent.
        """
        safe = safe_url(url)
        _in_time(begin_by)
        extensions = {"timeouts": timeout, "begin_by": begin_by}
        try:
            request = httpx.Request(method, safe, headers=headers, content=content, extensions=extensions)
        except (TypeError, ValueError):
            raise RequestMalformed("a header or a body that HTTP cannot carry") from None
        return await self._transport.handle_async_request(request)

    async def aclose(self) -> None:
        await self._transport.aclose()


def _in_time(begin_by: float | None) -> float | None:
    """Seconds left in which to begin, None for any; raises `SendWindowClosed` when there are none."""
    if begin_by is None:
        return None
    left = begin_by - monotonic()
    if left <= 0:
        raise SendWindowClosed("not begun: the latest moment to begin has passed")
    return left


def chunks(response: httpx.Response) -> AsyncIterable[bytes]:
    """The body piece by piece, as it came over the wire; httpx's own ways to it decompress without a limit."""
    assert isinstance(response.stream, httpx.AsyncByteStream)
    return response.stream


async def read_capped(response: httpx.Response, limit: int) -> bytes:
    """The body as it came over the wire, if it is not longer than `limit` bytes; closes the response.

    Raises `ReplyTooLarge` as soon as it is longer, or Content-Length says so.
    """
    body = bytearray()
    try:
        declared = response.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > limit:
            raise ReplyTooLarge(f"the reply is longer than {limit} bytes")
        async for chunk in chunks(response):
            body += chunk
            if len(body) > limit:
                raise ReplyTooLarge(f"the reply is longer than {limit} bytes")
    finally:
        await response.aclose()
    return bytes(body)


class OutboundTransport(httpx.AsyncBaseTransport):
    """httpx's transport over aiohttp: no cookies, redirects, netrc, proxies, decompression or second attempts.

    Its session opens with the first request, inside the running loop; another loop, as after a fork, gets its own.
    A request brings its `timeouts` and `begin_by` in its `extensions`. `resolver` looks hosts up in place of the
    system's own; with no `keepalive_seconds` each request has a connection of its own.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        connections: int = CONNECTIONS,
        connections_per_host: int = CONNECTIONS_PER_HOST,
        keepalive_seconds: float | None = KEEPALIVE_SECONDS,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._tls = tls or _public_trust()
        self._connections = connections
        self._connections_per_host = connections_per_host
        self._keepalive_seconds = keepalive_seconds
        self._resolver = resolver
        self._sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = safe_url(request.url)
        sending = _Sending(begin_by=request.extensions["begin_by"])
        timeout = sending.timeout(request.extensions["timeouts"])
        try:
            reply = await self._session().request(
                request.method,
                URL(str(url), encoded=True),
                headers=_headers(request),
                data=_body(request),
                timeout=timeout,
                middlewares=(sending.carry,),
                allow_redirects=False,
            )
        except Exception as error:  # noqa: BLE001 - the table has a row for each
            raise sending.true_error(error) from system_error(error)
        if not sending.begun or reply.status < HTTPStatus.OK:
            # It answers something that we did not ask.
            reply.close()
            raise true_error(aiohttp.ServerDisconnectedError(), begun=sending.begun)
        return httpx.Response(reply.status, headers=reply.raw_headers, stream=_ReplyBody(reply), request=request)

    async def aclose(self) -> None:
        self._closed = True
        session = self._sessions.pop(asyncio.get_running_loop(), None)
        if session is not None:
            await session.close()

    def _session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise httpx.ConnectError("not begun: the transport is closed")
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None:
            session = self._sessions[loop] = self._open()
        return session

    def _open(self) -> aiohttp.ClientSession:
        seconds = self._keepalive_seconds
        kept: dict[str, Any] = {"force_close": True} if seconds is None else {"keepalive_timeout": seconds}
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=self._tls,
                limit=self._connections,
                limit_per_host=self._connections_per_host,
                resolver=self._resolver or aiohttp.ThreadedResolver(),
                **kept,
            ),
            headers={"User-Agent": USER_AGENT, "Accept-Encoding": "identity"},
            skip_auto_headers=("Accept", "Content-Type"),
            cookie_jar=aiohttp.DummyCookieJar(),
            request_class=_Request,
            auto_decompress=False,
            trust_env=False,
        )
        # aiohttp sends a GET, PUT or DELETE again when a kept connection fails under it, and offers no other switch.
        # `_Sending.carry` would refuse the second attempt all the same.
        session._retry_connection = False  # noqa: SLF001
        return session


@cache
def _public_trust() -> ssl.SSLContext:
    return ssl.create_default_context()


class _ConnectionSpent(Exception):
    """The connection cannot carry a request any more; not one byte of it was written."""


class _Sending:
    """One request on its way: by when its first byte must be written, and whether it was."""

    def __init__(self, *, begin_by: float | None) -> None:
        self.begun = False
        self._begin_by = begin_by
        self._window_is_shorter = False

    def timeout(self, timeouts: Timeouts) -> aiohttp.ClientTimeout:
        left = _in_time(self._begin_by)
        self._window_is_shorter = left is not None and left < timeouts.connect
        connect = left if self._window_is_shorter else timeouts.connect
        return aiohttp.ClientTimeout(total=timeouts.total, connect=connect, sock_read=timeouts.read)

    async def carry(self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        """Stands around aiohttp's own sending: another connection is free, another attempt there is not."""
        if self.begun:
            raise httpx.RemoteProtocolError("begun: a request is not written twice")
        assert isinstance(request, _Request)
        request.sending = self
        for _ in range(_CONNECTIONS_TRIED):
            with suppress(_ConnectionSpent):
                return await handler(request)
        raise httpx.ConnectError("not begun: no connection stayed open long enough")

    def check(self, protocol: ResponseHandler | None) -> None:
        """Raises unless the first byte may be written here and now."""
        _in_time(self._begin_by)
        # Bytes that came before the question count as well: they would be taken for this request's reply.
        if protocol is None or not protocol.is_connected() or protocol.should_close:
            raise _ConnectionSpent

    def true_error(self, error: Exception) -> httpx.TransportError:
        if isinstance(error, TimeoutError) and self._window_is_shorter and not self.begun:
            return SendWindowClosed("not begun: no connection in time")
        return true_error(error, begun=self.begun)


class _Request(aiohttp.ClientRequest):
    """aiohttp's request, asking `_Sending` at the last moment: nothing waits between its answer and the first byte."""

    sending: _Sending

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        self.sending.check(conn.protocol)
        self.sending.begun = self._body is None
        return await super().send(conn)

    async def write_bytes(
        self, writer: AbstractStreamWriter, conn: Connection, content_length: int | None = None
    ) -> None:
        # On Python 3.11 a turn of the loop has passed since send(), for a body is written by a task of its own.
        try:
            self.sending.check(conn.protocol)
        except (_ConnectionSpent, SendWindowClosed) as error:
            if conn.protocol is not None:
                conn.protocol.set_exception(error)
            return
        self.sending.begun = True
        if isinstance(self._body, aiohttp.AsyncIterablePayload):
            writer.send_headers()  # or they would wait for the first piece of the body
        await super().write_bytes(writer, conn, content_length)


class _ReplyBody(httpx.AsyncByteStream):
    """The reply's bytes as they come; closed before its end, it takes its connection with it."""

    def __init__(self, reply: aiohttp.ClientResponse) -> None:
        self._reply = reply

    async def __aiter__(self) -> AsyncIterator[bytes]:
        encodings = self._reply.headers.getall("Content-Encoding", ())
        encoded = any(encoding.strip().lower() != "identity" for encoding in encodings)
        try:
            while chunk := await self._read():
                if encoded:
                    raise ReplyEncoded("the reply is compressed, and identity was asked for")
                yield chunk
        finally:
            self._reply.close()

    async def _read(self) -> bytes:
        try:
            return await self._reply.content.readany()
        except Exception as error:  # noqa: BLE001 - the table has a row for each
            raise true_error(error, begun=True) from system_error(error)

    async def aclose(self) -> None:
        self._reply.close()


def _headers(request: httpx.Request) -> list[tuple[str, str]]:
    streamed = not isinstance(request.stream, httpx.ByteStream)
    headers = []
    for name, value in request.headers.raw:
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise RequestMalformed("not begun: a header that HTTP cannot carry")
        lowered = name.lower()
        if lowered not in _OWN_HEADERS or (streamed and lowered == b"content-length"):
            headers.append((name.decode(), value.decode()))
    return headers


def _body(request: httpx.Request) -> bytes | io.BytesIO | AsyncIterable[bytes] | None:
    if not isinstance(request.stream, httpx.ByteStream):
        assert isinstance(request.stream, httpx.AsyncByteStream)
        return request.stream
    content = request.content
    if len(content) > _AT_ONCE:
        return io.BytesIO(content)
    return content or None
