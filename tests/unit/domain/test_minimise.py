"""What leaves is listed, permitted and well-formed; what does not leave is recorded by name and never by value."""

import copy
from dataclasses import replace
from typing import Any

import pytest

from consent_proxy.domain.categories import GRANTABLE, DataCategory
from consent_proxy.domain.manifests import Field, FieldKind, Manifest
from consent_proxy.domain.minimise import MAX_DROPPED, DroppedField, MinimisedPayload, minimise
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.refusals import Reason, Refusal
from tests.builders import PROMPT, PSEUDONYM, STEPS, a_field, a_manifest, a_permit

SETTING = DataCategory.SETTING
IMAGE = Field(path="image_url", category=DataCategory.PHOTO, kind=FieldKind.MEDIA)
SIZE = (
    Field(path="size", category=SETTING, kind=FieldKind.CHOICE, choices=("square", "wide")),
    Field(path="size.width", category=SETTING, kind=FieldKind.INTEGER, minimum=1, maximum=2048),
    Field(path="size.height", category=SETTING, kind=FieldKind.INTEGER, minimum=1, maximum=2048),
)
LORAS = (
    Field(path="loras[]", max_items=2),
    Field(
        path="loras[].path", category=SETTING, kind=FieldKind.WEIGHTS, required=True, choices=("owner/public-style",)
    ),
    Field(path="loras[].scale", category=SETTING, kind=FieldKind.NUMBER, minimum=0, maximum=4),
)
WEBHOOK = Field(path="webhook", category=DataCategory.ONWARD)
USER = Field(path="end_user_id", category=DataCategory.ACCOUNT_IDENTIFIER, kind=FieldKind.PSEUDONYM)
WHOLE = a_manifest(PROMPT, STEPS, IMAGE, *SIZE, *LORAS, WEBHOOK, USER)
#: No value of these tests may stand in a refusal or in a record of what was dropped.
SECRET = "Jane Roe, 12 Elm Street"


def minimised(payload: dict[str, Json], manifest: Manifest = WHOLE, **how: Any) -> MinimisedPayload:
    result = minimise(payload, manifest, how.pop("permit", a_permit()), **{"pseudonym": PSEUDONYM, **how})
    assert isinstance(result, MinimisedPayload), result
    return result


def refused(payload: dict[str, Json], manifest: Manifest = WHOLE, **how: Any) -> Refusal:
    result = minimise(payload, manifest, how.pop("permit", a_permit()), **{"pseudonym": PSEUDONYM, **how})
    assert isinstance(result, Refusal), result
    assert SECRET not in repr(result)
    return result


def dropped(*names: str, reason: str = "not-listed") -> tuple[DroppedField, ...]:
    return tuple(DroppedField(path=name, reason=reason) for name in names)


def permit_without(*categories: DataCategory) -> Any:
    return a_permit(categories=GRANTABLE - set(categories))


def test_what_is_listed_and_permitted_leaves_as_it_was_sent() -> None:
    payload: dict[str, Json] = {
        "prompt": "a boat",
        "steps": 20,
        "size": {"width": 640, "height": 480},
        "loras": [{"path": "owner/public-style", "scale": 0.5}],
    }

    result = minimised(payload)

    assert result.body == payload
    assert result.fields_sent == ("loras[].path", "loras[].scale", "prompt", "size.height", "size.width", "steps")
    assert result.categories == {DataCategory.PROMPT, SETTING}
    assert result.fields_dropped == ()


def test_what_is_not_listed_stays_here_and_is_named() -> None:
    result = minimised({"prompt": "a boat", "email": SECRET, "device": {"model": SECRET}})

    assert result.body == {"prompt": "a boat"}
    assert result.fields_dropped == dropped("device", "email")


def test_an_unlisted_key_within_a_listed_place_is_named_by_the_place() -> None:
    result = minimised(
        {
            "size": {"width": 640, "dpi": 300},
            "loras": [{"path": "owner/public-style", "weight_name": SECRET}, {"path": "owner/public-style"}],
        }
    )

    assert result.body == {
        "size": {"width": 640},
        "loras": [{"path": "owner/public-style"}, {"path": "owner/public-style"}],
    }
    assert result.fields_dropped == dropped("loras[].weight_name", "size.dpi")


@pytest.mark.parametrize(
    "key", ["jane@example.com", "Jane Roe", "", "a" * 41, "naïve", "a.b", "loras[]", "1st", "\ud800", "x\n", "\x00"]
)
def test_a_key_that_is_not_a_plain_name_is_never_repeated(key: str) -> None:
    result = minimised({"prompt": "a boat", key: 1, "size": {"width": 1, key: 1}})

    assert result.fields_dropped == dropped("size.~", "~")


def test_a_name_of_forty_letters_is_still_a_plain_name() -> None:
    assert minimised({"a" * 40: 1}).fields_dropped == dropped("a" * 40)


def test_sixty_four_dropped_fields_are_named_and_the_rest_counted() -> None:
    payload: dict[str, Json] = {f"key_{number}": 1 for number in range(100)}
    payload["Jane Roe"] = payload["John Roe"] = 1

    result = minimised(payload)

    assert len(result.fields_dropped) == MAX_DROPPED == 64
    assert result.dropped_uncounted == 101 - 64


def test_made_up_keys_do_not_hide_a_listed_field_that_was_dropped() -> None:
    payload: dict[str, Json] = {f"A_{number}": 1 for number in range(1000)}
    payload["webhook"] = "https://example.com/hook"

    assert minimised(payload).fields_dropped[0] == DroppedField(path="webhook", reason="onward")


def test_an_optional_field_that_is_not_permitted_is_dropped() -> None:
    result = minimised({"prompt": "a boat", "steps": 20}, permit=permit_without(SETTING))

    assert result.body == {"prompt": "a boat"}
    assert result.fields_dropped == dropped("steps", reason="not-permitted")
    assert result.categories == {DataCategory.PROMPT}


def test_a_required_field_that_is_not_permitted_refuses_and_names_it() -> None:
    refusal = refused({"prompt": SECRET, "steps": 20}, permit=permit_without(DataCategory.PROMPT))

    assert refusal.reason is Reason.FIELD_NOT_PERMITTED
    assert refusal.paths == ("prompt",)
    assert "prompt" in refusal.detail


def test_what_an_array_cannot_do_without_takes_the_array_with_it() -> None:
    weights = replace(LORAS[1], category=DataCategory.VOICE)
    manifest = a_manifest(PROMPT, LORAS[0], weights, LORAS[2])

    result = minimised(
        {"prompt": "a boat", "loras": [{"scale": 1}, {"path": "owner/public-style", "scale": 99}]},
        manifest,
        permit=permit_without(DataCategory.VOICE),
    )

    assert result.body == {"prompt": "a boat"}
    assert result.fields_dropped == dropped("loras", reason="not-permitted")


def test_a_required_array_that_may_not_go_refuses_and_names_the_field_in_it() -> None:
    photos = Field(path="photos[]", category=DataCategory.PHOTO, kind=FieldKind.MEDIA, required=True)

    refusal = refused(
        {"prompt": "a boat", "photos": ["https://example.com/1.png"]},
        a_manifest(PROMPT, photos),
        permit=permit_without(DataCategory.PHOTO),
    )

    assert refusal.reason is Reason.FIELD_NOT_PERMITTED
    assert refusal.paths == ("photos[]",)


def test_every_required_field_that_is_not_permitted_is_named() -> None:
    manifest = a_manifest(PROMPT, a_field("story", category=DataCategory.TEXT), STEPS)

    refusal = refused({"story": "once", "prompt": "a boat"}, manifest, permit=a_permit(categories=frozenset()))

    assert refusal.paths == ("prompt", "story")


def test_a_missing_required_field_is_for_the_provider_to_say() -> None:
    assert minimised({"steps": 20}).body == {"steps": 20}


def test_null_counts_as_not_sent() -> None:
    result = minimised({"prompt": None, "steps": None, "webhook": None, "size": {"width": None, "height": 10}})

    assert result.body == {"size": {"height": 10}}
    assert result.fields_dropped == ()


@pytest.mark.parametrize("empty", [{"size": {}}, {"loras": []}, {"size": {"dpi": 1}}, {"loras": [{}]}])
def test_an_object_or_array_with_nothing_left_in_it_is_not_sent(empty: dict[str, Json]) -> None:
    assert minimised(empty).body == {}


def test_an_item_of_which_nothing_is_left_keeps_its_place() -> None:
    result = minimised({"loras": [{"weight_name": SECRET}, {"path": "owner/public-style"}]})

    assert result.body == {"loras": [{}, {"path": "owner/public-style"}]}
    assert result.fields_dropped == dropped("loras[].weight_name")


def test_what_passes_data_onward_never_leaves_whatever_the_permit_says() -> None:
    permit = a_permit(categories=frozenset(DataCategory))

    result = minimised({"prompt": "a boat", "webhook": "https://example.com/hook"}, permit=permit)

    assert result.body == {"prompt": "a boat"}
    assert result.fields_dropped == dropped("webhook", reason="onward")


@pytest.mark.parametrize("sent", ["user-7", 7, True, [SECRET], {"id": SECRET}, "x" * 1_000_000])
def test_an_identifier_leaves_as_the_pseudonym_whatever_was_sent(sent: Json) -> None:
    result = minimised({"end_user_id": sent})

    assert result.body == {"end_user_id": PSEUDONYM}
    assert result.categories == {DataCategory.ACCOUNT_IDENTIFIER}


def test_without_a_pseudonym_an_identifier_stays_here() -> None:
    assert minimised({"end_user_id": "7"}, pseudonym=None).fields_dropped == dropped(
        "end_user_id", reason="not-permitted"
    )


def test_an_identifier_that_is_not_permitted_stays_here() -> None:
    result = minimised({"end_user_id": "7"}, permit=permit_without(DataCategory.ACCOUNT_IDENTIFIER))

    assert result.body == {}


def test_an_identifier_is_not_added_where_none_was_sent() -> None:
    assert "end_user_id" not in minimised({"prompt": "a boat"}).body


@pytest.mark.parametrize("sent", ["https://example.com/me.png", "data:image/png;base64,AAAA", "me.png", ""])
def test_media_that_nobody_looked_for_do_not_leave(sent: str) -> None:
    refusal = refused({"prompt": "a boat", "image_url": sent})

    assert refusal.reason is Reason.MEDIA_SOURCE_NOT_ALLOWED
    assert refusal.paths == ("image_url",)


@pytest.mark.parametrize("sent", [{"url": "https://example.com/me.png"}, ["https://example.com/me.png"], 7, True])
def test_what_cannot_name_a_medium_is_no_medium(sent: Json) -> None:
    assert refused({"prompt": "a boat", "image_url": sent}).reason is Reason.VALUE_NOT_ALLOWED


def test_media_that_are_not_permitted_and_not_needed_are_dropped() -> None:
    result = minimised({"prompt": "a boat", "image_url": "x"}, permit=permit_without(DataCategory.PHOTO))

    assert result.fields_dropped == dropped("image_url", reason="not-permitted")


@pytest.mark.parametrize(
    "sent", ["someone/jane-roe-lora", "https://example.com/lora.safetensors", "", 1, ["owner"], {}]
)
def test_weights_that_are_not_on_the_public_list_are_refused(sent: Json) -> None:
    refusal = refused({"prompt": "a boat", "loras": [{"path": sent}]})

    assert refusal.reason is Reason.MEDIA_SOURCE_NOT_ALLOWED
    assert refusal.paths == ("loras[].path",)


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        ({"size": SECRET}, "size"),
        ({"size": 7}, "size"),
        ({"size": ["square"]}, "size"),
        ({"size": {"width": SECRET}}, "size.width"),
        ({"steps": SECRET}, "steps"),
        ({"steps": "20"}, "steps"),
        ({"steps": True}, "steps"),
        ({"steps": 20.0}, "steps"),
        ({"steps": 51}, "steps"),
        ({"steps": 4111111111111111}, "steps"),
        ({"steps": 10**5000}, "steps"),
        ({"steps": float("nan")}, "steps"),
        ({"steps": float("inf")}, "steps"),
        ({"steps": [20]}, "steps"),
        ({"steps": {"value": 20}}, "steps"),
        ({"prompt": ["a boat"]}, "prompt"),
        ({"prompt": {"text": "a boat"}}, "prompt"),
        ({"prompt": 7}, "prompt"),
        ({"prompt": "a" * 1_000_000}, "prompt"),
        ({"prompt": "\ud800"}, "prompt"),
        ({"loras": {"path": "owner/public-style"}}, "loras"),
        ({"loras": "owner/public-style"}, "loras"),
        ({"loras": ["owner/public-style"]}, "loras[]"),
        ({"loras": [None]}, "loras"),
        ({"loras": [{"path": "owner/public-style"}] * 3}, "loras"),
        ({"loras": [{"path": "owner/public-style", "scale": float("nan")}]}, "loras[].scale"),
    ],
)
def test_a_value_that_does_not_fit_its_place_is_refused_and_not_repeated(payload: dict[str, Json], path: str) -> None:
    refusal = refused(payload)

    assert refusal.reason is Reason.VALUE_NOT_ALLOWED
    assert refusal.paths == (path,)


def test_all_the_values_that_do_not_fit_are_named_at_once() -> None:
    refusal = refused({"steps": "x", "size": "y", "prompt": 1})

    assert refusal.paths == ("prompt", "size", "steps")


def test_the_reason_does_not_depend_on_the_order_of_the_keys() -> None:
    payload: dict[str, Json] = {"image_url": "x", "steps": "x", "prompt": "a boat"}
    backwards = dict(reversed(payload.items()))

    assert refused(payload) == refused(backwards)
    assert refused(payload).reason is Reason.MEDIA_SOURCE_NOT_ALLOWED
    assert refused(payload, permit=permit_without(DataCategory.PROMPT)).reason is Reason.FIELD_NOT_PERMITTED


def test_a_place_that_says_too_little_takes_nothing() -> None:
    unbounded = Field(path="steps", category=SETTING, kind=FieldKind.INTEGER)
    uncategorised = Field(path="prompt", kind=FieldKind.TEXT)
    manifest = a_manifest(fields={"steps": unbounded, "prompt": uncategorised})

    assert refused({"steps": 1}, manifest).paths == ("steps",)
    assert minimised({"prompt": "a boat"}, manifest).body == {}


def test_a_strict_caller_is_refused_where_anything_would_be_dropped() -> None:
    refusal = refused({"prompt": "a boat", "email": SECRET, "jane@example.com": 1}, strict=True)

    assert refusal.reason is Reason.FIELD_NOT_PERMITTED
    assert refusal.paths == ("email", "~")


def test_a_strict_caller_who_sends_only_what_may_leave_is_served() -> None:
    assert minimised({"prompt": "a boat", "steps": None}, strict=True).body == {"prompt": "a boat"}


def nested(depth: int, shell: Any) -> Json:
    value: Json = SECRET
    for _ in range(depth):
        value = shell(value)
    return value


@pytest.mark.parametrize("shell", [lambda value: [value], lambda value: {"x": value}], ids=["arrays", "objects"])
def test_five_thousand_levels_are_dropped_where_nothing_is_listed_and_refused_where_something_is(shell: Any) -> None:
    deep = nested(5_000, shell)

    assert minimised({"prompt": "a boat", "extra": deep}).body == {"prompt": "a boat"}
    for place in ("prompt", "steps", "image_url"):
        assert refused({place: deep}).paths == (place,)
    assert minimise({"size": deep, "loras": deep}, WHOLE, a_permit()) is not None


def test_a_hundred_thousand_keys_are_done_with_in_one_go() -> None:
    payload: dict[str, Json] = {f"key_{number}": SECRET for number in range(100_000)}

    result = minimised(payload)

    assert result.body == {}
    assert result.dropped_uncounted == 100_000 - MAX_DROPPED


def test_the_input_is_not_changed_and_not_handed_on() -> None:
    payload: dict[str, Json] = {"prompt": "a boat", "size": {"width": 1, "dpi": 2}, "loras": [{"scale": 1, "x": 1}]}
    before = copy.deepcopy(payload)

    result = minimised(payload)
    result.body["size"] = result.body["loras"] = "gone"

    assert payload == before


def test_a_long_refusal_is_short_in_words_and_whole_in_paths() -> None:
    refusal = refused({f"key_{number:03}": SECRET for number in range(300)}, strict=True)

    assert len(refusal.paths) == MAX_DROPPED
    assert len(refusal.detail) < 300
