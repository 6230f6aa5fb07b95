"""What every ``TransferLog`` does: records what stands, refuses the rest, loses no outcome."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

import pytest

from consent_proxy.adapters.postgres.connections import open_database
from consent_proxy.adapters.postgres.intents import open_transfer_log
from consent_proxy.adapters.system import SystemClock
from consent_proxy.application.ports.transfers import TransferLog
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.consent import Standing
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.rules import Rules
from consent_proxy.domain.subjects import SubjectRef
from consent_proxy.domain.transfers import FactsChanged, OutcomeState, RecordedIntent, ResultState
from tests.builders import a_standing
from tests.fakes.facts import FakeFactsSource
from tests.fakes.jobs import FakeJobs
from tests.fakes.transfer_log import FakeTransferLog
from tests.integration.ledger_rows import connected, outcomes_of, set_standing
from tests.postgres import clone, postgres
from tests.transfer_samples import a_job, a_refusal, an_intent, an_outcome, an_output, new_id, new_subject

__all__ = ["postgres"]


class Surroundings(Protocol):
    """A log, and what a test has to say to and ask of the world around it."""

    @property
    def log(self) -> TransferLog: ...

    async def stand(self, subject_ref: SubjectRef, *, version: int = 1, granted: bool = True) -> None: ...

    async def move_edition(self) -> None: ...

    async def outcomes(self, transfer_id: UUID) -> list[tuple[int, str]]: ...

    async def refusals(self) -> set[UUID]: ...

    async def jobs(self) -> set[UUID]: ...

    async def output_expiries(self, job_id: UUID) -> list[datetime]: ...


class FakeSurroundings:
    def __init__(self) -> None:
        self._standings: dict[SubjectRef, Standing] = {}
        self._edition = 1
        self._jobs = FakeJobs()
        facts = FakeFactsSource(rules=lambda: Rules(edition=self._edition), standings=self._standings_of)
        self.log = FakeTransferLog(facts=facts, clock=SystemClock(), jobs=self._jobs)

    async def stand(self, subject_ref: SubjectRef, *, version: int = 1, granted: bool = True) -> None:
        standing = a_standing(subject_ref=subject_ref, version=version)
        self._standings[subject_ref] = standing if granted else replace(standing, recipients={})

    async def move_edition(self) -> None:
        self._edition += 1

    async def outcomes(self, transfer_id: UUID) -> list[tuple[int, str]]:
        known = self.log.outcomes.get(transfer_id, [])
        return sorted((outcome.seq, outcome.state.value) for outcome in known)

    async def refusals(self) -> set[UUID]:
        return set(self.log.refusals)

    async def jobs(self) -> set[UUID]:
        return set(self._jobs._jobs)

    async def output_expiries(self, job_id: UUID) -> list[datetime]:
        return [output.expires_at for output in self._jobs._outputs.values() if output.job_id == job_id]

    async def _standings_of(self, subject_ref: SubjectRef) -> Mapping[Purpose, Standing]:
        standing = self._standings.get(subject_ref)
        return {standing.purpose: standing} if standing is not None else {}


@dataclass
class PostgresSurroundings:
    url: str
    log: TransferLog

    async def stand(self, subject_ref: SubjectRef, *, version: int = 1, granted: bool = True) -> None:
        async with connected(self.url) as connection:
            await set_standing(connection, subject_ref, version=version, state="granted" if granted else "withdrawn")

    async def move_edition(self) -> None:
        async with connected(self.url) as connection:
            await connection.execute("select move_edition()")

    async def outcomes(self, transfer_id: UUID) -> list[tuple[int, str]]:
        async with connected(self.url) as connection:
            return await outcomes_of(connection, transfer_id)

    async def refusals(self) -> set[UUID]:
        return await self._ids("select id from refusals")

    async def jobs(self) -> set[UUID]:
        return await self._ids("select id from jobs")

    async def output_expiries(self, job_id: UUID) -> list[datetime]:
        async with connected(self.url) as connection:
            rows = await connection.fetch("select expires_at from outputs where job_id = $1", job_id)
        return [row["expires_at"] for row in rows]

    async def _ids(self, query: str) -> set[UUID]:
        async with connected(self.url) as connection:
            return {row["id"] for row in await connection.fetch(query)}


@pytest.fixture(params=["fake", "postgres"])
async def around(request: pytest.FixtureRequest) -> AsyncIterator[Surroundings]:
    if request.param == "fake":
        yield FakeSurroundings()
        return
    with clone(request.getfixturevalue("postgres")) as database:
        pool = await open_database(database.service_url)
        log = await open_transfer_log(pool, clock=SystemClock(), send_within=timedelta(seconds=1))
        yield PostgresSurroundings(url=database.service_url, log=log)
        await log.aclose()
        await pool.aclose()


async def test_an_intent_that_stands_is_recorded(around: Surroundings) -> None:
    subject_ref = new_subject()
    await around.stand(subject_ref)
    intent = an_intent(subject_ref)
    asked_at = SystemClock().monotonic()
    recorded = await around.log.record_intent(intent)
    assert isinstance(recorded, RecordedIntent)
    assert recorded.intent is intent
    assert asked_at + 1 <= recorded.begin_by <= SystemClock().monotonic() + 1
    assert abs(datetime.now(UTC) - recorded.intent_at) < timedelta(minutes=1)


async def test_a_subject_nobody_asked_gets_nothing_recorded(around: Surroundings) -> None:
    assert isinstance(await around.log.record_intent(an_intent(new_subject())), FactsChanged)


async def test_a_withdrawn_consent_records_nothing(around: Surroundings) -> None:
    subject_ref = new_subject()
    await around.stand(subject_ref, granted=False)
    assert isinstance(await around.log.record_intent(an_intent(subject_ref)), FactsChanged)


async def test_a_standing_that_moved_on_records_nothing(around: Surroundings) -> None:
    subject_ref = new_subject()
    await around.stand(subject_ref, version=2)
    assert isinstance(await around.log.record_intent(an_intent(subject_ref)), FactsChanged)
    second = an_intent(subject_ref, permit={"standing_version": 2})
    assert isinstance(await around.log.record_intent(second), RecordedIntent)


async def test_rules_that_moved_on_record_nothing(around: Surroundings) -> None:
    subject_ref = new_subject()
    await around.stand(subject_ref)
    await around.move_edition()
    assert isinstance(await around.log.record_intent(an_intent(subject_ref)), FactsChanged)


async def test_a_permit_that_has_run_out_records_nothing(around: Surroundings) -> None:
    subject_ref = new_subject()
    await around.stand(subject_ref)
    over = datetime.now(UTC) - timedelta(seconds=1)
    assert isinstance(await around.log.record_intent(an_intent(subject_ref, permit={"not_after": over})), FactsChanged)


async def test_many_at_once_are_each_answered_for_themselves(around: Surroundings) -> None:
    granted, withdrawn = new_subject(), new_subject()
    await around.stand(granted)
    await around.stand(withdrawn, granted=False)
    subjects = [granted if number % 3 else withdrawn for number in range(60)]
    answers = await asyncio.gather(*(around.log.record_intent(an_intent(ref)) for ref in subjects))
    assert [isinstance(answer, RecordedIntent) for answer in answers] == [ref == granted for ref in subjects]


async def test_an_affirmed_intent_has_a_new_window(around: Surroundings) -> None:
    subject_ref = new_subject()
    await around.stand(subject_ref)
    recorded = await around.log.record_intent(an_intent(subject_ref))
    assert isinstance(recorded, RecordedIntent)
    await asyncio.sleep(0.01)
    affirmed = await around.log.affirm(recorded)
    assert isinstance(affirmed, RecordedIntent)
    assert affirmed.intent is recorded.intent
    assert affirmed.begin_by > recorded.begin_by


async def test_an_intent_is_not_affirmed_once_its_consent_is_withdrawn(around: Surroundings) -> None:
    subject_ref = new_subject()
    await around.stand(subject_ref)
    recorded = await around.log.record_intent(an_intent(subject_ref))
    assert isinstance(recorded, RecordedIntent)
    await around.stand(subject_ref, version=2, granted=False)
    assert isinstance(await around.log.affirm(recorded), FactsChanged)


async def recorded_transfer(around: Surroundings) -> RecordedIntent:
    subject_ref = new_subject()
    await around.stand(subject_ref)
    recorded = await around.log.record_intent(an_intent(subject_ref))
    assert isinstance(recorded, RecordedIntent)
    return recorded


async def test_outcomes_are_kept_in_order(around: Surroundings) -> None:
    transfer_id = (await recorded_transfer(around)).intent.id
    await around.log.record_outcome(an_outcome(transfer_id, state=OutcomeState.PENDING))
    await around.log.record_outcome(an_outcome(transfer_id, seq=2))
    assert await around.outcomes(transfer_id) == [(1, "pending"), (2, "delivered")]


async def test_an_outcome_told_twice_is_one(around: Surroundings) -> None:
    transfer_id = (await recorded_transfer(around)).intent.id
    await asyncio.gather(*(around.log.record_outcome(an_outcome(transfer_id)) for _ in range(3)))
    assert await around.outcomes(transfer_id) == [(1, "delivered")]


async def test_an_outcome_whose_place_is_taken_by_another_comes_after_it(around: Surroundings) -> None:
    transfer_id = (await recorded_transfer(around)).intent.id
    await around.log.record_outcome(an_outcome(transfer_id, state=OutcomeState.INDETERMINATE))
    await around.log.record_outcome(an_outcome(transfer_id))
    assert await around.outcomes(transfer_id) == [(1, "indeterminate"), (2, "delivered")]


async def test_two_outcomes_at_once_are_both_kept(around: Surroundings) -> None:
    transfer_id = (await recorded_transfer(around)).intent.id
    await around.log.record_outcome(an_outcome(transfer_id))
    withheld, delivered = (an_outcome(transfer_id, seq=2, result=result) for result in ResultState)
    await asyncio.gather(around.log.record_outcome(withheld), around.log.record_outcome(delivered))
    assert await around.outcomes(transfer_id) == [(1, "delivered"), (2, "delivered"), (3, "delivered")]


async def test_a_transfer_that_was_never_recorded_has_no_outcome(around: Surroundings) -> None:
    stranger = new_id()
    await around.log.record_outcome(an_outcome(stranger))
    assert await around.outcomes(stranger) == []


async def test_the_job_and_its_outputs_come_with_the_outcome(around: Surroundings) -> None:
    recorded = await recorded_transfer(around)
    job = a_job(recorded.intent)
    output = an_output(job)
    await around.log.record_outcome(an_outcome(job.id), job=job, outputs=[output])
    assert await around.outcomes(job.id) == [(1, "delivered")]
    assert await around.jobs() == {job.id}
    assert await around.output_expiries(job.id) == [output.expires_at]


async def test_an_output_known_already_keeps_its_expiry(around: Surroundings) -> None:
    recorded = await recorded_transfer(around)
    job = a_job(recorded.intent)
    first = an_output(job)
    await around.log.record_outputs([first])
    await around.log.record_outputs([replace(first, expires_at=first.expires_at + timedelta(hours=1))])
    await around.log.record_outputs([])
    assert await around.output_expiries(job.id) == [first.expires_at]


async def test_a_refusal_is_recorded_once(around: Surroundings) -> None:
    refused = a_refusal(new_subject(), reason=Reason.MODEL_UNKNOWN, manifest=None, model="unknown", purpose=None)
    await around.log.record_refusal(refused)
    await around.log.record_refusal(refused)
    assert await around.refusals() == {refused.id}
