"""The service on a loopback port, in a thread of the tests' own process, and a backend that talks to it over HTTP.

Quicker to start than the real command and open to inspection; a `conftest.py` that wants it imports the fixtures by
name, and `postgres` of `tests.postgres`.
"""

import asyncio
import json
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.types import ASGIApp, Receive, Scope, Send

from consent_proxy.adapters.postgres.connections import open_database
from consent_proxy.adapters.postgres.embedded.cluster import Cluster
from consent_proxy.api.services import Services
from consent_proxy.bootstrap.desk import publish_shipped
from consent_proxy.bootstrap.service import create_service
from consent_proxy.sandbox.server import Sandbox
from consent_proxy.sandbox.wire import Role as Host
from consent_proxy.settings import FalSettings, ReplicateSettings, Settings
from tests.postgres import LedgerDatabase, clone
from tests.served import free_port

KEY = "cpk_a_key_with_every_role_for_tests"
DISCLOSURE = "2026-03-03"
START_WITHIN = 20.0

_people = count(1)


def a_person() -> str:
    """An identifier that no other test uses, and that is easily found where it should not be."""
    return f"mia-{next(_people)}-4711"


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """A service that runs, its database, its folder, and the stand-ins for its providers.

    ``requests`` are those that came to it, as method and path, the oldest first.
    """

    url: str
    app: FastAPI
    database: LedgerDatabase
    sandbox: Sandbox
    folder: Path
    http: httpx.Client = field(repr=False)
    requests: list[str] = field(repr=False)

    @property
    def services(self) -> Services:
        """What it is made of. Its asynchronous parts belong to its own thread."""
        services: Services = self.app.state.services
        return services

    def call(
        self,
        method: str,
        path: str,
        *,
        key: str | None = KEY,
        subject: str | None = None,
        headers: Mapping[str, str] | None = None,
        **request: Any,
    ) -> httpx.Response:
        """One request, with the key of every role unless another, or none, is given."""
        named = {"Authorization": f"Bearer {key}"} if key is not None else {}
        if subject is not None:
            named["Consent-Subject"] = subject
        return self.http.request(method, path, headers={**named, **(headers or {})}, **request)

    def done(self, method: str, path: str, **request: Any) -> Any:
        """The JSON of a success. AssertionError, with the answer, for anything else."""
        answer = self.call(method, path, **request)
        assert answer.is_success, f"{method} {path} answered {answer.status_code}: {answer.text}"
        return answer.json() if answer.content else None

    def decide(self, subject: str, decision: str = "granted", **body: Any) -> Any:
        """Record the person's answer to the shipped disclosure."""
        shown = {"disclosure": DISCLOSURE, "locale": "en"}
        whole = shown | ({} if "answers" in body else {"decision": decision}) | body
        return self.done("POST", "/v1/consent/decisions", subject=subject, json=whole)

    def withdraw(self, subject: str, **body: Any) -> Any:
        """Take back what the person granted."""
        return self.done("POST", "/v1/consent/withdrawals", subject=subject, json=body)

    def consent(self, subject: str, **request: Any) -> Any:
        """What stands for the person."""
        return self.done("GET", "/v1/consent", subject=subject, **request)

    def key(self, *roles: str, caller: str | None = None, **body: Any) -> str:
        """A new service key, of a caller of its own unless one is named."""
        name = caller or f"caller-{next(_people)}"
        key: str = self.done("POST", "/v1/keys", json={"caller": name, "roles": list(roles), **body})["key"]
        return key

    def token(self, subject: str, *, key: str = KEY, **body: Any) -> str:
        """A new subject token."""
        token: str = self.done("POST", "/v1/subject-tokens", key=key, json={"subject": subject, **body})["token"]
        return token

    def records(self, subject: str, **filters: Any) -> list[dict[str, Any]]:
        """What the auditor reads of a person, the newest first."""
        items: list[dict[str, Any]] = self.done("GET", "/v1/transfers", subject=subject, params=filters)["items"]
        return items

    def sent(self) -> list[Any]:
        """The JSON bodies that reached a provider's API."""
        return [request.json() for request in self.sandbox.wire.requests() if request.method == "POST"]

    def reached(self) -> list[tuple[str, str]]:
        """Every request to a provider's API so far; files that were fetched are not among them."""
        apis = (Host.FAL_RUN, Host.FAL_QUEUE, Host.REPLICATE_API)
        return [(request.method, request.path) for request in self.sandbox.wire.requests() if request.role in apis]

    def holds(self, text: str) -> list[str]:
        """The tables in which the text stands anywhere."""
        return asyncio.run(_tables_with(self.database.superuser_url, text))


def settings_of(database: LedgerDatabase, sandbox: Sandbox, *, url: str, **overrides: Any) -> Settings:
    """Settings that point at a database and at the stand-ins."""
    values: dict[str, Any] = {
        "database_url": SecretStr(database.service_url),
        "secret_key": SecretStr("wraps the secrets of the tests"),
        "bootstrap_admin_key": SecretStr(KEY),
        "public_url": url,
        "sandboxed": ("fal", "replicate"),
        "provider_timeout": timedelta(seconds=5),
        "fal": FalSettings(
            key=SecretStr(sandbox.fal_key),
            run_url=sandbox.fal_run_url,
            queue_url=sandbox.fal_queue_url,
            rest_url=sandbox.fal_rest_url,
            cdn_url=sandbox.fal_cdn_url,
            output_hosts=(sandbox.fal_output_host,),
        ),
        "replicate": ReplicateSettings(
            token=SecretStr(sandbox.replicate_token),
            api_url=sandbox.replicate_api_url,
            delivery_hosts=(sandbox.replicate_delivery_host,),
        ),
    }
    return Settings(**{**values, **overrides})


@contextmanager
def live_service(
    database: LedgerDatabase, sandbox: Sandbox, *, published: bool = True, **overrides: Any
) -> Iterator[Live]:
    """The service on a database; with ``published``, what is shipped with it is in force."""
    port = free_port()
    folder = tempfile.TemporaryDirectory(prefix="cp-live-")
    overrides = {"data_dir": Path(folder.name), **overrides}
    settings = settings_of(database, sandbox, url=f"http://127.0.0.1:{port}", **overrides)
    if published:
        publish_shipped(settings)
    app, url = create_service(settings), settings.public_url or ""
    requests: list[str] = []
    with (
        folder,
        _listening(_noting(app, requests), port),
        httpx.Client(base_url=url, timeout=30, trust_env=False) as http,
    ):
        yield Live(
            url=url,
            app=app,
            database=database,
            sandbox=sandbox,
            folder=Path(folder.name),
            http=http,
            requests=requests,
        )


@pytest.fixture(scope="session")
def live_sandbox() -> Iterator[Sandbox]:
    with Sandbox(job_seconds=0.05) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def running_live(postgres: Cluster, live_sandbox: Sandbox) -> Iterator[Live]:
    """One service for the whole session; what its tests change of the rules is nobody else's."""
    with clone(postgres) as database, live_service(database, live_sandbox) as live:
        yield live


@pytest.fixture
def live(running_live: Live) -> Live:
    """That service, with stand-ins that behave and have forgotten what they were asked."""
    running_live.sandbox.behave_well()
    running_live.sandbox.wire.clear()
    running_live.requests.clear()
    return running_live


@pytest.fixture
def own_live(postgres: Cluster, live_sandbox: Sandbox) -> Iterator[Live]:
    """A service of this test's own, for those that change the rules everybody shares."""
    live_sandbox.behave_well()
    live_sandbox.wire.clear()
    with clone(postgres) as database, live_service(database, live_sandbox) as live:
        yield live


@pytest.fixture(scope="module")
def apart(postgres: Cluster, live_sandbox: Sandbox) -> Iterator[Live]:
    """A service of this module's own, whose tests may add rules as long as they do not mind each other's."""
    with clone(postgres) as database, live_service(database, live_sandbox) as live:
        yield live


@pytest.fixture
def unpublished(postgres: Cluster, live_sandbox: Sandbox) -> Iterator[Live]:
    """A service of this test's own, with nothing published."""
    with clone(postgres) as database, live_service(database, live_sandbox, published=False) as live:
        yield live


def _noting(app: ASGIApp, requests: list[str]) -> ASGIApp:
    """The application, with a note made of every request on its way in."""

    async def noted(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            requests.append(f"{scope['method']} {scope['path']}")
        await app(scope, receive, send)

    return noted


@contextmanager
def _listening(app: ASGIApp, port: int) -> Iterator[None]:
    config = uvicorn.Config(
        app, host="127.0.0.1", port=port, access_log=False, log_config=None, server_header=False, date_header=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name=f"live-{port}", daemon=True)
    thread.start()
    deadline = time.monotonic() + START_WITHIN
    while not server.started:
        assert thread.is_alive(), "the service ended while it started"
        assert time.monotonic() < deadline, "the service did not start in time"
        time.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(START_WITHIN)


async def _tables_with(url: str, text: str) -> list[str]:
    """Look through every row of every table as text, and through the text of every value of its JSON."""
    database = await open_database(url)
    needles = {text, json.dumps(text)[1:-1], text.encode().hex()}
    try:
        tables = [
            row["name"]
            for row in await database.fetch(
                "select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace"
                " where c.relkind in ('r', 'p') and not c.relispartition"
                " and n.nspname not in ('pg_catalog', 'information_schema')"
            )
        ]
        return [
            table
            for table in tables
            if await database.fetchval(
                f"select exists (select from {table} t where exists"
                " (select from unnest($1::text[]) needle where position(needle in t::text) > 0))",
                sorted(needles),
            )
        ]
    finally:
        await database.aclose()
