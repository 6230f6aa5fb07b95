"""Who calls us and with what: callers, the roles of their keys, and the credential a request came with."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.subjects import SubjectKind, SubjectRef

#: How the text of a service key, and of a subject token, begins.
KEY_PREFIX = "cpk_"
TOKEN_PREFIX = "cps_"  # noqa: S105 - a prefix, not a secret

#: The caller that the bootstrap key speaks for; fixed, so that its jobs stay its own across restarts.
BOOTSTRAP_CALLER = UUID("00000000-0000-7000-8000-000000000001")


class Role(StrEnum):
    """What a service key may do."""

    GATEWAY = "gateway"
    CONSENT = "consent"
    AUDITOR = "auditor"
    PRIVACY = "privacy"
    ADMIN = "admin"
    METRICS = "metrics"


class Scope(StrEnum):
    """What a subject token may do: use AI as its subject, or also decide for it."""

    AI = "ai"
    CONSENT = "consent"


class CredentialKind(StrEnum):
    """How a request proved who it is."""

    SERVICE_KEY = "service-key"
    SUBJECT_TOKEN = "subject-token"  # noqa: S105 - a kind, not a secret
    BOOTSTRAP = "bootstrap"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceKey:
    """One key of a caller, as the rules know it: its digest, never its text. Times are UTC."""

    id: UUID
    caller_id: UUID
    caller: str
    digest: bytes
    roles: frozenset[Role]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def valid_at(self, at: datetime) -> bool:
        """Whether the key opens anything at that moment."""
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What a request may do and as whom. ``subject_ref``, ``scopes`` and ``purposes`` are a subject token's."""

    kind: CredentialKind
    id: str
    caller_id: UUID
    caller: str
    roles: frozenset[Role]
    issued_at: datetime | None = None
    expires_at: datetime | None = None
    subject_ref: SubjectRef | None = None
    subject_kind: SubjectKind | None = None
    scopes: frozenset[Scope] = frozenset()
    purposes: frozenset[Purpose] | None = None

    @property
    def is_token(self) -> bool:
        """Whether it is bound to one subject."""
        return self.kind is CredentialKind.SUBJECT_TOKEN
