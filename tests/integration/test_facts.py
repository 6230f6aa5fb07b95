"""The facts on a real database: fresh when asked for, cached when not, the same for all who ask at once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from consent_proxy.adapters.postgres.connections import Database, RawConnection, open_database
from consent_proxy.adapters.postgres.facts import PostgresFactsSource, SharedReads
from consent_proxy.adapters.postgres.rows import contract_to_document
from consent_proxy.application.ports.transfers import LedgerUnavailable
from consent_proxy.domain.callers import Role
from consent_proxy.domain.categories import DataCategory, Purpose
from consent_proxy.domain.subjects import SubjectRef
from tests.builders import CALLER, KEY, a_contract, a_standing
from tests.integration.ledger_rows import connected, set_standing
from tests.postgres import LedgerDatabase
from tests.transfer_samples import new_subject

DOCUMENT = {
    "version": "2026-03-03",
    "effective_at": "2026-03-03T00:00:00Z",
    "material": True,
    "outdates_at": "2026-04-01T02:00:00+02:00",
    "consent_valid_for": "P365D",
    "controller": {"name": "The company", "contact": "privacy@example.com", "policy_url": "https://example.com"},
    "recipients": [
        {"id": "fal", "legal_entity": "Features & Labels, Inc.", "country": "US"},
        {
            "id": "replicate",
            "legal_entity": "Replicate, Inc.",
            "country": "US",
            "purposes": ["training"],
            "categories": ["photo"],
        },
    ],
    "purposes": [
        {"id": "generation", "categories": ["prompt", "photo"], "description": {"en": "To make pictures"}},
        {"id": "training", "categories": ["photo"], "description": {"en": "To learn a face"}},
    ],
    "categories": {"photo": {"en": "Photos"}, "prompt": {"en": "What you type"}},
    "texts": {"en": {"title": "Your data", "body": "It goes there."}},
}


@pytest.fixture
async def owner(ledger_database: LedgerDatabase) -> AsyncIterator[RawConnection]:
    async with connected(ledger_database.owner_url) as connection:
        yield connection


@pytest.fixture
async def database(ledger_database: LedgerDatabase) -> AsyncIterator[Database]:
    opened = await open_database(ledger_database.service_url)
    yield opened
    await opened.aclose()


@pytest.fixture
def facts(database: Database) -> PostgresFactsSource:
    return PostgresFactsSource(database, bootstrap_caller=CALLER)


async def publish(owner: RawConnection) -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)
    async with owner.transaction():
        await owner.execute(
            "insert into disclosures values ($1, $2, $3, 'an admin', $4, '{}')",
            DOCUMENT["version"],
            datetime(2026, 3, 3, tzinfo=UTC),
            at,
            DOCUMENT,
        )
        await owner.execute("select move_edition()")


async def test_a_subject_nobody_asked_has_an_empty_standing_and_a_salt(facts: PostgresFactsSource) -> None:
    subject_ref = new_subject()
    found = await facts.facts(subject_ref, purpose=Purpose.TRAINING, fresh=True)
    assert found.fresh
    assert (found.standing.subject_ref, found.standing.purpose, found.standing.version) == (subject_ref, "training", 0)
    assert len(found.salt) == 32
    assert found.rules.edition == 1
    assert found.rules.bootstrap_caller == CALLER


async def test_a_standing_comes_back_as_it_was_written(facts: PostgresFactsSource, owner: RawConnection) -> None:
    subject_ref = new_subject()
    await set_standing(owner, subject_ref, version=3)
    found = await facts.facts(subject_ref, purpose=Purpose.GENERATION, fresh=True)
    assert found.standing == a_standing(subject_ref=subject_ref, version=3)


async def test_rules_come_back_as_they_were_written(facts: PostgresFactsSource, owner: RawConnection) -> None:
    before = await facts.rules(fresh=True)
    assert (before.disclosures, before.contracts, dict(before.keys)) == ((), (), {})
    await publish(owner)
    contract, subject_ref, caller_id = a_contract(), new_subject(), uuid4()
    async with owner.transaction():
        await owner.execute(
            "insert into contracts values ($1, $2, $3, $4, $5, $6, 'an admin')",
            contract.id,
            contract.recipient,
            contract_to_document(contract),
            contract.valid_from,
            contract.valid_until,
            contract.put_at,
        )
        await owner.execute("insert into callers values ($1, 'backend', now())", caller_id)
        await owner.execute(
            "insert into keys (id, caller_id, digest, roles, created_at) values ($1, $2, 'd', '{gateway}', now())",
            KEY,
            caller_id,
        )
        await owner.execute("insert into token_revocations values ('token-1', now())")
        await owner.execute("insert into token_cutoffs values ($1, $2)", subject_ref, contract.put_at)
        await owner.execute("select move_edition()")
    rules = await facts.rules(fresh=True)
    assert rules.edition == 3
    assert rules.contracts == (contract,)
    assert rules.revoked_tokens == {"token-1"}
    assert rules.tokens_revoked_before == {subject_ref: contract.put_at}
    key = rules.keys[b"d"]
    assert (key.id, key.caller_id, key.caller, key.roles) == (KEY, caller_id, "backend", frozenset({Role.GATEWAY}))
    disclosure = rules.disclosures[0]
    assert disclosure.document == DOCUMENT
    assert (disclosure.version, disclosure.material) == ("2026-03-03", True)
    assert disclosure.outdates_at == datetime(2026, 4, 1, tzinfo=UTC)
    assert disclosure.consent_valid_for == timedelta(days=365)
    assert disclosure.covers(recipient="fal", purpose=Purpose.GENERATION) == frozenset(
        {DataCategory.PROMPT, DataCategory.PHOTO}
    )
    assert disclosure.covers(recipient="replicate", purpose=Purpose.GENERATION) is None
    assert disclosure.covers(recipient="replicate", purpose=Purpose.TRAINING) == frozenset({DataCategory.PHOTO})


async def test_cached_facts_need_no_database(facts: PostgresFactsSource, database: Database) -> None:
    subject_ref = new_subject()
    first = await facts.facts(subject_ref, purpose=Purpose.GENERATION, fresh=False)
    await database.aclose()
    again = await facts.facts(subject_ref, purpose=Purpose.GENERATION, fresh=False)
    assert not again.fresh
    assert (again.rules, again.standing, again.salt) == (first.rules, first.standing, first.salt)
    assert await facts.rules(fresh=False) is first.rules
    with pytest.raises(LedgerUnavailable):
        await facts.facts(subject_ref, purpose=Purpose.GENERATION, fresh=True)
    with pytest.raises(LedgerUnavailable):
        await facts.facts(new_subject(), purpose=Purpose.GENERATION, fresh=False)


async def test_remembered_rules_are_read_again_after_a_while(database: Database, owner: RawConnection) -> None:
    facts = PostgresFactsSource(database, rules_life=0.0)
    before = await facts.rules(fresh=False)
    await publish(owner)
    assert (await facts.rules(fresh=False)).edition == before.edition + 1


async def test_fresh_facts_are_those_of_now_and_are_remembered(
    facts: PostgresFactsSource, owner: RawConnection
) -> None:
    subject_ref = new_subject()
    await facts.facts(subject_ref, purpose=Purpose.GENERATION, fresh=False)
    await set_standing(owner, subject_ref, version=5)
    await publish(owner)
    stale = await facts.facts(subject_ref, purpose=Purpose.GENERATION, fresh=False)
    assert (stale.standing.version, stale.rules.edition) == (0, 1)
    fresh = await facts.facts(subject_ref, purpose=Purpose.GENERATION, fresh=True)
    assert (fresh.standing.version, fresh.rules.edition, len(fresh.rules.disclosures)) == (5, 2, 1)
    cached = await facts.facts(subject_ref, purpose=Purpose.GENERATION, fresh=False)
    assert (cached.standing, cached.rules) == (fresh.standing, fresh.rules)


async def test_a_salt_is_made_once_whoever_asks_first(database: Database) -> None:
    subject_ref = new_subject()
    sources = [PostgresFactsSource(database) for _ in range(6)]
    found = await asyncio.gather(
        *(source.facts(subject_ref, purpose=Purpose.GENERATION, fresh=True) for source in sources)
    )
    assert len({facts.salt for facts in found}) == 1


async def test_what_is_remembered_is_bounded(database: Database) -> None:
    facts = PostgresFactsSource(database, cached=2)
    first, second, third = (new_subject() for _ in range(3))
    for subject_ref in (first, second, first, third):
        await facts.facts(subject_ref, purpose=Purpose.GENERATION, fresh=False)
    await database.aclose()
    for subject_ref in (first, third):
        await facts.facts(subject_ref, purpose=Purpose.GENERATION, fresh=False)
    with pytest.raises(LedgerUnavailable):
        await facts.facts(second, purpose=Purpose.GENERATION, fresh=False)


async def all_begun() -> None:
    """Let every task that can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


class Gated:
    """A read that answers when it is let through, with what stood when it began."""

    def __init__(self) -> None:
        self.value = 0
        self.reads = 0
        self.gate = asyncio.Event()

    async def __call__(self, _key: SubjectRef) -> int:
        self.reads += 1
        seen = self.value
        await self.gate.wait()
        if seen < 0:
            raise LedgerUnavailable
        return seen


async def test_who_asks_during_a_read_is_answered_by_the_next_and_all_by_the_same() -> None:
    gated, key = Gated(), new_subject()
    shared: SharedReads[SubjectRef, int] = SharedReads(gated)
    early = asyncio.create_task(shared.read(key))
    await all_begun()
    gated.value = 1
    late = [asyncio.create_task(shared.read(key)) for _ in range(5)]
    await all_begun()
    gated.gate.set()
    assert await early == 0
    assert await asyncio.gather(*late) == [1] * 5
    assert gated.reads == 2
    assert (shared._running, shared._next) == ({}, {})


async def test_a_read_that_fails_fails_for_those_who_asked_and_nobody_else() -> None:
    gated, key = Gated(), new_subject()
    shared: SharedReads[SubjectRef, int] = SharedReads(gated)
    gated.value = -1
    early = asyncio.create_task(shared.read(key))
    await all_begun()
    gated.value = 7
    late = asyncio.create_task(shared.read(key))
    await all_begun()
    gated.gate.set()
    with pytest.raises(LedgerUnavailable):
        await early
    assert await late == 7


async def test_who_stops_waiting_takes_nothing_away_from_the_others() -> None:
    gated, key = Gated(), new_subject()
    shared: SharedReads[SubjectRef, int] = SharedReads(gated)
    tasks = [asyncio.create_task(shared.read(key)) for _ in range(3)]
    await all_begun()
    tasks[0].cancel()
    await all_begun()
    gated.gate.set()
    assert await asyncio.gather(*tasks[1:]) == [0, 0]
