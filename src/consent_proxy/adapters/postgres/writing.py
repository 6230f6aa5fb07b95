"""The statements of a transaction that moves standings, in the order in which it has to take its locks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from consent_proxy.adapters.postgres.advisory_locks import RULES_LOCK
from consent_proxy.adapters.postgres.connections import Connection, Row
from consent_proxy.adapters.postgres.events import ToRecord
from consent_proxy.adapters.postgres.persons import find_person
from consent_proxy.adapters.postgres.rows import (
    event_from_row,
    moment_to_json,
    standing_from_row,
    standing_to_detail,
)
from consent_proxy.application.ports.consent import IdempotencyKeyReused, LinkToRecord, StoredEvent
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.consent import Standing
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.subjects import SubjectRef

_NEVER_ASKED: dict[str, Json] = {"recipients": {}, "everyone": None}
#: Those who decide share a subject, whoever links or erases has it alone. In one order for all.
_LOCK_SUBJECTS = "select subject_ref, linked_into from subjects where subject_ref = any($1) order by subject_ref for {}"
_SHARE_SUBJECT, _HOLD_SUBJECTS = _LOCK_SUBJECTS.format("share"), _LOCK_SUBJECTS.format("update")
_MAKE_STANDINGS = """
insert into standings (subject_ref, purpose, version, state, detail, updated_at)
select $1, purpose, 0, 'not-granted', $3, now() from unnest($2::text[]) purpose order by purpose
on conflict do nothing
"""
_LOCK_STANDINGS = """
select subject_ref, purpose, version, detail, updated_at from standings
where subject_ref = any($1) and purpose = any($2) order by subject_ref, purpose for update
"""
_MOVE_STANDING = """
update standings set version = $3, state = $4, detail = $5, updated_at = $6 where subject_ref = $1 and purpose = $2
"""
_CLAIM = """
insert into idempotency (digest, request_sha256, event_id, created_at) values ($1, $2, $3, clock_timestamp())
on conflict do nothing returning true
"""
_CLAIMED = """
select i.request_sha256, e.* from idempotency i join consent_events e on e.id = i.event_id where i.digest = any($1)
"""


class Moved(Exception):
    """The reference was linked: whoever locked it has to begin again with the one it went into."""

    def __init__(self, gone: SubjectRef, *, into: SubjectRef) -> None:
        super().__init__("the reference was linked")
        self.gone, self.into = gone, into


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedStandings:
    """The standings a transaction holds, and the moment at which it held them all: the arrival of its event."""

    of: Mapping[SubjectRef, Mapping[Purpose, Standing]]
    received_at: datetime


async def share_rules(connection: Connection) -> None:
    """Shared, like a commit of intents: no disclosure is published while we decide what an answer leads to."""
    await connection.execute("select pg_advisory_xact_lock_shared($1)", RULES_LOCK)


async def lock_subjects(connection: Connection, subject_refs: Sequence[SubjectRef], *, alone: bool = False) -> None:
    """Hold subjects against links and erasure; a subject that is not known is no reason to refuse a no.

    Raises ``Moved`` where one was linked. Nobody who holds a reference that went waits for another lock, so that locks
    taken on the way to the one that stays cannot close a circle.
    """
    rows = await connection.fetch(_HOLD_SUBJECTS if alone else _SHARE_SUBJECT, subject_refs)
    for row in rows:
        if row["linked_into"] is not None:
            raise Moved(SubjectRef(row["subject_ref"]), into=SubjectRef(row["linked_into"]))


async def first_answer(
    connection: Connection, asked: ToRecord | LinkToRecord, *, subject_ref: SubjectRef, claim: bool = True
) -> StoredEvent | None:
    """Find what an idempotency key led to, or claim it; a second request waits here for the first one's commit.

    The subject is locked, so the references of its person are all there are. Raises ``IdempotencyKeyReused``.
    """
    if asked.idempotency is None:
        return None
    own = asked.idempotency(subject_ref)
    person = await find_person(connection, subject_ref)
    digests = [asked.idempotency(known) for known in person.references]
    row = await connection.fetchrow(_CLAIMED, digests)
    if row is None and claim:
        if await connection.fetchval(_CLAIM, own, asked.request_sha256, asked.event_id):
            return None
        row = await connection.fetchrow(_CLAIMED, [own])
        assert row is not None  # the key and its event are committed together, and neither is ever deleted
    if row is not None and row["request_sha256"] != asked.request_sha256:
        raise IdempotencyKeyReused("this idempotency key came before, with another body")
    return event_from_row(row) if row is not None else None


async def lock_standings(
    connection: Connection, subject_refs: Sequence[SubjectRef], *, purposes: Iterable[Purpose]
) -> LockedStandings:
    """Hold the standings of the subjects, made where the first of them has none yet."""
    names = sorted(purpose.value for purpose in purposes)
    await connection.execute(_MAKE_STANDINGS, subject_refs[0], names, _NEVER_ASKED)
    rows = await connection.fetch(_LOCK_STANDINGS, subject_refs, names)
    # A statement of its own: only now are the locks held, so that arrival is in the order of the commits. Never
    # before the last change: a server's clock can be set back.
    clock = await connection.fetchval("select clock_timestamp()")
    return LockedStandings(
        of={subject_ref: _of(rows, subject_ref) for subject_ref in subject_refs},
        received_at=max([clock, *(row["updated_at"] for row in rows)]),
    )


async def append_event(connection: Connection, event: StoredEvent, *, caller_id: UUID) -> None:
    """Add an event to the record."""
    await connection.execute("select append_consent_event($1)", event_to_json(event, caller_id=caller_id))


async def move_standings(connection: Connection, standings: Iterable[Standing], *, at: datetime) -> None:
    """Write standings that are locked."""
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


def _of(rows: Iterable[Row], subject_ref: SubjectRef) -> Mapping[Purpose, Standing]:
    return {Purpose(row["purpose"]): standing_from_row(row) for row in rows if row["subject_ref"] == subject_ref}


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
        "linked_from": str(event.linked_from) if event.linked_from is not None else None,
        "carry": event.carry.value if event.carry is not None else None,
    }
