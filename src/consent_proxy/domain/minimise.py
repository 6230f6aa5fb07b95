"""Minimisation (GDPR Art. 5(1)(c)): from an input, a manifest and a permit, what may leave and what stays. Pure."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from consent_proxy.domain.categories import DataCategory
from consent_proxy.domain.decide import Permit
from consent_proxy.domain.manifests import Field, FieldKind, Manifest
from consent_proxy.domain.media import CarriedMedium, CleanMedium, FoundMedia
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.refusals import Reason, Refusal
from consent_proxy.domain.values import Unfit, fit, medium_name

#: How many dropped fields a record names; the rest is counted.
MAX_DROPPED = 64
#: Keys are callers' text too: only a plain name is repeated.
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_ANY_OTHER_KEY = "~"
_NAMED_IN_DETAIL = 5
#: The reasons for which values are refused, in the order in which one is chosen.
_REASONS = (
    Reason.MEDIA_SOURCE_NOT_ALLOWED,
    Reason.MEDIA_NOT_YOURS,
    Reason.BODY_TOO_LARGE,
    Reason.MEDIA_TYPE_UNSUPPORTED,
    Reason.MEDIA_NOT_CLEAN,
    Reason.VALUE_NOT_ALLOWED,
)


class DropReason(StrEnum):
    """Why a field stayed here."""

    NOT_LISTED = "not-listed"
    NOT_PERMITTED = "not-permitted"
    ONWARD = "onward"


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedField:
    """A field that stayed here. ``path`` is the topmost unlisted key, or ``~`` where the key is not a plain name."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MinimisedPayload:
    """The input with nothing in it that is not listed and permitted. Built by ``minimise`` alone.

    ``fields_sent`` are the manifest's paths of the values in ``body``, sorted. ``dropped_uncounted`` is how many more
    different fields were dropped than ``fields_dropped`` names. ``media`` are those it names, in the body's order.
    """

    body: dict[str, Json]
    fields_sent: tuple[str, ...]
    fields_dropped: tuple[DroppedField, ...]
    categories: frozenset[DataCategory]
    dropped_uncounted: int = 0
    media: tuple[CarriedMedium, ...] = ()


def media_in(
    payload: dict[str, Json], manifest: Manifest, permit: Permit, *, strict: bool = False
) -> tuple[str, ...] | Refusal:
    """The texts that name media in the places where the manifest lists media and the permit covers them, once each.

    Nothing else of a payload may be looked up or fetched, and nothing at all for a request that is refused whatever
    its media are: then this is that refusal.
    """
    if FieldKind.MEDIA not in manifest.kinds:
        return ()
    whole = _part(_root(manifest), payload, _Terms(categories=permit.categories, pseudonym="", media=None))
    dropped, _ = _counted(whole.dropped)
    return _refusal(whole, narrowed=dropped if strict else ()) or tuple(dict.fromkeys(whole.media))


def minimise(
    payload: dict[str, Json],
    manifest: Manifest,
    permit: Permit,
    *,
    pseudonym: str | None = None,
    strict: bool = False,
    media: FoundMedia | None = None,
) -> MinimisedPayload | Refusal:
    """Keep of an input what the manifest lists and the permit covers.

    It changes no input and raises for none: unlisted parts are not even looked into, and listed ones only as deep as
    the manifest goes. What is listed and not permitted is dropped; where the object or array around it cannot do
    without, that is dropped with it, and where the model cannot, the request is refused. Arrays are never shortened.
    ``null`` counts as not sent, and so does an object or array with nothing left in it. Whether a required field is
    missing is for the provider to say: it answers 422, and nothing has left that should not.

    ``pseudonym`` stands in for any identifier. ``strict`` refuses instead of dropping. ``media`` holds what became of
    every text of ``media_in``. A refusal has one reason: first ``field-not-permitted``, then those of media, then
    ``value-not-allowed``, and names all paths of it.
    """
    found = media if media is not None else {}
    root = _root(manifest)
    whole = _part(root, payload, _Terms(categories=permit.categories, pseudonym=pseudonym, media=found))
    dropped, uncounted = _counted(whole.dropped)
    refusal = _refusal(whole, narrowed=dropped if strict else ())
    if refusal is not None:
        return refusal
    sent = frozenset((place.path, place.category) for place, _, _ in _sent(root, whole.value) if place.category)
    return MinimisedPayload(
        body=whole.value if isinstance(whole.value, dict) else {},
        fields_sent=tuple(sorted(path for path, _ in sent)),
        fields_dropped=dropped,
        categories=frozenset(category for _, category in sent),
        dropped_uncounted=uncounted,
        media=_carried(root, whole.value, found) if found else (),
    )


def _root(manifest: Manifest) -> Field:
    return Field(path="", members=manifest.fields, required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """What the whole input is held against."""

    categories: frozenset[DataCategory]
    pseudonym: str | None
    media: FoundMedia | None


@dataclass(slots=True, kw_only=True)  # not frozen: many are made for each request, and a frozen one costs thrice
class _Part:
    """What became of one place. ``value`` is ``None`` where nothing of it leaves; ``barred`` are the fields in it that
    are not permitted and that it cannot do without; ``media`` are the texts in it that name media.
    """

    value: Json = None
    dropped: tuple[DroppedField, ...] = ()
    unfit: tuple[Unfit, ...] = ()
    barred: tuple[str, ...] = ()
    media: tuple[str, ...] = ()


def _part(place: Field, value: Json, terms: _Terms) -> _Part:
    if value is None:
        return _Part()
    if place.category is DataCategory.ONWARD:
        return _dropped(place, DropReason.ONWARD)
    if isinstance(value, dict) and place.members:
        part = _object(place, value, terms)
    elif isinstance(value, list) and place.items is not None:
        part = _array(place, place.items, value, terms)
    else:
        part = _value(place, value, terms)
    if not part.barred:
        return part
    return _Part(barred=part.barred) if place.required else _dropped(place, DropReason.NOT_PERMITTED)


def _object(place: Field, value: dict[str, Json], terms: _Terms) -> _Part:
    parts = {name: _part(member, value[name], terms) for name, member in place.members.items() if name in value}
    unlisted = {_plain(key) for key in value if key not in place.members}
    prefix = f"{place.path}." if place.path else ""
    return _joined(
        {name: part.value for name, part in parts.items() if part.value is not None},
        parts.values(),
        unlisted=(DroppedField(path=prefix + name, reason=DropReason.NOT_LISTED) for name in unlisted),
    )


def _array(place: Field, item: Field, value: list[Json], terms: _Terms) -> _Part:
    if len(value) > place.max_items:
        return _not_allowed(place, f"has to have at most {place.max_items} items")
    if any(entry is None for entry in value):
        return _not_allowed(place, "has to have no null in it")
    parts = [_part(item, entry, terms) for entry in value]
    if all(part.value is None for part in parts):
        return _joined([], parts)
    # An item of which nothing is left keeps its place: what comes after it must not move up.
    kept = [part.value if part.value is not None else _emptied(entry) for part, entry in zip(parts, value, strict=True)]
    return _joined(kept, parts)


def _value(place: Field, value: Json, terms: _Terms) -> _Part:
    if place.kind is not None and place.category not in terms.categories:
        return _Part(barred=(place.path,))
    if place.kind is FieldKind.PSEUDONYM:
        return _Part(value=terms.pseudonym) if terms.pseudonym is not None else _Part(barred=(place.path,))
    fitted = fit(value, place=place, media=terms.media)
    if isinstance(fitted, Unfit):
        return _Part(unfit=(fitted,))
    return _Part(value=fitted.value, media=(fitted.medium,) if fitted.medium is not None else ())


def _joined(
    kept: dict[str, Json] | list[Json], parts: Iterable[_Part], *, unlisted: Iterable[DroppedField] = ()
) -> _Part:
    held = tuple(parts)
    return _Part(
        value=kept or None,
        dropped=(*(field for part in held for field in part.dropped), *unlisted),
        unfit=tuple(fault for part in held for fault in part.unfit),
        barred=tuple(path for part in held for path in part.barred),
        media=tuple(text for part in held for text in part.media),
    )


def _dropped(place: Field, reason: DropReason) -> _Part:
    return _Part(dropped=(DroppedField(path=place.path, reason=reason),))


def _not_allowed(place: Field, fault: str) -> _Part:
    return _Part(unfit=(Unfit(reason=Reason.VALUE_NOT_ALLOWED, path=place.path, fault=fault),))


def _emptied(value: Json) -> Json:
    return {} if isinstance(value, dict) else []


def _plain(key: str) -> str:
    return key if _PLAIN_KEY.fullmatch(key) else _ANY_OTHER_KEY


def _counted(dropped: Iterable[DroppedField]) -> tuple[tuple[DroppedField, ...], int]:
    """Each field once, those the manifest knows first, so that a thousand made-up keys do not hide them."""
    once = sorted(set(dropped), key=lambda field: (field.reason == DropReason.NOT_LISTED, field.path, field.reason))
    return tuple(once[:MAX_DROPPED]), max(0, len(once) - MAX_DROPPED)


def _sent(
    place: Field, value: Json, at: tuple[str | int, ...] = ()
) -> Iterator[tuple[Field, tuple[str | int, ...], Json]]:
    """The values in a body that came out of ``_part``, each with its place and the way to it."""
    if isinstance(value, dict) and place.members:
        for name, held in value.items():
            yield from _sent(place.members[name], held, (*at, name))
    elif isinstance(value, list) and place.items is not None:
        for index, held in enumerate(value):
            yield from _sent(place.items, held, (*at, index))
    elif value is not None:
        yield place, at, value


def _carried(root: Field, body: Json, media: FoundMedia) -> tuple[CarriedMedium, ...]:
    by_name = {medium_name(place): medium for place, medium in enumerate(media.values())}
    return tuple(
        CarriedMedium(path=place.path, at=at, name=value, medium=medium)
        for place, at, value in _sent(root, body)
        if place.kind is FieldKind.MEDIA
        and isinstance(value, str)
        and isinstance(medium := by_name.get(value), CleanMedium)
    )


def _refusal(whole: _Part, *, narrowed: Iterable[DroppedField]) -> Refusal | None:
    return _not_permitted(whole.barred, narrowed) or _not_fit(whole.unfit)


def _not_permitted(barred: Iterable[str], dropped: Iterable[DroppedField]) -> Refusal | None:
    """The refusal for what a request cannot do without, or what a strict caller wants whole."""
    needed = sorted(set(barred))
    narrowed = sorted({field.path for field in dropped} - set(needed))
    if not needed and not narrowed:
        return None
    faults = [f"the model needs {_named(needed)}, which is not granted or not in the contract"] if needed else []
    faults += [f"Consent-Strict forbids to leave out {_named(narrowed)}"] if narrowed else []
    return Refusal(reason=Reason.FIELD_NOT_PERMITTED, detail="; ".join(faults), paths=(*needed, *narrowed))


def _not_fit(unfit: Iterable[Unfit]) -> Refusal | None:
    """The refusal for values that may not leave in their places: media first, then everything else."""
    by_path = {fault.path: fault for fault in sorted(unfit, key=lambda fault: (fault.path, fault.fault), reverse=True)}
    for reason in _REASONS:
        faults = [fault for fault in reversed(by_path.values()) if fault.reason is reason]
        if faults:
            told = [f"{fault.path or 'the input'} {fault.fault}" for fault in faults[:_NAMED_IN_DETAIL]]
            return Refusal(reason=reason, detail="; ".join(told), paths=tuple(fault.path for fault in faults))
    return None


def _named(paths: list[str]) -> str:
    more = len(paths) - _NAMED_IN_DETAIL
    return ", ".join(paths[:_NAMED_IN_DETAIL]) + (f" and {more} more" if more > 0 else "")
