"""Consent events and the standings they lead to, appended and moved in one transaction."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from consent_proxy.adapters.postgres.changes import read_changes
from consent_proxy.adapters.postgres.connections import Connection, Database
from consent_proxy.adapters.postgres.events import ToRecord, arrive, arrive_link, decided, purposes_of, replay
from consent_proxy.adapters.postgres.open_intents import wait_for_subject
from consent_proxy.adapters.postgres.persons import find_person
from consent_proxy.adapters.postgres.rows import cursor_of, event_from_row, key_of_cursor, standing_from_row
from consent_proxy.adapters.postgres.writing import (
    Moved,
    append_event,
    first_answer,
    lock_standings,
    lock_subjects,
    move_standings,
    share_rules,
)
from consent_proxy.application.ports.consent import (
    DecisionToRecord,
    LinkToRecord,
    NothingToLink,
    RecordedEvent,
    StoredEvent,
    WithdrawalToRecord,
)
from consent_proxy.application.ports.pages import Page, PageOf
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.consent import Standing
from consent_proxy.domain.links import leave_standing
from consent_proxy.domain.subjects import SubjectRef

_STANDINGS = "select subject_ref, purpose, version, detail from standings where subject_ref = $1"
_EVENTS_UNTIL = "select * from consent_events where subject_ref = any($1) and received_at <= $2 order by seq"
_EVENTS_UP_TO = """
select * from consent_events where subject_ref = any($1) and seq <= (select seq from consent_events where id = $2)
order by seq
"""
#: Among the events of whoever had been linked by then, so that it is the same however often it is asked for.
_EVENT_BEFORE = """
with recursive place (seq) as (select seq from consent_events where id = $2),
  known (ref) as (
    select $1::uuid
    union
    select e.linked_from from known join consent_events e on e.subject_ref = known.ref and e.kind = 'link'
    where e.seq < (select seq from place))
select e.* from known cross join lateral (
  select * from consent_events where subject_ref = known.ref and seq < (select seq from place)
  order by seq desc limit 1) e
order by e.seq desc limit 1
"""
_LAST_LINK = """
select * from consent_events where subject_ref = $1 and kind = 'link' order by seq desc limit 1
"""
#: Of each reference as much as the whole page may take, in the order of an index.
_PAGE = """
select e.* from unnest($1::uuid[]) known (ref) cross join lateral (
  select * from consent_events where subject_ref = known.ref
    and ($2::timestamptz is null or received_at >= $2) and ($3::timestamptz is null or received_at < $3)
    and ($4::uuid is null or seq {after} (select seq from consent_events where id = $4))
  order by seq {order} limit $5) e
order by e.seq {order} limit $5
"""
_PAGES = {True: _PAGE.format(after="<", order="desc"), False: _PAGE.format(after=">", order="asc")}
_ADD_SUBJECTS = """
insert into subjects (subject_ref, created_at) select ref, now() from unnest($1::uuid[]) ref order by ref
on conflict do nothing
"""
_LEAD = "update subjects set linked_into = $2 where subject_ref = $1"
_LEAD_IDENTIFIERS = "update subject_identifiers set subject_ref = $2 where subject_ref = $1"


class PostgresConsentLedger:
    """Fulfils ``ConsentLedger``. ``send_within`` is the longest time from asking for an intent to its first byte."""

    def __init__(self, database: Database, *, send_within: timedelta) -> None:
        self._database = database
        self._send_within = send_within

    async def decide(self, decision: DecisionToRecord) -> RecordedEvent:
        """Append the event and move the standings. Raises ``TimeNotAllowed``, ``IdempotencyKeyReused``,
        ``LedgerUnavailable``.
        """
        return await self._record(decision)

    async def withdraw(self, withdrawal: WithdrawalToRecord) -> RecordedEvent:
        """As ``decide``; never refused for the subject's state. Raises ``IdempotencyKeyReused``,
        ``LedgerUnavailable``.
        """
        return await self._record(withdrawal)

    async def link(self, link: LinkToRecord) -> RecordedEvent:
        """Join two references. Raises ``NothingToLink``, ``IdempotencyKeyReused``, ``LedgerUnavailable``."""
        while True:
            try:
                async with self._database.transaction() as connection:
                    return await _link(connection, link)
            except Moved as moved:
                kept = moved.into if link.kept == moved.gone else link.kept
                taken = moved.into if link.taken == moved.gone else link.taken
                link = replace(link, kept=kept, taken=taken)

    async def wait_for_open_intents(self, subject_ref: SubjectRef, *, purposes: frozenset[Purpose]) -> None:
        """Return when no send can begin any more on an intent committed before this call. Never raises."""
        await wait_for_subject(self._database, subject_ref, purposes=purposes, send_within=self._send_within)

    async def standings(self, subject_ref: SubjectRef) -> Mapping[Purpose, Standing]:
        """The standings of now. Raises ``LedgerUnavailable``."""
        async with self._database.acquire() as connection:
            person = await find_person(connection, subject_ref)
            return await _standings(connection, person.stays)

    async def standings_at(self, subject_ref: SubjectRef, *, at: datetime) -> Mapping[Purpose, Standing]:
        """The standings as the events received up to a moment left them. Raises ``LedgerUnavailable``."""
        async with self._database.acquire() as connection:
            person = await find_person(connection, subject_ref)
            rows = await connection.fetch(_EVENTS_UNTIL, person.references, at)
        return replay(map(event_from_row, rows), subject_ref=person.stays)

    async def events(self, subject_ref: SubjectRef, *, page: Page) -> PageOf[StoredEvent]:
        """The person's events in the order of arrival. Raises ``LedgerUnavailable``, and ``ValueError`` for a cursor
        that is none of ours.
        """
        after = key_of_cursor(page.cursor) if page.cursor is not None else None
        async with self._database.acquire() as connection:
            person = await find_person(connection, subject_ref)
            rows = await connection.fetch(
                _PAGES[page.descending], person.references, page.from_at, page.to_at, after, page.limit + 1
            )
        items = tuple(map(event_from_row, rows[: page.limit]))
        more = len(rows) > page.limit
        return PageOf(items=items, next_cursor=cursor_of(items[-1].id) if more else None)

    async def event(self, event_id: UUID) -> StoredEvent | None:
        """One event. Raises ``LedgerUnavailable``."""
        row = await self._database.fetchrow("select * from consent_events where id = $1", event_id)
        return event_from_row(row) if row is not None else None

    async def event_before(self, event: StoredEvent) -> StoredEvent | None:
        """The event of the same person that came just before. Raises ``LedgerUnavailable``."""
        row = await self._database.fetchrow(_EVENT_BEFORE, event.subject_ref, event.id)
        return event_from_row(row) if row is not None else None

    async def changes(self, *, after: str | None, limit: int) -> PageOf[StoredEvent]:
        """The feed. Raises ``LedgerUnavailable``, ``CursorAhead``, and ``ValueError`` for no cursor of ours."""
        return await read_changes(self._database, after=after, limit=limit)

    async def _record(self, asked: ToRecord) -> RecordedEvent:
        while True:
            try:
                async with self._database.transaction() as connection:
                    return await _record(connection, asked)
            except Moved as moved:
                asked = replace(asked, subject_ref=moved.into)


async def _record(connection: Connection, asked: ToRecord) -> RecordedEvent:
    subject_ref = asked.subject_ref
    await share_rules(connection)
    await lock_subjects(connection, [subject_ref])
    first = await first_answer(connection, asked, subject_ref=subject_ref)
    if first is not None:
        return await _again(connection, first)
    locked = await lock_standings(connection, [subject_ref], purposes=purposes_of(asked))
    arrived = arrive(asked, received_at=locked.received_at, standings=locked.of[subject_ref])
    await append_event(connection, arrived.event, caller_id=asked.credential.caller_id)
    await move_standings(connection, arrived.standings.values(), at=locked.received_at)
    return await _new(connection, arrived.event)


async def _link(connection: Connection, link: LinkToRecord) -> RecordedEvent:
    kept, taken = link.kept, link.taken
    await share_rules(connection)
    await connection.execute(_ADD_SUBJECTS, [kept, taken] if kept != taken else [kept])
    await lock_subjects(connection, [kept, taken], alone=True)
    first = await first_answer(connection, link, subject_ref=kept, claim=kept != taken)
    if first is None and kept == taken:
        row = await connection.fetchrow(_LAST_LINK, kept)
        if row is None:
            raise NothingToLink("both are one and the same person, and were never two")
        now = await connection.fetchval("select clock_timestamp()")
        standings = await _standings(connection, kept)
        return RecordedEvent(event=event_from_row(row), standings=standings, stood_at=now, replayed=True)
    if first is not None:
        return await _again(connection, first)
    locked = await lock_standings(connection, [kept, taken], purposes=frozenset(Purpose))
    arrived = arrive_link(link, received_at=locked.received_at, kept=locked.of[kept], taken=locked.of[taken])
    await append_event(connection, arrived.event, caller_id=link.credential.caller_id)
    left = [leave_standing(standing) for standing in locked.of[taken].values()]
    await move_standings(connection, [*arrived.standings.values(), *left], at=locked.received_at)
    # Last, since nothing under a reference that is led elsewhere can move any more.
    await connection.execute(_LEAD, taken, kept)
    await connection.execute(_LEAD_IDENTIFIERS, taken, kept)
    return await _new(connection, arrived.event)


async def _new(connection: Connection, event: StoredEvent) -> RecordedEvent:
    standings = await _standings(connection, event.subject_ref)
    return RecordedEvent(event=event, standings=standings, stood_at=event.received_at)


async def _again(connection: Connection, first: StoredEvent) -> RecordedEvent:
    """The first answer again: what stood when it was given."""
    person = await find_person(connection, first.subject_ref)
    rows = await connection.fetch(_EVENTS_UP_TO, person.references, first.id)
    standings = replay(map(event_from_row, rows), subject_ref=first.subject_ref)
    return RecordedEvent(event=first, standings=standings, stood_at=first.received_at, replayed=True)


async def _standings(connection: Connection, subject_ref: SubjectRef) -> Mapping[Purpose, Standing]:
    rows = await connection.fetch(_STANDINGS, subject_ref)
    return decided({Purpose(row["purpose"]): standing_from_row(row) for row in rows})
