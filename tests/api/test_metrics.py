"""The numbers an operator watches: what they count, who may read them, and that nobody's data is among them."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from consent_proxy.adapters.postgres.embedded.cluster import Cluster
from consent_proxy.sandbox.server import Sandbox
from tests.api.problems import problem_of
from tests.live import KEY, Live, a_person, live_service
from tests.metrics import samples_of, scrape
from tests.postgres import clone

RUN = "/fal/run/fal-ai/flux/schnell"


@pytest.fixture
def counting(postgres: Cluster, live_sandbox: Sandbox) -> Iterator[Live]:
    """A service that nobody else makes count."""
    live_sandbox.behave_well()
    timeout = timedelta(seconds=0.5)
    with clone(postgres) as database, live_service(database, live_sandbox, provider_timeout=timeout) as live:
        yield live


def test_everything_that_happens_is_counted_once(counting: Live) -> None:
    person = a_person()
    counting.call("POST", RUN, subject=person, json={"prompt": "too early"})
    counting.decide(person)
    counting.done("POST", RUN, subject=person, json={"prompt": "a fox", "email": "x", "device": "y"})
    counting.sandbox.behave("fal", "*", "hang", times=1)
    counting.call("POST", RUN, subject=person, json={"prompt": "a fox"})
    counting.call("POST", "/replicate/v1/models/black-forest-labs/flux-schnell/predictions", subject=person, json={})
    seen = scrape(counting.url, key=KEY)
    assert seen['refusals_total{provider="fal",reason="consent-never-asked"}'] == 1
    assert seen['refusals_total{provider="replicate",reason="body-invalid"}'] == 1
    assert seen['transfers_total{outcome="delivered",provider="fal"}'] == 1
    assert seen['transfers_total{outcome="indeterminate",provider="fal"}'] == 1
    assert seen['transfers_total{outcome="not-delivered",provider="fal"}'] == 0
    assert seen['dropped_fields_total{model="fal-ai/flux/schnell"}'] == 2
    assert seen['requests_total{status="403",surface="fal"}'] == 1
    assert seen['requests_total{status="200",surface="fal"}'] == 1
    assert seen['requests_total{status="201",surface="control"}'] == 1
    assert seen["added_delay_seconds_count"] == 2
    assert (seen["open_intents"], seen["queue_depth"], seen["kept_outcomes"]) == (0, 0, 0)
    assert (seen["database_up"], seen["warnings"]) == (1, 0)
    assert any(name.startswith("build_info{") for name in seen)


def test_the_delay_leaves_out_the_providers_time_and_the_wait_for_a_body(counting: Live) -> None:
    person = a_person()
    counting.decide(person)
    counting.sandbox.behave("fal", "*", "hang", times=1)

    def slowly() -> Iterator[bytes]:
        yield b'{"prompt": '
        counting.call("GET", "/healthz", key=None)
        yield b'"a fox"}'

    answer = counting.call("POST", RUN, subject=person, content=slowly(), headers={"Content-Type": "application/json"})
    assert answer.status_code in {500, 504}
    seen = scrape(counting.url, key=KEY)
    assert seen["added_delay_seconds_count"] == 1
    assert seen["added_delay_seconds_sum"] < 0.5, "the provider's half second is in it"


def test_the_days_left_of_each_contract_are_told(counting: Live) -> None:
    assert scrape(counting.url, key=KEY)['contract_days_left{recipient="fal"}'] == float("inf")
    counting.done("DELETE", "/v1/contracts/fal")
    seen = scrape(counting.url, key=KEY)
    assert seen['contract_days_left{recipient="fal"}'] == 0
    assert seen['contract_days_left{recipient="replicate"}'] == float("inf")


def test_only_a_key_with_the_role_reads_them(live: Live) -> None:
    problem_of(live.call("GET", "/metrics", key=None), 401, "credential-missing")
    problem_of(live.call("GET", "/metrics", key=live.key("gateway", "auditor")), 403, "role-missing")
    problem_of(live.call("GET", "/metrics", key=live.token(a_person())), 403, "role-missing")
    assert live.call("GET", "/metrics", key=live.key("metrics")).is_success


def test_they_come_in_the_form_that_is_asked_for(live: Live) -> None:
    plain = live.call("GET", "/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert plain.headers["cache-control"] == "no-store"
    wanted = {"Accept": "application/openmetrics-text; version=1.0.0"}
    open_metrics = live.call("GET", "/metrics", headers=wanted)
    assert open_metrics.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert open_metrics.text.endswith("# EOF\n")
    assert open_metrics.text.count("# EOF") == 1


def test_labels_come_from_closed_lists_whatever_is_asked(counting: Live) -> None:
    person = a_person()
    counting.decide(person)
    before = set(scrape(counting.url, key=KEY))
    for number in range(40):
        counting.call("POST", f"/fal/run/{person}/model-{number}", subject=person, json={"prompt": f"p{number}"})
        counting.call("GET", f"/v1/{person}/{number}?q={person}")
        counting.call("POST", RUN, subject=f"{person}-{number}", json={f"field_{number}": 1})
    text = counting.call("GET", "/metrics").text
    assert person not in text
    assert len(set(samples_of(text)) - before) < 10
