"""A model's input as its provider's schema describes it, place by place, before anybody says what the data is."""

from dataclasses import dataclass
from enum import StrEnum


class ValueType(StrEnum):
    """What JSON calls a value that is neither an object nor an array."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"


@dataclass(frozen=True, slots=True, kw_only=True)
class InputPlace:
    """One place of an input, its path written as in a manifest. An object's members and an array's items are places of
    their own, listed after it.

    ``types`` are the values it takes freely, ``choices`` those it takes from a list. ``required`` is the schema's word
    for the object the place lies in. Bounds are inclusive; ``max_length`` counts characters. ``uri`` means that the
    schema says so, ``secret`` that it keeps the value from being shown. ``unclear`` says why the schema cannot be read
    here; then the rest says nothing.
    """

    path: str
    required: bool = False
    types: frozenset[ValueType] = frozenset()
    choices: tuple[str | int | float, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    max_length: int | None = None
    max_items: int | None = None
    has_members: bool = False
    has_items: bool = False
    uri: bool = False
    secret: bool = False
    description: str = ""
    unclear: str = ""

    @property
    def name(self) -> str:
        """The key at the end of the path."""
        return self.path.rsplit(".", maxsplit=1)[-1].removesuffix("[]")


def lies_in(path: str, place: str) -> bool:
    """Whether a path leads into an object or array, at any depth."""
    return path.startswith((f"{place}.", f"{place}[]"))
