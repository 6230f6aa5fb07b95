"""The uploads of the sandbox: fal's in two steps, Replicate's as files."""

import httpx
import pytest

from consent_proxy.sandbox.behaviours import Behaviour
from consent_proxy.sandbox.fal_storage import STORAGE
from consent_proxy.sandbox.server import Sandbox
from consent_proxy.sandbox.wire import Role

ASKED = {"content_type": "image/jpeg", "file_name": "medium-1.jpg"}


def initiate(sandbox: Sandbox, http: httpx.Client, **asked: object) -> httpx.Response:
    url = f"{sandbox.fal_rest_url}/storage/upload/initiate?storage_type=fal-cdn-v3"
    return http.post(url, json={**ASKED, **asked}, headers={"authorization": f"Key {sandbox.fal_key}"})


def test_a_place_takes_bytes_once_and_hands_them_out(sandbox: Sandbox, http: httpx.Client) -> None:
    place = initiate(sandbox, http).json()
    assert place["file_url"].endswith("/medium-1.jpg")
    assert http.get(place["file_url"]).status_code == 404
    put = http.put(place["upload_url"], content=b"pixels", headers={"content-type": "image/jpeg"})
    assert put.status_code == 200
    read = http.get(place["file_url"])
    assert (read.content, read.headers["content-type"]) == (b"pixels", "image/jpeg")
    assert http.put(place["upload_url"], content=b"again").status_code == 403
    assert b"pixels" in sandbox.wire.bodies(role=Role.FAL_CDN)


def test_bytes_without_the_signature_are_not_taken(sandbox: Sandbox, http: httpx.Client) -> None:
    place = initiate(sandbox, http).json()
    for url in (place["file_url"], f"{place['file_url']}?signature=guess"):
        assert http.put(url, content=b"pixels").status_code == 403


@pytest.mark.parametrize("asked", [{"file_name": None}, {"file_name": "../x"}, {"content_type": 1}])
def test_a_place_needs_a_type_and_a_plain_name(sandbox: Sandbox, http: httpx.Client, asked: dict[str, object]) -> None:
    assert initiate(sandbox, http, **asked).status_code == 422


def test_a_place_needs_the_key(sandbox: Sandbox, http: httpx.Client) -> None:
    assert http.post(f"{sandbox.fal_rest_url}/storage/upload/initiate", json=ASKED).status_code == 401


def test_the_accounts_key_at_the_storage_host_is_a_violation(sandbox: Sandbox, http: httpx.Client) -> None:
    http.put(f"{sandbox.fal_cdn_url}/files/b/x/y", content=b"x", headers={"authorization": f"Key {sandbox.fal_key}"})
    assert [violation.request.role for violation in sandbox.wire.violations] == [Role.FAL_CDN]


def test_storage_misbehaves_as_it_is_told(sandbox: Sandbox, http: httpx.Client) -> None:
    sandbox.behave("fal", f"{STORAGE}/*", Behaviour.UNAVAILABLE)
    assert initiate(sandbox, http).status_code == 503


def test_a_file_is_described_read_and_deleted(sandbox: Sandbox, http: httpx.Client) -> None:
    http.headers["authorization"] = f"Bearer {sandbox.replicate_token}"
    url = f"{sandbox.replicate_api_url}/files"
    made = http.post(url, files={"content": ("medium-1.jpg", b"pixels", "image/jpeg")})
    described = made.json()
    assert made.status_code == 201
    assert (described["name"], described["content_type"], described["size"]) == ("medium-1.jpg", "image/jpeg", 6)
    assert described["urls"]["get"] == f"{url}/{described['id']}"
    assert http.get(described["urls"]["get"]).json() == described
    assert http.delete(described["urls"]["get"]).status_code == 204
    assert http.get(described["urls"]["get"]).status_code == 404


@pytest.mark.parametrize(
    "form", [{"data": {"content": "text"}}, {"files": {"other": ("a", b"x")}}, {"content": b"nonsense"}]
)
def test_a_form_without_content_is_no_file(sandbox: Sandbox, http: httpx.Client, form: dict[str, object]) -> None:
    http.headers["authorization"] = f"Bearer {sandbox.replicate_token}"
    assert http.post(f"{sandbox.replicate_api_url}/files", **form).status_code == 422  # type: ignore[arg-type]
