"""The official Replicate client, unmodified, is served by the sandbox as by Replicate."""

from collections.abc import Iterator

import httpx
import pytest
from replicate.client import Client
from replicate.exceptions import ModelError, ReplicateError
from replicate.helpers import FileOutput

from consent_proxy.sandbox.server import SAMPLE_DEPLOYMENT, Sandbox
from consent_proxy.sandbox.wire import Role
from tests.sandbox.png import decode

OFFICIAL = "black-forest-labs/flux-schnell"
COMMUNITY = "stability-ai/sdxl"
PROMPT = {"prompt": "a lighthouse at dusk"}


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Client]:
    base_url = sandbox.replicate_api_url.removesuffix("/v1")  # this client writes /v1 itself
    client = Client(api_token=sandbox.replicate_token, base_url=base_url)
    client.poll_interval = 0.01
    yield client
    client._client.close()


def test_a_run_answers_with_a_real_picture(sandbox: Sandbox, client: Client, http: httpx.Client) -> None:
    [url] = client.run(OFFICIAL, input=PROMPT)

    assert url.startswith(f"http://{sandbox.replicate_delivery_host}/")
    reply = http.get(url)
    assert reply.headers["content-type"] == "image/png"
    assert (decode(reply.content).width, decode(reply.content).height) == (1024, 1024)
    assert len(sandbox.wire.requests(role=Role.REPLICATE_API)) == 1


def test_a_run_of_a_version_looks_at_its_schema_afterwards(sandbox: Sandbox, client: Client) -> None:
    version = client.models.get(COMMUNITY).latest_version
    assert version is not None
    sandbox.wire.clear()

    [url] = client.run(f"{COMMUNITY}:{version.id}", input={**PROMPT, "width": 512, "height": 256})

    assert url.endswith("/out-0.png")
    assert [request.method for request in sandbox.wire.requests()] == ["POST", "GET"]
    assert "Output" in version.openapi_schema["components"]["schemas"]


def test_a_run_that_does_not_wait_polls_until_the_end(sandbox: Sandbox, client: Client) -> None:
    [url] = client.run(OFFICIAL, input=PROMPT, wait=False)

    assert url.endswith(".png")
    assert sandbox.wire.requests()[0].header("prefer") is None
    assert len(sandbox.wire.requests(method="GET")) >= 1


def test_a_model_with_a_single_output_answers_with_a_single_url(client: Client) -> None:
    assert isinstance(client.run("black-forest-labs/flux-1.1-pro", input=PROMPT), str)


def test_a_prediction_advances_from_poll_to_poll() -> None:
    with Sandbox(job_seconds=3600) as patient:
        base_url = patient.replicate_api_url.removesuffix("/v1")
        client = Client(api_token=patient.replicate_token, base_url=base_url)
        prediction = client.models.predictions.create(OFFICIAL, input=PROMPT)
        statuses = [prediction.status]
        for _ in range(3):
            prediction.reload()
            statuses.append(prediction.status)
        client._client.close()

    assert statuses == ["starting", "starting", "processing", "succeeded"]
    assert prediction.logs is not None
    assert PROMPT["prompt"] in prediction.logs
    assert prediction.progress is not None
    assert prediction.progress.percentage == 1
    assert prediction.metrics


def test_a_deployment_runs_its_model(client: Client) -> None:
    deployment = client.deployments.get(SAMPLE_DEPLOYMENT)
    assert deployment.current_release is not None

    prediction = deployment.predictions.create(input=PROMPT)
    prediction.wait()

    assert prediction.status == "succeeded"
    assert prediction.model == deployment.current_release.model == "black-forest-labs/flux-dev"
    assert prediction.version == deployment.current_release.version


def test_a_cancelled_prediction_ends_without_output(sandbox: Sandbox, client: Client) -> None:
    sandbox.behave("replicate", OFFICIAL, "slow")
    prediction = client.models.predictions.create(OFFICIAL, input=PROMPT)

    prediction.cancel()

    assert (prediction.status, prediction.output) == ("canceled", None)


@pytest.mark.parametrize("wait", [True, False])
def test_a_failed_prediction_raises_what_the_model_said(client: Client, wait: bool) -> None:
    with pytest.raises(ModelError, match=PROMPT["prompt"]) as raised:
        client.run("sandbox/fail", input=PROMPT, wait=wait)

    assert raised.value.prediction.status == "failed"


def test_the_wrong_token_is_refused(sandbox: Sandbox, client: Client) -> None:
    client._client.headers["authorization"] = "Bearer r8_other"

    with pytest.raises(ReplicateError) as raised:
        client.run(OFFICIAL, input=PROMPT)

    assert (raised.value.status, raised.value.title) == (401, "Unauthenticated")


def test_reading_an_output_with_the_client_itself_is_a_violation(sandbox: Sandbox, client: Client) -> None:
    [url] = client.run(OFFICIAL, input=PROMPT)
    assert sandbox.wire.violations == []

    FileOutput(url, client).read()

    [violation] = sandbox.wire.violations
    assert violation.reason == "a credential was sent to replicate-delivery"


def test_what_the_client_sent_is_on_the_wire_verbatim(sandbox: Sandbox, client: Client) -> None:
    client.run(OFFICIAL, input=PROMPT, wait=7)

    [request] = sandbox.wire.requests()
    assert request.path == f"/v1/models/{OFFICIAL}/predictions"
    assert request.body == b'{"input":{"prompt":"a lighthouse at dusk"}}'
    assert request.header("authorization") == f"Bearer {sandbox.replicate_token}"
    assert request.header("prefer") == "wait=7"
