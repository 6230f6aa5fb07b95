"""Whatever is sent, under whatever manifest and permit: nothing leaves that was not listed and granted."""

import copy
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from consent_proxy.domain.categories import DataCategory
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
    st.lists(fields(), min_size=1, max_size=8)
    .map(lambda listed: {field.path: field for field in listed})
    .map(lambda flat: a_manifest(*flat.values()))
)
permits = st.frozensets(st.sampled_from(DataCategory)).map(lambda categories: a_permit(categories=categories))

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
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5), max_leaves=20
)
payloads = st.dictionaries(keys, values, max_size=6)
runs = settings(max_examples=200)


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
@given(payload=payloads, manifest=manifests, permit=permits, pseudonym=st.sampled_from([PSEUDONYM, None]))
def test_nothing_leaves_that_was_not_listed_and_granted(
    payload: dict[str, Json], manifest: Manifest, permit: Any, pseudonym: str | None
) -> None:
    result = minimise(payload, manifest, permit, pseudonym=pseudonym)

    if isinstance(result, Refusal):
        return
    listed = {place.path: place for place in manifest.places() if place.kind is not None}
    left = list(leaves(result.body))
    for path, value in left:
        place = listed[path]
        assert place.category in permit.categories
        assert place.category is not DataCategory.ONWARD
        assert fits(value, place)
    assert result.fields_sent == tuple(sorted({path for path, _ in left}))
    assert result.categories == {listed[path].category for path, _ in left}


@runs
@given(payload=payloads, manifest=manifests, permit=permits)
def test_minimising_twice_changes_nothing(payload: dict[str, Json], manifest: Manifest, permit: Any) -> None:
    once = minimise(payload, manifest, permit, pseudonym=PSEUDONYM)

    if isinstance(once, MinimisedPayload):
        twice = minimise(once.body, manifest, permit, pseudonym=PSEUDONYM, strict=True)
        assert isinstance(twice, MinimisedPayload)
        assert twice.body == once.body
        assert (twice.fields_sent, twice.categories) == (once.fields_sent, once.categories)


@runs
@given(payload=payloads, manifest=manifests, permit=permits, strict=st.booleans())
def test_the_same_input_gives_the_same_answer_whatever_the_order_of_its_keys(
    payload: dict[str, Json], manifest: Manifest, permit: Any, strict: bool
) -> None:
    before = copy.deepcopy(payload)

    forwards = minimise(payload, manifest, permit, pseudonym=PSEUDONYM, strict=strict)
    backwards = minimise(dict(reversed(payload.items())), manifest, permit, pseudonym=PSEUDONYM, strict=strict)

    assert forwards == backwards
    assert repr(payload) == repr(before)


@runs
@given(payload=payloads, manifest=manifests, permit=permits, strict=st.booleans())
def test_what_is_said_of_the_rest_names_plain_keys_and_no_value(
    payload: dict[str, Json], manifest: Manifest, permit: Any, strict: bool
) -> None:
    result = minimise(payload, manifest, permit, pseudonym=PSEUDONYM, strict=strict)

    if isinstance(result, Refusal):
        paths, told = set(result.paths), result.detail
        assert paths - {""} or not strict
    else:
        paths, told = {field.path for field in result.fields_dropped}, ""
        assert len(result.fields_dropped) <= MAX_DROPPED
        assert {field.reason for field in result.fields_dropped} <= {"not-listed", "not-permitted", "onward"}
    known = {place.path for place in manifest.places()}
    assert all(path in known or DROPPED_PATH.fullmatch(path) for path in paths)
    assert IDENTIFIER not in told
    assert "example.com" not in told


@runs
@given(payload=payloads, manifest=manifests)
def test_a_permit_for_nothing_lets_nothing_out(payload: dict[str, Json], manifest: Manifest) -> None:
    result = minimise(payload, manifest, a_permit(categories=frozenset()), pseudonym=PSEUDONYM)

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
