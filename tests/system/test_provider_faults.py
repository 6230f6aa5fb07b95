"""Whatever a provider does, the record says what is true, the caller learns it, and nothing is sent twice."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fal_client.client import FalClientError
from replicate.exceptions import ReplicateError

from consent_proxy.adapters.postgres.embedded.cluster import Cluster
from consent_proxy.sandbox.behaviours import JUNK_BYTES, Behaviour
from consent_proxy.sandbox.server import Sandbox
from consent_proxy.sandbox.wire import Role, WireRequest
from consent_proxy.sdk import fal_client, replicate_client
from tests.postgres import clone
from tests.served import (
    FAL_MODEL,
    REPLICATE_MODEL,
    Asked,
    Backend,
    Served,
    fal_run,
    fal_submit,
    replicate_predict,
    serve,
)

PERSON = "person-1"
#: Longer than the sandbox's slow reply takes, shorter than a test may wait for one that never comes.
PROVIDER_TIMEOUT = "2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way through the door: how a backend asks, and where that arrives."""

    ask: Callable[[str, str], Asked]
    role: Role
    is_fal: bool


WAYS = {
    "fal-run": Way(ask=fal_run, role=Role.FAL_RUN, is_fal=True),
    "fal-queue": Way(ask=fal_submit, role=Role.FAL_QUEUE, is_fal=True),
    "replicate": Way(ask=replicate_predict, role=Role.REPLICATE_API, is_fal=False),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What is true after a fault: the record's state, the reason the caller learns, whether the data left."""

    state: str
    reason: str
    sent: str
    http_status: int | None = None
    replicate_status: int | None = None
    fal_answers: int = 500
    replicate_answers: int = 502


def delivered(reason: str, http_status: int, *, replicate_status: int | None = None) -> Truth:
    return Truth(
        state="delivered", reason=reason, sent="yes", http_status=http_status, replicate_status=replicate_status
    )


UNUSABLE, REFUSED = "provider-reply-unusable", "provider-refused"
FAULTS = {
    Behaviour.HANG: Truth(
        state="indeterminate", reason="provider-timeout", sent="maybe", fal_answers=504, replicate_answers=504
    ),
    Behaviour.RESET: Truth(state="indeterminate", reason=UNUSABLE, sent="maybe"),
    Behaviour.CUT: Truth(state="indeterminate", reason=UNUSABLE, sent="maybe"),
    Behaviour.REDIRECT: delivered(UNUSABLE, 302),
    Behaviour.REDIRECT_WITH_BODY: delivered(UNUSABLE, 307),
    Behaviour.JUNK: delivered(UNUSABLE, 200),
    Behaviour.BAD_UTF8: delivered(UNUSABLE, 200),
    Behaviour.UNAUTHORISED: delivered(REFUSED, 401),
    Behaviour.INSUFFICIENT: delivered(REFUSED, 403, replicate_status=402),
    Behaviour.THROTTLED: delivered(REFUSED, 429),
    Behaviour.ERROR: delivered(REFUSED, 500),
    Behaviour.UNAVAILABLE: delivered(REFUSED, 503),
    Behaviour.BAD_GATEWAY: delivered(REFUSED, 502),
}
FAULTS_AN_SDK_WOULD_TRY_AGAIN = (
    *(Behaviour.HANG, Behaviour.RESET, Behaviour.THROTTLED, Behaviour.ERROR),
    *(Behaviour.UNAVAILABLE, Behaviour.BAD_GATEWAY),
)


@pytest.fixture(scope="module")
def served(postgres: Cluster, running_sandbox: Sandbox) -> Iterator[Served]:
    with (
        clone(postgres) as database,
        serve(
            database_url=database.service_url,
            sandbox=running_sandbox,
            settings={"PROVIDER_TIMEOUT": PROVIDER_TIMEOUT},
        ) as service,
    ):
        with service.backend() as backend:
            backend.publish_shipped()
            backend.grant(PERSON)
        yield service


@pytest.fixture
def backend(served: Served, sandbox: Sandbox) -> Iterator[Backend]:
    """A backend; whatever its test did, no key of ours may have come out of the service anywhere."""
    with served.backend() as opened:
        yield opened
    assert sandbox.fal_key not in served.log
    assert sandbox.replicate_token not in served.log
    assert sandbox.wire.violations == []


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return WAYS[request.param]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_recorded_and_told_as_it_was(fault: Behaviour, way: Way, backend: Backend, sandbox: Sandbox) -> None:
    sandbox.behave("fal" if way.is_fal else "replicate", "*", fault)
    answer = backend.send(way.ask(PERSON, f"a fox and {fault}"))
    truth = FAULTS[fault]
    _check_answer(answer, truth, way=way)
    _check_no_key(answer, sandbox)
    outcome = backend.transfer(answer.headers["consent-transfer-id"])["outcome"]
    expected_status = truth.http_status if way.is_fal else truth.replicate_status or truth.http_status
    assert (outcome["state"], outcome["http_status"]) == (truth.state, expected_status)
    if fault is Behaviour.JUNK:
        assert outcome["bytes_received"] == JUNK_BYTES
    assert len(_sends(sandbox)) == 1


def test_a_provider_that_cannot_be_reached_got_nothing(way: Way, backend: Backend, sandbox: Sandbox) -> None:
    sandbox.stop()
    try:
        answer = backend.send(way.ask(PERSON, "a fox"))
    finally:
        sandbox.start()
    _check_answer(answer, Truth(state="not-delivered", reason="provider-unreachable", sent="no"), way=way)
    outcome = backend.transfer(answer.headers["consent-transfer-id"])["outcome"]
    assert (outcome["state"], outcome["http_status"]) == ("not-delivered", None)
    assert _sends(sandbox) == []


def test_a_slow_provider_is_waited_for(backend: Backend, sandbox: Sandbox) -> None:
    sandbox.behave("fal", "*", Behaviour.SLOW)
    answer = backend.fal_run(PERSON, "a slow fox")
    assert answer.status_code == httpx.codes.OK
    outcome = backend.transfer(answer.headers["consent-transfer-id"])["outcome"]
    assert (outcome["state"], outcome["result"]) == ("delivered", "delivered")
    assert outcome["duration_ms"] >= 500


def test_a_cookie_goes_neither_back_nor_out_again(way: Way, backend: Backend, sandbox: Sandbox) -> None:
    sandbox.behave("fal" if way.is_fal else "replicate", "*", Behaviour.COOKIES)
    answers = [backend.send(way.ask(PERSON, f"fox {number}")) for number in range(2)]
    assert all(answer.is_success and "set-cookie" not in answer.headers for answer in answers)
    assert [request.header("cookie") for request in _sends(sandbox)] == [None, None]


@pytest.mark.parametrize("fault", FAULTS_AN_SDK_WOULD_TRY_AGAIN)
@pytest.mark.parametrize("sdk", WAYS)
def test_an_official_sdk_does_not_send_again(
    fault: Behaviour, sdk: str, served: Served, backend: Backend, sandbox: Sandbox
) -> None:
    sandbox.behave("fal", "*", fault)
    sandbox.behave("replicate", "*", fault)
    with pytest.raises((FalClientError, ReplicateError)) as raised:
        _ask_by_sdk(sdk, served)
    assert sandbox.fal_key not in str(raised.value)
    assert sandbox.replicate_token not in str(raised.value)
    assert len(_sends(sandbox)) == 1


def _ask_by_sdk(sdk: str, served: Served) -> Any:
    fal = fal_client(served.url, served.key, subject=PERSON)
    replicate = replicate_client(served.url, served.key, subject=PERSON)
    with fal._client, replicate._client:
        match sdk:
            case "fal-run":
                return fal.run(FAL_MODEL, arguments={"prompt": "a fox"})
            case "fal-queue":
                return fal.submit(FAL_MODEL, arguments={"prompt": "a fox"})
            case _:
                return replicate.run(REPLICATE_MODEL, input={"prompt": "a fox"}, wait=False)


def _sends(sandbox: Sandbox) -> list[WireRequest]:
    return sandbox.wire.requests(method="POST")


def _check_answer(answer: httpx.Response, truth: Truth, *, way: Way) -> None:
    problem = answer.json()
    assert (problem["reason"], problem["sent"]) == (truth.reason, truth.sent)
    assert problem["detail"].startswith(f"{truth.reason}: ")
    assert "set-cookie" not in answer.headers
    assert "location" not in answer.headers
    assert "retry-after" not in answer.headers
    if way.is_fal:
        assert answer.status_code == truth.fal_answers
        # An SDK that finds no id takes a 5xx for the ingress's, and sends again.
        assert answer.headers["x-fal-request-id"] == answer.headers["consent-transfer-id"]
        assert answer.headers.get("x-fal-request-timeout-type") == ("user" if answer.status_code == 504 else None)
        assert problem["error_type"] == answer.headers["x-fal-error-type"] == truth.reason
    else:
        assert answer.status_code == truth.replicate_answers
        assert answer.headers["x-should-retry"] == "false"
        assert answer.headers["content-type"] == "application/problem+json"


def _check_no_key(answer: httpx.Response, sandbox: Sandbox) -> None:
    said = answer.text + repr(answer.headers.multi_items())
    assert sandbox.fal_key not in said
    assert sandbox.replicate_token not in said
