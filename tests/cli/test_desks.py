"""Each command does the same, and prints the same, over HTTP and at the database."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from consent_proxy.settings import Settings
from tests.api.documents import a_contract, a_disclosure
from tests.cli.command_line import At, at_database, at_service
from tests.live import DISCLOSURE, KEY, Live, a_person

FAL = "/fal/run/fal-ai/flux/schnell"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def written(folder: Path, document: Any) -> str:
    path = folder / "document.json"
    path.write_text(json.dumps(document, ensure_ascii=False), "utf-8")
    return str(path)


def named(at: At) -> str:
    return "http" if "CONSENT_PROXY_URL" in at.environment else "database"


def test_a_key_is_made_listed_and_revoked(at: At, apart: Live) -> None:
    caller = f"of-the-{named(at)}"
    made = at.run("keys", "create", "--caller", caller, "--role", "auditor", "--role", "admin", "--days", "2", "--json")
    key = made.json
    assert apart.call("GET", "/v1/transfers", key=key["key"]).status_code == 200
    expires_in = datetime.fromisoformat(key["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=1, hours=23) < expires_in < timedelta(days=2)
    [listed] = [row for row in at.run("keys", "list", "--json").json if row["caller"] == caller]
    assert listed == {name: value for name, value in key.items() if name != "key"} | {
        "last_used_at": listed["last_used_at"]
    }
    assert listed["last_used_at"] is not None
    assert listed["roles"] == ["admin", "auditor"]
    assert at.run("keys", "revoke", key["id"]).out == f"Revoked {key['id']}.\n"
    assert apart.call("GET", "/v1/transfers", key=key["key"]).json()["reason"] == "credential-invalid"


def test_a_key_for_people_stands_alone_on_standard_output(at: At) -> None:
    made = at.run("keys", "create", "--caller", "alone", "--role", "metrics")
    [key] = made.out.splitlines()
    assert key.startswith("cpk_")
    assert key not in made.err
    assert "not shown again" in made.err


def test_a_disclosure_is_published_once_listed_and_shown(at: At, folder: Path) -> None:
    version = f"later-{named(at)}"
    document = a_disclosure(version, effective_at="2999-01-01T00:00:00Z", approved_by="Zoë\u2028")
    path = written(folder, document)
    assert at.run("disclosures", "publish", path, "--json").json == {"version": version, "new": True}
    assert at.run("disclosures", "publish", path).out == f"Already published: {version}\n"
    assert at.run("disclosures", "publish", "-", given=Path(path).read_bytes()).code == 0
    changed = at.run("disclosures", "publish", written(folder, document | {"material": True}))
    assert (changed.code, "choose a new version" in changed.told) == (1, True)
    assert at.run("disclosures", "show", version, "--json").json == document
    listed = {row["version"]: row["in_force"] for row in at.run("disclosures", "list", "--json").json}
    assert listed[DISCLOSURE] is True
    assert listed[version] is False
    assert "Ihre Bilder" in at.run("disclosures", "show", version, "--locale", "de-AT").out
    assert DISCLOSURE in at.run("disclosures", "show").out


def test_a_contract_is_put_listed_and_ended(at: At, folder: Path) -> None:
    recipient = f"acme-{named(at)}"
    first = at.run("contracts", "put", recipient, written(folder, a_contract(reference="ONE")), "--json").json
    second = at.run("contracts", "put", recipient, written(folder, a_contract(reference="TWO")), "--json").json

    def listed() -> list[dict[str, Any]]:
        return [row for row in at.run("contracts", "list", "--json").json if row["recipient"] == recipient]

    assert [(row["id"], row["in_force"]) for row in listed()] == [(first["id"], False), (second["id"], True)]
    assert {row["ended_at"] for row in listed()} == {None}
    ended = at.run("contracts", "end", recipient, "--json").json
    assert at.run("contracts", "end", recipient).out == f"Ended the contract with '{recipient}'.\n"
    assert [(row["in_force"], row["ended_at"]) for row in listed()] == [(False, ended["ended_at"])] * 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("keys", "revoke", "01a213e9-2b25-76ee-83d5-0095450011df"), "there is no key"),
        (("contracts", "end", "nobody"), "there is no contract with 'nobody'"),
        (("disclosures", "show", "never"), "no version 'never' is published"),
        (("models", "show", "acme/none"), "no manifest names 'acme/none'"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_is_not_there_is_a_finding_that_says_where_to_look(at: At, words: tuple[str, ...], told: str) -> None:
    ended = at.run(*words)
    assert ended.code == 1
    assert ended.told.startswith(told)
    assert "see consent-proxy " in ended.told


def test_the_record_is_listed_by_person_by_filter_and_by_time(at: At, apart: Live) -> None:
    person = a_person()
    apart.call("POST", FAL, subject=person, json={"prompt": "a boat"})
    apart.decide(person)
    apart.call("POST", FAL, subject=person, json={"prompt": "a boat"})
    [sent, refused] = apart.records(person)
    ref = sent["subject_ref"]

    def ids(*words: str, given: str = "") -> list[str]:
        return [row["id"] for row in at.run("transfers", "list", *words, "--json", given=given).json]

    assert ids("--subject-ref", ref) == [sent["id"], refused["id"]]
    assert ids("--subject", "-", given=f"{person}\n") == [sent["id"], refused["id"]]
    assert ids("--subject", "-", "--subject-kind", "session", given=person) == []
    assert ids("--subject", "-", "--order", "asc", given=f"{person}\r\n") == [refused["id"], sent["id"]]
    assert ids("--subject-ref", ref, "--kind", "refusal", "--reason", "consent-never-asked") == [refused["id"]]
    assert ids("--subject-ref", ref, "--kind", "refusal", "--kind", "transfer", "--limit", "1") == [sent["id"]]
    assert ids("--subject-ref", ref, "--outcome", "delivered", "--category", "prompt") == [sent["id"]]
    assert ids("--subject-ref", ref, "--from", sent["intent_at"]) == [sent["id"]]
    assert ids("--subject-ref", ref, "--to", sent["intent_at"]) == [refused["id"]]
    assert ids("--subject-ref", ref, "--from", "1970-01-01", "--to", "9999-12-31") == [sent["id"], refused["id"]]
    assert ids("--subject-ref", ref, "--from", "2999-01-01") == []
    assert ids("--subject-ref", ref, "--country", "CN", "--model", "fal-ai/flux/schnell") == []
    assert at.run("transfers", "list", "--subject-ref", ref).out.count("\n") == 3


def test_a_table_says_that_there_is_more_and_when_in_utc(at: At, apart: Live) -> None:
    person = a_person()
    for _ in range(3):
        apart.call("POST", FAL, subject=person, json={"prompt": "a boat"})
    [newest, *_] = apart.records(person)
    shown = at.run("transfers", "list", "--subject", "-", "--limit", "2", given=person)
    heading, first, _ = shown.out.splitlines()
    assert heading.split()[:2] == ["intent_at", "kind"]
    assert first.startswith(f"{newest['intent_at'][:19].replace('T', ' ')}Z  refusal  ")
    assert "There are more" in shown.err


def test_reading_the_record_is_recorded_with_who_read_it(at: At, apart: Live) -> None:
    person = a_person()
    apart.call("POST", FAL, subject=person, json={"prompt": "a boat"})
    ref = apart.records(person)[0]["subject_ref"]
    at.run("transfers", "list", "--subject", "-", given=person)
    at.run("transfers", "export", "--subject", "-", "--reason", "consent-never-asked", given=person)
    export, listing = apart.done("GET", "/v1/access-log", params={"limit": 2})["items"]
    who, where = ("bootstrap", "/v1/transfers") if named(at) == "http" else ("cli", "cli transfers list")
    assert (listing["caller"], listing["resource"], listing["subject_ref"]) == (who, where, ref)
    assert (export["caller"], export["subject_ref"]) == (who, ref)
    assert export["filters"] == {"reason": ["consent-never-asked"]}
    assert apart.holds(person) == []


def test_an_identifier_with_letters_of_every_kind_finds_its_person(at: At, apart: Live) -> None:
    person = f"Zoë 100%25 + {a_person()}"
    body = {"subject": person}
    token = apart.done("POST", "/v1/subject-tokens", json=body)["token"]
    apart.call("POST", FAL, key=token, json={"prompt": "a boat"})
    [record] = at.run("transfers", "list", "--subject", "-", "--json", given=f"{person}\n").json
    assert record["reason"] == "consent-never-asked"


@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_an_export_is_the_apis_own(at: At, apart: Live, form: str) -> None:
    person = a_person()
    apart.decide(person)
    for _ in range(2):
        apart.call("POST", FAL, subject=person, json={"prompt": "a boat", "email": "x"})
    ref = apart.records(person)[0]["subject_ref"]
    of_api = apart.call("GET", "/v1/transfers/export", params={"format": form, "subject_ref": ref})
    exported = at.run("transfers", "export", "--format", form, "--subject-ref", ref)
    assert exported.out.replace("\r\n", "\n") == of_api.text.replace("\r\n", "\n")
    assert exported.err == "2 records.\n"


def test_the_models_are_the_same_here_and_there(apart: Live, nowhere: At) -> None:
    there, here = at_service(apart), nowhere
    for words in (("models", "list"), ("models", "list", "--provider", "fal"), ("models", "show", "fal-ai/flux/dev")):
        assert there.run(*words).out == here.run(*words).out != ""
        assert there.run(*words, "--json").out == here.run(*words, "--json").out


def test_nothing_published_is_told_as_that(unpublished: Live) -> None:
    for at in (at_service(unpublished), at_database(unpublished)):
        assert "the door is shut" in at.run("disclosures", "list").out
        assert "the door is shut" in at.run("contracts", "list").out
        assert at.run("disclosures", "list", "--json").json == []
        ended = at.run("disclosures", "show")
        assert (ended.code, ended.told) == (1, "no disclosure is in force: see consent-proxy disclosures list")


def test_longer_lists_come_whole(own_live: Live) -> None:
    for number in range(53):
        document = a_disclosure(f"v{number}", effective_at=f"2999-01-01T00:00:{number:02}Z")
        own_live.done("POST", "/v1/disclosures", json=document)
    over_http = at_service(own_live).run("disclosures", "list", "--json").json
    assert [row["version"] for row in over_http] == [*(f"v{number}" for number in reversed(range(53))), DISCLOSURE]
    assert over_http == at_database(own_live).run("disclosures", "list", "--json").json


def test_the_address_and_the_key_are_no_settings_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Settings()
    monkeypatch.setenv("CONSENT_PROXY_URL", "https://elsewhere.example")
    monkeypatch.setenv("CONSENT_PROXY_KEY", KEY)
    assert Settings() == before


def test_options_stand_above_the_environment(apart: Live) -> None:
    key = apart.key("auditor")
    wrong = At(environment={"CONSENT_PROXY_URL": "https://nowhere.invalid", "CONSENT_PROXY_KEY": "cpk_of_nobody"})
    assert wrong.run("transfers", "list", "--url", f"{apart.url}/", "--key", key).code == 0
