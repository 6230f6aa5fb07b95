"""fal's protocol where the official client does not go: paths, bodies and status codes."""

import base64
from typing import Any

import httpx
import pytest

from consent_proxy.sandbox.fal_queue import QueuePath, read_path
from consent_proxy.sandbox.server import Sandbox
from tests.sandbox.png import decode

PROMPT = {"prompt": "a lighthouse at dusk"}
MALFORMED = "Invalid Key Authorization header format. Expected '<key_id>:<key_secret>'."


@pytest.fixture
def fal(sandbox: Sandbox, http: httpx.Client) -> httpx.Client:
    http.headers["authorization"] = f"Key {sandbox.fal_key}"
    return http


def submit(fal: httpx.Client, sandbox: Sandbox, *, app: str = "fal-ai/flux/dev", body: Any = PROMPT) -> dict[str, Any]:
    reply = fal.post(f"{sandbox.fal_queue_url}/{app}", json=body)
    assert reply.status_code == 200
    found: dict[str, Any] = reply.json()
    return found


def finish(fal: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    *_, reply = [fal.get(job["status_url"]) for _ in range(3)]
    status: dict[str, Any] = reply.json()
    assert (reply.status_code, status["status"]) == (200, "COMPLETED")
    return status


def test_a_submit_answers_with_the_request_and_its_urls(sandbox: Sandbox, fal: httpx.Client) -> None:
    job = submit(fal, sandbox)

    url = f"{sandbox.fal_queue_url}/fal-ai/flux/requests/{job['request_id']}"
    assert job == {
        "status": "IN_QUEUE",
        "request_id": job["request_id"],
        "response_url": url,
        "status_url": f"{url}/status",
        "cancel_url": f"{url}/cancel",
        "queue_position": 0,
        "logs": None,
        "metrics": {},
    }


def test_a_status_is_202_until_the_work_is_done() -> None:
    with Sandbox(job_seconds=3600) as patient, httpx.Client(trust_env=False) as http:
        http.headers["authorization"] = f"Key {patient.fal_key}"
        job = submit(http, patient)

        replies = [http.get(job["status_url"], params={"logs": "1"}) for _ in range(3)]

    assert [reply.status_code for reply in replies] == [202, 202, 200]
    assert [reply.json()["status"] for reply in replies] == ["IN_QUEUE", "IN_PROGRESS", "COMPLETED"]
    assert [reply.headers["x-fal-request-id"] for reply in replies] == [job["request_id"]] * 3


def test_a_status_advances_by_time_alone(http: httpx.Client) -> None:
    with Sandbox(job_seconds=0) as quick:
        http.headers["authorization"] = f"Key {quick.fal_key}"
        job = submit(http, quick)

        assert http.get(job["status_url"]).json()["status"] == "COMPLETED"


@pytest.mark.parametrize("logs", ["1", "true"])
def test_logs_come_only_when_asked_for(sandbox: Sandbox, fal: httpx.Client, logs: str) -> None:
    job = submit(fal, sandbox)
    finish(fal, job)

    assert fal.get(job["status_url"]).json()["logs"] is None
    assert fal.get(job["status_url"], params={"logs": "0"}).json()["logs"] is None
    assert PROMPT["prompt"] in fal.get(job["status_url"], params={"logs": logs}).json()["logs"][0]["message"]


@pytest.mark.parametrize("ending", ["", "/", "/response", "/response/"])
@pytest.mark.parametrize("app", ["fal-ai/flux", "fal-ai/flux/dev"])
def test_the_result_is_found_by_every_spelling(sandbox: Sandbox, fal: httpx.Client, app: str, ending: str) -> None:
    job = submit(fal, sandbox)
    finish(fal, job)

    reply = fal.get(f"{sandbox.fal_queue_url}/{app}/requests/{job['request_id']}{ending}")

    assert reply.status_code == 200
    assert reply.json()["prompt"] == PROMPT["prompt"]
    assert reply.headers["x-fal-billable-units"] == "1"
    assert reply.headers["x-fal-request-id"] == job["request_id"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a/b", QueuePath(app=("a", "b"))),
        ("a/b/c/d/e/f/g", QueuePath(app=("a", "b", "c", "d", "e", "f", "g"))),
        ("a/b/requests/1/status", QueuePath(app=("a", "b"), request_id="1", action="status")),
        ("a/b/c/requests/1", QueuePath(app=("a", "b", "c"), request_id="1")),
        ("a/b/requests/x/requests/1", QueuePath(app=("a", "b", "requests", "x"), request_id="1")),
        ("workflows/a/b/requests/1/cancel", QueuePath(app=("workflows", "a", "b"), request_id="1", action="cancel")),
        ("a/requests/b", QueuePath(app=("a", "requests", "b"))),
    ],
)
def test_the_last_request_in_a_path_decides(path: str, expected: QueuePath) -> None:
    assert read_path(tuple(path.split("/"))) == expected


@pytest.mark.parametrize(
    ("app", "base"), [("workflows/a/b/c", "workflows/a/b"), ("comfy/a/b", "comfy/a/b"), ("a/b/c/d", "a/b")]
)
def test_a_requests_urls_hold_owner_and_app_alone(sandbox: Sandbox, fal: httpx.Client, app: str, base: str) -> None:
    job = submit(fal, sandbox, app=app)

    assert job["response_url"] == f"{sandbox.fal_queue_url}/{base}/requests/{job['request_id']}"
    finish(fal, job)


def test_a_result_before_the_end_is_refused(sandbox: Sandbox, fal: httpx.Client) -> None:
    sandbox.behave("fal", "fal-ai/*", "slow", times=1)
    job = submit(fal, sandbox)

    reply = fal.get(job["response_url"])

    assert (reply.status_code, reply.json()) == (400, {"detail": "Request is still in progress"})


def test_an_unknown_request_is_not_found(sandbox: Sandbox, fal: httpx.Client) -> None:
    known = submit(fal, sandbox)["request_id"]

    for path in ("flux/requests/unknown", "flux/requests/%0D%0Ax:y/status", f"other/requests/{known}"):
        reply = fal.get(f"{sandbox.fal_queue_url}/fal-ai/{path}")
        assert (reply.status_code, reply.json()) == (404, {"status": "NOT_FOUND"})


def test_cancelling_answers_by_what_there_is_to_cancel(sandbox: Sandbox, fal: httpx.Client) -> None:
    done = submit(fal, sandbox)
    finish(fal, done)
    sandbox.behave("fal", "*", "slow")
    job = submit(fal, sandbox)
    unknown = f"{sandbox.fal_queue_url}/fal-ai/flux/requests/unknown/cancel"

    replies = [fal.put(url) for url in (job["cancel_url"], done["cancel_url"], unknown)]

    assert [(reply.status_code, reply.json()["status"]) for reply in replies] == [
        (202, "CANCELLATION_REQUESTED"),
        (400, "ALREADY_COMPLETED"),
        (404, "NOT_FOUND"),
    ]


@pytest.mark.parametrize(
    ("authorization", "detail"),
    [
        (None, "Authorization header is required"),
        ("Key other:secret", "invalid key credentials"),
        ("Key without-a-colon", MALFORMED),
        ("Bearer {key}", MALFORMED),
        ("key {key}", MALFORMED),
    ],
)
@pytest.mark.parametrize("host", ["fal_run_url", "fal_queue_url"])
def test_only_the_key_opens(
    sandbox: Sandbox, http: httpx.Client, host: str, authorization: str | None, detail: str
) -> None:
    headers = {"authorization": authorization.format(key=sandbox.fal_key)} if authorization else {}

    reply = http.post(f"{getattr(sandbox, host)}/fal-ai/flux/dev", json=PROMPT, headers=headers)

    assert (reply.status_code, reply.json()) == (401, {"detail": detail})


@pytest.mark.parametrize(
    ("body", "loc", "kind", "echo"),
    [
        ({"num_images": 1, "secret": "s"}, ["body", "prompt"], "missing", {"num_images": 1, "secret": "s"}),
        ({"prompt": 5}, ["body", "prompt"], "string_type", 5),
        ({**PROMPT, "num_images": 9}, ["body", "num_images"], "less_than_equal", 9),
        ({**PROMPT, "output_format": "tiff"}, ["body", "output_format"], "literal_error", "tiff"),
        (["not", "an", "object"], ["body"], "model_type", ["not", "an", "object"]),
    ],
)
def test_a_wrong_input_is_refused_with_an_echo_of_it(
    sandbox: Sandbox, fal: httpx.Client, body: Any, loc: list[str], kind: str, echo: Any
) -> None:
    reply = fal.post(f"{sandbox.fal_run_url}/fal-ai/flux/dev", json=body)

    [problem] = reply.json()["detail"]
    assert reply.status_code == 422
    assert (problem["loc"], problem["type"], problem["input"]) == (loc, kind, echo)
    assert reply.headers["x-fal-billable-units"] == "0"


def test_a_wrong_input_to_the_queue_shows_in_the_result(sandbox: Sandbox, fal: httpx.Client) -> None:
    job = submit(fal, sandbox, body={"num_images": 1})
    status = finish(fal, job)

    reply = fal.get(job["response_url"])

    assert (status["error"], status["error_type"]) == ("Invalid status code: 422", "missing")
    assert (reply.status_code, reply.json()["detail"][0]["input"]) == (422, {"num_images": 1})


def test_an_image_to_image_model_wants_an_image(sandbox: Sandbox, fal: httpx.Client) -> None:
    url = f"{sandbox.fal_run_url}/fal-ai/flux/dev/image-to-image"

    assert fal.post(url, json=PROMPT).json()["detail"][0]["loc"] == ["body", "image_url"]
    assert fal.post(url, json={**PROMPT, "image_url": "data:image/png;base64,AA=="}).status_code == 200


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_is_refused(sandbox: Sandbox, fal: httpx.Client, body: bytes) -> None:
    reply = fal.post(f"{sandbox.fal_run_url}/fal-ai/flux/dev", content=body)

    assert (reply.status_code, reply.json()["detail"][0]["type"]) == (422, "json_invalid")


@pytest.mark.parametrize(
    ("wanted", "size"),
    [
        ({}, (1024, 1024)),
        ({"image_size": "portrait_16_9"}, (576, 1024)),
        ({"image_size": {"width": 320, "height": 200}}, (320, 200)),
        ({"aspect_ratio": "16:9"}, (1376, 768)),
    ],
)
def test_the_picture_has_the_size_asked_for(
    sandbox: Sandbox, fal: httpx.Client, wanted: dict[str, Any], size: tuple[int, int]
) -> None:
    [image] = fal.post(f"{sandbox.fal_run_url}/fal-ai/flux/dev", json=PROMPT | wanted).json()["images"]
    picture = decode(fal.get(image["url"]).content)

    assert (image["width"], image["height"]) == (picture.width, picture.height) == size


def test_as_many_different_pictures_come_as_were_asked_for(sandbox: Sandbox, fal: httpx.Client) -> None:
    body = {**PROMPT, "num_images": 3, "seed": 1, "image_size": {"width": 32, "height": 32}}

    result = fal.post(f"{sandbox.fal_run_url}/fal-ai/flux/dev", json=body).json()

    assert len({fal.get(image["url"]).content for image in result["images"]}) == 3
    assert result["has_nsfw_concepts"] == [False] * 3


def test_sync_mode_answers_with_the_picture_itself(sandbox: Sandbox, fal: httpx.Client) -> None:
    result = fal.post(f"{sandbox.fal_run_url}/fal-ai/flux/dev", json={**PROMPT, "sync_mode": True}).json()

    head, _, data = result["images"][0]["url"].partition(",")
    assert head == "data:image/png;base64"
    assert decode(base64.b64decode(data)).width == 1024


def test_a_jpeg_that_was_asked_for_is_a_png_that_says_so(sandbox: Sandbox, fal: httpx.Client) -> None:
    body = {**PROMPT, "output_format": "jpeg"}

    [image] = fal.post(f"{sandbox.fal_run_url}/fal-ai/flux/dev", json=body).json()["images"]

    assert image["content_type"] == "image/png"
    assert image["url"].endswith(".png")


@pytest.mark.parametrize(
    ("method", "host", "path"),
    [
        ("POST", "fal_run_url", "/fal-ai/flux/dev/stream"),
        ("POST", "fal_run_url", "/fal-ai/flux/dev/realtime"),
        ("POST", "fal_run_url", "/fal-ai/kling-video/v2.1/standard/image-to-video"),
        ("POST", "fal_queue_url", "/fal-ai/flux-lora-fast-training"),
        ("POST", "fal_rest_url", "/storage/auth/token"),
        ("POST", "fal_rest_url", "/tokens/"),
        ("GET", "fal_rest_url", "/.well-known/jwks.json"),
        ("POST", "fal_cdn_url", "/files/upload"),
        ("DELETE", "fal_api_url", "/v1/models/requests/1/payloads"),
    ],
)
def test_what_is_not_made_yet_says_so(sandbox: Sandbox, fal: httpx.Client, method: str, host: str, path: str) -> None:
    reply = fal.request(method, getattr(sandbox, host) + path, json={})

    assert (reply.status_code, reply.json()["error_type"]) == (501, "not_offered")


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/a/b", 405), ("POST", "/alone", 404)])
def test_what_is_no_run_is_refused(sandbox: Sandbox, fal: httpx.Client, method: str, path: str, status: int) -> None:
    assert fal.request(method, sandbox.fal_run_url + path).status_code == status
    assert fal.request(method, sandbox.fal_queue_url + path).status_code == status
