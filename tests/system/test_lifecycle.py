"""Stopping, dying and coming back: of the service, of its callers and of the database under it."""

import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from consent_proxy.adapters.postgres.embedded.cluster import Cluster, start_cluster
from consent_proxy.adapters.postgres.migrate import migrate
from consent_proxy.sandbox.behaviours import Behaviour
from consent_proxy.sandbox.server import Sandbox
from tests.postgres import LedgerDatabase, bundled_binaries
from tests.served import COMMAND, FAL_MODEL, Backend, Served, is_alive, serve, wait_for

PERSON = "person"


@pytest.fixture
def served(ledger_database: LedgerDatabase, sandbox: Sandbox) -> Iterator[Served]:
    with serve(database_url=ledger_database.service_url, sandbox=sandbox) as service, service.backend() as backend:
        backend.publish_shipped()
        backend.grant(PERSON)
        yield service


def _states(backend: Backend) -> list[str]:
    return [record["outcome"]["state"] for record in backend.transfers(PERSON, kind="transfer")]


def test_a_send_is_finished_when_its_caller_hangs_up(served: Served, sandbox: Sandbox) -> None:
    sandbox.behave("fal", "*", Behaviour.SLOW)
    body = json.dumps({"prompt": "a fox"}).encode()
    head = (
        f"POST /fal/run/{FAL_MODEL} HTTP/1.1\r\nHost: proxy\r\nAuthorization: Key {served.key}\r\n"
        f"Consent-Subject: {PERSON}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", served.port)) as caller:
        caller.sendall(head.encode() + body)
        sandbox.wire.wait_for(count=1)
    with served.backend() as backend:
        assert wait_for(lambda: _states(backend) == ["delivered"], within=10)
    assert len(sandbox.wire.requests(method="POST")) == 1


def test_sigterm_finishes_what_is_under_way(served: Served, sandbox: Sandbox, ledger_database: LedgerDatabase) -> None:
    sandbox.behave("fal", "*", Behaviour.SLOW)
    with served.backend() as backend, ThreadPoolExecutor(8) as callers:
        sends = [callers.submit(backend.fal_run, PERSON, f"fox {number}") for number in range(8)]
        sandbox.wire.wait_for(count=8)
        assert served.stop() == 0
        assert [send.result().status_code for send in sends] == [200] * 8
    with serve(database_url=ledger_database.service_url, sandbox=sandbox) as after, after.backend() as backend:
        assert _states(backend) == ["delivered"] * 8


def test_what_a_killed_worker_left_open_is_settled_and_a_living_ones_is_not(
    served: Served, sandbox: Sandbox, ledger_database: LedgerDatabase
) -> None:
    sandbox.behave("fal", "*", Behaviour.HANG)
    with serve(database_url=ledger_database.service_url, sandbox=sandbox) as doomed:
        for service, prompt in ((served, "lives on"), (doomed, "dies")):
            caller = threading.Thread(target=_ask_and_forget, args=(service, prompt), daemon=True)
            caller.start()
        sandbox.wire.wait_for(count=2)
        doomed.kill()
    started_at = time.monotonic()
    with serve(database_url=ledger_database.service_url, sandbox=sandbox) as heir, heir.backend() as backend:
        assert wait_for(lambda: sorted(_states(backend)) == ["indeterminate", "pending"], within=40)
        assert time.monotonic() - started_at < 40
        time.sleep(1.0)
        assert sorted(_states(backend)) == ["indeterminate", "pending"]
    served.kill()  # its send hangs on, and would be waited for


def _ask_and_forget(service: Served, prompt: str) -> None:
    """Its service may be killed, or stopped, under it."""
    with service.backend(timeout=120) as backend:
        try:
            backend.fal_run(PERSON, prompt)
        except OSError:
            return
        except Exception as error:  # noqa: BLE001 - a transport's error is what is expected here
            assert "Error" in type(error).__name__  # noqa: PT017


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    tmp_path.chmod(0o755)
    with start_cluster(tmp_path / "postgres", binaries=bundled_binaries()) as running:
        migrate(running.owner_url, service_role="consent_proxy_service")
        yield running


def _postmaster(folder: Path) -> int:
    found = next(folder.rglob("postmaster.pid"))
    return int(found.read_text().splitlines()[0])


def test_a_database_that_is_away_keeps_the_door_shut_until_it_is_back(
    tmp_path: Path, cluster: Cluster, sandbox: Sandbox
) -> None:
    url = cluster.service_url
    with serve(database_url=url, sandbox=sandbox) as service, service.backend() as backend:
        backend.publish_shipped()
        backend.grant(PERSON)
    os.kill(_postmaster(tmp_path), signal.SIGKILL)
    with serve(database_url=url, sandbox=sandbox, ready=False) as service, service.backend() as backend:
        assert wait_for(lambda: _health(backend) == 200, within=20)
        assert not backend.is_ready()
        answer = backend.fal_run(PERSON, "a fox")
        assert (answer.status_code, answer.json()["reason"]) == (503, "ledger-unavailable")
        assert answer.headers["retry-after"] == "1"
        assert sandbox.wire.requests(method="POST") == []
        cluster.ensure_running()
        assert wait_for(backend.is_ready, within=30)
        assert wait_for(lambda: backend.fal_run(PERSON, "a fox").status_code == 200, within=30)


def _health(backend: Backend) -> int:
    try:
        return backend.http.get("/healthz").status_code
    except OSError:
        return 0
    except Exception:  # noqa: BLE001 - not up yet
        return 0


def test_a_database_killed_under_load_loses_no_intent_and_sends_none_without(
    tmp_path: Path, cluster: Cluster, sandbox: Sandbox
) -> None:
    with (
        serve(database_url=cluster.service_url, sandbox=sandbox) as service,
        service.backend(timeout=60) as backend,
        ThreadPoolExecutor(8) as callers,
    ):
        backend.publish_shipped()
        backend.grant(PERSON)
        sends = [callers.submit(backend.fal_run, PERSON, f"fox-{number}") for number in range(300)]
        sandbox.wire.wait_for(count=40, within=30)
        os.kill(_postmaster(tmp_path), signal.SIGKILL)
        time.sleep(0.3)
        cluster.ensure_running()
        answers = [send.result() for send in sends]
        assert {answer.status_code for answer in answers} <= {200, 500, 503}
        assert wait_for(lambda: backend.fal_run(PERSON, "fox-last").status_code == 200, within=30)
        arrived = [json.loads(request.body)["prompt"] for request in sandbox.wire.requests(method="POST")]
        assert len(arrived) == len(set(arrived)), "something was sent twice"
        assert wait_for(lambda: "pending" not in _all_states(backend), within=40)
        records = _everything(backend)
        sent = [record for record in records if record["outcome"]["state"] != "not-delivered"]
        assert len(sent) == len(arrived)
        by_id = {record["id"]: record["outcome"]["state"] for record in records}
        granted = [answer for answer in answers if answer.status_code == 200]
        assert {by_id[answer.headers["consent-transfer-id"]] for answer in granted} == {"delivered"}


def _everything(backend: Backend) -> list[dict[str, Any]]:
    answer = backend.http.get("/v1/transfers", params={"kind": "transfer", "limit": "1000"})
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def _all_states(backend: Backend) -> set[str]:
    return {record["outcome"]["state"] for record in _everything(backend)}


def test_the_embedded_database_stops_with_the_service_and_survives_its_own_death(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with serve(data_dir=tmp_path) as service, service.backend() as backend:
        backend.grant(PERSON)
        assert backend.fal_run(PERSON, "a fox").status_code == 200
        os.kill(_postmaster(tmp_path), signal.SIGKILL)
        assert wait_for(lambda: backend.fal_run(PERSON, "a fox").status_code == 200, within=30)
        survivor = _postmaster(tmp_path)
        assert service.stop() == 0
    assert wait_for(lambda: not is_alive(survivor), within=10)


def test_a_killed_service_is_started_again_on_the_same_data(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with serve(data_dir=tmp_path) as service, service.backend() as backend:
        backend.grant(PERSON)
        service.kill()
    with serve(data_dir=tmp_path) as service, service.backend() as backend:
        assert backend.fal_run(PERSON, "a fox").status_code == 200
        postmaster = _postmaster(tmp_path)
    assert wait_for(lambda: not is_alive(postmaster), within=10)


def test_the_demo_tells_its_story_and_leaves_nothing_running(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    environment = os.environ | {
        "CONSENT_PROXY_DATA_DIR": str(tmp_path),
        "FAL_KEY": "a-real-key-of-the-shell",
        "REPLICATE_API_TOKEN": "r8_of_the_shell",
        "CONSENT_PROXY_FAL__RUN_URL": "https://fal.run",
    }
    done = subprocess.run(
        [COMMAND, "demo"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    pictures = re.findall(r"Saved (\S+\.png)", done.stdout)
    assert [Path(picture).read_bytes()[:8] for picture in pictures] == [b"\x89PNG\r\n\x1a\n"] * 2
    assert "consent-withdrawn" in done.stdout
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert "consent-proxy-demo-" not in listed
