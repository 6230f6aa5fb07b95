"""Consent events and standings, kept in memory."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from consent_proxy.adapters.postgres.events import ToRecord, arrive, decided, replay
from consent_proxy.application.ports.consent import (
    DecisionToRecord,
    IdempotencyKeyReused,
    RecordedEvent,
    StoredEvent,
    WithdrawalToRecord,
)
from consent_proxy.application.ports.pages import Page, PageOf
from consent_proxy.application.ports.platform import Clock
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.consent import Standing
from consent_proxy.domain.subjects import SubjectRef
from tests.fakes.pages import part_of


class FakeConsentLedger:
    """Fulfils ``ConsentLedger``. ``waited`` remembers which open intents somebody waited for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._events: list[StoredEvent] = []
        self._standings: dict[SubjectRef, Mapping[Purpose, Standing]] = {}
        self._requests: dict[bytes, tuple[bytes, StoredEvent]] = {}
        self.waited: list[tuple[SubjectRef, frozenset[Purpose]]] = []

    async def decide(self, decision: DecisionToRecord) -> RecordedEvent:
        return self._record(decision)

    async def withdraw(self, withdrawal: WithdrawalToRecord) -> RecordedEvent:
        return self._record(withdrawal)

    async def wait_for_open_intents(self, subject_ref: SubjectRef, *, purposes: frozenset[Purpose]) -> None:
        self.waited.append((subject_ref, purposes))

    async def standings(self, subject_ref: SubjectRef) -> Mapping[Purpose, Standing]:
        return decided(self._standings.get(subject_ref, {}))

    async def standings_at(self, subject_ref: SubjectRef, *, at: datetime) -> Mapping[Purpose, Standing]:
        events = [event for event in self._of(subject_ref) if event.received_at <= at]
        return replay(events, subject_ref=subject_ref)

    async def events(self, subject_ref: SubjectRef, *, page: Page) -> PageOf[StoredEvent]:
        return part_of(self._of(subject_ref), page, key=lambda event: event.id, at=lambda event: event.received_at)

    async def event(self, event_id: UUID) -> StoredEvent | None:
        return next((event for event in self._events if event.id == event_id), None)

    async def event_before(self, event: StoredEvent) -> StoredEvent | None:
        events = self._of(event.subject_ref)
        place = next(at for at, known in enumerate(events) if known.id == event.id)
        return events[place - 1] if place > 0 else None

    def _of(self, subject_ref: SubjectRef) -> list[StoredEvent]:
        return [event for event in self._events if event.subject_ref == subject_ref]

    def _record(self, asked: ToRecord) -> RecordedEvent:
        before = self._standings.get(asked.subject_ref, {})
        digest = asked.idempotency_digest
        if digest is not None and digest in self._requests:
            request_sha256, first = self._requests[digest]
            if request_sha256 != asked.request_sha256:
                raise IdempotencyKeyReused
            return RecordedEvent(event=first, standings=decided(before), replayed=True)
        received_at = max([self._clock.now(), *(event.received_at for event in self._of(asked.subject_ref))])
        arrived = arrive(asked, received_at=received_at, standings=before)
        self._events.append(arrived.event)
        self._standings[asked.subject_ref] = arrived.standings
        if digest is not None:
            self._requests[digest] = (asked.request_sha256, arrived.event)
        return RecordedEvent(event=arrived.event, standings=decided(arrived.standings))
