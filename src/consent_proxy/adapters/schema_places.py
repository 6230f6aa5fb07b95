"""From resolved schemas to the places of an input: types, ranges, choices, members and items, each with its path."""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from consent_proxy.adapters.schema_alternatives import Alternative, Resolver, SchemaUnreadable, Unclear
from consent_proxy.domain.input_schemas import InputPlace, ValueType
from consent_proxy.domain.manifests import MAX_DEPTH
from consent_proxy.domain.payloads import Json

#: More than any model of fal's or Replicate's has; it bounds what a person is asked to read.
MOST_PLACES = 1_000
_LONGEST_KEY = 100
_LONGEST_DESCRIPTION = 500

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_URI_FORMATS = frozenset({"uri", "url", "uri-reference", "iri", "binary", "byte", "data-url", "data-uri"})
#: Beyond this, an integer is none that a model computes with, and no longer a float's business either.
_LARGEST = 2**63
#: What a schema is about when it does not name its type, by a word that only that type has.
_TELLING = {"properties": "object", "items": "array", "maxLength": "string", "format": "string"}


@dataclass(slots=True)
class _Found:
    """What the alternatives of one place come to."""

    types: set[ValueType] = field(default_factory=set)
    choices: list[str | int | float] = field(default_factory=list)
    numbers: list[Mapping[str, Json]] = field(default_factory=list)
    texts: list[Mapping[str, Json]] = field(default_factory=list)
    objects: list[Alternative] = field(default_factory=list)
    arrays: list[Alternative] = field(default_factory=list)


def places_of(root: Json, resolver: Resolver) -> tuple[InputPlace, ...]:
    """Every place of an input, each after the one it lies in. Raises ``Unclear`` where the input is no object with
    named members, and ``SchemaUnreadable`` where there is too much of it.
    """
    options = list(_without_null(resolver.alternatives(root, trail=frozenset())))
    if len(options) != 1 or _type_of(options[0].schema) != ["object"]:
        raise Unclear("is not one object with named fields")
    found: list[InputPlace] = []
    for place in _members(options[0], "", resolver, depth=1):
        found.append(place)
        if len(found) > MOST_PLACES:
            raise _too_many()
    return tuple(found)


def _members(outer: Alternative, path: str, resolver: Resolver, *, depth: int) -> Iterator[InputPlace]:
    properties = outer.schema.get("properties")
    if not isinstance(properties, dict) or not properties:
        raise Unclear("is an object of which the schema names no member")
    required = outer.schema.get("required")
    needed = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
    if len(properties) > MOST_PLACES:
        raise _too_many()
    for name in _in_order(properties, outer.schema.get("x-fal-order-properties")):
        schema = properties[name]
        if not _KEY.fullmatch(name) or len(name) > _LONGEST_KEY:
            quoted = f'"{name[:_LONGEST_KEY]}"'
            yield InputPlace(
                path=f"{path}.{quoted}" if path else quoted,
                required=name in needed,
                unclear="has a name that no path in a manifest can have",
            )
            continue
        inner = f"{path}.{name}" if path else name
        yield from _place(schema, inner, resolver, outer.trail, depth=depth, required=name in needed)


def _in_order(properties: Mapping[str, Json], listed: Json) -> list[str]:
    """The keys as a provider's own pages show the fields: Replicate numbers them, fal lists them."""
    names = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
    place = {name: number for number, name in enumerate(names)}

    def rank(name: str) -> int:
        match properties[name]:
            case {"x-order": int(number)} if name not in place:
                return number
            case _:
                return place.get(name, MOST_PLACES)

    return sorted(properties, key=rank)


def _too_many() -> SchemaUnreadable:
    return SchemaUnreadable(f"it has more than {MOST_PLACES} places, more than anybody reviews")


def _place(
    schema: Json, path: str, resolver: Resolver, trail: frozenset[str], *, depth: int, required: bool
) -> Iterator[InputPlace]:
    """One place and, after it, what lies in it."""
    try:
        options = resolver.alternatives(schema, trail=trail)
        found = _sorted_out(_without_null(options))
        inner = list(_inner(found, path, resolver, depth=depth))
    except Unclear as unclear:
        yield InputPlace(path=path, required=required, unclear=str(unclear), description=_description([], schema))
        return
    yield _described(found, options, schema, path=path, required=required)
    yield from inner


def _inner(found: _Found, path: str, resolver: Resolver, *, depth: int) -> Iterator[InputPlace]:
    if depth > MAX_DEPTH:
        raise Unclear("lies deeper than a manifest reaches")
    for array in found.arrays:
        items = array.schema.get("items")
        if not isinstance(items, dict) or not items:
            raise Unclear("is an array of anything")
        if path.endswith("[]"):
            raise Unclear("is an array of arrays")
        yield from _place(items, f"{path}[]", resolver, array.trail, depth=depth, required=True)
    for member in found.objects:
        yield from _members(member, path, resolver, depth=depth + 1)


def _sorted_out(options: Iterable[Alternative]) -> _Found:
    found = _Found()
    for option in options:
        schema = option.schema
        if "const" in schema or "enum" in schema:
            _add_choices(schema, found)
            continue
        for name in _type_of(schema):
            match name:
                case "object":
                    found.objects.append(option)
                case "array":
                    found.arrays.append(option)
                case "string" | "integer" | "number" | "boolean":
                    found.types.add(ValueType(name))
                    (found.texts if name == "string" else found.numbers).append(schema)
                case _:
                    raise Unclear("has a type that JSON does not know")
    if len(found.objects) > 1 or len(found.arrays) > 1:
        raise Unclear("may be one of several objects or arrays")
    if not (found.types or found.choices or found.objects or found.arrays):
        raise Unclear("may be nothing but null")
    return found


def _add_choices(schema: Mapping[str, Json], found: _Found) -> None:
    listed = [schema["const"]] if "const" in schema else schema.get("enum")
    if not isinstance(listed, list):
        raise Unclear("lists its values in a way that is none")
    for value in listed:
        match value:
            case None:
                pass
            case bool():
                found.types.add(ValueType.BOOLEAN)
            case str():
                found.choices.append(value)
            case int() | float() if _is_sane(value):
                found.choices.append(value)
            case _:
                raise Unclear("lists values that are neither texts nor numbers")


def _type_of(schema: Mapping[str, Json]) -> list[str]:
    """The types a schema names, ``null`` left out. Raises ``Unclear`` where it says nothing of them."""
    named = schema.get("type")
    if named is None:
        named = next((type_ for word, type_ in _TELLING.items() if word in schema), None)
    listed = named if isinstance(named, list) else [named]
    types = [name for name in listed if isinstance(name, str) and name != "null"]
    if not types:
        raise Unclear("may be anything: its schema names no type")
    return types


def _without_null(options: Iterable[Alternative]) -> Iterator[Alternative]:
    for option in options:
        schema = option.schema
        if schema.get("type") in ("null", ["null"]) or schema.get("enum") == [None]:
            continue
        yield option


def _described(found: _Found, options: Sequence[Alternative], schema: Json, *, path: str, required: bool) -> InputPlace:
    low = [_bound(one, "minimum", "exclusiveMinimum", step=1) for one in found.numbers]
    high = [_bound(one, "maximum", "exclusiveMaximum", step=-1) for one in found.numbers]
    lengths = [one.get("maxLength") for one in found.texts]
    whole = [length for length in lengths if isinstance(length, int)]
    items = found.arrays[0].schema.get("maxItems") if found.arrays else None
    return InputPlace(
        path=path,
        required=required,
        types=frozenset(found.types),
        choices=tuple(found.choices),
        minimum=_all_or_none(low, widest=min),
        maximum=_all_or_none(high, widest=max),
        max_length=max(whole) if whole and len(whole) == len(lengths) else None,
        max_items=items if isinstance(items, int) else None,
        has_members=bool(found.objects),
        has_items=bool(found.arrays),
        uri=any(_is_uri(one) for one in found.texts),
        secret=any(_is_secret(option.schema) for option in options),
        description=_description(options, schema),
    )


def _is_uri(schema: Mapping[str, Json]) -> bool:
    named = schema.get("format")
    return (isinstance(named, str) and named in _URI_FORMATS) or "contentEncoding" in schema


def _is_secret(schema: Mapping[str, Json]) -> bool:
    return schema.get("format") == "password" or bool(schema.get("writeOnly")) or bool(schema.get("x-cog-secret"))


def _bound(schema: Mapping[str, Json], inclusive: str, exclusive: str, *, step: int) -> float | None:
    """A bound as an inclusive one. Of fractions an exclusive one is kept: the model will say so."""
    held, beyond = schema.get(inclusive), schema.get(exclusive)
    whole = schema.get("type") == "integer"
    if isinstance(beyond, int | float) and not isinstance(beyond, bool):
        return _sane(beyond + step if whole else beyond)
    if isinstance(held, int | float) and not isinstance(held, bool):
        return _sane(held + step if whole and beyond is True else held)
    return None


def _sane(number: float) -> float | None:
    return number if _is_sane(number) else None


def _is_sane(number: float) -> bool:
    return abs(number) <= _LARGEST if isinstance(number, int) else math.isfinite(number)


def _all_or_none(bounds: list[float | None], *, widest: Callable[[list[float]], float]) -> float | None:
    known = [bound for bound in bounds if bound is not None]
    return widest(known) if known and len(known) == len(bounds) else None


def _description(options: Iterable[Alternative], schema: Json) -> str:
    written = [schema, *(dict(option.schema) for option in options)]
    for held in written:
        if isinstance(held, dict) and isinstance(text := held.get("description"), str) and text.strip():
            return text[:_LONGEST_DESCRIPTION]
    return ""
