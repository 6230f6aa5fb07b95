"""What every ``Jobs`` does: finds the work that transfers started by our own ids and capabilities."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.subjects import SubjectKind
from consent_proxy.domain.transfers import Cancel, Job, Outcome, OutcomeState, Output, ProviderJob, ResultState
from tests.conformance.at_hand import JobsAtHand
from tests.conformance.samples import LONG_AGO


def job(at_hand: JobsAtHand) -> Job:
    return Job(
        id=at_hand.transfer_id,
        caller_id=UUID(int=7),
        subject_ref=at_hand.subject_ref,
        subject_kind=SubjectKind.SESSION,
        provider="replicate",
        recipient="replicate",
        model="black-forest-labs/flux-schnell",
        purpose=Purpose.GENERATION.value,
        provider_job=ProviderJob(id="ufawqhfynnddngldkgtslldrkq", address="predictions"),
        operation="prediction",
        version="5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa",
        created_at=LONG_AGO,
    )


def outcome(at_hand: JobsAtHand) -> Outcome:
    return Outcome(transfer_id=at_hand.transfer_id, seq=1, state=OutcomeState.DELIVERED, http_status=201)


def output(at_hand: JobsAtHand, capability: str = "unguessable") -> Output:
    return Output(
        capability=capability,
        job_id=at_hand.transfer_id,
        caller_id=UUID(int=7),
        subject_ref=at_hand.subject_ref,
        provider="replicate",
        url="https://replicate.delivery/a/out.png",
        expires_at=LONG_AGO + timedelta(hours=1),
    )


async def test_nothing_is_found_of_a_transfer_that_led_to_nothing(at_hand: JobsAtHand) -> None:
    assert await at_hand.jobs.find(at_hand.transfer_id) is None
    assert await at_hand.jobs.last_outcome(at_hand.transfer_id) is None
    assert await at_hand.jobs.find_output("unguessable") is None


async def test_a_job_is_found_by_our_id_as_it_was_recorded(at_hand: JobsAtHand) -> None:
    await at_hand.note(outcome(at_hand), job=job(at_hand))
    assert await at_hand.jobs.find(at_hand.transfer_id) == job(at_hand)
    assert await at_hand.jobs.find(at_hand.transfer_id) == job(at_hand)


async def test_a_job_that_was_answered_at_once_has_no_name_at_the_provider(at_hand: JobsAtHand) -> None:
    answered = replace(job(at_hand), provider_job=None, version=None)
    await at_hand.note(outcome(at_hand), job=answered)
    assert await at_hand.jobs.find(at_hand.transfer_id) == answered


async def test_the_last_outcome_is_the_one_of_the_highest_number(at_hand: JobsAtHand) -> None:
    first = outcome(at_hand)
    last = replace(
        first,
        seq=2,
        completed_at=LONG_AGO + timedelta(seconds=3, microseconds=5),
        duration_ms=1_234,
        provider_request_id="req-1",
        bytes_received=42,
        cancel=Cancel(requested_at=LONG_AGO, result="http-200"),
        result=ResultState.WITHHELD,
    )
    await at_hand.note(first)
    assert await at_hand.jobs.last_outcome(at_hand.transfer_id) == first
    await at_hand.note(last)
    assert await at_hand.jobs.last_outcome(at_hand.transfer_id) == last


async def test_an_output_is_found_by_its_capability_alone_expired_or_not(at_hand: JobsAtHand) -> None:
    await at_hand.note(outcome(at_hand), job=job(at_hand), outputs=[output(at_hand), output(at_hand, "another")])
    assert await at_hand.jobs.find_output("unguessable") == output(at_hand)
    assert await at_hand.jobs.find_output("another") == output(at_hand, "another")
    for wrong in ("", "unguessabl", "UNGUESSABLE", "\ud800", "unguessable\0"):
        assert await at_hand.jobs.find_output(wrong) is None


async def test_an_output_that_is_named_again_keeps_its_expiry(at_hand: JobsAtHand) -> None:
    await at_hand.note(outcome(at_hand), job=job(at_hand), outputs=[output(at_hand)])
    later = replace(output(at_hand), expires_at=LONG_AGO + timedelta(days=1))
    await at_hand.note(replace(outcome(at_hand), seq=2), outputs=[later])
    assert await at_hand.jobs.find_output("unguessable") == output(at_hand)
