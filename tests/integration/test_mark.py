"""How far the ledger has come: remembered, compared, and said where it has gone back."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from consent_proxy.adapters.postgres.connections import Database, open_database
from consent_proxy.adapters.postgres.embedded.passwords import SERVICE
from consent_proxy.adapters.postgres.health import PostgresHealth
from consent_proxy.adapters.postgres.mark import HealthWithMark, LedgerMark, Mark
from consent_proxy.adapters.postgres.secrets import load_keyring
from consent_proxy.adapters.system import SystemClock
from tests.integration.ledger_rows import connected, until
from tests.postgres import LedgerDatabase

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)


@pytest.fixture
async def database(ledger_database: LedgerDatabase) -> AsyncIterator[Database]:
    opened = await open_database(ledger_database.service_url)
    await load_keyring(opened, secret_key="a key")
    yield opened
    await opened.aclose()


def only_file(folder: Path) -> Path:
    [file] = folder.iterdir()
    return file


async def test_what_was_seen_is_remembered_across_processes(database: Database, tmp_path: Path) -> None:
    assert await LedgerMark(database, folder=tmp_path).look(remember=True) is None
    kept = json.loads(only_file(tmp_path).read_text())
    assert (kept["edition"], kept["events"], kept["behind"]) == (1, 0, None)
    await database.fetchval("select move_edition()")
    assert await LedgerMark(database, folder=tmp_path).look(remember=True) is None
    assert json.loads(only_file(tmp_path).read_text())["edition"] == 2


async def test_a_ledger_that_has_gone_back_is_said_until_the_file_is_gone(database: Database, tmp_path: Path) -> None:
    mark = LedgerMark(database, folder=tmp_path)
    await mark.look(remember=True)
    file = only_file(tmp_path)
    file.write_text(json.dumps({**json.loads(file.read_text()), "edition": 9, "events": 3}))
    found = await HealthWithMark(
        PostgresHealth(database, clock=SystemClock()), mark=LedgerMark(database, folder=tmp_path)
    ).check()
    assert found.ready
    assert "its rules are at edition 1 and were at 9; up to 3 consent events are missing" in found.warnings[0].message
    assert json.loads(file.read_text())["behind"] is None, "whoever only looks writes nothing"
    said = await mark.look(remember=True)
    assert json.loads(file.read_text())["behind"] is not None
    for _ in range(9):
        await database.fetchval("select move_edition()")
    assert await LedgerMark(database, folder=tmp_path).look(remember=True) == said
    file.unlink()
    assert await LedgerMark(database, folder=tmp_path).look(remember=True) is None


async def test_a_process_notices_by_itself_that_its_ledger_went_back(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mark = LedgerMark(database, folder=tmp_path / "none")
    await database.fetchval("select move_edition()")
    await mark.look(remember=True)
    only_file(tmp_path / "none").unlink()
    [ledger] = mark._seen
    mark._seen[ledger] = Mark(edition=7, events=0)
    said = await mark.look(remember=True)
    assert said is not None
    assert "edition 2 and were at 7" in said
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_a_ledger_that_cannot_be_read_costs_no_more_than_that(
    ledger_database: LedgerDatabase, database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mark = LedgerMark(database, folder=tmp_path)
    async with connected(ledger_database.owner_url) as owner:
        await owner.execute(f"revoke select on secrets from {SERVICE}")
    looking = asyncio.create_task(mark.keep_looking())
    await until(lambda: asyncio.sleep(0, "could not be read (InsufficientPrivilegeError)" in caplog.text))
    assert not looking.done()
    found = await HealthWithMark(PostgresHealth(database, clock=SystemClock()), mark=mark).check()
    assert found.ready
    assert "could not be read" in found.warnings[0].message
    looking.cancel()
    await asyncio.wait({looking})


async def test_a_folder_that_cannot_be_written_is_said_once_and_stops_nothing(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    in_the_way = tmp_path / "a-file"
    in_the_way.write_text("")
    mark = LedgerMark(database, folder=in_the_way)
    assert await mark.look(remember=True) is None
    assert await mark.look(remember=True) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "CONSENT_PROXY_DATA_DIR" in caplog.text


@pytest.mark.parametrize("text", ["", "{", "[]", '{"edition": "x"}', '{"edition": 1, "newest_at": 5}'])
async def test_a_file_that_cannot_be_read_counts_as_none(database: Database, tmp_path: Path, text: str) -> None:
    mark = LedgerMark(database, folder=tmp_path)
    await mark.look(remember=True)
    only_file(tmp_path).write_text(text)
    assert await LedgerMark(database, folder=tmp_path).look(remember=True) is None
    assert json.loads(only_file(tmp_path).read_text())["edition"] == 1


def test_entries_a_little_out_of_order_are_not_behind() -> None:
    seen = Mark(edition=1, events=1, newest_at=NOON)
    assert seen.missing_in(Mark(edition=1, events=1, newest_at=NOON - timedelta(seconds=30))) is None
    late = seen.missing_in(Mark(edition=1, events=1, newest_at=NOON - timedelta(minutes=22)))
    assert late == (
        "its newest entry is of 2026-03-03T11:38:00+00:00, and an entry of 2026-03-03T12:00:00+00:00 was seen here"
    )
