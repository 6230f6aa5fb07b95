"""What stands, over HTTP: every state, whether to ask, the deadline, the past."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.documents import a_disclosure
from tests.api.problems import problem_of
from tests.live import DISCLOSURE, Live, a_person


def publish(live: Live, version: str, **members: Any) -> None:
    """A disclosure in force from now on, of fal, generation, prompts and settings."""
    now = datetime.now(UTC).isoformat()
    live.done("POST", "/v1/disclosures", json=a_disclosure(version, **({"effective_at": now} | members)))


def decide(live: Live, person: str, version: str, decision: str = "granted", **body: Any) -> Any:
    body = {"disclosure": version, "locale": "en", "decision": decision} | body
    return live.done("POST", "/v1/consent/decisions", subject=person, json=body)


def only_row(live: Live, person: str) -> dict[str, Any]:
    """What stands where the disclosure in force names one purpose and one recipient."""
    [row] = live.consent(person)["standing"]
    return dict(row)


def asked(row: dict[str, Any]) -> tuple[str, bool, bool]:
    return row["state"], row["must_ask"], row["may_ask"]


def test_a_person_never_seen_has_to_be_asked_and_gets_the_text(live: Live) -> None:
    answer = live.call("GET", "/v1/consent", subject=a_person(), params={"locale": "en-GB"})
    shown = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert set(shown) >= {"subject_ref", "must_ask", "ai_features", "standing", "disclosure"}
    assert (shown["must_ask"], shown["ai_features"]) == (True, "unavailable")
    assert {asked(row) for row in shown["standing"]} == {("never-asked", True, False)}
    assert (shown["disclosure"]["version"], shown["disclosure"]["locale"]) == (DISCLOSURE, "en")
    current = live.done("GET", "/v1/disclosures/current")
    assert shown["disclosure"] == current


def test_a_yes_makes_features_available_and_leaves_nothing_to_show(live: Live) -> None:
    person = a_person()
    live.decide(person)
    shown = live.consent(person)
    assert (shown["must_ask"], shown["ai_features"], shown["disclosure"]) == (False, "available", None)
    row = shown["standing"][0]
    assert asked(row) == ("granted", False, False)
    assert row["disclosure"] == DISCLOSURE
    assert "prompt" in row["categories"]
    assert datetime.fromisoformat(row["decided_at"]) <= datetime.now(UTC)
    assert row["valid_until"] is None


@pytest.mark.parametrize("state", ["declined", "withdrawn"])
def test_a_no_may_be_asked_again_and_need_not_be(live: Live, state: str) -> None:
    person = a_person()
    if state == "declined":
        live.decide(person, "declined")
    else:
        live.withdraw(person)
    shown = live.consent(person)
    assert (shown["must_ask"], shown["ai_features"]) == (False, "unavailable")
    assert {asked(row) for row in shown["standing"]} == {(state, False, True)}
    assert shown["disclosure"]["version"] == DISCLOSURE


def test_a_yes_runs_out(apart: Live) -> None:
    publish(apart, "short", consent_valid_for=2)
    person = a_person()
    decide(apart, person, "short")
    assert asked(only_row(apart, person)) == ("granted", False, False)
    valid_until = datetime.fromisoformat(only_row(apart, person)["valid_until"])
    time.sleep(max(0.0, (valid_until - datetime.now(UTC)).total_seconds() + 0.01))
    assert asked(only_row(apart, person)) == ("expired", True, False)
    refused = apart.call("POST", "/fal/run/fal-ai/flux/dev", subject=person, json={"prompt": "a boat"}).json()
    assert (refused["reason"], refused["must_ask"], refused["disclosure"]) == ("consent-expired", True, "short")


def test_a_yes_counts_from_when_it_was_given(apart: Live) -> None:
    publish(apart, "a-day", consent_valid_for="P1D")
    given = datetime.now(UTC) - timedelta(hours=20)
    person = a_person()
    decide(apart, person, "a-day", occurred_at=given.isoformat())
    assert datetime.fromisoformat(only_row(apart, person)["valid_until"]) == given + timedelta(days=1)


def test_a_material_change_outdates_what_was_granted_before(apart: Live) -> None:
    publish(apart, "before")
    person = a_person()
    decide(apart, person, "before")
    publish(apart, "material", material=True)
    assert asked(only_row(apart, person)) == ("outdated", True, False)
    assert apart.consent(person)["disclosure"]["version"] == "material"
    refused = apart.call("POST", "/fal/run/fal-ai/flux/dev", subject=person, json={"prompt": "a boat"}).json()
    assert (refused["reason"], refused["disclosure"]) == ("consent-outdated", "material")
    decide(apart, person, "material")
    assert asked(only_row(apart, person)) == ("granted", False, False)


def test_a_material_change_with_a_date_asks_until_then_and_lets_requests_through(apart: Live) -> None:
    publish(apart, "undated")
    person = a_person()
    decide(apart, person, "undated")
    deadline = (datetime.now(UTC) + timedelta(days=7)).isoformat()
    publish(apart, "dated", material=True, outdates_at=deadline)
    row = only_row(apart, person)
    assert asked(row) == ("granted", True, False)
    assert datetime.fromisoformat(row["deadline"]) == datetime.fromisoformat(deadline)
    assert apart.consent(person)["must_ask"] is True
    assert apart.consent(person)["disclosure"]["version"] == "dated"
    answer = apart.call("POST", "/fal/run/fal-ai/flux/dev", subject=person, json={"prompt": "a boat"})
    assert answer.status_code == 200


def test_a_decision_on_a_superseded_version_leads_to_what_that_version_is_worth(apart: Live) -> None:
    publish(apart, "superseded")
    publish(apart, "superseding", material=True)
    recorded = decide(apart, a_person(), "superseded")
    assert recorded["effective"] is True
    assert {asked(row) for row in recorded["standing"]} == {("outdated", True, False)}


def test_what_a_newer_disclosure_adds_is_never_asked_for_that_part_alone(apart: Live) -> None:
    publish(apart, "narrow")
    person = a_person()
    decide(apart, person, "narrow")
    acme = {"id": "acme", "legal_entity": "Acme, Inc.", "country": "US"}
    wider = a_disclosure("x")
    publish(apart, "wider", recipients=[*wider["recipients"], acme])
    rows = {row["recipient"]: asked(row) for row in apart.consent(person)["standing"]}
    assert rows == {"fal": ("granted", False, False), "acme": ("never-asked", True, False)}
    answer = apart.call("POST", "/fal/run/fal-ai/flux/dev", subject=person, json={"prompt": "a boat"})
    assert answer.status_code == 200


def test_a_category_that_a_newer_disclosure_adds_does_not_leave_and_has_to_be_asked_for(apart: Live) -> None:
    publish(apart, "without-settings", **_only_prompts())
    person = a_person()
    decide(apart, person, "without-settings")
    publish(apart, "with-settings")
    assert asked(only_row(apart, person)) == ("granted", True, False)
    apart.sandbox.wire.clear()
    apart.call("POST", "/fal/run/fal-ai/flux/dev", subject=person, json={"prompt": "a boat", "seed": 4711})
    assert apart.sent() == [{"prompt": "a boat"}]
    decide(apart, person, "with-settings")
    assert asked(only_row(apart, person)) == ("granted", False, False)


def _only_prompts() -> dict[str, Any]:
    return {
        "purposes": [{"id": "generation", "categories": ["prompt"], "description": {"en": "To make pictures"}}],
        "categories": {"prompt": {"en": "What you write"}},
        "texts": {"en": a_disclosure("x")["texts"]["en"]},
    }


def test_a_recipient_that_was_not_granted_is_told_from_one_that_was_never_disclosed(live: Live, own_live: Live) -> None:
    person = a_person()
    live.decide(person, answers=[{"purpose": "generation", "decision": "granted", "recipients": ["replicate"]}])
    refused = live.call("POST", "/fal/run/fal-ai/flux/dev", subject=person, json={"prompt": "a boat"}).json()
    assert (refused["reason"], refused["must_ask"]) == ("recipient-not-granted", True)

    publish(own_live, "only-fal")
    decide(own_live, person, "only-fal")
    answer = own_live.call(
        "POST",
        "/replicate/v1/models/black-forest-labs/flux-dev/predictions",
        subject=person,
        json={"input": {"prompt": "a boat"}},
    )
    assert (answer.status_code, answer.json()["reason"]) == (403, "recipient-not-disclosed")


def test_only_one_purpose_may_be_asked_about(live: Live) -> None:
    shown = live.consent(a_person(), params={"purpose": "training"})
    assert {row["purpose"] for row in shown["standing"]} == {"training"}
    problem_of(live.call("GET", "/v1/consent", subject=a_person(), params={"purpose": "selling"}), 422, "body-invalid")


def test_the_past_is_told_as_it_was(live: Live) -> None:
    person = a_person()
    nothing = datetime.now(UTC)
    live.decide(person)
    granted = datetime.now(UTC)
    live.withdraw(person)

    def state_at(moment: datetime) -> set[str]:
        return {row["state"] for row in live.consent(person, params={"at": moment.isoformat()})["standing"]}

    assert state_at(nothing) == {"never-asked"}
    assert state_at(granted) == {"granted"}
    assert state_at(datetime.now(UTC)) == {"withdrawn"}


@pytest.mark.parametrize(
    "at", ["yesterday", "2026-11-23T12:00:00", "1764000000", "0001-01-01T00:00:00+14:00", "2026-11-23"]
)
def test_a_moment_is_written_with_its_offset(live: Live, at: str) -> None:
    problem_of(live.call("GET", "/v1/consent", subject=a_person(), params={"at": at}), 422, "body-invalid")


def test_a_phone_reads_what_stands_for_its_own_person(live: Live) -> None:
    person = a_person()
    live.decide(person)
    token = live.token(person)
    assert live.call("GET", "/v1/consent", key=token).json()["ai_features"] == "available"
    assert live.call("GET", "/v1/consent", key=token, subject=person).status_code == 200
    problem_of(live.call("GET", "/v1/consent", key=token, subject=a_person()), 403, "subject-mismatch")
