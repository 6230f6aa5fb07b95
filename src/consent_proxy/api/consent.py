"""Consent over HTTP: record an answer, take it back, read what stands and how it came to."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Query, Response
from fastapi.responses import PlainTextResponse

from consent_proxy.api.answers import ConsentOut, PageOut, RecordedOut
from consent_proxy.api.auth import subject_missing
from consent_proxy.api.disclosures import shown_out
from consent_proxy.api.listing import PageQuery, note_access, read_page
from consent_proxy.api.problems import Problem, problem_of
from consent_proxy.api.recording import body_digest, idempotency, key_reused, receipt_of, recorded_out, standing_out
from consent_proxy.api.routing import CurrentVisit, StrictRoute, Visit, not_found
from consent_proxy.api.schemas import DecisionIn, Moment, WithdrawalIn
from consent_proxy.application.ports.consent import (
    IdempotencyKeyReused,
    StoredEvent,
    WithdrawalToRecord,
)
from consent_proxy.application.read_standing import StandingView, read_standing
from consent_proxy.application.record_decision import AnswerGiven, DecisionGiven, record_decision
from consent_proxy.application.withdraw import withdraw
from consent_proxy.domain.callers import Role, Scope
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.disclosures import only_locale
from consent_proxy.domain.refusals import Reason, Refusal
from consent_proxy.domain.rules import Rules
from consent_proxy.domain.subjects import SubjectRef

router = APIRouter(prefix="/v1/consent", tags=["consent"], route_class=StrictRoute)


@router.post("/decisions", operation_id="recordDecision", status_code=201)
async def decide(decision: DecisionIn, visit: CurrentVisit, response: Response) -> RecordedOut:
    """Record what a person answered. One screen, one record."""
    visit.require(Role.CONSENT, scopes=frozenset({Scope.CONSENT}))
    subject = await visit.subject(create=True)
    services = visit.services
    rules = await services.facts.rules(fresh=False)
    given = DecisionGiven(
        event_id=services.ids.new_id(),
        subject_ref=subject.ref,
        subject_kind=subject.kind,
        credential=visit.credential,
        disclosure=decision.disclosure,
        disclosure_sha256=decision.disclosure_sha256,
        locale=decision.locale,
        answers=_answers(decision),
        granted=decision.decision == "granted",
        occurred_at=decision.occurred_at,
        evidence=decision.evidence.as_recorded(),
        actor=decision.actor,
        environment=services.environment,
        idempotency=idempotency(visit),
        request_sha256=body_digest(visit),
    )
    try:
        recorded = await record_decision(given, rules=rules, ledger=services.ledger, at=services.clock.now())
    except IdempotencyKeyReused:
        raise key_reused() from None
    if isinstance(recorded, Refusal):
        raise problem_of(recorded)
    response.headers["cache-control"] = "no-store"
    return await recorded_out(recorded, rules=rules, visit=visit)


@router.post("/withdrawals", operation_id="withdrawConsent", status_code=201)
async def take_back(
    visit: CurrentVisit, response: Response, asked: Annotated[WithdrawalIn | None, Body()] = None
) -> RecordedOut:
    """Take consent back, all of it without a body. After this answer no send for it begins."""
    withdrawal = asked if asked is not None else WithdrawalIn()
    visit.require(Role.CONSENT, scopes=frozenset(Scope))
    subject = await visit.subject(create=True)
    services = visit.services
    to_record = WithdrawalToRecord(
        event_id=services.ids.new_id(),
        subject_ref=subject.ref,
        subject_kind=subject.kind,
        credential=visit.credential,
        purposes=frozenset(withdrawal.purposes) if withdrawal.purposes is not None else None,
        recipients=frozenset(withdrawal.recipients) if withdrawal.recipients is not None else None,
        occurred_at=withdrawal.occurred_at,
        evidence=withdrawal.evidence.as_recorded(),
        reason=withdrawal.reason,
        environment=services.environment,
        idempotency=idempotency(visit),
        request_sha256=body_digest(visit),
    )
    try:
        recorded = await withdraw(to_record, ledger=services.ledger, held=services.media.held)
    except IdempotencyKeyReused:
        raise key_reused() from None
    response.headers["cache-control"] = "no-store"
    return await recorded_out(recorded, rules=await services.facts.rules(fresh=False), visit=visit)


@router.get("", operation_id="getConsent")
async def read(
    visit: CurrentVisit,
    response: Response,
    locale: Annotated[str | None, Query(max_length=35)] = None,
    purpose: Annotated[Purpose | None, Query()] = None,
    at: Annotated[Moment | None, Query()] = None,
) -> ConsentOut:
    """What stands for the subject, and whether the app has to ask."""
    visit.require(Role.CONSENT, Role.GATEWAY, Role.AUDITOR, scopes=frozenset(Scope))
    subject = await visit.subject(create=True)
    services = visit.services
    moment = at or services.clock.now()
    ledger = services.ledger
    standings = await (ledger.standings(subject.ref) if at is None else ledger.standings_at(subject.ref, at=at))
    view = read_standing(
        standings,
        subject_ref=subject.ref,
        rules=await services.facts.rules(fresh=False),
        at=moment,
        locale=locale,
        purpose=purpose,
    )
    response.headers["cache-control"] = "no-store"
    return _consent(view)


@router.get("/events", operation_id="listConsentEvents")
async def events(
    visit: CurrentVisit, query: PageQuery, response: Response, subject_ref: Annotated[UUID | None, Query()] = None
) -> PageOut:
    """The subject's history, with the text that was shown."""
    visit.require(Role.CONSENT, Role.AUDITOR, scopes=frozenset({Scope.CONSENT}))
    response.headers["cache-control"] = "no-store"
    ref = SubjectRef(subject_ref) if subject_ref is not None else await _named(visit)
    if ref is None:
        return PageOut(items=[], next_cursor=None)
    if not await visit.may_see(ref):
        raise Problem(Reason.SUBJECT_MISMATCH, "the subject token belongs to another subject")
    page = await read_page(visit.services.ledger.events(ref, page=query.page))
    await note_access(visit, resource="/v1/consent/events", subject_ref=ref, items=len(page.items))
    rules = await visit.services.facts.rules(fresh=False)
    return PageOut(items=[_event(event, rules=rules) for event in page.items], next_cursor=page.next_cursor)


@router.get("/events/{event_id}", operation_id="getConsentEvent")
async def event(event_id: UUID, visit: CurrentVisit, response: Response) -> dict[str, Any]:
    """One event of the history."""
    visit.require(Role.CONSENT, Role.AUDITOR, scopes=frozenset({Scope.CONSENT}))
    found = await _own_event(event_id, visit)
    await note_access(
        visit, resource="/v1/consent/events/{id}", subject_ref=found.subject_ref, object_id=str(event_id), items=1
    )
    response.headers["cache-control"] = "no-store"
    return _event(found, rules=await visit.services.facts.rules(fresh=False))


@router.get("/events/{event_id}/receipt", operation_id="getConsentReceipt", response_class=PlainTextResponse)
async def receipt(event_id: UUID, visit: CurrentVisit) -> PlainTextResponse:
    """The signed receipt of one event, as compact JWS."""
    visit.require(Role.CONSENT, Role.AUDITOR, scopes=frozenset({Scope.CONSENT}))
    found = await _own_event(event_id, visit)
    resource = "/v1/consent/events/{id}/receipt"
    await note_access(visit, resource=resource, subject_ref=found.subject_ref, object_id=str(event_id), items=1)
    text = await receipt_of(found, rules=await visit.services.facts.rules(fresh=False), visit=visit)
    return PlainTextResponse(text, media_type="application/jose", headers={"cache-control": "no-store"})


async def _own_event(event_id: UUID, visit: Visit) -> StoredEvent:
    found = await visit.services.ledger.event(event_id)
    if found is None or not await visit.may_see(found.subject_ref):
        raise not_found("event")
    return found


async def _named(visit: Visit) -> SubjectRef | None:
    """The subject, or ``None`` where nobody of that name is known here, and so has no history."""
    subject = await visit.subject_if_named()
    if subject is None and visit.head.raw(b"consent-subject") is None:
        raise subject_missing()
    return subject.ref if subject is not None else None


def _answers(decision: DecisionIn) -> list[AnswerGiven] | None:
    if decision.answers is not None:
        return [
            AnswerGiven(
                purpose=answer.purpose,
                granted=answer.decision == "granted",
                recipients=frozenset(answer.recipients) if answer.recipients is not None else None,
            )
            for answer in decision.answers
        ]
    if decision.purposes is not None:
        return [AnswerGiven(purpose=purpose, granted=decision.decision == "granted") for purpose in decision.purposes]
    return None


def _consent(view: StandingView) -> ConsentOut:
    return ConsentOut.model_validate(
        {
            "subject_ref": view.subject_ref,
            "must_ask": view.must_ask,
            "ai_features": view.ai_features,
            "standing": standing_out(view.rows),
            "disclosure": shown_out(view.disclosure) if view.disclosure is not None else None,
        }
    )


def _event(event: StoredEvent, *, rules: Rules) -> dict[str, Any]:
    disclosure = rules.disclosure(event.disclosure) if event.disclosure is not None else None
    shown = only_locale(disclosure.document, locale=event.locale) if disclosure is not None and event.locale else None
    return {
        "id": str(event.id),
        "kind": event.kind,
        "subject_ref": str(event.subject_ref),
        "subject_kind": event.subject_kind,
        "received_at": event.received_at.isoformat(),
        "occurred_at": event.occurred_at.isoformat() if event.occurred_at is not None else None,
        "disclosure": event.disclosure,
        "disclosure_sha256": event.disclosure_sha256,
        "locale": event.locale,
        "answers": [dict(answer) for answer in event.answers],
        "effective": event.effective,
        "reason": event.reason,
        "actor": event.actor,
        "evidence": dict(event.evidence),
        "caller": event.caller,
        "credential": dict(event.credential),
        "environment": event.environment,
        "linked_from": str(event.linked_from) if event.linked_from is not None else None,
        "carry": event.carry,
        "text_shown": shown,
    }
