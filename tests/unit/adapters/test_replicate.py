"""Replicate's own words: by model, version and deployment; what a prediction is taken for; what a deployment runs."""

import json
from typing import Any

import httpx
import pytest

from consent_proxy.adapters.providers.replicate import DEPLOYMENTS_REMEMBERED, ReplicateDeployments
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.transfers import Answer, Answered, ProviderCall
from tests.provider_samples import TOKEN, VERSION, Stub, a_job, a_replicate, send

BY_MODEL = ProviderCall(operation="prediction")
API = "https://gateway.test/replicate/v1"


def a_prediction(**overrides: Any) -> dict[str, Any]:
    return {"id": "rm0abc", "status": "starting", "input": {"prompt": "a boat"}, "output": None, **overrides}


def created(**overrides: Any) -> Stub:
    return Stub(httpx.Response(201, json=a_prediction(**overrides)))


def answered(answer: Answer) -> Answered:
    assert isinstance(answer, Answered)
    return answer


@pytest.mark.parametrize(
    ("call", "url", "body"),
    [
        (BY_MODEL, f"{API}/models/black-forest-labs/flux-schnell/predictions", {"input": {"prompt": "a boat"}}),
        (
            ProviderCall(operation="prediction", version=VERSION),
            f"{API}/predictions",
            {"version": f"black-forest-labs/flux-schnell:{VERSION}", "input": {"prompt": "a boat"}},
        ),
        (
            ProviderCall(operation="prediction", deployment="acme/portraits", version=VERSION),
            f"{API}/deployments/acme/portraits/predictions",
            {"input": {"prompt": "a boat"}},
        ),
    ],
)
async def test_a_prediction_is_asked_of_a_model_a_version_or_a_deployment(
    call: ProviderCall, url: str, body: dict[str, Any]
) -> None:
    stub = created()
    await send(a_replicate(stub.outbound), call=call)
    assert str(stub.request.url) == url
    assert json.loads(stub.request.content) == body


async def test_its_headers_are_those_on_the_list() -> None:
    stub = created()
    await send(a_replicate(stub.outbound), call=ProviderCall(operation="prediction", wait_seconds=60))
    headers = dict(stub.request.headers)
    del headers["content-length"]
    assert headers == {
        "host": "gateway.test",
        "authorization": f"Bearer {TOKEN}",
        "accept": "application/json",
        "content-type": "application/json",
        "cancel-after": "30m",
        "prefer": "wait=50",
    }


async def test_without_a_wait_there_is_no_preference() -> None:
    stub = created()
    await send(a_replicate(stub.outbound), call=BY_MODEL)
    assert "prefer" not in stub.request.headers


async def test_only_the_outputs_own_files_are_results() -> None:
    stub = created(
        input={"image": "https://replicate.delivery/earlier.png"},
        output={"png": ["https://replicate.delivery/x/out-0.png", "https://elsewhere.test/out-1.png"]},
        urls={"stream": "https://replicate.delivery/stream"},
    )
    answer = answered(await send(a_replicate(stub.outbound), call=BY_MODEL))
    assert answer.outputs == ("https://replicate.delivery/x/out-0.png",)


@pytest.mark.parametrize(
    ("status", "output", "finished"),
    [
        ("starting", None, False),
        ("processing", None, False),
        ("processing", ["https://replicate.delivery/x.png"], True),
        ("succeeded", "text", True),
        ("failed", None, True),
        ("canceled", None, True),
        ("aborted", None, True),
    ],
)
async def test_a_create_is_finished_when_its_output_is_there_or_nothing_more_will_come(
    status: str, output: Any, finished: bool
) -> None:
    stub = created(status=status, output=output)
    answer = answered(await send(a_replicate(stub.outbound), call=BY_MODEL))
    assert answer.finished is finished
    assert answer.provider_job is not None
    assert answer.provider_job.id == "rm0abc"


async def test_a_polled_prediction_that_goes_on_is_not_finished_by_its_first_words() -> None:
    stub = created(status="processing", output=["Once", " upon"])
    answer = answered(await a_replicate(stub.outbound).result(a_job("replicate")))
    assert not answer.finished


@pytest.mark.parametrize("prediction_id", [None, "", "../account", "a/b", "x" * 129])
async def test_an_id_that_is_none_makes_the_reply_unusable(prediction_id: object) -> None:
    stub = created(id=prediction_id)
    answer = answered(await send(a_replicate(stub.outbound), call=BY_MODEL))
    assert (answer.problem, answer.provider_job) == (Reason.PROVIDER_REPLY_UNUSABLE, None)


async def test_a_prediction_is_read_and_cancelled_by_its_id_alone() -> None:
    stub = Stub(lambda _: httpx.Response(200, json=a_prediction(urls={"get": "https://evil.test/"})))
    replicate, job = a_replicate(stub.outbound), a_job("replicate", job_id="rm0abc")
    await replicate.result(job)
    await replicate.status(job, logs=True)
    await replicate.cancel(job)
    assert [(request.method, str(request.url)) for request in stub.requests] == [
        ("GET", f"{API}/predictions/rm0abc"),
        ("GET", f"{API}/predictions/rm0abc"),
        ("POST", f"{API}/predictions/rm0abc/cancel"),
    ]
    assert stub.requests[2].content == b""


class Ticking:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def deployments(stub: Stub, clock: Ticking | None = None, **overrides: Any) -> ReplicateDeployments:
    values: dict[str, Any] = {"token": TOKEN, "api_url": API, "monotonic": clock or Ticking()}
    return ReplicateDeployments(stub.outbound, **{**values, **overrides})


def released(model: object = "acme/portraits", version: object = VERSION) -> httpx.Response:
    return httpx.Response(200, json={"owner": "acme", "current_release": {"model": model, "version": version}})


async def test_a_deployment_is_looked_up_once_a_minute() -> None:
    stub, clock = Stub(lambda _: released()), Ticking()
    directory = deployments(stub, clock)
    for _ in range(3):
        assert await directory.model_of("acme", "live") == ("acme/portraits", VERSION)
    assert str(stub.request.url) == f"{API}/deployments/acme/live"
    clock.seconds = 61
    await directory.model_of("acme", "live")
    assert len(stub.requests) == 2


async def test_a_deployment_that_is_not_there_is_remembered_as_well() -> None:
    stub = Stub(lambda _: httpx.Response(404, json={"detail": "not found"}))
    directory = deployments(stub)
    assert await directory.model_of("acme", "gone") is None
    assert await directory.model_of("acme", "gone") is None
    assert len(stub.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [
        httpx.Response(500),
        httpx.Response(200, content=b"<html>"),
        httpx.ReadTimeout("slow"),
        httpx.Response(401, json={"detail": "no"}),
    ],
)
async def test_a_lookup_that_fails_names_no_model_and_is_not_remembered(reply: Any) -> None:
    stub = Stub(reply)
    directory = deployments(stub)
    assert await directory.model_of("acme", "live") is None
    assert await directory.model_of("acme", "live") is None
    assert len(stub.requests) == 2


@pytest.mark.parametrize("release", [released(model=None), released(model="../x"), released(model="a b/c")])
async def test_a_release_without_a_models_name_is_none(release: httpx.Response) -> None:
    assert await deployments(Stub(release)).model_of("acme", "live") is None


async def test_a_version_that_is_no_digest_is_left_out() -> None:
    assert await deployments(Stub(released(version="latest"))).model_of("acme", "live") == ("acme/portraits", None)


@pytest.mark.parametrize(("owner", "name"), [("..", "live"), ("acme", "a/b"), ("acme", ""), ("a b", "c"), (".", ".")])
async def test_a_name_that_is_none_is_never_asked_for(owner: str, name: str) -> None:
    stub = Stub(released())
    assert await deployments(stub).model_of(owner, name) is None
    assert stub.requests == []


async def test_without_a_token_nobody_is_asked() -> None:
    stub = Stub(released())
    assert await deployments(stub, token=None).model_of("acme", "live") is None
    assert stub.requests == []


async def test_what_is_remembered_is_bounded() -> None:
    stub = Stub(lambda _: released())
    directory = deployments(stub)
    for number in range(DEPLOYMENTS_REMEMBERED + 10):
        await directory.model_of("acme", f"d{number}")
    assert len(directory._remembered) == DEPLOYMENTS_REMEMBERED
