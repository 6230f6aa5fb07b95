"""The consent ledger where it touches the database: its locks, its clock, its last guard, its waiting."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consent_proxy.adapters.postgres.connections import Connection, Database, open_database
from consent_proxy.adapters.postgres.ledger import PostgresConsentLedger
from consent_proxy.adapters.system import SystemClock
from consent_proxy.application.ports.consent import ConsentLedger
from consent_proxy.application.ports.pages import Page
from consent_proxy.application.ports.transfers import LedgerUnavailable
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.consent import Standing
from consent_proxy.domain.subjects import SubjectRef
from tests.conformance.samples import decision, new_ref, no, withdrawal, yes
from tests.fakes.ledger import FakeConsentLedger
from tests.open_transfers import close_transfer, commit_intent, open_transfer
from tests.postgres import LedgerDatabase

GENERATION = frozenset({Purpose.GENERATION})
#: A window that no test lives to see the end of: who waits for it does not come back in time.
ENDLESS = timedelta(minutes=10)
#: A window short enough to be waited out.
SHORT = timedelta(milliseconds=300)


@pytest.fixture
async def database(ledger_database: LedgerDatabase) -> AsyncIterator[Database]:
    opened = await open_database(ledger_database.service_url)
    yield opened
    await opened.aclose()


@pytest.fixture
def ledger(database: Database) -> PostgresConsentLedger:
    return PostgresConsentLedger(database, send_within=ENDLESS)


@asynccontextmanager
async def held(database: Database, statement: str, *values: object) -> AsyncIterator[Connection]:
    """Hold what a statement locks until the block ends."""
    async with database.transaction() as connection:
        await connection.execute(statement, *values)
        yield connection


async def until_blocked(connection: Connection, *, count: int = 1) -> None:
    """Return when so many others wait for a lock."""
    waiting = 0
    async with asyncio.timeout(10):
        while waiting < count:
            waiting = await connection.fetchval("select count(*) from pg_locks where not granted")
            await asyncio.sleep(0.01)


async def word_for_the_guard(database: Database, subject_ref: SubjectRef) -> dict[str, str]:
    rows = await database.fetch("select purpose, state from standings where subject_ref = $1", subject_ref)
    return {row["purpose"]: row["state"] for row in rows}


async def test_the_guards_word_is_granted_only_while_somebody_has_a_yes(
    ledger: PostgresConsentLedger, database: Database
) -> None:
    ref = new_ref()
    await ledger.decide(decision(ref, yes(), no(Purpose.TRAINING)))
    assert await word_for_the_guard(database, ref) == {"generation": "granted", "training": "not-granted"}
    await ledger.withdraw(withdrawal(ref, recipients=frozenset({"fal"})))
    assert await word_for_the_guard(database, ref) == {"generation": "granted", "training": "not-granted"}
    await ledger.withdraw(withdrawal(ref, recipients=frozenset({"replicate"})))
    assert await word_for_the_guard(database, ref) == {"generation": "not-granted", "training": "not-granted"}


async def test_a_subject_with_a_yes_that_came_too_late_passes_no_guard(
    ledger: PostgresConsentLedger, database: Database
) -> None:
    ref = new_ref()
    await ledger.decide(decision(ref, yes(), occurred_at=datetime.now(UTC) - timedelta(days=31)))
    edition = await database.fetchval("select edition from rules")
    assert await commit_intent(database, ref, version=0, edition=edition) is None


async def test_once_a_withdrawal_is_answered_no_intent_is_committed(
    ledger: PostgresConsentLedger, database: Database
) -> None:
    ref = new_ref()
    await ledger.decide(decision(ref, yes()))
    edition = await database.fetchval("select edition from rules")
    answered = False
    committed_late: list[UUID] = []

    async def commit_on_what_once_stood() -> None:
        while True:
            began_late = answered
            transfer_id = await commit_intent(database, ref, version=1, edition=edition)
            if began_late and transfer_id is not None:
                committed_late.append(transfer_id)
            if began_late:
                return

    senders = [asyncio.create_task(commit_on_what_once_stood()) for _ in range(6)]
    await asyncio.sleep(0.05)
    recorded = await ledger.withdraw(withdrawal(ref))
    answered = True
    await asyncio.gather(*senders)
    assert committed_late == []
    last_intent_at = await database.fetchval("select max(intent_at) from transfers where subject_ref = $1", ref)
    assert last_intent_at is not None
    assert last_intent_at < recorded.event.received_at


async def test_an_event_arrives_when_it_holds_the_standing_not_when_it_asked(
    ledger: PostgresConsentLedger, database: Database
) -> None:
    ref = new_ref()
    await ledger.decide(decision(ref, yes()))
    async with held(database, "select from standings where subject_ref = $1 for update", ref) as holder:
        coming = asyncio.create_task(ledger.withdraw(withdrawal(ref)))
        await until_blocked(holder)
        let_go_at = await holder.fetchval("select clock_timestamp()")
    assert (await coming).event.received_at >= let_go_at


async def test_a_server_clock_that_was_set_back_does_not_turn_the_order_round(
    ledger: PostgresConsentLedger, database: Database
) -> None:
    ref = new_ref()
    await ledger.decide(decision(ref, yes()))
    ahead = datetime.now(UTC) + timedelta(hours=1)
    await database.execute("update standings set updated_at = $2 where subject_ref = $1", ref, ahead)
    assert (await ledger.withdraw(withdrawal(ref))).event.received_at == ahead


async def test_nothing_is_decided_while_the_rules_change(ledger: PostgresConsentLedger, database: Database) -> None:
    ref = new_ref()
    async with held(database, "select move_edition()") as holder:
        coming = asyncio.create_task(ledger.decide(decision(ref, yes())))
        await until_blocked(holder)
        assert await ledger.standings(ref) == {}
    assert (await coming).standings[Purpose.GENERATION].granted_to_any


async def test_nothing_is_decided_while_the_subject_is_erased(
    ledger: PostgresConsentLedger, database: Database
) -> None:
    ref = new_ref()
    await database.execute("insert into subjects (subject_ref, created_at) values ($1, now())", ref)
    async with held(database, "update subjects set erased_at = now() where subject_ref = $1", ref) as holder:
        coming = asyncio.create_task(ledger.decide(decision(ref, yes())))
        await until_blocked(holder)
        assert not coming.done()
    await coming


async def test_two_decisions_do_not_wait_for_each_other_where_their_subjects_differ(
    ledger: PostgresConsentLedger, database: Database
) -> None:
    one, other = new_ref(), new_ref()
    await ledger.decide(decision(one, yes()))
    async with held(database, "select from standings where subject_ref = $1 for update", one), asyncio.timeout(5):
        await ledger.decide(decision(other, yes()))


async def test_a_second_request_with_a_key_waits_for_the_first_and_is_answered_by_it(
    ledger: PostgresConsentLedger, database: Database
) -> None:
    ref = new_ref()
    await ledger.decide(decision(ref, yes()))
    asked = [withdrawal(ref, idempotency_digest=b"one key") for _ in range(3)]
    async with held(database, "select from standings where subject_ref = $1 for update", ref) as holder:
        coming = [asyncio.create_task(ledger.withdraw(one)) for one in asked]
        await until_blocked(holder, count=3)
    answers = await asyncio.gather(*coming)
    assert len({answer.event.id for answer in answers}) == 1
    assert sorted(answer.replayed for answer in answers) == [False, True, True]
    assert await database.fetchval("select count(*) from consent_events where kind = 'withdrawal'") == 1


async def test_a_key_whose_first_request_failed_is_free_again(
    ledger: PostgresConsentLedger, database: Database
) -> None:
    ref = new_ref()
    await ledger.decide(decision(ref, yes()))
    async with held(database, "select from standings where subject_ref = $1 for update", ref) as holder:
        failing = asyncio.create_task(ledger.withdraw(withdrawal(ref, idempotency_digest=b"one key")))
        await until_blocked(holder)
        await holder.execute(
            "select pg_terminate_backend(pid) from pg_locks where not granted and pid <> pg_backend_pid()"
        )
        with pytest.raises(LedgerUnavailable):
            await failing
    assert await database.fetchval("select count(*) from idempotency") == 0
    assert (await ledger.standings(ref))[Purpose.GENERATION].granted_to_any
    again = await ledger.withdraw(withdrawal(ref, idempotency_digest=b"one key", request=b"another body"))
    assert not again.replayed


async def test_a_crowd_of_answers_on_a_few_subjects_ends_in_what_their_order_adds_up_to(
    ledger: PostgresConsentLedger,
) -> None:
    refs = [new_ref() for _ in range(3)]
    purposes = list(Purpose)

    async def answer(turn: int) -> None:
        ref = refs[turn % 3]
        first, second = purposes[turn % 2], purposes[1 - turn % 2]
        match turn % 5:
            case 0:
                await ledger.withdraw(withdrawal(ref))
            case 1:
                await ledger.withdraw(withdrawal(ref, purposes=frozenset({first})))
            case 2:
                await ledger.decide(decision(ref, yes(second), no(first, to=frozenset({"fal"}))))
            case _:
                await ledger.decide(decision(ref, yes(first), yes(second, to=["fal"])))

    await asyncio.gather(*(answer(turn) for turn in range(60)))
    for ref in refs:
        standings = await ledger.standings(ref)
        assert await ledger.standings_at(ref, at=datetime.now(UTC) + timedelta(days=1)) == standings
        assert len((await ledger.events(ref, page=Page())).items) == 20


answers = st.one_of(
    st.builds(
        lambda purpose, to: yes(purpose, to=sorted(to)),
        st.sampled_from(Purpose),
        st.frozensets(st.sampled_from(["fal", "replicate"]), min_size=1),
    ),
    st.builds(
        lambda purpose, to: no(purpose, to=to),
        st.sampled_from(Purpose),
        st.none() | st.frozensets(st.sampled_from(["fal", "replicate"]), min_size=1),
    ),
)
decisions = st.builds(
    lambda given, age: (given, age),
    st.lists(answers, min_size=1, max_size=3),
    st.sampled_from([None, timedelta(hours=1), timedelta(days=40)]),
)
withdrawals = st.tuples(
    st.none() | st.frozensets(st.sampled_from(Purpose), min_size=1),
    st.none() | st.frozensets(st.sampled_from(["fal", "replicate"]), min_size=1),
)


def meaning(standings: dict[Purpose, Standing]) -> object:
    """All but the moments and ids."""
    return {
        purpose: (
            standing.version,
            {name: (entry.state, entry.categories) for name, entry in standing.recipients.items()},
            standing.everyone.state if standing.everyone is not None else None,
        )
        for purpose, standing in standings.items()
    }


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(script=st.lists(decisions | withdrawals, max_size=6))
async def test_whatever_is_answered_the_standing_is_what_the_history_adds_up_to(
    script: list[tuple[object, object]], ledger: PostgresConsentLedger
) -> None:
    ref = new_ref()
    fake = FakeConsentLedger(SystemClock())

    async def play(on: ConsentLedger) -> None:
        for first, second in script:
            if isinstance(first, list):
                at = datetime.now(UTC) - second if isinstance(second, timedelta) else None
                await on.decide(decision(ref, *first, occurred_at=at))
            else:
                assert first is None or isinstance(first, frozenset)
                assert second is None or isinstance(second, frozenset)
                await on.withdraw(withdrawal(ref, purposes=first, recipients=second))

    await play(ledger)
    await play(fake)
    standings = await ledger.standings(ref)
    assert await ledger.standings_at(ref, at=datetime.now(UTC) + timedelta(hours=1)) == standings
    assert meaning(dict(standings)) == meaning(dict(await fake.standings(ref)))


async def waits(coming: Awaitable[None], *, at_least: timedelta) -> None:
    began = time.monotonic()
    await coming
    assert time.monotonic() - began >= at_least.total_seconds()


async def test_an_open_intent_is_waited_for_until_its_window_is_over(database: Database) -> None:
    opened = await open_transfer(database)
    ledger = PostgresConsentLedger(database, send_within=SHORT)
    await waits(ledger.wait_for_open_intents(opened.subject_ref, purposes=GENERATION), at_least=SHORT)


async def test_waiting_ends_with_the_last_outcome(ledger: PostgresConsentLedger, database: Database) -> None:
    first = await open_transfer(database)
    second = await open_transfer(database, subject_ref=first.subject_ref)
    await close_transfer(database, first.id)
    waiting = asyncio.create_task(ledger.wait_for_open_intents(first.subject_ref, purposes=GENERATION))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await close_transfer(database, second.id)
    async with asyncio.timeout(10):
        await waiting


async def test_nobody_waits_for_what_has_nothing_to_do_with_it(
    ledger: PostgresConsentLedger, database: Database, ledger_database: LedgerDatabase
) -> None:
    other, done = await open_transfer(database), await open_transfer(database)
    await close_transfer(database, done.id)
    async with asyncio.timeout(10):
        await ledger.wait_for_open_intents(new_ref(), purposes=frozenset(Purpose))
        await ledger.wait_for_open_intents(other.subject_ref, purposes=frozenset({Purpose.TRAINING}))
        await ledger.wait_for_open_intents(done.subject_ref, purposes=GENERATION)


async def test_nobody_waits_for_an_intent_whose_window_is_long_over(
    database: Database, ledger_database: LedgerDatabase
) -> None:
    opened = await open_transfer(database)
    owner = await open_database(ledger_database.owner_url)
    old, ref = new_ref(), new_ref()
    await owner.execute(
        "insert into transfers select $1, intent_at - interval '11 minutes', $2, purpose, standing_version, edition,"
        " worker, caller_id, caller, provider, recipient, model, categories, contract_id, country, details"
        " from transfers where id = $3",
        old,
        ref,
        opened.id,
    )
    await owner.aclose()
    async with asyncio.timeout(10):
        await PostgresConsentLedger(database, send_within=ENDLESS).wait_for_open_intents(ref, purposes=GENERATION)


async def test_an_intent_that_is_affirmed_before_each_request_is_waited_for_however_old_it_is(
    database: Database,
) -> None:
    opened = await open_transfer(database, uploads=True)
    await asyncio.sleep(SHORT.total_seconds() * 1.5)  # its own window is over; that of a later request may not be
    ledger = PostgresConsentLedger(database, send_within=SHORT)
    await waits(ledger.wait_for_open_intents(opened.subject_ref, purposes=GENERATION), at_least=SHORT)
    await close_transfer(database, opened.id)
    async with asyncio.timeout(10):
        await PostgresConsentLedger(database, send_within=ENDLESS).wait_for_open_intents(
            opened.subject_ref, purposes=GENERATION
        )


async def test_where_the_database_is_away_the_whole_window_is_waited_out() -> None:
    nowhere = await open_database("postgresql://nobody@127.0.0.1:1/nothing")
    ledger = PostgresConsentLedger(nowhere, send_within=SHORT)
    await waits(ledger.wait_for_open_intents(new_ref(), purposes=GENERATION), at_least=SHORT)
