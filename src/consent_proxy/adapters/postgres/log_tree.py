"""The tree of the log as it is kept: the newest checkpoint, and the nodes that proofs are put together from."""

from collections.abc import Iterable
from dataclasses import dataclass

from consent_proxy.adapters.postgres.connections import Connection
from consent_proxy.domain import merkle
from consent_proxy.domain.merkle import Place, Range

_NEWEST = "select size, root, note, settled_below, open_xacts from log_checkpoints order by size desc limit 1"
_NODES = """
select w.level, w.index, coalesce(n.hash, l.hash) as hash from unnest($1::smallint[], $2::bigint[]) w (level, index)
left join log_nodes n on w.level > 0 and n.level = w.level and n.index = w.index
left join log_leaves l on w.level = 0 and l.index = w.index
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where the log ends. ``settled_below`` and ``open_xacts`` say what the sequencer has seen by then."""

    size: int
    root: bytes
    note: str
    settled_below: int
    open_xacts: tuple[int, ...]


NO_HEAD = Head(size=0, root=merkle.EMPTY_ROOT, note="", settled_below=0, open_xacts=())


async def read_head(connection: Connection) -> Head:
    """The newest checkpoint, or ``NO_HEAD``."""
    row = await connection.fetchrow(_NEWEST)
    if row is None:
        return NO_HEAD
    return Head(**{**dict(row), "open_xacts": tuple(row["open_xacts"])})


async def read_nodes(connection: Connection, places: Iterable[Place]) -> dict[Place, bytes]:
    """The hashes at the places. Raises ``KeyError`` where the tree has a hole."""
    wanted = list(places)
    rows = await connection.fetch(_NODES, [level for level, _ in wanted], [index for _, index in wanted])
    nodes = {(row["level"], row["index"]): row["hash"] for row in rows}
    if holes := [place for place in wanted if nodes[place] is None]:
        raise KeyError(f"the log's tree has no node at {holes[0]}")
    return nodes


async def read_proofs(connection: Connection, paths: Iterable[list[Range]]) -> list[list[bytes]]:
    """The proof of each path."""
    asked = list(paths)
    nodes = await read_nodes(connection, {place for path in asked for place in merkle.places(path)})
    return [merkle.hashes(path, nodes) for path in asked]
