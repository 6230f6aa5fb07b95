"""Roles and databases of the embedded server, and who may do what in them."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias, TypeVar
from urllib.parse import quote, urlencode

import asyncpg

from consent_proxy.adapters.postgres.embedded.errors import EmbeddedPostgresError
from consent_proxy.adapters.postgres.embedded.passwords import OWNER, SERVICE, SUPERUSER
from consent_proxy.adapters.postgres.embedded.sockets import PORT

DATABASE = "consent_proxy"
_MAINTENANCE = "postgres"
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")

_Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the server is reached, and with which password by whom."""

    socket: Path
    passwords: Mapping[str, str] = field(repr=False)

    def url(self, role: str, *, database: str) -> str:
        """A URL for asyncpg; SQLAlchemy takes it too, with `postgresql+asyncpg` for its scheme."""
        query = urlencode({"host": str(self.socket), "port": PORT}, quote_via=quote, safe="/")
        return f"postgresql://{quote(role)}:{quote(self.passwords[role], safe='')}@/{quote(database)}?{query}"


def prepare_roles(address: Address) -> None:
    """Make the two roles and the service's database where they are missing. A crash on the way is made good next time.

    Raises EmbeddedPostgresError when the password is wrong, and whatever asyncpg raises when the server dies meanwhile.
    """
    try:
        _as_superuser(address, lambda connection: _prepare(connection, address.passwords))
    except asyncpg.InvalidPasswordError as problem:
        raise EmbeddedPostgresError(
            f"The server at {address.socket} does not take our password. The file passwords.json in the data folder"
            " must be the one that was written when the database was made: put it back from a backup."
        ) from problem


def create_database(address: Address, name: str, *, template: str | None) -> None:
    """Make a database of the owner's, a copy of `template` or empty. Nobody may be connected to the template."""
    _as_superuser(address, lambda connection: _create(connection, name, template or "template1"))


def drop_database(address: Address, name: str) -> None:
    """Drop a database, ending the sessions in it; one that does not exist is no error."""
    statement = f"drop database if exists {_quoted(name)} with (force)"
    _as_superuser(address, lambda connection: connection.execute(statement))


async def _prepare(connection: _Connection, passwords: Mapping[str, str]) -> None:
    done = await connection.fetchval("select datacl is not null from pg_database where datname = $1", DATABASE)
    if done:
        return
    known = {record["rolname"] for record in await connection.fetch("select rolname from pg_roles")}
    for role in (OWNER, SERVICE):
        if role not in known:
            await connection.execute(f"create role {role} login password '{passwords[role]}'")
    await connection.execute("revoke all on database postgres, template1 from public")
    if done is None:
        await _create(connection, DATABASE, "template1")
    else:
        await _close_to_public(connection, DATABASE)


async def _create(connection: _Connection, name: str, template: str) -> None:
    await connection.execute(f"create database {_quoted(name)} owner {OWNER} template {_quoted(template)}")
    await _close_to_public(connection, name)


async def _close_to_public(connection: _Connection, name: str) -> None:
    """The service may connect and nothing else; a copy of a database does not inherit this from its template."""
    async with connection.transaction():
        await connection.execute(f"revoke all on database {_quoted(name)} from public")
        await connection.execute(f"grant connect on database {_quoted(name)} to {SERVICE}")


def _quoted(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a database: lower-case letters, digits and _, at most 63")
    return f'"{name}"'


def _as_superuser(address: Address, work: Callable[[_Connection], Awaitable[_Answer]]) -> _Answer:
    """Do the work in a thread with an event loop of its own, so that it can be asked for within a running loop too."""

    async def connected() -> _Answer:
        connection: _Connection = await asyncpg.connect(address.url(SUPERUSER, database=_MAINTENANCE))
        try:
            return await work(connection)
        finally:
            await connection.close()

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, connected()).result()
