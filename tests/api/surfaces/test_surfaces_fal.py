"""The fal surface: what a request leads to, in fal's own shapes, and what of it reached fal."""

import asyncio
import gzip
import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import pytest

from consent_proxy.adapters.http import Outbound
from consent_proxy.adapters.providers.fal import FalProvider
from consent_proxy.application.ports.transfers import LedgerUnavailable, Overloaded
from consent_proxy.sandbox.behaviours import Behaviour
from consent_proxy.sandbox.wire import Role
from tests.in_process import IN_ONE_LOOP, KEY, PUBLIC_URL, Served
from tests.provider_samples import a_fal

pytestmark = IN_ONE_LOOP

MODEL = "fal-ai/flux/schnell"
RUN = f"/fal/run/{MODEL}"
SUBMIT = f"/fal/queue/{MODEL}"
PICTURE = {"prompt": "a boat", "image_size": "square", "num_inference_steps": 4}


def a_person() -> str:
    return f"person-{uuid4().hex}"


async def somebody_who_said_yes(served: Served) -> str:
    person = a_person()
    await served.decide(person)
    return person


def assert_fals_error(reply: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    """The shape that both fal SDKs show: they read ``detail``, ``message``, ``error_type`` and the headers."""
    body: dict[str, Any] = reply.json()
    assert (reply.status_code, body["error_type"]) == (status, reason), reply.text
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-fal-error-type"] == reason
    assert UUID(reply.headers["x-fal-request-id"]).version == 7
    assert body["detail"] == body["message"]
    assert body["detail"].startswith(f"{reason}: ")
    assert (body["type"], body["status"], body["reason"]) == (f"/problems/{reason}", status, reason)
    assert reply.headers["cache-control"] == "no-store"
    return body


def outbound(served: Served) -> Outbound:
    fal = served.services.providers["fal"]
    assert isinstance(fal, FalProvider)
    return fal._outbound


async def submit(served: Served, person: str, **request: Any) -> httpx.Response:
    reply = await served.call("POST", SUBMIT, subject=person, json=PICTURE, **request)
    assert reply.status_code == 200, reply.text
    return reply


async def finished(served: Served, status_path: str, **request: Any) -> httpx.Response:
    while True:
        reply = await served.call("GET", status_path, **request)
        if reply.status_code != 202:
            return reply
        await asyncio.sleep(0.02)


async def test_a_run_sends_what_is_permitted_and_answers_with_our_addresses(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    reply = await served.call("POST", RUN, subject=person, json={**PICTURE, "email": "mia@example.com", "device": "x"})
    assert reply.status_code == 200, reply.text
    assert served.sent() == [PICTURE]
    assert reply.headers["consent-fields-dropped"] == "device, email"
    assert reply.headers["x-fal-request-id"] == reply.headers["consent-transfer-id"]
    (image,) = reply.json()["images"]
    assert image["url"].startswith(f"{PUBLIC_URL}/v1/files/")
    assert reply.json()["prompt"] == "a boat"
    (row,) = await served.record(person)
    assert row["id"] == reply.headers["consent-transfer-id"]
    assert row["fields_sent"] == ["image_size", "num_inference_steps", "prompt"]
    assert row["privacy_switches"]["x-fal-store-io"] == "0"
    assert row["outcome"]["state"] == "delivered"


async def test_a_runs_picture_can_be_read_at_our_address(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    reply = await served.call("POST", RUN, subject=person, json=PICTURE)
    picture = await served.http.get(reply.json()["images"][0]["url"])
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
    assert picture.content.startswith(b"\x89PNG")


@pytest.mark.parametrize("path", [RUN, SUBMIT])
async def test_nobody_was_asked_so_nothing_is_sent(served: Served, path: str) -> None:
    person = a_person()
    reply = await served.call("POST", path, subject=person, json=PICTURE)
    body = assert_fals_error(reply, 403, "consent-never-asked")
    assert (body["sent"], body["must_ask"]) == ("no", True)
    assert body["disclosure"] == "2026-03-03"
    assert served.sandbox.wire.requests() == []
    (row,) = await served.record(person)
    assert (row["kind"], row["reason"], row["id"]) == ("refusal", "consent-never-asked", body["transfer_id"])
    assert reply.headers["x-fal-request-id"] == row["id"]


async def test_without_a_credential_nobody_learns_what_there_is(served: Served) -> None:
    for path in (RUN, SUBMIT, "/fal/rest/tokens/", "/fal/nothing"):
        assert_fals_error(await served.http.post(path, json=PICTURE), 401, "credential-missing")


async def test_a_wrong_credential_is_told_so(served: Served) -> None:
    headers = {"authorization": "Key cpk_wrong"}
    assert_fals_error(await served.http.post(RUN, json=PICTURE, headers=headers), 401, "credential-invalid")


@pytest.mark.parametrize("scheme", ["Key", "Bearer", "Token", "key"])
async def test_every_scheme_an_sdk_writes_is_taken(served: Served, scheme: str) -> None:
    person = await somebody_who_said_yes(served)
    headers = {"authorization": f"{scheme} {KEY}"}
    assert (await served.call("POST", RUN, subject=person, json=PICTURE, headers=headers)).status_code == 200


async def test_a_request_about_nobody_is_refused(served: Served) -> None:
    assert_fals_error(await served.call("POST", RUN, json=PICTURE), 400, "subject-missing")
    assert served.sandbox.wire.requests() == []


@pytest.mark.parametrize("subject", ["undefined", "null", "%20a", "%ff", "%0a", "%"])
async def test_a_subject_that_only_a_bug_sends_is_refused(served: Served, subject: str) -> None:
    assert_fals_error(await served.call("POST", RUN, subject=subject, json=PICTURE), 400, "subject-invalid")


async def test_a_repeated_header_is_refused(served: Served) -> None:
    headers = [("authorization", f"Bearer {KEY}"), ("consent-subject", "a"), ("consent-subject", "b")]
    assert_fals_error(await served.http.post(RUN, json=PICTURE, headers=headers), 400, "header-repeated")


async def test_a_subject_token_needs_no_header_and_opens_its_own_door_only(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    headers = {"authorization": f"Key {await served.token(person)}"}
    assert (await served.call("POST", RUN, json=PICTURE, headers=headers)).status_code == 200
    other = await served.call("POST", RUN, json=PICTURE, subject=a_person(), headers=headers)
    assert_fals_error(other, 403, "subject-mismatch")


async def test_a_key_without_the_role_sends_nothing_and_that_is_recorded(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    headers = {"authorization": f"Key {await served.key('auditor')}"}
    reply = await served.call("POST", RUN, subject=person, json=PICTURE, headers=headers)
    assert_fals_error(reply, 403, "role-missing")
    assert served.sandbox.wire.requests() == []
    assert [row["reason"] for row in await served.record(person)] == ["role-missing"]


BAD_BODIES: dict[str, tuple[bytes, int, str]] = {
    "not-json": (b"{", 400, "json-invalid"),
    "nothing": (b"", 400, "json-invalid"),
    "duplicate-keys": (b'{"prompt":"a","prompt":"b"}', 400, "json-invalid"),
    "nan": (b'{"prompt":"a","seed":NaN}', 400, "json-invalid"),
    "nul": (b'{"prompt":"a\\u0000b"}', 400, "json-invalid"),
    "lone-surrogate": (b'{"prompt":"\\ud800"}', 400, "json-invalid"),
    "bad-utf8": (b'{"prompt":"\xff"}', 400, "json-invalid"),
    "deep": (b'{"prompt":' + b"[" * 5_000 + b"]" * 5_000 + b"}", 400, "json-invalid"),
    "an-array": (b'["prompt"]', 422, "body-invalid"),
    "a-string": (b'"prompt"', 422, "body-invalid"),
}


@pytest.mark.parametrize(("content", "status", "reason"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
@pytest.mark.parametrize("path", [RUN, SUBMIT])
async def test_a_body_that_is_no_input_is_refused_and_recorded(
    served: Served, path: str, content: bytes, status: int, reason: str
) -> None:
    person = await somebody_who_said_yes(served)
    headers = {"content-type": "application/json"}
    reply = await served.call("POST", path, subject=person, content=content, headers=headers)
    assert_fals_error(reply, status, reason)
    assert served.sandbox.wire.requests() == []
    assert [row["reason"] for row in await served.record(person)] == [reason]


async def test_a_compressed_body_is_refused_and_recorded(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    content = gzip.compress(json.dumps(PICTURE).encode())
    reply = await served.call("POST", RUN, subject=person, content=content, headers=headers)
    assert_fals_error(reply, 400, "encoding-not-allowed")
    assert [row["reason"] for row in await served.record(person)] == ["encoding-not-allowed"]


async def test_a_body_over_the_limit_is_refused_and_recorded(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    served.change(body_limit=1_000)
    reply = await served.call("POST", RUN, subject=person, json={"prompt": "a" * 1_000})
    assert_fals_error(reply, 413, "body-too-large")
    assert [row["reason"] for row in await served.record(person)] == ["body-too-large"]


async def test_a_form_is_no_input(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    assert_fals_error(await served.call("POST", RUN, subject=person, data={"a": "b"}), 415, "media-type-unsupported")


async def test_a_strict_caller_would_rather_be_refused(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    headers = {"consent-strict": "true"}
    reply = await served.call("POST", RUN, subject=person, json={**PICTURE, "email": "m@x.y"}, headers=headers)
    body = assert_fals_error(reply, 422, "field-not-permitted")
    assert body["paths"] == ["email"]
    assert served.sandbox.wire.requests() == []


async def test_a_purpose_may_only_repeat_the_models(served: Served) -> None:
    person = await somebody_who_said_yes(served)

    async def run(stated: str) -> httpx.Response:
        return await served.call("POST", RUN, subject=person, json=PICTURE, headers={"consent-purpose": stated})

    assert (await run("generation")).status_code == 200
    for other in ("training", "marketing"):
        assert_fals_error(await run(other), 403, "purpose-mismatch")


@pytest.mark.parametrize("app", ["fal-ai/flux/schnell2", "fal-ai/../fal-ai/flux/dev", "FAL-AI/flux/schnell", "x", ""])
async def test_a_model_that_nobody_reviewed_is_unknown(served: Served, app: str) -> None:
    person = await somebody_who_said_yes(served)
    reply = await served.call("POST", f"/fal/run/{app.replace('..', '%2e%2e')}", subject=person, json=PICTURE)
    assert_fals_error(reply, 403, "model-unknown")
    assert served.sandbox.wire.requests() == []
    (row,) = await served.record(person)
    assert (row["model"], row["reason"]) == ("unknown", "model-unknown")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"{RUN}?prompt=a+boat"),
        ("POST", f"{RUN}/stream"),
        ("POST", f"{RUN}/realtime"),
        ("POST", f"{SUBMIT}?fal_webhook=https%3A%2F%2Fexample.com%2Fhook"),
        ("POST", "/fal/rest/tokens/"),
        ("POST", "/fal/rest/storage/auth/token?storage_type=fal-cdn-v3"),
        ("POST", "/fal/rest/storage/upload/initiate"),
        ("POST", "/fal/cdn/files/upload"),
        ("POST", "/fal/proxy"),
        ("POST", "/fal/webhooks/x"),
    ],
)
async def test_what_is_not_offered_says_what_to_do_instead(served: Served, method: str, path: str) -> None:
    person = await somebody_who_said_yes(served)
    request: dict[str, Any] = {"json": PICTURE} if method == "POST" else {}
    reply = await served.call(method, path, subject=person, **request)
    assert_fals_error(reply, 501, "not-offered")
    assert served.sandbox.wire.requests() == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_a_run_is_a_post(served: Served, method: str) -> None:
    person = await somebody_who_said_yes(served)
    assert_fals_error(await served.call(method, RUN, subject=person, json=PICTURE), 405, "method-not-allowed")


async def test_a_query_is_no_place_for_input(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    for path in (f"{RUN}?prompt=secret", f"{SUBMIT}?email=m%40x.y", f"{RUN}?fal_max_queue_length=1"):
        assert_fals_error(await served.call("POST", path, subject=person, json=PICTURE), 422, "field-not-permitted")
    assert served.sandbox.wire.requests() == []


async def test_the_longest_queue_is_a_number(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    good = await served.call("POST", f"{SUBMIT}?fal_max_queue_length=5", subject=person, json=PICTURE)
    assert good.status_code == 200
    assert served.sandbox.wire.requests()[-1].query == "fal_max_queue_length=5"
    bad = await served.call("POST", f"{SUBMIT}?fal_max_queue_length=mia", subject=person, json=PICTURE)
    assert_fals_error(bad, 422, "value-not-allowed")


async def test_fals_own_switches_pass_where_they_are_what_fal_knows(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    good = {"x-fal-queue-priority": "low", "x-fal-request-timeout": "30.0", "x-fal-runner-hint": "mia"}
    await submit(served, person, headers=good)
    odd = {"x-fal-queue-priority": "mia", "x-fal-request-timeout": "nan", "x-fal-tags": "a=b"}
    await submit(served, person, headers=odd)
    first, second = served.sandbox.wire.requests()
    assert (first.header("x-fal-queue-priority"), first.header("x-fal-request-timeout")) == ("low", "30.0")
    assert (second.header("x-fal-queue-priority"), second.header("x-fal-request-timeout")) == (None, None)
    assert not served.sandbox.wire.contains("mia")


async def test_a_submitted_request_is_ours_to_follow(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    reply = await submit(served, person)
    body = reply.json()
    request_id = body["request_id"]
    assert request_id == reply.headers["x-fal-request-id"] == reply.headers["consent-transfer-id"]
    base = f"{PUBLIC_URL}/fal/queue/fal-ai/flux/requests/{request_id}"
    assert body == {
        "status": "IN_QUEUE",
        "request_id": request_id,
        "response_url": base,
        "status_url": f"{base}/status",
        "cancel_url": f"{base}/cancel",
        "queue_position": 0,
        "logs": None,
        "metrics": {},
    }
    status = await finished(served, urlsplit(body["status_url"]).path)
    assert status.status_code == 200
    assert status.json() | {"metrics": {}} == {
        "status": "COMPLETED",
        "request_id": request_id,
        "response_url": base,
        "status_url": f"{base}/status",
        "cancel_url": f"{base}/cancel",
        "logs": None,
        "metrics": {},
    }
    result = await served.call("GET", urlsplit(body["response_url"]).path)
    assert result.status_code == 200
    assert result.json()["images"][0]["url"].startswith(f"{PUBLIC_URL}/v1/files/")
    assert result.headers["x-fal-request-id"] == request_id
    (row,) = await served.record(person)
    assert row["outcome"]["result"] == "delivered"


async def test_a_queued_requests_status_keeps_to_three_words(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    served.sandbox.behave("fal", "*", Behaviour.SLOW)
    path = urlsplit((await submit(served, person)).json()["status_url"]).path
    reply = await served.call("GET", path)
    assert reply.status_code == 202
    body = reply.json()
    assert (body["status"], body["queue_position"], body["logs"]) == ("IN_QUEUE", 0, None)


async def test_nothing_of_fals_own_ids_and_addresses_comes_back(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    path = urlsplit((reply := await submit(served, person)).json()["response_url"]).path
    replies = [reply, await finished(served, f"{path}/status?logs=1"), await served.call("GET", path)]
    (theirs,) = {
        part
        for request in served.sandbox.wire.requests(role=Role.FAL_QUEUE, method="GET")
        for part in request.segments
        if part.count("-") == 4
    }
    for text in (f"{shown.headers}{shown.text}" for shown in replies):
        assert theirs not in text
        assert "127.0.0.1" not in text


@pytest.mark.parametrize(
    ("query", "shown"),
    [("", False), ("?logs=0", False), ("?logs=false", False), ("?logs=1", True), ("?logs=true", True)],
)
async def test_logs_are_shown_to_who_asks_for_them(served: Served, query: str, shown: bool) -> None:
    person = await somebody_who_said_yes(served)
    path = urlsplit((await submit(served, person)).json()["status_url"]).path
    for spelling in (path, f"{path}/"):
        reply = await finished(served, spelling + query)
        assert (reply.json()["logs"] is not None) is shown


async def test_a_requests_path_may_be_the_whole_models_and_its_result_has_two_names(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    request_id = (await submit(served, person)).json()["request_id"]
    await finished(served, f"/fal/queue/{MODEL}/requests/{request_id}/status")
    for tail in ("", "/response", "/"):
        reply = await served.call("GET", f"/fal/queue/{MODEL}/requests/{request_id}{tail}")
        assert reply.status_code == 200, reply.text


async def test_somebody_elses_request_is_not_there(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    path = urlsplit((await submit(served, person)).json()["response_url"]).path
    request_id = path.rpartition("/")[2]
    served.sandbox.wire.clear()
    other_key = {"headers": {"authorization": f"Key {await served.key('gateway')}"}}
    other_token = {"headers": {"authorization": f"Key {await served.token(a_person())}"}}
    tries: list[tuple[str, dict[str, Any]]] = [
        (path, other_key),
        (path, other_token),
        (path, {"subject": a_person()}),
        (path.replace(request_id, str(uuid4())), {}),
        (path.replace(request_id, request_id.upper()), {}),
        (path.replace(request_id, "x"), {}),
        (path.replace("fal-ai/flux", "fal-ai/fast-sdxl"), {}),
        (path.replace("fal-ai/flux", "fal-ai/flux/dev"), {}),
    ]
    for asked, request in tries:
        for method, tail in (("GET", ""), ("GET", "/status"), ("PUT", "/cancel")):
            assert_fals_error(await served.call(method, asked + tail, **request), 404, "job-not-yours")
    assert served.sandbox.wire.requests() == []
    assert (await served.call("GET", f"{path}/status", subject=person)).status_code in {200, 202}


async def test_a_key_without_the_role_reads_no_results(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    path = urlsplit((await submit(served, person)).json()["response_url"]).path
    headers = {"authorization": f"Key {await served.key('auditor')}"}
    assert_fals_error(await served.call("GET", path, headers=headers), 403, "role-missing")


@pytest.mark.parametrize(
    ("method", "tail", "status", "reason"),
    [
        ("POST", "/status", 405, "method-not-allowed"),
        ("GET", "/cancel", 405, "method-not-allowed"),
        ("DELETE", "", 405, "method-not-allowed"),
        ("GET", "/status/stream", 501, "not-offered"),
        ("GET", "/payloads", 404, "not-found"),
    ],
)
async def test_a_request_has_its_own_three_questions(
    served: Served, method: str, tail: str, status: int, reason: str
) -> None:
    person = await somebody_who_said_yes(served)
    path = urlsplit((await submit(served, person)).json()["response_url"]).path
    assert_fals_error(await served.call(method, path + tail), status, reason)


async def test_a_cancelled_request_ends_in_fals_own_way(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    served.sandbox.behave("fal", "*", Behaviour.SLOW)
    path = urlsplit((await submit(served, person)).json()["response_url"]).path
    cancelled = await served.call("PUT", f"{path}/cancel")
    assert (cancelled.status_code, cancelled.json()) == (202, {"status": "CANCELLATION_REQUESTED"})
    status = (await served.call("GET", f"{path}/status")).json()
    assert (status["status"], status["error_type"]) == ("COMPLETED", "client_cancelled")
    (row,) = await served.record(person)
    assert row["outcome"]["cancel"]["result"] == "http-202"
    again = await served.call("PUT", f"{path}/cancel")
    assert (again.status_code, again.json()) == (400, {"status": "ALREADY_COMPLETED"})


async def test_a_result_is_withheld_after_a_withdrawal(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    path = urlsplit((await submit(served, person)).json()["response_url"]).path
    await finished(served, f"{path}/status")
    await served.withdraw(person)
    assert_fals_error(await served.call("GET", path), 403, "consent-withdrawn")
    refusal, transfer = await served.record(person)
    assert (refusal["kind"], refusal["reason"]) == ("refusal", "consent-withdrawn")
    assert (transfer["id"], transfer["outcome"]["result"]) == (path.rpartition("/")[2], "withheld")


async def test_a_models_own_no_goes_back_as_it_is(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    served.sandbox.behave("fal", "*", Behaviour.FAIL)
    reply = await served.call("POST", RUN, subject=person, json=PICTURE)
    assert reply.status_code == 422
    (detail,) = reply.json()["detail"]
    assert (detail["type"], detail["input"]) == ("content_policy_violation", "a boat")
    assert detail["url"].startswith("https://docs.fal.ai/")
    assert reply.headers["x-fal-request-id"] == reply.headers["consent-transfer-id"]


FAULTS = [
    (Behaviour.UNAUTHORISED, 500, "provider-refused", "yes", "delivered"),
    (Behaviour.INSUFFICIENT, 500, "provider-refused", "yes", "delivered"),
    (Behaviour.THROTTLED, 500, "provider-refused", "yes", "delivered"),
    (Behaviour.UNAVAILABLE, 500, "provider-refused", "yes", "delivered"),
    (Behaviour.BAD_GATEWAY, 500, "provider-refused", "yes", "delivered"),
    (Behaviour.REDIRECT, 500, "provider-reply-unusable", "yes", "delivered"),
    (Behaviour.JUNK, 500, "provider-reply-unusable", "yes", "delivered"),
    (Behaviour.BAD_UTF8, 500, "provider-reply-unusable", "yes", "delivered"),
    (Behaviour.RESET, 500, "provider-reply-unusable", "maybe", "indeterminate"),
    (Behaviour.CUT, 500, "provider-reply-unusable", "maybe", "indeterminate"),
    (Behaviour.HANG, 504, "provider-timeout", "maybe", "indeterminate"),
]


@pytest.mark.parametrize("path", [RUN, SUBMIT])
@pytest.mark.parametrize(("behaviour", "status", "reason", "sent", "state"), FAULTS)
async def test_a_provider_that_fails_is_told_of_so_that_no_sdk_sends_again(
    served: Served, path: str, behaviour: Behaviour, status: int, reason: str, sent: str, state: str
) -> None:
    person = await somebody_who_said_yes(served)
    served.sandbox.behave("fal", "*", behaviour)
    reply = await served.call("POST", path, subject=person, json=PICTURE)
    body = assert_fals_error(reply, status, reason)
    assert body["sent"] == sent
    assert reply.headers.get("x-fal-request-timeout-type") == ("user" if status == 504 else None)
    for theirs in ("balance", "fal.ai", "nginx", served.sandbox.fal_key):
        assert theirs not in reply.text
    (row,) = await served.record(person)
    assert (row["id"], row["outcome"]["state"]) == (body["transfer_id"], state)
    assert len(served.sent()) == 1


async def test_a_result_on_a_host_that_is_not_listed_is_no_address(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    served.change(providers={"fal": a_fal(outbound(served), served.sandbox, output_hosts=[])})
    reply = await served.call("POST", RUN, subject=person, json=PICTURE)
    assert reply.json()["images"][0]["url"] is None


async def test_an_inline_picture_comes_through(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    reply = await served.call("POST", RUN, subject=person, json={**PICTURE, "sync_mode": True})
    assert reply.json()["images"][0]["url"].startswith("data:image/png;base64,")


class Failing:
    """A log that the database is away for."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def record_intent(self, intent: object) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("error", "reason"), [(LedgerUnavailable(), "ledger-unavailable"), (Overloaded(), "overloaded")]
)
async def test_without_a_record_nothing_is_begun_and_the_caller_may_try_again(
    served: Served, error: Exception, reason: str
) -> None:
    person = await somebody_who_said_yes(served)
    served.change(walk=replace(served.services.walk, log=Failing(error)))  # type: ignore[arg-type]
    reply = await served.call("POST", RUN, subject=person, json=PICTURE)
    assert_fals_error(reply, 503, reason)
    assert reply.headers["retry-after"] == "1"
    assert served.sandbox.wire.requests() == []


async def test_what_breaks_here_is_told_in_fals_words_and_quotes_nothing(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    person = await somebody_who_said_yes(served)
    broken = Failing(RuntimeError("the prompt was: a boat"))
    served.change(walk=replace(served.services.walk, log=broken))  # type: ignore[arg-type]
    reply = await served.call("POST", RUN, subject=person, json=PICTURE)
    assert_fals_error(reply, 500, "internal-error")
    assert "a boat" not in reply.text + caplog.text
    assert "RuntimeError" in caplog.text


async def test_a_provider_without_a_key_is_not_configured(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    served.change(providers={"fal": a_fal(outbound(served), served.sandbox, key=None)})
    reply = await served.call("POST", RUN, subject=person, json=PICTURE)
    assert_fals_error(reply, 503, "provider-not-configured")
    assert served.sandbox.wire.requests() == []


async def test_the_trace_is_recorded_and_not_forwarded(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}
    await served.call("POST", RUN, subject=person, json=PICTURE, headers=headers)
    (row,) = await served.record(person)
    assert row["trace_id"] == trace
    assert not served.sandbox.wire.contains(trace)
