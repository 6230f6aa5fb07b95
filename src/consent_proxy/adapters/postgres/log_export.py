"""The whole log as lines of JSON, for whoever checks it without us: rows in their order, checkpoints between them."""

import json
from collections.abc import AsyncIterator, Sequence

from consent_proxy.adapters.postgres.connections import Connection, Row
from consent_proxy.adapters.postgres.log_rows import LogRow, RowName, read_rows, rows_outside
from consent_proxy.adapters.postgres.log_tree import read_head
from consent_proxy.adapters.postgres.rows import moment_to_json
from consent_proxy.domain.payloads import Json

_AT_ONCE = 2000
_LEAVES = """
select index, kind, row_id, seq, hash from log_leaves where index >= $1 and index < $2 order by index
"""
_CHECKPOINTS = "select size, note from log_checkpoints where size > $1 and size <= $2 order by size"


async def export_lines(connection: Connection) -> AsyncIterator[str]:
    """Every line, each with its end. The connection has to see one moment throughout."""
    size = (await read_head(connection)).size
    last: int = await connection.fetchval("select coalesce(max(index) + 1, 0) from log_leaves")
    keys: list[Json] = [row["key"] for row in await connection.fetch("select key from log_keys order by first_size")]
    made_at = moment_to_json(await connection.fetchval("select now()"))
    yield _line({"type": "log", "version": 1, "size": size, "keys": keys, "made_at": made_at})
    for start in range(0, last, _AT_ONCE):
        for line in await _lines(connection, start, min(start + _AT_ONCE, last)):
            yield line
    if size > last:  # sealed once, and gone
        note = await connection.fetchval("select note from log_checkpoints where size = $1", size)
        yield _line({"type": "checkpoint", "note": note})
    # All of the record against all of the log: whatever the statistics say, not row by row.
    await connection.execute("set local enable_nestloop = off")
    for query in rows_outside():
        async for row in connection.cursor(query, prefetch=_AT_ONCE, timeout=600):
            named: dict[str, Json] = {"kind": row["kind"], "id": str(row["id"]), "seq": row["seq"]}
            yield _line({"type": "outside", **named, "at": moment_to_json(row["at"])})
    yield _line({"type": "end", "rows": last})


async def _lines(connection: Connection, start: int, end: int) -> Sequence[str]:
    leaves = await connection.fetch(_LEAVES, start, end)
    names = [RowName(kind=leaf["kind"], id=leaf["row_id"], seq=leaf["seq"]) for leaf in leaves]
    rows = await read_rows(connection, names)
    notes = {row["size"]: row["note"] for row in await connection.fetch(_CHECKPOINTS, start, end)}
    lines: list[str] = []
    for leaf, name in zip(leaves, names, strict=True):
        lines.append(_row_line(leaf, rows.get(name)))
        if (note := notes.get(leaf["index"] + 1)) is not None:
            lines.append(_line({"type": "checkpoint", "note": note}))
    return lines


def _row_line(leaf: Row, row: LogRow | None) -> str:
    """The record goes in as Postgres wrote it: to read it and write it again would take most of the time."""
    salt = f'"{row.salt.hex()}"' if row is not None and row.salt is not None else "null"
    return (
        f'{{"type":"row","index":{leaf["index"]},"kind":"{leaf["kind"]}","id":"{leaf["row_id"]}","seq":{leaf["seq"]},'
        f'"leaf":"{leaf["hash"].hex()}","salt":{salt},"record":{row.record if row is not None else "null"}}}\n'
    )


def _line(value: dict[str, Json]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"
