"""A manifest lists fields by their paths, and cannot list one in a way that could not be checked."""

import re
from dataclasses import replace

import pytest

from consent_proxy.domain.categories import DataCategory
from consent_proxy.domain.manifests import MAX_DEPTH, Field, FieldKind, fault_of, field_tree
from tests.builders import PROMPT, STEPS, a_field, a_manifest

SETTING = DataCategory.SETTING
SIZE = Field(path="size", category=SETTING, kind=FieldKind.CHOICE, choices=("square",))
WIDTH = replace(STEPS, path="size.width")
SCALE = Field(path="loras[].scale", category=SETTING, kind=FieldKind.NUMBER, minimum=0, maximum=4)
WEIGHTS = Field(path="loras[].path", category=SETTING, kind=FieldKind.WEIGHTS, required=True)
MANY = Field(path="loras[]", max_items=3)


def tree(*fields: Field) -> dict[str, Field]:
    return field_tree({field.path: field for field in fields})


def test_a_plain_path_is_a_place_at_the_top() -> None:
    assert tree(PROMPT) == {"prompt": PROMPT}


def test_a_place_may_be_a_value_or_an_object() -> None:
    size = tree(SIZE, WIDTH)["size"]

    assert (size.kind, size.choices) == (FieldKind.CHOICE, ("square",))
    assert size.members == {"width": WIDTH}


def test_an_array_of_objects_is_listed_by_its_members() -> None:
    loras = tree(MANY, WEIGHTS, SCALE)["loras"]

    assert (loras.kind, loras.category, loras.max_items, loras.required) == (None, None, 3, False)
    assert loras.items is not None
    assert loras.items.required
    assert loras.items.members == {"path": WEIGHTS, "scale": SCALE}


def test_an_array_of_values_is_listed_by_its_item() -> None:
    photos = Field(path="photos[]", category=DataCategory.PHOTO, kind=FieldKind.MEDIA, required=True, max_items=2)

    array = tree(photos)["photos"]

    assert (array.kind, array.required, array.max_items) == (None, True, 2)
    assert array.items == photos


def test_the_order_in_which_fields_are_listed_does_not_matter() -> None:
    assert tree(SIZE, WIDTH, MANY, SCALE) == tree(SCALE, WIDTH, SIZE, MANY)


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "a b",
        "a[0]",
        "a[",
        "[]",
        "a[][]",
        "a.[]",
        "1a",
        "ä",
        "a\n",
        ".".join("a" * (MAX_DEPTH + 1)),
    ],
)
def test_what_is_not_a_path_is_an_error_that_shows_how_to_write_one(path: str) -> None:
    with pytest.raises(ValueError, match="is not a path: write it like"):
        field_tree({path: a_field(path)})


def test_an_empty_place_is_an_error() -> None:
    with pytest.raises(ValueError, match="'size' needs a category and a kind, or fields within it"):
        tree(Field(path="size"))
    with pytest.raises(ValueError, match=r"'loras\[\]' needs a category and a kind"):
        tree(MANY)


@pytest.mark.parametrize(
    "sound",
    [
        PROMPT,
        STEPS,
        SIZE,
        SCALE,
        WEIGHTS,
        MANY,
        replace(WEIGHTS, choices=("owner/public",)),
        Field(path="flag", category=SETTING, kind=FieldKind.BOOLEAN),
        Field(path="photo", category=DataCategory.PHOTO, kind=FieldKind.MEDIA, required=True),
        Field(path="voice", category=DataCategory.VOICE, kind=FieldKind.WEIGHTS),
        Field(path="user", category=DataCategory.ACCOUNT_IDENTIFIER, kind=FieldKind.PSEUDONYM),
        Field(path="webhook", category=DataCategory.ONWARD),
        a_field("caption", category=DataCategory.TRAINING_METADATA, urls_allowed=True),
    ],
)
def test_a_field_that_can_be_checked_has_no_fault(sound: Field) -> None:
    assert fault_of(sound) is None


@pytest.mark.parametrize(
    ("unsound", "fault"),
    [
        (Field(path="x", kind=FieldKind.TEXT), "both a category and a kind"),
        (Field(path="x", category=SETTING), "both a category and a kind"),
        (Field(path="x", category=DataCategory.ONWARD, required=True), "cannot be required"),
        (replace(STEPS, minimum=None), "needs a minimum and a maximum"),
        (replace(STEPS, maximum=None), "needs a minimum and a maximum"),
        (replace(STEPS, maximum=float("inf")), "needs a minimum and a maximum"),
        (replace(STEPS, minimum=float("nan")), "needs a minimum and a maximum"),
        (replace(STEPS, minimum=51), "needs a minimum and a maximum"),
        (replace(SCALE, maximum=None), "needs a minimum and a maximum"),
        (replace(SIZE, choices=()), "needs the choices listed"),
        (replace(STEPS, choices=(1, 2)), "its kind has to be choice or weights"),
        (replace(PROMPT, maximum=5), "is no number"),
        (replace(STEPS, urls_allowed=True), "its kind has to be text"),
        (a_field(category=SETTING), "is free text, so its category cannot be 'setting'"),
        (a_field(category=DataCategory.PHOTO), "is free text"),
        (a_field(category=DataCategory.ACCOUNT_IDENTIFIER), "needs both"),
        (Field(path="x", category=SETTING, kind=FieldKind.PSEUDONYM), "needs both"),
        (Field(path="x", category=SETTING, kind=FieldKind.MEDIA), "is media"),
        (replace(SIZE, category=DataCategory.PHOTO), "its kind has to be media or weights"),
    ],
)
def test_a_field_that_could_not_be_checked_is_told_why(unsound: Field, fault: str) -> None:
    assert fault in (fault_of(unsound) or "")
    with pytest.raises(ValueError, match=re.escape(f"'{unsound.path}' ")):
        tree(unsound)


def test_what_a_request_cannot_do_without_is_required_all_the_way_up() -> None:
    optional_array = a_manifest(MANY, WEIGHTS)
    required_array = a_manifest(replace(MANY, required=True), WEIGHTS, SCALE)
    items = Field(path="photos[]", category=DataCategory.PHOTO, kind=FieldKind.MEDIA, required=True)

    assert optional_array.categories(required_only=True) == frozenset()
    assert required_array.categories(required_only=True) == {SETTING}
    assert a_manifest(items).categories(required_only=True) == {DataCategory.PHOTO}
    assert a_manifest(replace(items, required=False)).categories(required_only=True) == frozenset()
    assert a_manifest(replace(items, required=False)).categories() == {DataCategory.PHOTO}


def test_every_place_is_named_by_its_whole_path() -> None:
    manifest = a_manifest(PROMPT, SIZE, WIDTH, MANY, WEIGHTS)

    assert [place.path for place in manifest.places()] == [
        "prompt",
        "size",
        "size.width",
        "loras",
        "loras[]",
        "loras[].path",
    ]


def test_the_document_says_what_each_place_takes() -> None:
    document = a_manifest(PROMPT, STEPS, MANY, WEIGHTS, sub_processors=("google",)).document()

    assert document["sub_processors"] == ["google"]
    assert document["fields"] == [
        {"path": "prompt", "category": "prompt", "kind": "text", "max_bytes": 32_768, "required": True},
        {"path": "steps", "category": "setting", "kind": "integer", "minimum": 1, "maximum": 50},
        {"path": "loras", "max_items": 3},
        {"path": "loras[]", "required": True},
        {"path": "loras[].path", "category": "setting", "kind": "weights", "required": True},
    ]
    assert "sha256" not in document
