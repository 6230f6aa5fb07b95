"""Alive, ready, and what is reserved for later."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from consent_proxy.application.ports.platform import Finding, Readiness
from tests.api.problems import problem_of
from tests.fakes.health import FakeLedgerHealth
from tests.live import Live


def test_a_process_that_answers_is_alive(live: Live) -> None:
    assert live.call("GET", "/healthz", key=None).json() == {"status": "alive"}


def test_a_service_with_everything_in_order_is_ready(live: Live) -> None:
    answer = live.call("GET", "/readyz", key=None)
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    assert answer.headers["cache-control"] == "no-store"


def test_missing_rules_are_warnings_and_never_a_503(unpublished: Live) -> None:
    answer = unpublished.call("GET", "/readyz", key=None)
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    assert "no disclosure is in force: publish one, nothing is sent before" in answer.json()["warnings"]


@pytest.fixture
def bereft(live: Live) -> Iterator[Live]:
    """The service, told that its database is away."""
    state, whole = live.app.state, live.services
    away = FakeLedgerHealth(
        Readiness(ready=False, warnings=(Finding("database-away", "the database does not answer"),))
    )
    state.services = replace(whole, health=away)
    yield live
    state.services = whole


def test_a_database_that_is_away_is_a_503(bereft: Live) -> None:
    answer = bereft.call("GET", "/readyz", key=None)
    assert (answer.status_code, answer.json()) == (
        503,
        {"status": "not-ready", "warnings": ["the database does not answer"]},
    )
    assert bereft.call("GET", "/healthz", key=None).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/consent/imports", "/v1/webhooks/secret"),
        *("/v1/artefacts", "/v1/artefacts/x", "/v1/privacy-requests", "/v1/register"),
    ],
)
def test_what_is_reserved_says_that_it_is_not_offered(live: Live, path: str) -> None:
    for method in ("GET", "POST"):
        problem_of(live.call(method, path), 501, "not-offered")
