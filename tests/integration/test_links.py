"""Links where they touch the database: locks, the last guard, stale replicas, both sides' rows, what a link costs."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from consent_proxy.adapters.postgres import ledger as ledger_module
from consent_proxy.adapters.postgres import persons, writing
from consent_proxy.adapters.postgres.connections import Database, open_database
from consent_proxy.adapters.postgres.facts import PostgresFactsSource
from consent_proxy.adapters.postgres.ledger import PostgresConsentLedger
from consent_proxy.adapters.postgres.rulebook import PostgresRulebook
from consent_proxy.adapters.postgres.secrets import load_keyring
from consent_proxy.adapters.postgres.subjects import PostgresSubjects
from consent_proxy.adapters.postgres.transfers import PostgresTransferReader
from consent_proxy.application.ports.records import TransferQuery
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.links import Carry
from consent_proxy.domain.subjects import SubjectRef, identifier_from_text
from tests.conformance.samples import decision, link, new_ref, no, withdrawal, yes
from tests.integration.ledger_rows import until
from tests.open_transfers import commit_intent, open_transfer
from tests.postgres import LedgerDatabase

SHORT = timedelta(milliseconds=300)


@pytest.fixture
async def database(ledger_database: LedgerDatabase) -> AsyncIterator[Database]:
    opened = await open_database(ledger_database.service_url)
    yield opened
    await opened.aclose()


@pytest.fixture
def ledger(database: Database) -> PostgresConsentLedger:
    return PostgresConsentLedger(database, send_within=timedelta(0))


async def edition_of(database: Database) -> int:
    edition: int = await database.fetchval("select edition from rules")
    return edition


async def known_refs(database: Database, count: int) -> list[SubjectRef]:
    """References as identifiers get them: their rows are there to be locked."""
    refs = [new_ref() for _ in range(count)]
    await database.execute("insert into subjects (subject_ref, created_at) select unnest($1::uuid[]), now()", refs)
    return refs


async def blocked(database: Database) -> bool:
    return bool(await database.fetchval("select count(*) from pg_locks where not granted"))


async def test_an_intent_decided_before_a_link_is_committed_under_neither_reference_after_it(
    ledger: PostgresConsentLedger, database: Database
) -> None:
    guest, account = new_ref(), new_ref()
    for ref in (guest, account):
        await ledger.decide(decision(ref, yes()))
    recorded = await ledger.link(link(guest, into=account))
    edition = await edition_of(database)
    version = recorded.standings[Purpose.GENERATION].version
    for ref in (guest, account):
        for stale in range(version):
            assert await commit_intent(database, ref, version=stale, edition=edition) is None
    assert await commit_intent(database, guest, version=version, edition=edition) is None
    assert await commit_intent(database, account, version=version, edition=edition) is not None


async def test_senders_that_race_with_a_link_commit_nothing_once_it_is_answered(
    ledger: PostgresConsentLedger, database: Database
) -> None:
    guest, account = new_ref(), new_ref()
    await ledger.decide(decision(guest, no()))
    await ledger.decide(decision(account, yes()))
    edition = await edition_of(database)
    answered, late = False, []

    async def commit() -> None:
        while True:
            began_late = answered
            committed = await commit_intent(database, account, version=1, edition=edition)
            if began_late:
                late.append(committed)
                return

    senders = [asyncio.create_task(commit()) for _ in range(4)]
    await until(lambda: database.fetchval("select count(*) from transfers where subject_ref = $1", account))
    await ledger.link(link(guest, into=account))
    answered = True
    await asyncio.gather(*senders)
    assert late == [None] * 4


async def test_the_database_itself_keeps_a_standing_from_moving_where_its_reference_went_elsewhere(
    ledger: PostgresConsentLedger, database: Database
) -> None:
    guest, account, unseen = new_ref(), new_ref(), new_ref()
    await ledger.decide(decision(guest, yes()))
    await ledger.link(link(guest, into=account))
    await ledger.link(link(unseen, into=account))
    detail: dict[str, Any] = {"recipients": {}, "everyone": None}
    statements = (
        ("update standings set state = 'granted' where subject_ref = $1 and $2::jsonb is not null", guest),
        ("insert into standings values ($1, 'generation', 1, 'granted', $2, now()) on conflict do nothing", guest),
        ("insert into standings values ($1, 'generation', 1, 'granted', $2, now()) on conflict do nothing", unseen),
    )
    for statement, ref in statements:
        async with database.acquire() as connection:
            with pytest.raises(asyncpg.SerializationError):
                await connection.execute(statement, ref, detail)
    for led in (new_ref(), None):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="a link is for good"):
            await database.execute("update subjects set linked_into = $2 where subject_ref = $1", guest, led)


async def test_whatever_is_linked_at_once_ends_as_one_person(ledger: PostgresConsentLedger, database: Database) -> None:
    refs = [new_ref() for _ in range(6)]
    await ledger.decide(decision(refs[0], no()))
    pairs = [(one, other) for one in refs for other in refs if one != other]
    await asyncio.gather(*(ledger.link(link(one, into=other)) for one, other in pairs))
    people = {(await persons.find_person(database, ref)).stays for ref in refs}
    assert len(people) == 1
    assert len((await persons.find_person(database, refs[0])).references) == 6
    assert await database.fetchval("select count(*) from consent_events where kind = 'link'") == 5
    everyone = (await ledger.standings(refs[3]))[Purpose.GENERATION].everyone
    assert everyone is not None


async def test_answers_that_race_with_a_link_are_lost_under_no_reference(
    ledger: PostgresConsentLedger, database: Database
) -> None:
    for _ in range(5):
        guest, account = await known_refs(database, 2)
        await ledger.decide(decision(guest, yes()))
        await ledger.decide(decision(account, yes()))
        await asyncio.gather(
            ledger.withdraw(withdrawal(guest)),
            ledger.link(link(guest, into=account)),
            ledger.withdraw(withdrawal(guest, purposes=frozenset({Purpose.TRAINING}))),
        )
        standings = await ledger.standings(account)
        assert not any(standing.granted_to_any for standing in standings.values())
        assert await ledger.standings_at(account, at=datetime.now(UTC) + timedelta(hours=1)) == standings


async def test_an_answer_that_waits_for_a_link_goes_where_the_link_led(
    ledger: PostgresConsentLedger, database: Database
) -> None:
    guest, account = await known_refs(database, 2)
    await ledger.decide(decision(account, yes()))
    async with database.transaction() as holder:
        await holder.execute("select from subjects where subject_ref = $1 for update", guest)
        taken_back = asyncio.create_task(ledger.withdraw(withdrawal(guest)))
        await until(lambda: blocked(database))
        await holder.execute("update subjects set linked_into = $2 where subject_ref = $1", guest, account)
    recorded = await taken_back
    assert recorded.event.subject_ref == account
    assert not (await ledger.standings(account))[Purpose.GENERATION].granted_to_any


async def test_a_withdrawal_waits_for_what_was_committed_under_every_reference(database: Database) -> None:
    ledger = PostgresConsentLedger(database, send_within=SHORT)
    opened = await open_transfer(database)
    account = new_ref()
    await ledger.link(link(opened.subject_ref, into=account))
    began = asyncio.get_running_loop().time()
    await ledger.wait_for_open_intents(account, purposes=frozenset({Purpose.GENERATION}))
    assert asyncio.get_running_loop().time() - began >= SHORT.total_seconds()


async def test_the_facts_of_a_reference_that_went_are_those_of_the_one_that_stays(
    ledger: PostgresConsentLedger, database: Database
) -> None:
    guest, account = await known_refs(database, 2)
    for ref in (guest, account):
        for _ in range(3 if ref == guest else 1):
            await ledger.decide(decision(ref, yes()))
    replica = PostgresFactsSource(database)
    before = await replica.facts(guest, purpose=Purpose.GENERATION, fresh=False)
    assert before.standing.subject_ref == guest
    await ledger.link(link(guest, into=account))
    stale = await replica.facts(guest, purpose=Purpose.GENERATION, fresh=False)
    assert stale.standing == before.standing  # a replica may not know yet: the commit of the intent does
    fresh = await replica.facts(guest, purpose=Purpose.GENERATION, fresh=True)
    stays = await replica.facts(account, purpose=Purpose.GENERATION, fresh=True)
    assert (fresh.standing, fresh.salt) == (stays.standing, stays.salt)
    assert fresh.standing.subject_ref == account
    assert (await replica.facts(guest, purpose=Purpose.GENERATION, fresh=False)).standing == fresh.standing


async def test_an_identifier_leads_to_the_one_that_stays_on_every_replica(
    ledger: PostgresConsentLedger, database: Database
) -> None:
    keyring = await load_keyring(database, secret_key="wraps the secrets")
    here, there = (PostgresSubjects(database, digests=keyring) for _ in range(2))
    session, account = identifier_from_text("s-1", kind="session"), identifier_from_text("mia")
    guest, stays = await here.resolve(session), await here.resolve(account)
    assert await there.resolve(session) == guest
    await ledger.link(link(guest, into=stays))
    assert await there.find(session) == guest  # remembered for some seconds, and followed wherever it counts
    assert await there.follow(guest) == stays
    for replica in (here, there):
        assert await replica.find(session, fresh=True) == await replica.resolve(session, fresh=True) == stays
    assert await there.find(session) == stays
    assert await database.fetchval("select count(*) from salts") == 2


async def test_every_token_of_a_person_is_revoked_whichever_reference_it_carries(
    ledger: PostgresConsentLedger, database: Database
) -> None:
    guest, account = new_ref(), new_ref()
    await ledger.link(link(guest, into=account))
    rulebook = PostgresRulebook(database, send_within=timedelta(0))
    at = datetime.now(UTC)
    await rulebook.revoke_tokens_of(account, issued_before=at)
    rules = await PostgresFactsSource(database).rules(fresh=True)
    assert rules.tokens_revoked_before == {guest: at, account: at}


async def test_an_auditor_sees_the_transfers_of_both_sides_by_either_reference(
    ledger: PostgresConsentLedger, database: Database
) -> None:
    before = await open_transfer(database)
    account = new_ref()
    await ledger.link(link(before.subject_ref, into=account))
    after = await open_transfer(database, subject_ref=account)
    reader = PostgresTransferReader(database)
    for ref in (before.subject_ref, account):
        query = TransferQuery(subject_ref=SubjectRef(ref))
        page = await reader.page(query)
        assert [item["id"] for item in page.items] == [str(after.id), str(before.id)]
        assert [item["subject_ref"] for item in page.items] == [str(account), str(before.subject_ref)]
        assert [item["id"] async for item in reader.stream(query)] == [str(after.id), str(before.id)]


async def test_an_event_still_to_be_committed_holds_the_feed_and_is_not_passed_over(
    ledger: PostgresConsentLedger, database: Database
) -> None:
    first = await ledger.withdraw(withdrawal(new_ref()))
    async with database.transaction() as slow:
        # Numbered now and committed later: what a transaction does that waits for its disk, or whose process hangs.
        event = await slow.fetchval("select to_jsonb(e) from consent_events e where id = $1", first.event.id)
        slow_id = uuid4()
        await slow.execute("select append_consent_event($1)", event | {"id": str(slow_id)})
        quick = await ledger.withdraw(withdrawal(new_ref()))
        numbers = "select seq from consent_events where id = $1"
        assert await slow.fetchval(numbers, slow_id) < await database.fetchval(numbers, quick.event.id)
        part = await ledger.changes(after=None, limit=10)
        assert [one.id for one in part.items] == [first.event.id]
        held = await ledger.changes(after=part.next_cursor, limit=10)
        assert (held.items, held.next_cursor) == ((), part.next_cursor)
    later = await ledger.changes(after=held.next_cursor, limit=10)
    assert [one.id for one in later.items] == [slow_id, quick.event.id]


async def test_an_event_given_up_leaves_no_gap_that_the_feed_waits_at(
    ledger: PostgresConsentLedger, database: Database
) -> None:
    first = await ledger.withdraw(withdrawal(new_ref()))
    async with database.acquire() as failing:
        given_up = failing.transaction()
        await given_up.start()
        event = await failing.fetchval("select to_jsonb(e) from consent_events e where id = $1", first.event.id)
        await failing.execute("select append_consent_event($1)", event | {"id": str(uuid4())})
        await given_up.rollback()
    last = await ledger.withdraw(withdrawal(new_ref()))
    assert [one.id for one in (await ledger.changes(after=None, limit=10)).items] == [first.event.id, last.event.id]


SEED = """
insert into subjects (subject_ref, created_at, linked_into)
  select md5('account' || n)::uuid, now(), null from generate_series(1, 50000) n
  union all select md5('guest' || n)::uuid, now(), md5('account' || n)::uuid from generate_series(1, 50000) n;
insert into subject_identifiers (digest, subject_ref, kind, created_at)
  select decode(md5('account' || n), 'hex'), md5('account' || n)::uuid, 'account', now()
    from generate_series(1, 50000) n;
insert into standings (subject_ref, purpose, version, state, detail, updated_at)
  select md5('account' || n)::uuid, 'generation', 1, 'not-granted', '{"recipients": {}, "everyone": null}', now()
    from generate_series(1, 10000) n;
insert into consent_events (id, subject_ref, subject_kind, kind, received_at, answers, effective, actor, evidence,
    caller_id, caller, credential, environment, linked_from, carry)
  select gen_random_uuid(), md5('account' || n)::uuid, 'account', 'link', now(), '[]', true, 'operator', '{}',
    gen_random_uuid(), 'web-backend', '{}', 'test', md5('guest' || n)::uuid, 'all' from generate_series(1, 20000) n;
"""
#: What a link, and everybody who follows one, asks of the database, with one person to ask it of.
STATEMENTS = {
    "way": ("select linked_into from subjects where subject_ref = $1", "one"),
    "subjects": (writing._HOLD_SUBJECTS, "both"),
    "standings": (writing._LOCK_STANDINGS, "both", ["generation", "training"]),
    "subjects led": (ledger_module._LEAD, "one", "other"),
    "identifiers led": (ledger_module._LEAD_IDENTIFIERS, "one", "other"),
    "last link": (ledger_module._LAST_LINK, "one"),
    "history": (ledger_module._EVENTS_UNTIL, "both", datetime(2100, 1, 1, tzinfo=UTC)),
    "event before": (ledger_module._EVENT_BEFORE, "one", "other"),
    "page": (ledger_module._PAGES[True], "both", None, None, None, 10),
}


async def test_hundreds_of_links_among_a_hundred_thousand_read_no_table_from_end_to_end(
    ledger_database: LedgerDatabase,
) -> None:
    owner = await open_database(ledger_database.owner_url)
    await owner.execute(SEED)
    await check_plans(owner)
    async with owner.acquire() as connection:
        await connection.execute("analyze subjects, subject_identifiers, standings, consent_events")
    await check_plans(owner)
    await owner.aclose()
    # One connection, since each tells of its own scans only when it is asked to.
    database = await open_database(ledger_database.service_url, size=1)
    ledger = PostgresConsentLedger(database, send_within=timedelta(0))
    pairs = await database.fetch(
        "select md5('account' || n)::uuid as kept, md5('account' || (n + 1000))::uuid as taken"
        " from generate_series(1, 200) n"
    )
    before = await scanned(database)
    for start in range(0, len(pairs), 8):
        await asyncio.gather(
            *(
                ledger.link(link(SubjectRef(row["taken"]), into=SubjectRef(row["kept"]), carry=Carry.REFUSALS))
                for row in pairs[start : start + 8]
            )
        )
    assert await scanned(database) == before
    await database.fetchval("select count(*) from subjects where created_at is not null")
    assert await scanned(database) == before | {"subjects": before["subjects"] + 1}
    for row in pairs[:5]:
        person = await persons.find_person(database, SubjectRef(row["taken"]))
        # Each side had a guest of its own already.
        assert (person.stays, len(person.references)) == (row["kept"], 4)
    assert await database.fetchval("select count(*) from subjects where linked_into is not null") == 50_200
    await database.aclose()


async def check_plans(owner: Database) -> None:
    """No plan reads a table from end to end, with the values known and without."""
    one, other = new_ref(), new_ref()
    values = {"one": one, "other": other, "both": [one, other]}
    for name, (statement, *given) in STATEMENTS.items():
        asked = [values.get(value, value) if isinstance(value, str) else value for value in given]
        for mode in ("force_custom_plan", "force_generic_plan"):
            async with owner.transaction() as connection:
                await connection.execute(f"set local plan_cache_mode = {mode}")
                [(told,)] = await connection.fetch(f"explain (format json) {statement}", *asked)
                assert "Seq Scan" not in told, f"{name}: {told}"
                # Nor all of it in the order of its numbers, to throw away what is somebody else's.
                assert "uq_consent_events_seq" not in told, f"{name}: {told}"


async def scanned(database: Database) -> dict[str, int]:
    """How often each of the tables was read from end to end so far, by anybody."""
    tables = ["subjects", "subject_identifiers", "standings", "consent_events"]
    async with database.acquire() as connection:
        await connection.execute("select pg_stat_force_next_flush()")
        await connection.execute("select pg_stat_clear_snapshot()")
        rows = await connection.fetch(
            "select relname, seq_scan from pg_stat_user_tables where relname = any($1)", tables
        )
    return {row["relname"]: row["seq_scan"] for row in rows}
