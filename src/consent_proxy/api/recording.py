"""Recording over HTTP: once for an idempotency key, and the answer that decisions, withdrawals and links share."""

import json
from collections.abc import Iterable
from hashlib import sha256

from consent_proxy.api.answers import RecordedOut, StandingOut
from consent_proxy.api.problems import Problem
from consent_proxy.api.routing import Visit
from consent_proxy.application.issue_receipt import issue_receipt
from consent_proxy.application.ports.consent import IdempotencyDigest, RecordedEvent, StoredEvent
from consent_proxy.application.read_standing import StandingRow, read_standing
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.rules import Rules
from consent_proxy.domain.subjects import SubjectRef

_MAX_KEY = 255


def idempotency(visit: Visit) -> IdempotencyDigest | None:
    """What the request's ``Idempotency-Key`` is kept as, if it has one. Raises ``Problem``."""
    key = visit.head.get("idempotency-key")
    if key is None:
        return None
    if not 1 <= len(key) <= _MAX_KEY or not key.isprintable():
        raise Problem(Reason.BODY_INVALID, f"Idempotency-Key has to be 1 to {_MAX_KEY} printable characters")

    def digest(subject_ref: SubjectRef) -> bytes:
        # The operation and the subject belong to the key: one app's counter may well repeat across its users.
        scoped = f"{visit.head.path}\n{subject_ref}\n{key}"
        return visit.services.digests.idempotency(scoped, caller_id=visit.credential.caller_id)

    return digest


def body_digest(visit: Visit) -> bytes:
    """The same JSON is the same request, however it was spelt."""
    return sha256(json.dumps(json.loads(visit.body or b"{}"), sort_keys=True).encode()).digest()


def key_reused() -> Problem:
    """The problem of a key that came with another body."""
    return Problem(Reason.IDEMPOTENCY_KEY_REUSED, "this Idempotency-Key came with another body: use a new key")


async def recorded_out(recorded: RecordedEvent, *, rules: Rules, visit: Visit) -> RecordedOut:
    """The answer to what was recorded; to a request that comes again, the first one. Raises ``LedgerUnavailable``."""
    event = recorded.event
    view = read_standing(
        recorded.standings, subject_ref=event.subject_ref, rules=rules, at=recorded.stood_at, locale=None
    )
    return RecordedOut(
        event_id=event.id,
        effective=event.effective,
        # Of an event without effect; the motive of a withdrawal stands in the event.
        reason=event.reason if not event.effective else None,
        standing=standing_out(view.rows),
        receipt=await receipt_of(event, rules=rules, visit=visit),
    )


async def receipt_of(event: StoredEvent, *, rules: Rules, visit: Visit) -> str:
    """The signed copy of an event. Raises ``LedgerUnavailable``."""
    services = visit.services
    return await issue_receipt(
        event, ledger=services.ledger, rules=rules, signer=services.receipts, public_url=services.public_url
    )


def standing_out(rows: Iterable[StandingRow]) -> list[StandingOut]:
    """The JSON of what stands."""
    return [
        StandingOut(
            purpose=row.purpose,
            recipient=row.recipient,
            state=row.state,
            must_ask=row.must_ask,
            may_ask=row.may_ask,
            disclosure=row.disclosure,
            categories=sorted(row.categories),
            decided_at=row.decided_at,
            valid_until=row.valid_until,
            deadline=row.deadline,
        )
        for row in rows
    ]
