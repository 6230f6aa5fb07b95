"""The record under a served withdrawal, with the service's own role and SQL: nothing opens it."""

from collections.abc import AsyncIterator, Iterator
from uuid import UUID

import asyncpg
import pytest

from consent_proxy.adapters.postgres.connections import Database, open_database
from consent_proxy.adapters.postgres.tables import APPEND_ONLY
from consent_proxy.domain.subjects import SubjectRef
from consent_proxy.sandbox.server import Sandbox
from tests.integration.ledger_rows import until
from tests.open_transfers import commit_intent
from tests.postgres import LedgerDatabase
from tests.served import Backend, serve

PERSON = "person-1"
_TABLES = """
select c.oid::regclass::text as name, c.relname = any($1) as is_parent from pg_class c
where c.relname = any($1) and c.relkind in ('r', 'p')
   or c.oid in (select inhrelid from pg_inherits where inhparent::regclass::text = any($1))
"""
_COLUMNS = {
    "outcomes": "transfer_id",
    "log_leaves": "hash",
    "log_nodes": "hash",
    "log_checkpoints": "note",
    "log_keys": "key",
}
CHANGES = (
    "insert into {table} overriding system value select * from {table} limit 1",
    "insert into {table} default values",
    "update {table} set {column} = {column}",
    "delete from {table}",
    "truncate {table}",
    "truncate {table} cascade",
)


@pytest.fixture
def backend(ledger_database: LedgerDatabase, sandbox: Sandbox) -> Iterator[Backend]:
    """A service that has sent something, refused something, and been read by an auditor."""
    with serve(database_url=ledger_database.service_url, sandbox=sandbox) as served, served.backend() as opened:
        opened.publish_shipped()
        opened.fal_run(PERSON, "too early")
        opened.grant(PERSON)
        assert opened.fal_run(PERSON, "a fox").is_success
        assert len(opened.transfers(PERSON)) == 2
        yield opened


@pytest.fixture
async def service(ledger_database: LedgerDatabase) -> AsyncIterator[Database]:
    """What somebody could do who had got hold of the service's own credentials."""
    opened = await open_database(ledger_database.service_url)
    yield opened
    await opened.aclose()


async def test_a_served_withdrawal_closes_the_last_door_too(backend: Backend, service: Database) -> None:
    subject_ref = SubjectRef(UUID(backend.transfers(PERSON)[0]["subject_ref"]))
    standing = "select version from standings where subject_ref = $1 and purpose = 'generation'"
    version = await service.fetchval(standing, subject_ref)
    edition = await service.fetchval("select edition from rules")
    assert await commit_intent(service, subject_ref, version=version, edition=edition) is not None
    backend.withdraw(PERSON)
    for tried in range(version + 3):
        assert await commit_intent(service, subject_ref, version=tried, edition=edition) is None


async def test_the_services_role_changes_no_row_of_the_record(backend: Backend, service: Database) -> None:
    await until(lambda: _everything_has_its_place(service))
    before = {table: await _rows(service, table) for table in APPEND_ONLY}
    assert all(before.values()), "each table holds something that could be lost"
    tables = [row["name"] for row in await service.fetch(_TABLES, list(APPEND_ONLY))]
    assert len(tables) > 3 * 12  # three of them have a partition for each of the coming months
    for table in tables:
        column = next((name for start, name in _COLUMNS.items() if table.startswith(start)), "id")
        for change in CHANGES:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await service.execute(change.format(table=table, column=column))
    assert {table: await _rows(service, table) for table in APPEND_ONLY} == before


async def _everything_has_its_place(service: Database) -> bool:
    """The service's sequencer has come round, and has nothing more to add."""
    logged = ("transfers", "outcomes", "refusals", "consent_events", "contracts", "disclosures")
    return await _rows(service, "log_leaves") == sum([await _rows(service, table) for table in logged])


async def _rows(service: Database, table: str) -> int:
    count: int = await service.fetchval(f"select count(*) from {table}")
    return count
