"""The sequencer: every committed row gets one place, however late it comes and whoever dies while giving it."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from consent_proxy.adapters.postgres import sequencer as sequencing
from consent_proxy.adapters.postgres.advisory_locks import LOG_LOCK
from consent_proxy.adapters.postgres.embedded.cluster import Cluster
from consent_proxy.adapters.postgres.embedded.passwords import SERVICE
from consent_proxy.adapters.postgres.keyring import PostgresKeyring
from consent_proxy.adapters.postgres.migrate import migrate, migrations_folder
from consent_proxy.adapters.postgres.sequencer import Sequencer
from consent_proxy.adapters.postgres.upkeep import keep_up
from consent_proxy.adapters.verifier.proofs import Checkpoint
from consent_proxy.application.ports.transfers import LedgerUnavailable
from tests.integration.ledger_rows import connected, until
from tests.log_world import SECRET_KEY, LogWorld, opened_world, some_rows, world
from tests.postgres import LedgerDatabase, clone
from tests.transfer_samples import an_outcome

__all__ = ["world"]

ROOT = Path(sequencing.__file__).parents[4]

# A sequencer of its own that places one row after the other until somebody ends it.
SEQUENCER = """
import asyncio, sys
from consent_proxy.adapters.postgres.connections import open_database
from consent_proxy.adapters.postgres.keyring import PostgresKeyring
from consent_proxy.adapters.postgres.sequencer import Sequencer

async def main():
    database = await open_database(sys.argv[1])
    keyring = PostgresKeyring(database, secret_key=sys.argv[2])
    await keyring.start()
    sequencer = Sequencer(database, seal=keyring, most=1)
    while True:
        if not await sequencer.advance():
            await asyncio.sleep(0.01)
        print("looked", flush=True)

asyncio.run(main())
"""


async def test_every_kind_of_row_gets_one_place(world: LogWorld) -> None:
    sent = await some_rows(world)
    ended = await world.rulebook.end_contract("fal", at=world.contract.valid_from, by="a test")
    assert ended
    assert await world.sequence() == 2 + 1 + 4 * 2
    assert await world.sequence() == 0
    kinds = await world.database.fetch("select kind, count(*) as rows from log_leaves group by kind order by kind")
    assert {row["kind"]: row["rows"] for row in kinds} == {
        **dict.fromkeys(("consent", "intent", "outcome", "refusal"), 2),
        **dict.fromkeys(("contract", "contract-end", "disclosure"), 1),
    }
    places = await world.places()
    assert sorted(places.values()) == list(range(11))
    for transfer_id in sent:
        assert places[transfer_id, "intent"] < places[transfer_id, "outcome"]


async def test_what_stands_in_the_log_holds(world: LogWorld) -> None:
    await some_rows(world)
    await world.sequence()
    ref = await world.subject()
    await world.grant(ref)
    await world.send(ref)
    await world.withdraw(ref)
    await world.grant(ref)
    await world.send(ref)
    await world.sequence()
    report = await world.verify()
    assert report.findings == []
    assert report.told[0] == "17 rows under 2 checkpoints"


async def test_it_holds_on_every_postgres_that_is_supported(any_ledger_database: LedgerDatabase) -> None:
    async with opened_world(any_ledger_database) as world:
        sent = await some_rows(world)
        assert await world.sequence() == 10
        await some_rows(world)
        assert await world.sequence() == 8
        assert await world.wrong() == ""
        assert len((await world.transparency.evidence(sent[0])).rows) == 5


async def test_a_row_that_is_committed_late_is_not_passed_over(world: LogWorld) -> None:
    """Its number was given out long before; all the while the log goes on without it."""
    late, early = await world.subject(), await world.subject()
    await world.grant(late)
    intent = await world.intent(late)
    async with connected(world.url) as slow:
        transaction = slow.transaction()
        await transaction.start()
        event = await world.database.fetchrow("select to_jsonb(e) as event from consent_events e limit 1")
        assert event is not None
        await slow.execute(
            "select append_consent_event($1)",
            {**event["event"], "id": str(intent.id), "subject_ref": str(early), "answers": []},
        )
        for _ in range(3):
            await world.send(late)
            assert await world.sequence() > 0
        assert (intent.id, "consent") not in await world.places()
        await transaction.commit()
    assert await world.sequence() == 1
    assert (intent.id, "consent") in await world.places()
    assert await world.wrong() == ""


async def test_a_transaction_that_stays_open_holds_nothing_up_and_costs_no_second_look(world: LogWorld) -> None:
    async with connected(world.url) as slow, slow.transaction():
        own = await slow.fetchval("select pg_current_xact_id()::text::bigint")
        await some_rows(world)
        assert await world.sequence() > 0
        row = await world.database.fetchrow("select settled_below, open_xacts from log_checkpoints order by size desc")
        assert row is not None
        assert own in row["open_xacts"]
        assert own < row["settled_below"]
        newest = await world.database.fetchval("select max(xact) from outcomes")
        assert newest < row["settled_below"], "what was placed is not looked at again"


async def test_batches_may_be_as_small_as_one_likes(world: LogWorld) -> None:
    await some_rows(world, people=3)
    world.sequencer = Sequencer(world.database, seal=world.keyring, most=1)
    assert await world.sequence() == 2 + 4 * 3
    assert await world.wrong() == ""


async def test_a_row_whose_place_is_another_transactions_turn_waits_for_it(world: LogWorld) -> None:
    """Intents and outcomes of many people at once, placed while they are written."""

    async def one() -> None:
        ref = await world.subject()
        for _ in range(2):
            await world.grant(ref)
            await world.send(ref)
            await world.withdraw(ref)

    async def place(stop: asyncio.Event) -> None:
        while not stop.is_set():
            await Sequencer(world.database, seal=world.keyring, most=3).advance()

    stop = asyncio.Event()
    placing = asyncio.create_task(place(stop))
    await asyncio.gather(*(one() for _ in range(8)))
    stop.set()
    await placing
    await world.sequence()
    assert len(await world.places()) == 2 + 8 * 2 * 4
    assert await world.wrong() == ""


async def test_of_many_sequencers_one_is_at_work(world: LogWorld) -> None:
    await some_rows(world, people=4)
    many = [Sequencer(world.database, seal=world.keyring, most=2) for _ in range(4)]
    async with connected(world.url) as other, other.transaction():
        await other.execute("select pg_advisory_xact_lock($1)", LOG_LOCK)
        assert await many[0].advance() == 0
    placed = 0
    while more := sum(await asyncio.gather(*(one.advance() for one in many))):
        placed += more
    assert placed == 2 + 4 * 4
    assert sorted((await world.places()).values()) == list(range(placed))
    assert await world.wrong() == ""


async def test_a_second_sequencer_that_minds_no_lock_cannot_write(world: LogWorld) -> None:
    await some_rows(world)
    async with connected(world.url) as other, other.transaction():
        known = await other.fetchval("select coalesce(max(size), 0) from log_checkpoints")
        await world.sequence()
        with pytest.raises(Exception, match="the log has 10 rows, not 0"):
            await other.execute(
                "select append_to_log($1, '{intent}', array[gen_random_uuid()], '{0}', '{abc}', '{}', '{}', '{}',"
                " 'root', 'note', 'key', 0, '{}')",
                known,
            )


@pytest.mark.parametrize("table", ["log_leaves", "log_nodes", "log_checkpoints", "log_keys"])
async def test_a_sequencer_that_dies_at_a_step_leaves_what_the_next_one_goes_on_from(
    world: LogWorld, table: str
) -> None:
    await some_rows(world)
    await world.sequence()
    await some_rows(world)
    async with world.root.transaction():
        await world.root.execute(f"lock table {table} in share mode")  # it may be read, and not written
        dying = asyncio.create_task(world.sequencer.advance())

        async def stuck() -> int | None:
            pid: int | None = await world.root.fetchval(
                "select pid from pg_locks where relation = $1::text::regclass and not granted", table
            )
            return pid

        await world.root.fetchval("select pg_terminate_backend($1)", await until(stuck))
        with pytest.raises(LedgerUnavailable):
            await dying
    assert await world.database.fetchval("select count(*) from log_leaves") == 10
    assert await world.sequence() == 8
    assert await world.wrong() == ""


async def test_a_process_killed_again_and_again_leaves_a_log_that_holds(world: LogWorld) -> None:
    for _ in range(3):
        await some_rows(world, people=2)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", SEQUENCER, world.url, SECRET_KEY),
            stdout=asyncio.subprocess.PIPE,
            env={"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
        )
        assert process.stdout is not None
        for _ in range(3):
            assert await process.stdout.readline() == b"looked\n"
        process.send_signal(signal.SIGKILL)
        await process.wait()
    await world.sequence()
    assert len(await world.places()) == 2 + 4 * 6
    assert await world.wrong() == ""


async def test_rows_that_came_back_with_a_dump_are_placed_though_transactions_count_anew(world: LogWorld) -> None:
    """Another server's transactions have smaller numbers than those that the dumped rows and checkpoints bear."""
    await some_rows(world)
    await world.sequence()
    ahead = await world.root.fetchval("select pg_current_xact_id()::text::bigint + 1000000")
    await world.tamper(f"update log_checkpoints set settled_below = {ahead}")
    await some_rows(world)
    assert await world.sequence() == 8
    assert await world.wrong() == ""


async def test_a_new_key_seals_what_comes_and_the_old_one_stays_listed(world: LogWorld) -> None:
    await some_rows(world)
    await world.sequence()
    [old] = await world.transparency.keys()
    await world.root.execute("update secrets set retired_at = now() where name = 'checkpoint-signing'")
    keyring = PostgresKeyring(world.database, secret_key=SECRET_KEY)
    await keyring.start()
    await some_rows(world)
    world.sequencer = Sequencer(world.database, seal=keyring)
    await world.sequence()
    first, second = await world.transparency.keys()
    assert (first, second.first_size) == (old, 18)
    note = await world.transparency.checkpoint()
    assert Checkpoint.read(note, [second.key]).size == 18
    report = await world.verify(keys=[first.key, second.key])
    assert report.findings == []
    assert "no signature of a key you trust" in await world.wrong(keys=[first.key])


async def test_what_is_left_of_somebody_erased_is_a_leaf_that_nobody_can_open(world: LogWorld) -> None:
    ref = await world.subject()
    await world.grant(ref)
    transfer_id = await world.send(ref)
    await world.sequence()
    await world.root.execute("update subjects set erased_at = now() where subject_ref = $1", ref)
    await world.root.execute("delete from salts where subject_ref = $1", ref)
    await world.log.record_outcome(an_outcome(transfer_id, seq=2, http_status=204))
    await world.sequence()
    report = await world.verify()
    assert report.findings == []
    assert "4 rows cannot be opened: the salts of their subjects were erased" in report.told
    assert await world.database.fetchval("select count(*) from salts where subject_ref = $1", ref) == 0


async def test_a_subject_that_has_no_salt_yet_gets_one(world: LogWorld) -> None:
    ref = await world.subject()
    await world.root.execute("delete from salts where subject_ref = $1", ref)
    await world.refuse(ref)
    await world.sequence()
    report = await world.verify()
    assert report.findings == []
    assert not any("cannot be opened" in line for line in report.told)


async def test_the_log_goes_on_by_itself_and_stops_when_told(world: LogWorld) -> None:
    await some_rows(world)
    keeping = asyncio.create_task(sequencing.keep_sequencing(world.sequencer))

    async def placed() -> bool:
        return len(await world.places()) == 10

    await until(placed)
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping


async def test_a_service_without_its_keys_places_nothing_and_recovers(world: LogWorld) -> None:
    await some_rows(world)
    locked = PostgresKeyring(world.database, secret_key=SECRET_KEY)
    with pytest.raises(LedgerUnavailable):
        await Sequencer(world.database, seal=locked).advance()
    assert await world.places() == {}
    await locked.start()
    assert await Sequencer(world.database, seal=locked).advance() == 10


async def test_what_was_there_before_the_log_gets_its_place_too(postgres: Cluster) -> None:
    """All of it bears the number of one transaction, the migration's, and is more than one batch."""
    old = LedgerDatabase(cluster=postgres, name="before_the_log")
    postgres.create_database(old.name)
    try:
        root = migrations_folder().parent
        command = [sys.executable, "-m", "alembic", "-x", f"url={old.owner_url}", "upgrade", "0002"]
        environment = {"PYTHONPATH": str(root / "src")}
        await asyncio.to_thread(subprocess.run, command, cwd=root, env=environment, check=True, capture_output=True)
        async with connected(old.owner_url) as owner:
            await owner.fetchval("select ensure_partitions()")
        with clone(postgres) as model:
            async with opened_world(model) as world:
                await some_rows(world, people=4)
            await _copy(model, old)
        migrate(old.owner_url, service_role=SERVICE)
        async with opened_world(old) as world:
            numbers = (
                "select count(distinct xact) from (select xact from transfers union all select xact from outcomes) r"
            )
            assert await world.database.fetchval(numbers) == 1
            world.sequencer = Sequencer(world.database, seal=world.keyring, most=2)
            assert await world.sequence() == 3 + 4 * 4
            assert await world.wrong() == ""
    finally:
        postgres.drop_database(old.name)


async def _copy(source: LedgerDatabase, target: LedgerDatabase) -> None:
    """The record and what it rests on, as a release wrote it that knew of no log."""
    tables = ("disclosures", "contracts", "subjects", "salts", "consent_events", "transfers", "outcomes", "refusals")
    async with connected(source.superuser_url) as reading, connected(target.superuser_url) as writing:
        for table in tables:
            for row in await reading.fetch(f"select to_jsonb(r) - 'xact' as row from {table} r"):
                populated = f"select * from jsonb_populate_record(null::{table}, $1)"
                await writing.execute(f"insert into {table} overriding system value {populated}", row["row"])


async def test_upkeep_that_fails_beside_it_does_not_stop_it(world: LogWorld) -> None:
    await world.root.execute("drop function ensure_partitions(integer)")
    await some_rows(world)
    keeping = asyncio.create_task(keep_up(world.database, seal=world.keyring))

    async def placed() -> bool:
        return len(await world.places()) == 10

    await until(placed)
    assert not keeping.done()
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
