"""A database that is away, dies under load or loses an answer: nothing leaves unrecorded, and all mends itself."""

import asyncio
import hmac
import json
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any, Self

import asyncpg
import httpx
import pytest

from consent_proxy.adapters.postgres.advisory_locks import RULES_LOCK
from consent_proxy.adapters.postgres.embedded.cluster import Cluster
from consent_proxy.adapters.postgres.embedded.postmaster import find_postmaster
from consent_proxy.sandbox.server import Sandbox
from tests.integration.cut_wires import Cut, wire_to
from tests.postgres import LedgerDatabase, bundled_binaries, clone, serving_migrated
from tests.served import (
    Asked,
    Backend,
    Served,
    decision,
    fal_run,
    fal_submit,
    replicate_predict,
    serve,
    wait_for,
    withdrawal,
)
from tests.system.held_provider import HeldProvider
from tests.system.rows import ask_database

PERSON = "person-1"
SENDERS = 6
MODEL, OTHER_MODEL = "fal-ai/flux/schnell", "fal-ai/flux/dev"
GOOD = 8


@pytest.fixture(scope="module")
def mortal() -> Iterator[Cluster]:
    """A server of this module's own, to be killed."""
    with serving_migrated(bundled_binaries()) as cluster:
        yield cluster


@pytest.fixture
def database(mortal: Cluster) -> Iterator[LedgerDatabase]:
    with clone(mortal) as cloned:
        yield cloned


def kill_postgres(cluster: Cluster) -> None:
    """`kill -9` of its first process; the others end when they see it."""
    running = find_postmaster(cluster._folder)
    assert running is not None
    os.kill(running.pid, signal.SIGKILL)
    assert wait_for(lambda: find_postmaster(cluster._folder) is None, within=10)


def check_nothing_begun(answer: httpx.Response) -> None:
    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE, answer.text
    problem = answer.json()
    assert (problem["reason"], problem.get("sent", "no")) == ("ledger-unavailable", "no")
    assert int(answer.headers["retry-after"]) > 0


def test_a_service_starts_without_its_database_and_works_once_it_is_there(
    mortal: Cluster, database: LedgerDatabase, sandbox: Sandbox
) -> None:
    kill_postgres(mortal)
    with serve(database_url=database.service_url, sandbox=sandbox, ready=False) as served, served.backend() as backend:
        assert wait_for(lambda: "Uvicorn running on" in served.log, within=40), served.log
        assert backend.http.get("/healthz").status_code == httpx.codes.OK
        assert backend.http.get("/readyz").status_code == httpx.codes.SERVICE_UNAVAILABLE
        for asked in (
            *(fal_run(PERSON, "a fox"), fal_submit(PERSON, "a fox"), replicate_predict(PERSON, "a fox")),
            *(decision(PERSON), withdrawal(PERSON), Asked(method="GET", path="/v1/transfers")),
        ):
            check_nothing_begun(backend.send(asked))
        assert sandbox.wire.requests() == []
        assert mortal.ensure_running()
        served.wait_until_ready()
        backend.publish_shipped()
        backend.grant(PERSON)
        assert backend.fal_run(PERSON, "a fox").status_code == httpx.codes.OK


@dataclass
class Load:
    """Backends that keep asking, each prompt a new one, and what they were answered."""

    served: Served
    answers: list[httpx.Response] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    _number: Iterator[int] = field(default_factory=count)

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._ask) for _ in range(SENDERS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        for thread in self._threads:
            thread.join()

    def successes(self) -> list[httpx.Response]:
        return [answer for answer in list(self.answers) if answer.is_success]

    def wait_for_successes(self, more: int) -> None:
        wanted = len(self.successes()) + more
        assert wait_for(lambda: len(self.successes()) >= wanted, within=30), self.served.log

    def _ask(self) -> None:
        with self.served.backend() as backend:
            while not self.stopped.is_set():
                number = next(self._number)
                ask = replicate_predict if number % 3 == 0 else fal_run
                self.answers.append(backend.send(ask(PERSON, f"fox number {number}")))


def check_load_answer(answer: httpx.Response) -> None:
    """Success, or nothing begun, or sent and recorded though its result could not be."""
    if answer.is_success:
        return
    problem = answer.json()
    if answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR:
        assert (problem["reason"], problem["sent"]) == ("internal-error", "yes"), problem
        return
    assert (answer.status_code, problem["sent"]) == (503, "no"), problem
    assert problem["reason"] in {"ledger-unavailable", "overloaded"}
    assert "retry-after" in answer.headers


def test_a_database_killed_under_load_costs_no_record_of_what_left(
    mortal: Cluster, database: LedgerDatabase, sandbox: Sandbox
) -> None:
    with serve(database_url=database.service_url, sandbox=sandbox) as served, served.backend() as backend:
        backend.publish_shipped()
        backend.grant(PERSON)
        with Load(served) as load:
            for _ in range(3):
                load.wait_for_successes(30)
                kill_postgres(mortal)
                assert wait_for(lambda: load.answers[-1].status_code == 503, within=10)
                assert mortal.ensure_running()
            load.wait_for_successes(30)
        for answer in load.answers:
            check_load_answer(answer)
        check_wire_and_record(backend, database, sandbox)
        delivered = {record["id"] for record in backend.transfers(PERSON, outcome="delivered")}
        assert {answer.headers["consent-transfer-id"] for answer in load.successes()} <= delivered


def check_wire_and_record(backend: Backend, database: LedgerDatabase, sandbox: Sandbox) -> None:
    """Each body that arrived has its row, arrived once, and what never arrived says so."""
    open_ones = "select from transfers t where not exists (select from outcomes o where o.transfer_id = t.id)"
    assert wait_for(lambda: ask_database(database.superuser_url, open_ones) == [], within=30)
    [salt] = [row["salt"] for row in ask_database(database.superuser_url, "select salt from salts")]
    bodies = [request.body for request in sandbox.wire.requests(method="POST")]
    assert len(set(bodies)) == len(bodies)
    arrived = {hmac.new(salt, body, sha256).hexdigest() for body in bodies}
    records = {record["payload_digest"]: record["outcome"]["state"] for record in backend.transfers(PERSON)}
    assert arrived <= records.keys()
    assert {records[digest] for digest in arrived} == {"delivered"}
    assert {state for digest, state in records.items() if digest not in arrived} <= {"not-delivered"}


def test_an_outcome_that_comes_while_the_database_is_away_is_written_when_it_is_back(
    mortal: Cluster, database: LedgerDatabase
) -> None:
    with HeldProvider() as provider, serve(database_url=database.service_url, settings=provider.settings) as served:
        with served.backend() as backend, ThreadPoolExecutor(1) as pool:
            backend.publish_shipped()
            backend.grant(PERSON)
            waiting = pool.submit(_one_more, served, "a fox", MODEL)
            provider.wait_for("a fox")
            kill_postgres(mortal)
            provider.let_go()
            check_load_answer(waiting.result())
            check_nothing_begun(backend.fal_run(PERSON, "another fox"))
            assert mortal.ensure_running()
            served.wait_until_ready()
            assert wait_for(lambda: _states(backend) == ["delivered"], within=15), served.log
        assert provider.prompts == ["a fox"]


async def test_a_commit_whose_answer_was_lost_sends_nothing(database: LedgerDatabase, sandbox: Sandbox) -> None:
    folder = Path(tempfile.mkdtemp(prefix="cp-wire-"))
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder)
        wire, url = await stack.enter_async_context(wire_to(database.service_url, folder=folder))
        # In threads of their own: the wire is carried by this loop.
        service = serve(database_url=url, sandbox=sandbox)
        served = await asyncio.to_thread(service.__enter__)
        stack.push_async_callback(asyncio.to_thread, service.__exit__, None, None, None)
        backend = stack.enter_context(served.backend())
        await asyncio.to_thread(backend.publish_shipped)
        await asyncio.to_thread(backend.grant, PERSON)
        assert (await asyncio.to_thread(backend.fal_run, PERSON, "before")).is_success
        wire.arm(Cut.BEFORE_ITS_ANSWER, b"payload_digest")
        check_nothing_begun(await asyncio.to_thread(backend.fal_run, PERSON, "lost"))
        assert wire.happened.is_set()
        assert await asyncio.to_thread(wait_for, lambda: _states(backend) == ["delivered", "not-delivered"], within=10)
        assert (await asyncio.to_thread(backend.fal_run, PERSON, "after")).is_success
        prompts = [json.loads(request.body)["prompt"] for request in sandbox.wire.requests(method="POST")]
        assert prompts == ["before", "after"]


def _states(backend: Backend) -> list[Any]:
    return [record["outcome"]["state"] for record in backend.transfers(PERSON)]


_ONE_BAD_MODEL = f"""
create sequence tries;
create function refuse_one_model() returns trigger language plpgsql as $$ begin
  perform nextval('tries');
  if new.model = '{OTHER_MODEL}' then raise exception 'a bad row'; end if;
  return new;
end $$;
create trigger refuse_one_model before insert on transfers for each row execute function refuse_one_model();
"""


async def test_one_bad_row_of_a_batch_hurts_only_itself(database: LedgerDatabase, sandbox: Sandbox) -> None:
    service = serve(database_url=database.service_url, sandbox=sandbox, settings={"SEND_WITHIN": "10"})
    run = asyncio.get_running_loop().run_in_executor
    with service as served, served.backend() as backend, ThreadPoolExecutor(GOOD + 1) as pool:
        backend.publish_shipped()
        backend.grant(PERSON)
        owner = await asyncpg.connect(database.owner_url)
        try:
            await owner.execute(_ONE_BAD_MODEL)
            await owner.execute("select pg_advisory_lock($1)", RULES_LOCK)
            good = [run(pool, _one_more, served, f"fox {number}", MODEL) for number in range(GOOD)]
            await asyncio.sleep(0.5)  # two go ahead and wait for the lock, the others wait for them
            bad = run(pool, _one_more, served, "bad", OTHER_MODEL)
            await asyncio.sleep(0.3)
            await owner.execute("select pg_advisory_unlock($1)", RULES_LOCK)
            check_nothing_begun(await bad)
            assert [answer.status_code for answer in await asyncio.gather(*good)] == [200] * GOOD
            # A sequence does not go back with the transaction: good rows were tried with the bad one, and once more.
            assert await owner.fetchval("select last_value from tries") > GOOD + 2
        finally:
            await owner.close()
        prompts = [json.loads(request.body)["prompt"] for request in sandbox.wire.requests(method="POST")]
        assert sorted(prompts) == sorted(f"fox {number}" for number in range(GOOD))
        assert await asyncio.to_thread(_states, backend) == ["delivered"] * GOOD


def _one_more(served: Served, prompt: str, model: str) -> httpx.Response:
    with served.backend() as backend:
        return backend.fal_run(PERSON, prompt, model=model)
