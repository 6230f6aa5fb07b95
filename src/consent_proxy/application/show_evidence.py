"""The evidence of one transfer or refusal, as one document that stands for itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from consent_proxy.application.ports.transparency import ProvenRow, TransparencyLog
from consent_proxy.domain.disclosures import only_locale
from consent_proxy.domain.payloads import Json

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The document, and whom it is about, unless the row that says so is gone."""

    document: dict[str, Json]
    subject_ref: UUID | None


async def show_evidence(transfer_id: UUID, *, log: TransparencyLog, at: datetime) -> Evidence:
    """Every row that a transfer is shown by, with its salt and its proof, under one checkpoint.

    ``decision`` and ``shown`` (the text the person saw, in their language) are taken from those rows; whoever checks
    the document holds them against the rows. Raises ``NotInLog``, ``LedgerUnavailable``.
    """
    proven = await log.evidence(transfer_id)
    by_kind = {row.kind: row.record for row in proven.rows if row.record is not None}
    told = by_kind.get("intent") or by_kind.get("refusal")
    document: dict[str, Json] = {
        "type": "evidence",
        "version": VERSION,
        "transfer": str(transfer_id),
        "made_at": at.isoformat(),
        "keys": [*proven.keys],
        "checkpoint": proven.checkpoint,
        "decision": _decision(by_kind),
        "shown": _shown(by_kind),
        "rows": [_row(row) for row in proven.rows],
        "verify": f"consent-proxy log verify FILE --key {proven.keys[-1]}",
    }
    return Evidence(document=document, subject_ref=UUID(str(told["subject_ref"])) if told is not None else None)


def _decision(records: Mapping[str, Mapping[str, Any]]) -> Json:
    """What the proxy decided, and on what."""
    told = records.get("intent") or records.get("refusal")
    if told is None:
        return None
    details = told["details"]
    return {
        "decision": "permit" if "intent" in records else "refusal",
        "reason": told.get("reason"),
        "edition": told["edition"],
        **{name: details.get(name) for name in ("consent", "contract", "manifest", "fields_sent", "fields_dropped")},
    }


def _shown(records: Mapping[str, Mapping[str, Any]]) -> Json:
    """The exact text, whose digest stands in the consent event."""
    event, disclosure = records.get("consent"), records.get("disclosure")
    if event is None or disclosure is None or event["locale"] is None:
        return None
    return only_locale(disclosure["document"], locale=event["locale"])


def _row(row: ProvenRow) -> Json:
    return {
        "index": row.index,
        "kind": row.kind,
        "id": str(row.id),
        "seq": row.seq,
        "leaf": row.leaf.hex(),
        "salt": row.salt.hex() if row.salt is not None else None,
        "record": dict(row.record) if row.record is not None else None,
        "proof": [part.hex() for part in row.proof],
    }
