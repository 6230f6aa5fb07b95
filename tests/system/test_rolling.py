"""Restarts, upgrades and new secrets while people's requests come in: nobody notices."""

import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from consent_proxy.adapters.postgres.embedded.passwords import SERVICE
from consent_proxy.adapters.postgres.migrate import migrate
from consent_proxy.adapters.postgres.tables import SCHEMA_REVISION
from consent_proxy.sandbox.server import Sandbox
from consent_proxy.sandbox.wire import Role as Host
from tests.next_release import NEXT, next_migrations
from tests.postgres import LedgerDatabase
from tests.served import ADMIN_KEY, COMMAND, SECRET_KEY, Served, fal_run, serve, wait_for
from tests.system.balanced import Balanced
from tests.system.rows import ask_database

PEOPLE = [f"person-{number}" for number in range(5)]
#: Far longer than the balancer takes to look, on a busy machine too.
STOP_DELAY = {"STOP_DELAY": "2.5"}
LAST_OUTCOMES = """select coalesce(o.state, 'pending') as state, count(*) from transfers t
  left join lateral (select state from outcomes o where o.transfer_id = t.id order by seq desc limit 1) o on true
  group by 1"""


@pytest.fixture
def replicas(ledger_database: LedgerDatabase, sandbox: Sandbox) -> Iterator[list[Served]]:
    url = ledger_database.service_url
    with (
        serve(database_url=url, sandbox=sandbox, settings=STOP_DELAY) as first,
        serve(database_url=url, sandbox=sandbox, settings=STOP_DELAY) as second,
    ):
        with first.backend() as backend:
            backend.publish_shipped()
            for person in PEOPLE:
                backend.grant(person)
        yield [first, second]


def test_a_rolling_upgrade_loses_no_request_and_sends_nothing_twice(
    replicas: list[Served], ledger_database: LedgerDatabase, sandbox: Sandbox, tmp_path: Path
) -> None:
    with ExitStack() as stack, Balanced(replicas, people=PEOPLE) as traffic:
        traffic.wait_for_more()
        migrate(ledger_database.owner_url, service_role=SERVICE, folder=next_migrations(tmp_path))
        traffic.wait_for_more()
        for replica in replicas:
            assert replica.stop() == 0
            again = serve(
                database_url=ledger_database.service_url, sandbox=sandbox, settings=STOP_DELAY, port=replica.port
            )
            traffic.replace(replica, stack.enter_context(again))
            traffic.wait_for_more()
        traffic.__exit__()
        assert set(traffic.answers) == {200}
        prompts = Counter(request.json()["prompt"] for request in sandbox.wire.requests(role=Host.FAL_RUN))
        assert prompts == Counter(traffic.sent)
        rows = ask_database(ledger_database.superuser_url, LAST_OUTCOMES)
        assert [(row["state"], row["count"]) for row in rows] == [("delivered", len(traffic.sent))]
        revision = ask_database(ledger_database.superuser_url, "select version_num from alembic_version")
        assert revision[0]["version_num"] == NEXT


def test_a_replica_that_is_stopping_says_so_and_serves_on_for_a_while(replicas: list[Served], sandbox: Sandbox) -> None:
    stopping = replicas[0]
    with stopping.backend() as backend:
        assert "connection" not in backend.fal_run(PEOPLE[0], "before").headers
        stopping.ask_to_stop()
        assert wait_for(lambda: not backend.is_ready(), within=2.0)
        answer = backend.http.get("/readyz")
        assert (answer.status_code, answer.json()["warnings"]) == (
            503,
            ["this process is stopping: send nothing more here"],
        )
        served = backend.send(fal_run(PEOPLE[0], "meanwhile"))
        assert (served.status_code, served.headers["connection"]) == (200, "close")
        stopping.ask_to_stop()  # a second time: no more waiting
        assert stopping.process.wait(timeout=20) == 0


def test_a_schema_that_was_not_migrated_yet_is_refused_in_one_line(ledger_database: LedgerDatabase) -> None:
    ask_database(ledger_database.owner_url, "update alembic_version set version_num = '0001'")
    told = serve_in_vain(ledger_database.service_url, secret_key=SECRET_KEY)
    [line] = told.splitlines()
    assert line.startswith(f"Error: the schema is at revision 0001, and {SCHEMA_REVISION} is needed: run consent-proxy")


def serve_in_vain(url: str, *, secret_key: str) -> str:
    """What a service says that does not start."""
    settings = {"DATABASE_URL": url, "SECRET_KEY": secret_key, "BOOTSTRAP_ADMIN_KEY": ADMIN_KEY}
    environment = {f"CONSENT_PROXY_{name}": value for name, value in settings.items()}
    told = subprocess.run(
        [COMMAND, "serve", "--port", "1"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert told.returncode == 2, told.stderr
    return told.stderr


def test_a_new_secret_key_wraps_everything_anew_while_a_replica_serves_on(
    ledger_database: LedgerDatabase, sandbox: Sandbox
) -> None:
    url = ledger_database.service_url
    person = PEOPLE[0]
    with serve(database_url=url, sandbox=sandbox) as former, former.backend() as backend:
        backend.publish_shipped()
        backend.grant(person)
        keys = backend.http.get("/.well-known/jwks.json").json()
        rotated = {"SECRET_KEY": "the next one", "SECRET_KEYS_PREVIOUS": f'["{SECRET_KEY}"]'}
        with serve(database_url=url, sandbox=sandbox, settings=rotated) as first, first.backend() as other:
            assert other.fal_run(person, "with both").status_code == 200
            assert backend.fal_run(person, "with the former").status_code == 200
            assert other.http.get("/.well-known/jwks.json").json() == keys
    alone = {"SECRET_KEY": "the next one"}
    with serve(database_url=url, sandbox=sandbox, settings=alone) as last, last.backend() as backend:
        assert backend.fal_run(person, "with the new one alone").status_code == 200
        assert backend.http.get("/.well-known/jwks.json").json() == keys
    told = serve_in_vain(url, secret_key=SECRET_KEY)
    assert "do not open with CONSENT_PROXY_SECRET_KEY" in told
    assert SECRET_KEY not in told
