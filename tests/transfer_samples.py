"""Intents, outcomes, jobs, outputs and refusals for tests of the log; ids are new ones of now."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from consent_proxy.adapters.system import Uuid7Identifiers
from consent_proxy.application.ports.transfers import RefusedTransfer
from consent_proxy.domain.categories import DataCategory
from consent_proxy.domain.media import CarriedMedium
from consent_proxy.domain.minimise import DroppedField, MinimisedPayload
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.subjects import SubjectKind, SubjectRef
from consent_proxy.domain.transfers import (
    Dispatch,
    Intent,
    Job,
    Outcome,
    OutcomeState,
    Output,
    ProviderCall,
    ProviderJob,
    Upload,
)
from tests.builders import CALLER, a_credential, a_manifest, a_medium, a_permit, a_request

_ids = Uuid7Identifiers()


def new_id() -> UUID:
    return _ids.new_id()


def new_subject() -> SubjectRef:
    return SubjectRef(uuid4())


def soon() -> datetime:
    """Late enough for any test."""
    return datetime.now(UTC) + timedelta(hours=1)


def a_dispatch() -> Dispatch:
    """A request to fal with one field sent and one dropped."""
    return Dispatch(
        host="fal.run",
        path="/fal-ai/flux/dev",
        content=b'{"prompt":"a boat"}',
        payload=MinimisedPayload(
            body={"prompt": "a boat"},
            fields_sent=("prompt",),
            fields_dropped=(DroppedField(path="email", reason="not-listed"),),
            categories=frozenset({DataCategory.PROMPT}),
        ),
        call=ProviderCall(operation="run"),
        privacy_switches={"X-Fal-Store-IO": "0"},
    )


def a_dispatch_with_an_upload() -> Dispatch:
    """A request to fal that names a photo, which is uploaded before it."""
    medium = a_medium(content=b"pixels" * 1_000)
    carried = CarriedMedium(path="image_url", at=("image_url",), name="medium-1", medium=medium)
    payload = MinimisedPayload(
        body={"prompt": "a boat", "image_url": "medium-1"},
        fields_sent=("image_url", "prompt"),
        fields_dropped=(),
        categories=frozenset({DataCategory.PHOTO, DataCategory.PROMPT}),
        media=(carried,),
    )
    return replace(a_dispatch(), payload=payload, waiting=(Upload(name="medium-1", medium=medium),))


def an_intent(subject_ref: SubjectRef, *, permit: dict[str, Any] | None = None, **overrides: Any) -> Intent:
    """An intent of a picture at fal that stands on version 1 and edition 1, unless ``permit`` says otherwise."""
    stands_on = {"subject_ref": subject_ref, "standing_version": 1, "edition": 1, "not_after": soon()}
    values: dict[str, Any] = {
        "id": new_id(),
        "request": a_request(subject_ref=subject_ref),
        "permit": a_permit(**{**stands_on, **(permit or {})}),
        "dispatch": a_dispatch(),
        "payload_digest": "e" * 64,
        "environment": "test",
        "sandbox": True,
    }
    return Intent(**{**values, **overrides})


def an_outcome(transfer_id: UUID, **overrides: Any) -> Outcome:
    """What a provider that answered leads to."""
    delivered = Outcome(
        transfer_id=transfer_id,
        seq=1,
        state=OutcomeState.DELIVERED,
        http_status=200,
        completed_at=datetime(2026, 11, 23, 12, tzinfo=UTC),
        duration_ms=42,
        provider_request_id="req-1",
        bytes_received=7,
    )
    return replace(delivered, **overrides)


def a_job(intent: Intent, **overrides: Any) -> Job:
    """The work that an intent started."""
    values: dict[str, Any] = {
        "id": intent.id,
        "caller_id": CALLER,
        "subject_ref": intent.request.subject_ref,
        "subject_kind": SubjectKind.ACCOUNT,
        "provider": "fal",
        "recipient": "fal",
        "model": "fal-ai/flux/dev",
        "purpose": "generation",
        "provider_job": ProviderJob(id="job-1", address="fal-ai/flux"),
        "operation": "submit",
        "version": None,
        "created_at": datetime(2026, 11, 23, 12, tzinfo=UTC),
    }
    return Job(**{**values, **overrides})


def an_output(job: Job, **overrides: Any) -> Output:
    """A result of a job."""
    values: dict[str, Any] = {
        "capability": f"capability-{new_id()}",
        "job_id": job.id,
        "caller_id": job.caller_id,
        "subject_ref": job.subject_ref,
        "provider": job.provider,
        "url": "https://v3.fal.media/files/a.png",
        "expires_at": soon(),
    }
    return Output(**{**values, **overrides})


def a_refusal(subject_ref: SubjectRef, **overrides: Any) -> RefusedTransfer:
    """A refusal for want of an answer."""
    values: dict[str, Any] = {
        "id": new_id(),
        "at": datetime.now(UTC),
        "environment": "test",
        "sandbox": False,
        "subject_ref": subject_ref,
        "subject_kind": SubjectKind.ACCOUNT,
        "credential": a_credential(),
        "provider": "fal",
        "recipient": "fal",
        "model": "fal-ai/flux/dev",
        "purpose": "generation",
        "manifest": a_manifest(),
        "reason": Reason.CONSENT_NEVER_ASKED,
        "edition": 1,
    }
    return RefusedTransfer(**{**values, **overrides})
