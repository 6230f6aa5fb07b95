"""Two replicas of two workers each on one database: what one has answered, all obey, as the wire shows."""

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import asyncpg
import httpx
import pytest

from consent_proxy.adapters.postgres.embedded.cluster import Cluster
from consent_proxy.adapters.shipped.documents import shipped_contracts, shipped_disclosure
from consent_proxy.sandbox.server import Sandbox
from tests.postgres import LedgerDatabase, clone
from tests.served import Asked, Backend, Served, decision, fal_run, serve, withdrawal

SUBJECTS = [f"raced-{number}" for number in range(4)]
ROUNDS = 50
SENDERS = 6


@pytest.fixture(scope="module")
def database(postgres: Cluster) -> Iterator[LedgerDatabase]:
    with clone(postgres) as cloned:
        yield cloned


@pytest.fixture(scope="module")
def replicas(database: LedgerDatabase, running_sandbox: Sandbox) -> Iterator[tuple[Served, Served]]:
    """Each test leaves the rules as open as it found them."""
    url = database.service_url
    with (
        serve(database_url=url, sandbox=running_sandbox, workers=2, ready=False) as first,
        serve(database_url=url, sandbox=running_sandbox, workers=2) as second,
        second.backend() as backend,
    ):
        first.wait_until_ready()
        backend.publish_shipped()
        yield first, second


@dataclass
class Seen:
    """What the clients saw: when each no was answered, and the prompts of the sends asked for while it stood."""

    closed: dict[str, list[tuple[datetime, datetime | None]]] = field(default_factory=lambda: defaultdict(list))
    asked: int = 0
    sent: int = 0
    statuses: set[int] = field(default_factory=set)


async def _send(client: httpx.AsyncClient, asked: Asked) -> httpx.Response:
    return await client.request(asked.method, asked.path, json=asked.json, headers=dict(asked.headers))


async def _decide_for(subject: str, clients: list[httpx.AsyncClient], seen: Seen, chance: random.Random) -> None:
    """Say yes and no by turns, each to any replica; from a no's answer to the next yes nothing may leave."""
    for _ in range(ROUNDS):
        await asyncio.sleep(chance.random() * 0.02)
        if seen.closed[subject]:
            refused_at, _ = seen.closed[subject][-1]
            seen.closed[subject][-1] = (refused_at, datetime.now(UTC))
        assert (await _send(chance.choice(clients), decision(subject))).status_code == 201
        await asyncio.sleep(chance.random() * 0.02)
        no = withdrawal(subject) if chance.random() < 0.5 else decision(subject, "declined")
        assert (await _send(chance.choice(clients), no)).status_code == 201
        seen.closed[subject].append((datetime.now(UTC), None))


async def _send_for(
    subject: str, clients: list[httpx.AsyncClient], seen: Seen, chance: random.Random, done: asyncio.Event
) -> None:
    while not done.is_set():
        seen.asked += 1
        answer = await _send(chance.choice(clients), fal_run(subject, f"{subject} {seen.asked}"))
        seen.statuses.add(answer.status_code)
        seen.sent += answer.status_code == 200


async def _race(urls: list[str], key: str) -> Seen:
    chance, seen, done = random.Random(7), Seen(), asyncio.Event()
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
    clients = [
        httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60, limits=limits)
        for url in urls
    ]
    senders = [
        asyncio.create_task(_send_for(subject, clients, seen, chance, done))
        for subject in SUBJECTS
        for _ in range(SENDERS)
    ]
    try:
        await asyncio.gather(*(_decide_for(subject, clients, seen, chance) for subject in SUBJECTS))
    finally:
        done.set()
        await asyncio.gather(*senders)
        for client in clients:
            await client.aclose()
    return seen


async def test_no_send_begins_after_a_no_was_answered_on_any_replica(
    replicas: tuple[Served, Served], database: LedgerDatabase, sandbox: Sandbox
) -> None:
    seen = await _race([replica.url for replica in replicas], replicas[0].key)
    assert seen.statuses <= {200, 403}, seen.statuses
    assert seen.sent > 50
    arrived = [
        (json.loads(request.body)["prompt"].split()[0], request.received_at)
        for request in sandbox.wire.requests(method="POST")
    ]
    assert len(arrived) == seen.sent
    late = [
        (subject, at, refused_at)
        for subject, at in arrived
        for refused_at, granted_at in seen.closed[subject]
        if refused_at < at and (granted_at is None or at < granted_at)
    ]
    assert late == []
    await _check_every_transfer_stood(database, count=seen.sent)


async def _check_every_transfer_stood(database: LedgerDatabase, *, count: int) -> None:
    """By the record alone: each transfer cites a yes, and no later no of its subject was recorded before its intent."""
    connection = await asyncpg.connect(database.owner_url)
    try:
        assert await connection.fetchval("select count(*) from transfers") == count
        stale = await connection.fetchval(
            """select count(*) from transfers t
            join consent_events yes on yes.id = (t.details #>> '{consent,event_id}')::uuid
            where yes.subject_ref <> t.subject_ref or yes.received_at > t.intent_at or exists (
              select from consent_events later where later.subject_ref = t.subject_ref and later.seq > yes.seq
                and later.received_at < t.intent_at - interval '1 millisecond')"""
        )
        assert stale == 0
        open_ones = (
            "select count(*) from transfers t where not exists (select from outcomes o where o.transfer_id = t.id)"
        )
        assert await connection.fetchval(open_ones) == 0
    finally:
        await connection.close()


def _allowed_by(replicas: tuple[Backend, Backend], subject: str) -> list[str]:
    return [
        "sent" if answer.is_success else answer.json()["reason"]
        for replica in replicas
        for answer in [replica.fal_run(subject, "a fox") for _ in range(6)]
    ]


@pytest.fixture
def backends(replicas: tuple[Served, Served]) -> Iterator[tuple[Backend, Backend]]:
    first, second = replicas
    with first.backend() as one, second.backend() as other:
        shown = one.done(Asked(method="GET", path="/v1/disclosures/current?locale=en"))
        one.grant("told", disclosure=shown["version"])
        assert set(_allowed_by((one, other), "told")) == {"sent"}
        yield one, other


def test_a_contract_ended_on_one_replica_stops_the_other(backends: tuple[Backend, Backend]) -> None:
    backends[0].end_contract("fal")
    assert set(_allowed_by(backends, "told")) == {"contract-expired"}
    backends[0].put_contract("fal", shipped_contracts()["fal"])
    assert set(_allowed_by(backends, "told")) == {"sent"}


def test_a_disclosure_made_outdated_on_one_replica_stops_the_other(backends: tuple[Backend, Backend]) -> None:
    newer = shipped_disclosure() | {
        "version": "newer",
        "material": True,
        "effective_at": (datetime.now(UTC) - timedelta(seconds=1)).isoformat(),
    }
    backends[1].publish(newer)
    assert set(_allowed_by(backends, "told")) == {"consent-outdated"}


def test_a_key_revoked_on_one_replica_opens_nothing_on_the_other(
    replicas: tuple[Served, Served], backends: tuple[Backend, Backend]
) -> None:
    key_id, secret = backends[0].create_key("app", "gateway")
    with replicas[0].backend(key=secret) as one, replicas[1].backend(key=secret) as other:
        assert set(_allowed_by((one, other), "told")) == {"sent"}
        backends[0].revoke_key(key_id)
        assert set(_allowed_by((one, other), "told")) == {"credential-invalid"}


def test_an_old_queued_yes_changes_nothing(backends: tuple[Backend, Backend]) -> None:
    said_at = datetime.now(UTC).isoformat()
    backends[0].withdraw("told")
    shown = backends[0].done(Asked(method="GET", path="/v1/disclosures/current?locale=en"))
    late = backends[1].grant("told", disclosure=shown["version"], occurred_at=said_at)
    assert (late["effective"], late["reason"]) == (False, "superseded")
    assert set(_allowed_by(backends, "told")) == {"consent-withdrawn"}
