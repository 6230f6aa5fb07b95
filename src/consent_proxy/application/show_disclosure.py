"""The disclosure as one language shows it: what an app puts on the screen before anyone has logged in."""

from dataclasses import dataclass
from datetime import datetime

from consent_proxy.domain.disclosures import Disclosure, disclosure_sha256, match_locale, text_direction
from consent_proxy.domain.payloads import Json

DEFAULT_LOCALE = "en"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownDisclosure:
    """One version in one language. ``purposes`` and ``categories`` carry their words in that language."""

    version: str
    locale: str
    direction: str
    sha256: str
    effective_at: datetime
    controller: Json
    recipients: Json
    purposes: list[dict[str, Json]]
    categories: dict[str, Json]
    text: Json


def locale_shown(disclosure: Disclosure, *, wanted: str | None) -> str:
    """The language a version is shown in: the one asked for, falling back as BCP 47 does, then English, then the first.

    Whoever answers to what was shown has to be recorded with the same one.
    """
    available = disclosure.locales()
    matched = match_locale(wanted, available=available) if wanted else None
    return matched or match_locale(DEFAULT_LOCALE, available=available) or available[0]


def show_disclosure(disclosure: Disclosure, *, locale: str | None) -> ShownDisclosure:
    """Show a version in the language asked for, or the one that takes its place."""
    chosen = locale_shown(disclosure, wanted=locale)
    document = disclosure.document
    return ShownDisclosure(
        version=disclosure.version,
        locale=chosen,
        direction=text_direction(chosen),
        sha256=disclosure_sha256(document, locale=chosen),
        effective_at=disclosure.effective_at,
        controller=document["controller"],
        recipients=document["recipients"],
        purposes=[
            {**purpose, "description": _in(purpose.get("description"), chosen)}
            for purpose in _list(document["purposes"])
            if isinstance(purpose, dict)
        ],
        categories={name: _in(words, chosen) for name, words in _dict(document.get("categories")).items()},
        text=_dict(document["texts"])[chosen],
    )


def _in(words: Json, locale: str) -> Json:
    """The words in that language or, where a label was not translated, in any."""
    texts = _dict(words)
    return texts.get(locale) or next(iter(texts.values()), None)


def _dict(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
