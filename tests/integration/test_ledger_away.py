"""Where the database is away, everything that needs it says so, in one word, and repeats nothing it was told."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from uuid import UUID

import pytest

from consent_proxy.adapters.postgres.accesses import PostgresAccessLog
from consent_proxy.adapters.postgres.connections import Database, open_database
from consent_proxy.adapters.postgres.jobs import PostgresJobs
from consent_proxy.adapters.postgres.ledger import PostgresConsentLedger
from consent_proxy.adapters.postgres.rulebook import PostgresRulebook
from consent_proxy.adapters.postgres.secrets import load_keyring
from consent_proxy.adapters.postgres.subjects import PostgresSubjects
from consent_proxy.application.ports.pages import Page
from consent_proxy.application.ports.transfers import LedgerUnavailable
from consent_proxy.domain.subjects import identifier_from_text
from tests.builders import NOW
from tests.conformance.samples import contract, decision, disclosure, new_ref, service_key, withdrawal, yes
from tests.conformance.test_access_log import access
from tests.fakes.digests import FakeDigests

ADA = identifier_from_text("ada@example.org")


def ledger(database: Database) -> PostgresConsentLedger:
    return PostgresConsentLedger(database, send_within=timedelta(seconds=1))


def rulebook(database: Database) -> PostgresRulebook:
    return PostgresRulebook(database, send_within=timedelta(seconds=1))


def subjects(database: Database) -> PostgresSubjects:
    return PostgresSubjects(database, digests=FakeDigests())


ASKED: dict[str, Callable[[Database], Awaitable[object]]] = {
    "decide": lambda database: ledger(database).decide(decision(new_ref(), yes())),
    "withdraw": lambda database: ledger(database).withdraw(withdrawal(new_ref())),
    "standings": lambda database: ledger(database).standings(new_ref()),
    "standings_at": lambda database: ledger(database).standings_at(new_ref(), at=NOW),
    "events": lambda database: ledger(database).events(new_ref(), page=Page()),
    "event": lambda database: ledger(database).event(new_ref()),
    "publish": lambda database: rulebook(database).publish(disclosure(), by="admin"),
    "put_contract": lambda database: rulebook(database).put_contract(contract(), by="admin"),
    "end_contract": lambda database: rulebook(database).end_contract("fal", at=NOW, by="admin"),
    "create_key": lambda database: rulebook(database).create_key(service_key()),
    "revoke_key": lambda database: rulebook(database).revoke_key(UUID(int=1), at=NOW),
    "revoke_token": lambda database: rulebook(database).revoke_token("token", expires_at=NOW),
    "revoke_tokens_of": lambda database: rulebook(database).revoke_tokens_of(new_ref(), issued_before=NOW),
    "last_used": lambda database: rulebook(database).last_used(),
    "resolve": lambda database: subjects(database).resolve(ADA),
    "find a subject": lambda database: subjects(database).find(ADA),
    "find a job": lambda database: PostgresJobs(database).find(UUID(int=1)),
    "last_outcome": lambda database: PostgresJobs(database).last_outcome(UUID(int=1)),
    "find_output": lambda database: PostgresJobs(database).find_output("unguessable"),
    "record an access": lambda database: PostgresAccessLog(database).record(access()),
    "accesses": lambda database: PostgresAccessLog(database).page(Page()),
    "load_keyring": lambda database: load_keyring(database, secret_key="wraps the secrets"),
}


@pytest.fixture
async def nowhere() -> AsyncIterator[Database]:
    opened = await open_database("postgresql://nobody@127.0.0.1:1/nothing")
    yield opened
    await opened.aclose()


@pytest.mark.parametrize("name", ASKED)
async def test_what_needs_the_database_says_that_it_is_away(
    name: str, nowhere: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(LedgerUnavailable) as raised:
        await ASKED[name](nowhere)
    told = f"{raised.value!r} {raised.value.__cause__!r} {caplog.text}"
    for secret in ("ada@example.org", "unguessable", "wraps the secrets", "ios"):
        assert secret not in told


async def test_a_key_can_be_used_while_its_use_cannot_be_noted(nowhere: Database) -> None:
    await rulebook(nowhere).note_key_used(UUID(int=1), at=NOW)
