"""fal with a storage that takes the bytes of an upload, says nothing, and answers when a test lets it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class HeldStorage:
    """fal's rest, CDN and run hosts on one loopback port; a context manager. ``came`` are method and path of what came.

    ``uploaded`` is every byte that was put.
    """

    def __init__(self) -> None:
        self.came: list[str] = []
        self.uploaded = bytearray()
        self._let_go = threading.Event()
        self._changed = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"storage": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="held-storage")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def settings(self) -> dict[str, str]:
        """What points the service here."""
        hosts = {f"FAL__{name}_URL": self.url for name in ("RUN", "REST", "CDN")}
        return {**hosts, "FAL__KEY": "held:key"}

    def wait_for(self, beginning: str, *, within: float = 20.0) -> None:
        """Until such a request has come, whole."""
        with self._changed:
            came = self._changed.wait_for(lambda: any(one.startswith(beginning) for one in self.came), timeout=within)
        assert came, f"no {beginning} in {within} s, only {self.came}"

    def let_go(self) -> None:
        """Answer the upload that is held, and whatever comes from now on at once."""
        self._let_go.set()

    def took(self, request: str, body: bytes) -> None:
        """Keep what came; an upload is held."""
        with self._changed:
            self.came.append(request)
            if request.startswith("PUT"):
                self.uploaded += body
            self._changed.notify_all()
        if request.startswith("PUT"):
            self._let_go.wait()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    storage: HeldStorage

    def log_message(self, *_: Any) -> None:
        """Nothing: its log is `came`."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.storage.took(f"{self.command} {self.path}", body)
        answer: dict[str, Any] = {"images": []}
        if self.path.startswith("/storage/upload/initiate"):
            url = f"{self.storage.url}/files/b/one/{json.loads(body)['file_name']}"
            answer = {"upload_url": f"{url}?signature=s", "file_url": url}
        content = json.dumps(answer).encode()
        try:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except ConnectionError:
            self.close_connection = True  # who asked was killed

    do_POST = do_PUT = _answer  # noqa: N815 - http.server's names
