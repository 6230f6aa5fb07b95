"""The feed of consent events in the order of their numbers, as far as no number is still to come."""

import base64
import binascii
import struct

from consent_proxy.adapters.postgres.advisory_locks import EVENT_LOCKS
from consent_proxy.adapters.postgres.connections import Database
from consent_proxy.adapters.postgres.rows import event_from_row
from consent_proxy.application.ports.consent import CursorAhead, StoredEvent
from consent_proxy.application.ports.pages import PageOf

_CURSOR = struct.Struct(">cq")
_MARK = b"c"

#: Up to where every number is committed or given up. Whoever adds an event announced, before it took its number, the
#: one that came before; that is undone after its commit became visible. So of the numbers up to the greatest that this
#: statement's snapshot sees, all that are still to come are announced in the locks, which are read after the snapshot
#: was taken, and all others are visible to the next statement.
_HORIZON = f"""
select coalesce(max(seq), 0) as top, (
    select min((l.classid::bigint << 32 | l.objid::bigint) & ((1::bigint << 48) - 1)) from pg_locks l
    where l.locktype = 'advisory' and l.objsubid = 1 and l.classid::bigint >> 16 = {EVENT_LOCKS}
      and l.database = (select oid from pg_database where datname = current_database())) as announced
from consent_events
"""  # noqa: S608 - a number of ours
_CHANGES = """
select * from consent_events
where seq > $1 and seq <= $2 and (kind = 'link' or answers @> '[{"effective": true}]') order by seq limit $3
"""


async def read_changes(database: Database, *, after: str | None, limit: int) -> PageOf[StoredEvent]:
    """See ``ConsentLedger.changes``."""
    begin = _number(after) if after is not None else 0
    # Two statements, each with a snapshot of its own: the second has to see what the first saw no lock of any more.
    async with database.acquire() as connection:
        row = await connection.fetchrow(_HORIZON)
        assert row is not None
        if begin > row["top"]:
            raise CursorAhead("the cursor is from after the end of the record")
        horizon = row["top"] if row["announced"] is None else min(row["top"], row["announced"])
        rows = await connection.fetch(_CHANGES, begin, horizon, limit)
    items = tuple(map(event_from_row, rows))
    # Where all up to the horizon was read, what changed nothing need not be gone through again.
    end = rows[-1]["seq"] if len(rows) == limit else max(begin, horizon)
    return PageOf(items=items, next_cursor=_cursor(end) if end > 0 else after)


def _cursor(number: int) -> str:
    return base64.urlsafe_b64encode(_CURSOR.pack(_MARK, number)).decode().rstrip("=")


def _number(cursor: str) -> int:
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        mark, number = _CURSOR.unpack(packed)
    except (binascii.Error, ValueError, struct.error) as error:
        raise ValueError("the cursor is not one that this feed gave out") from error
    if mark != _MARK or number < 0:
        raise ValueError("the cursor is not one that this feed gave out")
    return int(number)
