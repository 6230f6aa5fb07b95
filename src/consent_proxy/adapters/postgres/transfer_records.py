"""A transfer, a refusal and an outcome as the contract's record: what is written of them, how they are read back."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from consent_proxy.adapters.postgres.connections import Row
from consent_proxy.adapters.postgres.rows import moment_to_json
from consent_proxy.application.ports.transfers import RefusedTransfer
from consent_proxy.domain.callers import Credential
from consent_proxy.domain.consent import RecipientStanding
from consent_proxy.domain.contracts import Contract
from consent_proxy.domain.manifests import Manifest
from consent_proxy.domain.minimise import MAX_DROPPED, DropReason, MinimisedPayload
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.transfers import Dispatch, Intent, Outcome, OutcomeState

SCHEMA = 1
#: How a medium is placed that goes to the provider in requests of its own; `open_intents` and `settle_intents` look
#: for this word.
UPLOADED = "upload"

#: The keys of a record, in the contract's order, with what stands where there is nothing to say.
_EMPTY: Mapping[str, Json] = {
    "schema": SCHEMA,
    "id": None,
    "kind": None,
    "environment": None,
    "sandbox": False,
    "intent_at": None,
    "subject_ref": None,
    "subject_kind": None,
    "caller": None,
    "credential": None,
    "provider": None,
    "recipient": None,
    "legal_entity": None,
    "sub_processors": [],
    "model": None,
    "model_version": None,
    "purpose": None,
    "manifest": None,
    "categories": [],
    "fields_sent": [],
    "fields_dropped": [],
    "consent": None,
    "contract": None,
    "edition": None,
    "endpoint": None,
    "bytes_sent": None,
    "payload_digest": None,
    "media": [],
    "privacy_switches": {},
    "first_transfer_id": None,
    "job_id": None,
    "trace_id": None,
    "reason": None,
    "outcome": None,
}
_OUTCOME_KEYS = (
    "http_status",
    "completed_at",
    "duration_ms",
    "provider_request_id",
    "bytes_received",
    "cancel",
    "result",
    "stopped_after",
)


def intent_details(intent: Intent, *, worker: int) -> dict[str, Json]:
    """What `commit_intents` takes of an intent: the record as it will never change, and the columns beside it."""
    request, permit, dispatch = intent.request, intent.permit, intent.dispatch
    return {
        "worker": worker,
        "caller_id": str(request.credential.caller_id),
        "schema": SCHEMA,
        "environment": intent.environment,
        "sandbox": intent.sandbox,
        "subject_kind": request.subject_kind.value,
        "caller": request.credential.caller,
        "credential": _credential(request.credential),
        "provider": request.provider,
        "recipient": permit.recipient,
        "legal_entity": permit.contract.legal_entity,
        "sub_processors": list(permit.manifest.sub_processors),
        "model": permit.manifest.id,
        "model_version": dispatch.call.version,
        "manifest": _manifest(permit.manifest),
        "categories": [category.value for category in sorted(dispatch.payload.categories)],
        "fields_sent": list(dispatch.payload.fields_sent),
        "fields_dropped": _dropped(dispatch.payload, left_out=intent.request.left_out),
        "consent": _consent(permit.consent, version=permit.standing_version),
        "contract": _contract(permit.contract),
        "endpoint": {"host": dispatch.host, "path": dispatch.path},
        "bytes_sent": dispatch.bytes_sent,
        "payload_digest": intent.payload_digest,
        "media": _media(dispatch),
        "privacy_switches": dict(dispatch.privacy_switches),
        "first_transfer_id": str(intent.first_transfer_id) if intent.first_transfer_id is not None else None,
        "trace_id": request.trace_id,
    }


def refusal_details(refused: RefusedTransfer) -> dict[str, Json]:
    """What `append_refusals` takes of a refusal."""
    manifest = refused.manifest
    return {
        "at": moment_to_json(refused.at),
        "caller_id": str(refused.credential.caller_id),
        "schema": SCHEMA,
        "environment": refused.environment,
        "sandbox": refused.sandbox,
        "subject_ref": str(refused.subject_ref),
        "subject_kind": refused.subject_kind.value,
        "caller": refused.credential.caller,
        "credential": _credential(refused.credential),
        "provider": refused.provider,
        "recipient": refused.recipient,
        "sub_processors": list(manifest.sub_processors) if manifest is not None else [],
        "model": refused.model,
        "purpose": refused.purpose,
        "manifest": _manifest(manifest) if manifest is not None else None,
        "fields_dropped": [{"path": path, "reason": reason} for path, reason in refused.fields_dropped],
        "edition": refused.edition,
        "trace_id": refused.trace_id,
        "reason": refused.reason.value,
    }


def outcome_detail(outcome: Outcome) -> dict[str, Json]:
    """The `detail` of an outcome: everything but its state."""
    cancel = outcome.cancel
    return {
        "http_status": outcome.http_status,
        "completed_at": moment_to_json(outcome.completed_at),
        "duration_ms": outcome.duration_ms,
        "provider_request_id": outcome.provider_request_id,
        "bytes_received": outcome.bytes_received,
        "cancel": {"requested_at": moment_to_json(cancel.requested_at), "result": cancel.result}
        if cancel is not None
        else None,
        "result": outcome.result.value if outcome.result is not None else None,
        "stopped_after": outcome.stopped_after,
    }


def record_to_json(row: Row) -> dict[str, Json]:
    """A row of the reader's query as the contract's JSON. What is a column is believed; `details` says the rest."""
    details: dict[str, Json] = row["details"]
    record = {key: details.get(key, empty) for key, empty in _EMPTY.items()}
    transfer_id: UUID = row["id"]
    record |= {
        "id": str(transfer_id),
        "kind": row["kind"],
        "intent_at": moment_to_json(row["at"]),
        "subject_ref": str(row["subject_ref"]),
        "purpose": row["purpose"],
        "edition": row["edition"],
        "job_id": str(transfer_id) if row["has_job"] else None,
    }
    if row["kind"] == "transfer":
        record["outcome"] = _outcome_to_json(row["state"], row["detail"])
    return record


def _outcome_to_json(state: str | None, detail: Mapping[str, Json] | None) -> Json:
    known = detail if detail is not None else {}
    return {"state": state or OutcomeState.PENDING.value, **{key: known.get(key) for key in _OUTCOME_KEYS}}


def _credential(credential: Credential) -> Json:
    return {"kind": credential.kind.value, "id": credential.id}


def _manifest(manifest: Manifest) -> Json:
    return {"id": manifest.id, "sha256": manifest.sha256}


def _media(dispatch: Dispatch) -> Json:
    """What the record says of each medium: never a name or an address, and of what was removed never a value."""
    uploads = {upload.name for upload in dispatch.waiting}
    return [
        {
            "path": carried.path,
            "media_type": carried.medium.media_type,
            "bytes": carried.medium.bytes,
            "digest": carried.medium.digest,
            "digest_before": carried.medium.digest_before,
            "removed": list(carried.medium.removed),
            "placed": UPLOADED if carried.name in uploads else "inline",
        }
        for carried in dispatch.payload.media
    ]


def _dropped(payload: MinimisedPayload, *, left_out: Sequence[str]) -> Json:
    """What stood beside the input and what was dropped of it, so many by name and the rest as a count."""
    dropped: list[Json] = [{"path": path, "reason": DropReason.NOT_LISTED.value} for path in left_out]
    dropped += [{"path": field.path, "reason": field.reason} for field in payload.fields_dropped]
    more = max(0, len(dropped) - MAX_DROPPED) + payload.dropped_uncounted
    return [*dropped[:MAX_DROPPED], {"path": "~", "reason": "more", "count": more}] if more else dropped


def _consent(consent: RecipientStanding, *, version: int) -> Json:
    return {
        "event_id": str(consent.event_id),
        "disclosure": consent.disclosure,
        "disclosure_sha256": consent.disclosure_sha256,
        "locale": consent.locale,
        "standing_version": version,
    }


def _contract(contract: Contract) -> Json:
    return {
        "id": str(contract.id),
        "reference": contract.reference,
        "valid_until": moment_to_json(contract.ends_at),
        "country": _first(contract.countries),
        "transfer_mechanism": contract.transfer_mechanism,
    }


def _first(countries: Sequence[str]) -> str | None:
    return countries[0] if countries else None
