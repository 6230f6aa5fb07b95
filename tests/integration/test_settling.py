"""Workers that die, or lose the lock that shows they live, and what becomes of the transfers they left open."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from consent_proxy.adapters.postgres import workers
from consent_proxy.adapters.postgres.advisory_locks import WORKER_LOCKS
from consent_proxy.adapters.postgres.connections import RawConnection, open_database
from consent_proxy.adapters.postgres.intents import PostgresTransferLog, open_transfer_log
from consent_proxy.adapters.system import SystemClock
from consent_proxy.application.ports.transfers import LedgerUnavailable
from consent_proxy.domain.subjects import SubjectRef
from consent_proxy.domain.transfers import RecordedIntent
from tests.integration.ledger_rows import connected, outcomes_of, set_standing, until
from tests.postgres import LedgerDatabase
from tests.transfer_samples import a_dispatch_with_an_upload, an_intent, an_outcome, new_subject

WITHIN = timedelta(milliseconds=400)
ROOT = Path(workers.__file__).parents[4]

# A service of its own that records an intent, says which, and then only waits.
SERVICE = """
import asyncio, sys
from datetime import datetime, timedelta
from uuid import UUID
from consent_proxy.adapters.postgres.connections import open_database
from consent_proxy.adapters.postgres.intents import open_transfer_log
from consent_proxy.adapters.system import SystemClock
from tests.transfer_samples import an_intent

async def main():
    database = await open_database(sys.argv[1])
    log = await open_transfer_log(database, clock=SystemClock(), send_within=timedelta(seconds=30))
    recorded = await log.record_intent(an_intent(UUID(sys.argv[2])))
    print(recorded.intent.id, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@asynccontextmanager
async def opened(url: str, *, send_within: timedelta = WITHIN) -> AsyncIterator[PostgresTransferLog]:
    database = await open_database(url)
    log = await open_transfer_log(database, clock=SystemClock(), send_within=send_within)
    try:
        yield log
    finally:
        await log.aclose(within=0.2)
        await database.aclose()


@pytest.fixture
async def owner(ledger_database: LedgerDatabase) -> AsyncIterator[RawConnection]:
    async with connected(ledger_database.superuser_url) as connection:
        yield connection


@pytest.fixture
async def subject_ref(owner: RawConnection) -> SubjectRef:
    """A subject whose consent stands."""
    granted = new_subject()
    await set_standing(owner, granted)
    return granted


async def record(log: PostgresTransferLog, subject_ref: SubjectRef) -> UUID:
    recorded = await log.record_intent(an_intent(subject_ref))
    assert isinstance(recorded, RecordedIntent)
    return recorded.intent.id


async def old_enough() -> None:
    """Let the send window of what was recorded so far pass: before that, nothing is settled in any case."""
    await asyncio.sleep(WITHIN.total_seconds() + 0.05)


async def holder_of(owner: RawConnection, worker: int) -> int | None:
    """The server process that holds a worker's lock."""
    pid: int | None = await owner.fetchval(
        """select pid from pg_locks l join pg_database d on d.oid = l.database and d.datname = current_database()
          where locktype = 'advisory' and classid = $1 and objid = $2 and granted""",
        WORKER_LOCKS,
        worker,
    )
    return pid


async def has_an_id(log: PostgresTransferLog) -> bool:
    try:
        return log._worker.id > 0
    except LedgerUnavailable:
        return False


async def test_what_a_killed_process_left_open_is_settled_as_indeterminate(
    ledger_database: LedgerDatabase, owner: RawConnection, subject_ref: SubjectRef
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SERVICE,
        ledger_database.service_url,
        str(subject_ref),
        stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )
    assert process.stdout is not None
    transfer_id = UUID((await process.stdout.readline()).decode().strip())
    async with opened(ledger_database.service_url) as log:
        assert await outcomes_of(owner, transfer_id) == [], "it lives"
        process.send_signal(signal.SIGKILL)
        await process.wait()

        async def settled() -> int:
            return await log._worker.settle()

        assert await until(settled) == 1
        assert await outcomes_of(owner, transfer_id) == [(1, "indeterminate")]
        assert await settled() == 0


async def test_a_new_process_settles_when_it_starts(
    ledger_database: LedgerDatabase, owner: RawConnection, subject_ref: SubjectRef
) -> None:
    async with opened(ledger_database.service_url) as log:
        transfer_id = await record(log, subject_ref)
    assert await outcomes_of(owner, transfer_id) == []
    await old_enough()
    async with opened(ledger_database.service_url):
        assert await outcomes_of(owner, transfer_id) == [(1, "indeterminate")]


async def test_a_transfer_with_uploads_is_settled_a_window_after_its_worker_was_lost(
    ledger_database: LedgerDatabase, owner: RawConnection, subject_ref: SubjectRef
) -> None:
    """Its intent may have been affirmed a moment before: the request after that may still begin."""
    async with opened(ledger_database.service_url) as log:
        recorded = await log.record_intent(an_intent(subject_ref, dispatch=a_dispatch_with_an_upload()))
        assert isinstance(recorded, RecordedIntent)
    transfer_id = recorded.intent.id
    await old_enough()
    async with opened(ledger_database.service_url) as log:
        assert await outcomes_of(owner, transfer_id) == [], "its worker was found to be gone just now"
        await old_enough()
        assert await log._worker.settle() == 1
        assert await outcomes_of(owner, transfer_id) == [(1, "indeterminate")]


async def test_what_may_still_be_about_to_be_sent_is_not_settled_yet(
    ledger_database: LedgerDatabase, owner: RawConnection, subject_ref: SubjectRef
) -> None:
    async with opened(ledger_database.service_url) as log:
        transfer_id = await record(log, subject_ref)
    async with opened(ledger_database.service_url, send_within=timedelta(hours=1)) as log:
        assert await log._worker.settle() == 0
        assert await outcomes_of(owner, transfer_id) == []


async def test_nothing_of_a_living_worker_is_settled(
    ledger_database: LedgerDatabase, owner: RawConnection, subject_ref: SubjectRef
) -> None:
    async with opened(ledger_database.service_url) as living, opened(ledger_database.service_url) as other:
        transfer_id = await record(living, subject_ref)
        assert living._worker.id != other._worker.id
        await old_enough()
        assert await other._worker.settle() == 0
        assert await living._worker.settle() == 0
        await living.record_outcome(an_outcome(transfer_id))
        assert await outcomes_of(owner, transfer_id) == [(1, "delivered")]


async def test_what_has_an_outcome_is_left_alone(
    ledger_database: LedgerDatabase, owner: RawConnection, subject_ref: SubjectRef
) -> None:
    async with opened(ledger_database.service_url) as log:
        transfer_id = await record(log, subject_ref)
        await log.record_outcome(an_outcome(transfer_id))
    await old_enough()
    async with opened(ledger_database.service_url):
        assert await outcomes_of(owner, transfer_id) == [(1, "delivered")]


async def let_in(owner: RawConnection, ledger_database: LedgerDatabase, *, anybody: bool) -> None:
    await owner.execute(f"alter database {ledger_database.name} with connection limit {-1 if anybody else 0}")


async def test_a_worker_without_its_lock_sends_nothing_and_takes_the_same_id_again(
    ledger_database: LedgerDatabase, owner: RawConnection, subject_ref: SubjectRef
) -> None:
    async with opened(ledger_database.service_url) as log:
        transfer_id, before = await record(log, subject_ref), log._worker.id
        await let_in(owner, ledger_database, anybody=False)
        await owner.fetchval("select pg_terminate_backend($1)", await holder_of(owner, before))

        async def lost() -> bool:
            return not await has_an_id(log)

        await until(lost)
        # The pool's own connections are well: it is the missing id that shuts the door.
        with pytest.raises(LedgerUnavailable, match="lock"):
            await log.record_intent(an_intent(subject_ref))
        await log.record_outcome(an_outcome(transfer_id))
        assert await outcomes_of(owner, transfer_id) == [(1, "delivered")]
        await let_in(owner, ledger_database, anybody=True)
        await until(lambda: has_an_id(log))
        assert log._worker.id == before
        assert await holder_of(owner, before) is not None
        await record(log, subject_ref)


@asynccontextmanager
async def grabbed(
    ledger_database: LedgerDatabase, owner: RawConnection, log: PostgresTransferLog
) -> AsyncIterator[RawConnection]:
    """Somebody waits for the worker's lock and has it the moment it is lost: the worker has to take a new id."""
    before = log._worker.id
    async with connected(ledger_database.service_url) as grabber:
        grabbing = asyncio.create_task(grabber.execute("select pg_advisory_lock($1, $2)", WORKER_LOCKS, before))
        await asyncio.sleep(0.1)
        await owner.fetchval("select pg_terminate_backend($1)", await holder_of(owner, before))
        await grabbing

        async def has_a_new_id() -> bool:
            return await has_an_id(log) and log._worker.id != before

        await until(has_a_new_id)
        yield grabber


async def test_who_was_settled_meanwhile_tells_its_real_outcome_all_the_same(
    ledger_database: LedgerDatabase, owner: RawConnection, subject_ref: SubjectRef
) -> None:
    async with opened(ledger_database.service_url) as log, opened(ledger_database.service_url) as other:
        transfer_id = await record(log, subject_ref)
        async with grabbed(ledger_database, owner, log):
            await old_enough()
            assert await other._worker.settle() == 0, "the lock of the old id is taken"
        assert await until(other._worker.settle) == 1
        assert await outcomes_of(owner, transfer_id) == [(1, "indeterminate")]
        await log.record_outcome(an_outcome(transfer_id))
        assert await outcomes_of(owner, transfer_id) == [(1, "indeterminate"), (2, "delivered")]


async def test_an_old_lock_is_taken_back_while_sends_are_open_under_it(
    ledger_database: LedgerDatabase, owner: RawConnection, subject_ref: SubjectRef
) -> None:
    async with opened(ledger_database.service_url) as log, opened(ledger_database.service_url) as other:
        transfer_id, before = await record(log, subject_ref), log._worker.id
        async with grabbed(ledger_database, owner, log) as grabber:
            await grabber.execute("select pg_advisory_unlock($1, $2)", WORKER_LOCKS, before)
            await log._worker._look()
        assert await holder_of(owner, before) is not None
        assert await holder_of(owner, before) == await holder_of(owner, log._worker.id)
        await old_enough()
        assert await other._worker.settle() == 0
        assert await outcomes_of(owner, transfer_id) == []
        await log.record_outcome(an_outcome(transfer_id))
        assert await outcomes_of(owner, transfer_id) == [(1, "delivered")]


async def test_nothing_is_affirmed_while_its_lock_is_held_by_another(
    ledger_database: LedgerDatabase, owner: RawConnection, subject_ref: SubjectRef
) -> None:
    async with opened(ledger_database.service_url) as log:
        recorded = await log.record_intent(an_intent(subject_ref))
        assert isinstance(recorded, RecordedIntent)
        async with grabbed(ledger_database, owner, log) as grabber:
            with pytest.raises(LedgerUnavailable, match="lock"):
                await log.affirm(recorded)
            await grabber.execute("select pg_advisory_unlock_all()")
            await log._worker._look()
            assert isinstance(await log.affirm(recorded), RecordedIntent)


async def test_an_intent_committed_while_the_lock_was_lost_is_not_begun(
    ledger_database: LedgerDatabase, owner: RawConnection, subject_ref: SubjectRef
) -> None:
    async with opened(ledger_database.service_url) as log:
        intent = an_intent(subject_ref)
        async with connected(ledger_database.owner_url) as other, other.transaction():
            await other.execute("select 1 from standings for update")
            recording = asyncio.create_task(log.record_intent(intent))
            await asyncio.sleep(0.1)
            async with grabbed(ledger_database, owner, log):
                pass
        with pytest.raises(LedgerUnavailable, match="lost its lock"):
            await recording
        assert await until(lambda: outcomes_of(owner, intent.id)) == [(1, "not-delivered")]


async def test_an_intent_committed_between_two_holdings_of_one_id_is_not_begun(
    ledger_database: LedgerDatabase, owner: RawConnection, subject_ref: SubjectRef
) -> None:
    async with opened(ledger_database.service_url) as log:
        intent, before = an_intent(subject_ref), log._worker.id
        async with connected(ledger_database.owner_url) as other, other.transaction():
            await other.execute("select 1 from standings for update")
            recording = asyncio.create_task(log.record_intent(intent))
            await asyncio.sleep(0.1)
            await owner.fetchval("select pg_terminate_backend($1)", await holder_of(owner, before))

            async def has_it_again() -> bool:
                return log._worker.tenure == 2 and await has_an_id(log)

            await until(has_it_again)
            assert log._worker.id == before
        with pytest.raises(LedgerUnavailable, match="lost its lock"):
            await recording
        assert await until(lambda: outcomes_of(owner, intent.id)) == [(1, "not-delivered")]


async def test_an_outcome_that_could_not_be_written_before_the_end_is_settled(
    ledger_database: LedgerDatabase, owner: RawConnection, subject_ref: SubjectRef
) -> None:
    await owner.execute(
        "create function in_the_way() returns trigger language plpgsql as $$ begin raise exception 'not now'; end $$"
    )
    await owner.execute(
        "create trigger in_the_way before insert on outcomes for each row execute function in_the_way()"
    )
    async with opened(ledger_database.service_url) as log:
        transfer_id = await record(log, subject_ref)
        await log.record_outcome(an_outcome(transfer_id))
    await owner.execute("drop trigger in_the_way on outcomes")
    assert await outcomes_of(owner, transfer_id) == []
    await old_enough()
    async with opened(ledger_database.service_url):
        assert await outcomes_of(owner, transfer_id) == [(1, "indeterminate")]


async def test_a_living_worker_says_from_where_on_something_may_be_open(
    ledger_database: LedgerDatabase, owner: RawConnection, subject_ref: SubjectRef
) -> None:
    async with opened(ledger_database.service_url) as log:
        transfer_id = await record(log, subject_ref)
        log._worker._clock = _Ahead(timedelta(days=2))
        await log._worker.settle()
        assert await owner.fetchval("select open_from from workers") == transfer_id
        await log.record_outcome(an_outcome(transfer_id))
        await log._worker.settle()
        assert await owner.fetchval("select open_from from workers") > transfer_id


async def test_a_dead_worker_is_looked_at_until_nothing_of_it_can_come(
    ledger_database: LedgerDatabase, owner: RawConnection
) -> None:
    async with opened(ledger_database.service_url) as log:
        dead = log._worker.id
    async with opened(ledger_database.service_url) as log:
        row = await owner.fetchrow("select lost_at, settled_at from workers where id = $1", dead)
        assert row is not None
        assert row["lost_at"] is not None
        assert row["settled_at"] is None
        await owner.execute("update workers set lost_at = now() - interval '11 minutes' where id = $1", dead)
        await log._worker.settle()
        assert await owner.fetchval("select settled_at from workers where id = $1", dead) is not None


class _Ahead(SystemClock):
    """A clock that is so far ahead."""

    def __init__(self, by: timedelta) -> None:
        self._by = by

    def now(self) -> datetime:
        return super().now() + self._by
