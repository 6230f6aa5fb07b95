"""What has moved between a manifest and a newer schema of its model."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from consent_proxy.domain.categories import DataCategory
from consent_proxy.domain.input_schemas import InputPlace, ValueType, lies_in
from consent_proxy.domain.manifests import Field, FieldKind, Manifest

_NAMED = 8
_NUMBERS = frozenset({ValueType.INTEGER, ValueType.NUMBER})


class DriftKind(StrEnum):
    """How a schema differs from what was reviewed."""

    NEW_FIELD = "new-field"
    FIELD_GONE = "field-gone"
    NOW_REQUIRED = "now-required"
    KIND_CHANGED = "kind-changed"
    WIDENED = "widened"
    NARROWED = "narrowed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One difference at one path; ``detail`` says what it comes to."""

    kind: DriftKind
    path: str
    detail: str


def drift(manifest: Manifest, places: Iterable[InputPlace]) -> tuple[Drift, ...]:
    """Compare a manifest with its model's input, topmost differences only. Empty where everything is as reviewed."""
    by_path = {place.path: place for place in places}
    listed = {field.path: field for field in manifest.places()}
    return tuple(_outermost([*_new(by_path, listed, manifest.left_out), *_moved(by_path, listed)]))


def _outermost(found: list[Drift]) -> Iterator[Drift]:
    """Each difference once; not those inside of what is new, or gone, as a whole."""
    whole = [one.path for one in found if one.kind in {DriftKind.NEW_FIELD, DriftKind.FIELD_GONE}]
    for one in found:
        if not any(lies_in(one.path, outer) for outer in whole):
            yield one


def _new(by_path: Mapping[str, InputPlace], listed: Mapping[str, Field], left_out: Iterable[str]) -> Iterator[Drift]:
    known = {*left_out, *(path for path, field in listed.items() if not field.members and field.items is None)}
    for path, place in by_path.items():
        if path in listed or path in known or any(lies_in(path, outer) for outer in known):
            continue
        needed = place.required and not path.endswith("[]")
        detail = (
            "the model cannot do without it, and it is dropped: calls will fail" if needed else "it is dropped for now"
        )
        yield Drift(kind=DriftKind.NEW_FIELD, path=path, detail=detail)


def _moved(by_path: Mapping[str, InputPlace], listed: Mapping[str, Field]) -> Iterator[Drift]:
    unclear = [path for path, place in by_path.items() if place.unclear]
    for path, field in listed.items():
        place = by_path.get(path)
        if place is None:
            if not any(lies_in(path, outer) for outer in unclear):
                yield Drift(kind=DriftKind.FIELD_GONE, path=path, detail="the model does not take it any more")
        elif not place.unclear:
            yield from _differences(field, place)


def _differences(field: Field, place: InputPlace) -> Iterator[Drift]:
    if field.category is DataCategory.ONWARD:
        if place.required:
            yield Drift(kind=DriftKind.NOW_REQUIRED, path=field.path, detail="nothing permits it: calls will fail")
        return
    if place.required and not field.required and not field.path.endswith("[]"):
        detail = "the model cannot do without it; where it is not permitted, calls will fail at the provider"
        yield Drift(kind=DriftKind.NOW_REQUIRED, path=field.path, detail=detail)
    if field.kind is None:
        return
    if not _takes(place, field.kind):
        takes = ", ".join(sorted(place.types)) or ("listed values" if place.choices else "objects or arrays")
        detail = f"it is listed as {field.kind}, and the model takes {takes}"
        yield Drift(kind=DriftKind.KIND_CHANGED, path=field.path, detail=detail)
    elif field.kind is FieldKind.CHOICE:
        yield from _choices(field, place)
    elif field.minimum is not None:
        yield from _ranges(field, place)


def _takes(place: InputPlace, kind: FieldKind) -> bool:
    match kind:
        case FieldKind.CHOICE:
            return bool(place.choices or place.types - {ValueType.BOOLEAN})
        case FieldKind.INTEGER | FieldKind.NUMBER:
            return bool(place.types & _NUMBERS) or any(not isinstance(choice, str) for choice in place.choices)
        case FieldKind.BOOLEAN:
            return ValueType.BOOLEAN in place.types
        case FieldKind.TEXT | FieldKind.MEDIA | FieldKind.WEIGHTS | FieldKind.PSEUDONYM:
            return ValueType.STRING in place.types


def _choices(field: Field, place: InputPlace) -> Iterator[Drift]:
    if place.types:  # it takes others too, so its list is no list to hold against ours
        return
    if more := [choice for choice in place.choices if choice not in field.choices]:
        yield Drift(kind=DriftKind.WIDENED, path=field.path, detail=f"the model also takes {_named(more)}")
    if fewer := [choice for choice in field.choices if choice not in place.choices]:
        yield Drift(kind=DriftKind.NARROWED, path=field.path, detail=f"the model does not take {_named(fewer)}")


def _ranges(field: Field, place: InputPlace) -> Iterator[Drift]:
    low, high, lowest, highest = place.minimum, place.maximum, field.minimum, field.maximum
    said = f"{_bound(low)} to {_bound(high)}, and {_bound(lowest)} to {_bound(highest)} is listed"
    if _below(low, lowest) or _below(highest, high):
        yield Drift(kind=DriftKind.WIDENED, path=field.path, detail=f"the model takes {said}")
    if _below(lowest, low) or _below(high, highest):
        yield Drift(kind=DriftKind.NARROWED, path=field.path, detail=f"the model takes only {said}")


def _below(one: float | None, other: float | None) -> bool:
    return one is not None and other is not None and one < other


def _bound(number: float | None) -> str:
    return "any" if number is None else f"{number:.15g}"


def _named(choices: list[str | int | float]) -> str:
    """Some of them, as they are: whoever prints this sees to what cannot be seen."""
    more = len(choices) - _NAMED
    return ", ".join(repr(choice) for choice in choices[:_NAMED]) + (f" and {more} more" if more > 0 else "")
