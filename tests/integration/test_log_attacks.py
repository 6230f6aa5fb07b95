"""What somebody with every right in the database can do to the record, and in which row an auditor finds it."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from consent_proxy.adapters.verifier.files import Asked, Export
from consent_proxy.adapters.verifier.leaves import commitment, leaf_hash
from tests.log_world import LogWorld, opened_world, some_rows, world
from tests.postgres import LedgerDatabase

__all__ = ["world"]

_RENUMBER = [
    "update log_leaves set index = -index where index > {0}",
    "update log_leaves set index = -index - 1 where index < 0",
]


async def sealed(world: LogWorld) -> list[UUID]:
    """Rows under two checkpoints; the transfers' ids."""
    sent = [*await some_rows(world)]
    await world.sequence()
    sent += await some_rows(world)
    await world.sequence()
    assert await world.wrong() == ""
    return sent


async def name(world: LogWorld, row_id: UUID, kind: str) -> str:
    return f"row {(await world.places())[row_id, kind]} ({kind} {row_id})"


async def forge(world: LogWorld, row_id: UUID, new_id: UUID, **changed: object) -> None:
    """Put a transfer into the record that says the same as another one, but for some columns."""
    columns = json.dumps({"id": str(new_id), **changed}, default=str)
    await world.root.execute(
        "insert into transfers select (jsonb_populate_record(t, $2 || jsonb_build_object('xact', $3::bigint))).*"
        " from transfers t where id = $1",
        row_id,
        json.loads(columns),
        await world.root.fetchval("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint"),
    )


async def a_new_id(world: LogWorld) -> UUID:
    ref = await world.subject()
    await world.grant(ref)
    return (await world.intent(ref)).id


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("intent", "update transfers set recipient = 'replicate' where id = '{0}'"),
        ("intent", "update transfers set details = details || '{{\"bytes_sent\": 1}}' where id = '{0}'"),
        ("intent", "update transfers set intent_at = intent_at - interval '1 microsecond' where id = '{0}'"),
        ("outcome", "update outcomes set state = 'not-delivered' where transfer_id = '{0}'"),
    ],
)
async def test_a_row_altered_is_named(world: LogWorld, kind: str, change: str) -> None:
    sent = await sealed(world)
    await world.tamper(change.format(sent[2]))
    assert await world.wrong() == f"{await name(world, sent[2], kind)} was altered: it is not what its leaf commits to"


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("consent", "update consent_events set locale = 'de' where id = '{0}'"),
        ("refusal", "update refusals set reason = 'consent-declined' where id = '{0}'"),
        ("contract", "update contracts set document = document || '{{\"reference\": \"other\"}}' where id = '{0}'"),
        ("disclosure", "update disclosures set document = document - 'controller' where md5(version)::uuid = '{0}'"),
    ],
)
async def test_so_is_what_a_transfer_stands_on(world: LogWorld, kind: str, change: str) -> None:
    await sealed(world)
    row_id = await world.database.fetchval("select row_id from log_leaves where kind = $1 order by index limit 1", kind)
    await world.root.execute("alter table contracts disable trigger only_ends")
    await world.tamper(change.format(row_id))
    assert await world.wrong() == f"{await name(world, row_id, kind)} was altered: it is not what its leaf commits to"


async def test_a_row_removed_is_named(world: LogWorld) -> None:
    sent = await sealed(world)
    await world.tamper(f"delete from transfers where id = '{sent[1]}'")
    assert await world.wrong() == f"{await name(world, sent[1], 'intent')} was removed: the log has its leaf"


async def test_a_row_removed_with_its_leaf_is_named(world: LogWorld) -> None:
    sent = await sealed(world)
    index = (await world.places())[sent[1], "intent"]
    await world.tamper(
        f"delete from outcomes where transfer_id = '{sent[1]}'",
        f"delete from transfers where id = '{sent[1]}'",
        f"delete from log_leaves where row_id = '{sent[1]}'",
    )
    assert (await world.wrong()).startswith(f"row {index} is missing: the next one is row {index + 2} ")


async def test_leaves_moved_up_over_a_gap_are_not_what_was_sealed(world: LogWorld) -> None:
    sent = await sealed(world)
    index = (await world.places())[sent[3], "outcome"]
    assert index > 10, "under the second checkpoint"
    await world.tamper(
        f"delete from outcomes where transfer_id = '{sent[3]}'",
        f"delete from log_leaves where index = {index}",
        *(statement.format(index) for statement in _RENUMBER),
    )
    assert await world.wrong() == "row 17 is missing: the next checkpoint is of 18 rows"


async def test_a_leaf_made_to_fit_an_altered_row_is_not_what_was_sealed(world: LogWorld) -> None:
    sent = await sealed(world)
    await world.tamper(f"update transfers set model = 'other' where id = '{sent[2]}'")
    line = next(line for line in map(json.loads, await world.export()) if line.get("id") == str(sent[2]))
    leaf = leaf_hash(commitment("intent", line["record"], salt=bytes.fromhex(line["salt"])))
    await world.tamper(f"update log_leaves set hash = '\\x{leaf.hex()}' where row_id = '{sent[2]}' and kind = 'intent'")
    assert (await world.wrong()).startswith("row 10 to 17: these are not the rows that were sealed at 18")


async def test_two_rows_swapped_are_named(world: LogWorld) -> None:
    sent = await sealed(world)
    await world.tamper(
        f"create temp table kept on commit drop as select * from transfers where id = '{sent[0]}'",
        f"update transfers t set details = o.details from transfers o where t.id = '{sent[0]}' and o.id = '{sent[1]}'",
        f"update transfers t set details = k.details || '{{\"a\": 1}}' from kept k where t.id = '{sent[1]}'",
    )
    report = await world.verify()
    names = [await name(world, row_id, "intent") for row_id in sent[:2]]
    assert [finding.partition(" was altered")[0] for finding in report.findings] == names


async def test_two_leaves_swapped_with_all_they_say_are_not_what_was_sealed(world: LogWorld) -> None:
    sent = await sealed(world)
    places = await world.places()
    one, two = places[sent[2], "intent"], places[sent[3], "intent"]
    await world.tamper(
        f"update log_leaves set index = -1 where index = {one}",
        f"update log_leaves set index = {one} where index = {two}",
        f"update log_leaves set index = {two} where index = -1",
    )
    found = (await world.verify()).findings
    assert found[0].startswith(f"row {min(one, two) + 1} (outcome {sent[2]}): it is the outcome of")
    assert found[1].startswith("row 10 to 17: these are not the rows that were sealed at 18")


async def test_a_transfer_put_in_afterwards_cites_a_consent_that_nobody_gave(world: LogWorld) -> None:
    sent = await sealed(world)
    new_id, nobody = await a_new_id(world), await world.subject()
    await forge(world, sent[0], new_id, subject_ref=nobody)
    await world.sequence()
    assert await world.wrong() == f"{await name(world, new_id, 'intent')}: it cites a consent that nobody gave"


async def test_a_transfer_put_in_past_the_sequencer_has_no_place(world: LogWorld) -> None:
    sent = await sealed(world)
    new_id = await a_new_id(world)
    await forge(world, sent[0], new_id, intent_at="2026-11-24T00:00:00Z")
    await world.tamper(f"update transfers set xact = 1 where id = '{new_id}'")
    await world.sequence()
    assert await world.wrong() == f"intent {new_id} is in the record and has no place in the log"


async def test_a_transfer_after_a_withdrawal_is_named(world: LogWorld) -> None:
    sent = await sealed(world)
    new_id = await a_new_id(world)
    subject_ref = await world.database.fetchval("select subject_ref from transfers where id = $1", sent[0])
    await world.withdraw(subject_ref)
    await forge(world, sent[0], new_id, intent_at=await world.database.fetchval("select now()"))
    await world.sequence()
    found = await world.wrong()
    assert found.startswith(f"{await name(world, new_id, 'intent')}: it left at ")
    assert "after the consent was taken back at" in found


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"categories": ["prompt", "photo"]}, "it sent what the consent it cites does not cover: photo"),
        ({"recipient": "other"}, "it cites a consent that did not stand"),
        ({"contract_id": str(UUID(int=1))}, "it cites a contract with its recipient that is not in the log"),
        ({"intent_at": "2025-06-01T00:00:00Z"}, "the contract it cites was not in force"),
    ],
)
async def test_a_transfer_that_nothing_permits_is_named(world: LogWorld, changed: dict[str, object], what: str) -> None:
    sent = await sealed(world)
    new_id = await a_new_id(world)
    await forge(world, sent[0], new_id, **changed)
    await world.sequence()
    assert await world.wrong() == f"{await name(world, new_id, 'intent')}: {what}"


async def test_a_transfer_under_a_contract_that_had_ended_is_named(world: LogWorld) -> None:
    sent = await sealed(world)
    at = await world.database.fetchval("select now() + interval '1 hour'")
    await world.rulebook.end_contract("fal", at=at, by="a test")
    new_id = await a_new_id(world)
    await forge(world, sent[0], new_id, intent_at=await world.database.fetchval("select now() + interval '2 hours'"))
    await world.sequence()
    assert "the contract it cites had ended at" in await world.wrong()


async def test_rows_taken_off_the_end_are_missed_by_whoever_kept_a_checkpoint(world: LogWorld) -> None:
    sent = await sealed(world)
    kept = await world.transparency.checkpoint()
    await world.tamper(
        "delete from log_leaves where index >= 10",
        "delete from log_nodes where (index + 1) << level > 10",
        "delete from log_checkpoints where size > 10",
        f"delete from outcomes where transfer_id >= '{sent[2]}'",
        f"delete from transfers where id >= '{sent[2]}'",
        f"delete from refusals where id >= '{sent[2]}'",
        "delete from consent_events where seq > 2",
    )
    assert await world.wrong() == "", "nothing in the log itself tells"
    assert (await world.wrong(kept=[kept])).startswith("row 10 is missing: the checkpoint you kept is of 18 rows")


async def test_a_history_written_anew_and_signed_anew_is_not_the_one_that_was_kept(world: LogWorld) -> None:
    sent = [*await some_rows(world)]
    await world.sequence()
    first = await world.transparency.checkpoint()
    sent += await some_rows(world)
    await world.sequence()
    second = await world.transparency.checkpoint()
    await world.tamper(
        *(f"delete from {table}" for table in ("log_leaves", "log_nodes", "log_checkpoints")),
        f"update transfers set details = details || '{{\"bytes_sent\": 1}}' where id = '{sent[3]}'",
    )
    world.sequencer._most = 4
    await world.sequence()
    assert await world.wrong() == "", "whoever holds the keys can do that"
    assert (await world.wrong(kept=[second])).startswith("row 0 to 17: these are not the rows of the checkpoint")
    assert (await world.wrong(kept=[first, second])).startswith("row ")


@asynccontextmanager
async def restored(database: LedgerDatabase, backup: str) -> AsyncIterator[LogWorld]:
    """The service on what a backup holds."""
    async with opened_world(LedgerDatabase(cluster=database.cluster, name=backup)) as world:
        yield world


async def test_an_older_backup_put_back_is_noticed_also_when_it_has_grown_again(
    ledger_database: LedgerDatabase,
) -> None:
    backup = f"{ledger_database.name}_backup"
    async with opened_world(ledger_database) as world:
        await some_rows(world)
        await world.sequence()
    ledger_database.cluster.create_database(backup, template=ledger_database.name)
    try:
        async with opened_world(ledger_database) as world:
            await some_rows(world)
            await world.sequence()
            kept = await world.transparency.checkpoint()
            assert await world.wrong(kept=[kept]) == ""
        async with restored(ledger_database, backup) as world:
            await world.sequence()
            found = await world.wrong(kept=[kept])
            assert found.startswith("row 11 is missing: the checkpoint you kept is of 19 rows")
            assert "an older backup was put back" in found
            await some_rows(world, people=4)
            await world.sequence()
            found = await world.wrong(kept=[kept])
            assert found.startswith("row 0 to 18: these are not the rows of the checkpoint that you kept")
    finally:
        ledger_database.cluster.drop_database(backup)


async def test_an_export_that_was_tampered_with_on_the_way_does_not_hold(world: LogWorld) -> None:
    await sealed(world)
    lines = await world.export()

    def found(changed: list[str]) -> str:
        return next(iter(Export(Asked()).read(changed).findings), "")

    rows = [place for place, line in enumerate(lines) if '"type":"row"' in line]
    assert found(lines) == ""
    assert "breaks off before its end" in found(lines[:-1])
    assert "row 3 is missing" in found([line for place, line in enumerate(lines) if place != rows[3]])
    assert "row 17 is missing" in found([line for place, line in enumerate(lines) if place != rows[17]])
    assert "no checkpoint seals them" in found([line for line in lines if '"type":"checkpoint"' not in line])
    assert "altered" in found([line.replace('"caller": "backend"', '"caller": "other"') for line in lines])


async def test_that_nothing_was_sent_for_somebody_between_two_checkpoints_is_shown(world: LogWorld) -> None:
    sent = [*await some_rows(world)]
    await world.sequence()
    kept = await world.transparency.checkpoint()
    sent += await some_rows(world)
    await world.sequence()
    found = await world.database.fetch("select id, subject_ref from transfers")
    owners: dict[UUID, UUID] = {row["id"]: row["subject_ref"] for row in found}
    before = await world.verify(kept=[kept], subject_ref=str(owners[sent[0]]))
    assert f"in row 10 to 17, nothing was sent of subject {owners[sent[0]]}" in before.told
    index = (await world.places())[sent[2], "intent"]
    after = await world.verify(kept=[kept], subject_ref=str(owners[sent[2]]))
    assert f"in row 10 to 17, something was sent (row {index}) of subject {owners[sent[2]]}" in after.told
