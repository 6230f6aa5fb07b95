"""Recording what a person answered on the screen: one screen, one record (GDPR Art. 7(1))."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from consent_proxy.application.ports.consent import (
    ConsentLedger,
    DecisionToRecord,
    IdempotencyDigest,
    PurposeAnswer,
    RecordedEvent,
)
from consent_proxy.application.show_disclosure import locale_shown
from consent_proxy.domain.callers import Credential
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.consent import TimeNotAllowed
from consent_proxy.domain.disclosures import Disclosure, disclosure_sha256
from consent_proxy.domain.refusals import Reason, Refusal
from consent_proxy.domain.rules import Rules
from consent_proxy.domain.subjects import SubjectKind, SubjectRef


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerGiven:
    """One answer as the app sent it; ``recipients`` ``None`` means all."""

    purpose: Purpose
    granted: bool
    recipients: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionGiven:
    """A screen's answers as the app sent them. ``locale`` is what the app asked for, and may not be what was shown.

    ``answers`` ``None`` means ``granted`` for every purpose it shows.
    """

    event_id: UUID
    subject_ref: SubjectRef
    subject_kind: SubjectKind
    credential: Credential
    disclosure: str
    disclosure_sha256: str | None
    locale: str
    answers: Sequence[AnswerGiven] | None
    granted: bool
    occurred_at: datetime | None
    evidence: Mapping[str, str]
    actor: str
    environment: str
    idempotency: IdempotencyDigest | None
    request_sha256: bytes


async def record_decision(
    given: DecisionGiven, *, rules: Rules, ledger: ConsentLedger, at: datetime
) -> RecordedEvent | Refusal:
    """Check the answers against the disclosure they name and record them; after a no, no send begins once this returns.

    Raises ``IdempotencyKeyReused`` and ``LedgerUnavailable``.
    """
    disclosure = rules.disclosure(given.disclosure)
    if disclosure is None or disclosure.effective_at > at:
        return _mismatch("no disclosure of that version is, or was, in force here")
    locale = locale_shown(disclosure, wanted=given.locale)
    digest = disclosure_sha256(disclosure.document, locale=locale)
    if given.disclosure_sha256 is not None and given.disclosure_sha256 != digest:
        return _mismatch("disclosure_sha256 is not the digest of that version in that language: show the current text")
    answers = _answers(given, disclosure)
    if isinstance(answers, Refusal):
        return answers
    decision = DecisionToRecord(
        event_id=given.event_id,
        subject_ref=given.subject_ref,
        subject_kind=given.subject_kind,
        credential=given.credential,
        disclosure=disclosure,
        disclosure_sha256=digest,
        locale=locale,
        answers=answers,
        occurred_at=given.occurred_at,
        evidence=given.evidence,
        actor=given.actor,
        environment=given.environment,
        idempotency=given.idempotency,
        request_sha256=given.request_sha256,
    )
    try:
        recorded = await ledger.decide(decision)
    except TimeNotAllowed as error:
        return Refusal(reason=Reason.TIME_NOT_ALLOWED, detail=f"{error}: correct the clock or leave occurred_at out")
    refused = frozenset(answer.purpose for answer in answers if not answer.granted)
    if refused:
        await ledger.wait_for_open_intents(given.subject_ref, purposes=refused)
    return recorded


def _answers(given: DecisionGiven, disclosure: Disclosure) -> tuple[PurposeAnswer, ...] | Refusal:
    answers = given.answers
    if answers is None:
        answers = [AnswerGiven(purpose=purpose, granted=given.granted) for purpose in disclosure.purposes]
    resolved: list[PurposeAnswer] = []
    for answer in answers:
        covers = {
            named.id: categories
            for named in disclosure.recipients
            if (categories := disclosure.covers(recipient=named.id, purpose=answer.purpose)) is not None
        }
        if not covers:
            return _mismatch(f"that disclosure does not name the purpose '{answer.purpose}'")
        if answer.recipients is not None:
            if answer.recipients - covers.keys():
                return _mismatch(f"an answer for '{answer.purpose}' names a recipient that the disclosure does not")
            covers = {recipient: covers[recipient] for recipient in answer.recipients}
        resolved.append(
            PurposeAnswer(
                purpose=answer.purpose,
                granted=answer.granted,
                covers=covers if answer.granted else {},
                recipients=answer.recipients,
            )
        )
    return tuple(resolved)


def _mismatch(detail: str) -> Refusal:
    return Refusal(reason=Reason.DISCLOSURE_MISMATCH, detail=detail)
