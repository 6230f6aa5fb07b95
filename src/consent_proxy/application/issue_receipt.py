"""Issuing a receipt for a consent event (ISO/IEC TS 27560): what was decided, on which text, by whom it is kept."""

from collections.abc import Mapping
from typing import Any

from consent_proxy.application.ports.consent import ConsentLedger, StoredEvent
from consent_proxy.application.ports.platform import ReceiptSigner
from consent_proxy.domain.disclosures import current_disclosure
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.rules import Rules

SCHEMA_VERSION = "1"


async def issue_receipt(
    event: StoredEvent, *, ledger: ConsentLedger, rules: Rules, signer: ReceiptSigner, public_url: str
) -> str:
    """The receipt of an event, as compact JWS; asked for again, it is the same. Raises ``LedgerUnavailable``.

    It names the subject by the opaque reference only, never by the identifier.
    """
    before = await ledger.event_before(event)
    claims: dict[str, Json] = {
        "iss": public_url,
        "environment": event.environment,
        "jti": str(event.id),
        "iat": int(event.received_at.timestamp()),
        "schema_version": SCHEMA_VERSION,
        "pii_principal_id": str(event.subject_ref),
        "controller": _controller(event, rules),
        "disclosure": _shown(event),
        "answers": [dict(answer) for answer in event.answers],
        "occurred_at": event.occurred_at.isoformat() if event.occurred_at is not None else None,
        "recorded_at": event.received_at.isoformat(),
        "valid_until": _valid_until(event.answers),
        "withdrawal": {"method": "POST", "url": f"{public_url}/v1/consent/withdrawals"},
        "origin": "live",
        "supersedes": str(before.id) if before is not None else None,
    }
    if event.linked_from is not None and event.carry is not None:
        claims["linked"] = {"from": str(event.linked_from), "carry": event.carry.value}
    return signer.sign(claims, at=event.received_at)


def _controller(event: StoredEvent, rules: Rules) -> Json:
    """Of the disclosure that was answered or, for what answers none, of the one in force when it arrived."""
    if event.disclosure is not None:
        disclosure = rules.disclosure(event.disclosure)
    else:
        known = [known for known in rules.disclosures if known.published_at <= event.received_at]
        disclosure = current_disclosure(known, at=event.received_at)
    return disclosure.document["controller"] if disclosure is not None else None


def _shown(event: StoredEvent) -> Json:
    if event.disclosure is None:
        return None
    return {"version": event.disclosure, "sha256": event.disclosure_sha256, "locale": event.locale}


def _valid_until(answers: tuple[Mapping[str, Any], ...]) -> str | None:
    """The earliest end of an answer that counts, if any ends."""
    ends = (answer["valid_until"] for answer in answers if answer.get("valid_until") and answer.get("effective"))
    return min(ends, default=None)
