"""What moved between a manifest and a newer schema is told, once, and what did not is not."""

from dataclasses import replace
from typing import Any

import pytest

from consent_proxy.adapters.input_schemas import open_schema
from consent_proxy.domain.categories import DataCategory, Purpose
from consent_proxy.domain.drafts import draft_fields
from consent_proxy.domain.drift import Drift, DriftKind, drift
from consent_proxy.domain.input_schemas import InputPlace, ValueType
from consent_proxy.domain.manifests import Field, FieldKind, Manifest, field_tree
from tests.builders import a_field, a_manifest
from tests.schemas import FAL_MODEL, fal_openapi

STRENGTH = a_field(
    "strength", category=DataCategory.SETTING, kind=FieldKind.NUMBER, minimum=0, maximum=1, required=False
)
MODE = a_field("mode", category=DataCategory.SETTING, kind=FieldKind.CHOICE, choices=("a", "b"), required=False)
TEXT = frozenset({ValueType.STRING})
NUMBER = frozenset({ValueType.NUMBER})


def places(document: Any) -> tuple[InputPlace, ...]:
    return open_schema(document).places(model=FAL_MODEL, purpose=Purpose.GENERATION)


def as_reviewed(document: Any) -> Manifest:
    """The manifest that leaves out whatever a draft is not certain of."""
    found = draft_fields(places(document), purpose=Purpose.GENERATION)
    return replace(a_manifest(), fields=field_tree(found.fields), left_out=tuple(found.review))


def only(field: Field, place: InputPlace) -> Drift:
    (found,) = drift(a_manifest(field), [place])
    return found


def test_a_schema_that_is_as_it_was_has_not_drifted() -> None:
    assert drift(as_reviewed(fal_openapi()), places(fal_openapi())) == ()


def test_everything_that_moved_is_told() -> None:
    newer = fal_openapi(
        num_images={"type": "integer", "minimum": 1, "maximum": 8},
        guidance_scale={"type": "number", "minimum": 2, "maximum": 20},
        sync_mode={"type": "string"},
        camera={"type": "object", "properties": {"x": {"type": "number"}, "y": {"type": "number"}}},
        required=("prompt", "image_urls", "seed", "style"),
        style={"type": "string"},
    )
    del newer["components"]["schemas"]["EditInput"]["properties"]["image_size"]
    found = {(one.kind.value, one.path) for one in drift(as_reviewed(fal_openapi()), places(newer))}
    assert found == {
        ("new-field", "camera"),
        ("new-field", "style"),
        ("field-gone", "image_size"),
        ("now-required", "seed"),
        ("kind-changed", "sync_mode"),
        ("widened", "num_images"),
        ("narrowed", "guidance_scale"),
    }


def test_a_new_field_inside_of_a_listed_array_is_told() -> None:
    newer = fal_openapi()
    newer["components"]["schemas"]["LoraWeight"]["properties"]["weight_name"] = {"type": "string"}
    (found,) = drift(as_reviewed(fal_openapi()), places(newer))
    assert (found.kind, found.path) == (DriftKind.NEW_FIELD, "loras[].weight_name")


def test_a_new_field_that_the_model_cannot_do_without_breaks_calls() -> None:
    (found,) = drift(
        a_manifest(a_field()), [InputPlace(path="prompt", types=TEXT), InputPlace(path="x", required=True)]
    )
    assert "calls will fail" in found.detail


def test_a_field_left_out_on_purpose_is_not_new() -> None:
    manifest = replace(a_manifest(a_field()), left_out=("x",))
    listed = [InputPlace(path="prompt", types=TEXT), InputPlace(path="x", has_members=True), InputPlace(path="x.y")]
    assert drift(manifest, listed) == ()


@pytest.mark.parametrize(
    ("field", "place", "kind", "says"),
    [
        (MODE, InputPlace(path="mode", choices=("a", "b", "c")), DriftKind.WIDENED, "also takes 'c'"),
        (MODE, InputPlace(path="mode", choices=("a",)), DriftKind.NARROWED, "does not take 'b'"),
        (MODE, InputPlace(path="mode", types=frozenset({ValueType.BOOLEAN})), DriftKind.KIND_CHANGED, "takes boolean"),
        (STRENGTH, InputPlace(path="strength", types=NUMBER, minimum=-1, maximum=1), DriftKind.WIDENED, "-1 to 1"),
        (STRENGTH, InputPlace(path="strength", types=NUMBER, maximum=0.5), DriftKind.NARROWED, "only any to 0.5"),
        (STRENGTH, InputPlace(path="strength", types=TEXT), DriftKind.KIND_CHANGED, "listed as number"),
        (STRENGTH, InputPlace(path="strength", types=NUMBER, required=True), DriftKind.NOW_REQUIRED, "calls will fail"),
        (
            Field(path="hook", category=DataCategory.ONWARD),
            InputPlace(path="hook", types=TEXT, required=True),
            DriftKind.NOW_REQUIRED,
            "nothing permits it",
        ),
    ],
)  # fmt: skip
def test_a_difference_is_named_by_its_kind(field: Field, place: InputPlace, kind: DriftKind, says: str) -> None:
    found = only(field, place)
    assert found.kind is kind
    assert says in found.detail


def test_what_the_schema_does_not_say_has_not_moved() -> None:
    assert drift(a_manifest(STRENGTH), [InputPlace(path="strength", types=NUMBER)]) == ()
    assert drift(a_manifest(MODE), [InputPlace(path="mode", types=TEXT, choices=("c",))]) == ()
    assert drift(a_manifest(MODE), [InputPlace(path="mode", unclear="may be anything")]) == ()


def test_many_new_choices_are_counted() -> None:
    place = InputPlace(path="mode", choices=("a", "b", *map(str, range(50))))
    assert only(MODE, place).detail.endswith("and 42 more")
