"""Contracts over HTTP: the latest put whose period contains the moment, both promises, and an end that holds."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.documents import a_contract
from tests.api.problems import problem_of
from tests.live import Live, a_person

MODEL = "/fal/run/fal-ai/flux/schnell"
WHOLE = {
    "purposes": ["generation", "training"],
    "categories": ["prompt", "setting", "photo"],
    "legal_entity": "Features & Labels, Inc.",
}


def ask(live: Live, person: str) -> tuple[int, str | None]:
    """Have a picture made: the status, and the reason of a refusal."""
    answer = live.call("POST", MODEL, subject=person, json={"prompt": "a boat"})
    return answer.status_code, answer.json().get("reason")


def somebody_who_said_yes(live: Live) -> str:
    person = a_person()
    live.decide(person)
    return person


def put(live: Live, recipient: str, **members: Any) -> Any:
    return live.done("PUT", f"/v1/contracts/{recipient}", json=a_contract(**members))


def test_a_contract_is_shown_as_it_was_put(live: Live) -> None:
    document = a_contract()
    version = put(live, "acme-shown")
    assert {name: version[name] for name in document} == document | {
        "valid_from": version["valid_from"],
    }
    assert (version["recipient"], version["ended_at"], version["in_period"]) == ("acme-shown", None, True)
    shown = live.done("GET", "/v1/contracts/acme-shown")
    assert shown == version
    assert datetime.fromisoformat(shown["valid_from"]) == datetime(2026, 1, 1, tzinfo=UTC)


def test_in_force_is_the_latest_put_whose_period_contains_the_moment(live: Live) -> None:
    whole_year = {"valid_from": "2026-01-01T00:00:00Z", "valid_until": "2027-01-01T00:00:00Z"}
    spring = {"valid_from": "2026-03-01T00:00:00Z", "valid_until": "2026-06-01T00:00:00Z"}
    put(live, "acme-periods", reference="YEAR", **whole_year)
    put(live, "acme-periods", reference="SPRING", **spring)

    def in_force(at: str) -> str:
        answer = live.call("GET", "/v1/contracts/acme-periods", params={"at": at})
        told: str = answer.json()["reference" if answer.is_success else "reason"]
        return told

    assert in_force("2026-02-28T23:59:59Z") == "YEAR"
    assert in_force("2026-03-01T00:00:00Z") == "SPRING"
    assert in_force("2026-06-01T00:00:00Z") == "YEAR"
    assert in_force("2026-12-31T23:59:59Z") == "YEAR"
    assert in_force("2027-01-01T00:00:00Z") == "not-found"
    assert in_force("2025-12-31T23:59:59Z") == "not-found"
    listed = live.done("GET", "/v1/contracts", params={"at": "2026-04-01T00:00:00Z", "limit": 1000})["items"]
    assert [item["reference"] for item in listed if item["recipient"] == "acme-periods"] == ["SPRING"]
    listed = live.done("GET", "/v1/contracts", params={"limit": 1000})["items"]
    assert [item["reference"] for item in listed if item["recipient"] == "acme-periods"] == ["SPRING", "YEAR"]


def test_a_recipient_without_a_contract_is_not_found(live: Live) -> None:
    problem_of(live.call("GET", "/v1/contracts/nobody"), 404, "not-found")
    problem_of(live.call("DELETE", "/v1/contracts/nobody"), 404, "not-found")


def test_both_promises_have_to_be_there_for_anything_to_leave(own_live: Live) -> None:
    person = somebody_who_said_yes(own_live)
    for promises in (
        {"equal_protection": False, "own_purposes_excluded": True},
        {"equal_protection": True, "own_purposes_excluded": False},
    ):
        put(own_live, "fal", **WHOLE, **promises)
        assert ask(own_live, person) == (403, "contract-does-not-cover")
    assert own_live.reached() == []
    put(own_live, "fal", **WHOLE)
    assert ask(own_live, person)[0] == 200


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"purposes": ["training"]}, "contract-does-not-cover"),
        ({"categories": ["setting"]}, "contract-does-not-cover"),
    ],
)
def test_what_a_contract_does_not_cover_does_not_leave(own_live: Live, members: dict[str, Any], reason: str) -> None:
    person = somebody_who_said_yes(own_live)
    put(own_live, "fal", **(WHOLE | members))
    assert ask(own_live, person) == (403, reason)
    assert own_live.reached() == []


def test_a_category_that_the_model_can_spare_stays_here_where_the_contract_lacks_it(own_live: Live) -> None:
    person = somebody_who_said_yes(own_live)
    put(own_live, "fal", **(WHOLE | {"categories": ["prompt"]}))
    answer = own_live.call("POST", MODEL, subject=person, json={"prompt": "a boat", "seed": 7})
    assert answer.status_code == 200
    assert own_live.sent() == [{"prompt": "a boat"}]
    assert answer.headers["consent-fields-dropped"] == "seed"


def test_a_contract_that_was_ended_lets_nothing_through_and_older_versions_do_not_come_back(own_live: Live) -> None:
    person = somebody_who_said_yes(own_live)
    put(own_live, "fal", **WHOLE, valid_until="2999-01-01T00:00:00Z")
    assert ask(own_live, person)[0] == 200
    ended = own_live.done("DELETE", "/v1/contracts/fal")
    own_live.sandbox.wire.clear()

    assert ask(own_live, person) == (403, "contract-expired")
    assert own_live.reached() == []
    problem_of(own_live.call("GET", "/v1/contracts/fal"), 404, "not-found")
    before = datetime.fromisoformat(ended["ended_at"]) - timedelta(microseconds=1)
    assert own_live.done("GET", "/v1/contracts/fal", params={"at": before.isoformat()})["ended_at"] == ended["ended_at"]
    put(own_live, "fal", **WHOLE)
    assert ask(own_live, person)[0] == 200


def test_a_contract_that_begins_later_is_missing_until_then(own_live: Live) -> None:
    own_live.done("DELETE", "/v1/contracts/fal")
    person = somebody_who_said_yes(own_live)
    soon = datetime.now(UTC) + timedelta(hours=1)
    put(own_live, "fal", **WHOLE, valid_from=soon.isoformat())
    assert ask(own_live, person) == (403, "contract-expired")


WRONG: dict[str, dict[str, Any]] = {
    "a member nobody knows": {"colour": "red"},
    "a promise in words": {"equal_protection": "true"},
    "a promise as a number": {"own_purposes_excluded": 1},
    "a category that nothing permits": {"categories": ["onward"]},
    "a purpose nobody knows": {"purposes": ["selling"]},
    "a country in words": {"countries": ["America"]},
    "an end before the beginning": {"valid_until": "2025-01-01T00:00:00Z"},
    "a moment without an offset": {"valid_from": "2026-01-01T00:00:00"},
    "a moment as a number": {"valid_from": 1},
    "a line break": {"reference": "DPA\n1"},
}


@pytest.mark.parametrize("members", WRONG.values(), ids=WRONG.keys())
def test_a_contract_that_says_what_cannot_be_is_not_put(live: Live, members: dict[str, Any]) -> None:
    answer = live.call("PUT", "/v1/contracts/acme-wrong", json=a_contract(**members))
    problem_of(answer, 422, "body-invalid")
    problem_of(live.call("GET", "/v1/contracts/acme-wrong"), 404, "not-found")


@pytest.mark.parametrize("recipient", ["ACME", "a%20b", "mia%40example.com", "-x"])
def test_a_recipient_has_a_plain_name(live: Live, recipient: str) -> None:
    problem_of(live.call("PUT", f"/v1/contracts/{recipient}", json=a_contract()), 422, "body-invalid")
