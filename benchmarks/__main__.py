"""``make bench``: start the stub, the pass-through and the service, load each in turn, and say how they compare."""

import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import httpx

from benchmarks.load import MODEL, Measured, body, run_wrk, subjects, write_script
from benchmarks.photos import measure_beside
from benchmarks.processes import BenchmarkFailed, free_port, plain_environment, running
from benchmarks.rounds import CONNECTIONS, ONE, PASS_THROUGH, SERVICE, STUB, TARGETS, compare, measure, rows
from benchmarks.service import ADMIN_KEY, grant, read_record, service
from benchmarks.stub import ANSWER_BYTES
from benchmarks.table import Report, as_document, as_text

WARM_UP = 3
#: wrk leaves without waiting for its last answers: the next target should not pay for them.
_PAUSE = 0.5
_STARTED_WITHIN = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What runs while a benchmark does: where each target takes a run, and where the two ends are counted."""

    run_urls: dict[str, str]
    stub_url: str
    service_url: str

    def received(self) -> int:
        """How many requests the stub had from the service."""
        counts: dict[str, int] = httpx.get(f"{self.stub_url}/received", trust_env=False).json()
        return counts.get(SERVICE, 0)


@contextmanager
def stage(folder: Path) -> Iterator[Stage]:
    """Everything that has to run, until the block ends. The stub tells its callers apart by the path's first part."""
    ports = {target: free_port() for target in TARGETS}
    stub, passes, serves = (f"http://127.0.0.1:{port}" for port in ports.values())
    python = sys.executable
    plain = plain_environment()
    with (
        running(
            [python, "-m", "benchmarks.stub", str(ports[STUB])],
            environment=plain,
            log=folder / "stub.log",
            ready_url=f"{stub}/received",
            within=_STARTED_WITHIN,
        ),
        running(
            [
                python,
                "-m",
                "uvicorn",
                "benchmarks.passthrough:app",
                "--port",
                str(ports[PASS_THROUGH]),
                "--no-access-log",
            ],
            environment=plain | {"UPSTREAM_URL": f"{stub}/{PASS_THROUGH}", "UPSTREAM_KEY": "stub:key"},
            log=folder / "pass-through.log",
            ready_url=f"{passes}/docs",
            within=_STARTED_WITHIN,
        ),
        service(port=ports[SERVICE], run_url=f"{stub}/{SERVICE}", folder=folder),
    ):
        yield Stage(
            run_urls={
                STUB: f"{stub}/{STUB}/{MODEL}",
                PASS_THROUGH: f"{passes}/fal/run/{MODEL}",
                SERVICE: f"{serves}/fal/run/{MODEL}",
            },
            stub_url=stub,
            service_url=serves,
        )


def run(*, rounds: int, seconds: int, folder: Path) -> Report:
    """One benchmark, with everything it takes in ``folder``. Raises ``BenchmarkFailed``."""
    script = folder / "requests.lua"
    write_script(script, key=ADMIN_KEY)
    _say("starting the stub, the pass-through, and the service with a Postgres of its own …")
    with stage(folder) as started:
        grant(started.service_url, subjects())

        def load(target: str, connections: int, seconds: int) -> Measured:
            time.sleep(_PAUSE)
            return run_wrk(started.run_urls[target], script=script, connections=connections, seconds=seconds)

        runs = measure(load, rounds=rounds, seconds=seconds, warm_up=WARM_UP, say=_say)
        beside = measure_beside(lambda: load(SERVICE, ONE, seconds), url=started.service_url, rounds=rounds, say=_say)
        _say("reading the record back …")
        record = read_record(started.service_url)
        received = started.received()
        _say("stopping everything …")
    return Report(
        rounds=rounds,
        seconds=seconds,
        request_bytes=len(body()),
        answer_bytes=ANSWER_BYTES,
        rows=rows(runs),
        comparison=compare(runs),
        beside=beside,
        received=received,
        record=record,
    )


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--seconds", type=click.IntRange(min=1), default=5, show_default=True, help="Length of each run.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; progress goes to stderr either way.")
def bench(*, rounds: int, seconds: int, as_json: bool) -> None:
    """Measure the stub, a hand-written pass-through and this service side by side, at 32 connections and at one."""
    if shutil.which("wrk") is None:
        raise click.ClickException("wrk is needed: apt install wrk, or brew install wrk")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    length = rounds * len(TARGETS) * len(CONNECTIONS) * (seconds + _PAUSE) + len(TARGETS) * (WARM_UP + 1 + 2 * _PAUSE)
    length += rounds * 2 * (seconds + _PAUSE)
    _say(f"this takes about {length + 15:.0f} seconds")
    try:
        with tempfile.TemporaryDirectory(prefix="consent-proxy-bench-", dir=_disk()) as folder:
            Path(folder).chmod(0o711)  # as root, Postgres runs as another user and has to get through
            report = run(rounds=rounds, seconds=seconds, folder=Path(folder))
    except BenchmarkFailed as failure:
        raise click.ClickException(str(failure)) from None
    click.echo(json.dumps(as_document(report), indent=2, ensure_ascii=False) if as_json else f"\n{as_text(report)}")
    sys.exit(1 if report.flaws else 0)


def _disk() -> str | None:
    """A folder for temporary files that lies on a disk: /tmp is memory on many machines, and commits would be free."""
    return "/var/tmp" if Path("/var/tmp").is_dir() else None


def _say(line: str) -> None:
    click.echo(line, err=True)


if __name__ == "__main__":
    bench(prog_name="make bench")
