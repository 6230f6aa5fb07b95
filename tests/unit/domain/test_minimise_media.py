"""Media in an input: only permitted places are looked at, a file's content decides, a neutral name takes its place."""

from dataclasses import replace
from typing import Any

import pytest

from consent_proxy.domain.categories import GRANTABLE, DataCategory
from consent_proxy.domain.manifests import Field, FieldKind, field_tree
from consent_proxy.domain.media import MediaFault, MediaKind
from consent_proxy.domain.minimise import MinimisedPayload, media_in, minimise
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.refusals import Reason, Refusal
from tests.builders import PROMPT, STEPS, a_field, a_manifest, a_medium, a_permit

PHOTO = Field(path="image_url", category=DataCategory.PHOTO, kind=FieldKind.MEDIA)
PHOTOS = Field(path="more[]", category=DataCategory.PHOTO, kind=FieldKind.MEDIA, max_items=3)
FACE = Field(path="elements[].face_url", category=DataCategory.PHOTO, kind=FieldKind.MEDIA)
FILM = Field(path="video_url", category=DataCategory.VIDEO, kind=FieldKind.MEDIA)
MANIFEST = a_manifest(PROMPT, STEPS, PHOTO, PHOTOS, FACE, FILM)
PAYLOAD: dict[str, Json] = {
    "prompt": "a boat",
    "image_url": "one",
    "more": ["two", "one"],
    "elements": [{"face_url": "three", "url": "unlisted"}],
    "video_url": "film",
    "avatar_url": "unlisted",
}


def without(*categories: DataCategory) -> Any:
    return a_permit(categories=GRANTABLE - set(categories))


def test_the_media_of_an_input_are_those_in_listed_and_permitted_places() -> None:
    assert media_in(PAYLOAD, MANIFEST, a_permit()) == ("one", "two", "three", "film")
    assert media_in(PAYLOAD, MANIFEST, without(DataCategory.PHOTO)) == ("film",)
    assert media_in(PAYLOAD, MANIFEST, without(DataCategory.PHOTO, DataCategory.VIDEO)) == ()
    assert media_in({"prompt": "a boat"}, MANIFEST, a_permit()) == ()


@pytest.mark.parametrize(
    ("change", "how", "reason"),
    [
        ({"steps": 99}, {}, Reason.VALUE_NOT_ALLOWED),
        ({"more": ["1", "2", "3", "4"]}, {}, Reason.VALUE_NOT_ALLOWED),
        ({"image_url": {"url": "one"}}, {}, Reason.VALUE_NOT_ALLOWED),
        ({}, {"strict": True}, Reason.FIELD_NOT_PERMITTED),
    ],
)
def test_nothing_is_looked_for_where_the_request_is_refused_anyway(
    change: dict[str, Json], how: dict[str, Any], reason: Reason
) -> None:
    refusal = media_in({**PAYLOAD, **change}, MANIFEST, a_permit(), **how)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is reason


def test_a_needed_medium_that_is_not_permitted_is_not_looked_for() -> None:
    needed = a_manifest(PROMPT, replace(PHOTO, required=True))
    refusal = media_in({"prompt": "x", "image_url": "one"}, needed, without(DataCategory.PHOTO))
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.FIELD_NOT_PERMITTED


def test_media_leave_under_neutral_names_and_the_payload_says_which_is_where() -> None:
    one, two, three = (a_medium(content=name) for name in (b"1", b"2", b"3"))
    film = a_medium(MediaKind.VIDEO)
    found = {"one": one, "two": two, "three": three, "film": film}
    payload = minimise(PAYLOAD, MANIFEST, a_permit(), media=found)

    assert isinstance(payload, MinimisedPayload)
    assert payload.body == {
        "prompt": "a boat",
        "image_url": "medium-1",
        "more": ["medium-2", "medium-1"],
        "elements": [{"face_url": "medium-3"}],
        "video_url": "medium-4",
    }
    assert {(carried.path, carried.at, carried.name, carried.medium) for carried in payload.media} == {
        ("image_url", ("image_url",), "medium-1", one),
        ("more[]", ("more", 0), "medium-2", two),
        ("more[]", ("more", 1), "medium-1", one),
        ("elements[].face_url", ("elements", 0, "face_url"), "medium-3", three),
        ("video_url", ("video_url",), "medium-4", film),
    }
    assert payload.categories == {DataCategory.PROMPT, DataCategory.PHOTO, DataCategory.VIDEO}
    assert payload.fields_sent == ("elements[].face_url", "image_url", "more[]", "prompt", "video_url")


@pytest.mark.parametrize("kind", [MediaKind.VIDEO, MediaKind.AUDIO, MediaKind.ARCHIVE])
def test_what_is_in_a_file_decides_and_not_the_field_it_was_put_into(kind: MediaKind) -> None:
    refusal = minimise({"prompt": "x", "image_url": "one"}, MANIFEST, a_permit(), media={"one": a_medium(kind)})
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.paths) == (Reason.VALUE_NOT_ALLOWED, ("image_url",))
    assert kind in refusal.detail


@pytest.mark.parametrize(
    "reason",
    [
        Reason.MEDIA_SOURCE_NOT_ALLOWED,
        Reason.MEDIA_NOT_YOURS,
        Reason.MEDIA_NOT_CLEAN,
        Reason.MEDIA_TYPE_UNSUPPORTED,
        Reason.BODY_TOO_LARGE,
    ],
)
def test_a_medium_that_cannot_leave_refuses_the_request_with_its_reason(reason: Reason) -> None:
    found = {"one": MediaFault(reason=reason, fault="cannot leave")}
    refusal = minimise({"prompt": "x", "image_url": "one"}, MANIFEST, a_permit(), media=found)
    assert isinstance(refusal, Refusal)
    assert (refusal.reason, refusal.detail) == (reason, "image_url cannot leave")


def test_media_that_were_not_looked_into_are_told_and_never_carried() -> None:
    payload = minimise({"prompt": "x", "image_url": "one"}, MANIFEST, a_permit(), media={"one": None})
    assert isinstance(payload, MinimisedPayload)
    assert (payload.fields_sent, payload.media) == (("image_url", "prompt"), ())
    assert payload.body["image_url"] == "medium-1"


@pytest.mark.parametrize(
    ("category", "kinds"),
    [
        (DataCategory.PHOTO, (MediaKind.PHOTO,)),
        (DataCategory.VIDEO, (MediaKind.VIDEO,)),
        (DataCategory.AUDIO, (MediaKind.AUDIO,)),
        (DataCategory.VOICE, (MediaKind.AUDIO,)),
        (DataCategory.TRAINING_MEDIA, (MediaKind.ARCHIVE,)),
    ],
)
def test_a_category_takes_its_own_kind_where_the_manifest_does_not_say(
    category: DataCategory, kinds: tuple[MediaKind, ...]
) -> None:
    assert Field(path="x", category=category, kind=FieldKind.MEDIA).kinds == kinds
    assert a_field("x").kinds == ()


@pytest.mark.parametrize(
    ("field", "fault"),
    [
        (Field(path="x", category=DataCategory.PHOTO, kind=FieldKind.MEDIA, takes=(MediaKind.VIDEO,)), "cannot take"),
        (Field(path="x", category=DataCategory.AUDIO, kind=FieldKind.MEDIA, takes=(MediaKind.PHOTO,)), "cannot take"),
        (a_field("x", takes=(MediaKind.PHOTO,)), "has to be media"),
    ],
)
def test_no_manifest_can_let_another_kind_into_a_category(field: Field, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        field_tree({"x": field})


def test_training_media_may_be_single_files_where_the_manifest_says_so() -> None:
    voice = Field(path="x", category=DataCategory.TRAINING_MEDIA, kind=FieldKind.MEDIA, takes=(MediaKind.AUDIO,))
    assert field_tree({"x": voice})["x"].kinds == (MediaKind.AUDIO,)
