"""The transparency log from outside: what anyone may keep, what an auditor asks, and the files that stand alone."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from consent_proxy.adapters.verifier.files import Asked, Export, Report, check
from consent_proxy.adapters.verifier.proofs import Checkpoint, root_with, roots_with
from consent_proxy.adapters.verifier.single_file import single_file
from tests.api.problems import problem_of
from tests.live import Live, a_person

FAL = "/fal/run/fal-ai/flux/schnell"
Checked = Callable[..., Report]


@pytest.fixture(scope="module")
def story(running_live: Live) -> str:
    """Somebody who was refused something, said yes, and for whom one thing left."""
    live, person = running_live, a_person()
    live.call("POST", FAL, subject=person, json={"prompt": "a boat"})
    live.decide(person)
    live.done("POST", FAL, subject=person, json={"prompt": "a boat", "email": "mia@example.com"})
    return person


def in_log(live: Live, **row: Any) -> dict[str, Any]:
    """A row's proof, as soon as it has its place."""
    for _ in range(200):
        answer = live.call("GET", "/v1/log/inclusion", params=row)
        if answer.status_code == 200:
            found: dict[str, Any] = answer.json()
            return found
        assert (answer.status_code, answer.json()["reason"]) == (404, "not-found"), answer.text
        time.sleep(0.1)
    raise AssertionError("it never got its place")


def evidence(live: Live, record: dict[str, Any]) -> dict[str, Any]:
    """The evidence of a transfer or refusal whose last row is in the log."""
    last = {"kind": "outcome"} if record["kind"] == "transfer" else {"kind": "refusal"}
    in_log(live, id=record["id"], **last)
    bundle: dict[str, Any] = live.done("GET", f"/v1/transfers/{record['id']}/evidence")
    return bundle


@pytest.fixture
def checked(tmp_path: Path) -> Checked:
    """Check a document the way a file of it is checked."""

    def run(
        document: Any, *, kept: tuple[str, ...] = (), consistency: Any = None, keys: tuple[str, ...] = ()
    ) -> Report:
        files = {"document": json.dumps(document), **{f"kept-{place}": note for place, note in enumerate(kept)}}
        if consistency is not None:
            files["consistency"] = json.dumps(consistency)
        for name, text in files.items():
            (tmp_path / name).write_text(text, "utf-8")
        return check(
            str(tmp_path / "document"),
            kept=[str(tmp_path / f"kept-{place}") for place in range(len(kept))],
            consistency=str(tmp_path / "consistency") if consistency is not None else None,
            keys=list(keys),
            ref=None,
        )

    return run


def test_anyone_may_keep_a_checkpoint_and_the_keys(live: Live, story: str) -> None:
    in_log(live, id=live.records(story)[0]["id"])
    answer = live.call("GET", "/v1/log/checkpoint", key=None)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    keys = live.call("GET", "/v1/log/keys", key=None).json()["keys"]
    assert Checkpoint.read(answer.text, [keys[0]["key"]]).size > 0
    assert len(keys) == 1


def test_a_row_is_proven_to_be_in_the_log_of_any_size_that_has_it(live: Live, story: str) -> None:
    found = in_log(live, id=live.records(story)[0]["id"])
    for size in (found["index"] + 1, found["size"]):
        proof = live.done("GET", "/v1/log/inclusion", params={"index": found["index"], "size": size})
        assert proof["leaf"] == found["leaf"]
        parts = [bytes.fromhex(part) for part in proof["proof"]]
        root = root_with(bytes.fromhex(proof["leaf"]), index=proof["index"], size=size, proof=parts)
        assert root.hex() == proof["root"]
    assert found["checkpoint"].split("\n")[1] == str(found["size"])


def test_a_log_is_proven_to_begin_with_an_earlier_one(live: Live, story: str) -> None:
    size = in_log(live, id=live.records(story)[0]["id"])["size"]
    roots = {
        at: bytes.fromhex(live.done("GET", "/v1/log/inclusion", params={"index": 0, "size": at})["root"])
        for at in (3, size)
    }
    proof = live.done("GET", "/v1/log/consistency", params={"from": 3, "to": size})
    assert (proof["from"], proof["to"]) == (3, size)
    parts = [bytes.fromhex(part) for part in proof["proof"]]
    assert roots_with(roots[3], first=3, second=size, proof=parts) == (roots[3], roots[size])
    assert live.done("GET", "/v1/log/consistency", params={"from": 0, "to": 2})["proof"] == []


@pytest.mark.parametrize(
    ("path", "params", "status", "reason"),
    [
        ("inclusion", {}, 422, "body-invalid"),
        ("inclusion", {"index": 0, "id": str(uuid4())}, 422, "body-invalid"),
        ("inclusion", {"id": str(uuid4())}, 404, "not-found"),
        ("inclusion", {"index": 10**9}, 404, "not-found"),
        ("inclusion", {"index": 0, "size": 10**9}, 404, "not-found"),
        ("inclusion", {"index": 0, "size": 0}, 404, "not-found"),
        ("inclusion", {"index": 10**30}, 422, "body-invalid"),
        ("consistency", {"from": 2, "to": 1}, 404, "not-found"),
        ("consistency", {"from": 1, "to": 10**9}, 404, "not-found"),
        ("consistency", {"to": 1}, 422, "body-invalid"),
    ],
)
def test_what_the_log_does_not_have_is_told(
    live: Live, story: str, path: str, params: dict[str, Any], status: int, reason: str
) -> None:
    in_log(live, id=live.records(story)[0]["id"])
    answer = live.call("GET", f"/v1/log/{path}", params=params)
    problem_of(answer, status, reason)


def test_the_evidence_of_a_transfer_stands_alone(live: Live, story: str, checked: Checked) -> None:
    bundle = evidence(live, live.records(story)[0])
    kinds = [row["kind"] for row in bundle["rows"]]
    assert sorted(kinds) == ["consent", "contract", "disclosure", "intent", "outcome"]
    assert bundle["decision"]["decision"] == "permit"
    assert bundle["decision"]["fields_dropped"] == [{"path": "email", "reason": "not-listed"}]
    assert list(bundle["shown"]["texts"]) == ["en"]
    assert "mia@example.com" not in json.dumps(bundle)
    assert story not in json.dumps(bundle)
    report = checked(bundle, keys=tuple(bundle["keys"]))
    assert report.findings == []
    assert len(report.told) == 5


def test_so_does_that_of_a_refusal(live: Live, story: str, checked: Checked) -> None:
    bundle = evidence(live, live.records(story, kind="refusal")[0])
    assert [row["kind"] for row in bundle["rows"]] == ["refusal"]
    assert (bundle["decision"]["decision"], bundle["decision"]["reason"]) == ("refusal", "consent-never-asked")
    assert bundle["shown"] is None
    assert checked(bundle).findings == []
    assert "no consent that was given to it" in checked(changed(bundle, shown={"texts": {}})).findings[0]
    assert "not the one in its row" in checked(changed(bundle, decision={"decision": "permit"})).findings[0]


def changed(bundle: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {**json.loads(json.dumps(bundle)), **members}


def row_of(bundle: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(row for row in bundle["rows"] if row["kind"] == kind)


def test_evidence_that_somebody_changed_does_not_hold(live: Live, story: str, checked: Checked) -> None:
    bundle = evidence(live, live.records(story)[0])

    def first_finding(document: dict[str, Any]) -> str:
        return next(iter(checked(document).findings), "")

    other = changed(bundle)
    row_of(other, "intent")["record"]["model"] = "another"
    assert "it is not what the log holds in that place" in first_finding(other)
    other = changed(bundle)
    row_of(other, "outcome")["index"] = row_of(bundle, "intent")["index"]
    assert "place" in first_finding(other)
    other = changed(bundle)
    row_of(other, "intent")["salt"] = None
    assert "cannot be opened" in first_finding(other)
    other = changed(bundle, rows=[row for row in bundle["rows"] if row["kind"] != "consent"])
    assert "cites a consent that did not stand" in first_finding(other)
    other = changed(bundle, rows=[row for row in bundle["rows"] if row["kind"] != "contract"])
    assert "contract with its recipient that is not in the log" in first_finding(other)
    other = changed(bundle, rows=[row for row in bundle["rows"] if row["kind"] != "intent"])
    assert any("no row of" in finding for finding in checked(other).findings)
    other = changed(bundle, transfer=str(uuid4()))
    row_of(other, "intent")["id"] = other["transfer"]
    assert f"the evidence has no row of {other['transfer']}" in checked(other).findings
    shown = {**bundle["shown"], "version": "another"}
    assert "not the one that was shown" in first_finding(changed(bundle, shown=shown))
    decision = {**bundle["decision"], "edition": 10**6}
    assert "not the one in its row" in first_finding(changed(bundle, decision=decision))
    assert "no signature of a key you trust" in checked(bundle, keys=(_other_key(bundle),)).findings[0]


def _other_key(bundle: dict[str, Any]) -> str:
    name, _, _ = bundle["keys"][0].split("+", 2)
    return f"{name}+00000000+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


def test_evidence_goes_on_from_a_checkpoint_that_was_kept(live: Live, story: str, checked: Checked) -> None:
    in_log(live, id=live.records(story)[0]["id"])
    kept = live.call("GET", "/v1/log/checkpoint").text
    person = a_person()
    live.decide(person)
    live.done("POST", FAL, subject=person, json={"prompt": "a boat"})
    bundle = evidence(live, live.records(person)[0])
    sizes = [int(note.split("\n")[1]) for note in (kept, bundle["checkpoint"])]
    assert sizes[0] < sizes[1]
    proof = live.done("GET", "/v1/log/consistency", params={"from": sizes[0], "to": sizes[1]})
    assert checked(bundle, kept=(kept,), consistency=proof).findings == []
    assert "give --consistency" in checked(bundle, kept=(kept,)).findings[0]
    proof["proof"][0] = "00" * 32
    assert "does not go on from the one that you kept" in checked(bundle, kept=(kept,), consistency=proof).findings[0]


def test_reading_evidence_and_the_log_is_recorded(live: Live, story: str) -> None:
    bundle = evidence(live, live.records(story)[0])
    live.call("GET", "/v1/log/export")
    entries = live.done("GET", "/v1/access-log")["items"][:2]
    assert [entry["resource"] for entry in entries] == ["/v1/log/export", "/v1/transfers/{id}/evidence"]
    assert entries[1]["object_id"] == bundle["transfer"]
    assert entries[1]["subject_ref"] == row_of(bundle, "intent")["record"]["subject_ref"]


def test_there_is_no_evidence_of_what_is_not_there(live: Live) -> None:
    answer = live.call("GET", f"/v1/transfers/{uuid4()}/evidence")
    problem_of(answer, 404, "not-found")


def test_the_whole_log_is_checked_by_the_one_file_alone(live: Live, story: str, tmp_path: Path) -> None:
    """As an auditor does it: the file, an export, and a Python that knows nothing of this package."""
    in_log(live, id=live.records(story)[0]["id"], kind="outcome")
    kept = live.call("GET", "/v1/log/checkpoint").text
    export = live.call("GET", "/v1/log/export").text
    assert Export(Asked()).read(export.splitlines()).findings == []
    key = live.done("GET", "/v1/log/keys")["keys"][0]["key"]
    files = {"verify.py": single_file(), "log.ndjson": export, "kept.txt": kept}
    files["bad.ndjson"] = export.replace('"caller": "bootstrap"', '"caller": "nobody"')
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "verify.py", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert "consent_proxy" not in files["verify.py"].replace("consent_proxy_", "")
    good = run("log.ndjson", "--checkpoint", "kept.txt", "--key", key)
    assert (good.returncode, good.stdout.splitlines()[-1]) == (0, "EVERYTHING HOLDS"), good.stdout + good.stderr
    bad = run("bad.ndjson")
    assert (bad.returncode, bad.stdout.splitlines()[-1]) == (1, "SOMETHING IS WRONG")
    assert bad.stdout.startswith("WRONG row ")
    none = run("verify.py")
    assert (none.returncode, none.stdout) == (2, "")
    assert len(none.stderr.splitlines()) == 1
