"""The rows of the record as the log takes them: which are news, what each says in full, and the salt that opens it.

What a row says is its columns by name, those of schema 0003: a column added later changes no leaf of before. The
salt is the subject's, turned into one of the row's own: to hand one out opens that row and no other, and once the
subject's is deleted none can be made again. Contracts and disclosures are about nobody and need none.
"""

import hmac
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from consent_proxy.adapters.postgres.connections import Connection, Row
from consent_proxy.adapters.verifier.leaves import commitment, leaf_hash, parse

#: Seconds a look for news may take; what a migration finds is all of one transaction, and takes many looks.
_WITHIN = 120.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowName:
    """A row among all: ``kind`` is the log's word; ``seq`` counts an outcome, or says when a contract was ended."""

    kind: str
    id: UUID
    seq: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRow:
    """A row as it stands. ``record`` is JSON. Without ``salt`` nobody can tell any more whether its leaf is right."""

    name: RowName
    subject_ref: UUID | None
    record: str
    salt: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Where the rows of a kind lie: their names, moments, owners and columns, as SQL."""

    table: str
    id: str
    at: str
    columns: Mapping[str, str]
    seq: str = "0::bigint"
    subject: str | None = "r.subject_ref"
    joined: str = ""
    xact: str = "r.xact"

    def select(self) -> str:
        """The rows of the ids in `$1`, each said in full."""
        record = ", ".join(f"'{name}', {column}" for name, column in self.columns.items())
        salted = self.subject is not None
        salt = f"left join salts s on s.subject_ref = {self.subject}" if salted else ""
        return (
            f"select {self.id} as id, {self.seq} as seq,"  # noqa: S608 - constants
            f" {self.subject or 'null::uuid'} as subject_ref, {'s.salt' if salted else 'null::bytea'} as salt,"
            f" jsonb_build_object({record})::text as record from {self.table} r {self.joined} {salt}"
            f" where {self.id} = any($1::uuid[])"
        )


def _of(*names: str) -> dict[str, str]:
    return {name: f"r.{name}" for name in names}


_SOURCES: Mapping[str, _Source] = {
    "disclosure": _Source(
        table="disclosures",
        id="md5(r.version)::uuid",
        at="r.published_at",
        subject=None,
        xact="0::bigint",
        columns=_of("version", "effective_at", "published_at", "published_by", "document", "sha256_by_locale"),
    ),
    "contract": _Source(
        table="contracts",
        id="r.id",
        at="r.put_at",
        subject=None,
        xact="0::bigint",
        columns=_of("id", "recipient", "document", "valid_from", "valid_until", "put_at", "put_by"),
    ),
    "contract-end": _Source(
        table="contracts",
        id="r.id",
        seq="(extract(epoch from r.ended_at) * 1000000)::bigint",
        at="r.ended_at",
        subject=None,
        xact="0::bigint",
        columns=_of("id", "ended_at"),
    ),
    "consent": _Source(
        table="consent_events",
        id="r.id",
        at="r.received_at",
        columns=_of(
            *("id", "seq", "subject_ref", "subject_kind", "kind", "received_at", "occurred_at", "disclosure"),
            *("disclosure_sha256", "locale", "answers", "effective", "reason", "actor", "evidence", "caller_id"),
            *("caller", "credential", "environment", "receipt", "linked_from", "carry"),
        ),
    ),
    "intent": _Source(
        table="transfers",
        id="r.id",
        at="r.intent_at",
        columns=_of(
            *("id", "intent_at", "subject_ref", "purpose", "standing_version", "edition", "worker", "caller_id"),
            *("caller", "provider", "recipient", "model", "categories", "contract_id", "country", "details"),
        ),
    ),
    "outcome": _Source(
        table="outcomes",
        id="r.transfer_id",
        seq="r.seq::bigint",
        at="r.at",
        subject="t.subject_ref",
        # What lies between them is what the partitions of other months need not be asked for.
        joined="left join transfers t on t.id = r.transfer_id"
        " and t.id between (select id from unnest($1::uuid[]) id order by id limit 1)"
        " and (select id from unnest($1::uuid[]) id order by id desc limit 1)",
        columns=_of("transfer_id", "seq", "at", "state", "detail"),
    ),
    "refusal": _Source(
        table="refusals",
        id="r.id",
        at="r.at",
        columns=_of(
            *("id", "at", "subject_ref", "purpose", "caller_id", "caller", "provider", "recipient", "model"),
            *("reason", "edition", "details"),
        ),
    ),
}
KINDS = tuple(_SOURCES)
#: What every subject shares, few rows in tables that know no transaction numbers.
_RULES = ("disclosure", "contract", "contract-end")
#: How those of one kind are ordered; of one transaction, events in their turn.
_ORDER = dict.fromkeys(("outcome", "refusal", "intent"), "r.xact") | {"consent": "r.xact, r.seq"}
#: In this order they are read, each in a later moment than the one before: whatever a row refers to is then there.
_READ_IN_ORDER = ("outcome", "refusal", "intent", "consent")
_PLACE = "from log_leaves l where l.row_id = {} and l.kind = '{}' and l.seq = {}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    name: RowName
    xact: int


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """Rows that have no place in the log yet, in the order they are to get one.

    ``below`` is the transaction up to which, itself not included, there are no others.
    """

    rows: Sequence[LogRow]
    below: int


async def read_news(connection: Connection, *, after: int, but: Sequence[int], below: int, most: int) -> News:
    """Committed rows of the transactions ``but`` and of those from ``after`` on that the log has not; about ``most``.

    ``below`` is the first transaction that had not begun when the caller took its view.
    """
    found: dict[str, list[_Named]] = {}
    full: list[str] = []
    for kind in _READ_IN_ORDER:
        order = f"order by {_ORDER[kind]} limit $2"
        found[kind] = await _named(connection, kind, "r.xact >= $1", after, most, order=order)
        if len(found[kind]) >= most:
            below = min(below, found[kind][-1].xact)
            full.append(kind)
        if but:
            found[kind] += await _named(connection, kind, "r.xact = any($1)", but)
    taken = {kind: [one for one in named if one.xact <= below] for kind, named in found.items()}
    if "consent" in full and found["consent"][most - 1].xact == below:  # others may rest on those still to come of it
        taken = {kind: [one for one in named if one.xact < below or kind == "consent"] for kind, named in taken.items()}
    if full:
        taken["outcome"] = await _of_known(connection, taken["outcome"], intents=taken["intent"])
    rules = [one.name for kind in _RULES for one in await _named(connection, kind, _there(kind))]
    consents = await _in_turn(connection, [one.name for one in taken.pop("consent")], after=below)
    mixed = [one for named in taken.values() for one in named]
    others = [one.name for one in sorted(mixed, key=lambda one: (one.xact, one.name.kind != "intent"))]
    rows = await read_rows(connection, [*rules, *others])
    return News(rows=[*map(rows.__getitem__, rules), *consents, *map(rows.__getitem__, others)], below=below)


async def _of_known(connection: Connection, outcomes: list[_Named], *, intents: list[_Named]) -> list[_Named]:
    """Those whose intent has its place, or gets one with them; a batch that was cut may have the one without the other.

    That happens to rows of one transaction: to all that were there when the log was brought in.
    """
    query = "select row_id from log_leaves where kind = 'intent' and seq = 0 and row_id = any($1)"
    placed = await connection.fetch(query, [one.name.id for one in outcomes])
    known = {row["row_id"] for row in placed}.union(one.name.id for one in intents)
    return [one for one in outcomes if one.name.id in known]


async def _named(connection: Connection, kind: str, condition: str, *values: object, order: str = "") -> list[_Named]:
    """The names of rows that meet a condition and have no place yet."""
    source = _SOURCES[kind]
    query = (
        f"select {source.id} as id, {source.seq} as seq, {source.xact} as xact from {source.table} r"  # noqa: S608 - constants
        # Looked up row by row, by its key: an anti-join would be planned on statistics of an emptier log.
        f" where {condition} and (select true {_PLACE.format(source.id, kind, source.seq)}) is null {order}"
    )
    rows = await connection.fetch(query, *values, timeout=_WITHIN)
    return [_Named(name=RowName(kind=kind, id=row["id"], seq=row["seq"]), xact=row["xact"]) for row in rows]


async def _in_turn(connection: Connection, names: Sequence[RowName], *, after: int) -> list[LogRow]:
    """The events in the order in which they took effect, which is not always that of their transactions' numbers: an
    event before one of these may have the greater number, and then comes along.
    """
    events = list((await read_rows(connection, names)).values())
    if events:
        last = max(map(_turn, events))
        overtaken = await _named(connection, "consent", "r.xact > $1 and r.seq < $2", after, last)
        events += (await read_rows(connection, [one.name for one in overtaken])).values()
    return sorted(events, key=_turn)


def _turn(event: LogRow) -> int:
    turn: int = parse(event.record)["seq"]
    return turn


async def read_rows(connection: Connection, names: Collection[RowName]) -> dict[RowName, LogRow]:
    """Those of the rows that are there."""
    ids: dict[str, list[UUID]] = {}
    for name in names:
        ids.setdefault(name.kind, []).append(name.id)
    found: dict[RowName, LogRow] = {}
    for kind, wanted in ids.items():
        for row in await connection.fetch(_SOURCES[kind].select(), wanted):
            one = _row(kind, row)
            found[one.name] = one
    # A contract may be ended earlier again; what the log took of it then is in the name itself.
    ends = [name for name in names if name.kind == "contract-end" and name not in found]
    return found | {name: _end_of_contract(name) for name in ends}


def rows_outside() -> Sequence[str]:
    """Queries for the kind, name and moment of every row that has no place in the log.

    Not for ends of contracts: nothing says when those were written.
    """
    return [
        f"select '{kind}' as kind, {source.id} as id, {source.seq} as seq, {source.at} as at from {source.table} r"  # noqa: S608 - constants
        f" where not exists (select {_PLACE.format(source.id, kind, source.seq)})"
        for kind, source in _SOURCES.items()
        if kind != "contract-end"
    ]


def leaf_of(row: LogRow, *, salt: bytes) -> bytes:
    """The leaf hash of a row. It takes some 30 µs."""
    return leaf_hash(commitment(row.name.kind, parse(row.record), salt=salt))


def _there(kind: str) -> str:
    return "r.ended_at is not null" if kind == "contract-end" else "true"


def _row(kind: str, row: Row) -> LogRow:
    name = RowName(kind=kind, id=row["id"], seq=row["seq"])
    if kind == "contract-end":
        return _end_of_contract(name)
    return LogRow(
        name=name,
        subject_ref=row["subject_ref"],
        record=row["record"],
        salt=b"" if kind in _RULES else own_salt(row["salt"], name),
    )


def _end_of_contract(name: RowName) -> LogRow:
    at = _EPOCH + timedelta(microseconds=name.seq)
    record = f'{{"id": "{name.id}", "ended_at": "{at.isoformat()}"}}'
    return LogRow(name=name, subject_ref=None, record=record, salt=b"")


def own_salt(salt: bytes | None, name: RowName) -> bytes | None:
    """The salt that opens one row, of its subject's; ``None`` where there is none any more."""
    if salt is None:
        return None
    return hmac.digest(salt, f"consent-proxy/log/{name.kind}/{name.id}/{name.seq}".encode(), "sha256")
