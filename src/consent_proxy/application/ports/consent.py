"""Subjects, the events they cause, and the standings those lead to."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from consent_proxy.application.ports.pages import Page, PageOf
from consent_proxy.domain.callers import Credential
from consent_proxy.domain.categories import DataCategory, Purpose
from consent_proxy.domain.consent import Standing
from consent_proxy.domain.disclosures import Disclosure
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.subjects import SubjectIdentifier, SubjectKind, SubjectRef


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event as it is kept. ``answers`` are JSON: purpose, decision, recipients, categories, effective, reason."""

    id: UUID
    kind: str
    subject_ref: SubjectRef
    subject_kind: SubjectKind
    received_at: datetime
    occurred_at: datetime | None
    disclosure: str | None
    disclosure_sha256: str | None
    locale: str | None
    answers: tuple[Mapping[str, Json], ...]
    effective: bool
    reason: str | None
    actor: str
    evidence: Mapping[str, str]
    caller: str
    credential: Mapping[str, str]
    environment: str


class Subjects(Protocol):
    """The way from a canonical identifier to the opaque reference."""

    async def resolve(self, identifier: SubjectIdentifier) -> SubjectRef:
        """The reference, made on first sight. Raises ``LedgerUnavailable``."""
        ...

    async def find(self, identifier: SubjectIdentifier) -> SubjectRef | None:
        """The reference, if there is one. Raises ``LedgerUnavailable``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PurposeAnswer:
    """One answer of a screen, resolved against its disclosure. ``covers`` is recipient → categories of a yes;
    ``recipients`` ``None`` on a no means everyone.
    """

    purpose: Purpose
    granted: bool
    covers: Mapping[str, frozenset[DataCategory]]
    recipients: frozenset[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionToRecord:
    """A screen's answers on their way into the ledger. ``evidence`` is closed and holds no free text."""

    event_id: UUID
    subject_ref: SubjectRef
    subject_kind: SubjectKind
    credential: Credential
    disclosure: Disclosure
    disclosure_sha256: str
    locale: str
    answers: tuple[PurposeAnswer, ...]
    occurred_at: datetime | None
    evidence: Mapping[str, str]
    actor: str
    environment: str
    idempotency_digest: bytes | None
    request_sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawalToRecord:
    """A withdrawal on its way into the ledger; ``purposes`` and ``recipients`` ``None`` mean all."""

    event_id: UUID
    subject_ref: SubjectRef
    subject_kind: SubjectKind
    credential: Credential
    purposes: frozenset[Purpose] | None
    recipients: frozenset[str] | None
    occurred_at: datetime | None
    evidence: Mapping[str, str]
    reason: str
    environment: str
    idempotency_digest: bytes | None
    request_sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEvent:
    """What the ledger made of it. ``replayed`` means that the idempotency key was known: nothing new happened."""

    event: StoredEvent
    standings: Mapping[Purpose, Standing]
    replayed: bool = False


class IdempotencyKeyReused(Exception):
    """The same key came with another body."""


class ConsentLedger(Protocol):
    """Consent events and the standings they lead to. Order is the order of commits under the standings' locks."""

    async def decide(self, decision: DecisionToRecord) -> RecordedEvent:
        """Append the event and move the standings in one transaction (locks: rules shared, subject, standings by key).

        Raises ``domain.consent.TimeNotAllowed``, ``IdempotencyKeyReused``, ``LedgerUnavailable``.
        """
        ...

    async def withdraw(self, withdrawal: WithdrawalToRecord) -> RecordedEvent:
        """As ``decide``; never refused for what stands. Raises ``IdempotencyKeyReused``, ``LedgerUnavailable``."""
        ...

    async def wait_for_open_intents(self, subject_ref: SubjectRef, *, purposes: frozenset[Purpose]) -> None:
        """Return when no send of the subject can begin any more on an intent committed before this call.

        Looks for open intents younger than the send window and, only where there are any, waits the window out.
        """
        ...

    async def standings(self, subject_ref: SubjectRef) -> Mapping[Purpose, Standing]:
        """The standings of now; a purpose never decided on is missing. Raises ``LedgerUnavailable``."""
        ...

    async def standings_at(self, subject_ref: SubjectRef, *, at: datetime) -> Mapping[Purpose, Standing]:
        """The standings of a moment, replayed from the events received up to it. Raises ``LedgerUnavailable``."""
        ...

    async def events(self, subject_ref: SubjectRef, *, page: Page) -> PageOf[StoredEvent]:
        """The subject's events. Raises ``LedgerUnavailable``."""
        ...

    async def event(self, event_id: UUID) -> StoredEvent | None:
        """One event. Raises ``LedgerUnavailable``."""
        ...

    async def event_before(self, event: StoredEvent) -> StoredEvent | None:
        """The event of the same subject that came just before. Raises ``LedgerUnavailable``."""
        ...
