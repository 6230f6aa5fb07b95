"""fal's storage as it looks from outside: a place is asked for at the rest host, and the bytes are put to another."""

import re
import secrets
import threading
from urllib.parse import parse_qs

from starlette.responses import Response

from consent_proxy.sandbox.behaviours import Behaviour, Conduct, Operation
from consent_proxy.sandbox.fal import FalDoor, fal_error, not_offered
from consent_proxy.sandbox.replies import json_reply
from consent_proxy.sandbox.wire import WireRequest

#: What uploads are called where behaviours are set by a model's name.
STORAGE = "storage/upload"

_FILE_NAME = re.compile(r"[\w.-]{1,120}")


class FalStorage:
    """Uploads in two steps. An address takes bytes once, without a credential; a file is read by whoever knows it."""

    def __init__(self, *, url: str, door: FalDoor, conduct: Conduct) -> None:
        self._url = url
        self._door = door
        self._conduct = conduct
        self._lock = threading.Lock()
        self._promised: dict[str, str] = {}
        self._files: dict[str, tuple[bytes, str]] = {}

    async def initiate(self, request: WireRequest) -> Response:
        """The rest host: a place for one file, or fal's error."""
        refusal = self._door.refusal(request)
        if refusal is not None:
            return refusal
        if request.segments != ("storage", "upload", "initiate"):
            return not_offered(f"{request.role} {request.path}")
        try:
            asked = request.json()
            name, content_type = asked["file_name"], asked["content_type"]
        except (ValueError, KeyError, TypeError):
            return fal_error(422, "file_name and content_type are required")
        if not isinstance(content_type, str) or not isinstance(name, str) or _FILE_NAME.fullmatch(name) is None:
            return fal_error(422, "file_name and content_type are required")

        async def right(_: Behaviour | None) -> Response:
            path, signature = f"/files/b/{secrets.token_hex(8)}/{name}", secrets.token_urlsafe(24)
            with self._lock:
                self._promised[path] = signature
            url = f"{self._url}{path}"
            return json_reply({"upload_url": f"{url}?signature={signature}", "file_url": url})

        return await self._conduct.reply(f"{STORAGE}/initiate", operation=Operation.CREATE, right=right)

    async def answer(self, request: WireRequest) -> Response:
        """The host of the files: take one in, or hand one out."""
        if request.method == "GET":
            with self._lock:
                found = self._files.get(request.path)
            return Response(status_code=404) if found is None else Response(found[0], media_type=found[1])
        if request.method != "PUT":
            return not_offered(f"{request.role} {request.path}")

        async def right(_: Behaviour | None) -> Response:
            with self._lock:
                if self._promised.get(request.path) not in parse_qs(request.query).get("signature", []):
                    return Response(status_code=403)
                del self._promised[request.path]
                self._files[request.path] = (request.body, request.header("content-type") or "")
            return Response(status_code=200)

        return await self._conduct.reply(f"{STORAGE}/put", operation=Operation.CREATE, right=right)
