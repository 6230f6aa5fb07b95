"""The log of transfers on a real database that fails: rows that are bad, answers that are lost, servers that die."""

import asyncio
import os
import signal
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import pytest

from consent_proxy.adapters.postgres.batches import Batches
from consent_proxy.adapters.postgres.connections import RawConnection, encode_json, open_database
from consent_proxy.adapters.postgres.embedded.cluster import Cluster
from consent_proxy.adapters.postgres.embedded.postmaster import find_postmaster
from consent_proxy.adapters.postgres.intents import PostgresTransferLog, open_transfer_log
from consent_proxy.adapters.system import SystemClock
from consent_proxy.application.ports.transfers import LedgerUnavailable, Overloaded
from consent_proxy.domain.subjects import SubjectRef
from consent_proxy.domain.transfers import FactsChanged, RecordedIntent
from tests.integration.cut_wires import Cut, Wire, wire_to
from tests.integration.ledger_rows import connected, outcomes_of, set_standing, until
from tests.postgres import LedgerDatabase, bundled_binaries, clone, serving_migrated
from tests.transfer_samples import a_job, a_refusal, an_intent, an_outcome, an_output, new_subject

WITHIN = timedelta(seconds=1)
LONG = timedelta(seconds=30)


@pytest.fixture
async def owner(ledger_database: LedgerDatabase) -> AsyncIterator[RawConnection]:
    async with connected(ledger_database.owner_url) as connection:
        yield connection


@pytest.fixture
async def subject_ref(owner: RawConnection) -> SubjectRef:
    """A subject whose consent stands."""
    granted = new_subject()
    await set_standing(owner, granted)
    return granted


@asynccontextmanager
async def opened(url: str, *, send_within: timedelta = LONG) -> AsyncIterator[PostgresTransferLog]:
    database = await open_database(url)
    log = await open_transfer_log(database, clock=SystemClock(), send_within=send_within)
    try:
        yield log
    finally:
        await log.aclose(within=1)
        await database.aclose()


@pytest.fixture
async def log(ledger_database: LedgerDatabase) -> AsyncIterator[PostgresTransferLog]:
    async with opened(ledger_database.service_url) as made:
        yield made


@pytest.fixture
async def wire(ledger_database: LedgerDatabase) -> AsyncIterator[tuple[Wire, str]]:
    with tempfile.TemporaryDirectory(prefix="cp-") as folder:
        async with wire_to(ledger_database.service_url, folder=Path(folder)) as made:
            yield made


@pytest.fixture
async def wired_log(wire: tuple[Wire, str]) -> AsyncIterator[PostgresTransferLog]:
    async with opened(wire[1]) as made:
        yield made


def outside_every_partition() -> UUID:
    return UUID("00e00000-0000-7000-8000-000000000001")


async def test_one_bad_row_in_a_batch_hurts_only_itself(
    log: PostgresTransferLog, owner: RawConnection, subject_ref: SubjectRef
) -> None:
    intents = [an_intent(subject_ref) for _ in range(20)]
    intents[7] = replace(intents[7], id=outside_every_partition())
    answers = await asyncio.gather(*map(log.record_intent, intents), return_exceptions=True)
    assert [type(answer) for answer in answers] == [
        LedgerUnavailable if number == 7 else RecordedIntent for number in range(20)
    ]
    assert str(intents[7].id) in str(answers[7])
    assert await owner.fetchval("select count(*) from transfers") == 19
    assert len(log._doubts) == 0


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "\\\0"])
async def test_what_jsonb_cannot_hold_is_refused_before_it_reaches_a_batch(
    text: str, log: PostgresTransferLog, subject_ref: SubjectRef
) -> None:
    intent = an_intent(subject_ref)
    intent = replace(intent, request=replace(intent.request, trace_id=text))
    with pytest.raises(ValueError, match=r"NUL|surrogates"):
        await log.record_intent(intent)


def test_a_backslash_before_u0000_is_no_nul() -> None:
    assert encode_json("\\u0000") == '"\\\\u0000"'


async def test_an_intent_whose_commit_was_not_answered_counts_as_not_begun(
    wired_log: PostgresTransferLog, wire: tuple[Wire, str], owner: RawConnection, subject_ref: SubjectRef
) -> None:
    intent = an_intent(subject_ref)
    wire[0].arm(Cut.BEFORE_ITS_ANSWER, intent.id.bytes)
    with pytest.raises(LedgerUnavailable):
        await wired_log.record_intent(intent)
    assert wire[0].happened.is_set()
    assert await owner.fetchval("select count(*) from transfers where id = $1", intent.id) == 1
    assert await until(lambda: outcomes_of(owner, intent.id)) == [(1, "not-delivered")]
    assert isinstance(await wired_log.record_intent(an_intent(subject_ref)), RecordedIntent)


async def test_all_of_a_batch_that_was_not_answered_count_as_not_begun(
    wired_log: PostgresTransferLog, wire: tuple[Wire, str], owner: RawConnection, subject_ref: SubjectRef
) -> None:
    intents = [an_intent(subject_ref) for _ in range(10)]
    wire[0].arm(Cut.BEFORE_ITS_ANSWER, intents[4].id.bytes)
    answers = await asyncio.gather(*map(wired_log.record_intent, intents), return_exceptions=True)
    assert {type(answer) for answer in answers} == {LedgerUnavailable}
    for intent in intents:
        assert await until(partial(outcomes_of, owner, intent.id)) == [(1, "not-delivered")]


async def test_an_intent_that_never_arrived_has_no_row_and_no_outcome(
    wired_log: PostgresTransferLog, wire: tuple[Wire, str], owner: RawConnection, subject_ref: SubjectRef
) -> None:
    intent = an_intent(subject_ref)
    wire[0].arm(Cut.BEFORE_IT_ARRIVES, intent.id.bytes)
    with pytest.raises(LedgerUnavailable):
        await wired_log.record_intent(intent)

    async def resolved() -> bool:
        return len(wired_log._doubts) == 0

    await until(resolved)
    assert await owner.fetchval("select count(*) from transfers") == 0
    assert await outcomes_of(owner, intent.id) == []


async def test_a_commit_that_nobody_waits_for_any_more_does_not_come_through_later(
    ledger_database: LedgerDatabase,
    wired_log: PostgresTransferLog,
    wire: tuple[Wire, str],
    owner: RawConnection,
    subject_ref: SubjectRef,
) -> None:
    intent = an_intent(subject_ref)

    async def resolved() -> bool:
        return len(wired_log._doubts) == 0

    async with connected(ledger_database.owner_url) as other, other.transaction():
        # The server process waits for this lock when its client vanishes, and would commit once it is free.
        await other.execute("select 1 from standings for update")
        wire[0].arm(Cut.WHILE_IT_RUNS, intent.id.bytes)
        with pytest.raises(LedgerUnavailable):
            await wired_log.record_intent(intent)
        await until(resolved)
    assert await owner.fetchval("select count(*) from transfers") == 0


async def test_a_caller_that_is_gone_leaves_a_transfer_that_was_not_delivered(
    ledger_database: LedgerDatabase, log: PostgresTransferLog, owner: RawConnection, subject_ref: SubjectRef
) -> None:
    intents = [an_intent(subject_ref) for _ in range(3)]
    async with connected(ledger_database.owner_url) as other, other.transaction():
        await other.execute("select 1 from standings for update")
        tasks = [asyncio.create_task(log.record_intent(intent)) for intent in intents]
        await asyncio.sleep(0.1)
        tasks[1].cancel()
        await asyncio.sleep(0)
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [RecordedIntent, asyncio.CancelledError, RecordedIntent]
    assert await until(lambda: outcomes_of(owner, intents[1].id)) == [(1, "not-delivered")]
    assert await outcomes_of(owner, intents[0].id) == []


async def test_at_most_two_batches_are_in_flight(
    ledger_database: LedgerDatabase, log: PostgresTransferLog, owner: RawConnection, subject_ref: SubjectRef
) -> None:
    async with connected(ledger_database.owner_url) as other, other.transaction():
        await other.execute("select 1 from standings for update")
        tasks = []
        for _ in range(12):
            tasks.append(asyncio.create_task(log.record_intent(an_intent(subject_ref))))
            await asyncio.sleep(0.02)
        async with connected(ledger_database.superuser_url) as onlooker:
            running = await onlooker.fetchval(
                """select count(*) from pg_stat_activity
                  where datname = current_database() and state = 'active' and query like 'select commit_intents%'"""
            )
        assert running == 2
    assert {type(answer) for answer in await asyncio.gather(*tasks)} == {RecordedIntent}
    sizes = Counter(row["xmin"] for row in await owner.fetch("select xmin::text from transfers"))
    assert sorted(sizes.values()) == [1, 1, 10]


async def test_an_intent_that_waited_longer_than_a_send_may_is_not_recorded(
    ledger_database: LedgerDatabase, owner: RawConnection, subject_ref: SubjectRef
) -> None:
    async with opened(ledger_database.service_url, send_within=timedelta(milliseconds=100)) as log:
        async with connected(ledger_database.owner_url) as other, other.transaction():
            await other.execute("select 1 from standings for update")
            tasks = []
            for _ in range(3):
                tasks.append(asyncio.create_task(log.record_intent(an_intent(subject_ref))))
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.1)
        answers = await asyncio.gather(*tasks, return_exceptions=True)
    # The first two were in flight: they are recorded, and their windows are over. The third was not begun.
    assert [type(answer) for answer in answers] == [RecordedIntent, RecordedIntent, Overloaded]


async def test_what_waits_is_bounded() -> None:
    gate = asyncio.Event()

    async def write(items: object) -> list[None]:
        await gate.wait()
        return [None] * len(list(items))  # type: ignore[call-overload]

    batches: Batches[int, None] = Batches(write, lanes=1, waiting=3)
    taken = [batches.add(0)]
    await asyncio.sleep(0)
    taken += [batches.add(number) for number in range(3)]
    with pytest.raises(Overloaded):
        await batches.add(4)
    gate.set()
    await asyncio.gather(*taken)
    await asyncio.wait_for(batches.add(5), timeout=5)


class Sending:
    """Callers that go on asking, and what they were answered."""

    def __init__(self, log: PostgresTransferLog, subject_ref: SubjectRef) -> None:
        self._log, self._subject_ref = log, subject_ref
        self._stop = asyncio.Event()
        self.asked: list[UUID] = []
        self.recorded: list[UUID] = []
        self.unavailable = 0

    async def go_on(self) -> None:
        while not self._stop.is_set():
            intent = an_intent(self._subject_ref)
            self.asked.append(intent.id)
            try:
                answer = await self._log.record_intent(intent)
            except LedgerUnavailable:
                self.unavailable += 1
                await asyncio.sleep(0.01)
            else:
                assert isinstance(answer, RecordedIntent)
                self.recorded.append(intent.id)
                await self._log.record_outcome(an_outcome(intent.id))

    async def more_than(self, recorded: int) -> bool:
        return len(self.recorded) > recorded

    def stop(self) -> None:
        self._stop.set()


def kill(cluster: Cluster) -> None:
    server = find_postmaster(cluster._folder)
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)


async def test_a_server_that_dies_under_load_costs_nothing_but_time() -> None:
    with serving_migrated(bundled_binaries()) as cluster, clone(cluster) as database:
        granted = new_subject()
        async with connected(database.owner_url) as connection:
            await set_standing(connection, granted)
        async with opened(database.service_url) as log:
            sending = Sending(log, granted)
            callers = [asyncio.create_task(sending.go_on()) for _ in range(8)]
            await until(lambda: sending.more_than(50))
            kill(cluster)
            await asyncio.sleep(0.3)
            before = len(sending.recorded)
            assert sending.unavailable > 0
            assert await asyncio.to_thread(cluster.ensure_running)
            await until(lambda: sending.more_than(before + 50))
            sending.stop()
            await asyncio.gather(*callers)
        async with connected(database.owner_url) as connection:
            rows = await connection.fetch(
                "select id, array(select state from outcomes where transfer_id = id) as states from transfers"
            )
        states = {row["id"]: row["states"] for row in rows}
    assert set(states) <= set(sending.asked)
    for transfer_id in sending.recorded:
        assert states.pop(transfer_id) == ["delivered"]
    # What was committed without an answer was not sent, and the record says so.
    assert all(left == ["not-delivered"] for left in states.values()), states


async def test_an_outcome_is_kept_until_the_database_takes_it(
    log: PostgresTransferLog, owner: RawConnection, subject_ref: SubjectRef
) -> None:
    intent, other = an_intent(subject_ref), an_intent(subject_ref)
    for one in (intent, other):
        assert isinstance(await log.record_intent(one), RecordedIntent)
    await owner.execute(
        f"""create function in_the_way() returns trigger language plpgsql as $$ begin
          if new.transfer_id = '{intent.id}' then raise exception 'not now'; end if; return new; end $$"""
    )
    await owner.execute(
        "create trigger in_the_way before insert on outcomes for each row execute function in_the_way()"
    )
    await asyncio.gather(log.record_outcome(an_outcome(intent.id)), log.record_outcome(an_outcome(other.id)))
    assert await outcomes_of(owner, intent.id) == []
    assert await outcomes_of(owner, other.id) == [(1, "delivered")]
    await owner.execute("drop trigger in_the_way on outcomes")
    assert await until(lambda: outcomes_of(owner, intent.id)) == [(1, "delivered")]


async def test_an_outcome_is_written_even_if_nobody_waits_for_it(
    ledger_database: LedgerDatabase, log: PostgresTransferLog, owner: RawConnection, subject_ref: SubjectRef
) -> None:
    intent = an_intent(subject_ref)
    await log.record_intent(intent)
    async with connected(ledger_database.owner_url) as other, other.transaction():
        await other.execute("lock table outcomes in exclusive mode")
        telling = asyncio.create_task(log.record_outcome(an_outcome(intent.id)))
        await asyncio.sleep(0.1)
        telling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await telling
        assert intent.id in log._worker._open
    assert await until(lambda: outcomes_of(owner, intent.id)) == [(1, "delivered")]

    async def closed() -> bool:
        return intent.id not in log._worker._open

    await until(closed)


async def test_a_job_that_could_not_be_written_is_said_to_be_unavailable(
    log: PostgresTransferLog, owner: RawConnection, subject_ref: SubjectRef
) -> None:
    intent = an_intent(subject_ref)
    await log.record_intent(intent)
    job = a_job(intent)
    await owner.execute("alter table jobs rename to jobs_elsewhere")
    with pytest.raises(LedgerUnavailable):
        await log.record_outcome(an_outcome(intent.id), job=job, outputs=[an_output(job)])
    assert await outcomes_of(owner, intent.id) == [], "all of it is written, or nothing"
    await owner.execute("alter table jobs_elsewhere rename to jobs")
    await log.record_outcome(an_outcome(intent.id), job=job)
    assert await owner.fetchval("select id from jobs") == job.id


async def test_an_outcome_written_twice_because_its_answer_was_lost_is_one(
    wired_log: PostgresTransferLog, wire: tuple[Wire, str], owner: RawConnection, subject_ref: SubjectRef
) -> None:
    intent = an_intent(subject_ref)
    await wired_log.record_intent(intent)
    wire[0].arm(Cut.BEFORE_ITS_ANSWER, intent.id.bytes)
    await wired_log.record_outcome(an_outcome(intent.id))
    assert wire[0].happened.is_set()

    async def written() -> bool:
        return wired_log._outcomes.kept == 0

    await until(written)
    assert await outcomes_of(owner, intent.id) == [(1, "delivered")]


async def test_what_a_provider_calls_its_reply_cannot_cost_the_outcome(
    log: PostgresTransferLog, owner: RawConnection, subject_ref: SubjectRef
) -> None:
    intent = an_intent(subject_ref)
    await log.record_intent(intent)
    await log.record_outcome(an_outcome(intent.id, provider_request_id="\ud800\0"))
    row = await owner.fetchrow("select state, detail from outcomes")
    assert row is not None
    assert (row["state"], row["detail"]["provider_request_id"], row["detail"]["http_status"]) == (
        "delivered",
        None,
        200,
    )


async def test_a_refusal_is_kept_until_the_database_takes_it(
    wired_log: PostgresTransferLog, wire: tuple[Wire, str], owner: RawConnection, subject_ref: SubjectRef
) -> None:
    refused = a_refusal(subject_ref)
    wire[0].arm(Cut.BEFORE_IT_ARRIVES, refused.id.bytes)
    await wired_log.record_refusal(refused)
    assert wire[0].happened.is_set()

    async def written() -> UUID | None:
        found: UUID | None = await owner.fetchval("select id from refusals")
        return found

    assert await until(written) == refused.id


async def test_a_log_opened_while_the_database_is_away_begins_when_it_comes() -> None:
    with serving_migrated(bundled_binaries()) as cluster, clone(cluster) as database:
        granted = new_subject()
        async with connected(database.owner_url) as connection:
            await set_standing(connection, granted)
        kill(cluster)
        async with opened(database.service_url) as log:
            with pytest.raises(LedgerUnavailable):
                await log.record_intent(an_intent(granted))
            await asyncio.to_thread(cluster.ensure_running)

            async def recorded() -> bool:
                try:
                    return isinstance(await log.record_intent(an_intent(granted)), RecordedIntent)
                except LedgerUnavailable:
                    return False

            await until(recorded)


async def test_no_intent_is_committed_after_what_it_stands_on_has_changed(
    ledger_database: LedgerDatabase, log: PostgresTransferLog, owner: RawConnection
) -> None:
    """Withdrawals, grants and new editions race commits; the server's own order of commits says who came first."""
    subjects = [new_subject() for _ in range(3)]
    await owner.execute("create table moves (subject_ref uuid, version bigint, edition bigint)")
    # Between what an intent's statement saw and its commit there is time enough for a withdrawal to overtake it.
    await owner.execute(
        """create function take_time() returns trigger language plpgsql as $$ begin
          perform pg_sleep(0.003); return null; end $$"""
    )
    await owner.execute("create trigger slow after insert on transfers for each statement execute function take_time()")
    for subject_ref in subjects:
        await set_standing(owner, subject_ref)
    believed: dict[object, int] = {"edition": 1, **dict.fromkeys(subjects, 1)}
    stop = asyncio.Event()
    answers: Counter[type] = Counter()

    async def send_on() -> None:
        while not stop.is_set():
            for subject_ref in subjects:
                permit = {"standing_version": believed[subject_ref], "edition": believed["edition"]}
                answers[type(await log.record_intent(an_intent(subject_ref, permit=permit)))] += 1

    async def change_standings(connection: RawConnection) -> None:
        for number in range(60):
            subject_ref = subjects[number % 3]
            async with connection.transaction():
                version = await connection.fetchval(
                    """update standings set version = version + 1,
                      state = case state when 'granted' then 'withdrawn' else 'granted' end
                      where subject_ref = $1 returning version""",
                    subject_ref,
                )
                await connection.execute("insert into moves values ($1, $2)", subject_ref, version)
            believed[subject_ref] = version
            await asyncio.sleep(0.01)

    async def change_rules(connection: RawConnection) -> None:
        for _ in range(30):
            async with connection.transaction():
                edition = await connection.fetchval("select move_edition()")
                await connection.execute("insert into moves values (null, null, $1)", edition)
            believed["edition"] = edition
            await asyncio.sleep(0.02)

    sending = [asyncio.create_task(send_on()) for _ in range(8)]
    async with connected(ledger_database.owner_url) as one, connected(ledger_database.owner_url) as two:
        await asyncio.gather(change_standings(one), change_rules(two))
    stop.set()
    await asyncio.gather(*sending)
    stale = await owner.fetchval(
        """select count(*) from transfers t join moves m
            on (m.subject_ref = t.subject_ref and m.version = t.standing_version + 1) or m.edition = t.edition + 1
          where pg_xact_commit_timestamp(t.xmin) > pg_xact_commit_timestamp(m.xmin)"""
    )
    assert stale == 0
    assert answers[RecordedIntent] > 50
    assert answers[FactsChanged] > 0
