"""Every byte that reached the sandbox, kept so that a test can say what left and what did not."""

import base64
import json
import threading
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import unquote

from consent_proxy.sandbox.disguises import bears

DEFAULT_KEPT_BYTES = 512 * 1024 * 1024

PRIVACY_HEADERS = (  # what fal and Replicate let a caller ask for in a header
    "x-fal-store-io",
    "x-fal-object-lifecycle-preference",
    "x-app-fal-disable-fallback",
    "x-fal-no-retry",
    "cancel-after",
    "x-fal-object-lifecycle",
)


class Role(StrEnum):
    """The host a request was addressed to; each has a port of its own."""

    CONTROL = "control"
    FAL_RUN = "fal-run"
    FAL_QUEUE = "fal-queue"
    FAL_REST = "fal-rest"
    FAL_CDN = "fal-cdn"
    FAL_API = "fal-api"
    FAL_OUTPUT = "fal-output"
    REPLICATE_API = "replicate-api"
    REPLICATE_DELIVERY = "replicate-delivery"
    REPLICATE_STREAM = "replicate-stream"
    ELSEWHERE = "elsewhere"  # where redirects point; nothing should ever arrive there


PUBLIC_ROLES = frozenset({Role.FAL_OUTPUT, Role.REPLICATE_DELIVERY, Role.REPLICATE_STREAM})


@dataclass(frozen=True, slots=True, kw_only=True)
class WireRequest:
    """One request as it arrived: `path` and `query` undecoded, `body` without its transfer coding."""

    role: Role
    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    complete: bool  # False when the connection went away before the body's end
    peer: tuple[str, int]
    connection: int
    received_at: datetime

    def header(self, name: str) -> str | None:
        """The first value of a header, or None."""
        return next(iter(self.header_values(name)), None)

    def header_values(self, name: str) -> list[str]:
        """Every value of a header, in order of arrival."""
        return [value for key, value in self.headers if key == name.lower()]

    @property
    def segments(self) -> tuple[str, ...]:
        """The path's parts, percent-decoded; a trailing slash adds none."""
        return tuple(unquote(part) for part in self.path.split("/") if part)

    @property
    def privacy_switches(self) -> Mapping[str, str]:
        """The provider's privacy headers that came along."""
        return {name: value for name, value in self.headers if name in PRIVACY_HEADERS}

    def json(self) -> Any:
        """The body as JSON; ValueError when it is none, or nested beyond measure."""
        try:
            return json.loads(self.body)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error

    def as_json(self) -> dict[str, Any]:
        """For another process to read: the body as `text`, or as `base64` when it is not UTF-8."""
        try:
            body = {"text": self.body.decode()}
        except UnicodeDecodeError:
            body = {"base64": base64.b64encode(self.body).decode()}
        return {
            "role": self.role,
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": self.headers,
            "body": body,
            "complete": self.complete,
            "peer": self.peer,
            "connection": self.connection,
            "received_at": self.received_at.isoformat(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """Something a well-behaved caller never does, seen on the wire."""

    reason: str
    request: WireRequest

    def as_json(self) -> dict[str, Any]:
        """For another process to read."""
        return {"reason": self.reason, "request": self.request.as_json()}


class Wire:
    """The record of what arrived: requests in order, and under them the connections' bytes.

    Safe to read from any thread. When more than `kept_bytes` have arrived the oldest are forgotten.
    """

    def __init__(self, *, kept_bytes: int = DEFAULT_KEPT_BYTES) -> None:
        self._kept_bytes = kept_bytes
        self._changed = threading.Condition()
        self._requests: deque[WireRequest] = deque()
        self._pieces: deque[tuple[int, bytes]] = deque()
        self._held = 0
        self._connections = 0

    def opened(self) -> int:
        """A number for a new connection."""
        with self._changed:
            self._connections += 1
            return self._connections

    def received(self, connection: int, data: bytes) -> None:
        """Keep bytes as they came off a socket, before anything read sense into them."""
        with self._changed:
            self._pieces.append((connection, data))
            self._held += len(data)
            while self._held > self._kept_bytes and self._pieces:
                self._held -= len(self._pieces.popleft()[1])

    def record(self, request: WireRequest) -> None:
        """Keep a request; it is on the record before its reply begins."""
        with self._changed:
            self._requests.append(request)
            self._held += len(request.body)
            while self._held > self._kept_bytes and len(self._requests) > 1:
                self._held -= len(self._requests.popleft().body)
            self._changed.notify_all()

    def requests(self, *, role: Role | None = None, method: str | None = None) -> list[WireRequest]:
        """What arrived, oldest first."""
        with self._changed:
            kept = list(self._requests)
        return [r for r in kept if role in (None, r.role) and method in (None, r.method)]

    def bodies(self, *, role: Role | None = None) -> list[bytes]:
        """The bodies that were not empty, oldest first."""
        return [request.body for request in self.requests(role=role) if request.body]

    def wait_for(self, *, count: int = 1, role: Role | None = None, within: float = 5.0) -> list[WireRequest]:
        """Block until `count` requests have arrived; TimeoutError after `within` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.requests(role=role)) >= count, timeout=within):
                raise TimeoutError(f"{len(self.requests(role=role))} of {count} requests arrived in {within} s")
        return self.requests(role=role)

    def contains(self, text: str | bytes) -> bool:
        """Whether the text arrived anywhere: path, query, header, body or bytes outside any request.

        Also where it was percent-encoded, JSON-escaped, in base64, in hexadecimal or compressed.
        """
        wanted = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        return any(bears(piece, wanted) for piece in self._everything())

    @property
    def violations(self) -> list[Violation]:
        """Credentials or cookies where none belong, and redirects that were followed."""
        return [found for request in self.requests() for found in _violations(request)]

    def clear(self) -> None:
        """Forget everything so far."""
        with self._changed:
            self._requests.clear()
            self._pieces.clear()
            self._held = 0

    def _everything(self) -> Iterator[bytes]:
        with self._changed:
            requests, pieces = list(self._requests), list(self._pieces)
        streams: defaultdict[int, bytearray] = defaultdict(bytearray)
        for connection, data in pieces:
            streams[connection] += data
        yield from (bytes(stream) for stream in streams.values())
        yield from (request.body for request in requests)


def _violations(request: WireRequest) -> Iterator[Violation]:
    if request.role in PUBLIC_ROLES and request.header("authorization") is not None:
        yield Violation(reason=f"a credential was sent to {request.role}", request=request)
    if request.role is Role.FAL_CDN and (request.header("authorization") or "").startswith("Key "):
        yield Violation(reason="the account's key was sent to the storage host", request=request)
    if request.header("cookie") is not None:
        yield Violation(reason=f"a cookie was sent to {request.role}", request=request)
    if request.role is Role.ELSEWHERE:
        yield Violation(reason="a redirect was followed", request=request)
