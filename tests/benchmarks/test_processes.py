"""What a benchmark starts gets ready or is told apart, and is gone at the end."""

import sys
from pathlib import Path

import httpx
import pytest

from benchmarks.processes import BenchmarkFailed, free_port, plain_environment, running


def test_a_server_runs_until_the_block_ends(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/received"
    command = [sys.executable, "-m", "benchmarks.stub", str(port)]
    log = tmp_path / "log"
    with running(command, environment=plain_environment(), log=log, ready_url=url, within=30):
        assert httpx.get(url).json() == {}
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_a_server_that_ends_at_once_is_told_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no room here'); raise SystemExit(7)"]
    url = f"http://127.0.0.1:{free_port()}/"
    with (
        pytest.raises(BenchmarkFailed, match=r"(?s)ended with 7.*no room here"),
        running(command, environment=plain_environment(), log=tmp_path / "log", ready_url=url, within=30),
    ):
        pytest.fail("it never got ready")


def test_nothing_of_the_shell_that_would_change_the_service_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONSENT_PROXY_DATABASE_URL", "FAL_KEY", "http_proxy", "PGHOST"):
        monkeypatch.setenv(name, "something")
    monkeypatch.setenv("LANG", "C.UTF-8")
    environment = plain_environment()
    assert environment["LANG"] == "C.UTF-8"
    assert not {"CONSENT_PROXY_DATABASE_URL", "FAL_KEY", "http_proxy", "PGHOST"} & set(environment)
