"""What people were shown is one document with one digest; newer ones outdate it only where they are material."""

import json
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from consent_proxy.domain.categories import DataCategory, Purpose
from consent_proxy.domain.disclosures import (
    current_disclosure,
    disclosure_sha256,
    match_locale,
    only_locale,
    outdated_from,
    parse_duration,
    text_direction,
)
from consent_proxy.domain.payloads import Json
from tests.builders import DAY, HOUR, NOW, a_disclosure, a_recipient

DOCUMENT: dict[str, Json] = {
    "version": "2026-03-03",
    "texts": {"en": {"title": "Your data"}, "de": {"title": "Ihre Daten"}},
    "categories": {"photo": {"en": "Photos", "de": "Fotos"}, "prompt": {"en": "Prompts"}},
    "purposes": [{"id": "generation", "description": {"en": "Pictures", "de": "Bilder"}}],
    "recipients": [{"id": "fal", "legal_entity": "Features & Labels, Inc.", "country": "US"}],
}


def test_the_current_disclosure_is_the_last_to_take_effect() -> None:
    old, new = a_disclosure("1", effective_at=NOW - DAY), a_disclosure("2", effective_at=NOW)
    future = a_disclosure("3", effective_at=NOW + HOUR)

    assert current_disclosure((new, future, old), at=NOW) is new
    assert current_disclosure((new, future, old), at=NOW - HOUR) is old
    assert current_disclosure((new, future, old), at=NOW - 2 * DAY) is None


def test_of_two_that_take_effect_at_once_the_later_published_is_current() -> None:
    first = a_disclosure("1", published_at=NOW - HOUR)
    second = a_disclosure("2", published_at=NOW)

    assert current_disclosure((second, first), at=NOW) is second


def test_a_disclosure_covers_what_it_says_of_the_recipient() -> None:
    disclosure = a_disclosure(
        recipients=(
            a_recipient("all"),
            a_recipient("some", categories=frozenset({DataCategory.PROMPT, DataCategory.VOICE})),
            a_recipient("trainer", purposes=frozenset({Purpose.TRAINING})),
        ),
        purposes={Purpose.GENERATION: frozenset({DataCategory.PROMPT, DataCategory.PHOTO})},
    )

    assert disclosure.covers(recipient="all", purpose=Purpose.GENERATION) == frozenset(
        {DataCategory.PROMPT, DataCategory.PHOTO}
    )
    assert disclosure.covers(recipient="some", purpose=Purpose.GENERATION) == frozenset({DataCategory.PROMPT})
    assert disclosure.covers(recipient="trainer", purpose=Purpose.GENERATION) is None
    assert disclosure.covers(recipient="trainer", purpose=Purpose.TRAINING) is None
    assert disclosure.covers(recipient="stranger", purpose=Purpose.GENERATION) is None


def test_only_a_later_and_material_disclosure_outdates() -> None:
    granted = a_disclosure("1", effective_at=NOW)
    earlier = a_disclosure("0", effective_at=NOW - DAY, material=True)
    minor = a_disclosure("2", effective_at=NOW + HOUR)

    assert outdated_from(granted, disclosures=(granted, earlier, minor)) is None
    material = a_disclosure("3", effective_at=NOW + DAY, material=True)
    assert outdated_from(granted, disclosures=(granted, earlier, minor, material)) == NOW + DAY


def test_a_period_of_grace_is_kept_and_never_begins_before_the_disclosure_does() -> None:
    granted = a_disclosure("1", effective_at=NOW)
    grace = a_disclosure("2", effective_at=NOW + DAY, material=True, outdates_at=NOW + 3 * DAY)
    too_early = a_disclosure("3", effective_at=NOW + 2 * DAY, material=True, outdates_at=NOW)

    assert outdated_from(granted, disclosures=(grace,)) == NOW + 3 * DAY
    assert outdated_from(granted, disclosures=(grace, too_early)) == NOW + 2 * DAY


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("en", "en"),
        ("EN", "en"),
        ("en-US", "en"),
        ("en-GB", "en-GB"),
        ("en-gb-oxendict", "en-GB"),
        ("zh-Hant-TW", "zh-Hant"),
        ("zh-Hant-x-private", "zh-Hant"),
        ("zh", None),
        ("fr", None),
        ("e", None),
        ("", None),
        ("-", None),
    ],
)
def test_a_language_is_looked_up_from_the_narrow_to_the_wide(wanted: str, found: str | None) -> None:
    assert match_locale(wanted, available=("en", "en-GB", "zh-Hant")) == found


@pytest.mark.parametrize(("locale", "direction"), [("en", "ltr"), ("ar", "rtl"), ("he-IL", "rtl"), ("FA", "rtl")])
def test_the_screen_is_told_which_way_to_write(locale: str, direction: str) -> None:
    assert text_direction(locale) == direction


def test_the_document_of_a_language_leaves_the_other_languages_out_and_nothing_else() -> None:
    assert only_locale(DOCUMENT, locale="de") == {
        "version": "2026-03-03",
        "texts": {"de": {"title": "Ihre Daten"}},
        "categories": {"photo": {"de": "Fotos"}, "prompt": {}},
        "purposes": [{"id": "generation", "description": {"de": "Bilder"}}],
        "recipients": DOCUMENT["recipients"],
    }


def test_the_digest_is_of_the_canonical_form_of_what_was_shown() -> None:
    shown: Any = only_locale(DOCUMENT, locale="en")

    assert disclosure_sha256(DOCUMENT, locale="en") == sha256(rfc8785.dumps(shown)).hexdigest()
    assert disclosure_sha256(DOCUMENT, locale="en") != disclosure_sha256(DOCUMENT, locale="de")


def test_the_digest_does_not_move_when_another_language_does() -> None:
    more = json.loads(json.dumps(DOCUMENT))
    more["texts"]["fr"] = {"title": "Vos données"}
    more["categories"]["photo"]["fr"] = "Photos"

    assert disclosure_sha256(more, locale="en") == disclosure_sha256(DOCUMENT, locale="en")
    more["recipients"][0]["country"] = "DE"
    assert disclosure_sha256(more, locale="en") != disclosure_sha256(DOCUMENT, locale="en")


@pytest.mark.parametrize(
    ("text", "length"),
    [
        (1, timedelta(seconds=1)),
        (86_400, DAY),
        ("P365D", 365 * DAY),
        ("P1Y", 365 * DAY),
        ("P1M", 30 * DAY),
        ("P2W", 14 * DAY),
        ("P1DT12H", 1.5 * DAY),
        ("PT90M", timedelta(minutes=90)),
        ("PT1S", timedelta(seconds=1)),
        ("P100Y", 36_500 * DAY),
    ],
)
def test_a_length_of_time_is_read_as_seconds_or_iso_8601(text: int | str, length: timedelta) -> None:
    assert parse_duration(text) == length


NO_LENGTHS = ("", "P", "PT", "P1DT", "1D", "P1H", "P-1D", "P1.5D", "p1d", "P1D\n", " P1D", "P0D", "PT0S", 0, -1, 10**20)
TOO_LONG = ("P101Y", "P99999999999Y", f"P{'9' * 5000}D")


@pytest.mark.parametrize("text", [*NO_LENGTHS, *TOO_LONG])
def test_anything_else_is_no_length_of_time(text: int | str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - every one of its messages will do
        parse_duration(text)


@given(text=st.text(alphabet="PT0123456789YMWDHS\n", max_size=12) | st.integers())
def test_a_length_of_time_can_always_be_added_to_a_moment(text: int | str) -> None:
    try:
        length = parse_duration(text)
    except ValueError:
        return
    assert NOW + length > NOW
