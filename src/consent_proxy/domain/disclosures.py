"""The disclosure: the versioned, localised text a subject is shown, with what it names and what it outdates."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from consent_proxy.domain.categories import DataCategory, Purpose
from consent_proxy.domain.payloads import Json, canonical_json

#: Scripts written from right to left, by primary language subtag (Unicode CLDR).
_RIGHT_TO_LEFT = frozenset({"ar", "ckb", "dv", "fa", "he", "ks", "ps", "sd", "ug", "ur", "yi"})
#: A moment and this much later is still a moment, whatever a disclosure says.
_LONGEST = timedelta(days=36_525)
_DURATION = re.compile(r"^P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class DisclosedRecipient:
    """A recipient as the disclosure names it; ``None`` means all the purposes, or categories, of the disclosure."""

    id: str
    legal_entity: str
    country: str
    purposes: frozenset[Purpose] | None = None
    categories: frozenset[DataCategory] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """One published version. ``document`` is what was published; the rest is read out of it. Times are UTC."""

    version: str
    effective_at: datetime
    published_at: datetime
    material: bool
    outdates_at: datetime | None
    consent_valid_for: timedelta | None
    recipients: tuple[DisclosedRecipient, ...]
    purposes: Mapping[Purpose, frozenset[DataCategory]]
    document: Mapping[str, Json]

    def locales(self) -> tuple[str, ...]:
        """The languages its texts are in, as published."""
        texts = self.document["texts"]
        return tuple(texts) if isinstance(texts, dict) else ()

    def recipient(self, recipient: str) -> DisclosedRecipient | None:
        """The recipient of that id, if this version names it."""
        return next((named for named in self.recipients if named.id == recipient), None)

    def covers(self, *, recipient: str, purpose: Purpose) -> frozenset[DataCategory] | None:
        """The categories this version says go to the recipient for the purpose; ``None`` where it does not say so."""
        named = self.recipient(recipient)
        if named is None or purpose not in self.purposes:
            return None
        if named.purposes is not None and purpose not in named.purposes:
            return None
        categories = self.purposes[purpose]
        return categories if named.categories is None else categories & named.categories


def current_disclosure(disclosures: Iterable[Disclosure], *, at: datetime) -> Disclosure | None:
    """The version in force at a moment: the greatest ``effective_at`` not in the future, the later published of two."""
    in_force = [disclosure for disclosure in disclosures if disclosure.effective_at <= at]
    return max(in_force, key=lambda disclosure: (disclosure.effective_at, disclosure.published_at), default=None)


def outdated_from(granted: Disclosure, *, disclosures: Iterable[Disclosure]) -> datetime | None:
    """When grants given under a version stop counting: the first ``outdates_at`` of a later, material one."""
    order = (granted.effective_at, granted.published_at)
    return min(
        (
            max(later.effective_at, later.outdates_at or later.effective_at)
            for later in disclosures
            if later.material and (later.effective_at, later.published_at) > order
        ),
        default=None,
    )


def match_locale(wanted: str, *, available: Iterable[str]) -> str | None:
    """Look a language tag up as BCP 47 (RFC 4647 §3.4) does: ``en-GB-oxendict``, then ``en-GB``, then ``en``."""
    by_name = {tag.casefold(): tag for tag in available}
    parts = wanted.casefold().split("-")
    while parts:
        if (found := by_name.get("-".join(parts))) is not None:
            return found
        parts.pop()
        if parts and len(parts[-1]) == 1:  # a single letter opens an extension and is dropped with it
            parts.pop()
    return None


def text_direction(locale: str) -> str:
    """``rtl`` or ``ltr``, for the screen that shows the text."""
    return "rtl" if locale.split("-", maxsplit=1)[0].casefold() in _RIGHT_TO_LEFT else "ltr"


def disclosure_sha256(document: Mapping[str, Json], *, locale: str) -> str:
    """Hex SHA-256 of the RFC 8785 form of the document with the other locales left out: what the person was shown."""
    return sha256(canonical_json(only_locale(document, locale=locale))).hexdigest()


def only_locale(document: Mapping[str, Json], *, locale: str) -> dict[str, Json]:
    """The document as one language shows it: every map from language to text keeps that language alone."""
    kept = dict(document)
    kept["texts"] = _pick(document.get("texts"), locale)
    categories = document.get("categories")
    if isinstance(categories, dict):
        kept["categories"] = {name: _pick(texts, locale) for name, texts in categories.items()}
    purposes = document.get("purposes")
    if isinstance(purposes, list):
        kept["purposes"] = [
            {**purpose, "description": _pick(purpose.get("description"), locale)}
            if isinstance(purpose, dict)
            else purpose
            for purpose in purposes
        ]
    return kept


def _pick(texts: Json, locale: str) -> Json:
    return {locale: texts[locale]} if isinstance(texts, dict) and locale in texts else {}


def parse_duration(value: int | str) -> timedelta:
    """A length of time: whole seconds, or an ISO 8601 duration in which a year is 365 days and a month is 30.

    Raises ``ValueError``.
    """
    try:
        length = timedelta(seconds=value) if isinstance(value, int) else _iso_length(value)
    except OverflowError:
        length = timedelta.max
    if not timedelta(0) < length <= _LONGEST:
        raise ValueError("a length of time has to be more than nothing and at most a hundred years")
    return length


def _iso_length(text: str) -> timedelta:
    match = _DURATION.fullmatch(text)
    if match is None or text in {"P", "PT"} or text.endswith("T"):
        raise ValueError("a length of time is whole seconds or ISO 8601, such as P365D")
    years, months, weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return timedelta(days=365 * years + 30 * months + 7 * weeks + days, hours=hours, minutes=minutes, seconds=seconds)
