"""This service in full, started as a user starts it, with consents really granted and its record read back."""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from benchmarks.load import UNLISTED_FIELD
from benchmarks.processes import BenchmarkFailed, plain_environment, running
from consent_proxy.adapters.postgres.embedded.folder import open_folder
from consent_proxy.adapters.postgres.embedded.postmaster import stop_postmaster

ADMIN_KEY = "bench-admin-key-of-this-run-only"

#: The first start makes a database and migrates it.
_READY_WITHIN = 180.0
_SETTLED_WITHIN = 60.0
_PAUSE = 0.2
_REQUESTS = httpx.Timeout(120)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What the service's own record says: transfers by the state of their outcome, and how many were narrowed."""

    outcomes: Counter[str] = field(default_factory=Counter)
    narrowed: int = 0

    @property
    def transfers(self) -> int:
        return self.outcomes.total()


@contextmanager
def service(*, port: int, run_url: str, folder: Path) -> Iterator[str]:
    """Serve on ``port``, a Postgres of its own below ``folder``, fal's run host at ``run_url``. Yields our address."""
    url = f"http://127.0.0.1:{port}"
    environment = plain_environment() | {
        "CONSENT_PROXY_DATA_DIR": str(folder / "data"),
        "CONSENT_PROXY_BOOTSTRAP_ADMIN_KEY": ADMIN_KEY,
        "CONSENT_PROXY_FAL__KEY": "stub:key",
        "CONSENT_PROXY_FAL__RUN_URL": run_url,
        "CONSENT_PROXY_REPLICATE__TOKEN": "unused",  # or the sandbox would run beside the service and take its time
    }
    command: list[str | Path] = [
        Path(sys.executable).with_name("consent-proxy"),
        "serve",
        "--port",
        str(port),
        "--workers",
        "1",
    ]
    try:
        with running(
            command,
            environment=environment,
            log=folder / "service.log",
            ready_url=f"{url}/readyz",
            within=_READY_WITHIN,
        ):
            yield url
    finally:
        # The service stops its Postgres; one that it left behind would lose its folder next.
        stop_postmaster(open_folder(folder / "data" / "postgres"))


def grant(url: str, subjects: Sequence[str]) -> None:
    """Record each subject's yes to the disclosure in force. Raises ``BenchmarkFailed``."""
    with _client(url) as client:
        shown = _checked(client.get("/v1/disclosures/current", params={"locale": "en"})).json()
        decision = {
            "disclosure": shown["version"],
            "disclosure_sha256": shown["sha256"],
            "locale": shown["locale"],
            "decision": "granted",
        }
        for subject in subjects:
            _checked(client.post("/v1/consent/decisions", json=decision, headers={"Consent-Subject": subject}))


def read_record(url: str) -> Record:
    """Wait until every transfer has its outcome, then count all of them in the auditor's export."""
    with _client(url) as client:
        deadline = time.monotonic() + _SETTLED_WITHIN
        while time.monotonic() < deadline and _any_pending(client):
            time.sleep(_PAUSE)
        with client.stream("GET", "/v1/transfers/export", params={"kind": "transfer"}) as lines:
            if not lines.is_success:
                raise BenchmarkFailed(f"the export answered {lines.status_code}")
            return count_transfers(lines.iter_lines())


def count_transfers(lines: Iterator[str]) -> Record:
    """Count the transfers of an export in NDJSON."""
    outcomes: Counter[str] = Counter()
    narrowed = 0
    for line in lines:
        transfer = json.loads(line)
        outcomes[transfer["outcome"]["state"]] += 1
        narrowed += any(dropped["path"] == UNLISTED_FIELD for dropped in transfer["fields_dropped"])
    return Record(outcomes=outcomes, narrowed=narrowed)


def _any_pending(client: httpx.Client) -> bool:
    page = _checked(client.get("/v1/transfers", params={"kind": "transfer", "outcome": "pending", "limit": 1}))
    return bool(page.json()["items"])


def _client(url: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    return httpx.Client(base_url=url, headers=headers, timeout=_REQUESTS, trust_env=False)


def _checked(reply: httpx.Response) -> httpx.Response:
    if not reply.is_success:
        raise BenchmarkFailed(f"{reply.request.url.path} answered {reply.status_code}: {reply.text[:500]}")
    return reply
