"""Bringing a database to the schema this code was written for, and giving the service's role what it may do."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from consent_proxy.adapters.postgres.advisory_locks import MIGRATION_LOCK
from consent_proxy.adapters.postgres.schema import is_newer
from consent_proxy.adapters.postgres.tables import PARTITIONED, metadata

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
    "person_of",
    "move_edition",
    "ensure_partitions",
    "append_to_log",
)


#: How long another migration is waited for, and any lock that a statement of ours needs. The second is shorter than
#: Postgres' `deadlock_timeout` (1 s): where a migration and a request wait for each other, the migration gives way.
_TURN_WITHIN, _LOCK_WITHIN = "2min", "500ms"
#: How often it is tried again, and after which pause, in seconds, so that the requests that waited come first.
_TRIES, _PAUSE = 10, 0.2
_IN_THE_WAY = frozenset({asyncpg.LockNotAvailableError.sqlstate, asyncpg.DeadlockDetectedError.sqlstate})


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationResult:
    """What migrating did. ``before`` is ``None`` for a database that was empty; ``partitions`` counts new ones.

    ``of_a_later_release`` says that the schema was ahead of this code, and was left as it is.
    """

    before: str | None
    after: str
    partitions: int
    granted_to: str | None
    of_a_later_release: bool = False


class MigrationFailed(Exception):
    """The schema is as it was; the message says what the database said, and what to do."""


class _StepFailed(Exception):
    """What was being done when the database said no, and the revision it had and still has."""

    def __init__(self, step: str, *, before: str | None) -> None:
        super().__init__(step)
        self.step, self.before = step, before

    @property
    def may_pass(self) -> bool:
        """Whether another session was in the way."""
        return getattr(getattr(self.__cause__, "orig", None), "sqlstate", None) in _IN_THE_WAY


def migrate(owner_url: str, *, service_role: str | None, folder: Path | None = None) -> MigrationResult:
    """Upgrade to the newest schema, make the partitions, and grant the service's role what it may do.

    All in one transaction under an advisory lock, so that several replicas may ask for it at once and a crash leaves
    nothing half done. What finds a lock taken gives way to requests and begins again, a few times. A schema of a later
    release is left as it is, its grants too. ``service_role`` gets no grants where it is the owner itself; ``folder``
    holds the migrations, if not those of this code. May be called inside a running event loop: it blocks. Raises
    ``MigrationFailed`` when the database cannot be reached or changed.
    """
    try:
        with ThreadPoolExecutor(max_workers=1) as thread:
            return thread.submit(asyncio.run, _migrate(owner_url, service_role, folder or migrations_folder())).result()
    except _StepFailed as error:
        raise MigrationFailed(_half_way(error)) from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, DBAPIError) as error:
        raise MigrationFailed(
            f"the database could not be migrated ({_said(error)}): correct CONSENT_PROXY_MIGRATE_DATABASE_URL"
        ) from error


def _half_way(failed: _StepFailed) -> str:
    state = (
        f"the schema is at revision {failed.before}, as it was" if failed.before else "there is no schema, as before"
    )
    again = f"other sessions were in the way {_TRIES} times: migrate again when they are done"
    advice = again if failed.may_pass else "mend what it names, then migrate again"
    return f"{failed.step} failed and nothing was changed ({_said(failed.__cause__)}); {state}; {advice}"


def _said(error: BaseException | None) -> str:
    """The first line of what the database said, without the statement."""
    text = str(getattr(error, "orig", error)).partition("\n")[0]
    return text.rpartition(">: ")[2] or type(error).__name__


def migrations_folder() -> Path:
    """Where the migrations lie: in the package of a wheel, at the top of a checkout."""
    package = Path(__file__).resolve().parents[2]
    for folder in (package / "_migrations", package.parents[1] / "migrations"):
        if (folder / "env.py").exists():
            return folder
    raise FileNotFoundError("this installation has no migrations: install the wheel, or the checkout as editable")


async def _migrate(owner_url: str, service_role: str | None, folder: Path) -> MigrationResult:
    # asyncpg reads the URL itself: SQLAlchemy's dialect knows fewer of libpq's parameters.
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(owner_url),
        poolclass=NullPool,
        hide_parameters=True,
    )
    for left in reversed(range(_TRIES)):
        try:
            async with engine.begin() as connection:
                return await connection.run_sync(_in_one_transaction, service_role, folder)
        except _StepFailed as error:
            if not error.may_pass or not left:
                raise
        await asyncio.sleep(_PAUSE)
    raise AssertionError("the last try returns or raises")


def _in_one_transaction(connection: Connection, service_role: str | None, folder: Path) -> MigrationResult:
    with _step("waiting for another migration", before=None):
        connection.exec_driver_sql(f"set local lock_timeout = '{_TURN_WITHIN}'")
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        connection.exec_driver_sql(f"set local lock_timeout = '{_LOCK_WITHIN}'")
    before = MigrationContext.configure(connection).get_current_revision()
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = connection
    scripts = ScriptDirectory.from_config(config)
    newest = str(scripts.get_current_head())
    if before is not None and is_newer(before, than=newest):
        made = _make_partitions(connection, before=before)
        return MigrationResult(before=before, after=before, partitions=made, granted_to=None, of_a_later_release=True)
    for revision in _pending(scripts, before):
        with _step(f"revision {revision}", before=before):
            command.upgrade(config, revision)
    made = _make_partitions(connection, before=before)
    owner = connection.scalar(text("select current_user"))
    granted_to = service_role if service_role not in {None, owner} else None
    if granted_to is not None:
        with _step(f"granting '{granted_to}' its rights", before=before):
            _grant(connection, granted_to)
    return MigrationResult(before=before, after=newest, partitions=made, granted_to=granted_to)


def _make_partitions(connection: Connection, *, before: str | None) -> int:
    with _step("making the partitions", before=before):
        return int(connection.scalar(text("select ensure_partitions()")) or 0)


@contextmanager
def _step(step: str, *, before: str | None) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise _StepFailed(step, before=before) from error


def _pending(scripts: ScriptDirectory, before: str | None) -> list[str]:
    """The revisions to come, in their order. Raises ``MigrationFailed`` for a revision that is none of ours."""
    try:
        return [script.revision for script in scripts.iterate_revisions("head", before)][::-1]
    except (RevisionError, CommandError) as error:
        raise MigrationFailed(
            f"the schema is at '{before}', which no release of ours made: is this the right database?"
        ) from error


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
