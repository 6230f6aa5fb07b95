"""Worker ids, the locks that show that a worker lives, and the settling of what dead ones left open."""

import asyncio
import contextlib
import logging
import socket
from collections import defaultdict
from datetime import timedelta
from uuid import UUID

from consent_proxy.adapters.postgres.advisory_locks import WORKER_LOCKS
from consent_proxy.adapters.postgres.connections import Database, RawConnection
from consent_proxy.adapters.postgres.rows import uuid7_floor
from consent_proxy.application.ports.platform import Clock
from consent_proxy.application.ports.transfers import LedgerUnavailable

_log = logging.getLogger(__name__)

SETTLE_EVERY = 30.0
_LOOK_EVERY = 5.0
_RETRY_AFTER = 0.25
#: How many transfers one transaction settles, and how many of them the log names.
_AT_ONCE = 1000
_NAMED = 10

#: No id is older than this when its intent is recorded: below it, what is not known to be open is closed.
_OLDEST_NEW_ID = timedelta(minutes=10)
#: How far this machine's clock and the database's may be apart.
_CLOCKS_APART = timedelta(days=1)

_NEW_WORKER = """with made as (insert into workers (host) values ($1) returning id)
  select id, pg_advisory_lock($2, id::integer) from made"""
_ALIVE_AGAIN = "update workers set lost_at = null, settled_at = null where id = $1 and lost_at is not null"
_NOTE_OPEN = "update workers set open_from = $2 where id = $1"
_SETTLE = "select settle_intents($1, $2, $3, $4) as id"
_OTHERS = """select id, open_from, started_at from workers where settled_at is null and id <> all ($1::bigint[])
  order by id"""
#: Its lock is free, yet a commit of it may still be under way in a server process: look again for ten minutes.
_NOTE_LOST = """update workers set lost_at = coalesce(lost_at, now()),
    settled_at = case when lost_at < now() - interval '10 minutes' then now() end
  where id = $1"""


class Worker:
    """This process among those that share the database: an id that its intents carry, and the lock that shows it lives.

    While the connection that holds the lock is lost there is no id, so that nothing can be recorded and nothing sent.
    The same id is taken again where nobody else holds its lock; where that cannot be, there is a new one, and the old
    lock is taken back as soon as it can be for as long as sends are open under it. Whoever settled them meanwhile
    wrote `indeterminate`, and their real outcomes come after that and hold.
    """

    def __init__(self, database: Database, *, clock: Clock, send_within: timedelta) -> None:
        self._database, self._clock, self._send_within = database, clock, send_within
        self._tenure = 0
        self._connection: RawConnection | None = None
        self._id: int | None = None
        self._last_id: int | None = None
        self._open: dict[UUID, int] = {}
        self._held: set[int] = set()
        self._lost = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None
        self._settled = 0

    @property
    def id(self) -> int:
        """The id to record intents under. Raises ``LedgerUnavailable`` while there is none."""
        if self._id is None:
            raise LedgerUnavailable("this worker has lost its lock in the database and waits for a new one")
        return self._id

    @property
    def tenure(self) -> int:
        """Which holding of a lock this is: it moves each time one was lost and another, even the same, taken."""
        return self._tenure

    @property
    def open(self) -> int:
        """How many intents of this process have no outcome yet."""
        return len(self._open)

    @property
    def settled(self) -> int:
        """How many intents of dead workers this process has settled."""
        return self._settled

    def opened(self, transfer_id: UUID, *, worker: int) -> None:
        """Note that an intent is about to be recorded."""
        self._open[transfer_id] = worker

    def holds(self, transfer_id: UUID) -> bool:
        """Whether the lock that an open intent was recorded under is held, so that nobody can have settled it."""
        return self._open.get(transfer_id) in self._held

    def closed(self, transfer_id: UUID) -> None:
        """Note that an intent has its outcome, or that there is none."""
        self._open.pop(transfer_id, None)

    async def start(self) -> None:
        """Take an id, settle what dead workers left, and go on doing both; at once, or when the database is back."""
        try:
            await self._take()
            await self.settle()
        except Exception as error:  # noqa: BLE001 - a database that is away or not yet migrated may come
            _log.warning("the worker's lock or its settling waits for the database (%s)", type(error).__name__)
        self._keeping = asyncio.create_task(self._keep())

    async def aclose(self) -> None:
        """Give the id up: what is still open may be settled by others."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait({self._keeping})
        self._id = None
        if self._connection is not None and not self._connection.is_closed():
            await self._close(self._connection)

    async def settle(self) -> int:
        """Close as indeterminate the open intents of workers that no longer live; how many there were.

        Those younger than a send window are left to the next time: see `settle_intents`. Raises ``LedgerUnavailable``.
        """
        settled = 0
        for row in await self._database.fetch(_OTHERS, sorted(self._ours())):
            settled += await self._settle_one(
                row["id"], row["open_from"] or uuid7_floor(row["started_at"] - _CLOCKS_APART)
            )
        await self._note_open()
        return settled

    async def _settle_one(self, dead: int, open_from: UUID) -> int:
        settled = 0
        while True:
            async with self._database.transaction() as connection:
                if not await connection.fetchval("select pg_try_advisory_xact_lock($1, $2)", WORKER_LOCKS, dead):
                    return settled
                rows = await connection.fetch(_SETTLE, dead, open_from, self._send_within, _AT_ONCE)
                if not rows:
                    await connection.execute(_NOTE_LOST, dead)
                    return settled
            settled += len(rows)
            self._settled += len(rows)
            ids = ", ".join(str(row["id"]) for row in rows[:_NAMED])
            _log.warning("settled %d transfers of worker %s as indeterminate: %s …", len(rows), dead, ids)

    async def _note_open(self) -> None:
        """Tell settlers from which id on to look, should we die."""
        floor = uuid7_floor(self._clock.now() - _OLDEST_NEW_ID)
        by_worker: dict[int, list[UUID]] = defaultdict(list)
        for transfer_id, worker in self._open.items():
            by_worker[worker].append(transfer_id)
        for worker in self._ours():
            await self._database.execute(_NOTE_OPEN, worker, min([floor, *by_worker[worker]]))

    def _ours(self) -> set[int]:
        """Every id that something of this process may be open under."""
        return {*self._open.values(), *self._held, *([self._last_id] if self._last_id is not None else [])}

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        # What was too young at the start is old enough soon.
        settle_at = loop.time() + self._send_within.total_seconds() + _LOOK_EVERY
        while True:
            try:
                await self._look()
                if loop.time() >= settle_at:
                    settle_at = loop.time() + SETTLE_EVERY
                    await self.settle()
                pause = _LOOK_EVERY
            except Exception as error:  # noqa: BLE001 - without this task nothing is ever sent again
                _log.warning("the worker's lock or its settling waits for the database (%s)", type(error).__name__)
                pause = _RETRY_AFTER
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._lost.wait()
                    self._lost.clear()

    async def _look(self) -> None:
        """See that the connection lives, and take locks back that sends are open under."""
        connection = self._connection or await self._take()
        try:
            await connection.execute("select 1")
            for former in {*self._open.values()} - self._held:
                await self._take_back(connection, former)
        except Exception:
            self._lose(connection)
            connection.terminate()
            raise

    async def _take(self) -> RawConnection:
        connection = await self._database.connect()
        try:
            self._held = set()
            if self._last_id is None or not await self._take_back(connection, self._last_id):
                row = await connection.fetchrow(_NEW_WORKER, socket.gethostname(), WORKER_LOCKS)
                assert row is not None
                self._last_id = row["id"]
                self._held.add(row["id"])
        except asyncio.CancelledError:
            connection.terminate()
            raise
        except Exception as error:
            connection.terminate()
            raise LedgerUnavailable(f"no worker's lock could be taken ({type(error).__name__})") from error
        self._connection, self._id = connection, self._last_id
        self._tenure += 1
        connection.add_termination_listener(self._lose)
        _log.info("this process is worker %s", self._id)
        return connection

    async def _take_back(self, connection: RawConnection, former: int) -> bool:
        if not await connection.fetchval("select pg_try_advisory_lock($1, $2)", WORKER_LOCKS, former):
            return False
        self._held.add(former)
        await connection.execute(_ALIVE_AGAIN, former)
        return True

    def _lose(self, connection: object) -> None:
        """The connection is gone, and with it the lock: stop recording until there is another."""
        if connection is not self._connection:
            return
        self._connection, self._id = None, None
        self._held = set()
        self._lost.set()

    async def _close(self, connection: RawConnection) -> None:
        connection.remove_termination_listener(self._lose)
        try:
            await connection.close(timeout=1.0)
        except Exception:  # noqa: BLE001 - it is going away either way
            connection.terminate()
