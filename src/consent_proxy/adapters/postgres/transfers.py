"""Reading the record for auditors: transfers and refusals together, in the contract's shape."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from consent_proxy.adapters.postgres.connections import Database, Row
from consent_proxy.adapters.postgres.persons import find_person
from consent_proxy.adapters.postgres.rows import cursor_of, key_of_cursor, uuid7_floor
from consent_proxy.adapters.postgres.transfer_records import record_to_json
from consent_proxy.application.ports.pages import PageOf
from consent_proxy.application.ports.records import TransferQuery
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.subjects import SubjectRef

#: How far the time in an id and the time of its row may be apart: ids are made before the row is, by another clock.
_ID_APART = timedelta(days=1)
_STREAMED_AT_ONCE = 500

_TRANSFERS = """select 'transfer' as kind, t.id, t.intent_at as at, t.subject_ref, t.purpose, t.edition, t.details,
    exists (select from jobs j where j.id = t.id) as has_job, o.state, o.detail
  from transfers t left join lateral (
    select state, detail from outcomes where transfer_id = t.id order by seq desc limit 1) o on true"""
_REFUSALS = """select 'refusal' as kind, t.id, t.at, t.subject_ref, t.purpose, t.edition, t.details,
    false as has_job, null::text as state, null::jsonb as detail
  from refusals t"""

#: What a filter compares, per kind of record; a kind that lacks the filter has no match. `{}` is the list of values.
_OF_TRANSFERS: Mapping[str, str] = {
    "recipient": "t.recipient = any ({}::text[])",
    "provider": "t.provider = any ({}::text[])",
    "model": "t.model = any ({}::text[])",
    "purpose": "t.purpose = any ({}::text[])",
    "caller": "t.caller = any ({}::text[])",
    "category": "t.categories && {}::text[]",
    "contract": "array[t.contract_id::text, t.details #>> '{{contract,reference}}'] && {}::text[]",
    "country": "t.country = any ({}::text[])",
    "job": "(t.id::text = any ({}::text[]) and exists (select from jobs j where j.id = t.id))",
    "outcome": "coalesce(o.state, 'pending') = any ({}::text[])",
}
_OF_REFUSALS: Mapping[str, str] = {
    "recipient": _OF_TRANSFERS["recipient"],
    "provider": _OF_TRANSFERS["provider"],
    "model": _OF_TRANSFERS["model"],
    "purpose": _OF_TRANSFERS["purpose"],
    "caller": _OF_TRANSFERS["caller"],
    "reason": "t.reason = any ({}::text[])",
}
#: The filters a query may have.
FILTERS = frozenset({"kind", *_OF_TRANSFERS, *_OF_REFUSALS})


class _Query:
    """A query being put together: its text, and the values for its places.

    ``references`` are those of the person asked for; one that is ``None`` stands for everybody.
    """

    def __init__(self, query: TransferQuery, *, references: Sequence[SubjectRef | None]) -> None:
        self._query, self._references = query, references
        self._filters = {name: wanted for name, wanted in (query.filters or {}).items() if wanted}
        if unknown := self._filters.keys() - FILTERS:
            raise ValueError(f"there is no filter {', '.join(sorted(unknown))}")
        self.values: list[object] = []

    def text(self, *, limit: int | None = None) -> str:
        """Every match of both kinds in order; ``limit`` cuts each kind, then the whole.

        Rows keep the reference they were written with. Each reference is asked for alone, in the order of an index.
        """
        order = f"order by id {'desc' if self._query.page.descending else 'asc'}"
        cut = f" limit {self._place(limit)}" if limit is not None else ""
        parts = [
            f"({select} where {' and '.join(self._conditions(known, reference, moment=moment))} {order}{cut})"
            for reference in self._references
            for kind, select, known, moment in (
                ("transfer", _TRANSFERS, _OF_TRANSFERS, "t.intent_at"),
                ("refusal", _REFUSALS, _OF_REFUSALS, "t.at"),
            )
            if self._may_match(kind, known)
        ]
        if not parts:
            return ""
        return f"select * from ({' union all '.join(parts)}) record {order}{cut}"  # noqa: S608 - values have places

    def _may_match(self, kind: str, known: Mapping[str, str]) -> bool:
        return all(kind in wanted if name == "kind" else name in known for name, wanted in self._filters.items())

    def _conditions(self, known: Mapping[str, str], reference: SubjectRef | None, *, moment: str) -> list[str]:
        conditions = ["true", *self._page_conditions(moment)]
        if reference is not None:
            conditions.append(f"t.subject_ref = {self._place(reference)}")
        return conditions + [
            known[name].format(self._place(list(wanted))) for name, wanted in self._filters.items() if name != "kind"
        ]

    def _page_conditions(self, moment: str) -> list[str]:
        page, conditions = self._query.page, []
        if page.from_at is not None:
            conditions.append(f"{moment} >= {self._place(page.from_at)}")
            conditions.append(f"t.id >= {self._place(uuid7_floor(page.from_at - _ID_APART))}")
        if page.to_at is not None:
            conditions.append(f"{moment} < {self._place(page.to_at)}")
            conditions.append(f"t.id < {self._place(uuid7_floor(page.to_at + _ID_APART))}")
        if page.cursor is not None:
            conditions.append(f"t.id {'<' if page.descending else '>'} {self._place(key_of_cursor(page.cursor))}")
        return conditions

    def _place(self, value: object) -> str:
        self.values.append(value)
        return f"${len(self.values)}"


class PostgresTransferReader:
    """Fulfils ``TransferReader``. Raises ``ValueError`` for a filter or a cursor that does not exist."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, query: TransferQuery) -> PageOf[Mapping[str, Json]]:
        """See ``TransferReader``."""
        limit = query.page.limit
        asked = await self._asked(query)
        text = asked.text(limit=limit + 1)
        rows: list[Row] = await self._database.fetch(text, *asked.values) if text else []
        more = len(rows) > limit
        items = tuple(record_to_json(row) for row in rows[:limit])
        return PageOf(items=items, next_cursor=cursor_of(rows[limit - 1]["id"]) if more else None)

    async def stream(self, query: TransferQuery) -> AsyncGenerator[Mapping[str, Json], None]:
        """See ``TransferReader``. Holds a connection, and one moment's view, until it is read or closed."""
        asked = await self._asked(query)
        text = asked.text()
        if not text:
            return
        async with self._database.transaction(snapshot=True) as connection:
            # A first row may take a sort, and whoever reads may read slowly.
            await connection.execute("set local statement_timeout = '10min'")
            await connection.execute("set local idle_in_transaction_session_timeout = '10min'")
            async for row in connection.cursor(text, *asked.values, prefetch=_STREAMED_AT_ONCE, timeout=600):
                yield record_to_json(row)

    async def one(self, transfer_id: UUID) -> Mapping[str, Json] | None:
        """See ``TransferReader``."""
        text = f"{_TRANSFERS} where t.id = $1 union all {_REFUSALS} where t.id = $1"
        row = await self._database.fetchrow(text, transfer_id)
        return record_to_json(row) if row is not None else None

    async def _asked(self, query: TransferQuery) -> _Query:
        if query.subject_ref is None:
            return _Query(query, references=[None])
        person = await find_person(self._database, query.subject_ref)
        return _Query(query, references=person.references)
