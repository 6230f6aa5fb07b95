"""The official fal client, unmodified: everything it is used for works through the proxy, and a no is heard at once."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from uuid import UUID

import fal_client
import httpx
import pytest
from fal_client import AsyncClient, FalClientHTTPError, SyncClient

from consent_proxy.sandbox.behaviours import Behaviour
from consent_proxy.sandbox.wire import Role as Host
from consent_proxy.sdk import async_fal_client
from consent_proxy.sdk import fal_client as client_of
from tests.live import KEY, Live, a_person
from tests.media.jpegs import JPEGS
from tests.media.tells import MARKS
from tests.sandbox.png import decode

MODEL = "fal-ai/flux/schnell"
EMAIL, DEVICE = "mia@example.com", "Mia's iPhone 17"
ARGUMENTS: dict[str, Any] = {"prompt": "a lighthouse at dusk", "image_size": "square", "seed": 3}
Connect = Callable[..., SyncClient]


@pytest.fixture
def connect(live: Live) -> Iterator[Connect]:
    """The official client, pointed at the proxy."""
    made: list[SyncClient] = []

    def connect(*, credential: str = KEY, subject: str | None = None, kind: str | None = None) -> SyncClient:
        made.append(client_of(live.url, credential, subject=subject, kind=kind))
        return made[-1]

    yield connect
    for client in made:
        client._client.close()  # the client itself has no way to


@pytest.fixture
def fal(connect: Connect, person: str) -> SyncClient:
    return connect(subject=person)


@pytest.fixture
async def async_fal(live: Live, person: str) -> AsyncIterator[AsyncClient]:
    client = async_fal_client(live.url, KEY, subject=person)
    yield client
    await (await client._client).aclose()


def picture_of(live: Live, result: Any) -> bytes:
    """The picture a result names, fetched as anybody would."""
    [image] = result["images"]
    assert image["url"].startswith(f"{live.url}/v1/files/")
    reply = live.http.get(image["url"])
    assert (reply.status_code, reply.headers["content-type"]) == (200, "image/png")
    picture = decode(reply.content)
    assert (picture.width, picture.height) == (image["width"], image["height"]) == (512, 512)
    return reply.content


def test_a_run_answers_with_a_real_picture_at_our_address(live: Live, fal: SyncClient) -> None:
    result = fal.run(MODEL, ARGUMENTS)
    picture_of(live, result)
    assert (result["seed"], result["prompt"]) == (3, ARGUMENTS["prompt"])
    assert live.sent() == [ARGUMENTS]


def test_a_subscription_sees_the_queue_the_work_and_the_end(live: Live, fal: SyncClient) -> None:
    seen: list[Any] = []
    enqueued: list[str] = []
    result = fal.subscribe(
        MODEL, ARGUMENTS, with_logs=True, interval=0.02, on_queue_update=seen.append, on_enqueue=enqueued.append
    )
    picture_of(live, result)
    assert isinstance(seen[-1], fal_client.Completed)
    assert seen[-1].logs
    assert str(UUID(enqueued[0])) == enqueued[0]
    [record] = live.done("GET", "/v1/transfers", params={"job": enqueued[0]})["items"]
    assert (record["outcome"]["state"], record["outcome"]["result"]) == ("delivered", "delivered")


def test_a_submitted_request_is_followed_by_its_handle_and_by_its_id(live: Live, fal: SyncClient) -> None:
    handle = fal.submit(MODEL, ARGUMENTS, priority="low")
    for _ in handle.iter_events(with_logs=True, interval=0.02):
        pass
    assert isinstance(handle.status(), fal_client.Completed)
    picture = picture_of(live, handle.get())
    assert fal.get_handle(MODEL, handle.request_id).get() == handle.get()
    assert isinstance(fal.status(MODEL, handle.request_id, with_logs=True), fal_client.Completed)
    assert picture_of(live, fal.result(MODEL, handle.request_id)) == picture
    for url in (handle.response_url, handle.status_url, handle.cancel_url):
        assert url.startswith(f"{live.url}/fal/queue/")


def test_a_cancelled_request_ends_without_a_picture(live: Live, fal: SyncClient) -> None:
    live.sandbox.behave("fal", MODEL, Behaviour.SLOW)
    handle = fal.submit(MODEL, ARGUMENTS)
    handle.cancel()
    status = handle.status()
    assert isinstance(status, fal_client.Completed)
    assert status.error_type == "client_cancelled"
    with pytest.raises(FalClientHTTPError):
        handle.get()
    record = live.done("GET", f"/v1/transfers/{handle.request_id}")
    assert record["outcome"]["cancel"]["result"] == "http-202"


def test_a_picture_goes_in_as_the_sdk_encodes_it_and_a_result_as_the_next_input(live: Live, fal: SyncClient) -> None:
    model, strength = "fal-ai/flux/dev/image-to-image", {"strength": 0.5}
    encoded = fal_client.encode(JPEGS["baseline"](), "image/jpeg")
    first = fal.run(model, {**ARGUMENTS, **strength, "image_url": encoded})
    assert not any(live.sandbox.wire.contains(mark) for mark in MARKS)
    live.sandbox.wire.clear()
    fal.run(model, {**ARGUMENTS, **strength, "image_url": first["images"][0]["url"]})
    assert live.sent()[0]["image_url"].startswith("data:image/png;base64,")


async def test_the_async_client_does_the_same(live: Live, async_fal: AsyncClient) -> None:
    picture_of(live, await async_fal.run(MODEL, ARGUMENTS))
    picture_of(live, await async_fal.subscribe(MODEL, ARGUMENTS, with_logs=True, interval=0.02))
    handle = await async_fal.submit(MODEL, ARGUMENTS)
    picture_of(live, await handle.get())
    assert isinstance(await async_fal.status(MODEL, handle.request_id), fal_client.Completed)
    live.sandbox.behave("fal", MODEL, Behaviour.SLOW)
    cancelled = await async_fal.submit(MODEL, ARGUMENTS)
    await cancelled.cancel()
    status = await cancelled.status()
    assert isinstance(status, fal_client.Completed)
    assert status.error_type == "client_cancelled"


async def test_the_async_client_hears_a_no_at_once(live: Live, async_fal: AsyncClient, person: str) -> None:
    live.withdraw(person)
    live.requests.clear()
    for attempt in (async_fal.run, async_fal.subscribe, async_fal.submit):
        with pytest.raises(FalClientHTTPError, match="consent-withdrawn: "):
            await attempt(MODEL, ARGUMENTS)
    assert len(live.requests) == 3
    assert live.reached() == []


def test_a_phones_token_is_all_that_an_unmodified_sdk_needs(
    live: Live, person: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pointed by fal's own addresses and key alone, without a line of ours in between."""
    monkeypatch.setattr(fal_client.client, "RUN_URL_FORMAT", f"{live.url}/fal/run/")
    monkeypatch.setattr(fal_client.client, "QUEUE_URL_FORMAT", f"{live.url}/fal/queue/")
    client = SyncClient(key=live.token(person))
    try:
        picture_of(live, client.run(MODEL, ARGUMENTS))
        picture_of(live, client.subscribe(MODEL, ARGUMENTS, interval=0.02))
        live.call("POST", "/v1/consent/withdrawals", key=client.key, json={})
        with pytest.raises(FalClientHTTPError, match="consent-withdrawn: "):
            client.run(MODEL, ARGUMENTS)
    finally:
        client._client.close()


def test_the_kind_of_a_subject_goes_along(live: Live, connect: Connect) -> None:
    session = a_person()
    live.done(
        "POST",
        "/v1/consent/decisions",
        subject=session,
        headers={"Consent-Subject-Kind": "session"},
        json={"disclosure": "2026-03-03", "locale": "en", "decision": "granted"},
    )
    picture_of(live, connect(subject=session, kind="session").run(MODEL, ARGUMENTS))
    with pytest.raises(FalClientHTTPError, match="consent-never-asked: "):
        connect(subject=session).run(MODEL, ARGUMENTS)


def test_an_identifier_with_signs_in_it_is_the_same_person(live: Live, connect: Connect) -> None:
    name = f"{a_person()}/é %+"
    client = connect(subject=name)
    with pytest.raises(FalClientHTTPError, match="consent-never-asked: "):
        client.run(MODEL, ARGUMENTS)
    live.decide(name.replace("%", "%25").replace("é", "%C3%A9").replace(" ", "%20"))
    picture_of(live, client.run(MODEL, ARGUMENTS))


#: How a request comes to be refused: what the SDK is called with, the status and the slug.
REFUSALS: dict[str, tuple[str, dict[str, Any], int, str]] = {
    "an unknown model": ("fal-ai/unheard-of", ARGUMENTS, 403, "model-unknown"),
    "a value that may not leave": (MODEL, {**ARGUMENTS, "seed": "Mia"}, 422, "value-not-allowed"),
    "an address in a prompt": (MODEL, {"prompt": "https://example.com/mia"}, 422, "value-not-allowed"),
    "a picture": ("fal-ai/flux/dev/image-to-image", {"prompt": "x", "image_url": "x"}, 422, "media-source-not-allowed"),
}


@pytest.mark.parametrize(("model", "arguments", "status", "reason"), REFUSALS.values(), ids=REFUSALS.keys())
@pytest.mark.parametrize("way", ["run", "submit", "subscribe"])
def test_a_refusal_is_the_sdks_own_exception_and_is_not_sent_again(
    live: Live, fal: SyncClient, way: str, model: str, arguments: dict[str, Any], status: int, reason: str
) -> None:
    with pytest.raises(FalClientHTTPError, match=f"^{reason}: ") as raised:
        getattr(fal, way)(model, arguments)
    assert (raised.value.status_code, raised.value.response.json()["error_type"]) == (status, reason)
    assert len(live.requests) == 1
    assert live.reached() == []


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([], "consent-never-asked"),
        (["declined"], "consent-declined"),
        (["granted", "withdrawn"], "consent-withdrawn"),
    ],
)
@pytest.mark.parametrize("way", ["run", "submit", "subscribe"])
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
    with pytest.raises(FalClientHTTPError, match=f"^{reason}: ") as raised:
        getattr(connect(subject=name), way)(MODEL, ARGUMENTS)
    assert raised.value.status_code == 403
    assert len(live.requests) == 1
    assert live.reached() == []


@pytest.mark.parametrize(("credential", "reason"), [("cpk_of_nobody", "credential-invalid"), (None, "role-missing")])
def test_a_credential_that_opens_nothing_is_told_by_its_slug(
    live: Live, connect: Connect, person: str, credential: str | None, reason: str
) -> None:
    client = connect(credential=credential or live.key("metrics"), subject=person)
    live.requests.clear()
    with pytest.raises(FalClientHTTPError, match=f"^{reason}: "):
        client.run(MODEL, ARGUMENTS)
    assert len(live.requests) == 1


def test_without_a_subject_nothing_is_sent(live: Live, connect: Connect) -> None:
    with pytest.raises(FalClientHTTPError, match=r"^subject-missing: "):
        connect().run(MODEL, ARGUMENTS)
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
@pytest.mark.parametrize("way", ["run", "submit"])
def test_whatever_fal_does_the_sdk_raises_and_nothing_is_sent_twice(
    live: Live, fal: SyncClient, way: str, behaviour: Behaviour, reason: str
) -> None:
    live.sandbox.behave("fal", MODEL, behaviour)
    with pytest.raises(FalClientHTTPError, match=f"^{reason}: ") as raised:
        getattr(fal, way)(MODEL, ARGUMENTS)
    assert raised.value.status_code >= 500
    assert live.requests == [f"POST /fal/{'run' if way == 'run' else 'queue'}/{MODEL}"]
    assert len(live.reached()) == 1
    assert live.sandbox.wire.violations == []


def test_a_model_that_fails_tells_why_in_its_own_words(live: Live, fal: SyncClient) -> None:
    live.sandbox.behave("fal", MODEL, Behaviour.FAIL)
    with pytest.raises(FalClientHTTPError) as raised:
        fal.run(MODEL, ARGUMENTS)
    [problem] = raised.value.response.json()["detail"]
    assert (raised.value.status_code, problem["type"]) == (422, "content_policy_violation")
    assert len(live.reached()) == 1


def test_a_request_of_somebody_else_is_not_there(live: Live, fal: SyncClient, connect: Connect, person: str) -> None:
    handle = fal.submit(MODEL, ARGUMENTS)
    strangers = [
        connect(credential=live.key("gateway"), subject=person),
        connect(subject=a_person()),
        connect(credential=live.token(a_person())),
    ]
    for stranger in strangers:
        for ask in (stranger.status, stranger.result, stranger.cancel):
            with pytest.raises(FalClientHTTPError, match=r"^job-not-yours: ") as raised:
                ask(MODEL, handle.request_id)
            assert raised.value.status_code == 404
    assert isinstance(fal.status(MODEL, handle.request_id), fal_client.Status)


def test_uploads_and_streams_are_not_offered_and_take_nothing_elsewhere(
    live: Live, fal: SyncClient, tmp_path: Any
) -> None:
    (tmp_path / "mia.png").write_bytes(b"a picture of Mia")
    with pytest.raises(httpx.HTTPStatusError) as raised:
        fal.upload(b"a picture of Mia", "image/png")
    assert raised.value.response.json()["reason"] == "not-offered"
    with pytest.raises(httpx.HTTPStatusError):
        fal.upload_file(tmp_path / "mia.png")
    live.requests.clear()
    with pytest.raises(httpx.TransportError):  # the client takes any reply but a stream for a broken one
        list(fal.stream(MODEL, ARGUMENTS))
    assert len(live.requests) == 1
    with pytest.raises(NotImplementedError), fal.realtime(MODEL):
        pass
    assert live.sandbox.wire.requests() == []


def test_nothing_but_what_is_listed_leaves_with_the_official_client(live: Live, fal: SyncClient, person: str) -> None:
    undisclosed = {**ARGUMENTS, "email": EMAIL, "device": DEVICE, "user_id": person}
    hints = {"X-App-User": EMAIL, "X-Forwarded-For": "203.0.113.7", "Traceparent": f"00-{'4b' * 16}-{'00' * 7}01-01"}
    picture_of(live, fal.run(MODEL, undisclosed, hint=EMAIL, headers=hints))
    picture_of(live, fal.subscribe(MODEL, undisclosed, interval=0.02, with_logs=True, hint=EMAIL, headers=hints))
    assert live.sent() == [ARGUMENTS, ARGUMENTS]
    wire = live.sandbox.wire
    for secret in (person, EMAIL, DEVICE, KEY, "fal-client", "203.0.113.7", "4b" * 16, "iPhone"):
        assert not wire.contains(secret), secret
    assert wire.violations == []
    assert {request.header("x-fal-store-io") for request in wire.requests(method="POST")} == {"0"}
    assert all(request.header("cookie") is None for request in wire.requests())
    assert all(request.header("authorization") is None for request in wire.requests(role=Host.FAL_OUTPUT))
