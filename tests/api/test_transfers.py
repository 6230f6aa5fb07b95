"""What an auditor reads: every filter, parts, exports, one record; and that the reading itself is recorded."""

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from consent_proxy.api.transfers import CSV_COLUMNS, csv_cells
from tests.api.problems import problem_of
from tests.live import DISCLOSURE, Live, a_person

FAL = "/fal/run/fal-ai/flux/schnell"
QUEUE = "/fal/queue/fal-ai/flux/dev"
REPLICATE = "/replicate/v1/models/black-forest-labs/flux-dev/predictions"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(scope="module")
def story(running_live: Live) -> str:
    """Somebody with one refusal, a run and a job at fal, and a prediction at Replicate, in that order."""
    live, person = running_live, a_person()
    live.call("POST", FAL, subject=person, json={"prompt": "a boat", "email": "mia@example.com"})
    live.decide(person)
    headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    live.done("POST", FAL, subject=person, json={"prompt": "a boat", "email": "x", "m@x.y": 1}, headers=headers)
    live.done("POST", QUEUE, subject=person, json={"prompt": "a boat", "seed": 7})
    live.done("POST", REPLICATE, subject=person, json={"input": {"prompt": "a boat"}})
    return person


def kinds(items: list[dict[str, Any]]) -> list[str]:
    return [f"{item['kind']} {item['model']}" for item in items]


REFUSAL = "refusal fal-ai/flux/schnell"
RUN = "transfer fal-ai/flux/schnell"
JOB = "transfer fal-ai/flux/dev"
PREDICTION = "transfer black-forest-labs/flux-dev"


def test_a_persons_records_are_told_newest_first(live: Live, story: str) -> None:
    assert kinds(live.records(story)) == [PREDICTION, JOB, RUN, REFUSAL]
    assert kinds(live.records(story, order="asc")) == [REFUSAL, RUN, JOB, PREDICTION]
    subject_ref = live.consent(story)["subject_ref"]
    by_ref = live.done("GET", "/v1/transfers", params={"subject_ref": subject_ref})["items"]
    assert by_ref == live.records(story)


def test_a_transfer_has_the_contracts_shape(live: Live, story: str) -> None:
    run = live.records(story)[2]
    assert set(run) >= {
        *("schema", "id", "kind", "environment", "sandbox", "intent_at", "subject_ref", "subject_kind", "caller"),
        *("credential", "provider", "recipient", "legal_entity", "sub_processors", "model", "model_version", "purpose"),
        *("manifest", "categories", "fields_sent", "fields_dropped", "consent", "contract", "edition", "endpoint"),
        *("bytes_sent", "payload_digest", "media", "privacy_switches", "first_transfer_id", "job_id", "trace_id"),
        *("reason", "outcome"),
    }
    assert (run["schema"], run["environment"], run["sandbox"]) == (1, "development", True)
    assert (run["provider"], run["recipient"], run["purpose"]) == ("fal", "fal", "generation")
    assert run["credential"] == {"kind": "bootstrap", "id": "bootstrap"}
    assert (run["categories"], run["fields_sent"]) == (["prompt"], ["prompt"])
    assert run["fields_dropped"] == [
        {"path": "email", "reason": "not-listed"},
        {"path": "~", "reason": "not-listed"},
    ]
    assert (run["consent"]["disclosure"], run["consent"]["locale"]) == (DISCLOSURE, "en")
    assert str(UUID(run["consent"]["event_id"])) == run["consent"]["event_id"]
    assert run["contract"]["reference"].startswith("SAMPLE")
    assert run["endpoint"]["path"].endswith("/fal-ai/flux/schnell")
    assert run["privacy_switches"]["x-fal-store-io"] == "0"
    assert len(run["payload_digest"]) == 64
    assert (run["trace_id"], run["reason"], run["job_id"]) == (TRACE, None, None)
    assert (run["outcome"]["state"], run["outcome"]["http_status"], run["outcome"]["result"]) == (
        *("delivered", 200, "delivered"),
    )


def test_a_refusal_has_its_reason_and_no_outcome(live: Live, story: str) -> None:
    refusal = live.records(story)[3]
    assert (refusal["reason"], refusal["fields_sent"]) == ("consent-never-asked", [])
    assert refusal["outcome"] is None or refusal["outcome"]["state"] == "not-delivered"


def test_nothing_a_person_wrote_stands_in_a_record(live: Live, story: str) -> None:
    text = json.dumps(live.records(story))
    for secret in (story, "a boat", "mia@example.com", "m@x.y"):
        assert secret not in text


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"kind": "refusal"}, [REFUSAL]),
        ({"kind": "delivery"}, []),
        ({"kind": ["refusal", "transfer"]}, [PREDICTION, JOB, RUN, REFUSAL]),
        ({"recipient": "replicate"}, [PREDICTION]),
        ({"provider": "fal"}, [JOB, RUN, REFUSAL]),
        ({"provider": ["fal", "replicate"], "kind": "transfer"}, [PREDICTION, JOB, RUN]),
        ({"model": "fal-ai/flux/dev"}, [JOB]),
        ({"purpose": "training"}, []),
        ({"purpose": "generation"}, [PREDICTION, JOB, RUN, REFUSAL]),
        ({"category": "setting"}, [JOB]),
        ({"category": "prompt"}, [PREDICTION, JOB, RUN]),
        ({"caller": "bootstrap"}, [PREDICTION, JOB, RUN, REFUSAL]),
        ({"caller": "somebody"}, []),
        ({"reason": "consent-never-asked"}, [REFUSAL]),
        ({"reason": "consent-withdrawn"}, []),
        ({"outcome": "delivered"}, [PREDICTION, JOB, RUN]),
        ({"outcome": "indeterminate"}, []),
        ({"country": "DE"}, []),
        ({"from": "2999-01-01T00:00:00Z"}, []),
        ({"to": "2026-01-01T00:00:00Z"}, []),
        ({"from": "1970-01-01T00:00:00Z", "to": "9999-12-31T23:59:59Z"}, [PREDICTION, JOB, RUN, REFUSAL]),
        ({"subject_ref": "01a2b3c4-0000-4000-8000-00000000dead"}, []),
    ],
    ids=str,
)
def test_a_filter_leaves_what_matches(live: Live, story: str, filters: dict[str, Any], found: list[str]) -> None:
    assert kinds(live.records(story, **filters)) == found


def test_records_are_found_by_contract_job_and_moment(live: Live, story: str) -> None:
    _, job, run, refusal = live.records(story)
    assert kinds(live.records(story, contract=run["contract"]["id"])) == [JOB, RUN]
    assert kinds(live.records(story, contract=run["contract"]["reference"])) == [JOB, RUN]
    assert kinds(live.records(story, job=job["id"])) == [JOB]
    assert live.records(story, job=run["id"]) == []
    since, until = run["intent_at"], job["intent_at"]
    assert kinds(live.records(story, **{"from": since, "to": until})) == [RUN]
    assert kinds(live.records(story, to=since)) == [REFUSAL]
    assert refusal["intent_at"] < since < until


WRONG_FILTERS: list[dict[str, str]] = [
    {"kind": "everything"},
    {"reason": "because"},
    {"outcome": "lost"},
    {"category": "secrets"},
    {"purpose": "selling"},
    {"caller": "mia@example.com"},
    {"model": "mia@example.com"},
    {"model": "\x00"},
    {"provider": "' or true --"},
    {"country": "us"},
    {"job": "x"},
    {"order": "up"},
    {"from": "yesterday"},
    {"from": "2026-11-01T00:00:00"},
    {"subject_ref": "mia"},
    {"subject": "mia"},
    {"recipients": "fal"},
    {"mia@example.com": ""},
]
WRONG_PLACES: list[dict[str, str]] = [
    {"limit": "0"},
    {"limit": "1001"},
    {"limit": "many"},
    {"cursor": "mine"},
    {"cursor": "!" * 22},
    {"cursor": "\x00"},
    {"cursor": "x" * 201},
    {"cursor": "\u00e9" * 22},
]


@pytest.mark.parametrize("filters", WRONG_FILTERS, ids=ascii)
@pytest.mark.parametrize("path", ["/v1/transfers", "/v1/transfers/export"])
def test_a_filter_that_cannot_be_is_an_error_and_is_not_recorded(
    live: Live, path: str, filters: dict[str, str]
) -> None:
    problem = problem_of(live.call("GET", path, params=filters), 422, "body-invalid")
    assert "mia" not in str(problem)


def test_what_was_wrong_in_a_filter_is_kept_nowhere(live: Live) -> None:
    live.call("GET", "/v1/transfers", params={"caller": "mia-in-a-filter@example.com"})
    assert live.holds("mia-in-a-filter") == []


@pytest.mark.parametrize("place", WRONG_PLACES, ids=ascii)
def test_a_place_that_cannot_be_is_an_error(live: Live, place: dict[str, str]) -> None:
    problem_of(live.call("GET", "/v1/transfers", params=place), 422, "body-invalid")


def test_a_list_comes_in_parts_without_a_gap_or_a_double(live: Live, story: str) -> None:
    for order in ("desc", "asc"):
        seen: list[str] = []
        cursor: str | None = None
        for _ in range(4):
            place = {"cursor": cursor} if cursor is not None else {}
            params = {"limit": 1, "order": order, **place}
            page = live.done("GET", "/v1/transfers", subject=story, params=params)
            seen += [item["id"] for item in page["items"]]
            cursor = page["next_cursor"]
        assert cursor is None
        assert seen == [item["id"] for item in live.records(story, order=order)]


def test_a_person_nobody_knows_has_no_records_and_is_not_made_known(live: Live) -> None:
    person = a_person()
    assert live.done("GET", "/v1/transfers", subject=person) == {"items": [], "next_cursor": None}
    assert live.call("GET", "/v1/transfers/export", subject=person).text == ""
    problem_of(live.call("GET", "/v1/transfers", subject="undefined"), 400, "subject-invalid")


def test_one_record_is_read_by_its_id(live: Live, story: str) -> None:
    for record in live.records(story):
        assert live.done("GET", f"/v1/transfers/{record['id']}") == record
    problem_of(live.call("GET", f"/v1/transfers/{uuid4()}"), 404, "not-found")
    problem_of(live.call("GET", "/v1/transfers/mine"), 422, "body-invalid")


def test_an_export_is_the_same_records_one_a_line(live: Live, story: str) -> None:
    answer = live.call("GET", "/v1/transfers/export", subject=story)
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert answer.headers["cache-control"] == "no-store"
    assert [json.loads(line) for line in answer.text.splitlines()] == live.records(story)
    some = live.call("GET", "/v1/transfers/export", subject=story, params={"kind": "refusal", "order": "asc"})
    assert kinds([json.loads(line) for line in some.text.splitlines()]) == [REFUSAL]


def test_an_export_for_a_spreadsheet_has_a_row_each_and_no_formula(live: Live, story: str) -> None:
    answer = live.call("GET", "/v1/transfers/export", subject=story, params={"format": "csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    records = live.records(story)
    assert [row["id"] for row in rows] == [record["id"] for record in records]
    assert [row["outcome.state"] for row in rows[:3]] == ["delivered"] * 3
    assert json.loads(rows[1]["fields_sent"]) == records[1]["fields_sent"]
    assert rows[0]["consent.disclosure"] == DISCLOSURE
    for row in rows:
        assert not any(cell[:1] in {"=", "+", "-", "@"} for cell in row.values())
    problem_of(live.call("GET", "/v1/transfers/export", params={"format": "xlsx"}), 422, "body-invalid")


def accesses(live: Live, **params: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = live.done("GET", "/v1/access-log", params=params)["items"]
    return items


@pytest.fixture
def auditor(live: Live) -> str:
    """An auditor's key whose caller is nobody else's."""
    return live.key("auditor", caller=f"auditor-{uuid4().hex[:8]}")


def test_who_reads_is_recorded_with_what_and_how_much(live: Live, story: str, auditor: str) -> None:
    subject_ref = live.consent(story)["subject_ref"]
    record = live.records(story)[0]["id"]
    event = live.done("GET", "/v1/consent/events", subject=story)["items"][0]["id"]
    before = datetime.now(UTC)
    live.done("GET", "/v1/transfers", key=auditor, subject=story, params={"kind": ["refusal"], "limit": 5})
    live.call("GET", "/v1/transfers/export", key=auditor, subject=story)
    live.done("GET", f"/v1/transfers/{record}", key=auditor)
    live.done("GET", "/v1/consent/events", key=auditor, subject=story)
    live.done("GET", f"/v1/consent/events/{event}", key=auditor)
    live.call("GET", f"/v1/consent/events/{event}/receipt", key=auditor)

    found = accesses(live, limit=6, order="desc")[::-1]
    assert [entry["resource"] for entry in found] == [
        "/v1/transfers",
        "/v1/transfers/export",
        "/v1/transfers/{id}",
        "/v1/consent/events",
        "/v1/consent/events/{id}",
        "/v1/consent/events/{id}/receipt",
    ]
    assert {entry["subject_ref"] for entry in found} == {subject_ref}
    assert len({entry["caller"] for entry in found}) == 1
    assert found[0]["caller"].startswith("auditor-")
    assert found[0]["credential"]["kind"] == "service-key"
    assert (found[0]["filters"], found[0]["items"]) == ({"kind": ["refusal"]}, 1)
    assert [entry["object_id"] for entry in found] == [None, None, record, None, event, event]
    assert all(datetime.fromisoformat(entry["at"]) >= before for entry in found)
    assert story not in json.dumps(found)


def test_the_access_log_comes_in_parts(live: Live, story: str) -> None:
    live.records(story)
    live.records(story)
    first = live.done("GET", "/v1/access-log", params={"limit": 1})
    second = live.done("GET", "/v1/access-log", params={"limit": 1, "cursor": first["next_cursor"]})
    assert first["items"][0]["id"] != second["items"][0]["id"]
    problem_of(live.call("GET", "/v1/access-log", params={"cursor": "mine"}), 422, "body-invalid")


def test_what_opens_nothing_is_not_recorded_as_read(live: Live, story: str) -> None:
    newest = accesses(live, limit=1)
    live.call("GET", "/v1/transfers", key=live.key("gateway"), subject=story)
    live.call("GET", f"/v1/transfers/{uuid4()}")
    assert accesses(live, limit=1) == newest


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1"])
def test_a_cell_that_a_spreadsheet_would_run_is_text(text: str) -> None:
    at = CSV_COLUMNS.index("contract.reference")
    assert csv_cells({"contract": {"reference": text}})[at] == f"'{text}"
    assert csv_cells({"contract": {"reference": f"x{text}"}})[at] == f"x{text}"
