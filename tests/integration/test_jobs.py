"""What is kept of jobs and outputs, and what is remembered of them."""

from collections.abc import AsyncIterator
from hashlib import sha256

import pytest

from consent_proxy.adapters.postgres.connections import Database, open_database
from consent_proxy.adapters.postgres.jobs import PostgresJobs
from consent_proxy.adapters.postgres.outcomes import OutcomeWriter
from consent_proxy.adapters.system import SystemClock
from consent_proxy.domain.transfers import OutcomeState
from tests.open_transfers import open_transfer
from tests.postgres import LedgerDatabase
from tests.transfer_samples import a_job, an_intent, an_outcome, an_output


@pytest.fixture
async def database(ledger_database: LedgerDatabase) -> AsyncIterator[Database]:
    opened = await open_database(ledger_database.service_url)
    yield opened
    await opened.aclose()


async def test_a_capability_is_kept_only_as_what_it_hashes_to(database: Database) -> None:
    opened = await open_transfer(database)
    job = a_job(an_intent(opened.subject_ref), id=opened.id)
    output = an_output(job)
    writer = OutcomeWriter(database, clock=SystemClock(), written=lambda _: None)
    await writer.record(an_outcome(opened.id), job=job, outputs=[output])
    await writer.aclose(within=1)
    row = await database.fetchrow("select outputs::text as text, digest from outputs")
    assert row is not None
    assert row["digest"] == sha256(output.capability.encode()).digest()
    assert output.capability not in row["text"]
    assert await PostgresJobs(database).find_output(output.capability) == output


async def test_a_job_is_remembered_for_a_moment_and_then_looked_up_again(database: Database) -> None:
    opened = await open_transfer(database)
    job = a_job(an_intent(opened.subject_ref), id=opened.id)
    jobs = PostgresJobs(database)
    assert await jobs.find(job.id) is None
    writer = OutcomeWriter(database, clock=SystemClock(), written=lambda _: None)
    await writer.record(an_outcome(opened.id), job=job)
    await writer.aclose(within=1)
    assert await jobs.find(job.id) == job
    await database.execute("update jobs set model = 'another'")
    assert await jobs.find(job.id) == job
    jobs._known._monotonic = lambda: float("inf")
    found = await jobs.find(job.id)
    assert found is not None
    assert found.model == "another"


async def test_what_settling_wrote_is_read_as_an_outcome(database: Database) -> None:
    opened = await open_transfer(database)
    await database.execute(
        "select append_outcomes($1, $2, $3, $4)", [opened.id], [1], ["indeterminate"], [{"settled": True}]
    )
    outcome = await PostgresJobs(database).last_outcome(opened.id)
    assert outcome is not None
    assert outcome.state is OutcomeState.INDETERMINATE
    assert outcome.completed_at is None
