"""Values of the domain for tests: whole, valid, and different from the default only where a test says so."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from consent_proxy.domain.callers import Credential, CredentialKind, Role, Scope, ServiceKey
from consent_proxy.domain.categories import GRANTABLE, DataCategory, Purpose
from consent_proxy.domain.consent import ConsentState, Declined, Granted, RecipientStanding, Standing, Withdrawn
from consent_proxy.domain.contracts import Contract, SubProcessor
from consent_proxy.domain.decide import Facts, Permit, TransferRequest
from consent_proxy.domain.disclosures import DisclosedRecipient, Disclosure
from consent_proxy.domain.manifests import Field, FieldKind, Manifest, field_tree
from consent_proxy.domain.media import CleanMedium, MediaKind, WholeContent
from consent_proxy.domain.rules import Rules
from consent_proxy.domain.subjects import SubjectKind, SubjectRef

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)

SUBJECT = SubjectRef(UUID(int=0x5))
CALLER = UUID(int=0xCA)
KEY = UUID(int=0xCE)
PSEUDONYM = "0123456789abcdef0123456789abcdef"

PROMPT = Field(path="prompt", category=DataCategory.PROMPT, kind=FieldKind.TEXT, required=True)
STEPS = Field(path="steps", category=DataCategory.SETTING, kind=FieldKind.INTEGER, minimum=1, maximum=50)


def event_id(number: int) -> UUID:
    """A recognisable id."""
    return UUID(int=number)


def a_field(path: str = "prompt", **overrides: Any) -> Field:
    """A field of text, unless told otherwise."""
    return replace(PROMPT, path=path, **overrides)


def a_manifest(*fields: Field, **overrides: Any) -> Manifest:
    """A reviewed manifest of a model at fal; its fields are named by their whole paths."""
    listed = fields or (PROMPT, STEPS)
    values: dict[str, Any] = {
        "provider": "fal",
        "recipient": "fal",
        "id": "fal-ai/flux/dev",
        "purpose": Purpose.GENERATION,
        "fields": field_tree({field.path: field for field in listed}),
        "sha256": "a" * 64,
        "source": "a schema",
        "reviewed_by": "a reviewer",
    }
    return Manifest(**{**values, **overrides})


def a_contract(**overrides: Any) -> Contract:
    """A contract with fal that covers everything, from yesterday to tomorrow."""
    values: dict[str, Any] = {
        "id": event_id(0xC0),
        "recipient": "fal",
        "legal_entity": "Features & Labels, Inc.",
        "reference": "DPA-1",
        "purposes": frozenset(Purpose),
        "categories": GRANTABLE,
        "countries": ("US",),
        "sub_processors": (SubProcessor(id="google", legal_entity="Google LLC", country="US"),),
        "transfer_mechanism": "SCC",
        "equal_protection": True,
        "own_purposes_excluded": True,
        "valid_from": NOW - DAY,
        "valid_until": NOW + DAY,
        "put_at": NOW - DAY,
    }
    return Contract(**{**values, **overrides})


def a_recipient(recipient: str = "fal", **overrides: Any) -> DisclosedRecipient:
    """A recipient as a disclosure names it."""
    return replace(DisclosedRecipient(id=recipient, legal_entity=f"{recipient}, Inc.", country="US"), **overrides)


def a_disclosure(version: str = "2026-03-03", **overrides: Any) -> Disclosure:
    """A disclosure in force for two days that names fal and Replicate, both purposes and every category."""
    values: dict[str, Any] = {
        "version": version,
        "effective_at": NOW - 2 * DAY,
        "published_at": NOW - 3 * DAY,
        "material": False,
        "outdates_at": None,
        "consent_valid_for": None,
        "recipients": (a_recipient("fal"), a_recipient("replicate")),
        "purposes": dict.fromkeys(Purpose, GRANTABLE),
        "document": {"version": version, "texts": {"en": {"title": "Your data"}}},
    }
    return Disclosure(**{**values, **overrides})


def a_recipient_standing(**overrides: Any) -> RecipientStanding:
    """A yes of yesterday to the disclosure of ``a_disclosure``, for every category."""
    values: dict[str, Any] = {
        "state": ConsentState.GRANTED,
        "event_id": event_id(1),
        "decided_at": NOW - DAY,
        "disclosure": "2026-03-03",
        "disclosure_sha256": "d" * 64,
        "locale": "en",
        "categories": GRANTABLE,
    }
    return RecipientStanding(**{**values, **overrides})


def a_standing(**overrides: Any) -> Standing:
    """A standing in which fal has a yes."""
    values: dict[str, Any] = {
        "subject_ref": SUBJECT,
        "purpose": Purpose.GENERATION,
        "version": 1,
        "recipients": {"fal": a_recipient_standing()},
    }
    return Standing(**{**values, **overrides})


Covers = Mapping[str, Iterable[DataCategory]]


def a_grant(number: int = 1, *, covers: Covers | None = None, **overrides: Any) -> Granted:
    """A yes that arrives now, for every category at fal and Replicate."""
    values: dict[str, Any] = {
        "event_id": event_id(number),
        "received_at": NOW,
        "occurred_at": None,
        "disclosure": "2026-03-03",
        "disclosure_sha256": "d" * 64,
        "locale": "en",
        "covers": {
            recipient: frozenset(categories)
            for recipient, categories in (covers or {"fal": GRANTABLE, "replicate": GRANTABLE}).items()
        },
    }
    return Granted(**{**values, **overrides})


def a_decline(number: int = 1, **overrides: Any) -> Declined:
    """A no to everyone that arrives now."""
    values: dict[str, Any] = {
        "event_id": event_id(number),
        "received_at": NOW,
        "disclosure": "2026-03-03",
        "disclosure_sha256": "d" * 64,
        "locale": "en",
    }
    return Declined(**{**values, **overrides})


def a_withdrawal(number: int = 1, **overrides: Any) -> Withdrawn:
    """A yes to everyone taken back now."""
    return replace(Withdrawn(event_id=event_id(number), received_at=NOW), **overrides)


def a_service_key(**overrides: Any) -> ServiceKey:
    """A key of the caller that may use the gateway."""
    values: dict[str, Any] = {
        "id": KEY,
        "caller_id": CALLER,
        "caller": "backend",
        "digest": b"digest",
        "roles": frozenset({Role.GATEWAY}),
        "created_at": NOW - DAY,
        "expires_at": None,
        "revoked_at": None,
    }
    return ServiceKey(**{**values, **overrides})


def a_credential(**overrides: Any) -> Credential:
    """The credential of ``a_service_key``."""
    values: dict[str, Any] = {
        "kind": CredentialKind.SERVICE_KEY,
        "id": str(KEY),
        "caller_id": CALLER,
        "caller": "backend",
        "roles": frozenset({Role.GATEWAY}),
    }
    return Credential(**{**values, **overrides})


def a_subject_token(**overrides: Any) -> Credential:
    """A subject token of the same caller, for an hour."""
    values: dict[str, Any] = {
        "kind": CredentialKind.SUBJECT_TOKEN,
        "id": "token-1",
        "roles": frozenset(),
        "issued_at": NOW - HOUR / 2,
        "expires_at": NOW + HOUR / 2,
        "subject_ref": SUBJECT,
        "subject_kind": SubjectKind.ACCOUNT,
        "scopes": frozenset({Scope.AI}),
    }
    return a_credential(**{**values, **overrides})


def some_rules(**overrides: Any) -> Rules:
    """Rules under which everything is in order."""
    values: dict[str, Any] = {
        "edition": 7,
        "disclosures": (a_disclosure(),),
        "contracts": (a_contract(),),
        "keys": {b"digest": a_service_key()},
    }
    return Rules(**{**values, **overrides})


def some_facts(**overrides: Any) -> Facts:
    """Facts on which everything is permitted."""
    values: dict[str, Any] = {"rules": some_rules(), "standing": a_standing(), "salt": b"salt", "fresh": True}
    return Facts(**{**values, **overrides})


def a_request(**overrides: Any) -> TransferRequest:
    """A request for a picture at fal."""
    values: dict[str, Any] = {
        "credential": a_credential(),
        "subject_ref": SUBJECT,
        "subject_kind": SubjectKind.ACCOUNT,
        "provider": "fal",
        "recipient": "fal",
        "manifest": a_manifest(),
        "payload": {"prompt": "a boat"},
    }
    return TransferRequest(**{**values, **overrides})


def a_permit(**overrides: Any) -> Permit:
    """A permit for every category of ``a_manifest``, good for a day."""
    values: dict[str, Any] = {
        "subject_ref": SUBJECT,
        "purpose": Purpose.GENERATION,
        "recipient": "fal",
        "manifest": a_manifest(),
        "categories": GRANTABLE,
        "consent": a_recipient_standing(),
        "contract": a_contract(),
        "standing_version": 1,
        "edition": 7,
        "not_after": NOW + DAY,
    }
    return Permit(**{**values, **overrides})


def a_medium(kind: MediaKind = MediaKind.PHOTO, *, content: bytes = b"pixels", **overrides: Any) -> CleanMedium:
    """A small photo that was cleaned of its place."""
    values: dict[str, Any] = {
        "kind": kind,
        "media_type": "image/jpeg",
        "extension": "jpg",
        "bytes": len(content),
        "digest": "a" * 64,
        "digest_before": "b" * 64,
        "removed": ("location",),
        "content": WholeContent(content),
    }
    return CleanMedium(**{**values, **overrides})


class PiecedContent:
    """Bytes that are too many to be at hand; fulfils ``MediaContent``."""

    at_hand = None

    def __init__(self, content: bytes, *, piece: int = 1_000) -> None:
        self._content, self._piece = content, piece

    async def pieces(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self._content), self._piece):
            yield self._content[at : at + self._piece]
