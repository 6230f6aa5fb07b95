"""A provider that takes a request, says nothing, and answers when a test lets it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class HeldProvider:
    """fal.run on a loopback port; a context manager. What it took is in ``prompts``, the oldest first."""

    def __init__(self) -> None:
        self.prompts: list[str] = []
        self._let_go = threading.Event()
        self._came = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="held-provider")

    @property
    def settings(self) -> dict[str, str]:
        """What points the service here."""
        return {"FAL__RUN_URL": f"http://127.0.0.1:{self._server.server_port}", "FAL__KEY": "held:key"}

    def wait_for(self, *prompts: str, within: float = 10.0) -> None:
        """Until all of these have come. AssertionError when that takes too long."""
        with self._came:
            came = self._came.wait_for(lambda: set(prompts) <= set(self.prompts), timeout=within)
        assert came, f"of {prompts} only {self.prompts} came in {within} s"

    def let_go(self) -> None:
        """Answer what is held, and whatever comes from now on at once."""
        self._let_go.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _take(self, prompt: str) -> None:
        with self._came:
            self.prompts.append(prompt)
            self._came.notify_all()
        self._let_go.wait()

    def _handler(provider: Self) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - `self` is the handler's below
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                provider._take(body["prompt"])
                answer = json.dumps({"images": [], "prompt": body["prompt"]}).encode()
                try:
                    self.send_response(200)
                    self.send_header("Content-Type", "application/json")
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)
                except ConnectionError:
                    self.close_connection = True  # who asked was killed

            def log_message(self, *_: Any) -> None:
                """Nothing: its log is `prompts`."""

        return Handler
