"""The output hosts hand out pictures to whoever knows the address, whole or in part."""

import httpx
import pytest

from consent_proxy.sandbox.server import Sandbox


@pytest.fixture
def url(sandbox: Sandbox, http: httpx.Client) -> str:
    body = {"prompt": "a lighthouse", "image_size": {"width": 64, "height": 64}}
    headers = {"authorization": f"Key {sandbox.fal_key}"}
    found: str = http.post(f"{sandbox.fal_run_url}/a/b", json=body, headers=headers).json()["images"][0]["url"]
    return found


def test_an_output_is_read_without_a_credential(sandbox: Sandbox, http: httpx.Client, url: str) -> None:
    assert http.get(url).status_code == 200
    assert sandbox.wire.violations == []


def test_head_tells_the_size_and_sends_nothing(http: httpx.Client, url: str) -> None:
    whole, head = http.get(url), http.head(url)

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(whole.content))
    assert head.headers["content-type"] == "image/png"


@pytest.mark.parametrize(
    ("asked", "part"),
    [("bytes=0-9", slice(0, 10)), ("bytes=10-", slice(10, None)), ("bytes=-5", slice(-5, None))],
)
def test_a_part_is_sent_when_a_part_is_asked_for(http: httpx.Client, url: str, asked: str, part: slice) -> None:
    whole = http.get(url).content

    reply = http.get(url, headers={"range": asked})

    assert reply.status_code == 206
    assert reply.content == whole[part]
    assert reply.headers["content-range"].endswith(f"/{len(whole)}")


@pytest.mark.parametrize("asked", ["bytes=99999999-", "bytes=9-3", "bytes=-0"])
def test_a_part_that_is_not_there_cannot_be_sent(http: httpx.Client, url: str, asked: str) -> None:
    assert http.get(url, headers={"range": asked}).status_code == 416


@pytest.mark.parametrize("asked", ["bytes=-", "lines=1-2", "bytes=0-1,3-4"])
def test_a_range_beyond_understanding_gets_the_whole(http: httpx.Client, url: str, asked: str) -> None:
    assert http.get(url, headers={"range": asked}).status_code == 200


def test_an_address_nobody_gave_out_leads_nowhere(sandbox: Sandbox, http: httpx.Client, url: str) -> None:
    assert http.get(f"http://{sandbox.fal_output_host}/files/b/guess/out-0.png").status_code == 404
    assert http.get(url.replace(sandbox.fal_output_host, sandbox.replicate_delivery_host)).status_code == 404
    assert http.post(url).status_code == 405
