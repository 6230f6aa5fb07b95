"""The official Replicate client, unmodified: every way of running a model works, and a no is heard at once."""

from collections.abc import Callable, Iterator
from io import BytesIO
from random import Random
from typing import Any

import httpx
import pytest
from PIL import Image
from replicate.client import Client
from replicate.exceptions import ModelError, ReplicateError
from replicate.helpers import FileOutput

from consent_proxy.sandbox.behaviours import Behaviour
from consent_proxy.sandbox.server import SAMPLE_DEPLOYMENT
from consent_proxy.sandbox.wire import Role as Host
from consent_proxy.sdk import replicate_client
from tests.live import KEY, Live, a_person
from tests.media.jpegs import JPEGS
from tests.media.tells import MARKS
from tests.sandbox.png import decode

MODEL = "black-forest-labs/flux-schnell"
COMMUNITY = "stability-ai/sdxl"
VERSION = "39ed52f2a78e934b3ba6e2a89f5b1c712de7dfea535525255b1aa35c5565e08b"
EMAIL, DEVICE = "mia@example.com", "Mia's iPhone 17"
INPUT: dict[str, Any] = {"prompt": "a lighthouse at dusk", "output_format": "png", "seed": 3}
PROMPT: dict[str, Any] = {"prompt": "a lighthouse at dusk"}
Connect = Callable[..., Client]


@pytest.fixture
def connect(live: Live) -> Iterator[Connect]:
    """The official client, pointed at the proxy."""
    made: list[Client] = []

    def connect(*, credential: str = KEY, subject: str | None = None) -> Client:
        made.append(replicate_client(live.url, credential, subject=subject))
        made[-1].poll_interval = 0.02
        return made[-1]

    live.sandbox.know_version(VERSION, model=COMMUNITY)
    yield connect
    for client in made:
        client._client.close()


@pytest.fixture
def replicate(connect: Connect, person: str) -> Client:
    return connect(subject=person)


def assert_picture(live: Live, output: Any) -> None:
    """A file the SDK reads by itself, and that anybody can read at our address."""
    assert isinstance(output, FileOutput)
    assert output.url.split("://")[1].startswith(f"{live.url.split('://')[1]}/v1/files/")
    decode(output.read())


@pytest.mark.parametrize("wait", [None, True, 5, False], ids=str)
def test_a_model_is_run_by_its_name_whatever_the_wait(live: Live, replicate: Client, wait: Any) -> None:
    more = {} if wait is None else {"wait": wait}
    [output] = replicate.run(MODEL, input=INPUT, **more)
    assert_picture(live, output)
    assert [body["input"] for body in live.sent()] == [INPUT]
    prefer = live.sandbox.wire.requests(method="POST")[0].header("prefer")
    assert prefer == {None: "wait=50", True: "wait=50", 5: "wait=5", False: None}[wait]


def test_a_model_is_run_by_its_version(live: Live, replicate: Client) -> None:
    [output] = list(replicate.run(f"{COMMUNITY}:{VERSION}", input=PROMPT))
    assert_picture(live, output)
    [created] = live.sandbox.wire.requests(method="POST")
    assert (created.path, created.json()["version"]) == ("/v1/predictions", f"{COMMUNITY}:{VERSION}")


def test_a_model_and_its_versions_are_read_as_the_sdk_reads_them(live: Live, replicate: Client) -> None:
    model = replicate.models.get(COMMUNITY)
    assert model.latest_version is not None
    assert model.latest_version.id == VERSION
    assert [version.id for version in model.versions.list()] == [VERSION]
    schema = model.versions.get(VERSION).openapi_schema
    assert "prompt" in schema["components"]["schemas"]["Input"]["properties"]
    assert live.sandbox.wire.requests() == []


def test_a_picture_goes_in_as_the_sdk_encodes_it(live: Live, replicate: Client) -> None:
    photo = BytesIO(JPEGS["baseline"]())
    model = "black-forest-labs/flux-dev"
    replicate.run(model, input={**PROMPT, "image": photo}, file_encoding_strategy="base64")
    [sent] = live.sent()
    assert sent["input"]["image"].startswith("data:image/jpeg;base64,")
    assert not any(live.sandbox.wire.contains(mark) for mark in MARKS)


def test_an_uploads_address_at_the_provider_is_not_the_callers(live: Live, replicate: Client, person: str) -> None:
    noise = Image.frombytes("RGB", (700, 500), Random(4711).randbytes(3 * 700 * 500))
    file = BytesIO()
    noise.save(file, "JPEG", quality=98, subsampling=0)
    held = live.done("POST", "/v1/media", subject=person, content=file.getvalue())
    assert held["bytes"] > 256_000
    model = "black-forest-labs/flux-dev"
    prediction = replicate.models.predictions.create(model=model, input={**PROMPT, "image": held["url"]})
    assert prediction.input == {**PROMPT, "image": None}
    assert live.sandbox.wire.requests(method="POST")[0].path == "/v1/files"


def test_a_deployment_is_run_by_its_name(live: Live, replicate: Client) -> None:
    prediction = replicate.deployments.predictions.create(deployment=SAMPLE_DEPLOYMENT, input=PROMPT)
    prediction.wait()
    assert prediction.status == "succeeded"
    paths = [path for method, path in live.reached() if method == "POST"]
    assert paths == [f"/v1/deployments/{SAMPLE_DEPLOYMENT}/predictions"]


def test_a_prediction_is_made_followed_and_read_again(live: Live, replicate: Client) -> None:
    prediction = replicate.predictions.create(version=VERSION, input=PROMPT)
    assert prediction.status == "starting"
    prediction.wait()
    assert (prediction.status, prediction.error) == ("succeeded", None)
    again = replicate.predictions.get(prediction.id)
    assert (again.id, again.output) == (prediction.id, prediction.output)
    [url] = prediction.output or []
    assert live.http.get(url.replace("https://", "http://")).status_code == 200
    assert prediction.urls is not None
    assert prediction.urls["get"].startswith(f"{live.url}/replicate/v1/predictions/")


def test_a_cancelled_prediction_ends_without_a_picture(live: Live, replicate: Client) -> None:
    live.sandbox.behave("replicate", "*", Behaviour.SLOW)
    prediction = replicate.models.predictions.create(model=MODEL, input=PROMPT)
    prediction.cancel()
    prediction.wait()
    assert (prediction.status, prediction.output) == ("canceled", None)


async def test_the_async_half_of_the_client_does_the_same(live: Live, replicate: Client) -> None:
    outputs: Any = await replicate.async_run(MODEL, input=INPUT)
    [output] = outputs
    assert isinstance(output, FileOutput)
    decode(await output.aread())
    prediction = await replicate.predictions.async_create(version=VERSION, input=PROMPT)
    await prediction.async_wait()
    assert prediction.status == "succeeded"
    await replicate._async_client.aclose()


def test_a_phones_token_is_all_that_an_unmodified_sdk_needs(live: Live, person: str) -> None:
    """Pointed by Replicate's own setting and token alone, without a line of ours in between."""
    client = Client(api_token=live.token(person), base_url=f"{live.url}/replicate")
    client.poll_interval = 0.02
    try:
        [url] = client.run(MODEL, input=INPUT)
        # This client takes plain http for text: files need https, which a proxy in production has.
        decode(live.http.get(str(url)).content)
        live.withdraw(person)
        with pytest.raises(ReplicateError, match="consent-withdrawn: "):
            client.run(MODEL, input=INPUT)
    finally:
        client._client.close()


#: How a request comes to be refused: the model, its input, the status and the slug.
REFUSALS: dict[str, tuple[str, dict[str, Any], int, str]] = {
    "an unknown model": ("unheard/of", PROMPT, 403, "model-unknown"),
    "an unknown version": (f"{COMMUNITY}:{'0' * 64}", PROMPT, 403, "model-unknown"),
    "a value that may not leave": (MODEL, {**PROMPT, "seed": "Mia"}, 422, "value-not-allowed"),
    "an address in a prompt": (MODEL, {"prompt": "https://example.com/mia"}, 422, "value-not-allowed"),
    "a picture": ("black-forest-labs/flux-dev", {"prompt": "x", "image": "x"}, 422, "media-source-not-allowed"),
}


@pytest.mark.parametrize(("model", "given", "status", "reason"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refusal_is_the_sdks_own_exception_and_is_not_sent_again(
    live: Live, replicate: Client, model: str, given: dict[str, Any], status: int, reason: str
) -> None:
    with pytest.raises(ReplicateError) as raised:
        replicate.run(model, input=given)
    error = raised.value
    assert (error.status, error.type) == (status, f"/problems/{reason}")
    assert error.detail is not None
    assert error.detail.startswith(f"{reason}: ")
    assert error.instance is not None
    assert live.done("GET", error.instance)["reason"] == reason
    assert [asked for asked in live.requests if asked.startswith("POST")] == live.requests[:1]
    assert live.reached() == []


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([], "consent-never-asked"),
        (["declined"], "consent-declined"),
        (["granted", "withdrawn"], "consent-withdrawn"),
    ],
)
@pytest.mark.parametrize("way", ["model", "version", "deployment"])
def test_a_persons_no_is_the_sdks_own_exception_and_is_not_sent_again(
    live: Live, connect: Connect, way: str, answers: list[str], reason: str
) -> None:
    name = a_person()
    for answer in answers:
        if answer == "withdrawn":
            live.withdraw(name)
        else:
            live.decide(name, answer)
    live.requests.clear()
    client = connect(subject=name)
    ways: dict[str, Callable[[], object]] = {
        "model": lambda: client.run(MODEL, input=PROMPT),
        "version": lambda: client.predictions.create(version=VERSION, input=PROMPT),
        "deployment": lambda: client.deployments.predictions.create(deployment=SAMPLE_DEPLOYMENT, input=PROMPT),
    }
    with pytest.raises(ReplicateError, match=f"{reason}: ") as raised:
        ways[way]()
    assert raised.value.status == 403
    assert len(live.requests) == 1
    assert live.reached() == []


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (Behaviour.RESET, "provider-reply-unusable"),
        (Behaviour.CUT, "provider-reply-unusable"),
        (Behaviour.ERROR, "provider-refused"),
        (Behaviour.UNAVAILABLE, "provider-refused"),
        (Behaviour.BAD_GATEWAY, "provider-refused"),
        (Behaviour.THROTTLED, "provider-refused"),
        (Behaviour.UNAUTHORISED, "provider-refused"),
        (Behaviour.INSUFFICIENT, "provider-refused"),
        (Behaviour.REDIRECT_WITH_BODY, "provider-reply-unusable"),
        (Behaviour.JUNK, "provider-reply-unusable"),
        (Behaviour.BAD_UTF8, "provider-reply-unusable"),
    ],
)
def test_whatever_replicate_does_the_sdk_raises_and_nothing_is_sent_twice(
    live: Live, replicate: Client, behaviour: Behaviour, reason: str
) -> None:
    live.sandbox.behave("replicate", MODEL, behaviour)
    with pytest.raises(ReplicateError, match=f"{reason}: ") as raised:
        replicate.run(MODEL, input=INPUT)
    assert raised.value.status is not None
    assert raised.value.status >= 500
    assert live.requests == [f"POST /replicate/v1/models/{MODEL}/predictions"]
    assert len(live.reached()) == 1
    assert live.sandbox.wire.violations == []


def test_a_model_that_fails_is_the_sdks_own_model_error(live: Live, replicate: Client) -> None:
    live.sandbox.behave("replicate", MODEL, Behaviour.FAIL)
    with pytest.raises(ModelError):
        replicate.run(MODEL, input=INPUT)
    assert len(live.sent()) == 1


def test_a_prediction_of_somebody_else_is_not_there(
    live: Live, replicate: Client, connect: Connect, person: str
) -> None:
    prediction = replicate.models.predictions.create(model=MODEL, input=PROMPT)
    strangers = [
        connect(credential=live.key("gateway"), subject=person),
        connect(subject=a_person()),
        connect(credential=live.token(a_person())),
    ]
    for stranger in strangers:
        for ask in (stranger.predictions.get, stranger.predictions.cancel):
            with pytest.raises(ReplicateError, match="job-not-yours: ") as raised:
                ask(prediction.id)
            assert raised.value.status == 404
    assert replicate.predictions.get(prediction.id).id == prediction.id


def test_what_is_not_offered_says_so_and_takes_nothing_elsewhere(live: Live, replicate: Client, tmp_path: Any) -> None:
    (tmp_path / "mia.png").write_bytes(b"a picture of Mia")
    attempts: list[Callable[[], object]] = [
        lambda: replicate.files.create(tmp_path / "mia.png"),
        replicate.predictions.list,
        replicate.models.list,
        lambda: replicate.models.search("mia"),
        replicate.hardware.list,
        replicate.accounts.current,
        replicate.collections.list,
        replicate.webhooks.default.secret,
        lambda: replicate.predictions.create(version=VERSION, input=PROMPT, webhook="https://example.com/mia"),
        lambda: replicate.predictions.create(version=VERSION, input=PROMPT, stream=True),
    ]
    for attempt in attempts:
        with pytest.raises((ReplicateError, httpx.HTTPStatusError), match=r"not-offered|501"):
            attempt()
    assert live.sandbox.wire.requests() == []


def test_nothing_but_what_is_listed_leaves_with_the_official_client(live: Live, replicate: Client, person: str) -> None:
    [output] = replicate.run(MODEL, input={**INPUT, "email": EMAIL, "device": DEVICE, "user_id": person})
    assert_picture(live, output)
    assert [body["input"] for body in live.sent()] == [INPUT]
    wire = live.sandbox.wire
    for secret in (person, EMAIL, DEVICE, KEY, "iPhone", "replicate-python"):
        assert not wire.contains(secret), secret
    assert wire.violations == []
    assert all(request.header("authorization") is None for request in wire.requests(role=Host.REPLICATE_DELIVERY))
