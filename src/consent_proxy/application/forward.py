"""The walk: from a request to an answer, through the one door. The only caller of ``Provider.send``."""

import asyncio
import hmac
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

from consent_proxy.application.hold_media import MediaRoom
from consent_proxy.application.ports.observation import Meter, Tracer, Trail
from consent_proxy.application.ports.platform import Clock, Digests, Identifiers
from consent_proxy.application.ports.providers import Provider
from consent_proxy.application.ports.transfers import FactsSource, LedgerUnavailable, Overloaded, TransferLog
from consent_proxy.application.refuse import RefusalContext, Refused, refuse
from consent_proxy.application.resolve_media import resolve_media
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.decide import Facts, Permit, TransferRequest, decide
from consent_proxy.domain.manifests import FieldKind
from consent_proxy.domain.media import MediaOwner
from consent_proxy.domain.minimise import MinimisedPayload, media_in, minimise
from consent_proxy.domain.refusals import Reason, Refusal
from consent_proxy.domain.transfers import (
    Answer,
    Answered,
    Dispatch,
    FactsChanged,
    Intent,
    Job,
    Outcome,
    OutcomeState,
    Output,
    ProviderCall,
    RecordedIntent,
    ResultState,
    Unanswered,
)

logger = logging.getLogger(__name__)

#: How often one request walks when what it stands on keeps changing, or its send window keeps closing.
MAX_WALKS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """What a walk needs. ``sandboxed`` names providers that are local stand-ins; ``sends`` holds those under way."""

    facts: FactsSource
    log: TransferLog
    digests: Digests
    clock: Clock
    ids: Identifiers
    media: MediaRoom
    meter: Meter
    tracer: Tracer
    environment: str
    output_ttl: timedelta
    sandboxed: frozenset[str] = frozenset()
    sends: set["asyncio.Task[Forwarded | FactsChanged]"] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarded:
    """An intent was recorded; this is what came of it. ``capabilities`` maps the provider's URLs to ours.

    ``provider_seconds`` is how long the provider took.
    """

    transfer_id: UUID
    provider_seconds: float
    answer: Answer
    payload: MinimisedPayload
    capabilities: Mapping[str, str] = field(default_factory=dict)


async def forward(
    request: TransferRequest, *, provider: Provider, call: ProviderCall, walk: Walk, traceparent: str | None = None
) -> Forwarded | Refused:
    """Send what is permitted of a request, once, or say why not.

    A no that rests on remembered facts is read again first; an intent that no longer stands, or whose send window
    closed, walks again with fresh facts. ``traceparent`` is the caller's, for our own trace alone.
    Raises ``LedgerUnavailable`` and ``Overloaded``, both with nothing begun.
    """
    with walk.tracer.walk(request, traceparent=traceparent) as trail:
        return await _walk(request, provider=provider, call=call, walk=walk, trail=trail)


async def drain(walk: Walk, *, within: float) -> None:
    """Let sends under way come to their outcomes, for so many seconds.

    Who waits for ever is killed and records nothing; what is left open is settled as indeterminate.
    """
    ends_at = walk.clock.monotonic() + within
    while walk.sends and (left := ends_at - walk.clock.monotonic()) > 0:
        await asyncio.wait(set(walk.sends), timeout=left)
    if walk.sends:
        logger.warning("%d sends did not come to an end; they will be settled as indeterminate", len(walk.sends))


async def _walk(
    request: TransferRequest, *, provider: Provider, call: ProviderCall, walk: Walk, trail: Trail
) -> Forwarded | Refused:
    before: list[Forwarded] = []
    for attempt in range(MAX_WALKS):
        try:
            step = await _walk_once(
                request,
                provider=provider,
                call=call,
                walk=walk,
                trail=trail,
                fresh=attempt > 0,
                first_transfer_id=before[0].transfer_id if before else None,
            )
        except (LedgerUnavailable, Overloaded):
            if (told := _half_sent(before)) is None:
                raise
            return told
        if isinstance(step, Refused):
            return replace(step, sent=_half_sent(before) is not None)
        if isinstance(step, Forwarded) and not _window_closed(step.answer):
            return step
        if isinstance(step, Forwarded):
            before.append(step)
    if before:
        return _half_sent(before) or before[0]
    raise Overloaded("the rules or this person's standing kept changing: try again")


def _half_sent(before: Sequence[Forwarded]) -> Forwarded | None:
    """Of walks that came to no end the first of which something left: nobody may be told that nothing was begun."""
    return next((step for step in before if _left(step.answer)), None)


async def _walk_once(
    request: TransferRequest,
    *,
    provider: Provider,
    call: ProviderCall,
    walk: Walk,
    trail: Trail,
    fresh: bool,
    first_transfer_id: UUID | None,
) -> Forwarded | Refused | FactsChanged:
    purpose = request.manifest.purpose if request.manifest is not None else Purpose.GENERATION
    facts = await walk.facts.facts(request.subject_ref, purpose=purpose, fresh=fresh)
    trail.step("facts", fresh=int(facts.fresh), edition=facts.rules.edition)
    decision = decide(request, facts, at=walk.clock.now())
    if isinstance(decision, Refusal):
        return await _no(decision, request=request, facts=facts, walk=walk, trail=trail)
    if not provider.configured:
        return await _no(_not_configured(provider), request=request, facts=facts, walk=walk, trail=trail)
    trail.step("permit", purpose=decision.purpose.value, recipient=decision.recipient)
    named = media_in(request.payload, decision.manifest, decision, strict=request.strict)
    if isinstance(named, Refusal):
        return await _no(named, request=request, facts=facts, walk=walk, trail=trail)
    if named and not facts.fresh:
        return FactsChanged()  # a remembered yes may have been taken back: nothing is fetched on its account
    owner = MediaOwner(caller_id=request.credential.caller_id, subject_ref=decision.subject_ref)
    media = await resolve_media(
        named, owner=owner, provider=provider, salt=facts.salt, room=walk.media, clock=walk.clock
    )
    pseudonym = _pseudonym(decision, walk)
    payload = minimise(
        request.payload, decision.manifest, decision, pseudonym=pseudonym, strict=request.strict, media=media
    )
    if isinstance(payload, Refusal):
        return await _no(payload, request=request, facts=facts, walk=walk, trail=trail)
    trail.step("minimised", dropped=len(payload.fields_dropped))
    dispatch = provider.draft(payload, manifest=decision.manifest, call=call)
    if isinstance(dispatch, Refusal):
        return await _no(dispatch, request=request, facts=facts, walk=walk, trail=trail)
    intent = Intent(
        id=walk.ids.new_id(),
        request=request,
        permit=decision,
        dispatch=dispatch,
        payload_digest=hmac.new(facts.salt, dispatch.content, sha256).hexdigest(),
        environment=walk.environment,
        sandbox=provider.name in walk.sandboxed,
        first_transfer_id=first_transfer_id,
    )
    return await _shielded(intent, provider, walk, trail)


def _pseudonym(permit: Permit, walk: Walk) -> str | None:
    """The subject as the recipient knows it, where the model takes such a thing at all."""
    if FieldKind.PSEUDONYM not in permit.manifest.kinds:
        return None
    return walk.digests.pseudonym(permit.subject_ref, recipient=permit.recipient)


async def _no(
    refusal: Refusal, *, request: TransferRequest, facts: Facts, walk: Walk, trail: Trail
) -> Refused | FactsChanged:
    """Refuse on fresh facts only: a remembered no may have been overtaken by a yes."""
    if not facts.fresh:
        return FactsChanged()
    trail.step("refused", reason=refusal.reason.value)
    context = RefusalContext(
        credential=request.credential,
        subject_ref=facts.standing.subject_ref,
        subject_kind=request.subject_kind,
        provider=request.provider,
        recipient=request.recipient,
        manifest=request.manifest,
        trace_id=request.trace_id,
        edition=facts.rules.edition,
    )
    return await refuse(refusal, context=context, walk=walk)


def _not_configured(provider: Provider) -> Refusal:
    return Refusal(
        reason=Reason.PROVIDER_NOT_CONFIGURED, detail=f"there is no credential for '{provider.name}' in the settings"
    )


async def _shielded(intent: Intent, provider: Provider, walk: Walk, trail: Trail) -> Forwarded | FactsChanged:
    """Run from intent to outcome to the end, whether or not the caller still waits."""
    task = asyncio.ensure_future(_send(intent, provider, walk, trail))
    walk.sends.add(task)
    task.add_done_callback(walk.sends.discard)
    return await asyncio.shield(task)


async def _send(intent: Intent, provider: Provider, walk: Walk, trail: Trail) -> Forwarded | FactsChanged:
    recorded = await walk.log.record_intent(intent)
    if isinstance(recorded, FactsChanged):
        trail.step("facts-changed")
        return recorded
    trail.step("intent", transfer_id=str(intent.id))
    started = walk.clock.monotonic()
    try:
        answer, last = await _send_all(recorded, provider, walk)
    except Exception:
        # A fault of ours, not the provider's: nobody knows whether a byte has left.
        await walk.log.record_outcome(
            Outcome(transfer_id=intent.id, seq=1, state=OutcomeState.INDETERMINATE, completed_at=walk.clock.now())
        )
        walk.meter.transferred(OutcomeState.INDETERMINATE, provider=provider.name)
        raise
    took = walk.clock.monotonic() - started
    outcome = _outcome(recorded, answer, last=last, milliseconds=round(took * 1000), walk=walk)
    trail.step("answer", outcome=outcome.state.value, http_status=outcome.http_status or 0)
    outputs = mint_outputs(answer, job=_owner(intent, answer, walk), walk=walk)
    answer = await _record(outcome, answer, intent=intent, outputs=outputs, walk=walk)
    trail.step("outcome")
    _count(intent, outcome, provider=provider, walk=walk)
    return Forwarded(
        transfer_id=intent.id,
        provider_seconds=took,
        answer=answer,
        payload=intent.dispatch.payload,
        capabilities={output.url: output.capability for output in outputs},
    )


def _count(intent: Intent, outcome: Outcome, *, provider: Provider, walk: Walk) -> None:
    walk.meter.transferred(outcome.state, provider=provider.name)
    if dropped := len(intent.dispatch.payload.fields_dropped):
        walk.meter.dropped(model=intent.permit.manifest.id, fields=dropped)


async def _send_all(recorded: RecordedIntent, provider: Provider, walk: Walk) -> tuple[Answer, Dispatch]:
    """Send the requests of a transfer one by one, each after the first only if its intent still stands.

    The answer is to the last of them, of which the dispatch tells what was to be sent.
    """
    last = recorded.intent.dispatch
    step = await provider.send(recorded, last)
    while isinstance(step, Dispatch):
        last = step
        affirmed = await _affirm(recorded, walk)
        step = await provider.send(affirmed, last) if isinstance(affirmed, RecordedIntent) else affirmed
    if isinstance(step, Unanswered) and step.state is OutcomeState.NOT_DELIVERED and last.has_left:
        # What was uploaded before is there, and no caller is to send it again by itself.
        problem = Reason.INTERNAL_ERROR if step.problem is Reason.OVERLOADED else step.problem
        step = replace(step, state=OutcomeState.DELIVERED, problem=problem)
    return step, last


async def _affirm(recorded: RecordedIntent, walk: Walk) -> RecordedIntent | Unanswered:
    """The intent once more, or the answer of a transfer that stops here. What was uploaded before is told by others."""
    try:
        affirmed = await walk.log.affirm(recorded)
    except (LedgerUnavailable, Overloaded):
        return Unanswered(state=OutcomeState.NOT_DELIVERED, problem=Reason.INTERNAL_ERROR)
    if isinstance(affirmed, FactsChanged):
        return Unanswered(state=OutcomeState.NOT_DELIVERED, problem=Reason.OVERLOADED, window_closed=True)
    return affirmed


async def _record(
    outcome: Outcome, answer: Answer, *, intent: Intent, outputs: tuple[Output, ...], walk: Walk
) -> Answer:
    """Write the outcome with the job and outputs it made known, before anyone learns of them.

    A caller must not hold an id or an address that we would not know again, so where that write fails the answer is
    an error; the outcome alone is kept by the log and written when the database is back.
    """
    job = _owner(intent, answer, walk) if isinstance(answer, Answered) and answer.provider_job is not None else None
    try:
        await walk.log.record_outcome(outcome, job=job, outputs=outputs)
    except LedgerUnavailable:
        await walk.log.record_outcome(replace(outcome, result=None))
        return replace(answer, problem=Reason.INTERNAL_ERROR)
    return answer


def _outcome(recorded: RecordedIntent, answer: Answer, *, last: Dispatch, milliseconds: int, walk: Walk) -> Outcome:
    stopped_after = "upload" if _stopped(answer, last) else None
    match answer:
        case Answered():
            handed_over = answer.finished and answer.problem is None
            return Outcome(
                transfer_id=recorded.intent.id,
                seq=1,
                state=OutcomeState.DELIVERED,
                http_status=answer.http_status,
                completed_at=walk.clock.now(),
                duration_ms=milliseconds,
                provider_request_id=answer.provider_request_id,
                bytes_received=answer.bytes_received,
                result=ResultState.DELIVERED if handed_over else None,
                stopped_after=stopped_after,
            )
        case Unanswered():
            return Outcome(
                transfer_id=recorded.intent.id,
                seq=1,
                state=answer.state,
                completed_at=walk.clock.now(),
                duration_ms=milliseconds,
                stopped_after=stopped_after,
            )


def _stopped(answer: Answer, last: Dispatch) -> bool:
    """Whether bytes of media may have left, and nothing of the request that names them can have."""
    if last.waiting:
        return _left(answer)
    return bool(last.uploaded) and isinstance(answer, Unanswered) and answer.state is OutcomeState.DELIVERED


def _left(answer: Answer) -> bool:
    return isinstance(answer, Answered) or answer.state is not OutcomeState.NOT_DELIVERED


def _owner(intent: Intent, answer: Answer, walk: Walk) -> Job:
    request, call = intent.request, intent.dispatch.call
    provider_job = answer.provider_job if isinstance(answer, Answered) else None
    return Job(
        id=intent.id,
        caller_id=request.credential.caller_id,
        subject_ref=intent.permit.subject_ref,
        subject_kind=request.subject_kind,
        provider=request.provider,
        recipient=request.recipient,
        model=intent.permit.manifest.id,
        purpose=intent.permit.purpose,
        provider_job=provider_job,
        operation=call.operation,
        version=call.version,
        created_at=walk.clock.now(),
    )


def mint_outputs(answer: Answer, *, job: Job, walk: Walk) -> tuple[Output, ...]:
    """Name every result in an answer by a capability of ours, the same one each time it is asked for."""
    if not isinstance(answer, Answered):
        return ()
    expires_at = walk.clock.now() + walk.output_ttl
    return tuple(
        Output(
            capability=walk.digests.capability(job_id=job.id, url=url),
            job_id=job.id,
            caller_id=job.caller_id,
            subject_ref=job.subject_ref,
            provider=job.provider,
            url=url,
            expires_at=expires_at,
        )
        for url in dict.fromkeys(answer.outputs)
    )


def _window_closed(answer: Answer) -> bool:
    return isinstance(answer, Unanswered) and answer.window_closed
