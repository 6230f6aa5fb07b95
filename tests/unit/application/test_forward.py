"""The walk: its order, where it turns to a refusal, when it goes round again, and what survives when things break."""

import asyncio
import hmac
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest

from consent_proxy.application.forward import MAX_WALKS, Forwarded
from consent_proxy.application.ports.transfers import LedgerUnavailable, Overloaded
from consent_proxy.application.refuse import UNKNOWN_MODEL, Refused
from consent_proxy.domain.categories import DataCategory
from consent_proxy.domain.consent import ConsentState
from consent_proxy.domain.manifests import FieldKind
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.transfers import (
    Answered,
    OutcomeState,
    ProviderJob,
    RecordedIntent,
    ResultState,
    Unanswered,
)
from tests.builders import DAY, NOW, SUBJECT, a_credential, a_field, a_manifest, a_request, a_subject_token
from tests.fakes.provider import FakeProvider, an_answer
from tests.unit.application.world import OUTPUT_TTL, World

PICTURE = "https://v3.fal.media/files/b/x/out.png"
WINDOW_CLOSED = Unanswered(state=OutcomeState.NOT_DELIVERED, problem=Reason.PROVIDER_UNREACHABLE, window_closed=True)


def refusal_of(step: Forwarded | Refused) -> Reason:
    assert isinstance(step, Refused), step
    return step.refusal.reason


def forwarded(step: Forwarded | Refused) -> Forwarded:
    assert isinstance(step, Forwarded), step
    return step


def stop_half_way(world: World) -> tuple[asyncio.Event, asyncio.Event]:
    """Let a send say when it is under way, and stop there until it is told to go on."""
    under_way, go_on = asyncio.Event(), asyncio.Event()

    async def wait(_: RecordedIntent) -> None:
        under_way.set()
        await go_on.wait()

    world.provider.during = wait
    return under_way, go_on


async def test_what_is_permitted_is_sent_and_what_became_of_it_is_recorded(world: World) -> None:
    step = forwarded(await world.forward(a_request(payload={"prompt": "a boat", "email": "mia@example.com"})))

    [(recorded, dispatch)] = world.provider.sent
    assert dispatch.content == b'{"prompt":"a boat"}'
    assert recorded.intent.id == step.transfer_id
    assert [dropped.path for dropped in step.payload.fields_dropped] == ["email"]
    outcome = world.log.last_outcome(step.transfer_id)
    assert outcome is not None
    assert (outcome.seq, outcome.state, outcome.http_status) == (1, OutcomeState.DELIVERED, 200)
    assert (outcome.completed_at, outcome.result) == (NOW, ResultState.DELIVERED)
    assert world.log.refusals == {}


async def test_the_intent_is_durable_before_the_first_byte_and_the_outcome_comes_after(world: World) -> None:
    seen: list[tuple[bool, bool]] = []

    async def look(recorded: RecordedIntent) -> None:
        seen.append((recorded.intent.id in world.log.intents, world.log.last_outcome(recorded.intent.id) is None))

    world.provider.during = look
    await world.forward()
    assert seen == [(True, True)]


async def test_the_intent_says_what_it_stands_on(world: World) -> None:
    world.walk = replace(world.walk, sandboxed=frozenset({"fal"}))
    step = forwarded(await world.forward(a_request(trace_id="4bf92f3577b34da6a3ce929d0e0e4736")))

    intent = world.log.intents[step.transfer_id]
    assert (intent.permit.standing_version, intent.permit.edition) == (world.standing.version, world.rules.edition)
    assert (intent.environment, intent.sandbox, intent.first_transfer_id) == ("test", True, None)
    assert intent.request.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"


async def test_the_digest_of_a_payload_is_keyed_with_the_persons_salt(world: World) -> None:
    step = forwarded(await world.forward())

    salt = sha256(SUBJECT.bytes).digest()
    wanted = hmac.new(salt, b'{"prompt":"a boat"}', sha256).hexdigest()
    assert world.log.intents[step.transfer_id].payload_digest == wanted


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (ConsentState.DECLINED, Reason.CONSENT_DECLINED),
        (ConsentState.WITHDRAWN, Reason.CONSENT_WITHDRAWN),
    ],
)
async def test_a_no_is_recorded_and_nothing_is_sent(world: World, state: ConsentState, reason: Reason) -> None:
    world.answer(state)
    step = await world.forward()

    assert refusal_of(step) is reason
    assert world.provider.sent == []
    assert world.log.intents == {}
    assert isinstance(step, Refused)
    refused = world.log.refusals[step.record_id]
    assert (refused.reason, refused.subject_ref, refused.edition) == (reason, SUBJECT, world.rules.edition)


async def test_a_refusal_is_recorded_without_any_value_of_the_request(world: World) -> None:
    payload: dict[str, Any] = {"prompt": "a boat", "steps": "mia@example.com", "mia@example.com": 1}
    step = await world.forward(a_request(payload=payload))

    assert refusal_of(step) is Reason.VALUE_NOT_ALLOWED
    [refused] = world.log.refusals.values()
    assert refused.fields_dropped == (("steps", "value-not-allowed"),)
    assert "mia" not in repr(refused)
    assert isinstance(step, Refused)
    assert "mia" not in step.refusal.detail


async def test_a_model_that_no_manifest_names_is_recorded_as_unknown(world: World) -> None:
    assert refusal_of(await world.forward(a_request(manifest=None))) is Reason.MODEL_UNKNOWN
    [refused] = world.log.refusals.values()
    assert (refused.model, refused.purpose, refused.manifest) == (UNKNOWN_MODEL, None, None)


async def test_a_remembered_no_is_read_again_before_it_is_given(world: World) -> None:
    world.answer(ConsentState.DECLINED)
    assert refusal_of(await world.forward()) is Reason.CONSENT_DECLINED
    world.answer(ConsentState.GRANTED)

    assert isinstance(await world.forward(), Forwarded)


async def test_a_remembered_yes_is_sent_on_without_another_reading(world: World) -> None:
    await world.forward()
    readings = world.facts.fresh_reads
    await world.forward()

    assert world.facts.fresh_reads == readings
    assert len(world.provider.sent) == 2


async def test_a_yes_that_was_taken_back_since_it_was_read_is_refused(world: World) -> None:
    await world.forward()
    world.answer(ConsentState.WITHDRAWN)

    assert refusal_of(await world.forward()) is Reason.CONSENT_WITHDRAWN
    assert len(world.provider.sent) == 1


async def test_an_intent_that_no_longer_stands_walks_again_with_fresh_facts(world: World) -> None:
    await world.forward()
    world.rules = replace(world.rules, edition=world.rules.edition + 1)
    step = forwarded(await world.forward())

    assert world.log.intents[step.transfer_id].permit.edition == world.rules.edition
    assert len(world.provider.sent) == 2


async def test_facts_that_never_stand_still_end_with_nothing_begun(world: World) -> None:
    readings = 0
    steady = world.facts.edition_now

    def moving() -> int:
        nonlocal readings
        readings += 1
        return steady() + readings

    world.facts.edition_now = moving  # type: ignore[method-assign]
    with pytest.raises(Overloaded):
        await world.forward()
    assert readings == MAX_WALKS
    assert world.provider.sent == []


async def test_a_send_that_came_too_late_is_not_delivered_and_the_next_one_names_it(world: World) -> None:
    world.provider.answers = [WINDOW_CLOSED, an_answer()]
    step = forwarded(await world.forward())

    (first, _), (second, _) = world.provider.sent
    assert step.transfer_id == second.intent.id
    assert second.intent.first_transfer_id == first.intent.id
    late, sent = (world.log.last_outcome(recorded.intent.id) for recorded in (first, second))
    assert late is not None
    assert sent is not None
    assert (late.state, late.http_status) == (OutcomeState.NOT_DELIVERED, None)
    assert sent.state is OutcomeState.DELIVERED


async def test_after_a_closed_window_everything_is_decided_anew(world: World) -> None:
    async def withdraw(_: RecordedIntent) -> None:
        world.answer(ConsentState.WITHDRAWN)

    world.provider.answers = [WINDOW_CLOSED, an_answer()]
    world.provider.during = withdraw

    assert refusal_of(await world.forward()) is Reason.CONSENT_WITHDRAWN
    assert len(world.provider.sent) == 1


async def test_every_further_try_names_the_first_and_the_tries_come_to_an_end(world: World) -> None:
    world.provider.answers = [WINDOW_CLOSED]
    step = forwarded(await world.forward())

    first, *others = [recorded.intent for recorded, _ in world.provider.sent]
    assert len(others) == MAX_WALKS - 1
    assert {intent.first_transfer_id for intent in others} == {first.id}
    assert (step.transfer_id, step.answer) == (first.id, WINDOW_CLOSED)


@pytest.mark.parametrize(("trouble", "error"), [("away", LedgerUnavailable), ("overloaded", Overloaded)])
async def test_without_a_recorded_intent_nothing_is_sent(world: World, trouble: str, error: type[Exception]) -> None:
    await world.facts.facts(SUBJECT, purpose=a_manifest().purpose, fresh=True)
    setattr(world.log, trouble, True)
    with pytest.raises(error):
        await world.forward()
    assert world.provider.sent == []


async def test_facts_that_cannot_be_read_permit_nothing(world: World) -> None:
    world.facts.away = True
    with pytest.raises(LedgerUnavailable):
        await world.forward()
    assert world.provider.sent == []


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (
            Unanswered(state=OutcomeState.NOT_DELIVERED, problem=Reason.PROVIDER_UNREACHABLE),
            OutcomeState.NOT_DELIVERED,
        ),
        (Unanswered(state=OutcomeState.INDETERMINATE, problem=Reason.PROVIDER_TIMEOUT), OutcomeState.INDETERMINATE),
    ],
)
async def test_a_send_without_an_answer_is_recorded_as_what_it_is_and_never_repeated(
    world: World, answer: Unanswered, state: OutcomeState
) -> None:
    world.provider.answers = [answer]
    step = forwarded(await world.forward())

    outcome = world.log.last_outcome(step.transfer_id)
    assert outcome is not None
    assert (outcome.state, outcome.http_status, outcome.result) == (state, None, None)
    assert (step.answer, len(world.provider.sent)) == (answer, 1)


async def test_an_answer_that_must_not_be_handed_on_is_delivered_without_a_result(world: World) -> None:
    world.provider.answers = [an_answer(http_status=402, problem=Reason.PROVIDER_REFUSED)]
    step = forwarded(await world.forward())

    outcome = world.log.last_outcome(step.transfer_id)
    assert outcome is not None
    assert (outcome.state, outcome.http_status, outcome.result) == (OutcomeState.DELIVERED, 402, None)


async def test_a_job_and_its_outputs_are_known_before_anyone_hears_of_them(world: World) -> None:
    theirs = ProviderJob(id="theirs-1", address="fal-ai/flux")
    world.provider.answers = [an_answer(provider_job=theirs, finished=False, outputs=(PICTURE, PICTURE))]
    step = forwarded(await world.forward(operation="submit"))

    job = await world.jobs.find(step.transfer_id)
    assert job is not None
    assert (job.provider_job, job.subject_ref, job.operation) == (theirs, SUBJECT, "submit")
    [(url, capability)] = step.capabilities.items()
    output = await world.jobs.find_output(capability)
    assert output is not None
    assert (output.url, output.job_id, output.expires_at) == (url, step.transfer_id, NOW + OUTPUT_TTL)


async def test_a_job_that_cannot_be_recorded_is_an_error_and_its_outcome_is_kept(world: World) -> None:
    async def lose_the_database(_: RecordedIntent) -> None:
        world.log.away = True

    world.provider.answers = [an_answer(provider_job=ProviderJob(id="theirs-1"), finished=False)]
    world.provider.during = lose_the_database
    step = forwarded(await world.forward(operation="submit"))

    assert isinstance(step.answer, Answered)
    assert step.answer.problem is Reason.INTERNAL_ERROR
    assert world.log.last_outcome(step.transfer_id) is None
    await world.log.come_back()
    outcome = world.log.last_outcome(step.transfer_id)
    assert outcome is not None
    assert (outcome.state, outcome.result) == (OutcomeState.DELIVERED, None)
    assert await world.jobs.find(step.transfer_id) is None


async def test_a_caller_that_hangs_up_does_not_stop_the_send_or_its_outcome(world: World) -> None:
    under_way, go_on = stop_half_way(world)
    caller = asyncio.create_task(world.forward())
    await under_way.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    [(recorded, _)] = world.provider.sent
    assert len(world.walk.sends) == 1

    go_on.set()
    await asyncio.wait(set(world.walk.sends))
    outcome = world.log.last_outcome(recorded.intent.id)
    assert outcome is not None
    assert outcome.state is OutcomeState.DELIVERED
    await asyncio.sleep(0)
    assert world.walk.sends == set()


async def test_a_provider_that_breaks_in_our_hands_leaves_an_honest_outcome(world: World) -> None:
    async def break_down(_: RecordedIntent) -> None:
        raise RuntimeError("a fault of ours")

    world.provider.during = break_down
    with pytest.raises(RuntimeError):
        await world.forward()
    [(recorded, _)] = world.provider.sent
    outcome = world.log.last_outcome(recorded.intent.id)
    assert outcome is not None
    assert outcome.state is OutcomeState.INDETERMINATE


async def test_a_provider_without_a_credential_is_refused_on_the_record_after_the_person_was_asked(
    world: World,
) -> None:
    world.provider = FakeProvider(configured=False)
    step = await world.forward()
    assert refusal_of(step) is Reason.PROVIDER_NOT_CONFIGURED
    assert [refused.reason for refused in world.log.refusals.values()] == [Reason.PROVIDER_NOT_CONFIGURED]

    world.answer(ConsentState.DECLINED)
    assert refusal_of(await world.forward()) is Reason.CONSENT_DECLINED


async def test_the_provider_knows_the_person_by_a_pseudonym_of_its_own(world: World) -> None:
    identifier = a_field("user", category=DataCategory.ACCOUNT_IDENTIFIER, kind=FieldKind.PSEUDONYM, required=False)
    manifest = a_manifest(a_field(), identifier)
    await world.forward(a_request(manifest=manifest, payload={"prompt": "a boat", "user": "mia@example.com"}))

    [(_, dispatch)] = world.provider.sent
    pseudonym = world.digests.pseudonym(SUBJECT, recipient="fal")
    assert dispatch.content == f'{{"prompt":"a boat","user":"{pseudonym}"}}'.encode()


async def test_a_strict_request_is_refused_rather_than_narrowed(world: World) -> None:
    step = await world.forward(a_request(payload={"prompt": "a boat", "email": "x"}, strict=True))
    assert refusal_of(step) is Reason.FIELD_NOT_PERMITTED
    [refused] = world.log.refusals.values()
    assert refused.fields_dropped == (("email", "field-not-permitted"),)


@pytest.mark.parametrize(
    ("request_of", "reason"),
    [
        ({"credential": a_subject_token(expires_at=NOW)}, Reason.CREDENTIAL_EXPIRED),
        ({"credential": a_credential(roles=frozenset())}, Reason.ROLE_MISSING),
        ({"stated_purpose": "training"}, Reason.PURPOSE_MISMATCH),
        ({"manifest": a_manifest(sub_processors=("stranger",))}, Reason.SUB_PROCESSOR_NOT_COVERED),
    ],
)
async def test_one_refusal_one_reason_one_record(world: World, request_of: dict[str, Any], reason: Reason) -> None:
    assert refusal_of(await world.forward(a_request(**request_of))) is reason
    assert [refused.reason for refused in world.log.refusals.values()] == [reason]
    assert world.provider.sent == []


async def test_a_consent_that_runs_out_between_decision_and_intent_is_not_used(world: World) -> None:
    await world.forward()
    world.clock.advance(2 * DAY + timedelta(seconds=1))

    assert refusal_of(await world.forward()) is Reason.CONTRACT_EXPIRED
    assert len(world.provider.sent) == 1
