"""The results a provider hands out: which a reply names, and their bytes, read without our key."""

import re
from collections.abc import AsyncIterator, Mapping

import httpx

from consent_proxy.adapters.http import Outbound, Timeouts
from consent_proxy.adapters.listed_hosts import ListedHosts
from consent_proxy.adapters.providers.replies import strings
from consent_proxy.application.ports.providers import OutputStream, OutputUnavailable
from consent_proxy.domain.payloads import Json

#: One reply may name so many results; a reply that names more is not about results.
MAX_OUTPUTS = 256
CHUNK_BYTES = 65_536

_TIMEOUTS = Timeouts(connect=10, read=60, total=None)
_PASSED_BACK = ("content-length", "content-range", "accept-ranges", "etag", "last-modified")
# What a browser would run is not passed on under its own name.
_MEDIA_TYPE = re.compile(
    r"(image|video|audio|model|font)/[a-z0-9][a-z0-9.+-]{0,99}"
    r"|application/(json|zip|gzip|x-tar|x-gzip|pdf|octet-stream|x-zip-compressed|x-safetensors)"
    r"|text/(plain|csv|vtt|srt)"
)
_UNKNOWN_TYPE = "application/octet-stream"
_RANGE_NOT_SATISFIABLE = 416


def outputs_in(body: Json, *, hosts: ListedHosts) -> tuple[str, ...]:
    """The results a reply names: every string in it that is as a whole a URL on these hosts, once each."""
    found: dict[str, None] = {}
    for text in strings(body):
        if text[:4].lower() == "http" and text not in found and hosts.allows(text):
            found[text] = None
            if len(found) == MAX_OUTPUTS:
                break
    return tuple(found)


async def open_stream(outbound: Outbound, url: str, *, hosts: ListedHosts, headers: Mapping[str, str]) -> OutputStream:
    """Open a result for relaying; only ``Range`` of the headers goes along, and no redirect is followed.

    Raises ``OutputUnavailable``.
    """
    if not hosts.allows(url):
        raise OutputUnavailable
    asked = {"accept": "*/*"} | {name: value for name, value in headers.items() if name.lower() == "range"}
    try:
        response = await outbound.request("GET", url, headers=asked, timeout=_TIMEOUTS)
    except httpx.TransportError as error:
        raise OutputUnavailable from error
    if response.status_code not in {200, 206, _RANGE_NOT_SATISFIABLE}:
        await response.aclose()
        raise OutputUnavailable
    if response.status_code == _RANGE_NOT_SATISFIABLE:
        await response.aclose()
        kept = {name: value for name, value in response.headers.items() if name == "content-range"}
        return OutputStream(status=_RANGE_NOT_SATISFIABLE, headers=kept, chunks=Chunks(None))
    return OutputStream(status=response.status_code, headers=_headers(response), chunks=Chunks(response))


class Chunks(AsyncIterator[bytes]):
    """A body in pieces of at most ``CHUNK_BYTES``; ``aclose`` lets go of it, read or not."""

    def __init__(self, response: httpx.Response | None) -> None:
        self._response = response
        self._pieces: AsyncIterator[bytes] | None = None
        self._rest = memoryview(b"")

    async def __anext__(self) -> bytes:
        while not self._rest:
            self._rest = memoryview(await self._next_piece())
        chunk, self._rest = self._rest[:CHUNK_BYTES], self._rest[CHUNK_BYTES:]
        return bytes(chunk)

    async def _next_piece(self) -> bytes:
        """Raises ``OutputUnavailable`` when the rest does not come."""
        if self._response is None:
            raise StopAsyncIteration
        if self._pieces is None:
            assert isinstance(self._response.stream, httpx.AsyncByteStream)
            self._pieces = aiter(self._response.stream)
        try:
            return await anext(self._pieces)
        except httpx.TransportError as error:
            raise OutputUnavailable from error

    async def aclose(self) -> None:
        """Let go of the connection."""
        if self._response is not None:
            await self._response.aclose()


def _headers(response: httpx.Response) -> dict[str, str]:
    kept = {name: response.headers[name] for name in _PASSED_BACK if name in response.headers}
    media_type = response.headers.get("content-type", "").split(";")[0].strip().lower()
    kept["content-type"] = media_type if _MEDIA_TYPE.fullmatch(media_type) is not None else _UNKNOWN_TYPE
    return kept
