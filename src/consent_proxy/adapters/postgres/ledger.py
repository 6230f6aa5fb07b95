"""Consent events and the standings they lead to, appended and moved in one transaction."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from consent_proxy.adapters.postgres.connections import Connection, Database
from consent_proxy.adapters.postgres.events import ToRecord, arrive, decided, purposes_of, replay
from consent_proxy.adapters.postgres.open_intents import wait_for_subject
from consent_proxy.adapters.postgres.rows import (
    cursor_of,
    event_from_row,
    key_of_cursor,
    moment_to_json,
    standing_from_row,
    standing_to_detail,
)
from consent_proxy.adapters.postgres.tables import RULES_LOCK
from consent_proxy.application.ports.consent import (
    DecisionToRecord,
    IdempotencyKeyReused,
    RecordedEvent,
    StoredEvent,
    WithdrawalToRecord,
)
from consent_proxy.application.ports.pages import Page, PageOf
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.consent import Standing
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.subjects import SubjectRef

_NEVER_ASKED: dict[str, Json] = {"recipients": {}, "everyone": None}
_MAKE_STANDINGS = """
insert into standings (subject_ref, purpose, version, state, detail, updated_at)
select $1, purpose, 0, 'not-granted', $3, now() from unnest($2::text[]) purpose order by purpose
on conflict do nothing
"""
_LOCK_STANDINGS = """
select subject_ref, purpose, version, detail, updated_at from standings
where subject_ref = $1 and purpose = any($2) order by purpose for update
"""
_MOVE_STANDING = """
update standings set version = $3, state = $4, detail = $5, updated_at = $6 where subject_ref = $1 and purpose = $2
"""
_STANDINGS = "select subject_ref, purpose, version, detail from standings where subject_ref = $1"
_EVENTS_UNTIL = "select * from consent_events where subject_ref = $1 and received_at <= $2 order by seq"
_EVENT_BEFORE = """
select * from consent_events where subject_ref = $1 and seq < (select seq from consent_events where id = $2)
order by seq desc limit 1
"""
_PAGE = """
select * from consent_events where subject_ref = $1
  and ($2::timestamptz is null or received_at >= $2) and ($3::timestamptz is null or received_at < $3)
"""
_AFTER = " and ($4::uuid is null or seq {} (select seq from consent_events where id = $4)) order by seq {} limit $5"
_PAGES = {True: _PAGE + _AFTER.format("<", "desc"), False: _PAGE + _AFTER.format(">", "asc")}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Locked:
    """The standings a transaction holds, and the moment at which it held them all: the arrival of its event."""

    standings: Mapping[Purpose, Standing]
    received_at: datetime


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

    async def wait_for_open_intents(self, subject_ref: SubjectRef, *, purposes: frozenset[Purpose]) -> None:
        """Return when no send can begin any more on an intent committed before this call. Never raises."""
        await wait_for_subject(self._database, subject_ref, purposes=purposes, send_within=self._send_within)

    async def standings(self, subject_ref: SubjectRef) -> Mapping[Purpose, Standing]:
        """The standings of now. Raises ``LedgerUnavailable``."""
        async with self._database.acquire() as connection:
            return await _standings(connection, subject_ref)

    async def standings_at(self, subject_ref: SubjectRef, *, at: datetime) -> Mapping[Purpose, Standing]:
        """The standings as the events received up to a moment left them. Raises ``LedgerUnavailable``."""
        rows = await self._database.fetch(_EVENTS_UNTIL, subject_ref, at)
        return replay(map(event_from_row, rows), subject_ref=subject_ref)

    async def events(self, subject_ref: SubjectRef, *, page: Page) -> PageOf[StoredEvent]:
        """The subject's events in the order of arrival. Raises ``LedgerUnavailable``, and ``ValueError`` for a cursor
        that is none of ours.
        """
        after = key_of_cursor(page.cursor) if page.cursor is not None else None
        rows = await self._database.fetch(
            _PAGES[page.descending], subject_ref, page.from_at, page.to_at, after, page.limit + 1
        )
        items = tuple(map(event_from_row, rows[: page.limit]))
        more = len(rows) > page.limit
        return PageOf(items=items, next_cursor=cursor_of(items[-1].id) if more else None)

    async def event(self, event_id: UUID) -> StoredEvent | None:
        """One event. Raises ``LedgerUnavailable``."""
        row = await self._database.fetchrow("select * from consent_events where id = $1", event_id)
        return event_from_row(row) if row is not None else None

    async def event_before(self, event: StoredEvent) -> StoredEvent | None:
        """The event of the same subject that came just before. Raises ``LedgerUnavailable``."""
        row = await self._database.fetchrow(_EVENT_BEFORE, event.subject_ref, event.id)
        return event_from_row(row) if row is not None else None

    async def _record(self, asked: ToRecord) -> RecordedEvent:
        subject_ref = asked.subject_ref
        async with self._database.transaction() as connection:
            # Shared, like a commit of intents: no disclosure is published while we decide what an answer leads to.
            await connection.execute("select pg_advisory_xact_lock_shared($1)", RULES_LOCK)
            first = await _first_answer(connection, asked)
            if first is not None:
                standings = await _standings(connection, subject_ref)
                return RecordedEvent(event=first, standings=standings, replayed=True)
            locked = await _lock(connection, subject_ref, purposes_of(asked))
            arrived = arrive(asked, received_at=locked.received_at, standings=locked.standings)
            entry = event_to_json(arrived.event, caller_id=asked.credential.caller_id)
            await connection.execute("select append_consent_event($1)", entry)
            await _move(connection, arrived.standings.values(), at=locked.received_at)
            return RecordedEvent(event=arrived.event, standings=await _standings(connection, subject_ref))


async def _first_answer(connection: Connection, asked: ToRecord) -> StoredEvent | None:
    """Claim the idempotency key, or find what it led to; a second request waits here for the first one's commit.

    Raises ``IdempotencyKeyReused``.
    """
    if asked.idempotency_digest is None:
        return None
    claimed = await connection.fetchval(
        "insert into idempotency (digest, request_sha256, event_id, created_at)"
        " values ($1, $2, $3, clock_timestamp()) on conflict do nothing returning true",
        asked.idempotency_digest,
        asked.request_sha256,
        asked.event_id,
    )
    if claimed:
        return None
    row = await connection.fetchrow(
        "select i.request_sha256, e.* from idempotency i join consent_events e on e.id = i.event_id"
        " where i.digest = $1",
        asked.idempotency_digest,
    )
    assert row is not None  # the key and its event are committed together, and neither is ever deleted
    if row["request_sha256"] != asked.request_sha256:
        raise IdempotencyKeyReused("this idempotency key came before, with another body")
    return event_from_row(row)


async def _lock(connection: Connection, subject_ref: SubjectRef, purposes: Iterable[Purpose]) -> _Locked:
    names = sorted(purpose.value for purpose in purposes)
    # Against erasure, which takes the row for itself; a subject that is not known is no reason to refuse a no.
    await connection.execute("select from subjects where subject_ref = $1 for share", subject_ref)
    await connection.execute(_MAKE_STANDINGS, subject_ref, names, _NEVER_ASKED)
    rows = await connection.fetch(_LOCK_STANDINGS, subject_ref, names)
    # A statement of its own: only now are the locks held, so that arrival is in the order of the commits. Never
    # before the last change: a server's clock can be set back.
    clock = await connection.fetchval("select clock_timestamp()")
    return _Locked(
        standings={Purpose(row["purpose"]): standing_from_row(row) for row in rows},
        received_at=max([clock, *(row["updated_at"] for row in rows)]),
    )


async def _move(connection: Connection, standings: Iterable[Standing], *, at: datetime) -> None:
    await connection.executemany(
        _MOVE_STANDING,
        [
            (
                standing.subject_ref,
                standing.purpose.value,
                standing.version,
                # The database's last guard reads this word: an intent needs 'granted'.
                "granted" if standing.granted_to_any else "not-granted",
                standing_to_detail(standing),
                at,
            )
            for standing in standings
        ],
    )


async def _standings(connection: Connection, subject_ref: SubjectRef) -> Mapping[Purpose, Standing]:
    rows = await connection.fetch(_STANDINGS, subject_ref)
    return decided({Purpose(row["purpose"]): standing_from_row(row) for row in rows})


def event_to_json(event: StoredEvent, *, caller_id: UUID) -> dict[str, Json]:
    """What `append_consent_event` takes of an event."""
    return {
        "id": str(event.id),
        "kind": event.kind,
        "subject_ref": str(event.subject_ref),
        "subject_kind": event.subject_kind.value,
        "received_at": moment_to_json(event.received_at),
        "occurred_at": moment_to_json(event.occurred_at),
        "disclosure": event.disclosure,
        "disclosure_sha256": event.disclosure_sha256,
        "locale": event.locale,
        "answers": [dict(answer) for answer in event.answers],
        "effective": event.effective,
        "reason": event.reason,
        "actor": event.actor,
        "evidence": dict(event.evidence),
        "caller_id": str(caller_id),
        "caller": event.caller,
        "credential": dict(event.credential),
        "environment": event.environment,
    }
