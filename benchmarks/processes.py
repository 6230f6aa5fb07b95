"""The processes a benchmark starts: each begun on its own, waited for, and gone at the end whatever happens."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[1]

#: The service lets requests under way come to their end, and stops its Postgres after them.
_STOPPED_WITHIN = 60.0
_PAUSE = 0.05
_SAID_AT_MOST = 3000


class BenchmarkFailed(Exception):
    """The benchmark cannot be run to its end here; the message says why."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def plain_environment() -> dict[str, str]:
    """The shell's environment without what would change the service or the way to it: settings, keys, proxies."""
    foreign = (
        "CONSENT_PROXY_",
        "FAL_",
        "REPLICATE_",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "PG",
        "WEB_CONCURRENCY",
    )
    return {name: value for name, value in os.environ.items() if not name.upper().startswith(foreign)}


@contextmanager
def running(
    command: Sequence[str | Path], *, environment: Mapping[str, str], log: Path, ready_url: str, within: float
) -> Iterator[None]:
    """Run a server until the block ends; it begins when ``ready_url`` answers 2xx, after ``within`` seconds at most.

    The server has a session of its own, so that Ctrl-C reaches us alone and it is stopped in order. What it prints
    goes to ``log``. Raises ``BenchmarkFailed``, with the end of the log, where it does not get ready.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=dict(environment), stdout=output, stderr=output, start_new_session=True
        )
    try:
        _await_ready(process, ready_url=ready_url, within=within, log=log)
        yield
    finally:
        _stop(process)


def _await_ready(process: "subprocess.Popen[bytes]", *, ready_url: str, within: float, log: Path) -> None:
    deadline = time.monotonic() + within
    with httpx.Client(trust_env=False) as client:
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                if client.get(ready_url).is_success:
                    return
            time.sleep(_PAUSE)
    ended = f"was not ready within {within:.0f} s" if process.poll() is None else f"ended with {process.returncode}"
    said = log.read_text(errors="replace")[-_SAID_AT_MOST:].strip()
    raise BenchmarkFailed(f"{Path(str(process.args[0])).name} {ended}. It said:\n{said}")  # type: ignore[index]


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Ask it to end and wait; a second Ctrl-C does not keep it from stopping in order."""
    impatient = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process.terminate()
        try:
            process.wait(_STOPPED_WITHIN)
        except subprocess.TimeoutExpired:
            print(f"{process.args!r} did not end in {_STOPPED_WITHIN:.0f} s and is killed.", file=sys.stderr)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    finally:
        signal.signal(signal.SIGINT, impatient)
