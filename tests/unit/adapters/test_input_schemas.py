"""A schema is read as fal and Replicate write them; what is malformed, huge or goes round ends soon, with a reason."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_proxy.adapters.input_schemas import open_schema
from consent_proxy.adapters.schema_alternatives import SchemaUnreadable
from consent_proxy.adapters.schema_places import MOST_PLACES
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.input_schemas import InputPlace, ValueType
from tests.schemas import FAL_MODEL, REPLICATE_MODEL, REPLICATE_VERSION, fal_openapi, replicate_model

TEXT = {"type": "string"}
#: The range of two numbers of which only one has a lowest value.
BOTH = {"minimum": None, "maximum": 9}


def places(document: Any, *, model: str = FAL_MODEL, purpose: Purpose = Purpose.GENERATION) -> dict[str, InputPlace]:
    read = open_schema(document, model=model).places(model=model, purpose=purpose)
    return {place.path: place for place in read}


def of(schema: Any, **components: Any) -> InputPlace:
    """The place ``x`` of an input in which it has this schema."""
    return within({"x": schema}, **components)["x"]


def within(properties: Any, **components: Any) -> dict[str, InputPlace]:
    document = {"type": "object", "properties": properties, "components": {"schemas": components}}
    return places(document)


def ref(name: str) -> Any:
    return {"$ref": f"#/components/schemas/{name}"}


def test_fals_document_is_read_field_by_field() -> None:
    found = places(fal_openapi())
    assert list(found)[:3] == ["prompt", "image_urls", "image_urls[]"]
    assert (found["prompt"].required, found["prompt"].max_length) == (True, 500)
    assert (found["image_urls"].has_items, found["image_urls"].max_items) == (True, 4)
    assert found["image_size"].choices == ("square", "tall")
    assert found["image_size"].has_members
    assert (found["image_size.width"].minimum, found["image_size.width"].maximum) == (1, 14142)
    assert (found["guidance_scale"].minimum, found["guidance_scale"].maximum) == (1.5, 20)
    assert found["seed"].types == {ValueType.INTEGER}
    assert found["loras[].path"].required
    assert found["prompt"].description == "What to paint."


def test_replicates_document_is_read_by_purpose_and_says_its_version() -> None:
    read = open_schema(replicate_model())
    assert (read.model, read.version) == (REPLICATE_MODEL, REPLICATE_VERSION)
    generation = places(replicate_model(), model=REPLICATE_MODEL)
    assert list(generation)[:2] == ["prompt", "scheduler"]
    assert generation["scheduler"].choices == ("DDIM", "K_EULER")
    assert generation["image"].uri
    assert generation["hf_token"].secret
    training = places(replicate_model(), model=REPLICATE_MODEL, purpose=Purpose.TRAINING)
    assert list(training) == ["input_images", "trigger_word", "steps"]


def test_replicates_document_may_be_of_a_version_or_the_bare_schema() -> None:
    version = replicate_model()["latest_version"]
    for document in (version, version["openapi_schema"]):
        assert "prompt" in places(document, model=REPLICATE_MODEL)


def test_one_model_is_picked_from_fals_list() -> None:
    listed = {"models": [{"endpoint_id": "a/b", "openapi": {}}, {"endpoint_id": FAL_MODEL, "openapi": fal_openapi()}]}
    assert "prompt" in places(listed)
    with pytest.raises(SchemaUnreadable, match="several models, or not this one"):
        places(listed, model="c/d")


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ([], "no JSON object"),
        ({}, "describes no input"),
        ({"latest_version": {}}, "'openapi_schema' is no JSON object"),
        ({"openapi_schema": 7}, "'openapi_schema' is no JSON object"),
        ({"paths": {"/a/b": {"post": {}}}}, "describes no input"),
        (fal_openapi("other/model"), "of another model"),
        ({"paths": fal_openapi("other/model")["paths"]}, "other models (other/model)"),
        ({"properties": {}}, "names no member"),
        ({"properties": 7}, "names no member"),
        ({"allOf": 7, "properties": {}}, "in the place of a list"),
        ({"$ref": "#/nowhere"}, "not in the document"),
        ({"$ref": "#"}, "refers to itself"),
        ({"properties": {"x": TEXT}, "type": "array"}, "not one object"),
        ({"properties": {f"f{number}": TEXT for number in range(MOST_PLACES + 1)}}, "more than 1000 places"),
    ],
)  # fmt: skip
def test_a_document_that_nothing_can_be_made_of_says_why(document: Any, says: str) -> None:
    with pytest.raises(SchemaUnreadable) as caught:
        places(document)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({}, "names no type"),
        (7, "something in the place of a schema"),
        ({"type": "null"}, "nothing but null"),
        ({"type": "decimal"}, "that JSON does not know"),
        ({"type": "object"}, "names no member"),
        ({"type": "array"}, "an array of anything"),
        ({"type": "array", "items": [TEXT, TEXT]}, "an array of anything"),
        ({"type": "array", "items": {"type": "array", "items": TEXT}}, None),
        ({"enum": [{"a": 1}]}, "neither texts nor numbers"),
        ({"enum": "all"}, "in a way that is none"),
        ({"enum": [10**4000]}, "neither texts nor numbers"),
        ({"enum": [float("inf")]}, "neither texts nor numbers"),
        ({"type": {}}, "names no type"),
        ({"type": [7, None]}, "names no type"),
        ({"$ref": 7}, "in another document"),
        ({"properties": {"a": TEXT}, "required": "a", "x-fal-order-properties": [7, {}]}, ""),
        ({"$ref": "https://example.com/schema.json#/x"}, "in another document"),
        ({"$ref": "#/components/schemas/Nowhere"}, "not in the document"),
        ({"allOf": [{"type": "string"}, {"type": "number"}]}, "contradicts itself"),
        ({"oneOf": [{"properties": {"a": TEXT}}, {"properties": {"b": TEXT}}]}, "one of several objects"),
        ({"anyOf": [{"const": number} for number in range(65)]}, "too many things"),
    ],
)  # fmt: skip
def test_a_place_that_cannot_be_read_says_why_and_the_others_are(schema: Any, says: str | None) -> None:
    found = within({"x": schema, "prompt": TEXT})
    assert found["prompt"].types == {ValueType.STRING}
    if says is None:
        assert found["x[]"].unclear == "is an array of arrays"
    else:
        assert says in found["x"].unclear


def test_what_goes_round_is_told_where_it_closes() -> None:
    node = {
        "type": "object",
        "properties": {"name": TEXT, "next": ref("Node"), "all": {"type": "array", "items": ref("Node")}},
    }
    found = within({"x": ref("Node")}, Node=node)
    assert found["x.name"].types == {ValueType.STRING}
    assert found["x.next"].unclear == "refers to itself"
    assert found["x.all[]"].unclear == "refers to itself"


def test_what_lies_deeper_than_a_manifest_reaches_is_told() -> None:
    schema: Any = TEXT
    for _ in range(12):
        schema = {"type": "object", "properties": {"x": schema}}
    found = within({"x": schema})
    assert found["x.x.x.x.x.x.x"].unclear == "lies deeper than a manifest reaches"


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": ["string", "null"]}, {"types": {ValueType.STRING}}),
        ({"anyOf": [{"type": "integer", "minimum": 1, "maximum": 5}, {"type": "number", "maximum": 9}]}, BOTH),
        ({"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 9}, {"minimum": 1, "maximum": 8}),
        ({"type": "integer", "minimum": 0, "exclusiveMinimum": True}, {"minimum": 1}),
        ({"type": "number", "minimum": float("inf")}, {"minimum": None}),
        ({"allOf": [{"type": "number", "minimum": 1}, {"minimum": 3, "maximum": 7}]}, {"minimum": 3, "maximum": 7}),
        ({"allOf": [{"enum": ["a", "b"]}, {"enum": ["b", "c"]}]}, {"choices": ("b",)}),
        ({"const": "only"}, {"choices": ("only",)}),
        ({"allOf": [{"enum": ["a", "b"]}, {"const": "a"}]}, {"choices": ("a",)}),
        ({"enum": [True, False]}, {"types": {ValueType.BOOLEAN}}),
        ({"type": "string", "contentEncoding": "base64"}, {"uri": True}),
        ({"type": "string", "format": {}, "maxLength": "long", "description": 7}, {"uri": False, "max_length": None}),
        ({"type": "integer", "minimum": -(10**4000), "exclusiveMaximum": 10**4000}, {"minimum": None, "maximum": None}),
        ({"type": "number", "minimum": True, "maximum": "much"}, {"minimum": None, "maximum": None}),
    ],
)  # fmt: skip
def test_a_place_is_read_as_json_schema_means_it(schema: Any, expected: dict[str, Any]) -> None:
    found = of(schema)
    assert found.unclear == ""
    assert {name: getattr(found, name) for name in expected} == expected


def doubling(levels: int) -> Any:
    """Each schema is two of the next: 2^levels looks, if anybody looked."""
    return {f"L{level}": {"allOf": [ref(f"L{level + 1}"), ref(f"L{level + 1}")]} for level in range(levels)} | {
        f"L{levels}": TEXT
    }


def widening(levels: int) -> Any:
    """Each object has ten of the next."""
    made = {f"W{level}": {"properties": {f"f{n}": ref(f"W{level + 1}") for n in range(10)}} for level in range(levels)}
    return made | {f"W{levels}": TEXT}


CHAIN = {f"C{number}": ref(f"C{number + 1}") for number in range(5_000)} | {"C5000": TEXT}
HUGE = {"Huge": {"enum": [f"choice {number}" for number in range(400_000)]}}
#: Twenty thousand schemas of fifty members each, all at once.
JOINED = {"J": {"allOf": [{"properties": {f"f{n}_{m}": TEXT for m in range(50)}} for n in range(20_000)]}}
#: One list of values that has to be held against itself twenty thousand times.
MATCHED = {"M": {"allOf": [ref("E")] * 20_000}, "E": {"enum": list(map(str, range(900)))}}
#: A schema of two hundred thousand words that twenty thousand others refer to.
WORDY = {
    "V": {"anyOf": [ref("Junk")] * 20_000},
    "Junk": {"type": "string", **dict.fromkeys(map(str, range(200_000)), 1)},
}


@pytest.mark.parametrize(
    ("first", "components"),
    [
        ("L0", doubling(30)),
        ("W0", widening(6)),
        ("C0", CHAIN),
        ("Huge", HUGE),
        ("J", JOINED),
        ("M", MATCHED),
        ("V", WORDY),
    ],
    ids=["doubling", "widening", "a long chain", "ten megabytes", "joined", "matched", "wordy"],
)
def test_what_is_too_much_ends_soon(first: str, components: Any) -> None:
    began = time.process_time()
    try:
        found = within({"x": ref(first), "y": {"allOf": [ref(first), ref(first)]}}, **components)
    except SchemaUnreadable as error:
        assert "write it by hand" in str(error) or "more than" in str(error)  # noqa: PT017 - either will do
    else:
        assert len(found) <= MOST_PLACES
    assert time.process_time() - began < 10.0


#: Words that mean something in a schema, and what should not stand there.
WORDS = (
    *("type", "format", "enum", "const", "items", "properties", "required", "minimum", "exclusiveMaximum", "maxLength"),
    *("maxItems", "allOf", "anyOf", "$ref", "x-order", "x-fal-order-properties", "description", "writeOnly"),
)
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(
        [10**4000, -1, 0.5, "string", "integer", "object", "array", "null", [], {}, [None], ["string"], "#/"]
    ),
)
SCHEMAS: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.just({}),
        st.integers(),
        st.dictionaries(st.sampled_from(WORDS), JUNK, max_size=3),
        st.sampled_from(
            [TEXT, {"type": "integer", "minimum": 1}, {"enum": ["a", None, 1.5]}, ref("A"), ref("B"), ref("C")]
        ),
    ),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"properties": st.dictionaries(st.text(max_size=5), inner, max_size=3)}),
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}),
        st.fixed_dictionaries({"allOf": st.lists(inner, max_size=3)}),
        st.fixed_dictionaries({"anyOf": st.lists(inner, max_size=3)}),
    ),
    max_leaves=12,
)


@given(schemas=st.lists(SCHEMAS, min_size=3, max_size=3), root=SCHEMAS)
def test_any_document_is_read_or_refused_and_never_breaks(schemas: list[Any], root: Any) -> None:
    document: Any = {"properties": {"x": root}, "components": {"schemas": dict(zip("ABC", schemas, strict=True))}}
    try:
        found = open_schema(document).places(model=FAL_MODEL, purpose=Purpose.GENERATION)
    except SchemaUnreadable:
        return
    assert len({place.path for place in found}) == len(found)
