"""What the demo plays on: a database, stand-in providers and the proxy, up for a while and gone afterwards."""

import json
import os
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn

from consent_proxy.bootstrap.desk import publish_shipped
from consent_proxy.bootstrap.service import create_service
from consent_proxy.bootstrap.store import open_store
from consent_proxy.cli.serve import served_settings, stand_in_environment
from consent_proxy.cli.signals import stopping
from consent_proxy.sandbox.server import Sandbox
from consent_proxy.settings import Settings

START_WITHIN = 30.0

#: Past any proxy of the shell's, which would be asked for this machine's own addresses too.
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Addresses and a key with every role; ``sandbox`` tells what really arrived at the providers."""

    url: str
    key: str
    sandbox: Sandbox

    def call(self, method: str, path: str, *, body: Mapping[str, Any] | None = None, subject: str | None = None) -> Any:
        """One call of the control API, as a backend makes it. Raises ``RuntimeError`` for anything but success."""
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        if subject is not None:
            headers["Consent-Subject"] = subject
        content = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data=content, headers=headers, method=method)  # noqa: S310
        try:
            with _DIRECTLY.open(request, timeout=30) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path} answered {error.code}: {error.read().decode()}") from error

    def download(self, url: str) -> bytes:
        """The bytes behind a capability URL; no key is needed."""
        with _DIRECTLY.open(url, timeout=30) as answer:
            content: bytes = answer.read()
            return content


@contextmanager
def set_stage(folder: Path) -> Iterator[Stage]:
    """Everything up on loopback, with its data in a folder; whatever credentials the shell holds are ignored."""
    _forget_credentials()
    with Sandbox() as sandbox:
        port = _free_port()
        url = f"http://127.0.0.1:{port}"
        overrides = stand_in_environment(sandbox, frozenset({"fal", "replicate"}))
        os.environ.update(overrides | {"CONSENT_PROXY_DATA_DIR": str(folder), "CONSENT_PROXY_LOG_LEVEL": "warning"})
        with open_store(Settings()) as store:
            settings = served_settings(store, public_url=url)
            publish_shipped(settings)
            assert store.bootstrap_key is not None
            with _served(settings, port):
                yield Stage(url=url, key=store.bootstrap_key, sandbox=sandbox)


def _forget_credentials() -> None:
    """A demo costs nothing: no key, address or database that the shell knows is used."""
    for name in list(os.environ):
        if name.startswith(("CONSENT_PROXY_", "FAL_", "REPLICATE_")) and name != "CONSENT_PROXY_PG_BIN":
            del os.environ[name]


@contextmanager
def _served(settings: Settings, port: int) -> Iterator[None]:
    config = uvicorn.Config(
        create_service(settings), host="127.0.0.1", port=port, access_log=False, log_level="warning"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="proxy", daemon=True)
    thread.start()
    deadline = time.monotonic() + START_WITHIN
    try:
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("the proxy did not start; its message stands above")
            time.sleep(0.02)
        yield
    finally:
        stopping()
        server.should_exit = True
        thread.join(START_WITHIN)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
