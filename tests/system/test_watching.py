"""What an operator sees of a service that runs: numbers that are right across workers, and logs that tell nothing."""

import json
import os
import signal
import socket
from collections.abc import Iterator

import httpx
import pytest

from consent_proxy.sandbox.server import Sandbox
from tests.metrics import Samples, scrape
from tests.postgres import LedgerDatabase
from tests.served import ADMIN_KEY, SECRET_KEY, Asked, Backend, Served, about, serve, wait_for, withdrawal
from tests.system.held_provider import HeldProvider
from tests.system.rows import ask_database
from tests.system.test_interruptions import asking, published

PERSON, PROMPT = "mia.4711@example.org", "the fox that nobody may read of"
DELIVERED = 'transfers_total{outcome="delivered",provider="fal"}'
RUN = "/fal/run/fal-ai/flux/schnell"


@pytest.fixture
def provider() -> Iterator[HeldProvider]:
    with HeldProvider() as held:
        yield held


def seen_by_all(served: Served) -> list[Samples]:
    """Several looks, each over a new connection, so that each worker is asked sooner or later."""
    return [scrape(served.url, key=ADMIN_KEY) for _ in range(6)]


def test_whichever_worker_is_asked_the_numbers_are_of_all_and_stay_when_one_is_killed(
    ledger_database: LedgerDatabase, provider: HeldProvider
) -> None:
    prompts = [f"fox {number}" for number in range(4)]
    with published(ledger_database, provider, workers=2) as served:
        with asking(provider, *((served, prompt) for prompt in prompts)) as answers:
            provider.wait_for(*prompts)
            assert wait_for(lambda: all(seen["open_intents"] == 4 for seen in seen_by_all(served)), within=20)
            provider.let_go()
        assert answers == [200] * 4
        sent = 4 + ask_until_both_worked(served, ledger_database)
        assert wait_for(lambda: all(seen["open_intents"] == 0 for seen in seen_by_all(served)), within=20)
        assert {(seen[DELIVERED], seen["added_delay_seconds_count"]) for seen in seen_by_all(served)} == {(sent, sent)}
        former = served.workers
        os.kill(former[0], signal.SIGKILL)
        assert wait_for(lambda: len(served.workers) > len(former), within=40), served.log
        served.wait_until_ready()
        assert {(seen[DELIVERED], seen["open_intents"]) for seen in seen_by_all(served)} == {(sent, 0)}


def ask_until_both_worked(served: Served, database: LedgerDatabase) -> int:
    """Requests, each over a new connection, until both workers have sent one; how many. The system deals them out."""
    for asked in range(100):
        workers = ask_database(database.superuser_url, "select count(distinct worker) from transfers")
        if workers[0]["count"] == 2:
            return asked
        with served.backend() as backend:
            assert backend.fal_run("person-1", "one more").status_code == 200
    raise AssertionError("one worker did it all")


def test_the_numbers_are_there_while_the_database_is_away(ledger_database: LedgerDatabase, sandbox: Sandbox) -> None:
    name = ledger_database.name
    with serve(database_url=ledger_database.service_url, sandbox=sandbox) as served, served.backend() as backend:
        backend.publish_shipped()
        _, key = backend.create_key("prometheus", "metrics")
        assert scrape(served.url, key=key)["database_up"] == 1
        shut = ledger_database.cluster.url("postgres", database="postgres")
        ask_database(shut, f"alter database {name} allow_connections false")
        ask_database(shut, "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1", name)
        try:
            away = scrape(served.url, key=key)
            assert away["database_up"] == 0
            assert away['contract_days_left{recipient="fal"}'] == float("inf")
            stranger = httpx.get(f"{served.url}/metrics", headers={"Authorization": "Bearer cpk_nobody"})
            assert stranger.status_code == 503
        finally:
            ask_database(shut, f"alter database {name} allow_connections true")
        assert wait_for(lambda: scrape(served.url, key=key)["database_up"] == 1, within=20)


def test_no_line_of_the_log_tells_whose_what_or_with_which_key(
    ledger_database: LedgerDatabase, sandbox: Sandbox
) -> None:
    settings = {"LOG_FORMAT": "json", "LOG_LEVEL": "debug", "PROVIDER_TIMEOUT": "0.5", "STOP_DELAY": "0.1"}
    url = ledger_database.service_url
    with serve(database_url=url, sandbox=sandbox, settings=settings, workers=2) as served:
        with served.backend() as backend:
            _, key = _be_busy(backend, sandbox)
            _be_hostile(served)
            _break(ledger_database, backend)
        assert served.stop() == 0
        log = served.log
    lines = [json.loads(line) for line in log.splitlines()]
    assert {"at", "level", "logger", "message", "process"} <= set.intersection(*(set(line) for line in lines))
    loggers = {line["logger"].partition(".")[0] for line in lines}
    assert {"uvicorn", "consent_proxy"} <= loggers
    assert any(line["level"] == "error" for line in lines), "nothing went wrong"
    secrets = {ADMIN_KEY, SECRET_KEY, key, sandbox.fal_key, sandbox.replicate_token, url.partition("@")[0]}
    for needle in {PERSON, PERSON.partition("@")[0], PROMPT, "fox", "?", "/v1/files/", *secrets}:
        assert needle not in log, needle


def _be_busy(backend: Backend, sandbox: Sandbox) -> tuple[str, str]:
    """A day at a backend's; a key that it made is what comes back."""
    backend.publish_shipped()
    made = backend.create_key("backend", "gateway", "auditor")
    backend.fal_run(PERSON, PROMPT)
    backend.grant(PERSON)
    image = backend.fal_run(PERSON, PROMPT).json()["images"][0]["url"]
    assert backend.http.get(f"{image}?of={PERSON}").is_success
    for behaviour in ("hang", "reset", "cut", "junk", "bad-utf8", "error", "unauthorised", "throttled"):
        sandbox.behave("fal", "*", behaviour, times=1)
        backend.fal_run(PERSON, PROMPT)
        sandbox.behave("replicate", "*", behaviour, times=1)
        backend.replicate_predict(PERSON, PROMPT)
    backend.fal_submit(PERSON, PROMPT)
    backend.transfers(PERSON, reason="consent-never-asked")
    backend.http.get("/v1/transfers", params={"caller": PERSON}, headers=about(PERSON))
    bodies: list[object] = [{"prompt": {"of": PROMPT}}, {PROMPT: 1}, [PROMPT], {"decision": PROMPT, "locale": PERSON}]
    for path in (RUN, "/v1/consent/decisions", "/v1/subject-tokens", "/v1/contracts/fal", f"/v1/{PERSON}?{PROMPT}"):
        for body in bodies:
            backend.http.post(path, json=body, headers=about(PERSON))
        backend.http.post(path, content=f'{{"{PROMPT}'.encode(), headers=about(PERSON))
    backend.done(withdrawal(PERSON))
    return made


def _be_hostile(served: Served) -> None:
    """What no client sends: a request that is none, and one that asks to become something else."""
    for head in (
        f"GET /{PERSON}\x00 HTTP/1.1\r\n{PROMPT}\r\n\r\n",
        f"GET /v1/{PERSON} HTTP/1.1\r\nHost: x\r\nUpgrade: {PERSON}\r\nConnection: upgrade\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", served.port), timeout=10) as line:
            line.sendall(head.encode())
            line.recv(4096)


def _break(database: LedgerDatabase, backend: Backend) -> None:
    """Faults that no code of ours expects, and a database that ends every session."""
    ask_database(database.owner_url, "revoke select on standings, salts from consent_proxy_service")
    backend.send(Asked(method="GET", path="/v1/consent", headers=about(PERSON)))
    for person in (PERSON, f"{PERSON}-2"):
        backend.fal_run(person, PROMPT)
    ask_database(database.owner_url, "grant select on standings, salts to consent_proxy_service")
    ask_database(
        database.superuser_url,
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and pid <> pg_backend_pid()",
        database.name,
    )
    assert wait_for(backend.is_ready, within=30)
