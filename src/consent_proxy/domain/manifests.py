"""The reviewed list of a model's input fields: what may be sent at all, and what each field is."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum

from consent_proxy.domain.categories import DataCategory, Purpose
from consent_proxy.domain.media import MediaKind
from consent_proxy.domain.payloads import Json

DEFAULT_TEXT_BYTES = 32_768
DEFAULT_ITEMS = 16
#: More than any model asks for; it bounds how deep minimising goes, whatever a caller sends.
MAX_DEPTH = 6

_SEGMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\[\])?")
_IDENTIFIERS = frozenset({DataCategory.ACCOUNT_IDENTIFIER, DataCategory.SESSION_IDENTIFIER})
_FREE_TEXT = frozenset({DataCategory.PROMPT, DataCategory.TEXT, DataCategory.TRAINING_METADATA})
#: The categories of media, each with the kinds a field of it takes where its manifest does not say.
_MEDIA: Mapping[DataCategory, tuple[MediaKind, ...]] = {
    DataCategory.PHOTO: (MediaKind.PHOTO,),
    DataCategory.VIDEO: (MediaKind.VIDEO,),
    DataCategory.AUDIO: (MediaKind.AUDIO,),
    DataCategory.VOICE: (MediaKind.AUDIO,),
    DataCategory.TRAINING_MEDIA: (MediaKind.ARCHIVE,),
}
#: What else a field of training media may take: the category names the use, and the person was told of it.
_TRAINED_ON = frozenset(MediaKind)


class FieldKind(StrEnum):
    """What a value has to look like to be passed on."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    MEDIA = "media"
    WEIGHTS = "weights"
    PSEUDONYM = "pseudonym"


_RANGED = frozenset({FieldKind.INTEGER, FieldKind.NUMBER})
_LISTED = frozenset({FieldKind.CHOICE, FieldKind.WEIGHTS})


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One place in the input. A place may be a value (``kind``), an object (``members``), an array (``items``), or
    more than one of these where the model takes either, as fal's ``image_size`` does.

    ``path`` is written ``loras[].path``. ``required`` means that the object or array the place lies in, or the model,
    cannot do without: where it is not permitted, that is not sent either. Bounds are inclusive; ``max_bytes`` counts
    UTF-8; ``choices`` are what a ``choice`` lists, and of ``weights`` those on the operator's public list. A
    ``pseudonym`` is replaced by the recipient's pseudonym of the subject, whatever was sent. ``takes`` are the kinds
    of files a place of media accepts, by what is in them; where it is empty, those of its category.
    """

    path: str
    category: DataCategory | None = None
    kind: FieldKind | None = None
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    max_bytes: int = DEFAULT_TEXT_BYTES
    choices: tuple[str | int | float, ...] = ()
    urls_allowed: bool = False
    takes: tuple[MediaKind, ...] = ()
    members: Mapping[str, "Field"] = field(default_factory=dict)
    items: "Field | None" = None
    max_items: int = DEFAULT_ITEMS

    @property
    def kinds(self) -> tuple[MediaKind, ...]:
        """The kinds of files it accepts; none where it is no place of media."""
        if self.kind is not FieldKind.MEDIA or self.category is None:
            return ()
        return self.takes or _MEDIA[self.category]

    def document(self) -> dict[str, Json]:
        """What the manifest says of the value in this place, as JSON, without what goes without saying."""
        said: dict[str, Json] = {
            "path": self.path,
            "category": self.category,
            "kind": self.kind,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "max_bytes": self.max_bytes if self.kind is FieldKind.TEXT else None,
            "choices": list(self.choices) or None,
            "takes": [kind.value for kind in self.takes] or None,
        }
        flags: dict[str, Json] = {"required": self.required, "urls_allowed": self.urls_allowed}
        return {key: value for key, value in {**said, **flags}.items() if value is not None and value is not False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is known of one model at one recipient, and who says so.

    ``id`` is the model's name at the provider, matched exactly; where one name both runs and trains, ``purpose`` tells
    its two manifests apart. ``sub_processors`` are the makers behind it, by the id a contract lists. ``versions`` pins
    the versions of a community model; ``deployments`` lists deployments of it. ``sha256`` is of the entry's canonical
    form, ``source_sha256`` of the schema it was read against. ``left_out`` are fields that the reviewer saw in it and
    did not list; what is not listed is dropped whether it stands there or not.
    """

    provider: str
    recipient: str
    id: str
    purpose: Purpose
    fields: Mapping[str, Field]
    sha256: str
    sub_processors: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    deployments: tuple[str, ...] = ()
    source: str = ""
    source_sha256: str = ""
    reviewed_by: str = ""
    reviewed_at: date | None = None
    left_out: tuple[str, ...] = ()
    #: What follows from the fields, and is asked for with every request.
    kinds: frozenset[FieldKind] = field(init=False, repr=False, compare=False)
    needed: frozenset[DataCategory] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        kinds = frozenset(place.kind for place in self.places() if place.kind is not None)
        object.__setattr__(self, "kinds", kinds)
        object.__setattr__(self, "needed", self.categories(required_only=True))

    @property
    def is_reviewed(self) -> bool:
        """Whether somebody answers for it. One that nobody answers for must not open the door."""
        return bool(self.reviewed_by.strip())

    def categories(self, *, required_only: bool = False) -> frozenset[DataCategory]:
        """Every category a field of the model has, or only those that a request cannot do without."""
        found: set[DataCategory] = set()
        for member in self.fields.values():
            _collect(member, found, required_only=required_only)
        return frozenset(found)

    def places(self) -> Iterator[Field]:
        """Every place, containers included, in the order in which fields are checked and sent."""
        for member in self.fields.values():
            yield from _places(member)

    def document(self) -> dict[str, Json]:
        """The manifest as JSON, its fields flat; all that ``sha256`` is taken of."""
        return {
            "provider": self.provider,
            "recipient": self.recipient,
            "id": self.id,
            "purpose": self.purpose,
            "sub_processors": list(self.sub_processors),
            "versions": list(self.versions),
            "deployments": list(self.deployments),
            "source": self.source,
            "source_sha256": self.source_sha256,
            "reviewed_by": self.reviewed_by,
            "reviewed_at": self.reviewed_at.isoformat() if self.reviewed_at is not None else None,
            "left_out": list(self.left_out),
            "fields": [_listing(place) for place in self.places()],
        }


def field_tree(flat: Mapping[str, Field]) -> dict[str, Field]:
    """Build the places of an input from fields named by their whole path.

    ``loras[].path`` makes ``loras`` an array of objects. An entry for ``loras[]`` itself says how many items there may
    be and whether the array is required; of plain values it also says what an item is. An entry for ``image_size``
    beside one for ``image_size.width`` means that the place takes either. Raises ``ValueError``, naming the path.
    """
    root = _Node(path="")
    for path, entry in flat.items():
        if (fault := fault_of(entry)) is not None:
            raise ValueError(f"'{path}' {fault}")
        _node_at(root, path).entry = replace(entry, path=path)
    return {name: _place_of(node) for name, node in root.members.items()}


def fault_of(entry: Field) -> str | None:
    """Why a field cannot be listed like this, or ``None``. Where this is silent, a value can be checked.

    Free text is never a setting, identifiers leave as pseudonyms only, and numbers have a range: a name, a telephone
    or a card number must not fit where the model takes a setting.
    """
    if entry.category is DataCategory.ONWARD:
        return "passes data onward, so it cannot be required: nothing permits it" if entry.required else None
    if entry.kind is None or entry.category is None:
        # Neither is how an object or an array is listed; what lies in it has them.
        return "needs both a category and a kind" if entry.kind or entry.category else None
    return _fault_of_category(entry.kind, entry.category) or _fault_of_bounds(entry) or _fault_of_takes(entry)


def _fault_of_category(kind: FieldKind, category: DataCategory) -> str | None:
    if (kind is FieldKind.PSEUDONYM) is not (category in _IDENTIFIERS):
        return "has an identifier's category or a pseudonym's kind, and needs both"
    if kind is FieldKind.TEXT and category not in _FREE_TEXT:
        return f"is free text, so its category cannot be '{category}': use prompt, text or training-metadata"
    if kind is FieldKind.MEDIA and category not in _MEDIA:
        return f"is media, so its category cannot be '{category}'"
    if kind not in {FieldKind.MEDIA, FieldKind.WEIGHTS} and category in _MEDIA:
        return f"has the category '{category}', so its kind has to be media or weights"
    return None


def _fault_of_bounds(entry: Field) -> str | None:
    low, high = entry.minimum, entry.maximum
    if entry.kind in _RANGED:
        if low is None or high is None or not (math.isfinite(low) and math.isfinite(high) and low <= high):
            return "is a number and needs a minimum and a maximum: the schema's, or the narrowest that makes sense"
    elif low is not None or high is not None:
        return "is no number, so it has no minimum or maximum"
    if entry.kind is FieldKind.CHOICE and not entry.choices:
        return "is a choice and needs the choices listed"
    if entry.choices and entry.kind not in _LISTED:
        return "lists choices, so its kind has to be choice or weights"
    if entry.urls_allowed and entry.kind is not FieldKind.TEXT:
        return "allows URLs, so its kind has to be text"
    return None


def _fault_of_takes(entry: Field) -> str | None:
    if not entry.takes:
        return None
    if entry.kind is not FieldKind.MEDIA or entry.category is None:
        return "says what files it takes, so its kind has to be media"
    allowed = _TRAINED_ON if entry.category is DataCategory.TRAINING_MEDIA else frozenset(_MEDIA[entry.category])
    if other := [kind.value for kind in entry.takes if kind not in allowed]:
        return f"has the category '{entry.category}', which cannot take {', '.join(other)}: what is in a file decides"
    return None


@dataclass(slots=True, kw_only=True)
class _Node:
    """A place while the tree is built."""

    path: str
    entry: Field | None = None
    items: "_Node | None" = None
    members: dict[str, "_Node"] = field(default_factory=dict)


def _node_at(root: _Node, path: str) -> _Node:
    segments = path.split(".")
    if len(segments) > MAX_DEPTH or not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise ValueError(f"'{path}' is not a path: write it like image_size.width, image_urls[] or loras[].path")
    node = root
    for segment in segments:
        name = segment.removesuffix("[]")
        whole = f"{node.path}.{name}" if node.path else name
        node = node.members.setdefault(name, _Node(path=whole))
        if segment != name:
            node.items = node.items or _Node(path=f"{whole}[]")
            node = node.items
    return node


def _place_of(node: _Node) -> Field:
    entry = node.entry or Field(path=node.path)
    if entry.category is None and not node.members and node.items is None:
        raise ValueError(f"'{node.path}' needs a category and a kind, or fields within it")
    members = {name: _place_of(child) for name, child in node.members.items()}
    if node.items is None:
        return replace(entry, members=members)
    items = _place_of(node.items)
    return replace(
        entry,
        members=members,
        # An array is never shortened: what bars an item bars the array.
        items=replace(items, required=True),
        required=entry.required or items.required,
        max_items=items.max_items,
    )


def _places(place: Field) -> Iterator[Field]:
    yield place
    for member in place.members.values():
        yield from _places(member)
    if place.items is not None:
        yield from _places(place.items)


def _listing(place: Field) -> dict[str, Json]:
    return {**place.document(), "max_items": place.max_items} if place.items is not None else place.document()


def _collect(place: Field, found: set[DataCategory], *, required_only: bool) -> None:
    if required_only and not place.required:
        return
    if place.category is not None:
        found.add(place.category)
    for member in place.members.values():
        _collect(member, found, required_only=required_only)
    if place.items is not None:
        _collect(place.items, found, required_only=required_only)
