"""Whether one value may leave in the place it was sent for: a number in range, a listed choice, text and no more."""

import math
from dataclasses import dataclass

from consent_proxy.domain.free_text import fault_of_text
from consent_proxy.domain.manifests import Field, FieldKind
from consent_proxy.domain.media import CleanMedium, FoundMedia, MediaFault
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.refusals import Reason

#: Enough for any setting, too few to write a telephone or a card number into a fraction.
SIGNIFICANT_DIGITS = 6
_CHOICES_NAMED = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A value as it may leave. A fraction keeps six significant digits, and a medium leaves under a neutral name.

    ``medium`` is the text that named the medium.
    """

    value: Json
    medium: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfit:
    """A value that may not leave. ``fault`` says what the place takes and repeats nothing of what was sent."""

    reason: Reason
    path: str
    fault: str


def fit(value: Json, *, place: Field, media: FoundMedia | None) -> Fit | Unfit:
    """Hold a value against what its manifest says of the place. A place that says too little takes nothing.

    ``media`` is what became of the media that the whole input names, or ``None`` before anybody looked: then whatever
    may name a medium fits.
    """
    match place.kind:
        case FieldKind.TEXT:
            return _text(value, place)
        case FieldKind.INTEGER | FieldKind.NUMBER:
            return _number(value, place)
        case FieldKind.BOOLEAN:
            return Fit(value=value) if isinstance(value, bool) else _not_allowed(place, "has to be true or false")
        case FieldKind.CHOICE:
            return Fit(value=value) if _is_listed(value, place) else _not_allowed(place, _choices(place))
        case FieldKind.WEIGHTS:
            return _weights(value, place)
        case FieldKind.MEDIA:
            return _medium(value, place, media)
        case FieldKind.PSEUDONYM | None:
            return _not_allowed(place, _shape(place))


def _text(value: Json, place: Field) -> Fit | Unfit:
    if not isinstance(value, str):
        return _not_allowed(place, "has to be text")
    fault = fault_of_text(value, max_bytes=place.max_bytes, urls_allowed=place.urls_allowed)
    return Fit(value=value) if fault is None else _not_allowed(place, fault)


def _number(value: Json, place: Field) -> Fit | Unfit:
    """A number within its range; a number without one is not passed. True is no number."""
    takes = int if place.kind is FieldKind.INTEGER else int | float
    number = _rounded(value) if isinstance(value, float) else value
    if (
        isinstance(number, bool)
        or not isinstance(number, takes)
        or place.minimum is None
        or place.maximum is None
        or not place.minimum <= number <= place.maximum
    ):
        return _not_allowed(place, _range(place))
    return Fit(value=number)


def _rounded(value: float) -> float:
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}") if math.isfinite(value) else value


def _weights(value: Json, place: Field) -> Fit | Unfit:
    if _is_listed(value, place):
        return Fit(value=value)
    return Unfit(
        reason=Reason.MEDIA_SOURCE_NOT_ALLOWED,
        path=place.path,
        fault="takes weights on the operator's public list only",
    )


def _medium(value: Json, place: Field, media: FoundMedia | None) -> Fit | Unfit:
    """What is in the file decides, and not the field that it was put into."""
    if not isinstance(value, str):
        return _not_allowed(place, "has to name a medium: held media, an earlier result, a data URI or an address")
    if media is None:
        return Fit(value=medium_name(0), medium=value)
    if value not in media:
        return Unfit(
            reason=Reason.MEDIA_SOURCE_NOT_ALLOWED, path=place.path, fault="names a medium that nobody looked for"
        )
    found = media[value]
    if isinstance(found, MediaFault):
        return Unfit(reason=found.reason, path=place.path, fault=found.fault)
    if isinstance(found, CleanMedium) and found.kind not in place.kinds:
        wanted = " or ".join(place.kinds)
        return _not_allowed(place, f"takes media of the kind {wanted}, and what it names is of the kind {found.kind}")
    return Fit(value=medium_name(list(media).index(value)), medium=value)


def medium_name(place: int) -> str:
    """The neutral name of a medium: its place among those of the request, from 0."""
    return f"medium-{place + 1}"


def _is_listed(value: Json, place: Field) -> bool:
    """Whether the value is one of the choices and of its very type: ``True`` equals 1 and is not it."""
    return any(type(choice) is type(value) and choice == value for choice in place.choices)


def _not_allowed(place: Field, fault: str) -> Unfit:
    return Unfit(reason=Reason.VALUE_NOT_ALLOWED, path=place.path, fault=fault)


def _range(place: Field) -> str:
    what = "a whole number" if place.kind is FieldKind.INTEGER else "a number"
    return f"has to be {what} from {place.minimum} to {place.maximum}"


def _choices(place: Field) -> str:
    if len(place.choices) > _CHOICES_NAMED:
        return f"has to be one of the {len(place.choices)} values its manifest lists"
    return f"has to be one of: {', '.join(str(choice) for choice in place.choices)}"


def _shape(place: Field) -> str:
    if place.members and place.items is not None:
        return "has to be an object or an array"
    return "has to be an array" if place.items is not None else "has to be an object"
