"""Bringing a database to the schema this code was written for, and giving the service's role what it may do."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from consent_proxy.adapters.postgres.tables import MIGRATION_LOCK, PARTITIONED, metadata

#: What the service's role may do besides SELECT: change head rows, and nothing in the record.
_WRITES = {
    "standings": "insert, update",
    "jobs": "insert, update",
    "outputs": "insert, update, delete",
    "keys": "insert, update",
    "callers": "insert, update",
    "subjects": "insert, update",
    "subject_identifiers": "insert, update, delete",
    "salts": "insert, delete",
    "secrets": "insert, update",
    "contracts": "insert, update",
    "disclosures": "insert",
    "idempotency": "insert",
    "token_revocations": "insert, update, delete",
    "token_cutoffs": "insert, update",
    "workers": "insert, update",
    "media_keys": "insert, update, delete",
    "held_media": "insert, update, delete",
}
_FUNCTIONS = (
    "commit_intents",
    "affirm_intents",
    "append_outcomes",
    "settle_intents",
    "append_refusals",
    "append_accesses",
    "append_consent_event",
    "move_edition",
    "ensure_partitions",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationResult:
    """What migrating did. ``before`` is ``None`` for a database that was empty; ``partitions`` counts new ones."""

    before: str | None
    after: str
    partitions: int
    granted_to: str | None


class MigrationFailed(Exception):
    """The schema is as it was; the message says what the database said."""


def migrate(owner_url: str, *, service_role: str | None) -> MigrationResult:
    """Upgrade to the newest schema, make the partitions, and grant the service's role what it may do.

    All in one transaction under an advisory lock, so that several replicas may ask for it at once and a crash leaves
    nothing half done. ``service_role`` gets no grants where it is the owner itself. May be called inside a running
    event loop: it blocks. Raises ``MigrationFailed`` when the database cannot be reached or changed.
    """
    try:
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(asyncio.run, _migrate(owner_url, service_role)).result()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, DBAPIError) as error:
        raise MigrationFailed(f"the database could not be migrated ({type(error).__name__}: {error})") from error


def migrations_folder() -> Path:
    """Where the migrations lie: in the package of a wheel, at the top of a checkout."""
    package = Path(__file__).resolve().parents[2]
    for folder in (package / "_migrations", package.parents[1] / "migrations"):
        if (folder / "env.py").exists():
            return folder
    raise FileNotFoundError("this installation has no migrations: install the wheel, or the checkout as editable")


async def _migrate(owner_url: str, service_role: str | None) -> MigrationResult:
    # asyncpg reads the URL itself: SQLAlchemy's dialect knows fewer of libpq's parameters.
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(owner_url),
        poolclass=NullPool,
        hide_parameters=True,
    )
    async with engine.begin() as connection:
        return await connection.run_sync(_in_one_transaction, service_role)


def _in_one_transaction(connection: Connection, service_role: str | None) -> MigrationResult:
    connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
    before = MigrationContext.configure(connection).get_current_revision()
    _upgrade(connection)
    after = MigrationContext.configure(connection).get_current_revision()
    made = connection.scalar(text("select ensure_partitions()"))
    owner = connection.scalar(text("select current_user"))
    granted_to = service_role if service_role not in {None, owner} else None
    if granted_to is not None:
        _grant(connection, granted_to)
    return MigrationResult(before=before, after=str(after), partitions=int(made or 0), granted_to=granted_to)


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _grant(connection: Connection, role: str) -> None:
    """Take everything from the role and give it what it may do: grants of an earlier version do not linger."""
    quote = connection.dialect.identifier_preparer.quote
    schema, service = quote(str(connection.scalar(text("select current_schema()")))), quote(role)
    ours = connection.scalar(
        text("select pg_has_role(nspowner, 'usage') from pg_namespace where nspname = current_schema()")
    )
    tables = [*metadata.tables, "alembic_version"]
    statements = [
        f"revoke create on schema {schema} from public, {service}" if ours else "",
        f"grant usage on schema {schema} to {service}" if ours else "",
        f"revoke all on {', '.join(tables + _partitions(connection))} from public, {service}",
        f"grant select on {', '.join(tables)} to {service}",
        *(f"grant {rights} on {table} to {service}" for table, rights in _WRITES.items()),
        *(f"grant execute on function {name} to {service}" for name in _FUNCTIONS),
    ]
    for statement in filter(None, statements):
        connection.exec_driver_sql(statement)


def _partitions(connection: Connection) -> list[str]:
    found = connection.scalars(
        text(
            "select c.relname from pg_inherits i join pg_class c on c.oid = i.inhrelid"
            " where i.inhparent = any(cast(:parents as regclass[]))"
        ),
        {"parents": list(PARTITIONED)},
    )
    return [str(name) for name in found]
