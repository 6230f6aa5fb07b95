"""Where a person's identifier goes: into a digest, and nowhere else."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from consent_proxy.adapters.postgres.accesses import PostgresAccessLog
from consent_proxy.adapters.postgres.connections import Database, open_database
from consent_proxy.adapters.postgres.ledger import PostgresConsentLedger
from consent_proxy.adapters.postgres.rulebook import PostgresRulebook
from consent_proxy.adapters.postgres.secrets import load_keyring
from consent_proxy.adapters.postgres.subjects import PostgresSubjects
from consent_proxy.adapters.secrets import Keyring, SecretName
from consent_proxy.adapters.tokens import JwtTokenSigner
from consent_proxy.application.ports.pages import Page
from consent_proxy.application.ports.transfers import LedgerUnavailable
from consent_proxy.domain.subjects import identifier_from_text
from tests.builders import a_subject_token
from tests.conformance.samples import decision, disclosure, no, service_key, withdrawal, yes
from tests.conformance.test_access_log import access
from tests.open_transfers import open_transfer
from tests.postgres import LedgerDatabase

RAW = "Ada.Lovelace+test@example.org"
SECRET_KEY = "wraps-the-secrets-of-this-test"
TABLES = """
select c.relname from pg_class c where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p')
"""


@pytest.fixture
async def database(ledger_database: LedgerDatabase) -> AsyncIterator[Database]:
    opened = await open_database(ledger_database.service_url)
    yield opened
    await opened.aclose()


@pytest.fixture
async def keyring(database: Database) -> Keyring:
    return await load_keyring(database, secret_key=SECRET_KEY)


async def everything_written(ledger_database: LedgerDatabase) -> dict[str, str]:
    """Every row of every table as text, by table; bytes are hex digits in it."""
    owner = await open_database(ledger_database.owner_url)
    try:
        tables = [row["relname"] for row in await owner.fetch(TABLES)]
        return {
            table: "\n".join(row["text"] for row in await owner.fetch(f'select t::text as text from "{table}" t'))
            for table in tables
        }
    finally:
        await owner.aclose()


async def a_session(database: Database, keyring: Keyring) -> None:
    """Ada is asked, answers, is sent for, withdraws; somebody looks at her history."""
    ada = identifier_from_text(RAW)
    ref = await PostgresSubjects(database, digests=keyring).resolve(ada)
    ledger = PostgresConsentLedger(database, send_within=timedelta(0))
    rulebook = PostgresRulebook(database, send_within=timedelta(0))
    await rulebook.publish(disclosure(), by="admin")
    await rulebook.create_key(service_key())
    digest = keyring.idempotency(RAW, caller_id=ref)
    await ledger.decide(decision(ref, yes(), idempotency_digest=digest))
    await open_transfer(database, subject_ref=ref)
    JwtTokenSigner(keyring).mint(a_subject_token(subject_ref=ref))
    await rulebook.revoke_token("token-1", expires_at=datetime.now(UTC) + timedelta(hours=1))
    await rulebook.revoke_tokens_of(ref, issued_before=datetime.now(UTC))
    await ledger.decide(decision(ref, no()))
    await ledger.withdraw(withdrawal(ref))
    await PostgresAccessLog(database).record(access(subject_ref=ref))
    assert len((await ledger.events(ref, page=Page())).items) == 3


async def test_after_a_session_of_decisions_the_identifier_is_written_nowhere(
    ledger_database: LedgerDatabase, database: Database, keyring: Keyring, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await a_session(database, keyring)
    written = await everything_written(ledger_database)
    filled = {table for table, text in written.items() if text}
    assert filled >= {
        *("subjects", "subject_identifiers", "salts", "standings", "consent_events", "idempotency", "transfers"),
        *("accesses", "disclosures", "keys", "callers", "secrets", "token_revocations", "token_cutoffs"),
    }
    told = [*written.values(), caplog.text]
    for trace in (RAW, RAW.casefold(), "lovelace", RAW.encode().hex(), SECRET_KEY):
        assert not [text for text in told if trace.casefold() in text.casefold()]


async def test_after_a_session_no_secret_stands_in_the_open(
    ledger_database: LedgerDatabase, database: Database, keyring: Keyring
) -> None:
    await a_session(database, keyring)
    written = "\n".join((await everything_written(ledger_database)).values())
    values = [secret.value.hex() for versions in keyring._secrets.values() for secret in versions]
    assert len(values) == len(SecretName)
    assert not [value for value in values if value in written]


async def test_replicas_that_see_a_person_first_at_once_agree(
    ledger_database: LedgerDatabase, database: Database, keyring: Keyring
) -> None:
    other = await open_database(ledger_database.service_url)
    replicas = [PostgresSubjects(one, digests=keyring) for one in (database, other) * 4]
    for number in range(5):
        person = identifier_from_text(f"person-{number}")
        refs = await asyncio.gather(*(replica.resolve(person) for replica in replicas))
        assert len(set(refs)) == 1
    await other.aclose()
    for table in ("subjects", "subject_identifiers", "salts"):
        assert await database.fetchval(f"select count(*) from {table}") == 5


async def test_each_person_gets_a_random_reference_and_a_salt_of_its_own(database: Database, keyring: Keyring) -> None:
    subjects = PostgresSubjects(database, digests=keyring)
    refs = [await subjects.resolve(identifier_from_text(f"person-{number}")) for number in range(3)]
    assert {ref.version for ref in refs} == {4}
    rows = await database.fetch("select subject_ref, salt from salts")
    assert {row["subject_ref"] for row in rows} == set(refs)
    assert len({row["salt"] for row in rows}) == 3
    assert {len(row["salt"]) for row in rows} == {32}


async def test_a_reference_is_remembered_for_a_moment_and_then_looked_up_again(
    database: Database, keyring: Keyring
) -> None:
    subjects = PostgresSubjects(database, digests=keyring)
    ada = identifier_from_text(RAW)
    before = await subjects.resolve(ada)
    await database.execute("delete from subject_identifiers")
    assert await subjects.find(ada) == before
    subjects._known._monotonic = lambda: float("inf")
    assert await subjects.find(ada) is None
    assert await subjects.resolve(ada) != before


async def test_a_failure_repeats_neither_the_identifier_nor_its_digest(
    ledger_database: LedgerDatabase, database: Database, keyring: Keyring, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    owner = await open_database(ledger_database.owner_url)
    await owner.execute("alter table salts add constraint never check (false) not valid")
    await owner.aclose()
    ada = identifier_from_text(RAW)
    with pytest.raises(Exception, match="never") as raised:
        await PostgresSubjects(database, digests=keyring).resolve(ada)
    assert not isinstance(raised.value, LedgerUnavailable)
    told = f"{raised.value} {caplog.text}"
    assert RAW not in told
    assert keyring.subject(ada).hex() not in told
    assert await database.fetchval("select count(*) from subjects") == 0
