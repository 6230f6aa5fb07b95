"""Disclosures over HTTP: immutable, digested as RFC 8785 has it, shown to anyone in their language."""

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import httpx
import pytest
import rfc8785

from tests.api.documents import TEXT, a_disclosure
from tests.api.problems import problem_of
from tests.live import DISCLOSURE, Live, a_person


def publish(live: Live, document: dict[str, Any]) -> httpx.Response:
    return live.call("POST", "/v1/disclosures", json=document)


def current(live: Live, **request: Any) -> httpx.Response:
    return live.call("GET", "/v1/disclosures/current", key=None, **request)


def in_one_language(document: dict[str, Any], locale: str) -> dict[str, Any]:
    """The document without the other languages, made in another way than the service makes it."""
    whole: dict[str, Any] = json.loads(json.dumps(document))
    maps = [whole["texts"], *whole["categories"].values(), *(purpose["description"] for purpose in whole["purposes"])]
    for texts in maps:
        for other in set(texts) - {locale}:
            del texts[other]
    return whole


def test_a_new_version_is_201_the_same_again_200_and_another_under_its_name_409(own_live: Live) -> None:
    document = a_disclosure("v2")
    first, again = publish(own_live, document), publish(own_live, document)
    assert (first.status_code, again.status_code) == (201, 200)
    problem = problem_of(publish(own_live, a_disclosure("v2", material=True)), 409, "already-exists")
    assert "'v2'" in problem["detail"]
    assert own_live.done("GET", "/v1/disclosures/v2")["material"] is False


def test_a_version_is_what_was_sent_member_for_member(own_live: Live) -> None:
    document = a_disclosure("v2", effective_at="2026-04-01T02:00:00+02:00", consent_valid_for="P1Y", approved_by=None)
    publish(own_live, document)
    shown = own_live.done("GET", "/v1/disclosures/v2")
    assert {name: shown[name] for name in document} == document


def test_a_digest_is_over_the_canonical_form_without_the_other_languages(own_live: Live) -> None:
    document = a_disclosure("v2", texts={"en": {**TEXT, "title": 'Löwe 🦁 \u20ac "q" \\'}, "de": TEXT})
    publish(own_live, document)
    digests = own_live.done("GET", "/v1/disclosures/v2")["sha256"]
    for locale in ("en", "de"):
        wanted = sha256(rfc8785.dumps(in_one_language(document, locale))).hexdigest()
        assert digests[locale] == wanted
        assert current(own_live, params={"locale": locale}).json()["sha256"] == wanted
    assert digests["en"] != digests["de"]


def test_the_current_version_is_the_latest_in_force_and_the_future_waits(own_live: Live) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    for version, effective_at in (
        ("later", "2026-05-01T00:00:00Z"),
        ("earlier", "2026-04-01T00:00:00Z"),
        ("tomorrow", tomorrow),
    ):
        publish(own_live, a_disclosure(version, effective_at=effective_at))
    assert current(own_live).json()["version"] == "later"
    listed = own_live.done("GET", "/v1/disclosures")
    assert [item["version"] for item in listed["items"]] == ["tomorrow", "later", "earlier", DISCLOSURE]


def test_an_app_reads_it_before_anyone_has_logged_in(live: Live) -> None:
    answer = current(live, params={"locale": "en-GB"})
    shown = answer.json()
    assert set(shown) == {
        *("version", "locale", "dir", "sha256", "effective_at", "controller", "recipients", "purposes", "categories"),
        "text",
    }
    assert (shown["version"], shown["locale"], shown["dir"]) == (DISCLOSURE, "en", "ltr")
    assert {"title", "body", "sections", "accept_label", "decline_label", "withdrawal_hint"} <= set(shown["text"])
    assert {recipient["id"] for recipient in shown["recipients"]} == {"fal", "replicate"}
    assert answer.headers["content-language"] == "en"


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [("de", "de"), ("de-AT", "de"), ("DE-at-1996", "de"), ("en-US", "en"), ("fr", "en"), ("", "en"), (None, "en")],
)
def test_a_language_falls_back(own_live_with_german: Live, wanted: str | None, shown: str) -> None:
    params = {"locale": wanted} if wanted is not None else {}
    assert current(own_live_with_german, params=params).json()["locale"] == shown


@pytest.fixture(scope="module")
def own_live_with_german(apart: Live) -> Live:
    publish(apart, a_disclosure("in-two-languages"))
    return apart


def test_a_reader_who_has_it_already_is_told_so(own_live_with_german: Live) -> None:
    german = current(own_live_with_german, params={"locale": "de"})
    tag = german.headers["etag"]
    assert tag == f'"{german.json()["sha256"]}"'
    for sent in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        again = current(own_live_with_german, params={"locale": "de"}, headers={"If-None-Match": sent})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag), sent
    other_language = current(own_live_with_german, params={"locale": "en"}, headers={"If-None-Match": tag})
    assert other_language.status_code == 200


def test_a_credential_that_comes_along_is_not_looked_at(live: Live) -> None:
    assert live.call("GET", "/v1/disclosures/current", key="cpk_unknown").status_code == 200


def test_before_anything_is_published_there_is_nothing_to_show(unpublished: Live) -> None:
    problem_of(current(unpublished), 404, "not-found")
    assert unpublished.done("GET", "/v1/disclosures") == {"items": [], "next_cursor": None}
    assert unpublished.consent(a_person())["standing"] == []


def test_a_version_nobody_published_is_not_found(live: Live) -> None:
    problem_of(live.call("GET", "/v1/disclosures/2001-01-01"), 404, "not-found")


WRONG: dict[str, dict[str, Any]] = {
    "a member nobody knows": {"colour": "red"},
    "a category that nothing permits": {"categories": {"onward": {"en": "Onward"}}},
    "a category without words": {"categories": {"prompt": {"en": "What you write"}}},
    "no language": {"texts": {}},
    "no recipient": {"recipients": []},
    "no purpose": {"purposes": []},
    "a purpose nobody knows": {"purposes": [{"id": "selling", "categories": ["prompt"], "description": {"en": "x"}}]},
    "a date before it takes effect": {"material": True, "outdates_at": "2026-03-31T00:00:00Z"},
    "a date without a material change": {"outdates_at": "2026-05-01T00:00:00Z"},
    "a length of time that is none": {"consent_valid_for": "a while"},
    "a length of time without an end": {"consent_valid_for": "P99999999999Y"},
    "a negative length of time": {"consent_valid_for": -1},
    "a truth that is no length of time": {"consent_valid_for": True},
    "a fraction of a second": {"consent_valid_for": 1.5},
    "a moment without an offset": {"effective_at": "2026-04-01T00:00:00"},
    "a moment as a number": {"effective_at": 1_775_001_600},
    "a moment as a number's text": {"effective_at": "1775001600"},
    "a moment that never was": {"effective_at": "2026-02-30T00:00:00Z"},
    "a moment before all time": {"effective_at": "0001-01-01T00:00:00+14:00"},
    "a yes in words": {"material": "no"},
    "a yes as a number": {"material": 0},
    "the name of the address itself": {"version": "current"},
    "a version with a blank": {"version": "v 2"},
    "a language tag that is none": {"texts": {"e!": TEXT}},
    "one language twice": {"texts": {"en-GB": TEXT, "en-gb": TEXT}},
    "a recipient twice": {
        "recipients": [
            {"id": "fal", "legal_entity": "x", "country": "US"},
            {"id": "fal", "legal_entity": "y", "country": "US"},
        ]
    },
    "a country in words": {"recipients": [{"id": "fal", "legal_entity": "x", "country": "America"}]},
}  # fmt: skip


@pytest.mark.parametrize("members", WRONG.values(), ids=WRONG.keys())
def test_a_document_that_says_what_cannot_be_is_not_published(live: Live, members: dict[str, Any]) -> None:
    problem_of(publish(live, a_disclosure("wrong") | members), 422, "body-invalid")
    assert live.call("GET", "/v1/disclosures/wrong").status_code == 404


def test_lists_come_in_parts(apart: Live) -> None:
    for number in range(3):
        publish(apart, a_disclosure(f"part-{number}", effective_at=f"2026-01-0{number + 1}T00:00:00Z"))
    seen: list[str] = []
    cursor = None
    while True:
        params = {"limit": 2, "order": "asc", "to": "2026-02-01T00:00:00Z"} | ({"cursor": cursor} if cursor else {})
        page = apart.done("GET", "/v1/disclosures", params=params)
        seen += [item["version"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        assert len(page["items"]) == 2
    assert seen == ["part-0", "part-1", "part-2"]
    problem_of(apart.call("GET", "/v1/disclosures", params={"cursor": "nowhere"}), 422, "body-invalid")
