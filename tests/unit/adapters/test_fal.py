"""fal's own words: where a request goes, what it carries, and what a reply is taken for."""

import json
from typing import Any

import httpx
import pytest

from consent_proxy.adapters.providers.fal import queue_address
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.transfers import Answer, Answered, ProviderCall
from tests.builders import a_manifest
from tests.provider_samples import KEY, Stub, a_fal, a_job, a_payload, draft, send

RUN = ProviderCall(operation="run")
SUBMIT = ProviderCall(operation="submit")


def answered(answer: Answer) -> Answered:
    assert isinstance(answer, Answered)
    return answer


def json_reply(body: Any, status: int = 200, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=body, headers=headers)


async def test_a_run_carries_the_minimised_body_and_nothing_else() -> None:
    stub = Stub(json_reply({"seed": 1}))
    await send(a_fal(stub.outbound), call=RUN, body={"prompt": "ein Boot für Zoë", "steps": 4})
    assert str(stub.request.url) == "https://gateway.test/run/fal-ai/flux/dev"
    assert stub.request.method == "POST"
    assert stub.request.content == '{"prompt":"ein Boot für Zoë","steps":4}'.encode()


async def test_its_headers_are_those_on_the_list() -> None:
    stub = Stub(json_reply({"seed": 1}))
    await send(a_fal(stub.outbound), call=RUN)
    assert dict(stub.request.headers) == {
        "host": "gateway.test",
        "authorization": f"Key {KEY}",
        "accept": "application/json",
        "content-type": "application/json",
        "content-length": "19",
        "x-fal-store-io": "0",
        "x-app-fal-disable-fallback": "true",
        "x-fal-no-retry": "1",
        "x-fal-object-lifecycle-preference": '{"expiration_duration_seconds":7200}',
    }


def test_the_privacy_switches_are_in_the_draft_before_anything_is_sent() -> None:
    stub = Stub(json_reply({}))
    dispatch = draft(a_fal(stub.outbound), a_payload(), manifest=a_manifest(), call=RUN)
    assert dispatch.privacy_switches["x-fal-store-io"] == "0"
    assert (dispatch.host, dispatch.path) == ("gateway.test", "/run/fal-ai/flux/dev")
    assert stub.requests == []


async def test_what_a_training_makes_does_not_expire_by_the_clock() -> None:
    stub = Stub(json_reply({"request_id": "r-1"}))
    await send(a_fal(stub.outbound), call=SUBMIT, manifest=a_manifest(purpose=Purpose.TRAINING))
    assert "x-fal-object-lifecycle-preference" not in stub.request.headers
    assert stub.request.headers["x-fal-store-io"] == "0"


async def test_a_submit_passes_priority_start_timeout_and_queue_length_on() -> None:
    stub = Stub(json_reply({"request_id": "r-1"}))
    call = ProviderCall(operation="submit", timeout_seconds=30.5, options={"priority": "low", "max_queue_length": "7"})
    await send(a_fal(stub.outbound), call=call)
    assert str(stub.request.url) == "https://gateway.test/queue/fal-ai/flux/dev?fal_max_queue_length=7"
    assert stub.request.headers["x-fal-queue-priority"] == "low"
    assert stub.request.headers["x-fal-request-timeout"] == "30.5"


async def test_a_run_knows_no_queue() -> None:
    stub = Stub(json_reply({}))
    await send(a_fal(stub.outbound), call=ProviderCall(operation="run", options={"priority": "low"}))
    assert "x-fal-queue-priority" not in stub.request.headers


async def test_a_runs_files_are_found_wherever_they_stand_and_only_on_the_listed_hosts() -> None:
    body = {
        "images": [{"url": "https://v3.fal.media/files/b/1.png"}, {"url": "https://a.cdn.test/2.png"}],
        "video": "https://v3.fal.media/files/b/3.mp4",
        "again": "https://v3.fal.media/files/b/1.png",
        "elsewhere": ["https://evil.test/4.png", "https://v3.fal.media.evil.test/5.png", "https://cdn.test/6.png"],
        "tricks": [
            "http://v3.fal.media/7.png",
            "https://v3.fal.media:8443/8.png",
            "https://user@v3.fal.media/9.png",
            "see https://v3.fal.media/10.png",
            "https://v3.fal.media\\@evil.test/11.png",
            "https://evil.test#.cdn.test",
            "https://v3.fal.media/\u00e9.png",
        ],
    }
    stub = Stub(json_reply(body))
    answer = answered(await send(a_fal(stub.outbound), call=RUN))
    assert answer.finished
    assert answer.outputs == (
        "https://v3.fal.media/files/b/1.png",
        "https://a.cdn.test/2.png",
        "https://v3.fal.media/files/b/3.mp4",
    )


async def test_a_submits_request_id_is_noted_with_the_apps_address() -> None:
    stub = Stub(json_reply({"request_id": "5f1c-1", "status_url": "https://evil.test/steal"}))
    answer = answered(await send(a_fal(stub.outbound), call=SUBMIT))
    assert answer.provider_job is not None
    assert (answer.provider_job.id, answer.provider_job.address) == ("5f1c-1", "fal-ai/flux")
    assert not answer.finished


@pytest.mark.parametrize("request_id", [None, 7, "", "../../tokens", "a b", "x" * 129, "a\n"])
async def test_a_request_id_that_is_none_makes_the_reply_unusable(request_id: object) -> None:
    stub = Stub(json_reply({"status": "IN_QUEUE", "request_id": request_id}))
    answer = answered(await send(a_fal(stub.outbound), call=SUBMIT))
    assert (answer.problem, answer.provider_job) == (Reason.PROVIDER_REPLY_UNUSABLE, None)


@pytest.mark.parametrize(
    ("app", "address"),
    [
        ("fal-ai/flux/dev/image-to-image", "fal-ai/flux"),
        ("fashn/tryon", "fashn/tryon"),
        ("workflows/acme/portraits/v2", "workflows/acme/portraits"),
        ("comfy/acme/graph", "comfy/acme/graph"),
    ],
)
def test_the_queue_keeps_requests_under_owner_and_app(app: str, address: str) -> None:
    assert queue_address(app) == address


async def test_status_result_and_cancel_are_addressed_by_our_note() -> None:
    stub = Stub(lambda _: json_reply({"status": "IN_QUEUE", "queue_position": 1}))
    fal, job = a_fal(stub.outbound), a_job("fal", job_id="r-1")
    await fal.status(job, logs=True)
    await fal.result(job)
    await fal.cancel(job)
    assert [(request.method, str(request.url)) for request in stub.requests] == [
        ("GET", "https://gateway.test/queue/fal-ai/flux/requests/r-1/status?logs=1"),
        ("GET", "https://gateway.test/queue/fal-ai/flux/requests/r-1"),
        ("PUT", "https://gateway.test/queue/fal-ai/flux/requests/r-1/cancel"),
    ]
    assert all(
        set(request.headers) <= {"host", "authorization", "accept", "content-length"} for request in stub.requests
    )


async def test_a_models_own_no_is_handed_on_and_is_no_result() -> None:
    detail = [{"loc": ["body", "prompt"], "msg": "refused", "type": "content_policy_violation", "input": "a boat"}]
    stub = Stub(json_reply({"detail": detail}, 422))
    answer = answered(await a_fal(stub.outbound).result(a_job("fal")))
    assert (answer.http_status, answer.problem, answer.finished) == (422, None, False)
    assert answer.body == {"detail": detail}


async def test_fals_own_timeout_is_a_timeout() -> None:
    stub = Stub(json_reply({"detail": "timed out"}, 504))
    answer = answered(await send(a_fal(stub.outbound), call=RUN))
    assert answer.problem is Reason.PROVIDER_TIMEOUT


async def test_without_a_key_it_is_not_configured() -> None:
    assert not a_fal(Stub(json_reply({})).outbound, key=None).configured
    assert a_fal(Stub(json_reply({})).outbound).configured


async def test_the_draft_is_compact_json() -> None:
    fal = a_fal(Stub(json_reply({})).outbound)
    dispatch = draft(fal, a_payload({"prompt": "a", "image_size": {"width": 1}}), manifest=a_manifest(), call=SUBMIT)
    assert dispatch.content == b'{"prompt":"a","image_size":{"width":1}}'
    assert json.loads(dispatch.content) == dispatch.payload.body
