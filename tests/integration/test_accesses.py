"""The access log is durable when it says so, and nobody rewrites it."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from consent_proxy.adapters.postgres.accesses import PostgresAccessLog
from consent_proxy.adapters.postgres.connections import Database, open_database
from consent_proxy.application.ports.pages import Page
from tests.conformance.test_access_log import access
from tests.postgres import LedgerDatabase


@pytest.fixture
async def database(ledger_database: LedgerDatabase) -> AsyncIterator[Database]:
    opened = await open_database(ledger_database.service_url)
    yield opened
    await opened.aclose()


async def test_an_access_is_there_for_every_replica_when_recording_returns(
    ledger_database: LedgerDatabase, database: Database
) -> None:
    read = access()
    await PostgresAccessLog(database).record(read)
    other = await open_database(ledger_database.service_url)
    items = (await PostgresAccessLog(other).page(Page())).items
    await other.aclose()
    assert [item["id"] for item in items] == [str(read.id)]


@pytest.mark.parametrize(
    "change", ["update accesses set caller = 'nobody'", "delete from accesses", "truncate accesses"]
)
async def test_nobody_rewrites_who_read_what(change: str, ledger_database: LedgerDatabase, database: Database) -> None:
    await PostgresAccessLog(database).record(access())
    for url in (ledger_database.service_url, ledger_database.owner_url):
        role = await open_database(url)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await role.execute(change)
        await role.aclose()
    assert len((await PostgresAccessLog(database).page(Page())).items) == 1


async def test_a_cursor_that_is_none_of_ours_is_a_value_error(database: Database) -> None:
    for cursor in ("", "x", "A" * 500):
        with pytest.raises(ValueError, match="cursor"):
            await PostgresAccessLog(database).page(Page(cursor=cursor))
