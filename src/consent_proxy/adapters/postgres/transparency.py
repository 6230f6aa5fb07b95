"""The transparency log on Postgres, as auditors read it: checkpoints, proofs, and the rows of one transfer."""

import json
from collections.abc import AsyncGenerator, Sequence
from hashlib import md5
from typing import Any
from uuid import UUID

from consent_proxy.adapters.postgres.connections import Connection, Database
from consent_proxy.adapters.postgres.log_export import export_lines
from consent_proxy.adapters.postgres.log_rows import RowName, read_rows
from consent_proxy.adapters.postgres.log_tree import read_head, read_nodes, read_proofs
from consent_proxy.application.ports.transparency import CheckpointKey, Inclusion, NotInLog, Proven, ProvenRow
from consent_proxy.domain import merkle

_KEYS = "select key, first_size from log_keys order by first_size, key"
_FIND = "select index from log_leaves where row_id = $1 and kind = $2 and seq = $3"
_LEAVES = "select index, kind, row_id, seq, hash from log_leaves where row_id = any($1) and index < $2 order by index"
_TRANSFER = ("intent", "refusal", "outcome")
_CITED = ("consent", "disclosure", "contract", "contract-end")


class PostgresTransparencyLog:
    """Fulfils ``TransparencyLog``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def checkpoint(self) -> str:
        """See ``TransparencyLog``."""
        async with self._database.acquire() as connection:
            head = await read_head(connection)
        if not head.size:
            raise NotInLog("the log is empty so far")
        return head.note

    async def keys(self) -> Sequence[CheckpointKey]:
        """See ``TransparencyLog``."""
        return [CheckpointKey(**dict(row)) for row in await self._database.fetch(_KEYS)]

    async def find(self, row_id: UUID, *, kind: str, seq: int) -> int:
        """See ``TransparencyLog``."""
        index = await self._database.fetchval(_FIND, row_id, kind, seq)
        if index is None:
            raise NotInLog("the log has no such row; one of the last few seconds may still get its place")
        return int(index)

    async def inclusion(self, index: int, *, size: int | None) -> Inclusion:
        """See ``TransparencyLog``."""
        async with self._database.transaction(snapshot=True) as connection:
            head = await read_head(connection)
            size = _within(head.size, size)
            if not 0 <= index < size:
                raise NotInLog(f"the log of {size} rows has no row {index}")
            path = merkle.inclusion_path(index, size)
            nodes = await read_nodes(connection, {(0, index), *merkle.peaks(size), *merkle.places(path)})
            note = await connection.fetchval("select note from log_checkpoints where size = $1", size)
        return Inclusion(
            index=index,
            size=size,
            leaf=nodes[0, index],
            root=merkle.root(size, nodes),
            proof=merkle.hashes(path, nodes),
            checkpoint=note,
        )

    async def consistency(self, first: int, second: int | None) -> tuple[int, Sequence[bytes]]:
        """See ``TransparencyLog``."""
        async with self._database.transaction(snapshot=True) as connection:
            second = _within((await read_head(connection)).size, second)
            if not 0 <= first <= second:
                raise NotInLog(f"a log of {first} rows is no beginning of one of {second}")
            [proof] = await read_proofs(connection, [merkle.consistency_path(first, second)])
        return second, proof

    async def evidence(self, transfer_id: UUID) -> Proven:
        """See ``TransparencyLog``."""
        async with self._database.transaction(snapshot=True) as connection:
            head = await read_head(connection)
            own = await _proven(connection, [transfer_id], kinds=_TRANSFER, size=head.size)
            told = next((row for row in own if row.kind in {"intent", "refusal"}), None)
            if told is None:
                raise NotInLog("the log has no transfer or refusal of that id; it may get its place within seconds")
            cited = await _proven(connection, _cited(told), kinds=_CITED, size=head.size)
            keys = [row["key"] for row in await connection.fetch(_KEYS)]
        return Proven(checkpoint=head.note, keys=keys, rows=sorted([*cited, *own], key=lambda row: row.index))

    async def export(self) -> AsyncGenerator[str, None]:
        """See ``TransparencyLog``. Holds a connection, and one moment's view, until it is read or closed."""
        async with self._database.transaction(snapshot=True) as connection:
            await connection.execute("set local statement_timeout = '10min'")
            await connection.execute("set local idle_in_transaction_session_timeout = '10min'")
            async for line in export_lines(connection):
                yield line


def disclosure_id(version: str) -> UUID:
    """How the log names a disclosure, whose own name is text."""
    return UUID(bytes=md5(version.encode(), usedforsecurity=False).digest())


def _within(newest: int, size: int | None) -> int:
    if size is not None and size > newest:
        raise NotInLog(f"the log has {newest} rows so far")
    return newest if size is None else size


def _cited(told: ProvenRow) -> list[UUID]:
    """What a transfer stands on; a refusal may stand on nothing."""
    record: Any = told.record or {}
    consent = record.get("details", {}).get("consent") or {}
    ids = [UUID(found) for found in (consent.get("event_id"), record.get("contract_id")) if found is not None]
    version = consent.get("disclosure")
    return [*ids, disclosure_id(version)] if version is not None else ids


async def _proven(
    connection: Connection, ids: Sequence[UUID], *, kinds: Sequence[str], size: int
) -> Sequence[ProvenRow]:
    leaves = [row for row in await connection.fetch(_LEAVES, ids, size) if row["kind"] in kinds]
    names = [RowName(kind=leaf["kind"], id=leaf["row_id"], seq=leaf["seq"]) for leaf in leaves]
    rows = await read_rows(connection, names)
    proofs = await read_proofs(connection, [merkle.inclusion_path(leaf["index"], size) for leaf in leaves])
    return [
        ProvenRow(
            kind=name.kind,
            id=name.id,
            seq=name.seq,
            index=leaf["index"],
            leaf=leaf["hash"],
            record=json.loads(row.record) if row is not None else None,
            salt=row.salt if row is not None else None,
            proof=proof,
        )
        for name, leaf, row, proof in zip(names, leaves, map(rows.get, names), proofs, strict=True)
    ]
