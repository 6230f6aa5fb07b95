"""Upgrading the schema: whole or not at all, and this release at home on the next one's."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from consent_proxy.adapters.postgres.connections import Database, open_database
from consent_proxy.adapters.postgres.embedded.cluster import Cluster
from consent_proxy.adapters.postgres.embedded.passwords import OWNER, SERVICE
from consent_proxy.adapters.postgres.health import PostgresHealth
from consent_proxy.adapters.postgres.migrate import MigrationFailed, migrate
from consent_proxy.adapters.postgres.schema import SchemaUnfit
from consent_proxy.adapters.postgres.secrets import load_keyring
from consent_proxy.adapters.postgres.tables import SCHEMA_REVISION
from consent_proxy.adapters.system import SystemClock
from tests.integration.ledger_rows import connected, until
from tests.next_release import NEXT, next_migrations
from tests.postgres import LedgerDatabase

COMMAND = Path(sys.executable).with_name("consent-proxy")
SHAPE = """select string_agg(t, ',' order by t) from (
  select table_name || '.' || column_name as t from information_schema.columns where table_schema = 'public'
  union all select proname || coalesce(proacl::text, '') from pg_proc where pronamespace = 'public'::regnamespace
  union all select relname || coalesce(relacl::text, '') from pg_class where relnamespace = 'public'::regnamespace) s"""


@pytest.fixture
async def database(ledger_database: LedgerDatabase) -> AsyncIterator[Database]:
    opened = await open_database(ledger_database.service_url)
    yield opened
    await opened.aclose()


def the_command(environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([COMMAND, "migrate"], env=environment, capture_output=True, text=True, check=False)


async def shape(url: str) -> str:
    """Every column, function and grant, in one text."""
    async with connected(url) as connection:
        return str(await connection.fetchval(SHAPE))


async def test_a_step_that_fails_half_way_leaves_the_schema_as_it_was_and_says_so(
    ledger_database: LedgerDatabase, tmp_path: Path
) -> None:
    before = await shape(ledger_database.owner_url)
    upgrade = 'op.execute("create table half (id int)")\n    op.execute("alter table jobs add column half int")\n'
    folder = next_migrations(tmp_path, upgrade=upgrade + '    op.execute("select 1 / (select 0)")')
    with pytest.raises(MigrationFailed) as raised:
        migrate(ledger_database.owner_url, service_role=SERVICE, folder=folder)
    assert str(raised.value) == (
        f"revision {NEXT} failed and nothing was changed (division by zero); the schema is at revision"
        f" {SCHEMA_REVISION}, as it was; mend what it names, then migrate again"
    )
    assert await shape(ledger_database.owner_url) == before


async def test_a_step_that_finds_a_table_locked_gives_up_soon_and_says_so(
    ledger_database: LedgerDatabase, tmp_path: Path
) -> None:
    before = await shape(ledger_database.owner_url)
    folder = next_migrations(
        tmp_path,
        upgrade="op.execute(\"set local lock_timeout = '50ms'\")\n"
        '    op.execute("create table half (id int)")\n    op.execute("alter table standings add column half int")',
    )
    async with connected(ledger_database.owner_url) as other, other.transaction():
        await other.execute("lock table standings in share mode")
        with pytest.raises(MigrationFailed, match=f"revision {NEXT} failed.*other sessions were in the way 10 times"):
            migrate(ledger_database.owner_url, service_role=SERVICE, folder=folder)
    assert await shape(ledger_database.owner_url) == before
    assert migrate(ledger_database.owner_url, service_role=SERVICE, folder=folder).after == NEXT


async def test_a_migration_that_is_killed_half_way_leaves_the_schema_as_it_was(
    ledger_database: LedgerDatabase, tmp_path: Path
) -> None:
    before = await shape(ledger_database.owner_url)
    folder = next_migrations(
        tmp_path, upgrade='op.execute("create table half (id int)")\n    op.execute("select pg_sleep(60)")'
    )
    migrating = asyncio.create_task(
        asyncio.to_thread(migrate, ledger_database.owner_url, service_role=SERVICE, folder=folder)
    )
    kill = "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and query like $2 and pid <> $3"
    async with connected(ledger_database.superuser_url) as other:
        me = other.get_server_pid()
        await until(lambda: other.fetch(kill, ledger_database.name, "select pg_sleep(60)%", me))
    with pytest.raises(MigrationFailed, match=f"revision {NEXT} failed and nothing was changed.*as it was"):
        await migrating
    assert await shape(ledger_database.owner_url) == before


async def test_the_command_that_fails_half_way_says_it_in_one_line(postgres: Cluster) -> None:
    postgres.create_database("in_the_way")
    url = postgres.url(OWNER, database="in_the_way")
    try:
        async with connected(url) as owner:
            await owner.execute("create table workers (of_somebody_else int)")
        names = {"MIGRATE_DATABASE_URL": url, "DATABASE_URL": postgres.url(SERVICE, database="in_the_way")}
        environment = {f"CONSENT_PROXY_{name}": value for name, value in {**names, "SECRET_KEY": "of a test"}.items()}
        told = await asyncio.to_thread(the_command, environment)
        assert (told.returncode, told.stdout) == (2, "")
        [line] = told.stderr.splitlines()
        assert line == (
            'Error: revision 0001 failed and nothing was changed (relation "workers" already exists); there is no'
            " schema, as before; mend what it names, then migrate again"
        )
        async with connected(url) as owner:
            assert await owner.fetchval(
                "select array_agg(tablename::text) from pg_tables where schemaname = 'public'"
            ) == ["workers"]
    finally:
        postgres.drop_database("in_the_way")


async def test_the_schema_of_the_next_release_is_ready_and_said(
    ledger_database: LedgerDatabase, database: Database, tmp_path: Path
) -> None:
    migrate(ledger_database.owner_url, service_role=SERVICE, folder=next_migrations(tmp_path))
    found = await PostgresHealth(database, clock=SystemClock()).check()
    assert found.ready
    [warning] = found.warnings
    assert warning.message.startswith(
        f"the schema is at revision {NEXT}, of a later release than this one ({SCHEMA_REVISION})"
    )
    await load_keyring(database, secret_key="a key")


async def test_an_earlier_releases_migrate_leaves_a_later_schema_and_its_grants_alone(
    ledger_database: LedgerDatabase, database: Database, tmp_path: Path
) -> None:
    migrate(ledger_database.owner_url, service_role=SERVICE, folder=next_migrations(tmp_path))
    async with connected(ledger_database.owner_url) as owner:
        await owner.execute(f"grant select on of_the_next_release to {SERVICE}")
    before = await shape(ledger_database.owner_url)
    done = migrate(ledger_database.owner_url, service_role=SERVICE)
    assert (done.before, done.after, done.of_a_later_release) == (NEXT, NEXT, True)
    assert await shape(ledger_database.owner_url) == before
    assert await database.fetch("select * from of_the_next_release") == []


@pytest.mark.parametrize(
    ("revision", "advice"), [("0000", "run consent-proxy migrate"), ("head-of-somebody", "is this the right database")]
)
async def test_a_schema_that_is_older_or_not_ours_is_refused_with_what_to_do(
    ledger_database: LedgerDatabase, database: Database, revision: str, advice: str
) -> None:
    async with connected(ledger_database.owner_url) as owner:
        await owner.execute("update alembic_version set version_num = $1", revision)
    with pytest.raises(SchemaUnfit, match=advice):
        await load_keyring(database, secret_key="a key")
    found = await PostgresHealth(database, clock=SystemClock()).check()
    assert not found.ready
    assert advice in found.warnings[0].message


@pytest.mark.parametrize("revision", ["0001x", "head-of-somebody"])
async def test_a_revision_that_no_release_made_is_not_migrated(ledger_database: LedgerDatabase, revision: str) -> None:
    async with connected(ledger_database.owner_url) as owner:
        await owner.execute("update alembic_version set version_num = $1", revision)
        with pytest.raises(MigrationFailed, match="which no release of ours made"):
            migrate(ledger_database.owner_url, service_role=SERVICE)
        assert await owner.fetchval("select version_num from alembic_version") == revision


async def test_a_database_that_cannot_be_reached_says_which_setting_to_correct(postgres: Cluster) -> None:
    with pytest.raises(MigrationFailed, match=r"\"nowhere\" does not exist.*MIGRATE_DATABASE_URL"):
        migrate(postgres.url(OWNER, database="nowhere"), service_role=SERVICE)
