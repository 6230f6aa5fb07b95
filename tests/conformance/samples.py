"""A published disclosure, contracts, keys, decisions and withdrawals for the suites; ids are new ones of now."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from consent_proxy.adapters.system import Uuid7Identifiers
from consent_proxy.application.ports.consent import (
    DecisionToRecord,
    IdempotencyDigest,
    LinkToRecord,
    PurposeAnswer,
    WithdrawalToRecord,
)
from consent_proxy.domain.callers import Credential, ServiceKey
from consent_proxy.domain.categories import DataCategory, Purpose
from consent_proxy.domain.contracts import Contract
from consent_proxy.domain.disclosures import DisclosedRecipient, Disclosure, disclosure_sha256
from consent_proxy.domain.links import Carry
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.subjects import SubjectKind, SubjectRef
from tests.builders import KEY, a_contract, a_credential, a_service_key

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
COVERED = frozenset({DataCategory.PROMPT, DataCategory.SETTING})

_ids = Uuid7Identifiers()


def new_ref() -> SubjectRef:
    return SubjectRef(_ids.new_id())


def credential(caller: str = "web-backend") -> Credential:
    return a_credential(id=str(KEY), caller=caller)


def disclosure(
    version: str = "2026-03-03", *, valid_for: timedelta | None = None, title: str = "Your pictures"
) -> Disclosure:
    document: dict[str, Json] = {
        "version": version,
        "effective_at": "2026-01-01T00:00:00Z",
        "material": False,
        "controller": {"name": "Example Ltd", "contact": "privacy@example.com", "policy_url": "https://example.com"},
        "recipients": [{"id": name, "legal_entity": f"{name} Inc.", "country": "US"} for name in ("fal", "replicate")],
        "purposes": [
            {"id": purpose.value, "categories": [*sorted(COVERED)], "description": {"en": "…", "de": "…"}}
            for purpose in Purpose
        ],
        "categories": {category.value: {"en": "…", "de": "…"} for category in sorted(COVERED)},
        "texts": {
            locale: {
                "title": title,
                "body": "…",
                "sections": [],
                "accept_label": "Yes",
                "decline_label": "No",
                "withdrawal_hint": "…",
            }
            for locale in ("en", "de")
        },
    }
    if valid_for is not None:
        document["consent_valid_for"] = int(valid_for.total_seconds())
    return Disclosure(
        version=version,
        effective_at=LONG_AGO,
        published_at=LONG_AGO,
        material=False,
        outdates_at=None,
        consent_valid_for=valid_for,
        recipients=tuple(
            DisclosedRecipient(id=name, legal_entity=f"{name} Inc.", country="US") for name in ("fal", "replicate")
        ),
        purposes=dict.fromkeys(Purpose, COVERED),
        document=document,
    )


def contract(recipient: str = "fal", **changed: Any) -> Contract:
    """A contract without an end, put long ago."""
    usual = {"id": _ids.new_id(), "valid_from": LONG_AGO, "valid_until": None, "put_at": LONG_AGO}
    return a_contract(recipient=recipient, **{**usual, **changed})


def service_key(caller: str = "web-backend", **changed: Any) -> ServiceKey:
    key_id = _ids.new_id()
    usual = {"id": key_id, "caller_id": _ids.new_id(), "digest": key_id.bytes * 2}
    return a_service_key(caller=caller, **{**usual, **changed})


def yes(purpose: Purpose = Purpose.GENERATION, *, to: Sequence[str] = ("fal", "replicate")) -> PurposeAnswer:
    return PurposeAnswer(purpose=purpose, granted=True, covers=dict.fromkeys(to, COVERED), recipients=None)


def no(purpose: Purpose = Purpose.GENERATION, *, to: frozenset[str] | None = None) -> PurposeAnswer:
    return PurposeAnswer(purpose=purpose, granted=False, covers={}, recipients=to)


def _own(digest: bytes | None) -> IdempotencyDigest | None:
    """A key's digest, one for each reference."""
    return (lambda subject_ref: digest + subject_ref.bytes) if digest is not None else None


def decision(
    subject_ref: SubjectRef,
    *answers: PurposeAnswer,
    shown: Disclosure | None = None,
    occurred_at: datetime | None = None,
    evidence: Mapping[str, str] | None = None,
    idempotency_digest: bytes | None = None,
    request: bytes = b"a body",
) -> DecisionToRecord:
    shown = shown if shown is not None else disclosure()
    return DecisionToRecord(
        event_id=_ids.new_id(),
        subject_ref=subject_ref,
        subject_kind=SubjectKind.ACCOUNT,
        credential=credential(),
        disclosure=shown,
        disclosure_sha256=disclosure_sha256(shown.document, locale="en"),
        locale="en",
        answers=answers,
        occurred_at=occurred_at,
        evidence=evidence if evidence is not None else {"surface": "ios", "control": "button"},
        actor="self",
        environment="test",
        idempotency=_own(idempotency_digest),
        request_sha256=request,
    )


def withdrawal(
    subject_ref: SubjectRef,
    *,
    purposes: frozenset[Purpose] | None = None,
    recipients: frozenset[str] | None = None,
    occurred_at: datetime | None = None,
    reason: str = "user-request",
    idempotency_digest: bytes | None = None,
    request: bytes = b"a body",
) -> WithdrawalToRecord:
    return WithdrawalToRecord(
        event_id=_ids.new_id(),
        subject_ref=subject_ref,
        subject_kind=SubjectKind.ACCOUNT,
        credential=credential(),
        purposes=purposes,
        recipients=recipients,
        occurred_at=occurred_at,
        evidence={"surface": "android"},
        reason=reason,
        environment="test",
        idempotency=_own(idempotency_digest),
        request_sha256=request,
    )


def link(
    taken: SubjectRef,
    *,
    into: SubjectRef,
    carry: Carry = Carry.ALL,
    idempotency_digest: bytes | None = None,
    request: bytes = b"a body",
) -> LinkToRecord:
    return LinkToRecord(
        event_id=_ids.new_id(),
        kept=into,
        kept_kind=SubjectKind.ACCOUNT,
        taken=taken,
        carry=carry,
        credential=credential(),
        environment="test",
        idempotency=_own(idempotency_digest),
        request_sha256=request,
    )
