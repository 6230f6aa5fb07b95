"""Rows and their jsonb as domain values, and back; both sides of this room read and write them alike."""

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from consent_proxy.adapters.postgres.connections import Row
from consent_proxy.application.ports.consent import StoredEvent
from consent_proxy.domain.callers import Role, ServiceKey
from consent_proxy.domain.categories import DataCategory, Purpose
from consent_proxy.domain.consent import ConsentState, RecipientStanding, Standing
from consent_proxy.domain.contracts import Contract
from consent_proxy.domain.disclosures import Disclosure
from consent_proxy.domain.documents import contract_from_document, disclosure_from_document
from consent_proxy.domain.documents import contract_to_document as contract_to_document  # noqa: PLC0414 - the way back
from consent_proxy.domain.links import Carry
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.subjects import SubjectKind, SubjectRef

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment_to_json(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC with a `Z`."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def moment_from_json(text: str | None) -> datetime | None:
    """The moment of an RFC 3339 text, in UTC."""
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)


def cursor_of(key: UUID) -> str:
    """The opaque name of a place in a list that is ordered by id."""
    return base64.urlsafe_b64encode(key.bytes).decode().rstrip("=")


def key_of_cursor(cursor: str) -> UUID:
    """The id a cursor stands for. Raises ``ValueError`` for a text that is not one of ours."""
    try:
        return UUID(bytes=base64.b64decode(cursor + "==", altchars=b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        raise ValueError("the cursor is not one that this service gave out") from error


def uuid7_floor(moment: datetime) -> UUID:
    """The least UUIDv7 of a moment (RFC 9562: its first 48 bits are milliseconds since 1970)."""
    return UUID(int=max(0, (moment - _EPOCH) // timedelta(milliseconds=1)) << 80)


def disclosure_from_row(row: Row) -> Disclosure:
    """A row of `disclosures`; its document is the contract's JSON."""
    return disclosure_from_document(row["document"], published_at=row["published_at"])


def contract_from_row(row: Row) -> Contract:
    """A row of `contracts`; its document is the body it was put with."""
    return contract_from_document(
        row["document"], id=row["id"], recipient=row["recipient"], put_at=row["put_at"], ended_at=row["ended_at"]
    )


def key_from_row(row: Row) -> ServiceKey:
    """A row of `keys`, with its caller's name as `caller`."""
    return ServiceKey(
        id=row["id"],
        caller_id=row["caller_id"],
        caller=row["caller"],
        digest=row["digest"],
        roles=frozenset(map(Role, row["roles"])),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )


def standing_from_row(row: Row) -> Standing:
    """A row of `standings` (subject_ref, purpose, version, detail)."""
    return standing_from_detail(
        row["detail"], subject_ref=SubjectRef(row["subject_ref"]), purpose=row["purpose"], version=row["version"]
    )


def standing_from_detail(detail: Mapping[str, Any], *, subject_ref: SubjectRef, purpose: str, version: int) -> Standing:
    """A standing out of its `detail`."""
    everyone = detail.get("everyone")
    return Standing(
        subject_ref=subject_ref,
        purpose=Purpose(purpose),
        version=version,
        recipients={recipient: _entry(entry) for recipient, entry in detail["recipients"].items()},
        everyone=_entry(everyone) if everyone is not None else None,
    )


def standing_to_detail(standing: Standing) -> dict[str, Json]:
    """The `detail` of a standing: what stands about each recipient, and about those it does not list."""
    return {
        "recipients": {recipient: _entry_to_json(entry) for recipient, entry in standing.recipients.items()},
        "everyone": _entry_to_json(standing.everyone) if standing.everyone is not None else None,
    }


def event_from_row(row: Row) -> StoredEvent:
    """A row of `consent_events`."""
    return StoredEvent(
        id=row["id"],
        kind=row["kind"],
        subject_ref=SubjectRef(row["subject_ref"]),
        subject_kind=SubjectKind(row["subject_kind"]),
        received_at=row["received_at"],
        occurred_at=row["occurred_at"],
        disclosure=row["disclosure"],
        disclosure_sha256=row["disclosure_sha256"],
        locale=row["locale"],
        answers=tuple(row["answers"]),
        effective=row["effective"],
        reason=row["reason"],
        actor=row["actor"],
        evidence=row["evidence"],
        caller=row["caller"],
        credential=row["credential"],
        environment=row["environment"],
        linked_from=SubjectRef(row["linked_from"]) if row["linked_from"] is not None else None,
        carry=Carry(row["carry"]) if row["carry"] is not None else None,
    )


def _categories(names: list[str]) -> frozenset[DataCategory]:
    return frozenset(map(DataCategory, names))


def _entry(entry: Mapping[str, Any]) -> RecipientStanding:
    decided_at = moment_from_json(entry["decided_at"])
    assert decided_at is not None
    return RecipientStanding(
        state=ConsentState(entry["state"]),
        event_id=UUID(entry["event_id"]),
        decided_at=decided_at,
        disclosure=entry.get("disclosure"),
        disclosure_sha256=entry.get("disclosure_sha256"),
        locale=entry.get("locale"),
        categories=_categories(entry.get("categories", [])),
        valid_until=moment_from_json(entry.get("valid_until")),
        last_no_at=moment_from_json(entry.get("last_no_at")),
        given_at=moment_from_json(entry.get("given_at")),
    )


def _entry_to_json(entry: RecipientStanding) -> dict[str, Json]:
    return {
        "state": entry.state.value,
        "event_id": str(entry.event_id),
        "decided_at": moment_to_json(entry.decided_at),
        "disclosure": entry.disclosure,
        "disclosure_sha256": entry.disclosure_sha256,
        "locale": entry.locale,
        "categories": [category.value for category in sorted(entry.categories)],
        "valid_until": moment_to_json(entry.valid_until),
        "last_no_at": moment_to_json(entry.last_no_at),
        "given_at": moment_to_json(entry.given_at),
    }
