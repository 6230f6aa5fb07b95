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
    """Uploads in two steps, large ones in parts. An address takes a file once, and no credential."""

    def __init__(self, *, url: str, door: FalDoor, conduct: Conduct) -> None:
        self._url = url
        self._door = door
        self._conduct = conduct
        self._lock = threading.Lock()
        self._promised: dict[str, str] = {}
        self._parts: dict[str, dict[int, bytes]] = {}
        self._files: dict[str, tuple[bytes, str]] = {}

    async def initiate(self, request: WireRequest) -> Response:
        """The rest host: a place for one file, or fal's error."""
        refusal = self._door.refusal(request)
        if refusal is not None:
            return refusal
        if request.segments not in {("storage", "upload", "initiate"), ("storage", "upload", "initiate-multipart")}:
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
        last = request.segments[-1] if request.segments else ""
        if request.method not in {"PUT", "POST"} or (request.method == "POST" and last != "complete"):
            return not_offered(f"{request.role} {request.path}")

        async def right(_: Behaviour | None) -> Response:
            with self._lock:
                return self._take(request, last)

        return await self._conduct.reply(f"{STORAGE}/put", operation=Operation.CREATE, right=right)

    def _take(self, request: WireRequest, last: str) -> Response:
        """A whole file, a part of one, or the word that all the parts are there."""
        of_parts = request.method == "POST" or last.isdecimal()
        path = request.path.rpartition("/")[0] if of_parts else request.path
        if self._promised.get(path) not in parse_qs(request.query).get("signature", []):
            return Response(status_code=403)
        if request.method == "PUT" and of_parts:
            self._parts.setdefault(path, {})[int(last)] = request.body
            return json_reply({"partNumber": int(last), "etag": f'"part-{last}"'}, headers={"etag": f'"part-{last}"'})
        content = request.body
        if of_parts:
            parts = self._parts.pop(path, {})
            named = {part["partNumber"]: part["etag"] for part in request.json()["parts"]}
            if named != {number: f'"part-{number}"' for number in parts}:
                return Response(status_code=400)
            content = b"".join(parts[number] for number in sorted(parts))
        del self._promised[path]
        self._files[path] = (content, request.header("content-type") or "")
        return Response(status_code=200)
