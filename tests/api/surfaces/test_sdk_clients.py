"""The official clients, as the sdk points them, against the service on a socket."""

from collections.abc import Iterator
from typing import Any

import pytest
from fal_client import AsyncRequestHandle, Completed, FalClientHTTPError, SyncClient
from httpx import HTTPStatusError
from replicate.client import Client
from replicate.exceptions import ReplicateError
from replicate.helpers import FileOutput

from consent_proxy.sandbox.behaviours import Behaviour
from consent_proxy.sdk import async_fal_client, fal_client, replicate_client
from tests.live import KEY, Live, a_person

FLUX = "fal-ai/flux/schnell"
SCHNELL = "black-forest-labs/flux-schnell"
SDXL = "stability-ai/sdxl:39ed52f2a78e934b3ba6e2a89f5b1c712de7dfea535525255b1aa35c5565e08b"
INPUT = {"prompt": "a boat"}


@pytest.fixture
def person(live: Live) -> str:
    """Somebody who said yes."""
    person = a_person()
    live.decide(person)
    return person


@pytest.fixture
def fal(live: Live, person: str) -> Iterator[SyncClient]:
    client = fal_client(live.url, KEY, subject=person)
    yield client
    client._client.close()


@pytest.fixture
def replicate(live: Live, person: str) -> Iterator[Client]:
    client = replicate_client(live.url, KEY, subject=person)
    client.poll_interval = 0.02
    yield client
    client._client.close()


def test_fal_runs(live: Live, fal: SyncClient) -> None:
    result = fal.run(FLUX, {**INPUT, "email": "mia@example.com"})
    assert result["images"][0]["url"].startswith(f"{live.url}/v1/files/")
    assert live.sent() == [INPUT]


def test_fal_subscribes_and_shows_the_queue(fal: SyncClient) -> None:
    seen: list[Any] = []
    result = fal.subscribe(FLUX, INPUT, with_logs=True, on_queue_update=seen.append)
    assert isinstance(seen[-1], Completed)
    assert seen[-1].logs
    assert result["images"]


def test_fals_handles_can_be_built_from_an_id(fal: SyncClient) -> None:
    request_id = fal.submit(FLUX, INPUT).request_id
    assert fal.result(FLUX, request_id)["images"]
    assert isinstance(fal.status(FLUX, request_id), Completed)


def test_a_refusal_is_fals_own_kind_of_error_and_is_not_sent_twice(live: Live) -> None:
    client = fal_client(live.url, KEY, subject=a_person())
    with pytest.raises(FalClientHTTPError) as refused:
        client.run(FLUX, INPUT)
    assert (refused.value.status_code, refused.value.error_type) == (403, "consent-never-asked")
    assert str(refused.value).startswith("consent-never-asked: ")
    assert live.reached() == []
    client._client.close()


@pytest.mark.parametrize(
    "behaviour", [Behaviour.THROTTLED, Behaviour.BAD_GATEWAY, Behaviour.UNAVAILABLE, Behaviour.RESET]
)
def test_a_provider_that_fails_is_not_sent_to_again(live: Live, fal: SyncClient, behaviour: Behaviour) -> None:
    live.sandbox.behave("fal", "*", behaviour)
    for ask in (fal.run, fal.submit):
        with pytest.raises(FalClientHTTPError) as failed:
            ask(FLUX, INPUT)
        assert failed.value.status_code == 500
    assert len(live.sent()) == 2


def test_an_upload_comes_to_us_and_is_refused_here(live: Live, fal: SyncClient, person: str) -> None:
    with pytest.raises(HTTPStatusError, match="501"):
        fal.upload(b"a photo of mia", "image/jpeg", file_name="mia.jpg")
    assert live.reached() == []


async def test_fals_asynchronous_client_is_pointed_alike(live: Live, person: str) -> None:
    client = async_fal_client(live.url, KEY, subject=person)
    assert (await client.run(FLUX, INPUT))["images"]
    handle = await client.submit(FLUX, INPUT)
    assert isinstance(handle, AsyncRequestHandle)
    assert (await handle.get())["images"]
    with pytest.raises(FalClientHTTPError, match="not-offered"):
        await client.upload(b"a photo of mia", "image/jpeg")
    await (await client._client).aclose()


def test_a_subject_token_is_all_an_sdk_needs(live: Live, person: str) -> None:
    client = fal_client(live.url, live.token(person))
    assert client.run(FLUX, INPUT)["images"]
    client._client.close()
    other = replicate_client(live.url, live.token(person))
    (file,) = other.run(SCHNELL, input=INPUT)
    assert file.read().startswith(b"\x89PNG")
    other._client.close()


@pytest.mark.parametrize("wait", [True, False, 1])
@pytest.mark.parametrize("reference", [SCHNELL, SDXL])
def test_replicate_runs_and_hands_files_out(live: Live, replicate: Client, reference: str, wait: Any) -> None:
    output: Any = replicate.run(reference, input={**INPUT, "email": "mia@example.com"}, wait=wait)
    (file,) = output
    assert isinstance(file, FileOutput)
    assert file.read().startswith(b"\x89PNG")
    assert b"".join(file).startswith(b"\x89PNG")
    assert not live.sandbox.wire.contains("mia@example.com")
    assert live.sandbox.wire.violations == []


async def test_replicate_runs_asynchronously(live: Live, person: str) -> None:
    client = replicate_client(live.url, KEY, subject=person)
    output: Any = await client.async_run(SDXL, input=INPUT)
    (file,) = output
    assert (await file.aread()).startswith(b"\x89PNG")
    await client._async_client.aclose()


def test_replicates_predictions_are_made_read_and_cancelled(live: Live, replicate: Client) -> None:
    live.sandbox.behave("replicate", "*", Behaviour.SLOW)
    prediction = replicate.predictions.create(model=SCHNELL, input=INPUT)
    prediction.reload()
    assert prediction.status in {"starting", "processing"}
    prediction.cancel()
    assert replicate.predictions.get(prediction.id).status == "canceled"


def test_replicates_deployments_run(replicate: Client) -> None:
    prediction = replicate.deployments.predictions.create("sandbox/portraits", input=INPUT)
    prediction.wait()
    assert prediction.status == "succeeded"


def test_a_refusal_is_replicates_own_kind_of_error(live: Live) -> None:
    client = replicate_client(live.url, KEY, subject=a_person(), kind="session")
    with pytest.raises(ReplicateError) as refused:
        client.run(SCHNELL, input=INPUT)
    assert refused.value.status == 403
    assert refused.value.type == "/problems/consent-never-asked"
    assert refused.value.instance is not None
    assert refused.value.instance.startswith("/v1/transfers/")
    assert live.reached() == []
    client._client.close()


def test_a_body_of_50_megabytes_is_answered_in_the_sdks_own_words(
    live: Live, fal: SyncClient, replicate: Client
) -> None:
    huge = {"prompt": "a" * 50_000_000}
    with pytest.raises(FalClientHTTPError) as at_fal:
        fal.run(FLUX, huge)
    assert (at_fal.value.status_code, at_fal.value.error_type) == (413, "body-too-large")
    with pytest.raises(ReplicateError) as at_replicate:
        replicate.run(SCHNELL, input=huge)
    assert at_replicate.value.status == 413
    assert live.reached() == []
