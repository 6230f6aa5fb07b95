"""Results at our addresses: real pictures for whoever holds the address, in part if asked, until it expires."""

import time
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from consent_proxy.adapters.postgres.embedded.cluster import Cluster
from consent_proxy.sandbox.behaviours import Behaviour, Operation
from consent_proxy.sandbox.server import Sandbox
from consent_proxy.sandbox.wire import Role as Host
from consent_proxy.sdk import fal_client, replicate_client
from tests.live import KEY, Live, a_person, live_service
from tests.postgres import clone
from tests.sandbox.png import decode

FAL, REPLICATE = "fal-ai/flux/schnell", "black-forest-labs/flux-schnell"
PROVIDERS = ("fal", "replicate")
DELIVERY = {"fal": Host.FAL_OUTPUT, "replicate": Host.REPLICATE_DELIVERY}


def make(live: Live, provider: str) -> str:
    """Have a picture made with the official client: the address it is found at."""
    person = a_person()
    live.decide(person)
    if provider == "fal":
        client = fal_client(live.url, KEY, subject=person)
        try:
            return str(client.run(FAL, {"prompt": "a boat"})["images"][0]["url"])
        finally:
            client._client.close()
    other = replicate_client(live.url, KEY, subject=person)
    try:
        given = {"prompt": "a boat", "output_format": "png"}
        [output] = other.run(REPLICATE, input=given, use_file_output=False)
        return str(output).replace("https://", "http://")
    finally:
        other._client.close()


@pytest.fixture(scope="module")
def made(running_live: Live) -> dict[str, str]:
    """A picture of each provider's."""
    running_live.sandbox.behave_well()
    return {provider: make(running_live, provider) for provider in PROVIDERS}


def get(live: Live, url: str, method: str = "GET", **headers: str) -> httpx.Response:
    return live.http.request(method, url, headers=headers)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_whoever_holds_the_address_gets_the_picture_without_a_credential(
    live: Live, made: dict[str, str], provider: str
) -> None:
    answer = get(live, made[provider])
    picture = decode(answer.content)
    assert picture.width > 0
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "no-store" in answer.headers["cache-control"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_part_is_served_as_a_part(live: Live, made: dict[str, str], provider: str) -> None:
    whole = get(live, made[provider]).content
    for asked, part in (
        ("bytes=0-7", whole[:8]),
        ("bytes=8-", whole[8:]),
        ("bytes=-4", whole[-4:]),
    ):
        answer = get(live, made[provider], Range=asked)
        assert (answer.status_code, answer.content) == (206, part), asked
        assert answer.headers["content-range"].endswith(f"/{len(whole)}")
    for odd in ("bytes=0-1,4-5", "lines=1-2", "bytes=x", "bytes=0-1;mia@example.com"):
        answer = get(live, made[provider], Range=odd)
        assert (answer.status_code, answer.content) == (200, whole), odd
    assert not live.sandbox.wire.contains("mia@example.com")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_look_tells_size_and_type_and_no_byte(live: Live, made: dict[str, str], provider: str) -> None:
    whole, look = get(live, made[provider]), get(live, made[provider], "HEAD")
    assert (look.status_code, look.content) == (200, b"")
    for name in ("content-type", "content-length"):
        assert look.headers[name] == whole.headers[name]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_nothing_of_the_reader_goes_along_to_where_the_picture_is(
    live: Live, made: dict[str, str], provider: str
) -> None:
    headers = {
        "Authorization": f"Bearer {KEY}",
        "Cookie": "session=mia",
        "User-Agent": "mias-phone/1",
        "X-Forwarded-For": "203.0.113.7",
        "If-None-Match": '"mia"',
        "Accept": "image/x-mia",
    }
    assert get(live, made[provider], **headers).status_code == 200
    [fetched] = live.sandbox.wire.requests(role=DELIVERY[provider])
    assert fetched.method == "GET"
    for secret in (KEY, "session", "mia", "203.0.113.7"):
        assert not live.sandbox.wire.contains(secret), secret
    assert live.sandbox.wire.violations == []


def test_an_address_that_is_changed_leads_nowhere(live: Live, made: dict[str, str]) -> None:
    for url in made.values():
        changed = url[:-1] + ("A" if url[-1] != "A" else "B")
        answer = get(live, changed)
        assert (answer.status_code, answer.json()["reason"]) == (404, "not-found")
    assert live.sandbox.wire.requests() == []


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    "behaviour", [Behaviour.REDIRECT, Behaviour.ERROR, Behaviour.UNAVAILABLE, Behaviour.RESET, Behaviour.COOKIES]
)
def test_a_host_that_does_not_hand_it_out_is_no_way_elsewhere(
    live: Live, made: dict[str, str], provider: str, behaviour: Behaviour
) -> None:
    live.sandbox.behave(provider, "*", behaviour, operation=Operation.OUTPUT)  # type: ignore[arg-type]
    answer = get(live, made[provider])
    if behaviour is Behaviour.COOKIES:
        assert answer.status_code == 200
        assert "set-cookie" not in answer.headers
        assert get(live, made[provider]).status_code == 200
    else:
        assert (answer.status_code, answer.json()["reason"]) == (502, "provider-unreachable")
    assert live.sandbox.wire.violations == []


@pytest.fixture(scope="module")
def hasty(postgres: Cluster, live_sandbox: Sandbox) -> Iterator[Live]:
    """A service whose addresses live for two seconds."""
    with (
        clone(postgres) as database,
        live_service(database, live_sandbox, output_ttl=timedelta(seconds=2)) as service,
    ):
        yield service


def test_an_address_expires_for_good(hasty: Live) -> None:
    hasty.sandbox.behave_well()
    person = a_person()
    hasty.decide(person)
    client = fal_client(hasty.url, KEY, subject=person)
    try:
        handle = client.submit(FAL, {"prompt": "a boat"})
        urls = [handle.get()["images"][0]["url"]]
        assert get(hasty, urls[0]).status_code == 200
        for provider in PROVIDERS:
            urls.append(make(hasty, provider))
            assert get(hasty, urls[-1]).status_code == 200
        time.sleep(2.1)
        assert handle.get()["images"][0]["url"] == urls[0]
    finally:
        client._client.close()
    hasty.sandbox.wire.clear()
    for url in urls:
        answer = get(hasty, url)
        assert (answer.status_code, answer.json()["reason"]) == (410, "output-expired")
        assert get(hasty, url, "HEAD").status_code == 410
    assert hasty.sandbox.wire.requests() == []
