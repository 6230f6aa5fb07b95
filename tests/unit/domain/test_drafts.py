"""A draft places what is certain, says of the rest why it is not, and is never wider than the schema."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_proxy.domain.categories import DataCategory, Purpose
from consent_proxy.domain.drafts import LARGEST_NUMBER, MOST_CHOICES, Draft, draft_fields
from consent_proxy.domain.input_schemas import InputPlace, ValueType, lies_in
from consent_proxy.domain.manifests import FieldKind, fault_of, field_tree

TEXT = frozenset({ValueType.STRING})


def text(path: str, **overrides: Any) -> InputPlace:
    return InputPlace(path=path, types=TEXT, **overrides)


def number(path: str, **overrides: Any) -> InputPlace:
    return InputPlace(path=path, types=frozenset({ValueType.INTEGER}), **overrides)


def drafted(*places: InputPlace, purpose: Purpose = Purpose.GENERATION) -> Draft:
    return draft_fields(places, purpose=purpose)


@pytest.mark.parametrize(
    ("name", "category", "kind"),
    [
        ("prompt", "prompt", "text"),
        ("negative_prompt", "prompt", "text"),
        ("lyrics", "text", "text"),
        ("image_url", "photo", "media"),
        ("imageUrl", "photo", "media"),
        ("mask_video_url", "video", "media"),
        ("swap_image_b", "photo", "media"),
        ("reference_voice_audio_url", "voice", "media"),
        ("end_user_id", "account-identifier", "pseudonym"),
        ("session_id", "session-identifier", "pseudonym"),
        ("lora_url", "setting", "weights"),
        ("replicate_weights", "setting", "weights"),
    ],
)
def test_a_name_that_every_provider_uses_alike_says_what_the_text_is(name: str, category: str, kind: str) -> None:
    field = drafted(text(name)).fields[name]
    assert (field.category, field.kind) == (category, kind)


@pytest.mark.parametrize(
    "name",
    [
        *("webhook_url", "complete_callback", "call_back_url", "openai_api_key", "aws_secret_access_key"),
        *("wandb_project", "enable_web_search", "tools", "hf_repo_id", "upload_url", "password", "trigger_webhook"),
    ],
)
@pytest.mark.parametrize("types", [TEXT, frozenset({ValueType.BOOLEAN})])
def test_what_passes_data_onward_is_onward_whatever_it_looks_like(name: str, types: frozenset[ValueType]) -> None:
    assert drafted(InputPlace(path=name, types=types)).fields[name].category is DataCategory.ONWARD


def test_a_token_is_onward_where_it_is_a_text_and_a_count_of_tokens_is_a_number() -> None:
    assert drafted(text("hf_token")).fields["hf_token"].category is DataCategory.ONWARD
    assert "placeholder_token" in drafted(text("placeholder_token")).review
    assert drafted(number("max_tokens", minimum=1, maximum=8)).fields["max_tokens"].kind is FieldKind.INTEGER


def test_what_lies_in_something_onward_goes_with_it() -> None:
    found = drafted(
        InputPlace(path="tools", has_items=True), InputPlace(path="tools[]", has_members=True), text("tools[].name")
    )
    assert list(found.fields) == ["tools"]
    assert found.review == {}


def test_a_secret_is_onward_even_under_an_innocent_name() -> None:
    assert drafted(text("style", secret=True)).fields["style"].category is DataCategory.ONWARD


def test_what_passes_data_onward_is_never_required_and_the_note_says_what_that_means() -> None:
    found = drafted(text("callback_url", required=True))
    assert not found.fields["callback_url"].required
    assert "the model cannot do without" in found.notes["callback_url"]


@pytest.mark.parametrize(
    ("place", "says"),
    [
        (text("mood"), "its name does not say of what"),
        (text("url"), "leads to data somewhere else"),
        (text("audio_url"), "a person's voice has the category voice"),
        (text("voice"), "may name a voice, an avatar or a person"),
        (text("avatar_id"), "may name a voice, an avatar or a person"),
        (text("image_encoder_path"), "leads to data somewhere else"),
        (text("images_data_url"), "the purpose is generation"),
        (text("trigger_word"), "the purpose is generation"),
        (text("email"), "what a person is like"),
        (InputPlace(path="user_gender", choices=("a", "b")), "what a person is like"),
        (InputPlace(path="make_public", types=frozenset({ValueType.BOOLEAN})), "show it to others"),
        (number("steps"), "a number without a range"),
        (number("steps", minimum=1), "a number without a range"),
        (number("steps", minimum=0, maximum=10**12), "room for an account's or a card's number"),
        (InputPlace(path="n", choices=(1, 4_111_111_111_111_111)), "room for an account's or a card's"),
        (InputPlace(path="style", choices=tuple(map(str, range(MOST_CHOICES + 1)))), "more than anybody reads"),
        (InputPlace(path="style", choices=("x" * 101,)), "long texts"),
        (InputPlace(path="size", types=TEXT | {ValueType.NUMBER}), "several kinds (number, string)"),
        (InputPlace(path="size", types=frozenset({ValueType.NUMBER}), choices=("auto",)), "others besides"),
        (text("prompt", unclear="refers to itself"), "refers to itself"),
    ],
)
def test_what_is_in_doubt_is_for_review_and_not_sent(place: InputPlace, says: str) -> None:
    found = drafted(place)
    assert found.fields == {}
    assert says in found.review[place.path]


def test_a_reviewer_is_told_that_the_model_cannot_do_without() -> None:
    assert drafted(text("mood", required=True)).review["mood"].endswith("; the model cannot do without it")


def test_a_seed_without_a_range_gets_32_bits() -> None:
    for place in (number("seed"), number("seed", minimum=-1, maximum=2**63)):
        field = drafted(place).fields["seed"]
        assert (field.minimum, field.maximum) == (min(place.minimum or 0, 0), LARGEST_NUMBER)
        assert field.kind is FieldKind.INTEGER


def test_a_list_beside_free_text_is_held_to_the_list() -> None:
    found = drafted(InputPlace(path="ratio", types=TEXT, choices=("1:1", "4:3")))
    assert found.fields["ratio"].choices == ("1:1", "4:3")
    assert "only what it lists is sent" in found.notes["ratio"]


def test_a_length_in_characters_is_a_bound_in_bytes() -> None:
    assert drafted(text("prompt", max_length=100)).fields["prompt"].max_bytes == 400
    assert drafted(text("prompt", max_length=10**9)).fields["prompt"].max_bytes == 32_768


def test_media_and_words_of_a_training_are_training_media_and_metadata() -> None:
    found = drafted(text("input_images", uri=True), text("default_caption"), purpose=Purpose.TRAINING)
    assert found.fields["input_images"].category is DataCategory.TRAINING_MEDIA
    assert found.fields["default_caption"].category is DataCategory.TRAINING_METADATA


def test_an_array_is_bounded_and_required_as_the_schema_says() -> None:
    found = drafted(
        InputPlace(path="image_urls", has_items=True, max_items=4, required=True), text("image_urls[]", required=True)
    )
    field = found.fields["image_urls[]"]
    assert (field.max_items, field.required) == (4, True)


def test_of_an_object_only_what_is_certain_is_placed() -> None:
    found = drafted(
        InputPlace(path="loras", has_items=True),
        InputPlace(path="loras[]", has_members=True, required=True),
        text("loras[].path", required=True),
        text("loras[].weight_name"),
    )
    assert list(found.fields) == ["loras[]", "loras[].path"]
    assert found.fields["loras[].path"].kind is FieldKind.WEIGHTS
    assert list(found.review) == ["loras[].weight_name"]


NAMES = st.sampled_from(
    ["prompt", "image_url", "seed", "webhook", "mood", "loras", "path", "email", "tools", "audio", "size", "user_id"]
)
BOUNDS = st.one_of(st.none(), st.floats(), st.integers(-(2**70), 2**70))
CHOICES = st.lists(st.one_of(st.text(max_size=200), st.integers(), st.floats(allow_nan=False)), max_size=4)


@st.composite
def inputs(draw: st.DrawFn) -> list[InputPlace]:
    """Places as any schema might describe them: each after the one it lies in."""
    places = []
    for name in draw(st.lists(NAMES, unique=True, max_size=5)):
        outer = draw(st.sampled_from(["plain", "object", "array"]))
        path = {"plain": name, "object": name, "array": f"{name}[]"}[outer]
        if outer == "array":
            bound = draw(st.one_of(st.none(), st.integers(-5, 5_000)))
            places.append(InputPlace(path=name, has_items=True, max_items=bound, required=draw(st.booleans())))
        made = InputPlace(
            path=path,
            required=draw(st.booleans()),
            types=draw(st.frozensets(st.sampled_from(ValueType))),
            choices=tuple(draw(CHOICES)),
            minimum=draw(BOUNDS),
            maximum=draw(BOUNDS),
            max_length=draw(st.one_of(st.none(), st.integers(-5, 10**6))),
            has_members=outer == "object",
            uri=draw(st.booleans()),
            secret=draw(st.booleans()),
            unclear=draw(st.sampled_from(["", "", "refers to itself"])),
        )
        places.append(made)
        if outer == "object":
            inner = draw(NAMES)
            places.append(InputPlace(path=f"{path}.{inner}", types=TEXT, required=draw(st.booleans())))
    return places


@given(places=inputs(), purpose=st.sampled_from(Purpose))
def test_every_draft_can_be_checked_and_no_value_is_forgotten(places: list[InputPlace], purpose: Purpose) -> None:
    found = draft_fields(places, purpose=purpose)
    field_tree(found.fields)
    shut = [*found.review, *(path for path, field in found.fields.items() if field.category is DataCategory.ONWARD)]
    for place in places:
        inside = any(lies_in(place.path, outer) for outer in shut)
        if (place.types or place.choices or place.unclear) and not inside:
            assert place.path in found.fields or place.path in found.review
    for field in found.fields.values():
        assert fault_of(field) is None
        assert field.kind not in {FieldKind.INTEGER, FieldKind.NUMBER} or (field.maximum or 0) <= LARGEST_NUMBER
