"""Subjects, the events they cause, and the standings those lead to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from consent_proxy.application.ports.pages import Page, PageOf
from consent_proxy.domain.callers import Credential
from consent_proxy.domain.categories import DataCategory, Purpose
from consent_proxy.domain.consent import Standing
from consent_proxy.domain.disclosures import Disclosure
from consent_proxy.domain.links import Carry
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.subjects import SubjectIdentifier, SubjectKind, SubjectRef


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event as it is kept. ``answers`` are JSON: purpose, decision, recipients, categories, effective, reason.

    ``linked_from`` and ``carry`` are of a link: the reference that went, into ``subject_ref``, and what it took along.
    """

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
    linked_from: SubjectRef | None = None
    carry: Carry | None = None


class Subjects(Protocol):
    """The way from a canonical identifier to the opaque reference, and from a linked reference to the one that stays.

    Where ``fresh`` is false an answer may be some seconds old: it may be a reference that was linked since. Everything
    that writes or decides follows such a reference under the locks, so only comparing references needs more.
    """

    async def resolve(self, identifier: SubjectIdentifier, *, fresh: bool = False) -> SubjectRef:
        """The reference, made on first sight. Raises ``LedgerUnavailable``."""
        ...

    async def find(self, identifier: SubjectIdentifier, *, fresh: bool = False) -> SubjectRef | None:
        """The reference, if there is one. Raises ``LedgerUnavailable``."""
        ...

    async def follow(self, subject_ref: SubjectRef) -> SubjectRef:
        """The reference that stays: the same unless it was linked, and then the end of its way, as of now.

        Raises ``LedgerUnavailable``.
        """
        ...


#: What is kept of an idempotency key. It belongs to a person, so it is asked for by each reference the person has had:
#: a retry from before a link would otherwise count as new.
IdempotencyDigest = Callable[[SubjectRef], bytes]


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
    idempotency: IdempotencyDigest | None
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
    idempotency: IdempotencyDigest | None
    request_sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkToRecord:
    """Two references of one person on their way to be one: ``kept`` stays, ``taken`` goes into it."""

    event_id: UUID
    kept: SubjectRef
    kept_kind: SubjectKind
    taken: SubjectRef
    carry: Carry
    credential: Credential
    environment: str
    idempotency: IdempotencyDigest | None
    request_sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedEvent:
    """What the ledger made of it: the event, and the standings of ``stood_at`` that it led to.

    ``replayed`` means that nothing new happened. A known idempotency key gets the first answer again, with what stood
    then: what came after it is no part of that answer, and no send rests on one.
    """

    event: StoredEvent
    standings: Mapping[Purpose, Standing]
    stood_at: datetime
    replayed: bool = False


class IdempotencyKeyReused(Exception):
    """The same key came with another body."""


class NothingToLink(Exception):
    """Both references are one and the same, and were never two."""


class CursorAhead(ValueError):
    """A cursor of the feed from after the end of the record: it was restored from an older backup since."""


class ConsentLedger(Protocol):
    """Consent events and the standings they lead to. Order is the order of commits under the standings' locks.

    A reference that was linked stands for the one that stays, whoever still comes in under it: events are recorded,
    and standings read, there. Histories have the rows of every reference of the person.
    """

    async def decide(self, decision: DecisionToRecord) -> RecordedEvent:
        """Append the event and move the standings in one transaction (locks: rules shared, subject, standings by key).

        Raises ``domain.consent.TimeNotAllowed``, ``IdempotencyKeyReused``, ``LedgerUnavailable``.
        """
        ...

    async def withdraw(self, withdrawal: WithdrawalToRecord) -> RecordedEvent:
        """As ``decide``; never refused for what stands. Raises ``IdempotencyKeyReused``, ``LedgerUnavailable``."""
        ...

    async def link(self, link: LinkToRecord) -> RecordedEvent:
        """Join two references, for good: one standing, one history from now on, and none under the one that goes.

        One transaction (locks: rules shared, both subjects by key, the standings of both by key). Every standing of
        both moves, so that no intent decided before it is committed after it. Where they are one already, the answer
        is the link that was made last, as replayed, with what stands now. Raises ``NothingToLink``,
        ``IdempotencyKeyReused``, ``LedgerUnavailable``.
        """
        ...

    async def wait_for_open_intents(self, subject_ref: SubjectRef, *, purposes: frozenset[Purpose]) -> None:
        """Return when no send of the person can begin any more on an intent committed before this call.

        Looks for open intents younger than the send window and, only where there are any, waits the window out.
        """
        ...

    async def standings(self, subject_ref: SubjectRef) -> Mapping[Purpose, Standing]:
        """The standings of now; a purpose never decided on is missing. Raises ``LedgerUnavailable``."""
        ...

    async def standings_at(self, subject_ref: SubjectRef, *, at: datetime) -> Mapping[Purpose, Standing]:
        """The standings of a moment, replayed from the events received up to it. Raises ``LedgerUnavailable``.

        Before a link they are those of the reference that stays: what the other one had decided was not its own yet.
        """
        ...

    async def events(self, subject_ref: SubjectRef, *, page: Page) -> PageOf[StoredEvent]:
        """The person's events. Raises ``LedgerUnavailable``."""
        ...

    async def event(self, event_id: UUID) -> StoredEvent | None:
        """One event. Raises ``LedgerUnavailable``."""
        ...

    async def event_before(self, event: StoredEvent) -> StoredEvent | None:
        """The event of the same person that came just before, as that person was known then: what is linked later
        changes nothing of it. Raises ``LedgerUnavailable``.
        """
        ...

    async def changes(self, *, after: str | None, limit: int) -> PageOf[StoredEvent]:
        """The events of everybody that changed anything, in one order for all readers, after a cursor.

        No event ever takes a place before a cursor that was given out, whatever was being committed meanwhile. The
        cursor is there also where the list is empty, unless nothing was ever recorded: it is where to go on. Raises
        ``LedgerUnavailable``, ``CursorAhead``, and ``ValueError`` for a cursor that is none of ours.
        """
        ...
