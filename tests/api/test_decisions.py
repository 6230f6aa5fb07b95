"""Decisions and withdrawals over HTTP: the order of answers, once for a key, closed evidence, the text shown."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.api.problems import problem_of
from tests.live import DISCLOSURE, Live, a_person

PURPOSES, RECIPIENTS = ("generation", "training"), ("fal", "replicate")


def decide(live: Live, person: str, *, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
    whole = {"disclosure": DISCLOSURE, "locale": "en"} | ({} if "answers" in body else {"decision": "granted"}) | body
    return live.call("POST", "/v1/consent/decisions", subject=person, json=whole, headers=headers)


def withdraw(live: Live, person: str, *, headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
    return live.call("POST", "/v1/consent/withdrawals", subject=person, json=body, headers=headers)


def states(answer: httpx.Response | dict[str, Any]) -> dict[tuple[str, str], str]:
    shown = answer.json() if isinstance(answer, httpx.Response) else answer
    return {(row["purpose"], row["recipient"]): row["state"] for row in shown["standing"]}


def ago(**length: float) -> str:
    return (datetime.now(UTC) - timedelta(**length)).isoformat()


def everywhere(state: str) -> dict[tuple[str, str], str]:
    return {(purpose, recipient): state for purpose in PURPOSES for recipient in RECIPIENTS}


def test_a_decision_answers_with_what_it_led_to(live: Live) -> None:
    person = a_person()
    answer = decide(live, person)
    assert answer.status_code == 201
    recorded = answer.json()
    assert {"event_id", "effective", "reason", "standing", "receipt"} <= set(recorded)
    assert (recorded["effective"], recorded["reason"]) == (True, None)
    assert states(answer) == everywhere("granted")
    assert answer.headers["cache-control"] == "no-store"
    assert states(live.consent(person)) == everywhere("granted")


def test_one_screen_may_hold_several_answers_and_is_one_record(live: Live) -> None:
    person = a_person()
    answers = [
        {"purpose": "generation", "decision": "granted", "recipients": ["fal"]},
        {"purpose": "training", "decision": "declined"},
    ]
    answer = decide(live, person, answers=answers)
    assert states(answer) == {
        ("generation", "fal"): "granted",
        ("generation", "replicate"): "never-asked",
        ("training", "fal"): "declined",
        ("training", "replicate"): "declined",
    }
    events = live.done("GET", "/v1/consent/events", subject=person)["items"]
    assert [event["id"] for event in events] == [answer.json()["event_id"]]


def test_a_decision_may_be_about_some_purposes_only(live: Live) -> None:
    answer = decide(live, a_person(), purposes=["generation"])
    assert states(answer) == everywhere("never-asked") | {
        ("generation", "fal"): "granted",
        ("generation", "replicate"): "granted",
    }


def test_a_later_answer_about_one_recipient_leaves_the_other_alone(live: Live) -> None:
    person = a_person()
    decide(live, person)
    no_to_fal = [{"purpose": "generation", "decision": "declined", "recipients": ["fal"]}]
    assert states(decide(live, person, answers=no_to_fal)) == everywhere("granted") | {
        ("generation", "fal"): "declined"
    }


def test_a_phones_offline_queue_does_not_reopen_the_door(live: Live) -> None:
    person = a_person()
    given = ago(minutes=10)
    withdraw(live, person)
    answer = decide(live, person, occurred_at=given)
    assert answer.status_code == 201
    assert (answer.json()["effective"], answer.json()["reason"]) == (False, "superseded")
    assert states(answer) == everywhere("withdrawn")
    refused = live.call("POST", "/fal/run/fal-ai/flux/dev", subject=person, json={"prompt": "a boat"})
    assert refused.json()["reason"] == "consent-withdrawn"
    assert live.reached() == []


def test_a_yes_given_after_the_last_no_counts(live: Live) -> None:
    person = a_person()
    decide(live, person, decision="declined")
    later = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    answer = decide(live, person, occurred_at=later)
    assert answer.json()["effective"] is True
    assert states(answer) == everywhere("granted")


def test_a_yes_without_a_time_counts_from_its_arrival(live: Live) -> None:
    person = a_person()
    withdraw(live, person)
    assert decide(live, person).json()["effective"] is True


def test_a_no_counts_on_arrival_whatever_the_phones_clock_says(live: Live) -> None:
    for when in (ago(days=400), ago(days=-400)):
        person = a_person()
        decide(live, person)
        declined = decide(live, person, decision="declined", occurred_at=when)
        assert (declined.json()["effective"], states(declined)) == (True, everywhere("declined"))
        decide(live, person)
        withdrawn = withdraw(live, person, occurred_at=when)
        assert (withdrawn.json()["effective"], states(withdrawn)) == (True, everywhere("withdrawn"))


def test_a_yes_of_more_than_five_minutes_ahead_is_an_error(live: Live) -> None:
    person = a_person()
    problem_of(decide(live, person, occurred_at=ago(minutes=-6)), 422, "time-not-allowed")
    assert states(live.consent(person)) == everywhere("never-asked")
    assert decide(live, person, occurred_at=ago(minutes=-4)).status_code == 201


def test_a_yes_older_than_thirty_days_is_recorded_and_changes_nothing(live: Live) -> None:
    person = a_person()
    answer = decide(live, person, occurred_at=ago(days=30, minutes=1))
    assert (answer.status_code, answer.json()["effective"]) == (201, False)
    assert states(answer) == everywhere("never-asked")
    [event] = live.done("GET", "/v1/consent/events", subject=person)["items"]
    assert event["effective"] is False
    assert decide(live, a_person(), occurred_at=ago(days=29)).json()["effective"] is True


@pytest.mark.parametrize("record", [decide, withdraw])
def test_the_same_key_and_body_again_get_the_first_answer_and_have_no_effect(live: Live, record: Any) -> None:
    person = a_person()
    headers = {"Idempotency-Key": "tap-1"}
    first = record(live, person, headers=headers)
    again = record(live, person, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert len(live.done("GET", "/v1/consent/events", subject=person)["items"]) == 1
    decide(live, person, decision="declined")
    # The first answer, whatever came after it: it opens no door, and what stands now is read from GET /v1/consent.
    assert record(live, person, headers=headers).json() == first.json()
    assert set(states(live.consent(person)).values()) == {"declined"}


@pytest.mark.parametrize("record", [decide, withdraw])
def test_the_same_key_with_another_body_is_an_error(live: Live, record: Any) -> None:
    person = a_person()
    headers = {"Idempotency-Key": "tap-1"}
    record(live, person, headers=headers)
    answer = record(live, person, headers=headers, evidence={"surface": "ios"})
    problem_of(answer, 422, "idempotency-key-reused")


def test_a_key_is_one_persons_and_one_operations(live: Live) -> None:
    headers = {"Idempotency-Key": "1"}
    person, other = a_person(), a_person()
    answers = [
        decide(live, person, headers=headers),
        decide(live, other, headers=headers),
        withdraw(live, person, headers=headers),
    ]
    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert len({answer.json()["event_id"] for answer in answers}) == 3


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_that_is_none_is_an_error(live: Live, key: str) -> None:
    problem_of(decide(live, a_person(), headers={"Idempotency-Key": key}), 422, "body-invalid")


@pytest.mark.parametrize(
    "evidence",
    [
        {"note": "she said yes"},
        {"surface": "phone"},
        {"screen": "x" * 65},
        {"screen": "mia@example.com"},
        {"screen": "her screen"},
        {"app_version": ""},
        {"screen_sha256": "abc"},
        {"shown_at": "yesterday"},
        {"control": "checkbox"},
        {"screen": {"nested": "x"}},
        ["ios"],
    ],
    ids=str,
)
def test_evidence_is_closed(live: Live, evidence: Any) -> None:
    person = a_person()
    for record in (decide, withdraw):
        problem_of(record(live, person, evidence=evidence), 422, "body-invalid")
    assert live.done("GET", "/v1/consent/events", subject=person)["items"] == []


def test_evidence_is_kept_as_it_came(live: Live) -> None:
    person = a_person()
    evidence = {
        "surface": "ios",
        "app_version": "4.2.1+99",
        "screen": "onboarding/ai",
        "shown_at": "2026-11-23T12:00:00Z",
        "screen_sha256": "a" * 64,
        "control": "toggle",
    }
    decide(live, person, evidence=evidence, actor="guardian")
    [event] = live.done("GET", "/v1/consent/events", subject=person)["items"]
    assert (event["evidence"], event["actor"]) == (evidence, "guardian")


WRONG: dict[str, dict[str, Any]] = {
    "a member nobody knows": {"note": "x"},
    "both forms": {"answers": [{"purpose": "generation", "decision": "granted"}], "decision": "granted"},
    "neither form": {"decision": None},
    "purposes beside answers": {
        "answers": [{"purpose": "generation", "decision": "granted"}],
        "purposes": ["generation"],
    },
    "no answers": {"answers": []},
    "no purposes": {"purposes": []},
    "no recipients": {"answers": [{"purpose": "generation", "decision": "granted", "recipients": []}]},
    "a purpose twice": {"purposes": ["generation", "generation"]},
    "a purpose nobody knows": {"purposes": ["selling"]},
    "an answer that is none": {"decision": "maybe"},
    "an actor nobody knows": {"actor": "operator"},
    "a moment without an offset": {"occurred_at": "2026-11-23T12:00:00"},
    "a moment as a number": {"occurred_at": 1_775_001_600},
    "a language that is none": {"locale": "e"},
    "a digest that is none": {"disclosure_sha256": "abc"},
}


@pytest.mark.parametrize("members", WRONG.values(), ids=WRONG.keys())
def test_a_decision_that_says_what_cannot_be_is_not_recorded(live: Live, members: dict[str, Any]) -> None:
    person = a_person()
    body = {"disclosure": DISCLOSURE, "locale": "en", "decision": "granted"} | members
    if "answers" in members and "decision" not in members:
        del body["decision"]
    problem_of(live.call("POST", "/v1/consent/decisions", subject=person, json=body), 422, "body-invalid")
    assert live.done("GET", "/v1/consent/events", subject=person)["items"] == []


@pytest.mark.parametrize(
    "members",
    [
        {"disclosure": "2001-01-01"},
        {"disclosure_sha256": "0" * 64},
        {"answers": [{"purpose": "generation", "decision": "granted", "recipients": ["acme"]}]},
    ],
    ids=str,
)
def test_a_decision_about_something_else_than_was_published_is_a_mismatch(live: Live, members: dict[str, Any]) -> None:
    person = a_person()
    problem_of(decide(live, person, **members), 422, "disclosure-mismatch")
    assert live.done("GET", "/v1/consent/events", subject=person)["items"] == []


def test_the_digest_that_was_shown_is_the_one_that_is_recorded(live: Live) -> None:
    person = a_person()
    shown = live.done("GET", "/v1/disclosures/current", params={"locale": "en"})
    decide(live, person, disclosure_sha256=shown["sha256"])
    [event] = live.done("GET", "/v1/consent/events", subject=person)["items"]
    assert (event["disclosure"], event["disclosure_sha256"]) == (DISCLOSURE, shown["sha256"])
    assert event["text_shown"]["texts"]["en"] == shown["text"]


@pytest.mark.parametrize("before", ["never-asked", "granted", "declined", "withdrawn"])
def test_a_withdrawal_is_never_refused_for_what_stands(live: Live, before: str) -> None:
    person = a_person()
    if before in {"granted", "declined"}:
        decide(live, person, decision=before)
    if before == "withdrawn":
        withdraw(live, person)
    answer = withdraw(live, person)
    assert (answer.status_code, answer.json()["effective"]) == (201, True)
    assert states(answer) == everywhere("withdrawn")


def test_a_withdrawal_may_be_about_a_part(live: Live) -> None:
    person = a_person()
    decide(live, person)
    assert states(withdraw(live, person, purposes=["training"], recipients=["fal"])) == everywhere("granted") | {
        ("training", "fal"): "withdrawn"
    }
    person = a_person()
    decide(live, person)
    assert states(withdraw(live, person, recipients=["replicate"])) == {
        (purpose, recipient): "withdrawn" if recipient == "replicate" else "granted"
        for purpose in PURPOSES
        for recipient in RECIPIENTS
    }


@pytest.mark.parametrize("reason", ["user-request", "account-closed", "guardian", "operator"])
def test_a_withdrawals_reason_is_one_of_a_few(live: Live, reason: str) -> None:
    person = a_person()
    withdraw(live, person, reason=reason)
    [event] = live.done("GET", "/v1/consent/events", subject=person)["items"]
    assert (event["kind"], event["reason"]) == ("withdrawal", reason)
    problem_of(withdraw(live, person, reason="she was cross"), 422, "body-invalid")


def test_a_phone_takes_consent_back_with_its_token(live: Live) -> None:
    person = a_person()
    decide(live, person)
    token = live.token(person)
    answer = live.call("POST", "/v1/consent/withdrawals", key=token, json={})
    assert states(answer) == everywhere("withdrawn")
    refused = live.call("POST", "/fal/run/fal-ai/flux/dev", key=token, json={"prompt": "a boat"})
    assert refused.json()["reason"] == "consent-withdrawn"


def test_a_history_is_told_newest_first_in_parts_and_keeps_every_answer(live: Live) -> None:
    person = a_person()
    made = [decide(live, person).json()["event_id"] for _ in range(2)] + [withdraw(live, person).json()["event_id"]]
    first = live.done("GET", "/v1/consent/events", subject=person, params={"limit": 2})
    second = live.done("GET", "/v1/consent/events", subject=person, params={"cursor": first["next_cursor"]})
    assert [event["id"] for event in first["items"] + second["items"]] == made[::-1]
    assert second["next_cursor"] is None
    oldest = live.done("GET", "/v1/consent/events", subject=person, params={"order": "asc", "limit": 1})["items"]
    assert [event["id"] for event in oldest] == made[:1]
    by_ref = live.done("GET", "/v1/consent/events", params={"subject_ref": first["items"][0]["subject_ref"]})
    assert len(by_ref["items"]) == 3
    assert live.done("GET", f"/v1/consent/events/{made[0]}")["id"] == made[0]
    answer = live.call("GET", "/v1/consent/events", subject=person, params={"cursor": "mine"})
    problem_of(answer, 422, "body-invalid")


def test_a_person_nobody_knows_has_no_history(live: Live) -> None:
    assert live.done("GET", "/v1/consent/events", subject=a_person()) == {"items": [], "next_cursor": None}
    problem_of(live.call("GET", "/v1/consent/events"), 400, "subject-missing")


def test_a_token_reads_its_own_history_and_nobody_elses(live: Live) -> None:
    person, other = a_person(), a_person()
    mine = decide(live, person).json()["event_id"]
    theirs = decide(live, other).json()["event_id"]
    token = live.token(person, scopes=["consent"])
    listed = live.call("GET", "/v1/consent/events", key=token).json()["items"]
    assert [event["id"] for event in listed] == [mine]
    assert live.call("GET", f"/v1/consent/events/{mine}", key=token).status_code == 200
    problem_of(live.call("GET", f"/v1/consent/events/{theirs}", key=token), 404, "not-found")
    other_ref = live.consent(other)["subject_ref"]
    answer = live.call("GET", "/v1/consent/events", key=token, params={"subject_ref": other_ref})
    problem_of(answer, 403, "subject-mismatch")


@pytest.mark.parametrize("answer", ["granted", "declined"])
def test_an_answer_in_a_language_without_a_text_is_recorded_with_the_text_that_was_shown(
    live: Live, answer: str
) -> None:
    person = a_person()
    shown = live.done("GET", "/v1/disclosures/current", key=None, params={"locale": "fr-CA"})
    recorded = decide(live, person, decision=answer, locale="fr-CA", disclosure_sha256=shown["sha256"])
    assert recorded.status_code == 201
    [event] = live.done("GET", "/v1/consent/events", subject=person)["items"]
    assert (event["locale"], event["disclosure_sha256"]) == (shown["locale"], shown["sha256"])
    assert set(states(recorded).values()) == {answer}
