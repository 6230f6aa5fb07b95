"""Replicate's files as they look from outside: a form with one file comes in, and an address to name it by goes out."""

import hashlib
import secrets
import threading
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.responses import Response

from consent_proxy.sandbox.behaviours import Behaviour, Conduct, Operation
from consent_proxy.sandbox.replicate_errors import not_found, not_offered, problem
from consent_proxy.sandbox.replies import json_reply
from consent_proxy.sandbox.wire import WireRequest

#: What uploads are called where behaviours are set by a model's name.
FILES = "files/upload"
LARGEST = 100_000_000
KEPT = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    name: str
    content_type: str
    content: bytes


class ReplicateFiles:
    """The files of the account."""

    def __init__(self, *, api_url: str, conduct: Conduct) -> None:
        self._api_url = api_url
        self._conduct = conduct
        self._lock = threading.Lock()
        self._files: dict[str, dict[str, Any]] = {}

    async def answer(self, request: WireRequest) -> Response:
        """Create, read and delete; the list and the download are not made yet."""
        match request.method, *request.segments[2:]:
            case ["POST"]:
                return await self._create(request)
            case "GET", file_id:
                with self._lock:
                    return json_reply(self._files[file_id]) if file_id in self._files else not_found()
            case "DELETE", file_id:
                with self._lock:
                    return Response(status_code=204) if self._files.pop(file_id, None) else not_found()
            case _:
                return not_offered(f"{request.method} {request.path}")

    async def _create(self, request: WireRequest) -> Response:
        part = await _file_part(request)
        if part is None:
            return problem(422, "content is required", title="Input validation failed")
        if len(part.content) > LARGEST:
            return problem(413, "Files must be less than 100MB in size", title="File too large")

        async def right(_: Behaviour | None) -> Response:
            described = self._described(part)
            with self._lock:
                self._files[described["id"]] = described
            return json_reply(described, status=201)

        return await self._conduct.reply(FILES, operation=Operation.CREATE, right=right)

    def _described(self, part: _Part) -> dict[str, Any]:
        file_id, now, content = secrets.token_hex(13), datetime.now(UTC), part.content
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        return {
            "id": file_id,
            "name": part.name,
            "content_type": part.content_type,
            "size": len(content),
            "etag": md5,
            "checksums": {"sha256": hashlib.sha256(content).hexdigest(), "md5": md5},
            "metadata": {},
            "created_at": now.isoformat(),
            "expires_at": (now + KEPT).isoformat(),
            "urls": {"get": f"{self._api_url}/files/{file_id}"},
        }


async def _file_part(request: WireRequest) -> _Part | None:
    """The part named `content` of a form, or None."""

    async def whole() -> AsyncGenerator[bytes, None]:
        yield request.body

    try:
        form = await MultiPartParser(Headers(raw=_raw(request)), whole()).parse()
    except (MultiPartException, KeyError):
        return None
    try:
        file = form.get("content")
        if not isinstance(file, UploadFile):
            return None
        content_type = file.content_type or "application/octet-stream"
        return _Part(name=file.filename or "", content_type=content_type, content=await file.read())
    finally:
        await form.close()


def _raw(request: WireRequest) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers]
