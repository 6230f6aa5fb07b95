"""The feed over HTTP: how another backend learns of a withdrawal, and who may read it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.api.problems import problem_of
from tests.live import Live, a_person


def everything(live: Live, *, after: str | None = None, key: str) -> tuple[list[Any], str | None]:
    """All that comes after a cursor, and where to go on."""
    items: list[Any] = []
    while True:
        params = {"limit": 50} | ({"after": after} if after is not None else {})
        part = live.done("GET", "/v1/consent/changes", key=key, params=params)
        items, after = [*items, *part["items"]], part["next_cursor"]
        if not part["items"]:
            return items, after


@pytest.fixture
def backend(live: Live) -> str:
    """A key of a backend that only wants to know."""
    return live.key("consent")


def test_a_backend_learns_of_each_change_by_reference(live: Live, backend: str) -> None:
    _, cursor = everything(live, key=backend)
    guest, account = a_person(), a_person()
    granted = live.decide(guest, answers=[{"purpose": "generation", "decision": "granted", "recipients": ["fal"]}])
    before = live.consent(guest)["subject_ref"]
    body = {"from": {"subject": guest}, "carry": "all"}
    linked = live.done("POST", "/v1/subjects/links", subject=account, json=body)
    taken_back = live.withdraw(account)
    stays = live.consent(account)["subject_ref"]
    items, after = everything(live, after=cursor, key=backend)
    assert [item["event_id"] for item in items] == [one["event_id"] for one in (granted, linked, taken_back)]
    assert [item["kind"] for item in items] == ["decision", "link", "withdrawal"]
    assert [item["subject_ref"] for item in items] == [before, stays, stays]
    assert [item["linked_from"] for item in items] == [None, before, None]
    assert [item["purposes"] for item in items] == [
        ["generation"],
        ["generation", "training"],
        ["generation", "training"],
    ]
    assert items[0]["answers"] == [{"purpose": "generation", "decision": "granted", "recipients": ["fal"]}]
    assert all(datetime.fromisoformat(item["at"]) <= datetime.now(UTC) for item in items)
    assert everything(live, after=after, key=backend) == ([], after)


def test_what_an_auditor_reads_of_the_feed_is_on_record_and_a_poll_of_a_backend_is_not(
    live: Live, backend: str
) -> None:
    auditor = live.key("auditor")
    live.withdraw(a_person())
    read = live.done("GET", "/v1/consent/changes", key=auditor, params={"limit": 1})["items"]
    live.done("GET", "/v1/consent/changes", key=backend)
    newest = live.done("GET", "/v1/access-log", params={"limit": 1})["items"][0]
    assert (newest["resource"], newest["items"]) == ("/v1/consent/changes", len(read)) == ("/v1/consent/changes", 1)


@pytest.mark.parametrize("after", ["x", "%%%", "AAAAAAAAAAAAAAAAAAAAAA"])
def test_a_cursor_of_something_else_is_an_error(live: Live, backend: str, after: str) -> None:
    answer = live.call("GET", "/v1/consent/changes", key=backend, params={"after": after})
    problem_of(answer, 422, "body-invalid")


def test_a_cursor_from_after_a_restored_backup_says_what_to_do(live: Live, backend: str) -> None:
    ahead = "YwAAAQAAAAAA"
    answer = live.call("GET", "/v1/consent/changes", key=backend, params={"after": ahead})
    assert "begin again" in problem_of(answer, 422, "body-invalid")["detail"]
