"""Each port twice: the fake that stands in for it in other tests, and the real one on Postgres."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from consent_proxy.adapters.postgres.accesses import PostgresAccessLog
from consent_proxy.adapters.postgres.connections import Database, open_database
from consent_proxy.adapters.postgres.facts import PostgresFactsSource
from consent_proxy.adapters.postgres.jobs import PostgresJobs
from consent_proxy.adapters.postgres.ledger import PostgresConsentLedger
from consent_proxy.adapters.postgres.outcomes import OutcomeWriter
from consent_proxy.adapters.postgres.rulebook import PostgresRulebook
from consent_proxy.adapters.postgres.secrets import load_keyring
from consent_proxy.adapters.postgres.subjects import PostgresSubjects
from consent_proxy.adapters.system import SystemClock
from consent_proxy.application.ports.consent import ConsentLedger, Subjects
from consent_proxy.application.ports.records import AccessLog
from consent_proxy.domain.rules import Rules
from consent_proxy.domain.transfers import Job, Outcome, Output
from tests.conformance.at_hand import JobsAtHand, RulesAtHand
from tests.conformance.samples import new_ref
from tests.fakes.accesses import FakeAccessLog
from tests.fakes.jobs import FakeJobs
from tests.fakes.ledger import FakeConsentLedger
from tests.fakes.rulebook import FakeRulebook
from tests.fakes.subjects import FakeSubjects
from tests.open_transfers import open_transfer
from tests.postgres import LedgerDatabase, ledger_database, postgres

__all__ = ["ledger_database", "postgres"]

SEND_WITHIN = timedelta(seconds=1)


@pytest.fixture(params=["fake", "postgres"])
def which(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def database(ledger_database: LedgerDatabase) -> AsyncIterator[Database]:
    opened = await open_database(ledger_database.service_url)
    yield opened
    await opened.aclose()


@pytest.fixture
def ledger(which: str, request: pytest.FixtureRequest) -> ConsentLedger:
    if which == "fake":
        return FakeConsentLedger(SystemClock())
    return PostgresConsentLedger(request.getfixturevalue("database"), send_within=SEND_WITHIN)


@pytest.fixture
def rules(which: str, request: pytest.FixtureRequest) -> RulesAtHand:
    return _fake_rules() if which == "fake" else _real_rules(request.getfixturevalue("database"))


@pytest.fixture
def access_log(which: str, request: pytest.FixtureRequest) -> AccessLog:
    return FakeAccessLog() if which == "fake" else PostgresAccessLog(request.getfixturevalue("database"))


@pytest.fixture
def subjects(which: str, request: pytest.FixtureRequest) -> Subjects:
    return FakeSubjects() if which == "fake" else request.getfixturevalue("real_subjects")


@pytest.fixture
def at_hand(which: str, request: pytest.FixtureRequest) -> JobsAtHand:
    return _fake_jobs() if which == "fake" else request.getfixturevalue("real_jobs")


@pytest.fixture
async def real_subjects(database: Database) -> Subjects:
    return PostgresSubjects(database, digests=await load_keyring(database, secret_key="wraps the secrets"))


@pytest.fixture
async def real_jobs(database: Database) -> AsyncIterator[JobsAtHand]:
    opened = await open_transfer(database)
    writer = OutcomeWriter(database, clock=SystemClock(), written=lambda _: None)
    yield JobsAtHand(
        jobs=PostgresJobs(database), transfer_id=opened.id, subject_ref=opened.subject_ref, note=writer.record
    )
    await writer.aclose(within=1)


def _fake_jobs() -> JobsAtHand:
    jobs = FakeJobs()

    async def note(outcome: Outcome, *, job: Job | None = None, outputs: Sequence[Output] = ()) -> None:
        jobs.add(job, outcome=outcome)
        for output in outputs:
            jobs.add(output=output)

    return JobsAtHand(jobs=jobs, transfer_id=UUID(int=3), subject_ref=new_ref(), note=note)


def _fake_rules() -> RulesAtHand:
    book = FakeRulebook()

    async def read() -> Rules:
        return book.rules

    return RulesAtHand(book=book, read=read)


def _real_rules(database: Database) -> RulesAtHand:
    facts = PostgresFactsSource(database)
    return RulesAtHand(book=PostgresRulebook(database, send_within=SEND_WITHIN), read=lambda: facts.rules(fresh=True))
