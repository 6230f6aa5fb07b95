"""Resolving `$ref`, `allOf`, `anyOf` and `oneOf`: what a place may be, as a bounded list of plain schemas."""

from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass

from consent_proxy.domain.payloads import Json

#: What may be looked at for one document, in schemas; fal's and Replicate's largest inputs need some hundreds. A schema
#: with many words in it counts for more than one.
MOST_LOOKS = 20_000
_WORDS_A_LOOK = 50
#: How deep references and compositions may lead into one another for one place.
DEEPEST = 40
MOST_ALTERNATIVES = 64
#: Words, members or names that two schemas may come to together.
_MOST_JOINED = 2_000

_COMPOSITION = frozenset({"$ref", "allOf", "anyOf", "oneOf"})


class SchemaUnreadable(ValueError):
    """A schema document that nothing can be made of; the message says why, and never repeats what is in it."""


class Unclear(Exception):
    """One place of a schema cannot be read; the message ends a sentence that begins with the place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """One of the things a place may be: a schema without compositions, and the references that led to it."""

    schema: Mapping[str, Json]
    trail: frozenset[str] = frozenset()


class Resolver:
    """Looks schemas up in one document, and no more often than ``MOST_LOOKS``."""

    def __init__(self, document: dict[str, Json]) -> None:
        self._document = document
        self._looks = 0

    def alternatives(self, schema: Json, *, trail: frozenset[str], depth: int = 0) -> list[Alternative]:
        """What the place may be. Raises ``Unclear``, and ``SchemaUnreadable`` where the whole is too much."""
        self._looks += _weight(schema)
        if self._looks > MOST_LOOKS:
            raise SchemaUnreadable("it is larger, or goes round more often, than can be read: write it by hand")
        if depth > DEEPEST:
            raise Unclear("refers on and on")
        if schema is True:
            schema = {}
        if not isinstance(schema, dict):
            raise Unclear("has something in the place of a schema")
        found = [
            Alternative(schema={key: held for key, held in schema.items() if key not in _COMPOSITION}, trail=trail)
        ]
        if "$ref" in schema:
            found = _product(found, self._referred(schema["$ref"], trail=trail, depth=depth))
        for part in _parts(schema, "allOf"):
            found = _product(found, self.alternatives(part, trail=trail, depth=depth + 1))
        for key in ("anyOf", "oneOf"):
            if key in schema:
                options = [
                    option
                    for part in _parts(schema, key)
                    for option in self.alternatives(part, trail=trail, depth=depth + 1)
                ]
                found = _product(found, options)
        return found

    def _referred(self, reference: Json, *, trail: frozenset[str], depth: int) -> list[Alternative]:
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise Unclear("is described in another document")
        if reference in trail:
            raise Unclear("refers to itself")
        target: Json = self._document
        for part in reference.removeprefix("#").split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, dict) or key not in target:
                raise Unclear("refers to what is not in the document")
            target = target[key]
        return self.alternatives(target, trail=trail | {reference}, depth=depth + 1)


def _weight(schema: Json) -> int:
    held = schema.values() if isinstance(schema, dict) else ()
    return 1 + sum(1 + (len(part) if isinstance(part, dict | list) else 0) for part in held) // _WORDS_A_LOOK


def _parts(schema: Mapping[str, Json], key: str) -> list[Json]:
    parts = schema.get(key, [])
    if not isinstance(parts, list):
        raise Unclear("has something in the place of a list of schemas")
    return parts


def _product(left: Sequence[Alternative], right: Sequence[Alternative]) -> list[Alternative]:
    """Everything that is one of these and one of those at once."""
    if len(left) * len(right) > MOST_ALTERNATIVES:
        raise Unclear("may be any of too many things")
    return [_both(one, other) for one in left for other in right]


def _both(one: Alternative, other: Alternative) -> Alternative:
    """A value of both schemas. Where they say the same word the narrower holds, and of descriptions the first."""
    _check_size(one.schema, other.schema)
    merged = {**other.schema, **one.schema}
    for key in one.schema.keys() & other.schema.keys():
        merged[key] = _narrower(key, one.schema[key], other.schema[key])
    return Alternative(schema=merged, trail=one.trail | other.trail)


def _narrower(key: str, one: Json, other: Json) -> Json:
    match key, one, other:
        case "properties", dict(), dict():
            _check_size(one, other)
            shared: dict[str, Json] = {name: {"allOf": [one[name], other[name]]} for name in one.keys() & other.keys()}
            return {**other, **one, **shared}
        case "required", list(), list():
            _check_size(one, other)
            return [*one, *other]
        case "enum", list(), list():
            _check_size(one, other)
            shared_values = {value for value in other if not isinstance(value, dict | list)}
            return [value for value in one if not isinstance(value, dict | list) and value in shared_values]
        case (("minimum" | "minLength" | "exclusiveMinimum"), int() | float(), int() | float()):
            return max(one, other)
        case (("maximum" | "maxLength" | "maxItems" | "exclusiveMaximum"), int() | float(), int() | float()):
            return min(one, other)
        case "type", _, _ if one != other:
            return _shared_type(one, other)
        case _:
            return one


def _check_size(one: Sized, other: Sized) -> None:
    if len(one) + len(other) > _MOST_JOINED:
        raise Unclear("says too much at once")


def _shared_type(one: Json, other: Json) -> Json:
    ones, others = (held if isinstance(held, list) else [held] for held in (one, other))
    shared: list[Json] = [name for name in ones if name in others]
    if not shared:
        raise Unclear("contradicts itself")
    return shared
