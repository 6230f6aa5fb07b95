"""Every no and every fault is one kind of document, with one status each, and tells nothing that was sent."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from consent_proxy.api.problem_texts import TEXTS
from consent_proxy.api.problems import STATUS, Problem, problem_document
from consent_proxy.application.ports.transfers import LedgerUnavailable, Overloaded
from consent_proxy.domain.refusals import ASKING_HELPS, Reason
from tests.api.problems import problem_of
from tests.live import DISCLOSURE, Live, a_person

#: As the contract lists them; what it does not list has the status that HTTP gives it.
CONTRACT = {
    403: """consent-never-asked consent-declined consent-withdrawn consent-outdated consent-expired
    recipient-not-granted recipient-not-disclosed purpose-mismatch contract-missing contract-expired
    contract-does-not-cover sub-processor-not-covered model-unknown subject-mismatch role-missing""",
    400: "subject-missing subject-invalid header-repeated json-invalid encoding-not-allowed",
    401: "credential-missing credential-invalid credential-expired",
    404: "job-not-yours media-not-yours artefact-not-yours not-found",
    405: "method-not-allowed",
    409: "already-exists",
    410: "output-expired",
    413: "body-too-large",
    415: "media-type-unsupported",
    422: """field-not-permitted value-not-allowed media-source-not-allowed media-not-clean body-invalid time-not-allowed
    disclosure-mismatch idempotency-key-reused""",
    500: "internal-error",
    501: "not-offered",
    502: "provider-unreachable provider-refused provider-reply-unusable",
    503: "provider-not-configured ledger-unavailable overloaded",
    504: "provider-timeout",
}


def test_every_reason_has_the_contracts_status() -> None:
    wanted = {Reason(slug): status for status, slugs in CONTRACT.items() for slug in slugs.split()}
    assert dict(STATUS) == wanted
    assert set(wanted) == set(Reason)


def test_no_refusal_has_a_status_on_which_an_sdk_sends_again() -> None:
    refusals = {reason for reason in Reason if reason is not Reason.ALREADY_EXISTS}  # that answers a publisher
    assert not {STATUS[reason] for reason in refusals} & {408, 409, 429}


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_makes_a_whole_problem(reason: Reason) -> None:
    document = problem_document(Problem(reason, "why", paths=("prompt",), instance=uuid4(), disclosure="v1"))
    assert str(document["detail"]) == f"{reason}: why"
    assert (document["type"], document["status"]) == (f"/problems/{reason}", STATUS[reason])
    assert str(document["instance"]).startswith("/v1/transfers/")
    assert document["paths"] == ["prompt"]
    assert document.get("must_ask") == (True if reason in ASKING_HELPS else None)
    assert document.get("disclosure") == ("v1" if reason in ASKING_HELPS else None)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_explained_at_its_own_address(live: Live, reason: Reason) -> None:
    page = live.call("GET", f"/problems/{reason}", key=None)
    assert page.status_code == 200
    assert set(TEXTS) == set(Reason)
    meaning, cause, remedy = TEXTS[reason]
    assert page.json() == {
        "slug": reason,
        "status": STATUS[reason],
        "meaning": meaning,
        "cause": cause,
        "remedy": remedy,
    }
    in_a_browser = live.call("GET", f"/problems/{reason}", key=None, headers={"Accept": "text/html,*/*"})
    assert in_a_browser.headers["content-type"].startswith("text/html")
    assert f"<h1>{reason}" in in_a_browser.text


JSON = {"Content-Type": "application/json"}
#: An error of each kind that the control API can be brought to: method, path, the rest of the request, what it is.
ERRORS: dict[str, tuple[str, str, dict[str, Any], int, str]] = {
    "no such address": ("GET", "/v1/nowhere", {}, 404, "not-found"),
    "nothing at the root": ("GET", "/", {}, 404, "not-found"),
    "no such problem": ("GET", "/problems/of-nothing", {}, 404, "not-found"),
    "no such method": ("PATCH", "/v1/consent", {}, 405, "method-not-allowed"),
    "no credential": ("GET", "/v1/keys", {"key": None}, 401, "credential-missing"),
    "an unknown key": ("GET", "/v1/keys", {"key": "cpk_unknown"}, 401, "credential-invalid"),
    "a forged token": ("GET", "/v1/keys", {"key": "cps_unknown"}, 401, "credential-invalid"),
    "no person": ("GET", "/v1/consent", {}, 400, "subject-missing"),
    "a person that cannot be": ("GET", "/v1/consent", {"subject": "undefined"}, 400, "subject-invalid"),
    "no such event": ("GET", f"/v1/consent/events/{uuid4()}", {}, 404, "not-found"),
    "an id that is none": ("GET", "/v1/consent/events/x", {}, 422, "body-invalid"),
    "a limit out of range": ("GET", "/v1/transfers", {"params": {"limit": "0"}}, 422, "body-invalid"),
    "a member missing": ("POST", "/v1/keys", {"json": {"caller": "x"}}, 422, "body-invalid"),
    "no object": ("POST", "/v1/keys", {"json": []}, 422, "body-invalid"),
    "no body": ("POST", "/v1/keys", {"headers": JSON}, 400, "json-invalid"),
    "no JSON": ("POST", "/v1/keys", {"data": {"caller": "x"}}, 415, "media-type-unsupported"),
    "not offered": ("POST", "/v1/artefacts", {"content": b"x"}, 501, "not-offered"),
    "no such file": ("GET", f"/v1/files/{'x' * 22}", {}, 404, "not-found"),
    "a file is only read": ("POST", f"/v1/files/{'x' * 22}", {}, 405, "method-not-allowed"),
    "no streams": ("GET", "/v1/streams/x", {}, 501, "not-offered"),
}


@pytest.mark.parametrize(("method", "path", "request_of", "status", "reason"), ERRORS.values(), ids=ERRORS.keys())
def test_every_error_is_a_problem_whose_detail_begins_with_its_slug(
    live: Live, method: str, path: str, request_of: dict[str, Any], status: int, reason: str
) -> None:
    problem_of(live.call(method, path, **request_of), status, reason)


def test_a_method_that_is_not_taken_names_those_that_are(live: Live) -> None:
    assert live.call("PATCH", "/v1/consent").headers["allow"] == "GET"


def test_a_fault_in_a_body_is_named_by_its_place_and_never_repeated(live: Live) -> None:
    body = {
        "caller": "mia@example.com",
        "roles": ["gateway", "mia@example.com"],
        "mia@example.com": "mia@example.com",
        "expires_at": "mia@example.com",
    }
    problem = problem_of(live.call("POST", "/v1/keys", json=body), 422, "body-invalid")
    for place in ("body.caller", "body.roles.1", "body.~", "body.expires_at"):
        assert f"{place}: " in problem["detail"]
    assert "mia" not in str(problem)


def test_a_long_list_of_faults_is_counted_after_the_first(live: Live) -> None:
    body = {"disclosure": "v1", "locale": "en", "decision": "granted", "purposes": ["x"] * 20}
    answer = live.call("POST", "/v1/consent/decisions", subject="somebody", json=body)
    assert "and 12 more" in problem_of(answer, 422, "body-invalid")["detail"]


class Breaking:
    """A ledger that breaks in a way nobody has thought of, with the person in its message."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def standings(self, subject_ref: object) -> None:
        raise self._error


@pytest.fixture
def broken(live: Live, request: pytest.FixtureRequest) -> Iterator[Live]:
    """The service with such a ledger, until the test's end."""
    state, whole = live.app.state, live.services
    ledger: Any = Breaking(request.param)
    state.services = replace(whole, ledger=ledger)
    yield live
    state.services = whole


@pytest.mark.parametrize("broken", [RuntimeError("the person was mia-of-the-logs")], indirect=True)
def test_what_nobody_thought_of_is_answered_and_its_message_stays_out_of_every_log(
    broken: Live, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    problem = problem_of(broken.call("GET", "/v1/consent", subject=a_person()), 500, "internal-error")
    told = caplog.text + "".join(capfd.readouterr()) + str(problem)
    assert "RuntimeError" in caplog.text
    assert "/v1/consent" in caplog.text
    assert "mia" not in told
    assert broken.call("GET", "/healthz").status_code == 200


@pytest.mark.parametrize("broken", [LedgerUnavailable("postgresql://somewhere")], indirect=True)
def test_a_database_that_is_away_is_503_with_a_time_to_come_back(broken: Live) -> None:
    answer = broken.call("GET", "/v1/consent", subject=a_person())
    assert "somewhere" not in str(problem_of(answer, 503, "ledger-unavailable"))
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("broken", [Overloaded("too many")], indirect=True)
def test_too_much_work_is_503_with_a_time_to_come_back(broken: Live) -> None:
    answer = broken.call("GET", "/v1/consent", subject=a_person())
    problem_of(answer, 503, "overloaded")
    assert answer.headers["retry-after"] == "1"


def test_a_refusal_that_asking_can_cure_says_so_and_names_what_to_show(live: Live) -> None:
    answer = live.call("POST", "/fal/run/fal-ai/flux/dev", subject=a_person(), json={"prompt": "a boat"})
    problem = answer.json()
    assert (problem["reason"], problem["must_ask"], problem["disclosure"]) == ("consent-never-asked", True, DISCLOSURE)
    record = live.done("GET", problem["instance"])
    assert (record["id"], record["kind"], record["reason"]) == (problem["transfer_id"], "refusal", problem["reason"])
