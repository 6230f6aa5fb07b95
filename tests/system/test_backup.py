"""A backup, made and restored with Postgres' own tools: it works, and one older than what was seen says so."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from consent_proxy.adapters.postgres.embedded.cluster import Cluster
from consent_proxy.sandbox.server import Sandbox
from tests.postgres import LedgerDatabase, bundled_binaries, clone
from tests.served import COMMAND, SECRET_KEY, serve
from tests.system.rows import ask_database

FIRST, SECOND = "person-1", "person-2"
CHANGES = "update transfers set model = 'x'", "delete from outcomes", "truncate consent_events"


@pytest.fixture
def database(postgres: Cluster) -> Iterator[LedgerDatabase]:
    with clone(postgres) as cloned:
        yield cloned


def dump(database: LedgerDatabase, file: Path) -> None:
    _run("pg_dump", "--format=custom", f"--file={file}", f"--dbname={database.superuser_url}")


def restore(database: LedgerDatabase, file: Path) -> None:
    """Put what was dumped in the place of what is there."""
    database.cluster.drop_database(database.name)
    database.cluster.create_database(database.name)
    _run("pg_restore", "--exit-on-error", f"--dbname={database.superuser_url}", str(file))


def _run(tool: str, *arguments: str) -> None:
    told = subprocess.run(
        [bundled_binaries().folder / tool, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert told.returncode == 0, told.stderr


def doctor(database: LedgerDatabase, data_dir: Path) -> list[str]:
    settings = {"DATABASE_URL": database.service_url, "SECRET_KEY": SECRET_KEY, "DATA_DIR": str(data_dir)}
    environment = {f"CONSENT_PROXY_{name}": value for name, value in settings.items()}
    told = subprocess.run(
        [COMMAND, "doctor", "--json"], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    return [finding["message"] for finding in json.loads(told.stdout)["findings"]]


def about_the_copy(findings: list[str]) -> list[str]:
    return [finding for finding in findings if "older copy" in finding]


def test_a_restored_backup_works_and_an_older_one_says_how_far_behind_it_is(
    database: LedgerDatabase, sandbox: Sandbox, tmp_path: Path
) -> None:
    url, backup, data_dir = database.service_url, tmp_path / "ledger.dump", tmp_path / "data"
    with serve(database_url=url, sandbox=sandbox, data_dir=data_dir) as served, served.backend() as backend:
        backend.publish_shipped()
        backend.grant(FIRST)
        kept = backend.fal_run(FIRST, "before the backup").headers["consent-transfer-id"]
        dump(database, backup)
        backend.grant(SECOND)
        backend.withdraw(FIRST)
        backend.end_contract("replicate")
        assert backend.fal_run(SECOND, "after the backup").status_code == 200
        assert served.stop() == 0

    restore(database, backup)
    with serve(database_url=url, sandbox=sandbox, data_dir=data_dir) as served, served.backend() as backend:
        [warning] = about_the_copy(backend.http.get("/readyz").json()["warnings"])
        assert "its rules are at edition 4 and were at 5; up to 2 consent events are missing" in warning
        assert "withdrawals made since" in warning
        assert f"ERROR consent_proxy.adapters.postgres.mark {warning}" in served.log
        assert about_the_copy(doctor(database, data_dir)) == [warning]
        # It works on: the record is whole up to the backup, and as closed as it was.
        assert backend.transfer(kept)["outcome"]["state"] == "delivered"
        assert backend.fal_run(FIRST, "after the restore").status_code == 200
        for change in CHANGES:
            with pytest.raises(Exception, match="append-only"):
                ask_database(database.owner_url, change)
            with pytest.raises(Exception, match="permission denied"):
                ask_database(url, change)
        # What came since does not make good what is missing.
        for number in range(4):
            backend.grant(f"person-of-later-{number}")
        assert about_the_copy(backend.http.get("/readyz").json()["warnings"]) == [warning]
        [mark] = data_dir.glob("ledger-*.json")
        assert mark.name in warning
        assert served.stop() == 0

    mark.unlink()
    assert about_the_copy(doctor(database, data_dir)) == []
