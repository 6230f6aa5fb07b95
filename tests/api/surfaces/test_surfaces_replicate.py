"""The Replicate surface: what a request leads to, in Replicate's own shapes, and what of it reached Replicate."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import pytest

from consent_proxy.api.replicate_ids import job_id_of, replicate_id
from consent_proxy.application.ports.providers import DeploymentDirectory, ManifestCatalogue
from consent_proxy.application.ports.transfers import LedgerUnavailable
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.manifests import Manifest
from consent_proxy.domain.transfers import Answered
from consent_proxy.sandbox.behaviours import Behaviour
from consent_proxy.sandbox.wire import Role
from tests.in_process import IN_ONE_LOOP, PUBLIC_URL, Served
from tests.provider_samples import Stub, a_replicate

pytestmark = IN_ONE_LOOP

MODEL = "black-forest-labs/flux-schnell"
BY_MODEL = f"/replicate/v1/models/{MODEL}/predictions"
PREDICTIONS = "/replicate/v1/predictions"
SDXL = "stability-ai/sdxl"
SDXL_VERSION = "39ed52f2a78e934b3ba6e2a89f5b1c712de7dfea535525255b1aa35c5565e08b"
INPUT = {"prompt": "a boat"}
DEPLOYMENT = "/replicate/v1/deployments/sandbox/portraits/predictions"


def a_person() -> str:
    return f"person-{uuid4().hex}"


async def somebody_who_said_yes(served: Served) -> str:
    person = a_person()
    await served.decide(person)
    return person


async def create(served: Served, person: str, path: str = BY_MODEL, **request: Any) -> httpx.Response:
    reply = await served.call("POST", path, subject=person, **{"json": {"input": INPUT}, **request})
    assert reply.status_code == 201, reply.text
    return reply


def assert_problem(reply: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    """RFC 9457, which is what Replicate's own errors are, and a word against sending again."""
    body: dict[str, Any] = reply.json()
    assert (reply.status_code, body["reason"]) == (status, reason), reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    assert body["type"] == f"/problems/{reason}"
    assert body["detail"].startswith(f"{reason}: ")
    assert body["status"] == status
    assert body["title"]
    return body


def assert_final(reply: httpx.Response, status: int, reason: str) -> dict[str, Any]:
    """A problem on which no SDK sends again."""
    assert reply.headers["x-should-retry"] == "false"
    return assert_problem(reply, status, reason)


async def finished(served: Served, path: str) -> httpx.Response:
    while True:
        reply = await served.call("GET", path)
        if reply.status_code != 200 or reply.json()["status"] in {"succeeded", "failed", "canceled"}:
            return reply
        await asyncio.sleep(0.02)


async def test_a_prediction_sends_what_is_permitted_and_answers_with_our_addresses(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    body = {"input": {**INPUT, "email": "mia@example.com", "seed": 7}}
    reply = await create(served, person, json=body, headers={"prefer": "wait"})
    shown = reply.json()
    assert served.sent() == [{"input": {"prompt": "a boat", "seed": 7}}]
    assert reply.headers["consent-fields-dropped"] == "email"
    assert shown["status"] == "processing"
    assert shown["input"] == {"prompt": "a boat", "seed": 7}
    (url,) = shown["output"]
    assert url.startswith(f"{PUBLIC_URL}/v1/files/")
    assert (await served.http.get(url)).content.startswith(b"\x89PNG")
    get = f"{PUBLIC_URL}{PREDICTIONS}/{shown['id']}"
    assert shown["urls"] == {"get": get, "cancel": f"{get}/cancel"}
    assert reply.headers["location"] == get
    assert reply.headers["preference-applied"] == "wait=50"
    assert str(job_id_of(shown["id"])) == reply.headers["consent-transfer-id"]
    (row,) = await served.record(person)
    assert (row["id"], row["outcome"]["state"]) == (reply.headers["consent-transfer-id"], "delivered")
    assert row["privacy_switches"] == {"cancel-after": "30m"}


@pytest.mark.parametrize("mount", ["/replicate/v1", "/replicate", "/replicate/v1/v1"])
async def test_sdks_write_v1_once_twice_or_not_at_all(served: Served, mount: str) -> None:
    person = await somebody_who_said_yes(served)
    reply = await create(served, person, f"{mount}/models/{MODEL}/predictions")
    shown = await served.call("GET", f"{mount}/predictions/{reply.json()['id']}")
    assert shown.status_code == 200


async def test_a_prediction_is_read_until_it_is_done(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    reply = await create(served, person)
    assert (reply.json()["status"], reply.json()["output"]) == ("starting", None)
    done = await finished(served, urlsplit(reply.json()["urls"]["get"]).path)
    shown = done.json()
    assert (shown["status"], shown["error"], shown["data_removed"]) == ("succeeded", None, False)
    assert shown["output"][0].startswith(f"{PUBLIC_URL}/v1/files/")
    assert set(shown["urls"]) == {"get", "cancel"}
    assert "127.0.0.1" not in done.text + reply.text
    (row,) = await served.record(person)
    assert row["outcome"]["result"] == "delivered"


async def test_the_providers_own_id_is_not_ours(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    shown = (await create(served, person)).json()
    await finished(served, f"{PREDICTIONS}/{shown['id']}")
    theirs = served.sandbox.wire.requests(role=Role.REPLICATE_API, method="GET")[0].segments[-1]
    assert theirs != shown["id"]
    assert len(theirs) == len(shown["id"]) == 26


async def test_nobody_was_asked_so_nothing_is_sent(served: Served) -> None:
    for path in (BY_MODEL, DEPLOYMENT):
        person = a_person()
        reply = await served.call("POST", path, subject=person, json={"input": INPUT})
        body = assert_final(reply, 403, "consent-never-asked")
        assert (body["must_ask"], body["disclosure"], body["sent"]) == (True, "2026-03-03", "no")
        (row,) = await served.record(person)
        assert body["instance"] == f"/v1/transfers/{row['id']}"
    assert served.sandbox.wire.requests() == []


async def test_a_withdrawal_shuts_the_door_and_keeps_the_result_back(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    path = urlsplit((await create(served, person)).json()["urls"]["get"]).path
    await served.withdraw(person)
    served.sandbox.wire.clear()
    assert_final(await served.call("GET", path), 403, "consent-withdrawn")
    for again in (BY_MODEL, DEPLOYMENT):
        reply = await served.call("POST", again, subject=person, json={"input": INPUT})
        assert_final(reply, 403, "consent-withdrawn")
    assert served.sandbox.wire.requests() == []


@pytest.mark.parametrize("reference", [f"{SDXL}:{SDXL_VERSION}", SDXL, SDXL_VERSION])
async def test_a_version_has_three_spellings_and_one_is_sent(served: Served, reference: str) -> None:
    person = await somebody_who_said_yes(served)
    shown = (await create(served, person, PREDICTIONS, json={"version": reference, "input": INPUT})).json()
    assert served.sent() == [{"version": f"{SDXL}:{SDXL_VERSION}", "input": INPUT}]
    assert (shown["model"], shown["version"]) == (SDXL, SDXL_VERSION)


async def test_a_pinned_model_runs_by_name_too(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    await create(served, person, f"/replicate/v1/models/{SDXL}/predictions")
    assert served.sent() == [{"version": f"{SDXL}:{SDXL_VERSION}", "input": INPUT}]


async def test_an_official_model_goes_by_its_name(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    await create(served, person, PREDICTIONS, json={"version": MODEL, "input": INPUT})
    (request,) = served.sandbox.wire.requests()
    assert request.path == f"/v1/models/{MODEL}/predictions"


@pytest.mark.parametrize(
    "reference",
    [
        "0" * 64,
        f"{SDXL}:{'0' * 64}",
        f"{MODEL}:{SDXL_VERSION}",
        f"{SDXL}:latest",
        "acme/portraits",
        "STABILITY-AI/sdxl",
        "",
        "../../account",
        f"{SDXL}/versions/{SDXL_VERSION}",
    ],
)
async def test_a_version_that_nobody_reviewed_is_unknown(served: Served, reference: str) -> None:
    person = await somebody_who_said_yes(served)
    body = {"version": reference, "input": INPUT}
    reply = await served.call("POST", PREDICTIONS, subject=person, json=body)
    assert_final(reply, 403, "model-unknown")
    assert served.sandbox.wire.requests() == []
    (row,) = await served.record(person)
    assert (row["model"], row["reason"]) == ("unknown", "model-unknown")


@pytest.mark.parametrize("body", [{"input": INPUT}, {"version": 7, "input": INPUT}, {"version": None, "input": INPUT}])
async def test_a_prediction_of_nothing_is_refused(served: Served, body: dict[str, Any]) -> None:
    person = await somebody_who_said_yes(served)
    assert_final(await served.call("POST", PREDICTIONS, subject=person, json=body), 422, "body-invalid")


@pytest.mark.parametrize("body", [{}, {"input": None}, {"input": "a boat"}, {"input": [INPUT]}])
async def test_an_input_is_an_object(served: Served, body: dict[str, Any]) -> None:
    person = await somebody_who_said_yes(served)
    assert_final(await served.call("POST", BY_MODEL, subject=person, json=body), 422, "body-invalid")
    assert [row["reason"] for row in await served.record(person)] == ["body-invalid"]


@pytest.mark.parametrize(
    "extra",
    [
        {"webhook": "https://example.com/hook"},
        {"webhook_completed": "https://example.com/hook"},
        {"webhook": "https://example.com/hook", "webhook_events_filter": ["completed"]},
        {"stream": True},
    ],
)
async def test_callbacks_and_streams_are_not_offered_and_nothing_left_for_them(
    served: Served, extra: dict[str, Any]
) -> None:
    person = await somebody_who_said_yes(served)
    reply = await served.call("POST", BY_MODEL, subject=person, json={"input": INPUT, **extra})
    assert_final(reply, 501, "not-offered")
    assert served.sandbox.wire.requests() == []
    assert [row["reason"] for row in await served.record(person)] == ["not-offered"]


async def test_what_asks_for_nothing_is_left_out(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    nothing = {"webhook": None, "webhook_completed": None, "webhook_events_filter": ["completed"], "stream": False}
    reply = await create(served, person, json={"input": INPUT, **nothing})
    assert served.sent() == [{"input": INPUT}]
    assert "consent-fields-dropped" not in reply.headers


async def test_members_beside_the_input_stay_here(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    body = {"input": {**INPUT, "device": "x"}, "user": "mia@example.com", "mia@example.com": 1, "version": "x"}
    reply = await create(served, person, json=body)
    assert served.sent() == [{"input": INPUT}]
    assert reply.headers["consent-fields-dropped"] == "user, ~, version, device"
    served.sandbox.wire.clear()
    strict = await served.call("POST", BY_MODEL, subject=person, json=body, headers={"consent-strict": "1"})
    assert_final(strict, 422, "field-not-permitted")
    assert "mia@example.com" not in strict.text
    assert served.sandbox.wire.requests() == []


async def test_a_thousand_members_beside_the_input_do_not_burst_a_header(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    body = {"input": INPUT} | {f"member_{number}": 1 for number in range(1_000)}
    reply = await create(served, person, json=body)
    assert len(reply.headers["consent-fields-dropped"].split(", ")) == 64


@pytest.mark.parametrize(
    ("prefer", "passed"),
    [
        ("wait", "wait=50"),
        ("wait=1", "wait=1"),
        ("wait=60", "wait=50"),
        ("wait=9999", "wait=50"),
        ("wait=0", None),
        ("respond-async, wait=2", "wait=2"),
        ("wait=mia", None),
        ("return=minimal", None),
        (None, None),
    ],
)
async def test_a_wait_is_capped_below_what_sdks_give_up_at(
    served: Served, prefer: str | None, passed: str | None
) -> None:
    person = await somebody_who_said_yes(served)
    reply = await create(served, person, headers={"prefer": prefer} if prefer is not None else {})
    (request,) = served.sandbox.wire.requests()
    assert request.header("prefer") == passed
    assert reply.headers.get("preference-applied") == passed


async def test_a_wait_that_was_too_short_says_starting(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    served.sandbox.behave("replicate", "*", Behaviour.SLOW)
    reply = await create(served, person, headers={"prefer": "wait=1"})
    assert (reply.json()["status"], reply.json()["output"]) == ("starting", None)


@pytest.mark.parametrize(
    ("said", "output", "shown"),
    [("processing", None, "starting"), ("processing", ["text"], "processing"), ("failed", None, "failed")],
)
async def test_a_create_never_says_processing_of_what_is_not_there_yet(
    served: Served, said: str, output: Any, shown: str
) -> None:
    person = await somebody_who_said_yes(served)
    stub = Stub(httpx.Response(202, json={"id": "rm0abc", "status": said, "output": output}))
    served.change(providers={"replicate": a_replicate(stub.outbound)})
    reply = await create(served, person, headers={"prefer": "wait"})
    assert (reply.json()["status"], reply.json()["output"]) == (shown, output)


async def test_a_deployment_that_no_manifest_lists_is_looked_up_for_who_said_yes(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    shown = (await create(served, person, DEPLOYMENT)).json()
    looked_up, sent = served.sandbox.wire.requests()
    assert (looked_up.method, looked_up.path, looked_up.body) == ("GET", "/v1/deployments/sandbox/portraits", b"")
    assert (sent.method, sent.path) == ("POST", "/v1/deployments/sandbox/portraits/predictions")
    assert sent.json() == {"input": INPUT}
    assert (shown["model"], shown["deployment"]) == ("black-forest-labs/flux-dev", "sandbox/portraits")
    (row,) = await served.record(person)
    assert row["model"] == "black-forest-labs/flux-dev"


async def test_a_deployment_that_is_not_there_is_unknown(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    path = "/replicate/v1/deployments/sandbox/nothing/predictions"
    assert_final(await served.call("POST", path, subject=person, json={"input": INPUT}), 403, "model-unknown")
    assert served.sent() == []


async def test_a_key_without_the_role_does_not_even_look_a_deployment_up(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    headers = {"authorization": f"Bearer {await served.key('auditor')}"}
    reply = await served.call("POST", DEPLOYMENT, subject=person, json={"input": INPUT}, headers=headers)
    assert_final(reply, 403, "role-missing")
    assert served.sandbox.wire.requests() == []


class Listing:
    """The shipped manifests, with one deployment listed."""

    def __init__(self, manifests: ManifestCatalogue) -> None:
        self._manifests = manifests

    def find(self, provider: str, model: str, *, purpose: Purpose | None = None) -> Manifest | None:
        return self._manifests.find(provider, model, purpose=purpose)

    def find_version(self, provider: str, version: str) -> Manifest | None:
        return self._manifests.find_version(provider, version)

    def find_deployment(self, provider: str, deployment: str) -> Manifest | None:
        return self.find(provider, MODEL) if deployment == "sandbox/portraits" else None

    def all(self) -> tuple[Manifest, ...]:
        return self._manifests.all()


async def test_a_deployment_that_a_manifest_lists_is_not_looked_up(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    served.change(manifests=Listing(served.services.manifests))
    await create(served, person, DEPLOYMENT)
    assert [request.method for request in served.sandbox.wire.requests()] == ["POST"]


class Directory(DeploymentDirectory):
    """Deployments as a test has them."""

    def __init__(self, model: str, version: str | None) -> None:
        self._release = (model, version)

    async def model_of(self, owner: str, name: str) -> tuple[str, str | None] | None:
        return self._release


@pytest.mark.parametrize(
    "directory", [Directory("acme/unreviewed", SDXL_VERSION), Directory(SDXL, "0" * 64), Directory(SDXL, None)]
)
async def test_a_deployment_of_what_nobody_reviewed_is_unknown(served: Served, directory: Directory) -> None:
    person = await somebody_who_said_yes(served)
    served.change(deployments=directory)
    reply = await served.call("POST", DEPLOYMENT, subject=person, json={"input": INPUT})
    assert_final(reply, 403, "model-unknown")


async def test_a_deployment_of_a_pinned_version_is_reviewed(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    served.change(deployments=Directory(SDXL, SDXL_VERSION))
    await create(served, person, DEPLOYMENT)


async def test_a_cancelled_prediction_is_canceled(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    served.sandbox.behave("replicate", "*", Behaviour.SLOW)
    path = urlsplit((await create(served, person)).json()["urls"]["cancel"]).path
    reply = await served.call("POST", path)
    assert (reply.status_code, reply.json()["status"]) == (200, "canceled")
    (row,) = await served.record(person)
    assert row["outcome"]["cancel"]["result"] == "http-200"


async def test_a_failed_prediction_is_a_success_of_the_reply(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    served.sandbox.behave("replicate", "*", Behaviour.FAIL)
    shown = (await create(served, person, headers={"prefer": "wait"})).json()
    assert (shown["status"], shown["output"], shown["error"]) == ("failed", None, "The model gave up on: a boat")


async def test_the_providers_no_about_an_input_goes_back_as_it_is(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    reply = await served.call("POST", BY_MODEL, subject=person, json={"input": {"seed": 7}})
    assert reply.status_code == 422
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["invalid_fields"][0]["description"] == "prompt is required"
    assert reply.headers["x-should-retry"] == "false"
    assert UUID(reply.headers["consent-transfer-id"]).version == 7


FAULTS = [
    (Behaviour.UNAUTHORISED, 502, "provider-refused", "yes"),
    (Behaviour.INSUFFICIENT, 502, "provider-refused", "yes"),
    (Behaviour.THROTTLED, 502, "provider-refused", "yes"),
    (Behaviour.ERROR, 502, "provider-refused", "yes"),
    (Behaviour.REDIRECT_WITH_BODY, 502, "provider-reply-unusable", "yes"),
    (Behaviour.JUNK, 502, "provider-reply-unusable", "yes"),
    (Behaviour.RESET, 502, "provider-reply-unusable", "maybe"),
    (Behaviour.HANG, 504, "provider-timeout", "maybe"),
]


@pytest.mark.parametrize(("behaviour", "status", "reason", "sent"), FAULTS)
async def test_a_provider_that_fails_is_told_of_so_that_no_sdk_sends_again(
    served: Served, behaviour: Behaviour, status: int, reason: str, sent: str
) -> None:
    person = await somebody_who_said_yes(served)
    served.sandbox.behave("replicate", "*", behaviour)
    reply = await served.call("POST", BY_MODEL, subject=person, json={"input": INPUT})
    assert assert_final(reply, status, reason)["sent"] == sent
    for theirs in ("billing", "credit", "replicate.com", served.sandbox.replicate_token):
        assert theirs not in reply.text
    assert len(served.sent()) == 1


async def test_a_question_that_fails_leaves_no_doubt_that_the_data_left(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    path = urlsplit((await create(served, person)).json()["urls"]["get"]).path
    served.sandbox.behave("replicate", "*", Behaviour.RESET, operation="status")
    assert assert_final(await served.call("GET", path), 502, "provider-reply-unusable")["sent"] == "yes"


class Away:
    """A log that the database is away for."""

    async def record_intent(self, intent: object) -> None:
        raise LedgerUnavailable


async def test_without_a_record_nothing_is_begun_and_an_sdk_may_send_again(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    served.change(walk=replace(served.services.walk, log=Away()))  # type: ignore[arg-type]
    reply = await served.call("POST", BY_MODEL, subject=person, json={"input": INPUT})
    assert_problem(reply, 503, "ledger-unavailable")
    assert "x-should-retry" not in reply.headers
    assert reply.headers["retry-after"] == "1"
    assert served.sandbox.wire.requests() == []


async def test_somebody_elses_prediction_is_not_there(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    shown = (await create(served, person)).json()
    served.sandbox.wire.clear()
    path = f"{PREDICTIONS}/{shown['id']}"
    other_key = {"headers": {"authorization": f"Bearer {await served.key('gateway')}"}}
    tries: list[tuple[str, dict[str, Any]]] = [
        (path, other_key),
        (path, {"subject": a_person()}),
        (f"{PREDICTIONS}/{'0' * 26}", {}),
        (f"{PREDICTIONS}/x", {}),
        (path.upper().replace("/REPLICATE/V1/PREDICTIONS", PREDICTIONS), {}),
    ]
    for asked, request in tries:
        assert_final(await served.call("GET", asked, **request), 404, "job-not-yours")
        assert_final(await served.call("POST", f"{asked}/cancel", **request), 404, "job-not-yours")
    assert served.sandbox.wire.requests() == []


async def test_a_job_of_fals_is_none_of_replicates(served: Served) -> None:
    person = await somebody_who_said_yes(served)
    reply = await served.call("POST", "/fal/queue/fal-ai/flux/schnell", subject=person, json=INPUT)
    from_fal = UUID(reply.json()["request_id"])
    assert_final(await served.call("GET", f"{PREDICTIONS}/{replicate_id(from_fal)}"), 404, "job-not-yours")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/predictions"),
        ("GET", "/account"),
        ("GET", "/collections"),
        ("GET", "/hardware"),
        ("GET", "/deployments"),
        ("GET", "/deployments/acme/live"),
        ("POST", "/deployments"),
        ("GET", "/files"),
        ("POST", "/files"),
        ("GET", "/models"),
        ("POST", "/models"),
        ("QUERY", "/models"),
        ("GET", f"/models/{MODEL}/examples"),
        ("DELETE", f"/models/{MODEL}"),
        ("GET", "/search?query=mia"),
        ("GET", "/trainings"),
        ("POST", f"/models/{MODEL}/versions/{SDXL_VERSION}/trainings"),
        ("GET", "/webhooks/default/secret"),
    ],
)
async def test_what_is_not_offered_says_so_and_asks_nobody(served: Served, method: str, path: str) -> None:
    assert_final(await served.call(method, f"/replicate/v1{path}"), 501, "not-offered")
    assert_final(await served.http.request(method, f"/replicate/v1{path}"), 401, "credential-missing")
    assert served.sandbox.wire.requests() == []


async def test_there_is_nothing_at_other_addresses(served: Served) -> None:
    for path in ("/replicate/", "/replicate/v1", "/replicate/v2/predictions", "/replicate/nothing"):
        assert_final(await served.call("GET", path), 404, "not-found")


async def test_models_and_versions_are_shown_as_the_manifests_know_them(served: Served) -> None:
    model = (await served.call("GET", f"/replicate/v1/models/{SDXL}")).json()
    assert (model["owner"], model["name"], model["visibility"]) == ("stability-ai", "sdxl", "public")
    assert model["latest_version"]["id"] == SDXL_VERSION
    versions = (await served.call("GET", f"/replicate/v1/models/{SDXL}/versions")).json()
    assert versions == {"next": None, "previous": None, "results": [model["latest_version"]]}
    version = (await served.call("GET", f"/replicate/v1/models/{SDXL}/versions/{SDXL_VERSION}")).json()
    assert version == model["latest_version"]
    assert version["openapi_schema"]["components"]["schemas"]["Input"]["properties"]["prompt"] == {"type": "string"}
    assert served.sandbox.wire.requests() == []


@pytest.mark.parametrize("path", ["/models/acme/unknown", f"/models/{SDXL}/versions/{'0' * 64}", "/models/../.."])
async def test_what_nobody_reviewed_is_not_in_the_catalogue(served: Served, path: str) -> None:
    assert_final(await served.call("GET", f"/replicate/v1{path.replace('..', '%2e%2e')}"), 404, "not-found")


async def test_an_official_model_shows_no_versions(served: Served) -> None:
    assert (await served.call("GET", f"/replicate/v1/models/{MODEL}")).json()["latest_version"] is None
    assert (await served.call("GET", f"/replicate/v1/models/{MODEL}/versions")).json()["results"] == []


@pytest.fixture
def odd_words(served: Served) -> Iterator[Any]:
    """Lets Replicate say things that the sandbox does not."""
    replicate = served.services.providers["replicate"]

    class Saying:
        def __init__(self, **members: Any) -> None:
            self._members = members

        def __getattr__(self, name: str) -> Any:
            return getattr(replicate, name)

        async def result(self, job: Any) -> Any:
            answer = await replicate.result(job)
            assert isinstance(answer, Answered)
            assert isinstance(answer.body, dict)
            return replace(answer, body=answer.body | self._members)

    def say(**members: Any) -> None:
        served.change(providers={"replicate": Saying(**members)})

    yield say
    served.change()


@pytest.mark.parametrize(
    ("said", "shown"), [("aborted", "canceled"), ("queued", "processing"), ("succeeded", "succeeded")]
)
async def test_a_prediction_keeps_to_the_words_that_sdks_know(
    served: Served, odd_words: Any, said: str, shown: str
) -> None:
    person = await somebody_who_said_yes(served)
    path = urlsplit((await create(served, person)).json()["urls"]["get"]).path
    odd_words(status=said)
    assert (await served.call("GET", path)).json()["status"] == shown


async def test_no_address_but_ours_stands_in_a_prediction(served: Served, odd_words: Any) -> None:
    person = await somebody_who_said_yes(served)
    path = urlsplit((await create(served, person)).json()["urls"]["get"]).path
    odd_words(
        output={
            "a": "https://evil.test/x",
            "b": "see https://evil.test/x",
            "c": "data:text/plain,x",
            "d": "HTTPS://E.T/",
        },
        urls={"web": "https://replicate.com/p/1", "stream": "https://stream.replicate.com/x"},
        webhook="https://internal.test/hook",
        metrics={"predict_time": 1.5, "note": "https://evil.test/"},
    )
    shown = (await served.call("GET", path)).json()
    assert shown["output"] == {"a": None, "b": "see https://evil.test/x", "c": "data:text/plain,x", "d": None}
    assert set(shown["urls"]) == {"get", "cancel"}
    assert shown["metrics"] == {"predict_time": 1.5}
    assert "webhook" not in shown
