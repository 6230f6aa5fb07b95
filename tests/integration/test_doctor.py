"""`doctor` on a real database: each thing that can be wrong is made so, and named with what to do."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from consent_proxy.adapters.postgres.connections import open_database
from consent_proxy.adapters.postgres.embedded.passwords import SERVICE
from consent_proxy.adapters.postgres.secrets import load_keyring
from consent_proxy.cli import doctor as doctor_module
from tests.integration.ledger_rows import connected
from tests.integration.operated import SECRET_KEY, Operator, operator
from tests.postgres import LedgerDatabase

__all__ = ["operator"]

DRAFT = """
family = "house"
provider = "fal"
recipient = "fal"
[[model]]
id = "house/model"
purpose = "generation"
source = "a schema"
reviewed_by = ""
[model.review]
mood = "free text"
"""


def execute(database: LedgerDatabase, statement: str) -> None:
    async def run() -> None:
        async with connected(database.owner_url) as owner:
            await owner.execute(statement)

    asyncio.run(run())


def start_with(url: str, secret_key: str, *previous: str) -> None:
    """What the service does with its secrets when it starts."""

    async def run() -> None:
        database = await open_database(url)
        try:
            await load_keyring(database, secret_key=secret_key, previous=previous)
        finally:
            await database.aclose()

    asyncio.run(run())


def test_with_everything_in_order_there_is_nothing_to_do(operator: Operator) -> None:
    operator.publish()
    ended = operator.run("doctor")
    assert ended.exit_code == 0, ended.output
    assert "The database answers and its schema fits.\nNothing to do.\n" in ended.stdout
    assert "Not tried" in ended.stdout
    assert operator.findings("doctor", exit_code=0) == {}


def test_a_database_with_nothing_published_is_found(operator: Operator) -> None:
    ended = operator.run("doctor")
    assert ended.exit_code == 1
    assert "- no disclosure is in force: publish one, nothing is sent before" in ended.stdout


def test_a_missing_contract_and_an_ended_one_are_found(operator: Operator) -> None:
    operator.publish(contracts=("fal",))
    assert "no contract with 'replicate'" in operator.findings("doctor", exit_code=1)["contract-missing"]["message"]
    operator.put("replicate")
    assert operator.run("contracts", "end", "fal").exit_code == 0
    assert "no contract with 'fal'" in operator.findings("doctor", exit_code=1)["contract-missing"]["message"]


def test_a_contract_that_ends_within_a_month_is_found(operator: Operator) -> None:
    operator.publish()
    soon = datetime.now(UTC) + timedelta(days=20)
    operator.run("contracts", "end", "fal")
    operator.put("fal", valid_until=soon.isoformat())
    found = operator.findings("doctor", exit_code=1)
    assert list(found) == ["contract-ending"]
    assert f"ends on {soon:%Y-%m-%d}" in found["contract-ending"]["message"]


def test_manifests_beyond_the_disclosure_are_found(operator: Operator) -> None:
    operator.publish(recipients=[{"id": "fal", "legal_entity": "fal", "country": "US", "categories": ["prompt"]}])
    found = operator.findings("doctor", exit_code=1)
    assert "'fal' list photo, setting, which the disclosure in force tells nobody of" in operator.run("doctor").stdout
    assert found["category-not-disclosed"]["grave"]


def test_drafts_are_counted_and_are_no_fault(operator: Operator) -> None:
    operator.publish()
    path = operator.save("manifests/house.toml", DRAFT)
    operator.set(MANIFESTS_DIR=str(path.parent))
    found = operator.findings("doctor", exit_code=0)
    assert "1 manifest is a draft that nobody has reviewed" in found["manifests-unreviewed"]["message"]
    assert "- Note: 1 manifest is a draft" in operator.run("doctor").stdout


def test_roles_that_could_rewrite_the_record_are_found(operator: Operator, ledger_database: LedgerDatabase) -> None:
    operator.publish()
    for url in (ledger_database.owner_url, ledger_database.superuser_url):
        operator.set(DATABASE_URL=url)
        found = operator.findings("doctor", exit_code=1)
        assert list(found) == ["role-could-rewrite"]
        assert "another role for CONSENT_PROXY_DATABASE_URL" in found["role-could-rewrite"]["message"]


def test_partitions_that_run_out_are_found(operator: Operator, ledger_database: LedgerDatabase) -> None:
    operator.publish()
    execute(
        ledger_database,
        """do $$ declare name text; begin
          for name in select inhrelid::regclass::text from pg_inherits where inhparent = 'transfers'::regclass
              and right(inhrelid::regclass::text, 7) > to_char(now() at time zone 'UTC', 'YYYY_MM') loop
            execute 'drop table ' || name;
          end loop; end $$""",
    )
    found = operator.findings("doctor", exit_code=1)
    assert "run consent-proxy migrate" in found["partitions-running-out"]["message"]


def test_an_address_in_the_open_is_found(operator: Operator) -> None:
    operator.publish()
    operator.set(PUBLIC_URL="http://proxy.example.com")
    assert list(operator.findings("doctor", exit_code=1)) == ["public-url-not-https"]


def test_a_provider_without_a_credential_is_found(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    operator.publish()
    monkeypatch.delenv("FAL_KEY", raising=False)
    operator.set(FAL__KEY=None)
    assert "CONSENT_PROXY_FAL__KEY" in operator.findings("doctor", exit_code=1)["credential-missing"]["message"]


def test_secrets_that_do_not_open_are_found(operator: Operator, ledger_database: LedgerDatabase) -> None:
    operator.publish()
    start_with(ledger_database.service_url, "another key than the operator has")
    found = operator.findings("doctor", exit_code=1)
    assert "do not open with CONSENT_PROXY_SECRET_KEY" in found["secrets-locked"]["message"]


def test_a_rotation_half_done_and_one_that_is_over_are_told(
    operator: Operator, ledger_database: LedgerDatabase
) -> None:
    operator.publish()
    old = "the key before this one, long enough"
    start_with(ledger_database.service_url, old)
    operator.set(SECRET_KEYS_PREVIOUS=f'["{old}"]')
    assert list(operator.findings("doctor", exit_code=0)) == ["secrets-not-rewrapped"]
    start_with(ledger_database.service_url, SECRET_KEY, old)
    assert list(operator.findings("doctor", exit_code=0)) == ["previous-keys-unneeded"]


def test_settings_that_let_others_in_are_found(operator: Operator) -> None:
    operator.publish()
    operator.set(SECRET_KEY="short", ENVIRONMENT="production", BOOTSTRAP_ADMIN_KEY="cpk_for_the_first_day_only")
    found = operator.findings("doctor", exit_code=1)
    assert set(found) == {"secret-key-short", "bootstrap-key-set"}
    assert "short" not in found["bootstrap-key-set"]["message"]


def test_a_database_that_is_away_is_found(operator: Operator) -> None:
    operator.set(DATABASE_URL=f"postgresql://{SERVICE}@127.0.0.1:1/consent")
    ended = operator.run("doctor")
    assert ended.exit_code == 1
    assert "The service cannot work now." in ended.stdout
    assert "the database does not answer" in ended.stdout


def test_egress_is_tried_only_when_asked_for(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    operator.publish()
    asked: list[list[str]] = []

    def look(hosts: Any, **_: Any) -> list[Any]:
        asked.append(list(hosts))
        return []

    monkeypatch.setattr(doctor_module, "egress_findings", look)
    operator.run("doctor")
    assert asked == [[]]
    ended = operator.run("doctor", "--egress")
    assert "falrun.com" in asked[-1]
    assert "Egress is closed to the providers' other hosts (falrun.com" in ended.stdout
