"""Readiness on a real database: answering, migrated, with months ahead, as a role that cannot rewrite the record."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from consent_proxy.adapters.postgres.connections import Database, open_database
from consent_proxy.adapters.postgres.embedded.cluster import Cluster
from consent_proxy.adapters.postgres.embedded.passwords import OWNER, SERVICE
from consent_proxy.adapters.postgres.health import PostgresHealth
from consent_proxy.adapters.postgres.upkeep import maintain
from consent_proxy.adapters.system import SystemClock
from consent_proxy.application.ports.platform import Finding, Readiness
from tests.fakes.clock import FakeClock
from tests.integration.ledger_rows import connected
from tests.postgres import LedgerDatabase


@pytest.fixture
async def database(ledger_database: LedgerDatabase) -> AsyncIterator[Database]:
    opened = await open_database(ledger_database.service_url)
    yield opened
    await opened.aclose()


async def readiness(url: str) -> Readiness:
    database = await open_database(url)
    try:
        return await PostgresHealth(database, clock=SystemClock()).check()
    finally:
        await database.aclose()


async def test_a_migrated_database_is_ready_and_warns_of_nothing(database: Database) -> None:
    assert await PostgresHealth(database, clock=SystemClock()).check() == Readiness(ready=True)


async def only_finding(database: Database) -> Finding:
    (finding,) = (await PostgresHealth(database, clock=SystemClock()).check()).warnings
    return finding


async def test_a_superuser_could_rewrite_the_record(ledger_database: LedgerDatabase) -> None:
    found = await readiness(ledger_database.superuser_url)
    assert found.ready
    assert [finding.slug for finding in found.warnings] == ["role-could-rewrite"]
    assert "is a superuser" in found.warnings[0].message
    assert "CONSENT_PROXY_MIGRATE_DATABASE_URL" in found.warnings[0].message


async def test_the_owner_could_rewrite_the_record(ledger_database: LedgerDatabase) -> None:
    (finding,) = (await readiness(ledger_database.owner_url)).warnings
    assert finding.slug == "role-could-rewrite"
    assert "owns the record (accesses, consent_events, outcomes, refusals, transfers)" in finding.message


async def test_whoever_may_become_the_owner_could_rewrite_the_record(
    any_ledger_database: LedgerDatabase,
) -> None:
    async with connected(any_ledger_database.superuser_url) as superuser:
        await superuser.execute(f"grant {OWNER} to {SERVICE}")
    try:
        (finding,) = (await readiness(any_ledger_database.service_url)).warnings
        assert "owns the record" in finding.message
    finally:
        async with connected(any_ledger_database.superuser_url) as superuser:
            await superuser.execute(f"revoke {OWNER} from {SERVICE}")


@pytest.mark.parametrize("right", ["insert", "update", "delete", "truncate", "update (detail)"])
async def test_a_right_on_a_single_partition_is_warned_of(
    ledger_database: LedgerDatabase, database: Database, right: str
) -> None:
    await grant_on_a_partition(ledger_database, right)
    finding = await only_finding(database)
    assert finding.slug == "role-could-rewrite"
    assert "past its functions (outcomes)" in finding.message


async def test_a_right_to_add_triggers_is_warned_of(ledger_database: LedgerDatabase, database: Database) -> None:
    await grant_on_a_partition(ledger_database, "trigger")
    assert "may add triggers to the record (outcomes)" in (await only_finding(database)).message


async def test_a_record_whose_triggers_are_off_is_warned_of(
    ledger_database: LedgerDatabase, database: Database
) -> None:
    async with connected(ledger_database.owner_url) as owner:
        partition = await a_partition(owner)
        await owner.execute(f"alter table {partition} disable trigger append_only")
        await owner.execute("drop trigger append_only on accesses")
    finding = await only_finding(database)
    assert finding.slug == "record-unguarded"
    assert "(accesses, outcomes)" in finding.message


@pytest.mark.parametrize(("apart", "says"), [(timedelta(hours=-1), "ahead of"), (timedelta(hours=1), "behind")])
async def test_a_clock_that_is_an_hour_off_is_warned_of(database: Database, apart: timedelta, says: str) -> None:
    clock = FakeClock(SystemClock().now() + apart)
    (finding,) = (await PostgresHealth(database, clock=clock).check()).warnings
    assert finding.slug == "clock-skew"
    assert says in finding.message
    assert "NTP" in finding.message


async def grant_on_a_partition(ledger_database: LedgerDatabase, right: str) -> None:
    async with connected(ledger_database.owner_url) as owner:
        await owner.execute(f"grant {right} on {await a_partition(owner)} to {SERVICE}")


async def a_partition(owner: Any) -> str:
    name: str = await owner.fetchval(
        "select max(inhrelid::regclass::text) from pg_inherits where inhparent = 'outcomes'::regclass"
    )
    return name


async def test_partitions_that_run_out_are_warned_of(ledger_database: LedgerDatabase, database: Database) -> None:
    async with connected(ledger_database.owner_url) as owner:
        rows = await owner.fetch(
            """select inhrelid::regclass::text as name from pg_inherits
              where inhparent = 'refusals'::regclass order by 1 offset 3"""
        )
        for row in rows:
            await owner.execute(f"drop table {row['name']}")
    found = await PostgresHealth(database, clock=SystemClock()).check()
    assert found.ready
    assert found.warnings == () or "2 more months" in found.warnings[0].message
    async with connected(ledger_database.owner_url) as owner:
        last = await owner.fetchval(
            "select max(inhrelid::regclass::text) from pg_inherits where inhparent = 'refusals'::regclass"
        )
        await owner.execute(f"drop table {last}")
    assert "1 more months" in (await only_finding(database)).message
    assert await maintain(database) == 12
    assert await PostgresHealth(database, clock=SystemClock()).check() == Readiness(ready=True)


async def test_a_schema_of_another_revision_is_not_ready(ledger_database: LedgerDatabase, database: Database) -> None:
    async with connected(ledger_database.owner_url) as owner:
        await owner.execute("update alembic_version set version_num = '0000'")
    found = await PostgresHealth(database, clock=SystemClock()).check()
    assert not found.ready
    assert "migrate" in found.warnings[0].message


async def test_an_empty_database_is_not_ready(postgres: Cluster) -> None:
    postgres.create_database("empty")
    try:
        assert not (await readiness(postgres.url(SERVICE, database="empty"))).ready
    finally:
        postgres.drop_database("empty")


async def test_a_database_that_is_away_is_not_ready(database: Database) -> None:
    await database.aclose()
    assert not (await PostgresHealth(database, clock=SystemClock()).check()).ready


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
