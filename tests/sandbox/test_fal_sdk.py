"""The official fal client, unmodified, is served by the sandbox as by fal; only its addresses are pointed elsewhere."""

from collections.abc import Iterator
from typing import Any, Protocol

import fal_client
import httpx
import pytest

from consent_proxy.sandbox.server import Sandbox
from consent_proxy.sandbox.wire import Role
from tests.sandbox.png import decode

MODEL = "fal-ai/flux/dev"
PROMPT = {"prompt": "a lighthouse at dusk"}


class ClientOf(Protocol):
    def __call__(self, sandbox: Sandbox, *, key: str | None = None) -> fal_client.SyncClient: ...


@pytest.fixture
def client_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[ClientOf]:
    made: list[fal_client.SyncClient] = []

    def client_of(sandbox: Sandbox, *, key: str | None = None) -> fal_client.SyncClient:
        # The client writes https:// before the host of its environment variables, so for plain http these two are set.
        monkeypatch.setattr(fal_client.client, "RUN_URL_FORMAT", f"{sandbox.fal_run_url}/")
        monkeypatch.setattr(fal_client.client, "QUEUE_URL_FORMAT", f"{sandbox.fal_queue_url}/")
        made.append(fal_client.SyncClient(key=key or sandbox.fal_key))
        return made[-1]

    yield client_of
    for client in made:
        client._client.close()  # the client itself has no way to


@pytest.fixture
def fal(sandbox: Sandbox, client_of: ClientOf) -> fal_client.SyncClient:
    return client_of(sandbox)


def test_a_run_answers_with_a_real_picture(sandbox: Sandbox, fal: fal_client.SyncClient, http: httpx.Client) -> None:
    result = fal.run(MODEL, {**PROMPT, "seed": 3})

    [image] = result["images"]
    assert image["url"].startswith(f"http://{sandbox.fal_output_host}/")
    reply = http.get(image["url"])
    picture = decode(reply.content)
    assert (picture.width, picture.height) == (image["width"], image["height"]) == (1024, 1024)
    assert reply.headers["content-type"] == image["content_type"] == "image/png"
    assert (result["seed"], result["prompt"], result["has_nsfw_concepts"]) == (3, PROMPT["prompt"], [False])


def test_a_subscription_sees_the_queue_the_work_and_the_end(fal: fal_client.SyncClient) -> None:
    seen: list[Any] = []

    result = fal.subscribe(MODEL, PROMPT, with_logs=True, on_queue_update=seen.append)

    # The time that passes may hurry a job on, so only the order is certain.
    assert [type(status) for status in seen[-1:]] == [fal_client.Completed]
    assert seen[-1].logs is not None
    assert PROMPT["prompt"] in seen[-1].logs[0]["message"]
    assert seen[-1].metrics["inference_time"] > 0
    assert len(result["images"]) == 1


def test_statuses_advance_by_polls_alone_when_time_stands_still(client_of: ClientOf) -> None:
    with Sandbox(job_seconds=3600) as patient:
        handle = client_of(patient).submit(MODEL, PROMPT)

        statuses = [handle.status(), handle.status(with_logs=True), handle.status(), handle.status()]

    assert statuses[0] == fal_client.Queued(position=0)
    assert isinstance(statuses[1], fal_client.InProgress)
    assert statuses[1].logs
    assert [type(status) for status in statuses[2:]] == [fal_client.Completed, fal_client.Completed]
    assert statuses[2].logs is None  # type: ignore[attr-defined]


def test_a_handle_built_from_the_id_finds_the_request(fal: fal_client.SyncClient) -> None:
    submitted = fal.submit(MODEL, PROMPT)

    handle = fal.get_handle(MODEL, submitted.request_id)

    assert handle.status_url == submitted.status_url
    assert handle.get() == submitted.get()


def test_a_cancelled_request_ends_without_a_picture(sandbox: Sandbox, fal: fal_client.SyncClient) -> None:
    sandbox.behave("fal", MODEL, "slow")
    handle = fal.submit(MODEL, PROMPT)

    handle.cancel()

    status = handle.status()
    assert isinstance(status, fal_client.Completed)
    assert status.error_type == "client_cancelled"
    with pytest.raises(fal_client.FalClientHTTPError) as raised:
        handle.get()
    assert raised.value.status_code == 499


def test_the_wrong_key_is_refused(sandbox: Sandbox, client_of: ClientOf) -> None:
    with pytest.raises(fal_client.FalClientHTTPError, match="invalid key credentials") as raised:
        client_of(sandbox, key="some:other").run(MODEL, PROMPT)

    assert raised.value.status_code == 401
    assert len(sandbox.wire.requests()) == 1


def test_a_failed_job_raises_what_the_model_said(fal: fal_client.SyncClient) -> None:
    with pytest.raises(fal_client.FalClientHTTPError) as raised:
        fal.subscribe("sandbox/fail", PROMPT)

    [problem] = raised.value.response.json()["detail"]
    assert raised.value.status_code == 422
    assert (problem["type"], problem["input"]) == ("content_policy_violation", PROMPT["prompt"])


def test_the_failed_job_says_so_in_its_status(fal: fal_client.SyncClient) -> None:
    handle = fal.submit("sandbox/fail", PROMPT)
    *_, last = handle.iter_events(interval=0.01)

    assert isinstance(last, fal_client.Completed)
    assert (last.error, last.error_type) == ("Invalid status code: 422", "content_policy_violation")


def test_what_the_client_sent_is_on_the_wire_verbatim(sandbox: Sandbox, fal: fal_client.SyncClient) -> None:
    fal.run(MODEL, PROMPT, headers={"X-Fal-Store-IO": "0"})

    [request] = sandbox.wire.requests(role=Role.FAL_RUN)
    assert request.body == b'{"prompt":"a lighthouse at dusk"}'
    assert request.header("authorization") == f"Key {sandbox.fal_key}"
    assert request.header("user-agent") == "fal-client/1.0.3 (python)"
    assert request.privacy_switches == {"x-fal-store-io": "0"}
