"""The public hosts that hand out pictures: unguessable addresses, no credential, HEAD and one byte range."""

import asyncio
import re
import secrets
import threading
from dataclasses import dataclass

from starlette.responses import Response

from consent_proxy.sandbox.behaviours import Behaviour, Conduct, Operation
from consent_proxy.sandbox.pictures import MEDIA_TYPE, Picture
from consent_proxy.sandbox.wire import WireRequest

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_GONE = b'{"detail": "Not found"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class _Output:
    picture: Picture
    model: str


class Outputs:
    """One provider's output host; pictures are painted when they are first asked for."""

    def __init__(self, *, url: str, folder: str, conduct: Conduct) -> None:
        self._url = url
        self._folder = folder
        self._conduct = conduct
        self._lock = threading.Lock()
        self._outputs: dict[str, _Output] = {}

    def publish(self, picture: Picture, *, model: str) -> str:
        """The absolute URL from which the picture can be read by whoever knows it."""
        path = f"/{self._folder}/{secrets.token_urlsafe(24)}/out-{picture.number}.png"
        with self._lock:
            self._outputs[path] = _Output(picture=picture, model=model)
        return self._url + path

    def remove(self, url: str) -> None:
        """Delete what a URL of ours points to; other URLs are ignored."""
        with self._lock:
            self._outputs.pop(url.removeprefix(self._url), None)

    async def answer(self, request: WireRequest) -> Response:
        """The picture, 404 or 405."""
        with self._lock:
            output = self._outputs.get(request.path)
        if output is None:
            return Response(_GONE, status_code=404, media_type="application/json")
        if request.method not in ("GET", "HEAD"):
            return Response(status_code=405, headers={"allow": "GET, HEAD"})

        async def right(_: Behaviour | None) -> Response:
            data = await asyncio.to_thread(output.picture.png)
            return _picture_reply(data, request)

        return await self._conduct.reply(output.model, operation=Operation.OUTPUT, right=right)


def _picture_reply(data: bytes, request: WireRequest) -> Response:
    headers = {"accept-ranges": "bytes", "cache-control": "public, max-age=3600"}
    wanted = _RANGE.fullmatch(request.header("range") or "")
    if wanted is None or wanted.groups() == ("", ""):
        return _without_body_for_head(data, request, headers=headers, status=200)
    first, last = _bounds(wanted.group(1), wanted.group(2), size=len(data))
    if first > last:
        return Response(status_code=416, headers={"content-range": f"bytes */{len(data)}"})
    headers["content-range"] = f"bytes {first}-{last}/{len(data)}"
    return _without_body_for_head(data[first : last + 1], request, headers=headers, status=206)


def _bounds(first: str, last: str, *, size: int) -> tuple[int, int]:
    """The first and last byte of a range, both inclusive; `-n` means the last n bytes (RFC 9110, 14.1.2)."""
    if not first:
        return max(0, size - int(last)), size - 1
    return int(first), min(int(last), size - 1) if last else size - 1


def _without_body_for_head(data: bytes, request: WireRequest, *, headers: dict[str, str], status: int) -> Response:
    response = Response(data, status_code=status, headers=headers, media_type=MEDIA_TYPE)
    if request.method == "HEAD":
        response.body = b""  # the Content-Length stays that of the picture
    return response
