"""Changes of the rules where they touch the record: what they wait for, and what nobody may send after them."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from consent_proxy.adapters.postgres.connections import Database, open_database
from consent_proxy.adapters.postgres.ledger import PostgresConsentLedger
from consent_proxy.adapters.postgres.rulebook import PostgresRulebook
from consent_proxy.domain.disclosures import disclosure_sha256
from tests.builders import NOW
from tests.conformance.samples import contract, decision, disclosure, new_ref, service_key, yes
from tests.open_transfers import close_transfer, commit_intent, open_transfer
from tests.postgres import LedgerDatabase

ENDLESS = timedelta(minutes=10)
SHORT = timedelta(milliseconds=300)
KEY = service_key()

NARROWING: dict[str, Callable[[PostgresRulebook], Awaitable[object]]] = {
    "publish": lambda book: book.publish(disclosure(), by="admin"),
    "put_contract": lambda book: book.put_contract(contract(), by="admin"),
    "end_contract": lambda book: book.end_contract("fal", at=NOW, by="admin"),
    "revoke_key": lambda book: book.revoke_key(KEY.id, at=NOW),
    "revoke_token": lambda book: book.revoke_token("token", expires_at=NOW),
    "revoke_tokens_of": lambda book: book.revoke_tokens_of(new_ref(), issued_before=NOW),
}
OTHERS: dict[str, Callable[[PostgresRulebook], Awaitable[object]]] = {
    "create_key": lambda book: book.create_key(KEY),
    "note_key_used": lambda book: book.note_key_used(KEY.id, at=NOW),
    "last_used": lambda book: book.last_used(),
}


@pytest.fixture
async def database(ledger_database: LedgerDatabase) -> AsyncIterator[Database]:
    opened = await open_database(ledger_database.service_url)
    yield opened
    await opened.aclose()


@pytest.mark.parametrize("change", NARROWING)
async def test_what_narrows_the_rules_waits_for_sends_that_may_still_begin(change: str, database: Database) -> None:
    await open_transfer(database)
    began = time.monotonic()
    await NARROWING[change](PostgresRulebook(database, send_within=SHORT))
    assert time.monotonic() - began >= SHORT.total_seconds()


@pytest.mark.parametrize("change", NARROWING)
async def test_a_change_waits_for_nothing_where_nothing_is_open(change: str, database: Database) -> None:
    done, settled = await open_transfer(database), await open_transfer(database)
    await close_transfer(database, done.id)
    await database.execute("update workers set settled_at = now() where id = $1", settled.worker)
    async with asyncio.timeout(20):
        await NARROWING[change](PostgresRulebook(database, send_within=ENDLESS))


@pytest.mark.parametrize("change", OTHERS)
async def test_what_narrows_nothing_waits_for_nothing(change: str, database: Database) -> None:
    await open_transfer(database)
    async with asyncio.timeout(20):
        await OTHERS[change](PostgresRulebook(database, send_within=ENDLESS))


async def test_publishing_what_is_there_waits_for_nothing(database: Database) -> None:
    await PostgresRulebook(database, send_within=ENDLESS).publish(disclosure(), by="admin")
    await open_transfer(database)
    async with asyncio.timeout(20):
        assert not await PostgresRulebook(database, send_within=ENDLESS).publish(disclosure(), by="admin")


async def test_waiting_ends_with_the_outcome(database: Database) -> None:
    opened = await open_transfer(database)
    changing = asyncio.ensure_future(NARROWING["end_contract"](PostgresRulebook(database, send_within=ENDLESS)))
    await asyncio.sleep(0.2)
    assert not changing.done()
    await close_transfer(database, opened.id)
    async with asyncio.timeout(20):
        await changing


async def test_a_worker_notes_from_where_on_to_look_and_older_transfers_are_not_waited_for(database: Database) -> None:
    first, second = await open_transfer(database), await open_transfer(database)
    await database.execute("update workers set open_from = $2 where id = $1", first.worker, second.id)
    await close_transfer(database, second.id)
    async with asyncio.timeout(20):
        await NARROWING["put_contract"](PostgresRulebook(database, send_within=ENDLESS))


@pytest.mark.parametrize("change", [*NARROWING, "create_key"])
async def test_after_a_change_nothing_is_committed_on_the_rules_before(change: str, database: Database) -> None:
    ref = new_ref()
    book = PostgresRulebook(database, send_within=SHORT)
    await PostgresConsentLedger(database, send_within=SHORT).decide(decision(ref, yes()))
    edition = await database.fetchval("select edition from rules")
    assert await commit_intent(database, ref, version=1, edition=edition) is not None
    await (NARROWING | OTHERS)[change](book)
    assert await commit_intent(database, ref, version=1, edition=edition) is None
    assert await commit_intent(database, ref, version=1, edition=edition + 1) is not None


async def test_a_published_disclosure_keeps_the_digest_of_each_language(database: Database) -> None:
    shown = disclosure()
    await PostgresRulebook(database, send_within=SHORT).publish(shown, by="the admin")
    row = await database.fetchrow("select published_by, sha256_by_locale from disclosures")
    assert row is not None
    assert row["published_by"] == "the admin"
    assert row["sha256_by_locale"] == {
        locale: disclosure_sha256(shown.document, locale=locale) for locale in ("en", "de")
    }


async def test_a_revocation_is_forgotten_once_its_token_has_expired(database: Database) -> None:
    book = PostgresRulebook(database, send_within=SHORT)
    await book.revoke_token("old", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    await book.revoke_token("young", expires_at=datetime.now(UTC) + timedelta(hours=1))
    assert [row["token_id"] for row in await database.fetch("select token_id from token_revocations")] == ["young"]


async def test_the_use_of_a_key_is_written_once_a_minute_whichever_replica_saw_it(database: Database) -> None:
    one, other = (PostgresRulebook(database, send_within=SHORT) for _ in range(2))
    key = await one.create_key(service_key())
    await one.note_key_used(key.id, at=NOW)
    await other.note_key_used(key.id, at=NOW + timedelta(seconds=59))
    assert await one.last_used() == {key.id: NOW}
    third = PostgresRulebook(database, send_within=SHORT)
    await third.note_key_used(key.id, at=NOW + timedelta(seconds=60))
    assert await one.last_used() == {key.id: NOW + timedelta(seconds=60)}


async def test_no_text_of_a_key_is_kept(database: Database) -> None:
    key = await PostgresRulebook(database, send_within=SHORT).create_key(service_key())
    row = await database.fetchrow("select * from keys")
    assert row is not None
    assert row["digest"] == key.digest
    assert {type(value) for value in row.values()} <= {bytes, datetime, list, type(None), type(row["id"])}
    assert isinstance(row["id"], UUID)
