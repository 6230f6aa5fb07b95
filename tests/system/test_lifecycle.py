"""`serve` and `demo` from their first process to their last: started, told to stop, killed, and nothing left behind."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from consent_proxy.adapters.postgres.embedded.folder import DataFolder
from consent_proxy.adapters.postgres.embedded.postmaster import find_postmaster
from tests.sandbox.png import decode
from tests.served import COMMAND, Backend, Served, is_alive, serve, wait_for

PERSON = "person-1"
PROCESSES = Path("/proc")


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A folder that the server's account can reach, whoever runs the tests."""
    folder = Path(tempfile.mkdtemp(prefix="cp-"))
    folder.chmod(0o755)
    yield folder
    for pid in _processes_of(folder):
        os.kill(pid, signal.SIGKILL)
    assert wait_for(lambda: _processes_of(folder) == [], within=10)
    shutil.rmtree(folder)


def postmaster(data_dir: Path) -> int | None:
    running = find_postmaster(DataFolder(root=data_dir / "postgres"))
    return running.pid if running is not None else None


def kill_postmaster(data_dir: Path) -> int:
    pid = postmaster(data_dir)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    return pid


def _processes_of(folder: Path) -> list[int]:
    """The processes whose command line names the folder; where there is no /proc, the server's first one."""
    if not (PROCESSES / "self").exists():
        pid = postmaster(folder)
        return [pid] if pid is not None else []
    return [int(entry.name) for entry in PROCESSES.iterdir() if entry.name.isdigit() and _names(entry, folder)]


def _names(process: Path, folder: Path) -> bool:
    try:
        return os.fsencode(folder) in (process / "cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_listening(port: int) -> bool:
    with socket.socket() as line:
        return line.connect_ex(("127.0.0.1", port)) == 0


def state_of(backend: Backend) -> str:
    return str(backend.fal_run(PERSON, "a fox").json().get("reason", "sent"))


def test_a_service_that_is_told_to_stop_leaves_nothing_running(data_dir: Path) -> None:
    with serve(data_dir=data_dir) as served:
        with served.backend() as backend:
            assert state_of(backend) == "consent-never-asked"
            backend.grant(PERSON)
            assert state_of(backend) == "sent"
            [_, record] = backend.transfers(PERSON)
            assert record["sandbox"] is True
        assert _processes_of(data_dir)
        assert served.stop() == 0
    assert _processes_of(data_dir) == []
    assert postmaster(data_dir) is None
    assert not is_listening(served.port)


def test_a_service_that_is_stopped_while_it_starts_leaves_nothing_running(data_dir: Path) -> None:
    with serve(data_dir=data_dir, ready=False) as served:
        assert wait_for(lambda: postmaster(data_dir) is not None, within=30)
        served.ask_to_stop()
        assert served.stop() == 0
    assert _processes_of(data_dir) == []


def test_the_next_start_takes_over_what_a_killed_one_left(data_dir: Path) -> None:
    with serve(data_dir=data_dir, workers=2) as killed:
        with killed.backend() as backend:
            backend.grant(PERSON)
        left = postmaster(data_dir)
        killed.kill()
        # Its workers would hold the port of the next start, and nobody would stop them.
        assert wait_for(lambda: not is_listening(killed.port), within=20), killed.log
        assert postmaster(data_dir) == left
        assert wait_for(lambda: not any(map(is_alive, killed.workers)), within=20), killed.log
        with serve(data_dir=data_dir, port=killed.port) as served, served.backend() as backend:
            assert postmaster(data_dir) == left
            assert state_of(backend) == "sent"
            assert served.stop() == 0
    assert _processes_of(data_dir) == []


def test_an_embedded_postgres_that_is_killed_comes_back_with_all_that_was_acknowledged(data_dir: Path) -> None:
    with serve(data_dir=data_dir) as served, served.backend() as backend:
        backend.grant(PERSON)
        acknowledged: list[str] = []
        killed: list[int] = []
        stopped = threading.Event()
        sender = threading.Thread(target=_send_on, args=(served, acknowledged, stopped))
        sender.start()
        try:
            for _ in range(2):
                _wait_for_more(acknowledged, served)
                killed.append(kill_postmaster(data_dir))
            _wait_for_more(acknowledged, served)
        finally:
            stopped.set()
            sender.join()
        assert postmaster(data_dir) not in {None, *killed}
        delivered = {record["id"] for record in backend.transfers(PERSON, outcome="delivered")}
        assert set(acknowledged) <= delivered
        assert served.stop() == 0
    assert _processes_of(data_dir) == []


def _send_on(served: Served, acknowledged: list[str], stopped: threading.Event) -> None:
    with served.backend() as backend:
        while not stopped.is_set():
            answer = backend.fal_run(PERSON, f"fox {len(acknowledged)}")
            if answer.is_success:
                acknowledged.append(answer.headers["consent-transfer-id"])


def _wait_for_more(acknowledged: list[str], served: Served) -> None:
    wanted = len(acknowledged) + 20
    assert wait_for(lambda: len(acknowledged) >= wanted, within=40), served.log


def test_the_demo_costs_nothing_and_leaves_nothing_but_pictures(data_dir: Path) -> None:
    temporary = data_dir / "temporary"
    temporary.mkdir(mode=0o755)
    with socket.create_server(("127.0.0.1", 0)) as trap:
        trapped = f"http://127.0.0.1:{trap.getsockname()[1]}"
        shell = {
            "FAL_KEY": "a-real:key",
            "REPLICATE_API_TOKEN": "r8_a_real_token",
            "CONSENT_PROXY_FAL__KEY": "another-real:key",
            "CONSENT_PROXY_FAL__QUEUE_URL": trapped,
            "CONSENT_PROXY_REPLICATE__API_URL": f"{trapped}/v1",
            "HTTP_PROXY": trapped,
            "http_proxy": trapped,
            "CONSENT_PROXY_DATA_DIR": str(data_dir),
            "TMPDIR": str(temporary),
        }
        environment = {**os.environ, **shell, "PYTHONUNBUFFERED": "1"}
        told = subprocess.run(
            [COMMAND, "demo"], env=environment, capture_output=True, text=True, timeout=100, check=False
        )
        trap.setblocking(False)
        with pytest.raises(BlockingIOError):
            trap.accept()
    assert told.returncode == 0, told.stdout + told.stderr
    for name in ("fal.png", "replicate.png"):
        assert decode((data_dir / "demo" / name).read_bytes()).width > 0
    assert "consent-withdrawn" in told.stdout
    assert not any(secret in told.stdout + told.stderr for secret in ("a-real:key", "r8_a_real_token"))
    assert _processes_of(data_dir) == []
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param("consent-proxy-demo-*/postgres/staging/cluster/base/*", id="while-the-database-is-made"),
        pytest.param("consent-proxy-demo-*/postgres/cluster/postmaster.pid", id="while-the-database-starts"),
        pytest.param("consent-proxy-demo-*/admin-key", id="while-the-proxy-starts"),
        pytest.param("told", id="while-the-story-is-told"),
    ],
)
def test_a_demo_that_is_stopped_leaves_nothing_running(data_dir: Path, moment: str) -> None:
    environment = {**os.environ, "CONSENT_PROXY_DATA_DIR": str(data_dir), "TMPDIR": str(data_dir)}
    told = data_dir / "told"
    with (
        told.open("wb") as story,
        subprocess.Popen([COMMAND, "demo"], env=environment, stdout=story, stderr=subprocess.PIPE) as process,
    ):
        assert wait_for(lambda: _has_come(data_dir, moment), within=60, every=0.005)
        process.terminate()
        _, said = process.communicate(timeout=40)
    # Not that it says nothing: interrupted while it makes an event loop, Python tells what it could not tidy up.
    assert process.returncode == 128 + signal.SIGTERM, said
    assert _processes_of(data_dir) == []
    assert {path.name for path in data_dir.iterdir()} == {"demo", "told"}


def _has_come(data_dir: Path, moment: str) -> bool:
    """Whether the file is there; of the story, whether its first step is told."""
    return b"\n1. " in (data_dir / "told").read_bytes() if moment == "told" else any(data_dir.glob(moment))
