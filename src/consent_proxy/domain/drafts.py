"""The draft of a manifest: each place of an input placed where that is certain, and otherwise left for a person."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from consent_proxy.domain import field_names
from consent_proxy.domain.categories import DataCategory, Purpose
from consent_proxy.domain.field_names import Meaning
from consent_proxy.domain.input_schemas import InputPlace, ValueType, lies_in
from consent_proxy.domain.manifests import DEFAULT_ITEMS, DEFAULT_TEXT_BYTES, Field, FieldKind, fault_of, field_tree

#: The largest number that is placed unseen: 32 bits hold every seed, and neither a card's number nor an account's.
LARGEST_NUMBER = 4_294_967_295
MOST_CHOICES = 200
LONGEST_CHOICE = 100
_MOST_ITEMS = 1_000
_LONGEST_UTF8 = 4

_NUMBERS = frozenset({ValueType.INTEGER, ValueType.NUMBER})
_NO_RANGE = "is a number without a range: give it the narrowest that makes sense"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What became of an input's places. ``fields`` are those placed, by path; ``review`` says of the others why not.

    ``notes`` are what the reviewer should know of a field that was placed. A place within one that is not placed, or
    that is onward, goes with it.
    """

    fields: Mapping[str, Field]
    review: Mapping[str, str]
    notes: Mapping[str, str]


@dataclass(slots=True)
class _Desk:
    """The draft while it is written."""

    purpose: Purpose
    fields: dict[str, Field] = field(default_factory=dict)
    review: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def draft_fields(places: Iterable[InputPlace], *, purpose: Purpose) -> Draft:
    """Place what a model takes. Conservative: where a name or a schema leaves a doubt, the place is for review.

    The fields always make a tree that can be checked: ``field_tree`` takes them as they are.
    """
    desk = _Desk(purpose)
    listed = list(places)
    shut: list[str] = []
    for place in listed:
        if any(lies_in(place.path, outer) for outer in shut):
            continue
        if not _place(place, desk):
            shut.append(place.path)
    _add_containers(listed, desk)
    fields = {place.path: desk.fields[place.path] for place in listed if place.path in desk.fields}
    field_tree(fields)
    return Draft(fields=fields, review=desk.review, notes=desk.notes)


def _place(place: InputPlace, desk: _Desk) -> bool:
    """Put one place on the desk; whether what lies in it is to be looked at too."""
    name = field_names.plain(place.name)
    if place.unclear:
        return _for_review(place, place.unclear, desk)
    match field_names.meaning_of(name, text=ValueType.STRING in place.types):
        case Meaning.ONWARD:
            return _onward(place, desk)
        case Meaning.PERSONAL:
            return _for_review(place, "may say what a person is like or where they are: no category is for that", desk)
        case Meaning.DISCLOSING:
            return _for_review(place, "may keep the data longer, or show it to others: read what it does", desk)
        case None:
            pass
    if place.secret:
        return _onward(place, desk)
    if place.types or place.choices:
        _place_value(place, name, desk)
    return True


def _place_value(place: InputPlace, name: str, desk: _Desk) -> None:
    found = _value(place, name, desk)
    if isinstance(found, str):
        _for_review(place, found, desk)
    elif (fault := fault_of(found)) is not None:
        _for_review(place, fault, desk)
    else:
        desk.fields[place.path] = found


def _value(place: InputPlace, name: str, desk: _Desk) -> Field | str:
    """The field for a value, or why a person has to place it."""
    made = Field(path=place.path, category=DataCategory.SETTING, required=place.required)
    if place.choices:
        return _choice(place, made, desk)
    if place.types == {ValueType.BOOLEAN}:
        return replace(made, kind=FieldKind.BOOLEAN)
    if place.types <= _NUMBERS:
        return _number(place, name, made, desk)
    if place.types == {ValueType.STRING}:
        return _text(place, name, made, desk)
    return f"takes values of several kinds ({', '.join(sorted(place.types))}): a manifest holds it to one"


def _choice(place: InputPlace, made: Field, desk: _Desk) -> Field | str:
    if place.types - {ValueType.STRING}:
        return "takes listed values and others besides: a manifest holds it to one kind"
    if len(place.choices) > MOST_CHOICES:
        return f"lists {len(place.choices)} choices, more than anybody reads: list those you use"
    if any(isinstance(choice, str) and len(choice) > LONGEST_CHOICE for choice in place.choices):
        return "lists choices that are long texts: list those you use"
    if any(not isinstance(choice, str) and abs(choice) > LARGEST_NUMBER for choice in place.choices):
        return "lists numbers with room for an account's or a card's: list those you use"
    if place.types:
        desk.notes[place.path] = "The schema takes any other text too; only what it lists is sent."
    return replace(made, kind=FieldKind.CHOICE, choices=tuple(dict.fromkeys(place.choices)))


def _number(place: InputPlace, name: str, made: Field, desk: _Desk) -> Field | str:
    kind = FieldKind.INTEGER if place.types == {ValueType.INTEGER} else FieldKind.NUMBER
    low, high = place.minimum, place.maximum
    if name == "seed" or name.endswith("_seed"):
        kind, (low, high) = FieldKind.INTEGER, _seed_range(low, high)
        if (low, high) != (place.minimum, place.maximum):
            desk.notes[place.path] = "No range in the schema, or a wider one: 32 bits hold every seed."
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return _NO_RANGE
    if max(abs(low), abs(high)) > LARGEST_NUMBER:
        return "has a range with room for an account's or a card's number: give it the narrowest that makes sense"
    if kind is FieldKind.INTEGER:
        low, high = math.ceil(low), math.floor(high)
    return replace(made, kind=kind, minimum=low, maximum=high)


def _seed_range(low: float | None, high: float | None) -> tuple[float, float]:
    return (
        0 if low is None else max(low, -1),
        LARGEST_NUMBER if high is None else min(high, LARGEST_NUMBER),
    )


def _text(place: InputPlace, name: str, made: Field, desk: _Desk) -> Field | str:
    """What a free text is. Whatever a name does not tell stays here."""
    if (identifier := field_names.identifier_of(name)) is not None:
        desk.notes[place.path] = "Whatever is sent is replaced by the recipient's pseudonym of the person."
        return replace(made, category=identifier, kind=FieldKind.PSEUDONYM)
    if field_names.is_weights(name, holder=_holder(place)) and field_names.media_of(name) is None:
        desk.notes[place.path] = "Only what is on the operator's public list of weights passes."
        return replace(made, kind=FieldKind.WEIGHTS)
    words = field_names.words_of(name, training=desk.purpose is Purpose.TRAINING)
    bare = words is None and field_names.media_of(name) in {DataCategory.PHOTO, DataCategory.VIDEO}
    if place.uri or bare or field_names.is_address(name):
        return _media(name, made, desk)
    if words is not None:
        return _words(place, words, made, desk)
    if field_names.is_made_of_a_person(name):
        return "may name a voice, an avatar or a person: list the public ones as choices, or leave it out"
    return "is free text, and its name does not say of what: prompt, text, a listed choice, or leave it out"


def _media(name: str, made: Field, desk: _Desk) -> Field | str:
    kind = field_names.media_of(name)
    if desk.purpose is Purpose.TRAINING and (kind is not None or field_names.is_training(name)):
        return replace(made, category=DataCategory.TRAINING_MEDIA, kind=FieldKind.MEDIA)
    if field_names.is_training(name):
        return "looks like a collection to train on, and the purpose is generation"
    if kind is DataCategory.AUDIO:
        return "is sound: a person's voice has the category voice, anything else audio"
    if kind is not None:
        return replace(made, category=kind, kind=FieldKind.MEDIA)
    return "leads to data somewhere else: say what lies behind it, or leave it out"


def _words(place: InputPlace, words: DataCategory, made: Field, desk: _Desk) -> Field | str:
    if words is DataCategory.TRAINING_METADATA and desk.purpose is not Purpose.TRAINING:
        return (
            "names what somebody's model was trained on, and the purpose is generation: prompt, text, or leave it out"
        )
    longest = DEFAULT_TEXT_BYTES if place.max_length is None else _LONGEST_UTF8 * max(place.max_length, 1)
    return replace(made, category=words, kind=FieldKind.TEXT, max_bytes=min(longest, DEFAULT_TEXT_BYTES))


def _onward(place: InputPlace, desk: _Desk) -> bool:
    desk.fields[place.path] = Field(path=place.path, category=DataCategory.ONWARD)
    desk.notes[place.path] = (
        "Passes data onward or opens another service: nothing permits it, and the model cannot do without."
        if place.required
        else "Passes data onward or opens another service: nothing permits it."
    )
    return False


def _for_review(place: InputPlace, reason: str, desk: _Desk) -> bool:
    needed = "; the model cannot do without it" if place.required else ""
    desk.review[place.path] = f"{reason}{needed}"
    return False


def _holder(place: InputPlace) -> str:
    outer, _, _ = place.path.rpartition(".")
    return field_names.plain(outer.rsplit(".", maxsplit=1)[-1].removesuffix("[]"))


def _add_containers(places: Iterable[InputPlace], desk: _Desk) -> None:
    """Say of objects and arrays in which something is placed what they are held to."""
    for place in places:
        if place.has_items:
            _add_array(place, desk)
        if place.has_members and place.required and not place.path.endswith("[]") and _holds(place.path, desk):
            desk.fields.setdefault(place.path, Field(path=place.path, required=True))


def _add_array(place: InputPlace, desk: _Desk) -> None:
    item = f"{place.path}[]"
    if item not in desk.fields and not _holds(item, desk):
        return
    held = desk.fields.get(item) or Field(path=item)
    if held.category is DataCategory.ONWARD:
        return
    most = DEFAULT_ITEMS if place.max_items is None else min(max(place.max_items, 1), _MOST_ITEMS)
    desk.fields[item] = replace(held, required=place.required, max_items=most)


def _holds(path: str, desk: _Desk) -> bool:
    return any(lies_in(placed, path) for placed in desk.fields)
