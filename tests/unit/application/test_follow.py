"""Following a job: whose it is, what is handed over, what is withheld after a no, what a cancel leaves behind."""

from uuid import uuid4

import pytest

from consent_proxy.application.follow import Followed, LateResults, cancel_job, find_job, job_result, job_status
from consent_proxy.application.ports.transfers import LedgerUnavailable
from consent_proxy.application.refuse import Refused
from consent_proxy.domain.consent import ConsentState
from consent_proxy.domain.refusals import Reason, Refusal
from consent_proxy.domain.subjects import SubjectRef
from consent_proxy.domain.transfers import (
    Answer,
    Job,
    Outcome,
    OutcomeState,
    ProviderJob,
    ResultState,
    Unanswered,
)
from tests.builders import NOW, SUBJECT, a_credential, a_subject_token
from tests.fakes.provider import an_answer
from tests.fakes.subjects import FakeSubjects
from tests.unit.application.world import OUTPUT_TTL, World

STRANGER = SubjectRef(uuid4())
PICTURE = "https://v3.fal.media/files/b/x/out.png"


async def a_running_job(world: World) -> Job:
    """A job that a send has started, with that send's outcome; the provider then answers what a test says."""
    world.provider.answers = [an_answer(provider_job=ProviderJob(id="theirs-1", address="fal-ai/flux"), finished=False)]
    step = await world.forward(operation="submit")
    assert not isinstance(step, Refused)
    job = await world.jobs.find(step.transfer_id)
    assert job is not None
    return job


async def result(world: World, job: Job, answer: Answer, late_results: LateResults = "withhold") -> Followed | Refused:
    world.provider.answers = [answer]
    return await job_result(
        job,
        credential=a_credential(),
        provider=world.provider,
        jobs=world.jobs,
        walk=world.walk,
        late_results=late_results,
    )


def last(world: World, job: Job) -> Outcome:
    outcome = world.log.last_outcome(job.id)
    assert outcome is not None
    return outcome


@pytest.mark.parametrize(
    ("credential", "named"),
    [(a_credential(), None), (a_credential(), SUBJECT), (a_subject_token(), None), (a_subject_token(), SUBJECT)],
)
async def test_a_job_is_found_by_its_caller_and_its_subject(world: World, credential: object, named: object) -> None:
    job = world.start_job()
    found = await find_job(job.id, credential=credential, subject_ref=named, jobs=world.jobs, subjects=FakeSubjects())  # type: ignore[arg-type]
    assert found == job


async def test_a_job_of_somebody_else_is_as_absent_as_one_that_never_was(world: World) -> None:
    job = world.start_job()
    tries = [
        await find_job(uuid4(), credential=a_credential(), subject_ref=None, jobs=world.jobs, subjects=FakeSubjects()),
        await find_job(
            job.id,
            credential=a_credential(caller_id=uuid4()),
            subject_ref=None,
            jobs=world.jobs,
            subjects=FakeSubjects(),
        ),
        await find_job(
            job.id, credential=a_credential(), subject_ref=STRANGER, jobs=world.jobs, subjects=FakeSubjects()
        ),
        await find_job(
            job.id,
            credential=a_subject_token(subject_ref=STRANGER),
            subject_ref=None,
            jobs=world.jobs,
            subjects=FakeSubjects(),
        ),
    ]
    assert len(set(tries)) == 1
    assert isinstance(tries[0], Refusal)
    assert tries[0].reason is Reason.JOB_NOT_YOURS


async def test_a_status_is_asked_with_logs_only_where_they_are_wanted(world: World) -> None:
    job = world.start_job()
    await job_status(job, provider=world.provider, logs=False)
    await job_status(job, provider=world.provider, logs=True)
    assert [what for what, _ in world.provider.asked] == ["status", "status with logs"]


async def test_a_finished_result_is_noted_once_and_its_files_get_our_names(world: World) -> None:
    job = await a_running_job(world)
    answer = an_answer(outputs=(PICTURE,), bytes_received=99)
    followed = await result(world, job, answer)
    again = await result(world, job, answer)

    assert isinstance(followed, Followed)
    assert isinstance(again, Followed)
    assert followed.capabilities == again.capabilities
    output = await world.jobs.find_output(followed.capabilities[PICTURE])
    assert output is not None
    assert (output.job_id, output.expires_at) == (job.id, NOW + OUTPUT_TTL)
    assert (last(world, job).seq, last(world, job).result) == (2, ResultState.DELIVERED)
    assert (last(world, job).bytes_received, last(world, job).completed_at) == (99, NOW)


async def test_a_result_that_is_not_there_yet_is_not_noted(world: World) -> None:
    job = await a_running_job(world)
    await result(world, job, an_answer(finished=False))
    await result(world, job, Unanswered(state=OutcomeState.INDETERMINATE, problem=Reason.PROVIDER_TIMEOUT))
    assert (last(world, job).seq, last(world, job).result) == (1, None)


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (ConsentState.WITHDRAWN, Reason.CONSENT_WITHDRAWN),
        (ConsentState.DECLINED, Reason.CONSENT_DECLINED),
    ],
)
async def test_after_a_no_a_result_is_withheld_and_the_provider_is_not_even_asked(
    world: World, state: ConsentState, reason: Reason
) -> None:
    job = await a_running_job(world)
    world.answer(state)
    refused = await result(world, job, an_answer(outputs=(PICTURE,)))

    assert isinstance(refused, Refused)
    assert refused.refusal.reason is reason
    assert world.provider.asked == []
    assert last(world, job).result is ResultState.WITHHELD
    record = world.log.refusals[refused.record_id]
    assert (record.model, record.purpose, record.reason) == (job.model, job.purpose, reason)


async def test_a_result_is_delivered_after_a_withdrawal_where_the_operator_says_so(world: World) -> None:
    job = await a_running_job(world)
    world.answer(ConsentState.WITHDRAWN)
    assert isinstance(await result(world, job, an_answer(), late_results="deliver"), Followed)
    assert last(world, job).result is ResultState.DELIVERED


async def test_a_consent_that_merely_ran_out_does_not_take_the_result_away(world: World) -> None:
    job = await a_running_job(world)
    world.answer(ConsentState.GRANTED)
    world.rules = type(world.rules)(edition=world.rules.edition + 1)  # the disclosure granted is known no more
    assert isinstance(await result(world, job, an_answer()), Followed)


async def test_a_result_is_not_handed_over_while_it_is_unknown_whether_the_consent_stands(world: World) -> None:
    job = await a_running_job(world)
    world.facts.away = True
    with pytest.raises(LedgerUnavailable):
        await result(world, job, an_answer())
    assert world.provider.asked == []


async def test_a_cancel_is_recorded_with_the_providers_answer(world: World) -> None:
    job = await a_running_job(world)
    world.provider.answers = [an_answer(http_status=202)]
    followed = await cancel_job(job, provider=world.provider, jobs=world.jobs, walk=world.walk)

    cancel = last(world, job).cancel
    assert cancel is not None
    assert (cancel.requested_at, cancel.result) == (NOW, "http-202")
    assert last(world, job).state is OutcomeState.DELIVERED
    assert followed.job == job


async def test_a_cancel_that_got_no_answer_is_recorded_as_that(world: World) -> None:
    job = await a_running_job(world)
    world.provider.answers = [Unanswered(state=OutcomeState.INDETERMINATE, problem=Reason.PROVIDER_TIMEOUT)]
    await cancel_job(job, provider=world.provider, jobs=world.jobs, walk=world.walk)
    cancel = last(world, job).cancel
    assert cancel is not None
    assert cancel.result == "provider-timeout"
