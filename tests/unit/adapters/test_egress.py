"""Trying a way out sends nothing through it, and ends soon whatever is at its end."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from consent_proxy.adapters import egress
from consent_proxy.adapters.egress import reachable
from consent_proxy.cli.egress import egress_findings, other_hosts
from consent_proxy.settings import FalSettings, ReplicateSettings, Settings


class Listener:
    """A host that takes connections and keeps what it is sent."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.received: list[bytes] = []
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        port: int = self.socket.getsockname()[1]
        return port

    def close(self) -> None:
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self._thread.join()

    def _listen(self) -> None:
        with suppress(OSError):  # nobody came before it was closed
            connection, _ = self.socket.accept()
            with connection:
                while block := connection.recv(1024):
                    self.received.append(block)
            self.ended.set()


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener()
    yield made
    made.close()


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def test_an_open_way_is_found_and_not_one_byte_goes_through_it(listener: Listener) -> None:
    assert reachable([("127.0.0.1", listener.port)]) == {("127.0.0.1", listener.port)}
    assert listener.ended.wait(10)
    assert listener.received == []


def test_a_closed_way_is_the_good_news(listener: Listener, closed_port: int) -> None:
    assert reachable([("127.0.0.1", closed_port)]) == frozenset()
    assert egress_findings(["127.0.0.1"], port=closed_port) == []
    (finding,) = egress_findings(["127.0.0.1"], port=listener.port)
    assert finding.slug == "egress-open"
    assert "this machine can reach 127.0.0.1" in finding.message
    assert "allow egress" in finding.message


def test_a_host_that_never_answers_holds_nobody_up(monkeypatch: pytest.MonkeyPatch, listener: Listener) -> None:
    until = threading.Event()

    def stuck(target: tuple[str, int], **_: object) -> socket.socket:
        if target[0] == "stuck":
            until.wait(30)
            raise OSError
        return socket.socket()

    monkeypatch.setattr(socket, "create_connection", stuck)
    monkeypatch.setattr(egress, "ANSWER_WITHIN", 0.5)
    began = time.monotonic()
    assert reachable([("stuck", 443), ("open", 443)]) == {("open", 443)}
    assert time.monotonic() - began < 10
    until.set()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "x" * 300, "", "a..b"])
def test_a_name_that_is_none_is_out_of_reach(host: str) -> None:
    assert reachable([(host, 443)]) == frozenset()


def test_the_hosts_in_the_settings_are_the_services_own_business() -> None:
    others = other_hosts(Settings(fal=FalSettings(), replicate=ReplicateSettings()))
    assert {"falrun.com", "queue.falrun.com", "rest.alpha.fal.ai", "auth.fal.ai", "ws.fal.run"} <= set(others)
    own = {"fal.run", "queue.fal.run", "rest.fal.ai", "v3.fal.media", "fal.media", "api.replicate.com"}
    assert own.isdisjoint(others)


def test_behind_a_stand_in_the_real_hosts_are_others_too() -> None:
    local = "http://127.0.0.1:9999"
    settings = Settings(
        fal=FalSettings(run_url=local, rest_url=local, jwks_url=local, output_hosts=("127.0.0.1:9999",)),
        replicate=ReplicateSettings(api_url=f"{local}/v1", delivery_hosts=()),
    )
    assert {"fal.run", "rest.fal.ai", "fal.media", "replicate.delivery"} <= set(other_hosts(settings))
