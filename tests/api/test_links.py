"""Links over HTTP: a guest signs up, accounts merge; what either knew is one from then on, on every replica."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.api.problems import problem_of
from tests.live import DISCLOSURE, KEY, Live, a_person, live_service

RUN = "/fal/run/fal-ai/flux/schnell"
QUEUE = "/fal/queue/fal-ai/flux/schnell"
PICTURE = {"prompt": "a boat"}
SESSION = {"Consent-Subject-Kind": "session"}


@pytest.fixture(scope="module")
def replica(running_live: Live) -> Iterator[Live]:
    """Another one on the same database, which remembers for some seconds who an identifier was."""
    with live_service(running_live.database, running_live.sandbox, published=False) as other:
        yield other


def link(
    live: Live, guest: str, account: str, *, carry: str = "all", headers: dict[str, str] | None = None
) -> httpx.Response:
    body = {"from": {"subject": guest}, "carry": carry}
    return live.call("POST", "/v1/subjects/links", subject=account, json=body, headers=headers)


def run(live: Live, who: str, *, key: str = KEY) -> str:
    """What became of a picture: ``sent``, or the reason it was not."""
    answer = live.call("POST", RUN, subject=who if key == KEY else None, key=key, json=PICTURE)
    return "sent" if answer.is_success else str(answer.json()["reason"])


def states(consent: Any) -> set[str]:
    return {row["state"] for row in consent["standing"]}


def test_a_guest_who_signs_up_after_declining_is_not_sent_for(live: Live) -> None:
    guest, account = a_person(), a_person()
    shown = {"disclosure": DISCLOSURE, "locale": "en", "decision": "declined"}
    live.done("POST", "/v1/consent/decisions", subject=guest, headers=SESSION, json=shown)
    live.decide(account)
    assert run(live, account) == "sent"
    answer = live.call(
        "POST",
        "/v1/subjects/links",
        subject=account,
        json={"from": {"subject": guest, "kind": "session"}, "carry": "refusals"},
    )
    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    assert states(answer.json()) == {"declined"}
    assert run(live, account) == "consent-declined"
    live.decide(account)
    assert run(live, account) == "sent"


def test_both_identifiers_are_one_person_to_every_reader(live: Live) -> None:
    guest, account = a_person(), a_person()
    live.decide(guest)
    assert run(live, guest) == "sent"
    before = live.consent(guest)["subject_ref"]
    linked = link(live, guest, account).json()
    assert run(live, account) == "sent"
    assert live.consent(guest) == live.consent(account)
    stays = live.consent(account)["subject_ref"]
    events = live.done("GET", "/v1/consent/events", subject=guest)["items"]
    assert [event["kind"] for event in events] == ["link", "decision"]
    assert (events[0]["id"], events[0]["linked_from"], events[0]["carry"]) == (linked["event_id"], before, "all")
    assert [event["subject_ref"] for event in events] == [stays, before]
    records = live.records(guest)
    assert [record["subject_ref"] for record in records] == [stays, before]
    assert records == live.records(account)
    for ref in (stays, before):
        assert live.done("GET", "/v1/transfers", params={"subject_ref": ref})["items"] == records
        assert live.done("GET", "/v1/consent/events", params={"subject_ref": ref})["items"] == events
        assert live.done("GET", "/v1/transfers", subject=guest, params={"subject_ref": ref})["items"] == records


def test_a_replica_that_remembers_the_old_reference_neither_sends_nor_loses_anything(live: Live, replica: Live) -> None:
    guest, account = a_person(), a_person()
    live.decide(guest)
    live.decide(account)
    assert run(replica, guest) == "sent"
    assert run(replica, account) == "sent"
    link(live, guest, account)
    # Under the identifier it remembers, and on facts it remembers: the walk follows.
    assert run(replica, guest) == "sent"
    assert live.records(account)[0]["subject_ref"] == live.consent(account)["subject_ref"]
    live.withdraw(account)
    assert run(replica, guest) == run(replica, account) == "consent-withdrawn"
    assert replica.decide(guest)["effective"] is True
    assert run(live, account) == run(replica, guest) == "sent"
    replica.withdraw(guest)
    assert run(live, account) == run(live, guest) == "consent-withdrawn"


def test_the_jobs_of_the_guest_are_the_accounts(live: Live, replica: Live) -> None:
    guest, account, stranger = a_person(), a_person(), a_person()
    live.decide(guest)
    job = live.done("POST", QUEUE, subject=guest, json=PICTURE)["request_id"]
    status = f"/fal/queue/fal-ai/flux/requests/{job}/status"
    assert replica.call("GET", status, subject=guest).is_success
    assert replica.call("GET", status, subject=account).status_code == 404
    link(live, guest, account)
    for who in (guest, account):
        for one in (live, replica):
            assert one.call("GET", status, subject=who).is_success
    assert live.call("GET", status, key=live.token(account)).is_success
    result = status.removesuffix("/status")
    live.withdraw(account)
    assert live.call("GET", result, subject=guest).json()["reason"] == "consent-withdrawn"
    assert live.call("GET", status, subject=stranger).status_code == 404


def test_a_token_of_the_guest_works_on_for_the_person_and_ends_with_the_persons(live: Live, replica: Live) -> None:
    guest, account = a_person(), a_person()
    live.decide(guest)
    token = live.token(guest, scopes=["ai", "consent"])
    job = live.done("POST", QUEUE, key=token, json=PICTURE)["request_id"]
    link(live, guest, account)
    for one in (live, replica):
        assert run(one, guest, key=token) == "sent"
        assert one.call("GET", f"/fal/queue/fal-ai/flux/requests/{job}/status", key=token).is_success
        for who in (guest, account):
            assert one.call("POST", RUN, key=token, subject=who, json=PICTURE).is_success
        assert one.done("GET", "/v1/consent", key=token) == live.consent(account)
    kinds = [event["kind"] for event in live.done("GET", "/v1/consent/events", key=token)["items"]]
    assert kinds == ["link", "decision"]
    live.done("POST", "/v1/consent/withdrawals", key=token)
    assert states(live.consent(account)) == {"withdrawn"}
    live.done("POST", "/v1/subject-tokens/revocations", json={"subject": account})
    for one in (live, replica):
        assert run(one, guest, key=token) == "credential-invalid"


def test_a_withdrawal_by_a_token_of_the_old_reference_shuts_the_door_everywhere(live: Live, replica: Live) -> None:
    guest, account = a_person(), a_person()
    live.decide(account)
    token = live.token(guest)
    link(live, guest, account)
    assert run(replica, account) == "sent"
    replica.done("POST", "/v1/consent/withdrawals", key=token)
    assert run(live, account) == run(replica, account) == "consent-withdrawn"


def test_linking_again_is_answered_with_the_first_link(live: Live) -> None:
    guest, account = a_person(), a_person()
    first = link(live, guest, account)
    again = link(live, guest, account)
    turned = link(live, account, guest)
    assert [answer.status_code for answer in (first, again, turned)] == [201] * 3
    assert len({answer.json()["event_id"] for answer in (first, again, turned)}) == 1
    assert len(live.done("GET", "/v1/consent/events", subject=account)["items"]) == 1


def test_a_key_gets_the_first_answer_again_and_no_other_body(live: Live) -> None:
    guest, account = a_person(), a_person()
    live.decide(guest)
    key = {"Idempotency-Key": "sign-up"}
    first = link(live, guest, account, headers=key)
    live.withdraw(account)
    again = link(live, guest, account, headers=key)
    assert again.json() == first.json()
    assert states(live.consent(account)) == {"withdrawn"}
    problem_of(link(live, guest, account, carry="refusals", headers=key), 422, "idempotency-key-reused")


def test_a_retry_under_the_old_identifier_reopens_nothing(live: Live) -> None:
    guest, account = a_person(), a_person()
    key = {"Idempotency-Key": "tap-1"}
    shown = {"disclosure": DISCLOSURE, "locale": "en", "decision": "granted"}
    first = live.done("POST", "/v1/consent/decisions", subject=guest, headers=key, json=shown)
    live.withdraw(guest)
    link(live, guest, account)
    again = live.done("POST", "/v1/consent/decisions", subject=guest, headers=key, json=shown)
    assert again == first
    assert states(live.consent(account)) == {"withdrawn"}
    assert run(live, account) == run(live, guest) == "consent-withdrawn"


def test_an_identifier_cannot_be_linked_to_itself(live: Live) -> None:
    person = a_person()
    for _ in range(2):
        problem = problem_of(link(live, person, person), 422, "body-invalid")
        assert "name the other one" in problem["detail"]
        assert link(live, a_person(), person).status_code == 201


@pytest.mark.parametrize(
    ("body", "reason", "status"),
    [
        ({}, "body-invalid", 422),
        ({"from": {"subject": "s-1"}}, "body-invalid", 422),
        ({"carry": "all"}, "body-invalid", 422),
        ({"from": {"subject": "s-1"}, "carry": "grants"}, "body-invalid", 422),
        ({"from": {"subject": "s-1", "kind": "device"}, "carry": "all"}, "body-invalid", 422),
        ({"from": {"subject": "s-1"}, "carry": "all", "note": "x"}, "body-invalid", 422),
        ({"from": "s-1", "carry": "all"}, "body-invalid", 422),
        ({"source": {"subject": "s-1"}, "carry": "all"}, "body-invalid", 422),
        ({"from": {"subject": "undefined"}, "carry": "all"}, "subject-invalid", 400),
    ],
    ids=str,
)
def test_what_is_no_link_is_an_error(live: Live, body: Any, reason: str, status: int) -> None:
    person = a_person()
    answer = live.call("POST", "/v1/subjects/links", subject=person, json=body)
    problem_of(answer, status, reason)
    assert "s-1" not in answer.text


def test_a_link_names_who_stays(live: Live) -> None:
    body = {"from": {"subject": a_person()}, "carry": "all"}
    problem_of(live.call("POST", "/v1/subjects/links", json=body), 400, "subject-missing")


def test_neither_identifier_is_written_anywhere(live: Live) -> None:
    guest, account = f"{a_person()}-guest", f"{a_person()}-account"
    link(live, guest, account)
    assert live.holds(guest) == live.holds(account) == []
