"""The real `consent-proxy serve` as a process of its own, and a backend that talks to it over HTTP."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from consent_proxy.adapters.shipped.documents import shipped_contracts, shipped_disclosure
from consent_proxy.sandbox.server import Sandbox

COMMAND = Path(sys.executable).with_name("consent-proxy")
ADMIN_KEY = "cpk_every_role_of_the_tests"
SECRET_KEY = "wraps the secrets of the tests"
FAL_MODEL = "fal-ai/flux/schnell"
REPLICATE_MODEL = "black-forest-labs/flux-schnell"

#: Seconds a process may take, on a machine that has other things to do.
READY_WITHIN = 40.0
STOPPED_WITHIN = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request of a backend's, before anybody has sent it; ``json`` is its body, ``headers`` lack the credential."""

    method: str
    path: str
    json: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def decision(subject: str, answer: str = "granted", **members: Any) -> Asked:
    """The person's answer to the shipped disclosure; ``members`` are added to the body or take a member's place."""
    body = {"disclosure": shipped_disclosure()["version"], "locale": "en", "decision": answer, **members}
    return Asked(method="POST", path="/v1/consent/decisions", json=body, headers=about(subject))


def withdrawal(subject: str, **members: Any) -> Asked:
    """Everything the person granted, taken back."""
    return Asked(method="POST", path="/v1/consent/withdrawals", json=members, headers=about(subject))


def fal_run(subject: str, prompt: str, *, model: str = FAL_MODEL, **headers: str) -> Asked:
    return Asked(method="POST", path=f"/fal/run/{model}", json={"prompt": prompt}, headers=about(subject) | headers)


def fal_submit(subject: str, prompt: str, *, model: str = FAL_MODEL) -> Asked:
    return Asked(method="POST", path=f"/fal/queue/{model}", json={"prompt": prompt}, headers=about(subject))


def replicate_predict(subject: str, prompt: str, *, model: str = REPLICATE_MODEL) -> Asked:
    path = f"/replicate/v1/models/{model}/predictions"
    return Asked(method="POST", path=path, json={"input": {"prompt": prompt}}, headers=about(subject))


def about(subject: str) -> dict[str, str]:
    return {"Consent-Subject": subject}


class Backend:
    """A company's backend: sends what it is asked to with one key. Close it, or use it as a context manager."""

    def __init__(self, url: str, *, key: str = ADMIN_KEY, timeout: float = 30.0) -> None:
        self.url, self.key = url, key
        headers = {"Authorization": f"Bearer {key}"}
        self.http = httpx.Client(base_url=url, headers=headers, timeout=timeout, trust_env=False)

    def send(self, asked: Asked) -> httpx.Response:
        """The answer, whatever it is."""
        return self.http.request(asked.method, asked.path, json=asked.json, headers=dict(asked.headers))

    def done(self, asked: Asked) -> Any:
        """The JSON of a success. AssertionError, with the answer, for anything else."""
        answer = self.send(asked)
        assert answer.is_success, f"{asked.method} {asked.path} answered {answer.status_code}: {answer.text}"
        return answer.json() if answer.content else None

    def publish_shipped(self) -> None:
        """The shipped disclosure and sample contracts, as an operator publishes them."""
        self.publish(shipped_disclosure())
        for recipient, contract in shipped_contracts().items():
            self.put_contract(recipient, contract)

    def publish(self, disclosure: Mapping[str, Any]) -> None:
        self.done(Asked(method="POST", path="/v1/disclosures", json=disclosure))

    def put_contract(self, recipient: str, contract: Mapping[str, Any]) -> None:
        self.done(Asked(method="PUT", path=f"/v1/contracts/{recipient}", json=contract))

    def end_contract(self, recipient: str) -> None:
        self.done(Asked(method="DELETE", path=f"/v1/contracts/{recipient}"))

    def create_key(self, caller: str, *roles: str) -> tuple[str, str]:
        """The new key's id and its text."""
        made = self.done(Asked(method="POST", path="/v1/keys", json={"caller": caller, "roles": list(roles)}))
        return made["id"], made["key"]

    def revoke_key(self, key_id: str) -> None:
        self.done(Asked(method="DELETE", path=f"/v1/keys/{key_id}"))

    def grant(self, subject: str, **members: Any) -> Any:
        return self.done(decision(subject, **members))

    def decline(self, subject: str, **members: Any) -> Any:
        return self.done(decision(subject, "declined", **members))

    def withdraw(self, subject: str, **members: Any) -> Any:
        return self.done(withdrawal(subject, **members))

    def fal_run(self, subject: str, prompt: str, *, model: str = FAL_MODEL) -> httpx.Response:
        return self.send(fal_run(subject, prompt, model=model))

    def fal_submit(self, subject: str, prompt: str, *, model: str = FAL_MODEL) -> httpx.Response:
        return self.send(fal_submit(subject, prompt, model=model))

    def replicate_predict(self, subject: str, prompt: str, *, model: str = REPLICATE_MODEL) -> httpx.Response:
        return self.send(replicate_predict(subject, prompt, model=model))

    def transfers(self, subject: str | None = None, **filters: str) -> list[dict[str, Any]]:
        """Every record that matches, refusals included, the oldest first."""
        headers = about(subject) if subject is not None else {}
        found: list[dict[str, Any]] = []
        page: dict[str, Any] = {"next_cursor": None}
        while not found or page["next_cursor"]:
            query = httpx.QueryParams({"order": "asc", "limit": "1000", **filters})
            if page["next_cursor"]:
                query = query.set("cursor", page["next_cursor"])
            page = self.done(Asked(method="GET", path=f"/v1/transfers?{query}", headers=headers))
            found += page["items"]
            if not page["items"]:
                break
        return found

    def transfer(self, transfer_id: str) -> dict[str, Any]:
        record: dict[str, Any] = self.done(Asked(method="GET", path=f"/v1/transfers/{transfer_id}"))
        return record

    def is_ready(self) -> bool:
        """Whether `/readyz` says so, or says anything."""
        try:
            return self.http.get("/readyz").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def close(self) -> None:
        self.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Served:
    """A service that runs, or ran, at ``url``; ``process`` is its first one."""

    def __init__(self, process: "subprocess.Popen[bytes]", *, url: str, key: str, log_file: Path, workers: int) -> None:
        self.process, self.url, self.key = process, url, key
        self._log_file, self._workers = log_file, workers

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def log(self) -> str:
        """What it printed so far, errors included."""
        return self._log_file.read_text("utf-8", "replace")

    @property
    def workers(self) -> list[int]:
        """The pids of the processes that ever served, the oldest first; with one worker it is the service itself."""
        return [int(pid) for pid in re.findall(r"Started server process \[(\d+)\]", self.log)]

    def backend(self, *, key: str | None = None, timeout: float = 30.0) -> Backend:
        """A backend of this service. To be closed."""
        return Backend(self.url, key=key or self.key, timeout=timeout)

    def wait_until_ready(self, *, within: float = READY_WITHIN) -> None:
        """Until every worker is up and `/readyz` answers 200. AssertionError, with the log, if that takes too long."""

        def is_ready() -> bool:
            up = self.log.count("Application startup complete")
            return self.process.poll() is not None or (up >= self._workers and backend.is_ready())

        with self.backend() as backend:
            became = wait_for(is_ready, within=within)
        assert became, f"not ready within {within} s:\n{self.log}"
        assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.log}"

    def ask_to_stop(self) -> None:
        """SIGTERM, as an init system sends it."""
        self.process.send_signal(signal.SIGTERM)

    def stop(self, *, within: float = STOPPED_WITHIN) -> int:
        """SIGTERM where it still runs, and the exit status. AssertionError, with the log, when it does not end."""
        if self.process.poll() is None:
            self.ask_to_stop()
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"it did not end within {within} s:\n{self.log}") from None

    def kill(self) -> None:
        """`kill -9` of its first process; its workers, and an embedded Postgres, are others."""
        self.process.kill()
        self.process.wait()


@contextmanager
def serve(
    *,
    database_url: str | None = None,
    data_dir: Path | None = None,
    sandbox: Sandbox | None = None,
    settings: Mapping[str, str] | None = None,
    workers: int = 1,
    port: int | None = None,
    ready: bool = True,
) -> Iterator[Served]:
    """`consent-proxy serve` on a database's service role, or with an embedded one in ``data_dir``; stopped in the end.

    ``settings`` are names without `CONSENT_PROXY_`. With ``ready`` it is waited for. What is still running in the
    end gets SIGTERM; workers that outlive their first process are killed.
    """
    port = port or free_port()
    environment = dict(sandbox.environment()) if sandbox is not None else {}
    given = {"BOOTSTRAP_ADMIN_KEY": ADMIN_KEY, "DATA_DIR": data_dir, "DATABASE_URL": database_url}
    given["SECRET_KEY"] = SECRET_KEY if database_url is not None else None
    given |= settings or {}
    environment |= {f"CONSENT_PROXY_{name}": str(value) for name, value in given.items() if value is not None}
    command: list[str | Path] = [COMMAND, "serve", "--port", str(port), "--workers", str(workers)]
    with tempfile.TemporaryDirectory(prefix="cp-served-") as folder, _started(command, environment, folder) as process:
        url, log_file = f"http://127.0.0.1:{port}", Path(folder) / "log"
        served = Served(process, url=url, key=ADMIN_KEY, log_file=log_file, workers=workers)
        try:
            if ready:
                served.wait_until_ready()
            yield served
        finally:
            _end(served)


@contextmanager
def _started(
    command: list[str | Path], environment: Mapping[str, str], folder: str
) -> Iterator["subprocess.Popen[bytes]"]:
    with (Path(folder) / "log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C for the tests is not one for the service
        )
    with process:
        yield process


def _end(served: Served) -> None:
    workers = served.workers
    try:
        if served.process.poll() is None:
            served.stop()
    finally:
        # With one worker that is the process waited for above: its pid may be somebody else's by now.
        for pid in set(workers) - {served.process.pid}:
            kill_if_alive(pid)


def kill_if_alive(pid: int) -> None:
    """`kill -9` of a process that may be gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def is_alive(pid: int) -> bool:
    """Whether a process is there; one that is dead and not waited for still is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def free_port() -> int:
    """A loopback port that nobody listens on at the moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_for(condition: Callable[[], bool], *, within: float, every: float = 0.05) -> bool:
    """Whether it became true in so many seconds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True
