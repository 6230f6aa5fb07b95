"""Following a job: its status, its result, its end. Nothing of the subject's leaves on the way."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal
from uuid import UUID

from consent_proxy.application.forward import Walk, mint_outputs
from consent_proxy.application.ports.consent import Subjects
from consent_proxy.application.ports.providers import Provider
from consent_proxy.application.ports.transfers import Jobs
from consent_proxy.application.recognise import is_one_person
from consent_proxy.application.refuse import RefusalContext, Refused, refuse
from consent_proxy.domain.callers import Credential
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.consent import ConsentState
from consent_proxy.domain.decide import refusal_for_state
from consent_proxy.domain.refusals import Reason, Refusal
from consent_proxy.domain.subjects import SubjectRef
from consent_proxy.domain.transfers import Answer, Answered, Cancel, Job, Outcome, OutcomeState, ResultState

LateResults = Literal["withhold", "deliver"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """What the provider said of a job. ``capabilities`` maps its output URLs to ours."""

    job: Job
    answer: Answer
    capabilities: Mapping[str, str] = field(default_factory=dict)


async def find_job(
    job_id: UUID, *, credential: Credential, subject_ref: SubjectRef | None, jobs: Jobs, subjects: Subjects
) -> Job | Refusal:
    """The job, if it is the caller's and, where a subject is named by token or header, that subject's.

    One answer for a job that is not there and one that is somebody else's, so that ids cannot be probed.
    """
    job = await jobs.find(job_id)
    named = credential.subject_ref if credential.subject_ref is not None else subject_ref
    if (
        job is None
        or job.caller_id != credential.caller_id
        or (named is not None and not await is_one_person(job.subject_ref, named, subjects=subjects))
    ):
        return Refusal(reason=Reason.JOB_NOT_YOURS, detail="there is no such job of this caller and subject")
    return job


async def job_status(job: Job, *, provider: Provider, logs: bool) -> Followed:
    """How the job is doing. For providers whose status carries no result."""
    return Followed(job=job, answer=await provider.status(job, logs=logs))


async def job_result(
    job: Job, *, credential: Credential, provider: Provider, jobs: Jobs, walk: Walk, late_results: LateResults
) -> Followed | Refused:
    """The job's result or, where it is not finished, its state. After a withdrawal it is withheld if so set.

    Raises ``LedgerUnavailable``: a result is not handed over when it is unknown whether the consent still stands.
    """
    if late_results == "withhold":
        withheld = await _withheld(job, walk)
        if withheld is not None:
            await _note_result(job, ResultState.WITHHELD, jobs=jobs, walk=walk)
            context = RefusalContext(
                credential=credential,
                subject_ref=job.subject_ref,
                subject_kind=job.subject_kind,
                provider=job.provider,
                recipient=job.recipient,
                model=job.model,
                purpose=job.purpose,
            )
            return await refuse(withheld, context=context, walk=walk)
    answer = await provider.result(job)
    outputs = mint_outputs(answer, job=job, walk=walk)
    if isinstance(answer, Answered) and answer.finished and answer.problem is None:
        await _note_result(job, ResultState.DELIVERED, jobs=jobs, walk=walk, answer=answer)
    if outputs:
        await walk.log.record_outputs(outputs)
    return Followed(job=job, answer=answer, capabilities={output.url: output.capability for output in outputs})


async def cancel_job(job: Job, *, provider: Provider, jobs: Jobs, walk: Walk) -> Followed:
    """Ask the provider to stop, and record that we asked and what it said. Its yes may be a signal only."""
    requested_at = walk.clock.now()
    answer = await provider.cancel(job)
    result = f"http-{answer.http_status}" if isinstance(answer, Answered) else answer.problem.value
    last = await _last_outcome(job, jobs)
    # The first yes is the news; what the provider says to asking again takes nothing of it back.
    if last.cancel is None or not last.cancel.result.startswith("http-2"):
        cancel = Cancel(requested_at=requested_at, result=result)
        await walk.log.record_outcome(replace(last, seq=last.seq + 1, cancel=cancel))
    return Followed(job=job, answer=answer)


async def _withheld(job: Job, walk: Walk) -> Refusal | None:
    facts = await walk.facts.facts(job.subject_ref, purpose=Purpose(job.purpose), fresh=True)
    state = facts.standing.state(job.recipient, disclosures=facts.rules.disclosures, at=walk.clock.now())
    # A consent that ran out or was outdated was given for this very job; only a no takes its result away.
    taken_back = state in {ConsentState.WITHDRAWN, ConsentState.DECLINED}
    return refusal_for_state(state, purpose=job.purpose, recipient=job.recipient) if taken_back else None


async def _note_result(
    job: Job, result: ResultState, *, jobs: Jobs, walk: Walk, answer: Answered | None = None
) -> None:
    last = await _last_outcome(job, jobs)
    if last.result is not None:
        return
    noted = replace(last, seq=last.seq + 1, result=result)
    if answer is not None:
        noted = replace(noted, completed_at=walk.clock.now(), bytes_received=answer.bytes_received)
    await walk.log.record_outcome(noted)


async def _last_outcome(job: Job, jobs: Jobs) -> Outcome:
    # A job exists because its provider answered; its first outcome was committed with it.
    return await jobs.last_outcome(job.id) or Outcome(transfer_id=job.id, seq=0, state=OutcomeState.DELIVERED)
