"""Service keys over HTTP: shown once, kept as a digest, good until they expire or are revoked, rotated without loss."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from tests.api.problems import problem_of
from tests.live import KEY, Live, a_person


def make(live: Live, *roles: str, caller: str | None = None, **body: Any) -> dict[str, Any]:
    named = {"caller": caller or f"of-{uuid4().hex[:8]}", "roles": list(roles or ("auditor",))}
    made: dict[str, Any] = live.done("POST", "/v1/keys", json={**named, **body})
    return made


def listed(live: Live, key_id: str) -> dict[str, Any]:
    keys = live.done("GET", "/v1/keys", params={"limit": 1000})["items"]
    return next(key for key in keys if key["id"] == key_id)


def opens(live: Live, key: str) -> str | None:
    """The reason for which a key does not open what an auditor may read, or ``None``."""
    answer = live.call("GET", "/v1/models", key=key)
    reason: str | None = answer.json().get("reason")
    return reason


def test_a_key_is_shown_once_and_kept_as_a_digest(live: Live) -> None:
    made = make(live, "auditor", "gateway")
    assert made["key"].startswith("cpk_")
    shown = listed(live, made["id"])
    assert shown == {name: value for name, value in made.items() if name != "key"} | {
        "last_used_at": shown["last_used_at"]
    }
    assert made["key"] not in live.call("GET", "/v1/keys", params={"limit": 1000}).text
    assert live.holds(made["key"]) == []
    assert live.holds(made["key"].removeprefix("cpk_")) == []
    assert opens(live, made["key"]) is None


def test_the_answer_that_shows_a_key_is_not_stored_on_the_way(live: Live) -> None:
    answer = live.call("POST", "/v1/keys", json={"caller": "of-the-cache", "roles": ["metrics"]})
    assert answer.headers["cache-control"] == "no-store"


def test_a_revoked_key_opens_nothing_ever_again(live: Live) -> None:
    made = make(live)
    assert opens(live, made["key"]) is None
    assert live.call("DELETE", f"/v1/keys/{made['id']}").status_code == 204
    assert opens(live, made["key"]) == "credential-invalid"
    revoked_at = listed(live, made["id"])["revoked_at"]
    assert revoked_at is not None
    live.done("DELETE", f"/v1/keys/{made['id']}")
    assert listed(live, made["id"])["revoked_at"] == revoked_at


def test_a_revoked_key_sends_nothing_more(live: Live) -> None:
    person, made = a_person(), make(live, "gateway")
    live.decide(person)
    path, body = "/fal/run/fal-ai/flux/dev", {"prompt": "a boat"}
    assert live.call("POST", path, key=made["key"], subject=person, json=body).status_code == 200
    live.done("DELETE", f"/v1/keys/{made['id']}")
    live.sandbox.wire.clear()
    answer = live.call("POST", path, key=made["key"], subject=person, json=body)
    assert (answer.status_code, answer.json()["reason"]) == (401, "credential-invalid")
    assert live.reached() == []


def test_a_key_expires_to_the_moment(live: Live) -> None:
    expires_at = datetime.now(UTC) + timedelta(seconds=2)
    made = make(live, expires_at=expires_at.isoformat())
    assert opens(live, made["key"]) is None
    time.sleep(max(0.0, (expires_at - datetime.now(UTC)).total_seconds() + 0.01))
    assert opens(live, made["key"]) == "credential-expired"
    assert datetime.fromisoformat(listed(live, made["id"])["expires_at"]) == expires_at


def test_a_key_that_was_never_good_is_not_made(live: Live) -> None:
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    answer = live.call("POST", "/v1/keys", json={"caller": "late", "roles": ["auditor"], "expires_at": past})
    problem_of(answer, 422, "body-invalid")


def test_when_a_key_was_last_used_is_told_roughly(live: Live) -> None:
    made = make(live)
    assert listed(live, made["id"])["last_used_at"] is None
    before = datetime.now(UTC)
    opens(live, made["key"])
    assert datetime.fromisoformat(listed(live, made["id"])["last_used_at"]) >= before - timedelta(seconds=1)


def test_keys_rotate_without_losing_jobs(live: Live) -> None:
    caller, person = f"of-{uuid4().hex[:8]}", a_person()
    live.decide(person)
    old = make(live, "gateway", caller=caller)
    path = "/fal/queue/fal-ai/flux/schnell"
    job = live.call("POST", path, key=old["key"], subject=person, json={"prompt": "a boat"}).json()
    new = make(live, "gateway", caller=caller)
    live.done("DELETE", f"/v1/keys/{old['id']}")
    status = live.http.get(job["status_url"], headers={"Authorization": f"Key {new['key']}"})
    assert status.status_code in {200, 202}
    stranger = live.http.get(job["status_url"], headers={"Authorization": f"Key {live.key('gateway')}"})
    assert (stranger.status_code, stranger.json()["reason"]) == (404, "job-not-yours")


def test_a_key_that_is_not_there_cannot_be_revoked(live: Live) -> None:
    problem_of(live.call("DELETE", f"/v1/keys/{uuid4()}"), 404, "not-found")


@pytest.mark.parametrize(
    "body",
    [
        {"roles": ["auditor"]},
        {"caller": "x", "roles": []},
        {"caller": "x", "roles": ["root"]},
        {"caller": "mia@example.com", "roles": ["auditor"]},
        {"caller": "", "roles": ["auditor"]},
        {"caller": "x", "roles": ["auditor"], "expires_at": "soon"},
        {"caller": "x", "roles": ["auditor"], "key": "cpk_of_my_choice"},
    ],
    ids=str,
)
def test_a_key_that_says_what_cannot_be_is_not_made(live: Live, body: dict[str, Any]) -> None:
    problem_of(live.call("POST", "/v1/keys", json=body), 422, "body-invalid")


def test_the_bootstrap_key_has_every_role_and_is_in_no_table(live: Live) -> None:
    for path in ("/v1/keys", "/v1/transfers", "/v1/access-log", "/v1/contracts", "/v1/disclosures", "/v1/models"):
        assert live.call("GET", path, key=KEY).status_code == 200
    assert live.holds(KEY) == []


def test_lists_come_in_parts(apart: Live) -> None:
    made = [make(apart)["id"] for _ in range(3)]
    first = apart.done("GET", "/v1/keys", params={"limit": 2})
    second = apart.done("GET", "/v1/keys", params={"limit": 2, "cursor": first["next_cursor"]})
    assert [key["id"] for key in first["items"] + second["items"]] == made[::-1]
    assert second["next_cursor"] is None
