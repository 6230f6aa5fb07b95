"""Day 100 under load: a new recipient is announced, a key changes, a contract ends, the schema moves, replicas restart.

Nobody loses what they had, and nobody's data goes to the new recipient unasked, as the wire shows.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from consent_proxy.adapters.postgres.embedded.passwords import SERVICE
from consent_proxy.adapters.postgres.migrate import migrate
from consent_proxy.adapters.shipped.documents import shipped_contracts, shipped_disclosure
from consent_proxy.sandbox.server import Sandbox
from consent_proxy.sandbox.wire import Role
from tests.next_release import next_migrations
from tests.postgres import LedgerDatabase
from tests.served import Asked, Backend, Served, about, decision, fal_run, replicate_predict, serve

#: Said yes on day 1, to fal; said yes on day 100, to both; was never asked.
LOYAL, ASKED_AGAIN, STRANGER = "loyal-1", "asked-again-1", "stranger-1"
SENDERS = 3
A_WHILE = 0.6


def disclosure(version: str, *recipients: str) -> dict[str, Any]:
    """A disclosure that names these recipients and is in force at once."""
    document = deepcopy(shipped_disclosure())
    document["version"] = version
    document["material"] = False
    document["effective_at"] = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    document["recipients"] = [named for named in document["recipients"] if named["id"] in recipients]
    return document


@dataclass
class Traffic:
    """What flows all the while, at whichever replica answers; the answers by person, recipient and reason."""

    urls: list[str]
    key: str
    answers: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    sent: list[str] = field(default_factory=list)
    flowing: bool = True
    number: int = 0
    begun: list[int] = field(default_factory=lambda: [0] * SENDERS)
    moved: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def flow(self) -> None:
        """Until it is told to stop; each sender goes to a replica of its own while there are two."""
        async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
            await asyncio.gather(*(self._send_on(http, turn) for turn in range(SENDERS)))

    async def _send_on(self, http: httpx.AsyncClient, turn: int) -> None:
        while self.flowing:
            for person in (LOYAL, ASKED_AGAIN, STRANGER):
                for recipient, ask in (("fal", fal_run), ("replicate", replicate_predict)):
                    self.number += 1
                    await self._begin(turn)
                    prompt = f"{person} {recipient} {self.number}"
                    answer = await self._ask(http, ask(person, prompt), turn)
                    reason = "sent" if answer.is_success else answer.json().get("reason", str(answer.status_code))
                    self.answers[person, recipient, reason] += 1
                    if answer.is_success:
                        self.sent.append(prompt)

    async def _begin(self, turn: int) -> None:
        async with self.moved:
            self.begun[turn] += 1
            self.moved.notify_all()

    async def passed(self) -> None:
        """Wait until everything that was on its way at this moment has been answered."""
        on_their_way = list(self.begun)
        async with asyncio.timeout(30), self.moved:
            await self.moved.wait_for(
                lambda: all(now > then for now, then in zip(self.begun, on_their_way, strict=True))
            )

    async def _ask(self, http: httpx.AsyncClient, asked: Asked, turn: int) -> httpx.Response:
        url = self.urls[turn % len(self.urls)]
        headers = {**asked.headers, "Authorization": f"Bearer {self.key}"}
        return await http.request(asked.method, url + asked.path, json=asked.json, headers=headers)

    def since(self, before: Counter[tuple[str, str, str]]) -> dict[tuple[str, str], set[str]]:
        """The different answers by person and recipient since a moment."""
        found: dict[tuple[str, str], set[str]] = {}
        for person, recipient, reason in self.answers - before:
            found.setdefault((person, recipient), set()).add(reason)
        return found


@pytest.fixture
def replicas(ledger_database: LedgerDatabase, sandbox: Sandbox) -> Iterator[list[Served]]:
    url = ledger_database.service_url
    with ExitStack() as stack:
        served = [stack.enter_context(serve(database_url=url, sandbox=sandbox, ready=False)) for _ in range(2)]
        for replica in served:
            replica.wait_until_ready()
        yield served


def _replicate_prompts(sandbox: Sandbox) -> list[str]:
    return [
        json.loads(request.body)["input"]["prompt"]
        for request in sandbox.wire.requests(role=Role.REPLICATE_API, method="POST")
    ]


async def test_day_100(
    replicas: list[Served], ledger_database: LedgerDatabase, sandbox: Sandbox, tmp_path: Path
) -> None:
    next_release = next_migrations(tmp_path)
    with ExitStack() as restarted, replicas[0].backend() as operator:
        operator.publish(disclosure("day-1", "fal"))
        operator.put_contract("fal", shipped_contracts()["fal"])
        operator.grant(LOYAL, disclosure="day-1")
        operator.grant(ASKED_AGAIN, disclosure="day-1")
        old_id, old_key = operator.create_key("backend", "gateway")
        traffic = Traffic(urls=[replica.url for replica in replicas], key=old_key)
        flowing = asyncio.create_task(traffic.flow())
        try:
            await _days(traffic, operator, replicas, sandbox, old=(old_id, old_key))
            await asyncio.to_thread(migrate, ledger_database.owner_url, service_role=SERVICE, folder=next_release)
            await _settled(traffic, fal_for=(LOYAL, ASKED_AGAIN))
            for replica in replicas:
                again = serve(database_url=ledger_database.service_url, sandbox=sandbox, port=replica.port)
                await _restart(traffic, replica, partial(restarted.enter_context, again))
                await _settled(traffic, fal_for=(LOYAL, ASKED_AGAIN))
        finally:
            traffic.flowing = False
            await flowing
        _check_the_end(traffic, operator, sandbox)


async def _restart(traffic: Traffic, replica: Served, start: Callable[[], Served]) -> None:
    """As behind a load balancer: what is to stop gets no new requests, and is waited for."""
    traffic.urls.remove(replica.url)
    await traffic.passed()
    assert await asyncio.to_thread(replica.stop) == 0
    again = await asyncio.to_thread(start)
    traffic.urls.append(again.url)


async def _days(
    traffic: Traffic, operator: Backend, replicas: list[Served], sandbox: Sandbox, *, old: tuple[str, str]
) -> None:
    await _settled(traffic, fal_for=(LOYAL, ASKED_AGAIN), replicate={"recipient-not-disclosed"})

    await asyncio.to_thread(operator.publish, disclosure("day-100", "fal", "replicate"))
    await asyncio.to_thread(operator.put_contract, "replicate", shipped_contracts()["replicate"])
    answers = await _settled(traffic, fal_for=(LOYAL, ASKED_AGAIN))
    assert answers[LOYAL, "replicate"] == answers[ASKED_AGAIN, "replicate"] == {"recipient-not-granted"}
    assert answers[STRANGER, "replicate"] == answers[STRANGER, "fal"] == {"consent-never-asked"}
    assert _replicate_prompts(sandbox) == []

    await asyncio.to_thread(operator.send, decision(ASKED_AGAIN, disclosure="day-100"))
    answers = await _settled(traffic, fal_for=(LOYAL, ASKED_AGAIN))
    assert answers[ASKED_AGAIN, "replicate"] == {"sent"}
    assert answers[LOYAL, "replicate"] == {"recipient-not-granted"}

    await _rotate_the_key(traffic, operator, replicas, old=old)
    await _settled(traffic, fal_for=(LOYAL, ASKED_AGAIN))

    await asyncio.to_thread(operator.end_contract, "replicate")
    at_the_end = len(_replicate_prompts(sandbox))
    answers = await _settled(traffic, fal_for=(LOYAL, ASKED_AGAIN))
    assert answers[ASKED_AGAIN, "replicate"] == {"contract-expired"}
    assert len(_replicate_prompts(sandbox)) == at_the_end


async def _settled(
    traffic: Traffic, *, fal_for: tuple[str, ...], replicate: set[str] | None = None
) -> dict[tuple[str, str], set[str]]:
    """What is answered from now on, for a while: fal for those who said yes, whatever else goes on."""
    await traffic.passed()
    before = traffic.answers.copy()
    await asyncio.sleep(A_WHILE)
    answers = traffic.since(before)
    for person in fal_for:
        assert answers[person, "fal"] == {"sent"}
        if replicate is not None:
            assert answers[person, "replicate"] == replicate
    return answers


async def _rotate_the_key(traffic: Traffic, operator: Backend, replicas: list[Served], *, old: tuple[str, str]) -> None:
    """A second key for the same caller; a job of the first is read with it; then the first is revoked."""
    with replicas[1].backend(key=old[1]) as before:
        job = await asyncio.to_thread(before.fal_submit, LOYAL, "loyal-1 fal job")
        assert job.is_success
        traffic.sent.append("loyal-1 fal job")
        _, traffic.key = await asyncio.to_thread(operator.create_key, "backend", "gateway")
        await _settled(traffic, fal_for=(LOYAL, ASKED_AGAIN))
        await asyncio.to_thread(operator.revoke_key, old[0])
        for replica in replicas:
            with replica.backend(key=old[1]) as revoked:
                assert (
                    await asyncio.to_thread(revoked.fal_run, LOYAL, "never")
                ).status_code == httpx.codes.UNAUTHORIZED
    with replicas[0].backend(key=traffic.key) as after:
        path = f"/fal/queue/fal-ai/flux/requests/{job.json()['request_id']}/status"
        assert after.send(Asked(method="GET", path=path, headers=about(LOYAL))).is_success


def _check_the_end(traffic: Traffic, operator: Backend, sandbox: Sandbox) -> None:
    """On the wire and in the record: what was answered as sent, once each, to those who may have it, and no more."""
    at_fal = [
        json.loads(request.body)["prompt"]
        for role in (Role.FAL_RUN, Role.FAL_QUEUE)
        for request in sandbox.wire.requests(role=role, method="POST")
    ]
    at_replicate = _replicate_prompts(sandbox)
    assert sorted(at_fal + at_replicate) == sorted(traffic.sent)
    assert {prompt.split()[0] for prompt in at_fal} == {LOYAL, ASKED_AGAIN}
    assert {prompt.split()[0] for prompt in at_replicate} == {ASKED_AGAIN}
    records = operator.transfers(kind="transfer")
    assert len(records) == len(traffic.sent)
    assert {record["outcome"]["state"] for record in records} == {"delivered"}
    assert {record["consent"]["disclosure"] for record in records if record["recipient"] == "replicate"} == {"day-100"}
    known = {"sent", "recipient-not-disclosed", "recipient-not-granted", "consent-never-asked", "contract-expired"}
    assert {reason for _, _, reason in traffic.answers} <= known
