"""Where the SDKs are pointed: to the service and to nowhere else."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from consent_proxy.sdk import async_fal_client, fal_client, replicate_client
from consent_proxy.sdk.addresses import Address, subject_headers
from consent_proxy.sdk.fal import _Pointing

CLIENTS: list[Callable[..., Any]] = [fal_client, async_fal_client, replicate_client]


@pytest.mark.parametrize("make", CLIENTS)
@pytest.mark.parametrize(
    "url",
    [
        "http://proxy.example.com",
        "http://10.0.0.5:8080",
        "ftp://127.0.0.1",
        "https://user:secret@proxy.test",
        "https://proxy.test?key=1",
        "proxy.test",
    ],
)
def test_a_credential_is_never_sent_in_the_clear_to_another_machine(make: Callable[..., Any], url: str) -> None:
    with pytest.raises(ValueError, match="service's url"):
        make(url, "cps_token")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://localhost:8080/", "http://[::1]:8080", "https://p.t/x"]
)
@pytest.mark.parametrize("make", CLIENTS)
def test_https_and_this_machine_are_fine(make: Callable[..., Any], url: str) -> None:
    assert make(url, "cps_token") is not None


def test_a_person_is_named_in_headers_that_can_carry_every_name() -> None:
    assert subject_headers("Zoë 7/8", "session") == (
        ("Consent-Subject", "Zo%C3%AB%207%2F8"),
        ("Consent-Subject-Kind", "session"),
    )
    assert subject_headers(None, None) == ()


@pytest.mark.parametrize(
    ("asked", "goes_to"),
    [
        ("https://fal.run/fal-ai/flux/dev", "https://p.test/x/fal/run/fal-ai/flux/dev"),
        ("https://queue.fal.run/fal-ai/flux?fal_webhook=a", "https://p.test/x/fal/queue/fal-ai/flux?fal_webhook=a"),
        ("https://rest.fal.ai/tokens/", "https://p.test/x/fal/rest/tokens/"),
        ("https://v3.fal.media/files/upload", "https://p.test/x/fal/cdn/files/upload"),
        (
            "http://public.test:1/y/fal/queue/a/b/requests/c/status?logs=1",
            "https://p.test/x/fal/queue/a/b/requests/c/status?logs=1",
        ),
        ("https://fal.run/a%2Fb/%C3%A9", "https://p.test/x/fal/run/a%2Fb/%C3%A9"),
    ],
)
def test_every_address_the_sdk_knows_becomes_ours(asked: str, goes_to: str) -> None:
    pointing = _Pointing(Address.of("https://p.test/x/"), (("Consent-Subject", "mia"),))
    request = pointing._pointed(httpx.Request("POST", asked, content=b"x", headers={"authorization": "Key k"}))
    assert str(request.url) == goes_to
    assert request.headers["host"] == "p.test"
    assert request.headers["consent-subject"] == "mia"
    assert request.headers["content-length"] == "1"


@pytest.mark.parametrize(
    "asked", ["https://evil.test/steal", "https://fal.run.evil.test/x", "https://storage.test/put"]
)
def test_no_other_address_is_asked_at_all(asked: str) -> None:
    pointing = _Pointing(Address.of("https://p.test"), ())
    with pytest.raises(httpx.UnsupportedProtocol):
        pointing.handle_request(httpx.Request("PUT", asked))


def test_two_people_are_two_clients() -> None:
    mia, zoe = (fal_client("https://p.test", "cps_token", subject=name) for name in ("mia", "zoe"))
    assert mia != zoe
    assert len({mia, zoe}) == 2
    assert "cps_token" not in repr(mia)
    assert "mia" not in repr(mia)


def test_realtime_connections_would_go_past_us_and_are_refused() -> None:
    for client in (fal_client("https://p.test", "k"), async_fal_client("https://p.test", "k")):
        for connect in (client.realtime, client.ws_connect):
            with pytest.raises(NotImplementedError):
                connect("fal-ai/flux/dev")
