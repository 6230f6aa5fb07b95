"""The sockets' side: one loopback port a role, bytes kept before they are parsed, requests before they are answered."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

import uvicorn
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from consent_proxy.sandbox.behaviours import TRANSPORT_KEY
from consent_proxy.sandbox.wire import Role, Wire, WireRequest

LOOPBACK = "127.0.0.1"

AnswerFunction = Callable[[WireRequest], Awaitable[Response]]

_CONNECTION_KEY = "sandbox.connection"


def listen(ports: Mapping[Role, int]) -> dict[Role, socket.socket]:
    """A bound socket a role; port 0 lets the system choose. OSError, and nothing bound, when a port is taken."""
    sockets: dict[Role, socket.socket] = {}
    try:
        for role, port in ports.items():
            sockets[role] = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            sockets[role].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sockets[role].bind((LOOPBACK, port))
    except OSError:
        for opened in sockets.values():
            opened.close()
        raise
    return sockets


def server_for(wire: Wire, *, ports: Mapping[Role, int], answers: Mapping[Role, AnswerFunction]) -> "SandboxServer":
    """A server, not yet started, that answers each port by its role."""
    config = uvicorn.Config(
        _Reception(wire, ports=ports, answers=answers),
        http=_recording_protocol(wire, unrecorded_port=ports[Role.CONTROL]),
        loop="asyncio",
        ws="none",
        lifespan="off",
        interface="asgi3",
        proxy_headers=False,
        server_header=False,
        log_config=None,
        access_log=False,
        timeout_keep_alive=60,
    )
    return SandboxServer(config)


class SandboxServer(uvicorn.Server):
    """uvicorn in a thread of its own, which at its end cuts the connections instead of waiting for them."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._up = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, sockets: Mapping[Role, socket.socket], *, within: float) -> None:
        """Serve on the sockets; TimeoutError when that takes longer than `within` seconds."""
        listening = list(sockets.values())
        self._thread = threading.Thread(target=self.run, kwargs={"sockets": listening}, name="sandbox", daemon=True)
        self._thread.start()
        if not self._up.wait(within):
            raise TimeoutError(f"the sandbox was not up within {within} s")

    def end(self) -> None:
        """Stop serving; returns when the sockets are closed."""
        self.should_exit = self.force_exit = True
        if self._thread is not None:
            self._thread.join()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Say when it is up."""
        await super().startup(sockets)
        self._up.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Cut what is open: a hung request would keep the server for ever."""
        for protocol in list(self.server_state.connections):
            if isinstance(protocol, H11Protocol):
                protocol.transport.abort()
        await super().shutdown(sockets)


def _recording_protocol(wire: Wire, *, unrecorded_port: int) -> type[H11Protocol]:
    class RecordingProtocol(H11Protocol):
        """Keeps the bytes as they come, so that half a request is on the record too."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
            super().connection_made(transport)
            self.number = wire.opened()
            self.recorded = transport.get_extra_info("sockname")[1] != unrecorded_port
            self.app_state = {TRANSPORT_KEY: transport, _CONNECTION_KEY: self.number}

        def data_received(self, data: bytes) -> None:
            if self.recorded:
                wire.received(self.number, data)
            super().data_received(data)

    return RecordingProtocol


class _Reception:
    """The ASGI application: reads a request to its end, records it, and hands it to its host."""

    def __init__(self, wire: Wire, *, ports: Mapping[Role, int], answers: Mapping[Role, AnswerFunction]) -> None:
        self._wire = wire
        self._roles = {port: role for role, port in ports.items()}
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = await self._read(scope, receive)
        if request.role is not Role.CONTROL:
            self._wire.record(request)
        if not request.complete:
            return
        try:
            response = await self._answers[request.role](request)
            await response(scope, receive, send)
        except asyncio.CancelledError:
            return  # the sandbox is being stopped, and the connection is cut already

    async def _read(self, scope: Scope, receive: Receive) -> WireRequest:
        body, message = bytearray(), await receive()
        while message["type"] == "http.request":
            body += message["body"]
            if not message["more_body"]:
                break
            message = await receive()
        return WireRequest(
            role=self._roles[scope["server"][1]],
            method=scope["method"],
            path=scope["raw_path"].decode("latin-1"),
            query=scope["query_string"].decode("latin-1"),
            headers=tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]),
            body=bytes(body),
            complete=message["type"] == "http.request",
            peer=(scope["client"][0], scope["client"][1]),
            connection=scope["state"][_CONNECTION_KEY],
            received_at=datetime.now(UTC),
        )
