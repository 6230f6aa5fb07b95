"""A host outside, on a loopback port, from which files are fetched by address; it behaves as a test tells it to."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class SourceHost:
    """``files`` are what there is by path, without the query; ``requests`` are the lines and headers that came."""

    def __init__(self) -> None:
        self.files: dict[str, Callable[[], bytes] | bytes] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.redirect_to: str | None = None
        self.drip_seconds = 0.0
        self.host = ""

    def url(self, path: str) -> str:
        return f"http://{self.host}{path}"


@contextmanager
def serving_files() -> Iterator[SourceHost]:
    source = SourceHost()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"source": source}))
    server.daemon_threads = True
    source.host = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, name="source-host", daemon=True)
    thread.start()
    try:
        yield source
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    source: SourceHost

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""

    def do_GET(self) -> None:
        self.source.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        found = self.source.files.get(self.path.partition("?")[0])
        if self.source.redirect_to is not None:
            self.send_response(302)
            self.send_header("location", self.source.redirect_to)
            self.send_header("content-length", "0")
            self.end_headers()
        elif found is None:
            self.send_error(404)
        else:
            self._send(found() if callable(found) else found)

    def _send(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(content)))
        self.send_header("set-cookie", "session=of-the-source; Path=/")
        self.end_headers()
        if not self.source.drip_seconds:
            self.wfile.write(content)
            return
        try:
            for at in range(len(content)):
                self.wfile.write(content[at : at + 1])
                self.wfile.flush()
                time.sleep(self.source.drip_seconds)
        except OSError:
            return
