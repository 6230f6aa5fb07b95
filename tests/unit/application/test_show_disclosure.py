"""The disclosure as one language shows it."""

from typing import Any

import pytest

from consent_proxy.application.show_disclosure import show_disclosure
from consent_proxy.domain.disclosures import Disclosure, disclosure_sha256
from tests.builders import a_disclosure
from tests.conformance.samples import disclosure


def in_languages(*locales: str) -> Disclosure:
    """A disclosure whose every text names its own language."""
    document: dict[str, Any] = {
        **disclosure().document,
        "purposes": [{"id": "generation", "categories": ["prompt"], "description": {tag: tag for tag in locales}}],
        "categories": {"prompt": {locales[0]: locales[0]}},
        "texts": {tag: {"title": tag} for tag in locales},
    }
    return a_disclosure(document=document)


@pytest.mark.parametrize(
    ("wanted", "available", "shown"),
    [
        ("en", ("en", "de"), "en"),
        ("de", ("en", "de"), "de"),
        ("DE-at", ("en", "de"), "de"),
        ("en-GB-oxendict", ("en-GB", "en"), "en-GB"),
        ("en-GB", ("en", "en-gb"), "en-gb"),
        ("zh-Hant-TW", ("en", "zh-Hant"), "zh-Hant"),
        ("sl-x-private", ("en", "sl"), "sl"),
        ("fr", ("de", "en"), "en"),
        ("fr", ("de", "pl"), "de"),
        (None, ("de", "en"), "en"),
        ("", ("de",), "de"),
        ("*", ("de", "en"), "en"),
    ],
)
def test_a_language_falls_back_to_its_shorter_forms_then_to_english_then_to_the_first(
    wanted: str | None, available: tuple[str, ...], shown: str
) -> None:
    chosen = show_disclosure(in_languages(*available), locale=wanted)
    assert (chosen.locale, chosen.text, chosen.purposes[0]["description"]) == (shown, {"title": shown}, shown)


def test_the_digest_is_of_the_language_shown() -> None:
    published = in_languages("en", "de")
    english, german = (show_disclosure(published, locale=tag) for tag in ("en", "de"))
    assert english.sha256 == disclosure_sha256(published.document, locale="en") != german.sha256


def test_a_label_nobody_translated_is_shown_in_the_language_there_is() -> None:
    assert show_disclosure(in_languages("en", "de"), locale="de").categories == {"prompt": "en"}


@pytest.mark.parametrize(("locale", "direction"), [("ar-EG", "rtl"), ("he", "rtl"), ("en", "ltr"), ("arn", "ltr")])
def test_the_screen_is_told_which_way_the_text_runs(locale: str, direction: str) -> None:
    assert show_disclosure(in_languages(locale), locale=locale).direction == direction
