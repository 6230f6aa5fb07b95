"""Who read the record, when, and how much of it: append-only, like the record itself."""

from collections.abc import Mapping

from consent_proxy.adapters.postgres.connections import Database, Row
from consent_proxy.adapters.postgres.rows import cursor_of, key_of_cursor, moment_to_json
from consent_proxy.application.ports.pages import Page, PageOf
from consent_proxy.application.ports.records import Access
from consent_proxy.domain.payloads import Json

_PAGE = """
select id, at, caller, credential, resource, subject_ref, object_id, filters, items from accesses
where ($1::timestamptz is null or at >= $1) and ($2::timestamptz is null or at < $2)
"""
_AFTER = " and ($3::uuid is null or id {} $3) order by id {} limit $4"
_PAGES = {True: _PAGE + _AFTER.format("<", "desc"), False: _PAGE + _AFTER.format(">", "asc")}


class PostgresAccessLog:
    """Fulfils ``AccessLog``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, access: Access) -> None:
        """Append; durable when it returns. Raises ``LedgerUnavailable``."""
        await self._database.execute("select append_accesses($1::jsonb[])", [_entry(access)])

    async def page(self, page: Page) -> PageOf[Mapping[str, Json]]:
        """One page, in the order of the ids. Raises ``LedgerUnavailable``, and ``ValueError`` for a cursor that is
        none of ours.
        """
        after = key_of_cursor(page.cursor) if page.cursor is not None else None
        rows = await self._database.fetch(_PAGES[page.descending], page.from_at, page.to_at, after, page.limit + 1)
        items = rows[: page.limit]
        more = len(rows) > page.limit
        return PageOf(items=tuple(map(_shown, items)), next_cursor=cursor_of(items[-1]["id"]) if more else None)


def _entry(access: Access) -> dict[str, Json]:
    credential = access.credential
    return {
        "id": str(access.id),
        "at": moment_to_json(access.at),
        "caller_id": str(credential.caller_id),
        "caller": credential.caller,
        "credential": {"kind": credential.kind.value, "id": credential.id},
        "resource": access.resource,
        "subject_ref": str(access.subject_ref) if access.subject_ref is not None else None,
        "object_id": access.object_id,
        "filters": dict(access.filters),
        "items": access.items,
    }


def _shown(row: Row) -> Mapping[str, Json]:
    return {
        "id": str(row["id"]),
        "at": moment_to_json(row["at"]),
        "caller": row["caller"],
        "credential": row["credential"],
        "resource": row["resource"],
        "subject_ref": str(row["subject_ref"]) if row["subject_ref"] is not None else None,
        "object_id": row["object_id"],
        "filters": row["filters"],
        "items": row["items"],
    }
