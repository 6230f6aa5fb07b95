"""Callers that hang up, services that are told to stop and workers that are killed, with sends under way."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from consent_proxy.adapters.postgres.workers import SETTLE_EVERY
from tests.postgres import LedgerDatabase
from tests.served import FAL_MODEL, Backend, Served, fal_run, serve, wait_for
from tests.system.held_provider import HeldProvider
from tests.system.rows import ask_database

PERSON = "person-1"
PENDING, SETTLED = "pending", {"settled": True}


@pytest.fixture
def provider() -> Iterator[HeldProvider]:
    with HeldProvider() as held:
        yield held


@contextmanager
def published(database: LedgerDatabase, provider: HeldProvider, *, workers: int = 1) -> Iterator[Served]:
    """A service whose one person has said yes."""
    with serve(database_url=database.service_url, settings=provider.settings, workers=workers) as served:
        with served.backend() as backend:
            backend.publish_shipped()
            backend.grant(PERSON)
        yield served


@contextmanager
def asking(provider: HeldProvider, *asked: tuple[Served, str]) -> Iterator[list[Any]]:
    """Backends that wait for answers to a prompt each; what became of them is known in the end."""
    answers: list[Any] = []
    with ThreadPoolExecutor(len(asked)) as pool:
        waiting = [pool.submit(_ask, served, prompt) for served, prompt in asked]
        try:
            yield answers
        except BaseException:
            provider.let_go()  # or a test that fails would wait for answers that nobody gives
            raise
        answers += [one.result() for one in waiting]


def _ask(served: Served, prompt: str) -> int | str:
    with served.backend(timeout=120) as backend:
        try:
            return backend.send(fal_run(PERSON, prompt)).status_code
        except Exception as error:  # noqa: BLE001 - of a service that is killed nothing else can be expected
            return type(error).__name__


def ask_and_hang_up(served: Served, prompt: str, provider: HeldProvider) -> None:
    """Close the connection once the provider has the request."""
    body = json.dumps({"prompt": prompt}).encode()
    head = [
        f"POST /fal/run/{FAL_MODEL} HTTP/1.1",
        f"Host: 127.0.0.1:{served.port}",
        f"Authorization: Key {served.key}",
        f"Consent-Subject: {PERSON}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    with socket.create_connection(("127.0.0.1", served.port)) as line:
        line.sendall("\r\n".join([*head, "", ""]).encode() + body)
        provider.wait_for(prompt)


def outcome_of(backend: Backend, transfer_id: str) -> dict[str, Any]:
    outcome: dict[str, Any] = backend.transfer(transfer_id)["outcome"]
    return outcome


def states(database: LedgerDatabase) -> list[tuple[str, dict[str, Any]]]:
    """The last outcome of every transfer, in the order of the intents."""
    rows = ask_database(
        database.superuser_url,
        "select coalesce(o.state, 'pending') as state, coalesce(o.detail, '{}') as detail from transfers t"
        " left join lateral (select * from outcomes o where o.transfer_id = t.id order by seq desc limit 1) o on true"
        " order by t.id",
    )
    return [(row["state"], json.loads(row["detail"])) for row in rows]


def test_a_send_is_finished_though_its_caller_hung_up(ledger_database: LedgerDatabase, provider: HeldProvider) -> None:
    with published(ledger_database, provider) as served, served.backend() as backend:
        ask_and_hang_up(served, "a fox", provider)
        [record] = backend.transfers(PERSON)
        assert record["outcome"]["state"] == PENDING
        provider.let_go()
        assert wait_for(lambda: outcome_of(backend, record["id"])["state"] != PENDING, within=10)
        outcome = outcome_of(backend, record["id"])
        assert (outcome["state"], outcome["http_status"]) == ("delivered", 200)
    assert provider.prompts == ["a fox"]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_that_is_told_to_stop_finishes_what_it_sends(
    workers: int, ledger_database: LedgerDatabase, provider: HeldProvider
) -> None:
    prompts = [f"fox {number}" for number in range(4)]
    with published(ledger_database, provider, workers=workers) as served:
        with asking(provider, *((served, prompt) for prompt in prompts)) as answers:
            ask_and_hang_up(served, "nobody waits for this fox", provider)
            provider.wait_for(*prompts)
            served.ask_to_stop()
            assert wait_for(lambda: "Shutting down" in served.log, within=10)
            assert served.process.poll() is None
            assert [state for state, _ in states(ledger_database)] == [PENDING] * 5
            provider.let_go()
        assert answers == [200] * 4
        assert served.stop() == 0
    assert [state for state, _ in states(ledger_database)] == ["delivered"] * 5
    assert sorted(provider.prompts) == sorted([*prompts, "nobody waits for this fox"])


def test_what_a_killed_worker_left_open_is_settled_and_what_a_live_one_sends_is_not(
    ledger_database: LedgerDatabase, provider: HeldProvider
) -> None:
    url, settings = ledger_database.service_url, provider.settings
    with (
        serve(database_url=url, settings=settings, ready=False) as living,
        published(ledger_database, provider) as killed,
    ):
        living.wait_until_ready()
        with asking(provider, (killed, "killed"), (living, "living")) as answers:
            provider.wait_for("killed", "living")
            killed.kill()
            with serve(database_url=url, settings=settings) as next_one:
                # The next start settles at once, and only what the dead one left.
                assert dict(states(ledger_database)) == {"indeterminate": SETTLED, PENDING: {}}
                with asking(provider, (next_one, "killed too")):
                    provider.wait_for("killed too")
                    next_one.kill()
            # A replica that lives settles within its interval, and never its own.
            settled = [("indeterminate", SETTLED)] * 2
            assert wait_for(
                lambda: sum(state == settled[0] for state in states(ledger_database)) == 2,
                within=SETTLE_EVERY + 10,
            )
            assert sorted(state for state, _ in states(ledger_database)) == ["indeterminate"] * 2 + [PENDING]
            provider.let_go()
        assert 200 in answers
    assert sorted(state for state, _ in states(ledger_database)) == ["delivered"] + ["indeterminate"] * 2
    assert provider.prompts.count("killed") == provider.prompts.count("killed too") == 1


def test_a_worker_that_is_killed_is_replaced_and_settled(
    ledger_database: LedgerDatabase, provider: HeldProvider
) -> None:
    with published(ledger_database, provider, workers=2) as served:
        with asking(provider, *((served, f"fox {number}") for number in range(4))) as answers:
            provider.wait_for(*(f"fox {number}" for number in range(4)))
            for pid in served.workers:
                os.kill(pid, signal.SIGKILL)
            assert wait_for(lambda: states(ledger_database) == [("indeterminate", SETTLED)] * 4, within=75)
        assert 200 not in answers
        provider.let_go()
        served.wait_until_ready()
        with served.backend() as backend:
            assert backend.fal_run(PERSON, "a fox for the next worker").status_code == 200
        assert wait_for(lambda: len(served.workers) == 4, within=20), served.log
    assert len(provider.prompts) == 5
