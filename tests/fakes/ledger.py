"""Consent events and standings, kept in memory."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from consent_proxy.adapters.postgres.events import ToRecord, arrive, arrive_link, decided, replay
from consent_proxy.application.ports.consent import (
    CursorAhead,
    DecisionToRecord,
    IdempotencyKeyReused,
    LinkToRecord,
    NothingToLink,
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
    """Fulfils ``ConsentLedger``. ``waited`` remembers which open intents were waited for, ``links`` who went where."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._events: list[StoredEvent] = []
        self._standings: dict[SubjectRef, Mapping[Purpose, Standing]] = {}
        self._requests: dict[bytes, tuple[bytes, StoredEvent]] = {}
        self.links: dict[SubjectRef, SubjectRef] = {}
        self.waited: list[tuple[SubjectRef, frozenset[Purpose]]] = []

    async def decide(self, decision: DecisionToRecord) -> RecordedEvent:
        return self._record(decision)

    async def withdraw(self, withdrawal: WithdrawalToRecord) -> RecordedEvent:
        return self._record(withdrawal)

    async def link(self, link: LinkToRecord) -> RecordedEvent:
        link = replace(link, kept=self._stays(link.kept), taken=self._stays(link.taken))
        kept, taken = link.kept, link.taken
        first = self._first(link, kept)
        if first is not None:
            return self._again(first)
        if kept == taken:
            return self._last_link(kept)
        received_at = self._arrival(kept, taken)
        arrived = arrive_link(link, received_at=received_at, kept=self._of(kept), taken=self._of(taken))
        self._standings[kept] = {**self._of(kept), **arrived.standings}
        self.links[taken] = kept
        return self._keep(arrived.event, link, kept)

    async def wait_for_open_intents(self, subject_ref: SubjectRef, *, purposes: frozenset[Purpose]) -> None:
        self.waited.append((subject_ref, purposes))

    async def standings(self, subject_ref: SubjectRef) -> Mapping[Purpose, Standing]:
        return decided(self._of(self._stays(subject_ref)))

    async def standings_at(self, subject_ref: SubjectRef, *, at: datetime) -> Mapping[Purpose, Standing]:
        events = [event for event in self._history(subject_ref) if event.received_at <= at]
        return replay(events, subject_ref=self._stays(subject_ref))

    async def events(self, subject_ref: SubjectRef, *, page: Page) -> PageOf[StoredEvent]:
        return part_of(self._history(subject_ref), page, key=lambda event: event.id, at=lambda event: event.received_at)

    async def event(self, event_id: UUID) -> StoredEvent | None:
        return next((event for event in self._events if event.id == event_id), None)

    async def event_before(self, event: StoredEvent) -> StoredEvent | None:
        earlier = self._events[: next(at for at, known in enumerate(self._events) if known.id == event.id)]
        known = {event.subject_ref}
        for other in reversed(earlier):
            if other.subject_ref in known and other.linked_from is not None:
                known.add(other.linked_from)
        return next((other for other in reversed(earlier) if other.subject_ref in known), None)

    async def changes(self, *, after: str | None, limit: int) -> PageOf[StoredEvent]:
        if after is not None and not after.startswith("at-"):
            raise ValueError
        begin = int(after.removeprefix("at-")) if after is not None else 0
        if begin > len(self._events):
            raise CursorAhead
        places = [
            at
            for at in range(begin, len(self._events))
            if self._events[at].kind == "link" or any(answer["effective"] for answer in self._events[at].answers)
        ][:limit]
        end = places[-1] + 1 if len(places) == limit else len(self._events)
        cursor = f"at-{end}" if end > 0 else after
        return PageOf(items=tuple(self._events[at] for at in places), next_cursor=cursor)

    def _stays(self, subject_ref: SubjectRef) -> SubjectRef:
        while subject_ref in self.links:
            subject_ref = self.links[subject_ref]
        return subject_ref

    def _of(self, subject_ref: SubjectRef) -> Mapping[Purpose, Standing]:
        return self._standings.get(subject_ref, {})

    def _history(self, subject_ref: SubjectRef) -> list[StoredEvent]:
        stays = self._stays(subject_ref)
        return [event for event in self._events if self._stays(event.subject_ref) == stays]

    def _record(self, asked: ToRecord) -> RecordedEvent:
        subject_ref = self._stays(asked.subject_ref)
        asked = replace(asked, subject_ref=subject_ref)
        first = self._first(asked, subject_ref)
        if first is not None:
            return self._again(first)
        arrived = arrive(asked, received_at=self._arrival(subject_ref), standings=self._of(subject_ref))
        self._standings[subject_ref] = arrived.standings
        return self._keep(arrived.event, asked, subject_ref)

    def _arrival(self, *subject_refs: SubjectRef) -> datetime:
        earlier = [event.received_at for ref in subject_refs for event in self._history(ref)]
        return max([self._clock.now(), *earlier])

    def _first(self, asked: ToRecord | LinkToRecord, subject_ref: SubjectRef) -> StoredEvent | None:
        if asked.idempotency is None:
            return None
        references = [subject_ref, *(ref for ref in self.links if self._stays(ref) == subject_ref)]
        known = [found for ref in references if (found := self._requests.get(asked.idempotency(ref))) is not None]
        if known and known[0][0] != asked.request_sha256:
            raise IdempotencyKeyReused
        return known[0][1] if known else None

    def _keep(self, event: StoredEvent, asked: ToRecord | LinkToRecord, subject_ref: SubjectRef) -> RecordedEvent:
        self._events.append(event)
        if asked.idempotency is not None:
            self._requests[asked.idempotency(subject_ref)] = (asked.request_sha256, event)
        standings = decided(self._of(subject_ref))
        return RecordedEvent(event=event, standings=standings, stood_at=event.received_at)

    def _again(self, first: StoredEvent) -> RecordedEvent:
        earlier = self._events[: next(at for at, known in enumerate(self._events) if known.id == first.id) + 1]
        standings = replay(earlier, subject_ref=first.subject_ref)
        return RecordedEvent(event=first, standings=standings, stood_at=first.received_at, replayed=True)

    def _last_link(self, kept: SubjectRef) -> RecordedEvent:
        links = [event for event in self._events if event.subject_ref == kept and event.kind == "link"]
        if not links:
            raise NothingToLink
        standings = decided(self._of(kept))
        return RecordedEvent(event=links[-1], standings=standings, stood_at=self._clock.now(), replayed=True)
