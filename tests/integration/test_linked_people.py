"""No sequence of links and answers leaves a yes standing after a later no: fewer sequences, on real Postgres."""

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from consent_proxy.adapters.postgres.connections import open_database
from consent_proxy.adapters.postgres.ledger import PostgresConsentLedger
from tests.linked_people import Answer, LinkedPeople
from tests.postgres import LedgerDatabase

RUNS = settings(max_examples=8, stateful_step_count=14, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_no_sequence_of_links_and_answers_leaves_a_yes_after_a_later_no(ledger_database: LedgerDatabase) -> None:
    with asyncio.Runner() as runner:
        database = runner.run(open_database(ledger_database.service_url, size=1))

        class OnPostgres(LinkedPeople):
            def ledger(self) -> PostgresConsentLedger:
                return PostgresConsentLedger(database, send_within=timedelta(0))

            def wait_for(self, coming: Awaitable[Answer]) -> Answer:
                async def result() -> Answer:
                    return await coming

                return runner.run(result())

            def now(self) -> datetime:
                return datetime.now(UTC)

        run_state_machine_as_test(OnPostgres, settings=RUNS)
        runner.run(database.aclose())
