"""The whole service in this process, on a real Postgres and with the sandbox for providers.

A `conftest.py` that wants it imports the fixtures by name, and `postgres` of `tests.postgres`.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from pydantic import SecretStr

from consent_proxy.adapters.postgres.embedded.cluster import Cluster
from consent_proxy.api.app import create_app
from consent_proxy.api.services import Services
from consent_proxy.bootstrap.desk import publish_shipped
from consent_proxy.bootstrap.service import open_services
from consent_proxy.sandbox.server import Sandbox
from consent_proxy.settings import FalSettings, ReplicateSettings, Settings
from tests.postgres import LedgerDatabase, clone

KEY = "cpk_test_key_with_every_role"
PUBLIC_URL = "https://proxy.test"
IN_ONE_LOOP = pytest.mark.asyncio(loop_scope="module")


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """The service and what is round it."""

    app: FastAPI
    services: Services
    http: httpx.AsyncClient
    sandbox: Sandbox

    async def call(self, method: str, path: str, *, subject: str | None = None, **request: Any) -> httpx.Response:
        """One request with the key of every role, about a person if one is named."""
        headers = {"authorization": f"Bearer {KEY}", **request.pop("headers", {})}
        if subject is not None:
            headers["consent-subject"] = subject
        return await self.http.request(method, path, headers=headers, **request)

    async def decide(self, subject: str, decision: str = "granted", **more: Any) -> None:
        """Record an answer to the disclosure in force."""
        current = (await self.http.get("/v1/disclosures/current")).json()
        body = {"disclosure": current["version"], "locale": "en", "decision": decision, **more}
        reply = await self.call("POST", "/v1/consent/decisions", subject=subject, json=body)
        assert reply.status_code == 201, reply.text

    async def withdraw(self, subject: str) -> None:
        """Take everything back."""
        reply = await self.call("POST", "/v1/consent/withdrawals", subject=subject, json={})
        assert reply.status_code == 201, reply.text

    async def token(self, subject: str) -> str:
        """A subject token."""
        reply = await self.call("POST", "/v1/subject-tokens", json={"subject": subject})
        assert reply.is_success, reply.text
        token: str = reply.json()["token"]
        return token

    async def key(self, *roles: str) -> str:
        """A new service key of a caller of its own."""
        body = {"caller": f"caller-{uuid4().hex[:8]}", "roles": list(roles)}
        reply = await self.call("POST", "/v1/keys", json=body)
        assert reply.is_success, reply.text
        key: str = reply.json()["key"]
        return key

    async def record(self, subject: str) -> list[dict[str, Any]]:
        """What the auditor reads of a person, newest first."""
        reply = await self.call("GET", "/v1/transfers", subject=subject)
        assert reply.status_code == 200, reply.text
        items: list[dict[str, Any]] = reply.json()["items"]
        return items

    def change(self, **parts: Any) -> None:
        """Serve on with other parts of the service, for this test."""
        self.app.state.services = replace(self.services, **parts)

    def sent(self) -> list[Any]:
        """The JSON bodies that reached the providers."""
        return [request.json() for request in self.sandbox.wire.requests() if request.body]


@pytest.fixture(scope="session")
def served_sandbox() -> Iterator[Sandbox]:
    """The stand-in providers."""
    with Sandbox(job_seconds=0.05) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def served_database(postgres: Cluster) -> Iterator[LedgerDatabase]:
    """A database in which what comes with the service is published; its people are the tests' own."""
    with clone(postgres) as database:
        publish_shipped(Settings(database_url=SecretStr(database.service_url), secret_key=SecretStr("s" * 32)))
        yield database


@pytest.fixture(scope="session")
def served_settings(
    served_database: LedgerDatabase, served_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Settings:
    """The settings the service starts with."""
    return Settings(
        database_url=SecretStr(served_database.service_url),
        secret_key=SecretStr("s" * 32),
        bootstrap_admin_key=SecretStr(KEY),
        data_dir=tmp_path_factory.mktemp("served"),
        public_url=PUBLIC_URL,
        provider_timeout=timedelta(seconds=1),
        sandboxed=("fal", "replicate"),
        fal=FalSettings(
            key=SecretStr(served_sandbox.fal_key),
            run_url=served_sandbox.fal_run_url,
            queue_url=served_sandbox.fal_queue_url,
            rest_url=served_sandbox.fal_rest_url,
            cdn_url=served_sandbox.fal_cdn_url,
            output_hosts=(served_sandbox.fal_output_host,),
        ),
        replicate=ReplicateSettings(
            token=SecretStr(served_sandbox.replicate_token),
            api_url=served_sandbox.replicate_api_url,
            delivery_hosts=(served_sandbox.replicate_delivery_host,),
        ),
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened_services(served_settings: Settings) -> AsyncIterator[Services]:
    """The service's inside, opened once a module."""
    async with open_services(served_settings) as services:
        yield services


@pytest_asyncio.fixture(loop_scope="module")
async def served(opened_services: Services, served_sandbox: Sandbox) -> AsyncIterator[Served]:
    """The service as it starts, with a sandbox that has forgotten what it was asked before.

    A module that uses it marks its tests with ``IN_ONE_LOOP``.
    """
    served_sandbox.behave_well()
    served_sandbox.wire.clear()
    app = create_app()
    app.state.services = opened_services
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL, trust_env=False) as http:
        yield Served(app=app, services=opened_services, http=http, sandbox=served_sandbox)
