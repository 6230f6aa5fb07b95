"""Replicate's protocol where the official client does not go: bodies, headers and status codes."""

import re
from typing import Any

import httpx
import pytest

from consent_proxy.sandbox.server import SAMPLE_DEPLOYMENT, Sandbox
from tests.sandbox.png import decode

OFFICIAL = "/models/black-forest-labs/flux-schnell/predictions"
COMMUNITY = "stability-ai/sdxl"
PINNED = "39ed" * 16
INPUT = {"input": {"prompt": "a lighthouse at dusk"}}


@pytest.fixture
def api(sandbox: Sandbox, http: httpx.Client) -> httpx.Client:
    http.base_url = httpx.URL(sandbox.replicate_api_url)
    http.headers["authorization"] = f"Bearer {sandbox.replicate_token}"
    return http


def test_a_creation_answers_before_anything_is_done(sandbox: Sandbox, api: httpx.Client) -> None:
    reply = api.post(OFFICIAL, json=INPUT)

    prediction = reply.json()
    url = f"{sandbox.replicate_api_url}/predictions/{prediction['id']}"
    assert reply.status_code == 201
    assert re.fullmatch(r"[0-9a-z]{26}", prediction["id"])
    assert (prediction["status"], prediction["output"], prediction["logs"]) == ("starting", None, "")
    assert (prediction["model"], prediction["version"]) == ("black-forest-labs/flux-schnell", "hidden")
    assert prediction["input"] == INPUT["input"]
    assert prediction["urls"]["get"] == reply.headers["location"] == url
    assert prediction["urls"]["cancel"] == f"{url}/cancel"
    assert prediction["urls"]["stream"].startswith(f"http://{sandbox.replicate_stream_host}/v1/files/bcwr-")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", prediction["created_at"])
    assert (reply.headers["ratelimit-remaining"], reply.headers["ratelimit-reset"]) == ("599", "1")
    assert "preference-applied" not in reply.headers


@pytest.mark.parametrize("prefer", ["wait", "wait=5"])
def test_a_wait_answers_with_the_output_while_it_still_says_processing(api: httpx.Client, prefer: str) -> None:
    reply = api.post(OFFICIAL, json=INPUT, headers={"prefer": prefer})

    prediction = reply.json()
    assert (reply.status_code, prediction["status"]) == (201, "processing")
    assert reply.headers["preference-applied"] == prefer
    assert len(prediction["output"]) == 1
    assert "metrics" not in prediction
    later = api.get(f"/predictions/{prediction['id']}").json()
    assert (later["status"], later["output"]) == ("succeeded", prediction["output"])
    assert later["metrics"]["predict_time"] > 0
    assert later["completed_at"] >= later["started_at"] >= later["created_at"]


def test_a_wait_that_is_too_short_answers_starting(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.behave("replicate", "*", "slow")

    reply = api.post(OFFICIAL, json=INPUT, headers={"prefer": "wait=1"})

    prediction = reply.json()
    assert (reply.status_code, prediction["status"], prediction["output"]) == (202, "starting", None)
    assert reply.headers["preference-applied"] == "wait=1"


@pytest.mark.parametrize("scheme", ["Bearer", "Token"])
def test_both_schemes_open(sandbox: Sandbox, api: httpx.Client, scheme: str) -> None:
    reply = api.post(OFFICIAL, json=INPUT, headers={"authorization": f"{scheme} {sandbox.replicate_token}"})

    assert reply.status_code == 201


@pytest.mark.parametrize(
    ("authorization", "what"), [(None, "an authentication token"), ("Bearer r8_x", "a valid authentication token")]
)
def test_nothing_else_opens(api: httpx.Client, authorization: str | None, what: str) -> None:
    del api.headers["authorization"]
    headers = {"authorization": authorization} if authorization else {}

    reply = api.post(OFFICIAL, json=INPUT, headers=headers)

    assert reply.status_code == 401
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json() == {"title": "Unauthenticated", "detail": f"You did not pass {what}", "status": 401}


def test_a_version_is_understood_in_its_three_spellings(api: httpx.Client) -> None:
    version = api.get(f"/models/{COMMUNITY}").json()["latest_version"]["id"]

    for spelling in (version, f"{COMMUNITY}:{version}", COMMUNITY):
        prediction = api.post("/predictions", json={**INPUT, "version": spelling}).json()
        assert (prediction["model"], prediction["version"]) == (COMMUNITY, version)


def test_a_version_that_came_with_its_models_name_is_known_without_it(api: httpx.Client) -> None:
    assert api.post("/predictions", json={**INPUT, "version": PINNED}).status_code == 422
    assert api.post("/predictions", json={**INPUT, "version": f"{COMMUNITY}:{PINNED}"}).status_code == 201

    assert api.post("/predictions", json={**INPUT, "version": PINNED}).json()["model"] == COMMUNITY
    assert api.get(f"/models/{COMMUNITY}/versions/{PINNED}").json()["id"] == PINNED


@pytest.mark.parametrize("version", ["0" * 64, "latest", f"a/b:{'0' * 63}", 5, f"other/model:{'abcd' * 16}"])
def test_a_version_that_is_not_there_is_refused(sandbox: Sandbox, api: httpx.Client, version: Any) -> None:
    sandbox.know_version("abcd" * 16, model=COMMUNITY)

    reply = api.post("/predictions", json={**INPUT, "version": version})

    assert (reply.status_code, reply.json()["title"]) == (422, "Invalid version or not permitted")


def test_a_community_model_does_not_run_by_name(api: httpx.Client) -> None:
    reply = api.post(f"/models/{COMMUNITY}/predictions", json=INPUT)

    assert (reply.status_code, reply.json()) == (
        404,
        {"detail": "The requested resource could not be found.", "status": 404},
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/predictions/unknown"),
        ("POST", "/predictions/unknown/cancel"),
        ("GET", "/deployments/acme/unknown"),
        ("POST", "/deployments/acme/unknown/predictions"),
        ("GET", "/nothing/here"),
    ],
)
def test_what_is_not_there_is_not_found(api: httpx.Client, method: str, path: str) -> None:
    assert api.request(method, path, json=INPUT if method == "POST" else None).status_code == 404


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"input": {}}, "- input: prompt is required\n"),
        ({"input": {"prompt": 5}}, "- input.prompt: Invalid type. Expected: string, given: integer\n"),
        ({"input": {"prompt": None}}, "- input.prompt: Invalid type. Expected: string, given: null\n"),
        ({"input": "text"}, "- input: Invalid type. Expected: object, given: string\n"),
        (
            {"input": {"prompt": "x", "num_outputs": 9}},
            "- input.num_outputs: Must be less than or equal to 4\n",
        ),
        (
            {"input": {"prompt": "x", "megapixels": "2"}},
            '- input.megapixels: input.megapixels must be one of the following: "1", "0.25"\n',
        ),
        ({}, "- (root): input is required\n"),
        ({**INPUT, "user": "ada"}, "- (root): Additional property user is not allowed\n"),
        ([], "- (root): input is required\n"),
    ],
)
def test_a_wrong_input_is_refused(api: httpx.Client, body: Any, detail: str) -> None:
    reply = api.post(OFFICIAL, json=body)

    problem = reply.json()
    assert (reply.status_code, problem["title"], problem["detail"]) == (422, "Input validation failed", detail)
    assert len(problem["invalid_fields"]) == 1


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_is_refused(api: httpx.Client, body: bytes) -> None:
    assert api.post(OFFICIAL, content=body).status_code == 422


def test_a_deployment_names_its_model_and_version(sandbox: Sandbox, api: httpx.Client) -> None:
    sandbox.deploy("acme/portraits", model="black-forest-labs/flux-schnell")

    release = api.get("/deployments/acme/portraits").json()["current_release"]
    prediction = api.post("/deployments/acme/portraits/predictions", json=INPUT).json()

    assert release["model"] == prediction["model"] == "black-forest-labs/flux-schnell"
    assert release["version"] == prediction["version"]
    assert prediction["deployment"] == "acme/portraits"
    assert api.get(f"/deployments/{SAMPLE_DEPLOYMENT}").status_code == 200


def test_a_model_lists_its_versions(api: httpx.Client) -> None:
    page = api.get(f"/models/{COMMUNITY}/versions").json()

    assert (page["next"], page["previous"]) == (None, None)
    [version] = page["results"]
    assert version["openapi_schema"]["components"]["schemas"]["Input"]["required"] == ["prompt"]
    assert version == api.get(f"/models/{COMMUNITY}").json()["latest_version"]


@pytest.mark.parametrize(
    ("wanted", "sizes"),
    [
        ({"num_outputs": 2, "width": 64, "height": 96}, [(64, 96)] * 2),
        ({"aspect_ratio": "1:1", "megapixels": "0.25"}, [(512, 512)]),
        ({"aspect_ratio": "2:3", "output_format": "jpg"}, [(832, 1248)]),
    ],
)
def test_the_pictures_are_as_asked_for(api: httpx.Client, wanted: dict[str, Any], sizes: list[tuple[int, int]]) -> None:
    body = {"input": {**INPUT["input"], **wanted}}

    urls = api.post(OFFICIAL, json=body, headers={"prefer": "wait"}).json()["output"]

    del api.headers["authorization"]
    pictures = [decode(api.get(url).content) for url in urls]
    assert [(picture.width, picture.height) for picture in pictures] == sizes


def test_after_an_hour_only_the_metadata_is_left(sandbox: Sandbox, api: httpx.Client) -> None:
    created = api.post(OFFICIAL, json=INPUT, headers={"prefer": "wait"}).json()
    sandbox.purge()

    left = api.get(f"/predictions/{created['id']}").json()

    assert (left["input"], left["output"], left["logs"], left["data_removed"]) == ({}, None, "", True)
    assert left["status"] == "succeeded"
    assert api.get(created["output"][0]).status_code == 404


def test_webhook_fields_are_written_back_as_given(api: httpx.Client) -> None:
    callback = {"webhook": "https://example.org/hook", "webhook_events_filter": ["completed"]}

    prediction = api.post(OFFICIAL, json=INPUT | callback).json()

    assert prediction["webhook"] == callback["webhook"]
    assert prediction["webhook_events_filter"] == callback["webhook_events_filter"]


def test_cancelling_what_is_over_changes_nothing(api: httpx.Client) -> None:
    created = api.post(OFFICIAL, json=INPUT, headers={"prefer": "wait"}).json()

    reply = api.post(f"/predictions/{created['id']}/cancel")

    assert (reply.status_code, reply.json()["status"]) == (200, "succeeded")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/account"),
        ("GET", "/files"),
        ("GET", "/predictions"),
        ("GET", "/webhooks/default/secret"),
        ("POST", "/models/a/b/versions/c/trainings"),
        ("POST", "/models/minimax/video-01/predictions"),
        ("PATCH", "/deployments/a/b"),
    ],
)
def test_what_is_not_made_yet_says_so(api: httpx.Client, method: str, path: str) -> None:
    reply = api.request(method, path, json=INPUT)

    assert (reply.status_code, reply.json()["title"]) == (501, "Not offered")


def test_the_stream_host_says_that_it_is_not_made_yet(sandbox: Sandbox, http: httpx.Client) -> None:
    assert http.get(f"http://{sandbox.replicate_stream_host}/v1/files/bcwr-x").status_code == 501
