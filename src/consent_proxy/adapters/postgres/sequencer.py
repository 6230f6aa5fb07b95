"""The sequencer: gives each committed row its place in the log, in batches, and seals every batch with a checkpoint.

Any number of processes may run one; the database's lock lets one at a time through. What it has seen stands in the
checkpoints themselves, so whoever comes next goes on from there, whatever the one before died of.
"""

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Protocol
from uuid import UUID

from consent_proxy.adapters.checkpoints import SignedCheckpoint
from consent_proxy.adapters.postgres.advisory_locks import LOG_LOCK
from consent_proxy.adapters.postgres.connections import Connection, Database
from consent_proxy.adapters.postgres.log_rows import LogRow, leaf_of, own_salt, read_news
from consent_proxy.adapters.postgres.log_tree import Head, read_head, read_nodes
from consent_proxy.adapters.postgres.salts import SALT_BYTES, make_salts
from consent_proxy.application.ports.transfers import LedgerUnavailable
from consent_proxy.domain import merkle

_log = logging.getLogger(__name__)

#: Seconds between two looks for news; a checkpoint is due within five.
LOOK_EVERY = 2.0
#: About how many rows of a kind one batch takes: a tenth of a second's work, in a thread beside the requests.
MOST_AT_ONCE = 2000

# By the keys, whatever the statistics say: a plan that reads all of the log each time would fall behind the requests.
_BY_KEY = (
    "set local enable_seqscan = off; set local enable_hashjoin = off; set local enable_mergejoin = off;"
    " set local statement_timeout = '2min'"
)
_VIEW = """
select pg_snapshot_xmax(s)::text::bigint as ends, array(select x::text::bigint from pg_snapshot_xip(s) x) as open
from pg_current_snapshot() s
"""
_APPEND = "select append_to_log($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)"


class Seal(Protocol):
    """What signs checkpoints."""

    def sign_checkpoint(self, *, size: int, root: bytes) -> SignedCheckpoint:
        """The signed note and its key. Raises ``LedgerUnavailable`` while the keys are not open."""
        ...


class Sequencer:
    """See the module. ``most`` is about how many rows of a kind one batch takes."""

    def __init__(self, database: Database, *, seal: Seal, most: int = MOST_AT_ONCE) -> None:
        self._database, self._seal, self._most = database, seal, most

    async def advance(self) -> int:
        """Place one batch; how many rows it had. None of them where there is no news, or another is at work.

        Leaves, nodes and checkpoint are one transaction. Raises ``LedgerUnavailable``.
        """
        async with self._database.transaction() as connection:
            if not await connection.fetchval("select pg_try_advisory_xact_lock($1)", LOG_LOCK):
                return 0
            await connection.execute(_BY_KEY)
            return await self._place(connection, await read_head(connection))

    async def _place(self, connection: Connection, head: Head) -> int:
        view = await connection.fetchrow(_VIEW)
        assert view is not None
        # A dump that was put back into another server counts its transactions anew: look at every row once more.
        counted_anew = head.settled_below > view["ends"]
        news = await read_news(
            connection,
            after=0 if counted_anew else head.settled_below,
            but=() if counted_anew else head.open_xacts,
            below=view["ends"],
            most=self._most,
        )
        if not news.rows:
            return 0
        salts = await _salts(connection, news.rows)
        leaves = await asyncio.to_thread(_leaves, news.rows, salts)
        places = merkle.peaks(head.size)
        nodes = await read_nodes(connection, places)
        grown = merkle.grow(head.size, [nodes[place] for place in places], leaves)
        signed = self._seal.sign_checkpoint(size=grown.size, root=grown.root)
        still_open = [xact for xact in view["open"] if xact < news.below]
        await connection.execute(
            _APPEND,
            head.size,
            [row.name.kind for row in news.rows],
            [row.name.id for row in news.rows],
            [row.name.seq for row in news.rows],
            leaves,
            [level for level, _ in grown.nodes],
            [index for _, index in grown.nodes],
            list(grown.nodes.values()),
            grown.root,
            signed.note,
            signed.key,
            news.below,
            still_open,
        )
        return len(news.rows)


async def keep_sequencing(sequencer: Sequencer) -> None:
    """Place what is new, for ever. A database that is away is no reason to stop, and neither is anything else."""
    told = ""
    while True:
        placed = 0
        try:
            placed = await sequencer.advance()
            told = ""
        except LedgerUnavailable:
            pass
        except Exception as error:  # noqa: BLE001 - the log has to go on; a stranger's message may hold a row
            if told != (told := type(error).__name__):
                _log.error("the transparency log cannot go on (%s); it is tried again", told)
        if placed < MOST_AT_ONCE:
            await asyncio.sleep(LOOK_EVERY)


async def _salts(connection: Connection, rows: Sequence[LogRow]) -> Sequence[bytes]:
    """A salt for each row. What has none, because its subject was erased, gets one that nobody keeps."""
    without = {row.subject_ref for row in rows if row.salt is None and row.subject_ref is not None}
    made = await make_salts(connection, without) if without else {}
    return [row.salt if row.salt is not None else _salt(row, made) for row in rows]


def _salt(row: LogRow, made: Mapping[UUID, bytes]) -> bytes:
    salt = made.get(row.subject_ref) if row.subject_ref is not None else None
    return own_salt(salt, row.name) or os.urandom(SALT_BYTES)


def _leaves(rows: Sequence[LogRow], salts: Sequence[bytes]) -> list[bytes]:
    return [leaf_of(row, salt=salt) for row, salt in zip(rows, salts, strict=True)]
