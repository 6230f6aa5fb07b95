"""Whatever is sent, under whatever manifest and permit: nothing leaves that was not listed and granted."""

import copy
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from consent_proxy.domain.categories import DataCategory
from consent_proxy.domain.decide import Permit
from consent_proxy.domain.manifests import Field, FieldKind, Manifest, fault_of
from consent_proxy.domain.minimise import MAX_DROPPED, MinimisedPayload, minimise
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.refusals import Refusal
from tests.builders import PSEUDONYM, a_manifest, a_permit

NAMES = ("a", "b", "c", "d")
SEGMENTS = tuple(name + array for name in NAMES for array in ("", "[]"))
CHOICES = ("one", "two", 3, 0.5)
IDENTIFIER = "jane.roe@example.com"
DROPPED_PATH = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]{0,39}(?:\[\])?\.)*(?:[A-Za-z_][A-Za-z0-9_]{0,39}(?:\[\])?|~)")

paths = st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=3).map(".".join)


def a_place(path: str, kind: FieldKind, category: DataCategory) -> Field:
    ranged = kind in {FieldKind.INTEGER, FieldKind.NUMBER}
    return Field(
        path=path,
        category=category,
        kind=kind,
        minimum=-5 if ranged else None,
        maximum=5 if ranged else None,
        choices=CHOICES if kind in {FieldKind.CHOICE, FieldKind.WEIGHTS} else (),
    )


SOUND = [
    (kind, category)
    for kind in FieldKind
    for category in DataCategory
    if fault_of(a_place("a", kind, category)) is None
]


@st.composite
def fields(draw: st.DrawFn) -> Field:
    kind, category = draw(st.sampled_from(SOUND))
    return replace(
        a_place(draw(paths), kind, category),
        required=draw(st.booleans()) and category is not DataCategory.ONWARD,
        max_bytes=draw(st.integers(1, 40)),
        urls_allowed=draw(st.booleans()) and kind is FieldKind.TEXT,
        max_items=draw(st.integers(1, 3)),
    )


manifests = (
    st.lists(fields(), min_size=3, max_size=7)
    .map(lambda listed: {field.path: field for field in listed})
    .map(lambda flat: a_manifest(*flat.values()))
)
#: Most of the categories, and at times the one that no permit should name.
permits = st.frozensets(st.sampled_from(DataCategory), max_size=4).map(
    lambda missing: a_permit(categories=frozenset(DataCategory) - missing)
)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-6, 6),
    st.integers(),
    st.floats(-6, 6),
    st.floats(),
    st.sampled_from(CHOICES),
    st.text(max_size=20),
    st.text(alphabet=st.characters(categories=("Cs", "Cc", "Cf", "Lo", "Sm")), max_size=5),
    st.sampled_from([IDENTIFIER, "data:image/png;base64,AA==", "https://example.com", "s3://bucket/key"]),
)
keys = st.one_of(
    st.sampled_from(NAMES), st.sampled_from(NAMES), st.sampled_from([IDENTIFIER, "email", "", "a.b", "\ud800"])
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5), max_leaves=6
)
runs = settings(max_examples=120)


def fitting(place: Field) -> st.SearchStrategy[Any]:
    """Values of the shape a place takes, now and then with junk in it."""
    shapes: list[st.SearchStrategy[Any]] = []
    if place.members:
        shapes.append(objects(place.members))
    if place.items is not None:
        shapes.append(st.lists(fitting(place.items), min_size=1, max_size=place.max_items))
    match place.kind:
        case FieldKind.TEXT:
            shapes.append(st.text(alphabet="abc d", max_size=place.max_bytes))
        case FieldKind.INTEGER:
            shapes.append(st.integers(-5, 5))
        case FieldKind.NUMBER:
            shapes.append(st.integers(-5, 5) | st.floats(-5, 5))
        case FieldKind.BOOLEAN:
            shapes.append(st.booleans())
        case FieldKind.CHOICE | FieldKind.WEIGHTS:
            shapes.append(st.sampled_from(CHOICES))
        case FieldKind.MEDIA | FieldKind.PSEUDONYM:
            shapes.append(scalars)
        case None:
            pass
    shape = st.one_of(shapes)
    return st.integers(0, 29).flatmap(lambda dice: values if dice == 29 else shape)


def objects(members: Mapping[str, Field]) -> st.SearchStrategy[dict[str, Json]]:
    """Objects of some of the members, and of keys that nobody listed."""
    listed = st.fixed_dictionaries({name: fitting(member) for name, member in members.items()})
    some_of_them = st.tuples(listed, st.sets(st.sampled_from(sorted(members)), max_size=2)).map(
        lambda parts: {name: value for name, value in parts[0].items() if name not in parts[1]}
    )
    return st.tuples(st.dictionaries(keys, values, max_size=1), some_of_them).map(lambda parts: parts[0] | parts[1])


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is sent, and under what."""

    payload: dict[str, Json]
    manifest: Manifest
    permit: Permit

    def minimise(self, **how: Any) -> MinimisedPayload | Refusal:
        return minimise(self.payload, self.manifest, self.permit, **{"pseudonym": PSEUDONYM, **how})


@st.composite
def cases(draw: st.DrawFn) -> Case:
    manifest = draw(manifests)
    return Case(payload=draw(objects(manifest.fields)), manifest=manifest, permit=draw(permits))


def leaves(value: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every value in a body with its path, found without any help of the code under test."""
    if isinstance(value, dict):
        for key, held in value.items():
            yield from leaves(held, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for held in value:
            yield from leaves(held, f"{path}[]")
    else:
        yield path, value


def fits(value: Json, place: Field) -> bool:
    """What the design says of a value, written down a second time."""
    match place.kind:
        case FieldKind.PSEUDONYM:
            return value == PSEUDONYM
        case FieldKind.CHOICE | FieldKind.WEIGHTS:
            return value in CHOICES and not isinstance(value, bool)
        case FieldKind.BOOLEAN:
            return isinstance(value, bool)
        case FieldKind.INTEGER:
            return type(value) is int and -5 <= value <= 5
        case FieldKind.NUMBER:
            return type(value) in {int, float} and isinstance(value, int | float) and -5 <= value <= 5
        case FieldKind.TEXT:
            return isinstance(value, str) and len(value.encode()) <= place.max_bytes and "s3:" not in value
        case FieldKind.MEDIA | None:
            return False


@runs
@given(case=cases(), pseudonym=st.sampled_from([PSEUDONYM, None]))
def test_nothing_leaves_that_was_not_listed_and_granted(case: Case, pseudonym: str | None) -> None:
    result = case.minimise(pseudonym=pseudonym)

    if isinstance(result, Refusal):
        return
    listed = {place.path: place for place in case.manifest.places() if place.kind is not None}
    left = list(leaves(result.body))
    for path, value in left:
        place = listed[path]
        assert place.category in case.permit.categories
        assert place.category is not DataCategory.ONWARD
        assert fits(value, place)
    assert result.fields_sent == tuple(sorted({path for path, _ in left}))
    assert result.categories == {listed[path].category for path, _ in left}
    if not result.fields_dropped:
        assert {path for path, _ in left} == {path for path, value in leaves(case.payload) if value is not None}


@runs
@given(case=cases())
def test_minimising_twice_changes_nothing(case: Case) -> None:
    once = case.minimise()

    if isinstance(once, MinimisedPayload):
        twice = replace(case, payload=once.body).minimise(strict=True)
        assert isinstance(twice, MinimisedPayload)
        assert twice.body == once.body
        assert (twice.fields_sent, twice.categories) == (once.fields_sent, once.categories)


@runs
@given(case=cases(), strict=st.booleans())
def test_the_same_input_gives_the_same_answer_whatever_the_order_of_its_keys(case: Case, strict: bool) -> None:
    before = copy.deepcopy(case.payload)

    forwards = case.minimise(strict=strict)
    backwards = replace(case, payload=dict(reversed(case.payload.items()))).minimise(strict=strict)

    assert forwards == backwards
    assert repr(case.payload) == repr(before)


@runs
@given(case=cases(), strict=st.booleans())
def test_what_is_said_of_the_rest_names_plain_keys_and_no_value(case: Case, strict: bool) -> None:
    result = case.minimise(strict=strict)

    if isinstance(result, Refusal):
        paths, told = set(result.paths), result.detail
        assert paths
    else:
        paths, told = {field.path for field in result.fields_dropped}, ""
        assert len(result.fields_dropped) <= MAX_DROPPED
        assert {field.reason for field in result.fields_dropped} <= {"not-listed", "not-permitted", "onward"}
        assert not (strict and result.fields_dropped)
    known = {place.path for place in case.manifest.places()}
    assert all(path in known or DROPPED_PATH.fullmatch(path) for path in paths)
    assert "example.com" not in told


@runs
@given(payload=st.dictionaries(keys, values, max_size=6), manifest=manifests, strict=st.booleans())
def test_a_permit_for_nothing_lets_nothing_out(payload: dict[str, Json], manifest: Manifest, strict: bool) -> None:
    result = minimise(payload, manifest, a_permit(categories=frozenset()), pseudonym=PSEUDONYM, strict=strict)

    if isinstance(result, MinimisedPayload):
        assert result.body == {}


@given(number=st.floats(0, 1))
def test_a_fraction_keeps_six_digits_at_most(number: float) -> None:
    strength = Field(
        path="strength", category=DataCategory.SETTING, kind=FieldKind.NUMBER, minimum=0, maximum=1, required=True
    )

    result = minimise({"strength": number}, a_manifest(strength), a_permit())

    assert isinstance(result, MinimisedPayload)
    sent = result.body["strength"]
    assert isinstance(sent, float)
    assert math.isclose(sent, number, rel_tol=1e-5)
    assert len(Decimal(repr(sent)).normalize().as_tuple().digits) <= 6
