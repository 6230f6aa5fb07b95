"""A ledger with a transparency log over it, for tests that write rows as the service does and check them as an auditor.

A test module that wants it imports the fixture `world` by name, and has `ledger_database`.
"""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from consent_proxy.adapters.postgres.connections import Database, RawConnection, open_database
from consent_proxy.adapters.postgres.intents import PostgresTransferLog, open_transfer_log
from consent_proxy.adapters.postgres.keyring import PostgresKeyring
from consent_proxy.adapters.postgres.ledger import PostgresConsentLedger
from consent_proxy.adapters.postgres.rulebook import PostgresRulebook
from consent_proxy.adapters.postgres.sequencer import Sequencer
from consent_proxy.adapters.postgres.subjects import PostgresSubjects
from consent_proxy.adapters.postgres.transparency import PostgresTransparencyLog
from consent_proxy.adapters.system import SystemClock
from consent_proxy.adapters.verifier.files import Asked, Export, Report
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.consent import Standing
from consent_proxy.domain.contracts import Contract
from consent_proxy.domain.subjects import SubjectIdentifier, SubjectKind, SubjectRef
from consent_proxy.domain.transfers import Intent, RecordedIntent
from tests.conformance.samples import contract, decision, disclosure, withdrawal, yes
from tests.integration.ledger_rows import connected
from tests.postgres import LedgerDatabase
from tests.transfer_samples import a_refusal, an_intent, an_outcome

SECRET_KEY = "the key of this test"


@dataclass(kw_only=True)
class LogWorld:
    """Everything that writes the record, and everything that reads the log; ``root`` is the superuser at work."""

    database: Database
    root: RawConnection
    keyring: PostgresKeyring
    log: PostgresTransferLog
    rulebook: PostgresRulebook
    subjects: PostgresSubjects
    ledger: PostgresConsentLedger
    sequencer: Sequencer
    transparency: PostgresTransparencyLog
    contract: Contract
    url: str

    async def subject(self) -> SubjectRef:
        """Somebody new, with a salt of their own."""
        return await self.subjects.resolve(SubjectIdentifier(kind=SubjectKind.ACCOUNT, value=f"person-{uuid4()}"))

    async def grant(self, ref: SubjectRef) -> UUID:
        """A yes to fal and Replicate; its event's id."""
        recorded = await self.ledger.decide(decision(ref, yes()))
        return recorded.event.id

    async def withdraw(self, ref: SubjectRef) -> UUID:
        recorded = await self.ledger.withdraw(withdrawal(ref))
        return recorded.event.id

    async def intent(self, ref: SubjectRef) -> Intent:
        """What is about to leave on what stands now."""
        standing: Standing = (await self.ledger.standings(ref))[Purpose.GENERATION]
        permit = {
            "consent": standing.entry("fal"),
            "standing_version": standing.version,
            "contract": self.contract,
            "edition": await self.database.fetchval("select edition from rules"),
        }
        return an_intent(ref, permit=permit)

    async def send(self, ref: SubjectRef) -> UUID:
        """A transfer that was delivered."""
        intent = await self.intent(ref)
        assert isinstance(await self.log.record_intent(intent), RecordedIntent)
        await self.log.record_outcome(an_outcome(intent.id))
        return intent.id

    async def refuse(self, ref: SubjectRef) -> UUID:
        refused = a_refusal(ref)
        await self.log.record_refusal(refused)
        return refused.id

    async def sequence(self) -> int:
        """Place all that is new; how many rows that were."""
        placed = 0
        while more := await self.sequencer.advance():
            placed += more
        return placed

    async def export(self) -> list[str]:
        return [line async for line in self.transparency.export()]

    async def verify(self, *, lines: Iterable[str] | None = None, **asked: Any) -> Report:
        """What an auditor finds in an export of now."""
        return Export(Asked(**asked)).read(await self.export() if lines is None else lines)

    async def wrong(self, **asked: Any) -> str:
        """The first thing an auditor finds wrong; empty where everything holds."""
        return next(iter((await self.verify(**asked)).findings), "")

    async def tamper(self, *statements: str) -> None:
        """What somebody with all rights may do: put the triggers aside, change something, put them back."""
        tables = await self.root.fetch(
            "select distinct tgrelid::regclass::text as name from pg_trigger where tgname = 'append_only'"
        )
        async with self.root.transaction():
            for table in tables:
                await self.root.execute(f"alter table {table['name']} disable trigger append_only")
            for statement in statements:
                await self.root.execute(statement)
            for table in tables:
                await self.root.execute(f"alter table {table['name']} enable always trigger append_only")

    async def places(self) -> Mapping[tuple[UUID, str], int]:
        """The index of each row in the log."""
        found = await self.database.fetch("select index, kind, row_id from log_leaves")
        return {(row["row_id"], row["kind"]): row["index"] for row in found}


@asynccontextmanager
async def opened_world(database: LedgerDatabase) -> AsyncIterator[LogWorld]:
    """A world with a disclosure and a contract, and nothing else."""
    pool = await open_database(database.service_url)
    keyring = PostgresKeyring(pool, secret_key=SECRET_KEY)
    await keyring.start()
    log = await open_transfer_log(pool, clock=SystemClock(), send_within=timedelta(seconds=30))
    within = timedelta(milliseconds=50)
    rulebook, terms = PostgresRulebook(pool, send_within=within), contract()
    await rulebook.publish(disclosure(), by="a test")
    await rulebook.put_contract(terms, by="a test")
    async with connected(database.superuser_url) as root:
        try:
            yield LogWorld(
                database=pool,
                root=root,
                keyring=keyring,
                log=log,
                rulebook=rulebook,
                subjects=PostgresSubjects(pool, digests=keyring),
                ledger=PostgresConsentLedger(pool, send_within=within),
                sequencer=Sequencer(pool, seal=keyring),
                transparency=PostgresTransparencyLog(pool),
                contract=terms,
                url=database.service_url,
            )
        finally:
            await log.aclose(within=0.2)
            await keyring.aclose()
            await pool.aclose()


@pytest.fixture
async def world(ledger_database: LedgerDatabase) -> AsyncIterator[LogWorld]:
    async with opened_world(ledger_database) as made:
        yield made


async def some_rows(world: LogWorld, *, people: int = 2) -> Sequence[UUID]:
    """People who say yes, for whom something leaves, who are refused something; the transfers' ids."""
    sent = []
    for _ in range(people):
        ref = await world.subject()
        await world.grant(ref)
        sent.append(await world.send(ref))
        await world.refuse(ref)
    return sent
