"""Readiness on a real database: answering, migrated, with months ahead, as a role that cannot rewrite the record."""

from collections.abc import AsyncIterator

import pytest

from consent_proxy.adapters.postgres.connections import Database, open_database
from consent_proxy.adapters.postgres.embedded.cluster import Cluster
from consent_proxy.adapters.postgres.embedded.passwords import SERVICE
from consent_proxy.adapters.postgres.health import PostgresHealth
from consent_proxy.adapters.postgres.upkeep import maintain
from consent_proxy.application.ports.platform import Readiness
from tests.integration.ledger_rows import connected
from tests.log_world import LogWorld, some_rows, world
from tests.postgres import LedgerDatabase

__all__ = ["world"]


@pytest.fixture
async def database(ledger_database: LedgerDatabase) -> AsyncIterator[Database]:
    opened = await open_database(ledger_database.service_url)
    yield opened
    await opened.aclose()


async def readiness(url: str) -> Readiness:
    database = await open_database(url)
    try:
        return await PostgresHealth(database).check()
    finally:
        await database.aclose()


async def test_a_migrated_database_is_ready_and_warns_of_nothing(database: Database) -> None:
    assert await PostgresHealth(database).check() == Readiness(ready=True)


async def test_a_role_that_could_rewrite_the_record_is_warned_of(ledger_database: LedgerDatabase) -> None:
    for url in (ledger_database.owner_url, ledger_database.superuser_url):
        found = await readiness(url)
        assert found.ready
        assert "past its functions" in found.warnings[0]
        assert "consent_events" in found.warnings[0]


async def test_a_grant_on_a_single_partition_is_warned_of(ledger_database: LedgerDatabase, database: Database) -> None:
    async with connected(ledger_database.owner_url) as owner:
        partition = await owner.fetchval(
            "select max(inhrelid::regclass::text) from pg_inherits where inhparent = 'outcomes'::regclass"
        )
        await owner.execute(f"grant insert on {partition} to {SERVICE}")
    found = await PostgresHealth(database).check()
    assert len(found.warnings) == 1
    assert "(outcomes)" in found.warnings[0]


async def test_partitions_that_run_out_are_warned_of(ledger_database: LedgerDatabase, database: Database) -> None:
    async with connected(ledger_database.owner_url) as owner:
        rows = await owner.fetch(
            """select inhrelid::regclass::text as name from pg_inherits
              where inhparent = 'refusals'::regclass order by 1 offset 3"""
        )
        for row in rows:
            await owner.execute(f"drop table {row['name']}")
    found = await PostgresHealth(database).check()
    assert found.ready
    assert found.warnings == () or "2 more months" in found.warnings[0]
    async with connected(ledger_database.owner_url) as owner:
        last = await owner.fetchval(
            "select max(inhrelid::regclass::text) from pg_inherits where inhparent = 'refusals'::regclass"
        )
        await owner.execute(f"drop table {last}")
    assert "1 more months" in (await PostgresHealth(database).check()).warnings[0]
    assert await maintain(database) == 12
    assert await PostgresHealth(database).check() == Readiness(ready=True)


async def test_a_schema_of_another_revision_is_not_ready(ledger_database: LedgerDatabase, database: Database) -> None:
    async with connected(ledger_database.owner_url) as owner:
        await owner.execute("update alembic_version set version_num = '0000'")
    found = await PostgresHealth(database).check()
    assert not found.ready
    assert "migrate" in found.warnings[0]


async def test_an_empty_database_is_not_ready(postgres: Cluster) -> None:
    postgres.create_database("empty")
    try:
        assert not (await readiness(postgres.url(SERVICE, database="empty"))).ready
    finally:
        postgres.drop_database("empty")


async def test_a_database_that_is_away_is_not_ready(database: Database) -> None:
    await database.aclose()
    assert not (await PostgresHealth(database).check()).ready


async def test_what_expired_is_forgotten_in_time(database: Database) -> None:
    await database.execute(
        "insert into token_revocations values ('old', now() - interval '2 days'), ('young', now() + interval '1 hour')"
    )
    await maintain(database)
    assert await database.fetchval("select array_agg(token_id) from token_revocations") == ["young"]


@pytest.mark.parametrize("url", ["", "mysql://root@/db", "postgresql+asyncpg://me@/db", "just words"])
async def test_an_address_that_is_no_postgres_is_an_error_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="postgresql://"):
        await open_database(url)


async def test_rows_that_wait_for_their_place_in_the_log_are_warned_of(world: LogWorld) -> None:
    health = PostgresHealth(world.database)
    await some_rows(world)
    assert await health.check() == Readiness(ready=True)
    await world.tamper("update transfers set intent_at = intent_at - interval '7 minutes'")
    found = await health.check()
    assert found.ready
    assert "have waited 7 minutes for their place in the transparency log" in found.warnings[0]
    await world.sequence()
    assert await health.check() == Readiness(ready=True)
