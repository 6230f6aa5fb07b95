"""A loopback server that is no consent-proxy, or a broken one: it answers each request as it is told."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Self

from tests.cli.command_line import At

Answer = Callable[[bytes], Iterator[bytes]]


def says(body: str | bytes, *, status: str = "200 OK", kind: str = "application/json", more: str = "") -> Answer:
    """One whole reply."""
    content = body.encode() if isinstance(body, str) else body
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(content)}\r\n"
    return raw(f"{head}connection: close\r\n{more}\r\n".encode() + content)


def raw(reply: bytes) -> Answer:
    """Bytes, and then it hangs up."""

    def answer(_: bytes) -> Iterator[bytes]:
        yield reply

    return answer


def streams(records: Iterable[bytes], *, ends: bool = True) -> Answer:
    """Records in chunks; without ``ends``, it hangs up in the middle."""

    def answer(_: bytes) -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"
        for record in records:
            yield b"%x\r\n%s\r\n" % (len(record), record)
        if ends:
            yield b"0\r\n\r\n"

    return answer


class Stranger:
    """Serves until it is left. ``tls`` may be set before the first request."""

    def __init__(self) -> None:
        self.answer: Answer = raw(b"")
        self.tls: ssl.SSLContext | None = None
        self.requests: list[bytes] = []
        self.left = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def at(self) -> At:
        """Commands that ask this server."""
        return At(environment={"CONSENT_PROXY_URL": self.url, "CONSENT_PROXY_KEY": "cpk_of_nobody"})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.left.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            with line, suppress(OSError):
                self._talk(self.tls.wrap_socket(line, server_side=True) if self.tls else line)

    def _talk(self, line: socket.socket) -> None:
        with line:
            request = b""
            while b"\r\n\r\n" not in request and (read := line.recv(65_536)):
                request += read
            self.requests.append(request)
            for piece in self.answer(request):
                line.sendall(piece)
