"""Each way to misbehave, seen by a client that looks closely, on both providers."""

import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from consent_proxy.sandbox.behaviours import JUNK_BYTES, Behaviour, Behaviours, Operation
from consent_proxy.sandbox.server import Sandbox
from consent_proxy.sandbox.wire import Role

PROMPT = {"prompt": "a lighthouse at dusk"}

Ask = Callable[[str], httpx.Response]


@pytest.fixture(params=["fal-run", "fal-queue", "replicate"])
def surface(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


@pytest.fixture
def ask(sandbox: Sandbox, http: httpx.Client, surface: str) -> Ask:
    """Create a job with the model `sandbox/<name>`."""

    def ask(name: str) -> httpx.Response:
        url, authorization, body = creation(sandbox, surface, name)
        return http.post(url, json=body, headers={"authorization": authorization})

    return ask


def creation(sandbox: Sandbox, surface: str, name: str) -> tuple[str, str, dict[str, Any]]:
    fal, replicate = f"Key {sandbox.fal_key}", f"Bearer {sandbox.replicate_token}"
    match surface:
        case "fal-run":
            return f"{sandbox.fal_run_url}/sandbox/{name}", fal, PROMPT
        case "fal-queue":
            return f"{sandbox.fal_queue_url}/sandbox/{name}", fal, PROMPT
        case _:
            return f"{sandbox.replicate_api_url}/models/sandbox/{name}/predictions", replicate, {"input": PROMPT}


def raw_exchange(sandbox: Sandbox, surface: str, name: str, *, timeout: float) -> tuple[bytes, OSError | None]:
    """Send a whole request on a bare socket; what came back, and the error that ended it, None for a proper end."""
    url, authorization, body = creation(sandbox, surface, name)
    address, _, path = url.removeprefix("http://").partition("/")
    data = json.dumps(body).encode()
    head = f"POST /{path} HTTP/1.1\r\nHost: {address}\r\nAuthorization: {authorization}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    host, port = address.split(":")
    received = b""
    with socket.create_connection((host, int(port)), timeout=timeout) as line:
        line.sendall(head.encode() + data)
        try:
            while piece := line.recv(65536):
                received += piece
        except OSError as error:
            return received, error
    return received, None


def test_a_reset_comes_after_the_whole_body_was_read(sandbox: Sandbox, surface: str) -> None:
    received, error = raw_exchange(sandbox, surface, "reset", timeout=5)

    assert received == b""
    assert isinstance(error, ConnectionResetError)
    [request] = sandbox.wire.requests()
    assert request.complete
    assert b"lighthouse" in request.body


def test_a_cut_comes_in_the_middle_of_the_reply(sandbox: Sandbox, surface: str) -> None:
    received, error = raw_exchange(sandbox, surface, "cut", timeout=5)

    head, _, body = received.partition(b"\r\n\r\n")
    assert isinstance(error, ConnectionResetError)
    assert head.startswith(b"HTTP/1.1 20")
    assert body.startswith(b"{")
    assert not body.endswith(b"}")


def test_a_hang_takes_everything_and_answers_nothing(sandbox: Sandbox, surface: str) -> None:
    received, error = raw_exchange(sandbox, surface, "hang", timeout=0.3)

    assert received == b""
    assert isinstance(error, TimeoutError)
    assert b"lighthouse" in sandbox.wire.requests()[0].body


@pytest.mark.parametrize(("name", "status"), [("redirect", 302), ("redirect-with-body", 307)])
def test_a_redirect_points_to_where_nothing_should_arrive(
    sandbox: Sandbox, http: httpx.Client, ask: Ask, name: str, status: int
) -> None:
    reply = ask(name)

    assert reply.status_code == status
    assert sandbox.wire.violations == []
    http.get(reply.headers["location"])
    [violation] = sandbox.wire.violations
    assert (violation.reason, violation.request.role) == ("a redirect was followed", Role.ELSEWHERE)


def test_cookies_come_with_a_good_reply_and_are_noticed_when_they_come_back(
    sandbox: Sandbox, http: httpx.Client, ask: Ask
) -> None:
    reply = ask("cookies")
    assert reply.is_success
    assert reply.headers.get_list("set-cookie")
    assert sandbox.wire.violations == []

    ask("cookies")  # this client keeps cookies
    assert len(sandbox.wire.violations) == 1


def test_junk_is_ten_megabytes_of_no_json(ask: Ask) -> None:
    reply = ask("junk")

    assert len(reply.content) == JUNK_BYTES
    assert reply.headers["content-type"] == "application/json"
    with pytest.raises(ValueError, match=r".*"):
        reply.json()


def test_bad_utf8_cannot_be_decoded(ask: Ask) -> None:
    with pytest.raises(UnicodeDecodeError):
        ask("bad-utf8").content.decode()


@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("unauthorised", {401}),
        ("insufficient", {402, 403}),
        ("throttled", {429}),
        ("error", {500}),
        ("unavailable", {503}),
    ],
)
def test_an_error_is_in_the_providers_own_words(ask: Ask, surface: str, name: str, statuses: set[int]) -> None:
    reply = ask(name)

    assert reply.status_code in statuses
    assert isinstance(reply.json()["detail"], str)
    is_problem = reply.headers["content-type"] == "application/problem+json"
    assert is_problem is (surface == "replicate")


def test_a_bad_gateway_is_a_page_of_someone_elses(ask: Ask) -> None:
    reply = ask("bad-gateway")

    assert (reply.status_code, reply.headers["content-type"].split(";")[0]) == (502, "text/html")
    assert "x-fal-request-id" not in reply.headers


def test_a_slow_job_is_not_hurried_by_polls(sandbox: Sandbox, http: httpx.Client) -> None:
    http.headers["authorization"] = f"Key {sandbox.fal_key}"
    url = http.post(f"{sandbox.fal_queue_url}/sandbox/slow", json=PROMPT).json()["status_url"]

    assert {http.get(url).json()["status"] for _ in range(5)} == {"IN_QUEUE"}


def test_a_slow_run_takes_its_time() -> None:
    with Sandbox(slow_seconds=0.3) as sluggish, httpx.Client(trust_env=False, verify=False) as http:
        url, authorization, body = creation(sluggish, "fal-run", "slow")
        begun = time.monotonic()

        assert http.post(url, json=body, headers={"authorization": authorization}).status_code == 200
        assert time.monotonic() - begun >= 0.3


@pytest.mark.parametrize(
    ("operation", "path"), [("status", "status_url"), ("result", "response_url"), ("cancel", "cancel_url")]
)
def test_what_follows_a_submit_can_go_wrong_too(
    sandbox: Sandbox, http: httpx.Client, operation: str, path: str
) -> None:
    http.headers["authorization"] = f"Key {sandbox.fal_key}"
    job = http.post(f"{sandbox.fal_queue_url}/fal-ai/flux/dev", json=PROMPT).json()
    sandbox.behave("fal", "fal-ai/flux/*", "unavailable", operation=operation)

    statuses = {
        name: http.request("PUT" if name == "cancel_url" else "GET", job[name]).status_code
        for name in ("status_url", "response_url", "cancel_url")
    }

    assert [name for name, status in statuses.items() if status == 503] == [path]


def test_an_output_can_go_wrong_too(sandbox: Sandbox, http: httpx.Client) -> None:
    headers = {"authorization": f"Key {sandbox.fal_key}"}
    reply = http.post(f"{sandbox.fal_run_url}/fal-ai/flux/dev", json=PROMPT, headers=headers)
    [image] = reply.json()["images"]
    sandbox.behave("fal", "fal-ai/flux/dev", "reset", operation="output", times=1)

    with pytest.raises(httpx.ReadError):
        http.get(image["url"])
    assert http.get(image["url"]).status_code == 200


def test_a_rule_holds_for_so_many_requests(sandbox: Sandbox, ask: Ask, surface: str) -> None:
    sandbox.behave("replicate" if surface == "replicate" else "fal", "sandbox/*", "throttled", times=2)

    assert [ask("painter").status_code == 429 for _ in range(3)] == [True, True, False]


def test_a_rule_is_for_one_provider_and_its_models() -> None:
    behaviours = Behaviours()
    behaviours.behave("fal", "fal-ai/*", "reset")
    create = Operation.CREATE

    assert behaviours.choose("fal", "fal-ai/flux", operation=create) is Behaviour.RESET
    assert behaviours.choose("fal", "bria/flux", operation=create) is None
    assert behaviours.choose("fal", "fal-ai/flux", operation=Operation.STATUS) is None
    assert behaviours.choose("replicate", "fal-ai/flux", operation=create) is None


def test_the_newest_rule_counts_until_it_is_used_up() -> None:
    behaviours = Behaviours()
    behaviours.behave("fal", "*", "hang")
    behaviours.behave("fal", "*", "reset", times=1)

    chosen = [behaviours.choose("fal", "a/b", operation=Operation.CREATE) for _ in range(2)]

    assert chosen == [Behaviour.RESET, Behaviour.HANG]


def test_rules_can_be_taken_back_and_names_stay() -> None:
    behaviours = Behaviours()
    behaviours.behave("fal", "*", "hang")
    behaviours.reset()

    assert behaviours.choose("fal", "a/b", operation=Operation.CREATE) is None
    assert behaviours.choose("fal", "a/b/error", operation=Operation.CREATE) is Behaviour.ERROR


@pytest.mark.parametrize("word", ["explode", ""])
def test_there_is_no_behaviour_of_another_name(sandbox: Sandbox, word: str) -> None:
    with pytest.raises(ValueError, match="not a valid Behaviour"):
        sandbox.behave("fal", "*", word)


def test_another_process_can_ask_for_a_behaviour(sandbox: Sandbox, http: httpx.Client, ask: Ask, surface: str) -> None:
    provider = "replicate" if surface == "replicate" else "fal"
    rule = {"provider": provider, "model": "sandbox/*", "behaviour": "throttled"}

    assert http.post(f"{sandbox.control_url}/_behaviours", json=rule).status_code == 204
    assert ask("painter").status_code == 429

    assert http.delete(f"{sandbox.control_url}/_behaviours").status_code == 204
    assert ask("painter").is_success


@pytest.mark.parametrize(
    "rule",
    [
        {},
        [],
        {"provider": "fal", "model": "*", "behaviour": "explode"},
        {"provider": "fall", "model": "*", "behaviour": "reset"},
    ],
)
def test_another_process_is_told_what_is_no_behaviour(sandbox: Sandbox, http: httpx.Client, rule: Any) -> None:
    assert http.post(f"{sandbox.control_url}/_behaviours", json=rule).status_code == 422


def test_a_wrong_key_is_refused_before_anything_goes_wrong(sandbox: Sandbox, http: httpx.Client) -> None:
    assert http.post(f"{sandbox.fal_run_url}/sandbox/reset", json=PROMPT).status_code == 401


def test_a_prompt_does_not_change_the_behaviour(sandbox: Sandbox, http: httpx.Client) -> None:
    headers = {"authorization": f"Key {sandbox.fal_key}"}

    reply = http.post(f"{sandbox.fal_run_url}/sandbox/painter", json={"prompt": "reset hang fail"}, headers=headers)

    assert reply.status_code == 200


def test_the_sandbox_stops_in_silence_while_requests_hang(caplog: pytest.LogCaptureFixture) -> None:
    sandbox = Sandbox(slow_seconds=60).start()
    ends: list[OSError | None] = []

    def exchange(name: str) -> None:
        ends.append(raw_exchange(sandbox, "fal-run", name, timeout=30)[1])

    callers = [threading.Thread(target=exchange, args=(name,)) for name in ("hang", "slow")]
    for caller in callers:
        caller.start()
    sandbox.wire.wait_for(count=2)

    sandbox.stop()

    for caller in callers:
        caller.join(timeout=5)
    assert len(ends) == 2
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


@pytest.mark.parametrize("name", [behaviour for behaviour in Behaviour if behaviour is not Behaviour.HANG])
def test_no_misbehaviour_is_an_accident(sandbox: Sandbox, caplog: pytest.LogCaptureFixture, name: str) -> None:
    sandbox.behave("fal", "*", name, times=1)

    raw_exchange(sandbox, "fal-queue", "painter", timeout=5)

    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []
