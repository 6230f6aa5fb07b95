"""The pool of connections to the ledger: how they are opened, lent, and what their failures are called."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from consent_proxy.application.ports.transfers import LedgerUnavailable
from consent_proxy.domain.payloads import Json

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"
RawConnection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Row: TypeAlias = asyncpg.Record

#: Seconds: for a connection to be opened or to come free, and for an answer of a server that may have vanished.
ACQUIRE_WITHIN = 5.0
ANSWER_WITHIN = 15.0

_SETTINGS = {
    "application_name": "consent-proxy",
    "default_transaction_isolation": "read committed",  # the commit of intents relies on a snapshot per statement
    "synchronous_commit": "on",
    "statement_timeout": "10s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "30s",
    "idle_session_timeout": "0",  # the connection that holds a worker's lock is idle for as long as the worker lives
    "tcp_keepalives_idle": "30",  # a machine that vanished must not hold its locks for hours
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "timezone": "UTC",
    "jit": "off",
}

#: States and classes of SQLSTATE in which the server, not the statement, is what failed (appendix A of its manual).
_SERVER_CLASSES = ("08", "53", "57", "58", "40", "XX")
_SERVER_STATES = frozenset({"25006", "25P03", "55P03", "28000", "28P01", "3D000"})
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A server process that served one connection: its id and, since ids come round again, when it began."""

    pid: int
    started_at: datetime


def encode_json(value: Json) -> str:
    """JSON as jsonb takes it. Raises ``ValueError`` for NaN, infinities, NUL and lone surrogates."""
    text = _ENCODER.encode(value)
    text.encode()
    if "\\u0000" in text and _NUL.search(text):
        raise ValueError("a NUL character cannot be recorded")
    return text


class Database:
    """A pool over one `postgresql://` URL. It opens connections as they are needed, so it may be made while the server
    is away, and it recovers by itself when the server is back.
    """

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", *, url: str, backends: dict[int, Backend]) -> None:
        self._pool = pool
        self._url = url
        self._backends = backends

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        """Lend a connection. Raises ``LedgerUnavailable`` for whatever befalls it, inside the block too; errors that
        are the statement's own (a constraint, a privilege, a value) pass as they are.
        """
        try:
            connection = await self._pool.acquire(timeout=ACQUIRE_WITHIN)
        except Exception as error:
            raise LedgerUnavailable(f"no connection to the database ({type(error).__name__})") from error
        try:
            yield connection
        except Exception as error:
            if _is_unanswered(error):
                _throw_away(connection)
            if is_lost(connection) or _is_the_servers(error):
                raise LedgerUnavailable(f"the database failed ({type(error).__name__})") from error
            raise
        finally:
            await self._release(connection)

    @asynccontextmanager
    async def transaction(self, *, snapshot: bool = False) -> AsyncIterator[Connection]:
        """Lend a connection inside a transaction; ``snapshot``: one that only reads, all at one moment."""
        async with self.acquire() as connection:
            isolation = "repeatable_read" if snapshot else None
            async with connection.transaction(isolation=isolation, readonly=snapshot):  # type: ignore[arg-type]
                yield connection

    async def fetch(self, query: str, *values: object) -> list[Row]:
        """Run one statement and return its rows. Raises as ``acquire`` does."""
        async with self.acquire() as connection:
            return await connection.fetch(query, *values)

    async def fetchrow(self, query: str, *values: object) -> Row | None:
        """Run one statement and return its first row. Raises as ``acquire`` does."""
        async with self.acquire() as connection:
            return await connection.fetchrow(query, *values)

    async def fetchval(self, query: str, *values: object) -> Any:
        """Run one statement and return the first column of its first row. Raises as ``acquire`` does."""
        async with self.acquire() as connection:
            return await connection.fetchval(query, *values)

    async def execute(self, query: str, *values: object) -> str:
        """Run one statement and return its tag. Raises as ``acquire`` does."""
        async with self.acquire() as connection:
            return await connection.execute(query, *values)

    async def connect(self) -> RawConnection:
        """Open a connection of the asker's own, outside of the pool. Raises ``LedgerUnavailable``."""
        try:
            return await asyncpg.connect(
                self._url, timeout=ACQUIRE_WITHIN, command_timeout=ANSWER_WITHIN, server_settings=_SETTINGS
            )
        except Exception as error:
            raise LedgerUnavailable(f"no connection to the database ({type(error).__name__})") from error

    def backend(self, connection: Connection) -> Backend:
        """The server process behind a lent connection."""
        return self._backends[connection.get_server_pid()]

    async def aclose(self, *, within: float = 5.0) -> None:
        """Close every connection, waiting for those lent for so many seconds."""
        try:
            async with asyncio.timeout(within):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def _release(self, connection: Connection) -> None:
        try:
            await self._pool.release(connection, timeout=ACQUIRE_WITHIN)
        except Exception:  # noqa: BLE001 - a connection that cannot be given back is thrown away
            _throw_away(connection)


def is_lost(connection: Connection) -> bool:
    """Whether a lent connection is no more. The pool takes one that breaks away from under whoever holds it."""
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True


async def open_database(url: str, *, size: int = 12) -> Database:
    """Make a pool of up to ``size`` connections; none is opened yet. Raises ``ValueError`` for a URL that is none."""
    if urlsplit(url).scheme not in {"postgresql", "postgres"}:
        raise ValueError("a database's address begins with postgresql://")
    backends: dict[int, Backend] = {}

    async def prepare(connection: RawConnection) -> None:
        await use_json(connection)
        started_at = await connection.fetchval(
            "select backend_start from pg_stat_activity where pid = pg_backend_pid()"
        )
        backends[connection.get_server_pid()] = Backend(pid=connection.get_server_pid(), started_at=started_at)

    pool = await asyncpg.create_pool(
        url,
        min_size=0,
        max_size=size,
        init=prepare,
        reset=_leave_as_it_is,
        timeout=ACQUIRE_WITHIN,
        command_timeout=ANSWER_WITHIN,
        server_settings=_SETTINGS,
    )
    return Database(pool, url=url, backends=backends)


async def use_json(connection: RawConnection) -> None:
    """Let jsonb come and go as Python values."""
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=encode_json, decoder=json.loads, format="text"
    )


async def _leave_as_it_is(_connection: RawConnection) -> None:
    """The usual reset would be a round trip for nothing: nothing of ours outlives a transaction in a session."""


def _throw_away(connection: Connection) -> None:
    with contextlib.suppress(asyncpg.InterfaceError):
        connection.terminate()


def _is_unanswered(error: Exception) -> bool:
    return isinstance(error, TimeoutError | asyncpg.InternalClientError)


def _is_the_servers(error: Exception) -> bool:
    match error:
        case asyncpg.PostgresError():
            state = error.sqlstate or ""
            return state.startswith(_SERVER_CLASSES) or state in _SERVER_STATES
        case ValueError():  # asyncpg.DataError too: a value that is not of the parameter's type
            return False
        case _:
            return isinstance(error, OSError | TimeoutError | asyncpg.InterfaceError | asyncpg.InternalClientError)
