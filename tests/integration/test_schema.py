"""What the database itself refuses, whoever asks: on the Postgres that comes along and on the oldest supported."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from consent_proxy.adapters.postgres import migrate as migrating
from consent_proxy.adapters.postgres.connections import RawConnection as Connection
from consent_proxy.adapters.postgres.connections import encode_json
from consent_proxy.adapters.postgres.embedded.cluster import Cluster
from consent_proxy.adapters.postgres.embedded.passwords import OWNER, SERVICE
from consent_proxy.adapters.postgres.migrate import migrate, migrations_folder
from consent_proxy.adapters.postgres.rows import standing_to_detail, uuid7_floor
from consent_proxy.adapters.postgres.tables import APPEND_ONLY, PARTITIONED, SCHEMA_REVISION, metadata
from consent_proxy.adapters.postgres.transfer_records import intent_details
from consent_proxy.domain.subjects import SubjectRef
from consent_proxy.domain.transfers import Intent
from tests.builders import a_standing
from tests.postgres import LedgerDatabase
from tests.transfer_samples import an_intent, new_id, new_subject

A_COLUMN = {
    "transfers": "details",
    "outcomes": "detail",
    "refusals": "details",
    "accesses": "filters",
    "consent_events": "evidence",
    "disclosures": "document",
    "log_leaves": "hash",
    "log_nodes": "hash",
    "log_checkpoints": "note",
    "log_keys": "key",
}
COMMIT = "select commit_intents($1, $2, $3, $4, $5, $6, $7::text[]::jsonb[]) as id"


@pytest.fixture
async def owner(any_ledger_database: LedgerDatabase) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(any_ledger_database.owner_url)
    yield connection
    await connection.close()


@pytest.fixture
async def service(any_ledger_database: LedgerDatabase) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(any_ledger_database.service_url)
    yield connection
    await connection.close()


async def grant(connection: Connection, subject_ref: SubjectRef, *, state: str = "granted", version: int = 1) -> None:
    await connection.execute(
        """insert into standings (subject_ref, purpose, version, state, detail, updated_at)
          values ($1, 'generation', $2, $3, $4::text::jsonb, now())
          on conflict (subject_ref, purpose) do update set version = excluded.version, state = excluded.state""",
        subject_ref,
        version,
        state,
        encode_json(standing_to_detail(a_standing(subject_ref=subject_ref))),
    )


async def commit(connection: Connection, *intents: Intent) -> list[UUID]:
    permits = [intent.permit for intent in intents]
    rows = await connection.fetch(
        COMMIT,
        [intent.id for intent in intents],
        [permit.subject_ref for permit in permits],
        [permit.purpose.value for permit in permits],
        [permit.standing_version for permit in permits],
        [permit.edition for permit in permits],
        [permit.not_after for permit in permits],
        [encode_json(intent_details(intent, worker=1)) for intent in intents],
    )
    return [row["id"] for row in rows]


def changes(table: str, *, parent: str) -> list[str]:
    return [f"update {table} set {A_COLUMN[parent]} = '{{}}'", f"delete from {table}", f"truncate {table}"]


async def partitions(connection: Connection, parent: str) -> list[str]:
    rows = await connection.fetch(
        "select inhrelid::regclass::text as name from pg_inherits where inhparent = $1::text::regclass order by 1",
        parent,
    )
    return [row["name"] for row in rows]


async def test_the_service_may_not_change_the_record_past_its_functions(service: Connection) -> None:
    for parent in APPEND_ONLY:
        for table in [parent, *await partitions(service, parent)]:
            for change in [f"insert into {table} default values", *changes(table, parent=parent)]:
                with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
                    await service.execute(change)


async def test_not_even_the_owner_changes_the_record(owner: Connection, service: Connection) -> None:
    subject_ref = new_subject()
    await grant(owner, subject_ref)
    intent = an_intent(subject_ref)
    assert await commit(service, intent) == [intent.id]
    for parent in A_COLUMN:
        tables = [parent, *await partitions(owner, parent)]
        assert len(tables) == (15 if parent in PARTITIONED else 1)
        for table in tables:
            for change in changes(table, parent=parent):
                with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
                    await owner.execute(change)
    assert await owner.fetchval("select count(*) from transfers") == 1


async def test_replaying_as_a_replica_opens_nothing(any_ledger_database: LedgerDatabase) -> None:
    connection = await asyncpg.connect(any_ledger_database.superuser_url)
    try:
        await connection.execute("set session_replication_role = replica")
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await connection.execute("delete from transfers")
    finally:
        await connection.close()


async def test_an_intent_that_stands_is_committed_whole(owner: Connection, service: Connection) -> None:
    subject_ref = new_subject()
    await grant(owner, subject_ref)
    intent = an_intent(subject_ref)
    before = datetime.now(UTC)
    assert await commit(service, intent) == [intent.id]
    row = await service.fetchrow("select * from transfers")
    assert row is not None
    assert before - timedelta(seconds=5) < row["intent_at"] < datetime.now(UTC) + timedelta(seconds=5)
    assert (row["id"], row["subject_ref"], row["purpose"]) == (intent.id, subject_ref, "generation")
    assert (row["standing_version"], row["edition"], row["worker"]) == (1, 1, 1)
    assert (row["caller"], row["provider"], row["recipient"], row["country"]) == ("backend", "fal", "fal", "US")
    assert (row["caller_id"], row["contract_id"]) == (intent.request.credential.caller_id, intent.permit.contract.id)
    assert row["categories"] == ["prompt"]
    assert '"worker"' not in row["details"]
    assert '"caller_id"' not in row["details"]


@pytest.mark.parametrize(
    ("what", "state", "permit"),
    [
        ("a withdrawn consent", "withdrawn", {}),
        ("another version of the standing", "granted", {"standing_version": 2}),
        ("another edition of the rules", "granted", {"edition": 2}),
        ("a permit that has run out", "granted", {"not_after": datetime.now(UTC) - timedelta(seconds=1)}),
    ],
)
async def test_a_direct_call_commits_nothing_on(
    what: str, state: str, permit: dict[str, Any], owner: Connection, service: Connection
) -> None:
    subject_ref = new_subject()
    await grant(owner, subject_ref, state=state)
    assert await commit(service, an_intent(subject_ref, permit=permit)) == [], what
    assert await service.fetchval("select count(*) from transfers") == 0


async def test_a_subject_nobody_asked_gets_nothing_committed(service: Connection) -> None:
    assert await commit(service, an_intent(new_subject())) == []


async def test_the_function_answers_by_row(owner: Connection, service: Connection) -> None:
    granted, withdrawn = new_subject(), new_subject()
    await grant(owner, granted)
    await grant(owner, withdrawn, state="withdrawn")
    good, bad, other = an_intent(granted), an_intent(withdrawn), an_intent(granted)
    assert sorted(await commit(service, good, bad, other)) == [good.id, other.id]


async def test_an_intent_is_affirmed_only_while_it_stands(owner: Connection, service: Connection) -> None:
    subject_ref = new_subject()
    await grant(owner, subject_ref)
    intent, unknown = an_intent(subject_ref), an_intent(subject_ref)
    await commit(service, intent)
    ask = "select affirm_intents($1, $2, $3, $4, $5, $6)"

    async def affirmed(asked: Intent) -> bool:
        permit = asked.permit
        values = ([asked.id], [subject_ref], ["generation"], [permit.standing_version], [1], [permit.not_after])
        return len(await service.fetch(ask, *values)) == 1

    assert await affirmed(intent)
    assert not await affirmed(unknown)
    await grant(owner, subject_ref, version=2)
    assert not await affirmed(intent)


async def test_the_rules_move_through_their_function_only(service: Connection) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await service.execute("update rules set edition = 9")
    assert await service.fetchval("select move_edition()") == 2
    assert await service.fetchval("select edition from rules") == 2


async def test_a_contract_may_only_end_and_only_earlier(service: Connection) -> None:
    await service.execute(
        """insert into contracts (id, recipient, document, valid_from, put_at, put_by)
          values (gen_random_uuid(), 'fal', '{}', now(), now(), 'a test')"""
    )
    await service.execute("update contracts set ended_at = now() + interval '2 days'")
    await service.execute("update contracts set ended_at = now() + interval '1 day'")
    for change in ("ended_at = now() + interval '3 days'", "ended_at = null", "recipient = 'replicate'"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="change in nothing else"):
            await service.execute(f"update contracts set {change}")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await service.execute("delete from contracts")


async def test_nobody_but_the_service_executes_the_functions(
    any_ledger_database: LedgerDatabase, service: Connection
) -> None:
    for function in ("commit_intents", "append_outcomes", "settle_intents", "move_edition", "ensure_partitions"):
        acl = await service.fetchval("select proacl::text from pg_proc where proname = $1", function)
        assert f"{SERVICE}=X" in acl
        assert "{=X" not in acl, "everybody may"
        assert ",=X" not in acl, "everybody may"
        config = await service.fetchval("select proconfig::text from pg_proc where proname = $1", function)
        assert "search_path=public, pg_temp" in config


async def test_a_new_partition_is_closed_from_its_first_moment(service: Connection, owner: Connection) -> None:
    assert await service.fetchval("select ensure_partitions()") == 0
    assert await service.fetchval("select ensure_partitions(14)") == 6
    newest = (await partitions(owner, "transfers"))[-1]
    for change in (f"delete from {newest}", f"truncate {newest}"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await owner.execute(change)
    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="permission denied"):
        await service.execute(f"insert into {newest} default values")
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await service.fetchval("select ensure_partitions(500)")


async def test_partitions_begin_and_end_with_their_month(owner: Connection) -> None:
    bounds = await owner.fetchval(
        "select pg_get_expr(relpartbound, oid) from pg_class where relname = 'transfers_' || to_char(now(), 'YYYY_MM')"
    )
    month = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (month + timedelta(days=32)).replace(day=1)
    assert bounds == f"FOR VALUES FROM ('{uuid7_floor(month)}') TO ('{uuid7_floor(following)}')"


async def test_making_partitions_holds_up_no_intent(owner: Connection, service: Connection) -> None:
    subject_ref = new_subject()
    await grant(owner, subject_ref)
    async with service.transaction():
        assert await commit(service, an_intent(subject_ref))
        # The service's transaction is open and holds its lock on the parents; the owner makes partitions meanwhile.
        assert await asyncio.wait_for(owner.fetchval("select ensure_partitions(13)"), timeout=4) == 3
        assert await commit(service, an_intent(subject_ref))


def test_the_migrations_say_what_the_tables_say(any_ledger_database: LedgerDatabase) -> None:
    root = migrations_folder().parent
    checked = subprocess.run(
        [sys.executable, "-m", "alembic", "-x", f"url={any_ledger_database.owner_url}", "check"],
        cwd=root,
        env={"PYTHONPATH": str(root / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "No new upgrade operations detected" in checked.stdout, checked.stdout + checked.stderr


def test_migrating_again_changes_nothing(any_ledger_database: LedgerDatabase) -> None:
    again = migrate(any_ledger_database.owner_url, service_role=SERVICE)
    assert (again.before, again.after, again.partitions) == (SCHEMA_REVISION, SCHEMA_REVISION, 0)


def test_replicas_that_migrate_at_once_do_not_collide(postgres: Cluster) -> None:
    postgres.create_database("contested")
    url = postgres.url(OWNER, database="contested")
    try:
        with ThreadPoolExecutor(max_workers=4) as threads:
            results = list(threads.map(lambda _: migrate(url, service_role=SERVICE), range(4)))
        assert sorted(str(result.before) for result in results) == [*[SCHEMA_REVISION] * 3, "None"]
        assert sum(result.partitions for result in results) == 42
    finally:
        postgres.drop_database("contested")


async def test_a_migration_that_fails_half_way_leaves_nothing(
    postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.create_database("half_way")
    url = postgres.url(OWNER, database="half_way")
    try:
        with pytest.raises(Exception, match="nobody_of_that_name"):
            migrate(url, service_role="nobody_of_that_name")
        connection = await asyncpg.connect(url)
        try:
            assert await connection.fetchval("select count(*) from pg_tables where schemaname = 'public'") == 0
        finally:
            await connection.close()
    finally:
        postgres.drop_database("half_way")


async def test_one_role_may_be_owner_and_service(postgres: Cluster) -> None:
    postgres.create_database("one_role")
    url = postgres.url(OWNER, database="one_role")
    try:
        assert migrate(url, service_role=OWNER).granted_to is None
        connection = await asyncpg.connect(url)
        try:
            subject_ref = new_subject()
            await grant(connection, subject_ref)
            assert await commit(connection, intent := an_intent(subject_ref)) == [intent.id]
        finally:
            await connection.close()
    finally:
        postgres.drop_database("one_role")


async def test_the_schema_may_be_another_than_public(postgres: Cluster) -> None:
    postgres.create_database("elsewhere")
    url = postgres.url(OWNER, database="elsewhere")
    connection = await asyncpg.connect(url)
    try:
        await connection.execute('create schema "the ledger"')
        await connection.execute(f'alter role {OWNER} in database elsewhere set search_path = "the ledger"')
        migrate(url, service_role=SERVICE)
        schemas = await connection.fetch("select distinct schemaname from pg_tables where tablename = 'transfers'")
        assert [row["schemaname"] for row in schemas] == ["the ledger"]
        service = await asyncpg.connect(
            postgres.url(SERVICE, database="elsewhere"), server_settings={"search_path": '"the ledger"'}
        )
        subject_ref = new_subject()
        await grant(service, subject_ref)
        assert await commit(service, intent := an_intent(subject_ref)) == [intent.id]
        await service.close()
    finally:
        await connection.close()
        postgres.drop_database("elsewhere")


def test_the_service_is_granted_nothing_on_the_record() -> None:
    assert not set(APPEND_ONLY) & set(migrating._WRITES)
    assert set(migrating._WRITES) | set(APPEND_ONLY) | {"rules"} == set(metadata.tables)


def test_ids_from_outside_every_partition_are_no_ids_of_ours() -> None:
    assert uuid7_floor(datetime.now(UTC)) < new_id()
