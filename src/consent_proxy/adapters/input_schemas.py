"""Reading a model's input out of the OpenAPI and JSON Schema documents that fal and Replicate publish.

The documents are others' work: whatever is in them, reading ends soon, and what cannot be read is named.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from consent_proxy.adapters.schema_alternatives import Resolver, SchemaUnreadable, Unclear
from consent_proxy.adapters.schema_places import places_of
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.input_schemas import InputPlace
from consent_proxy.domain.payloads import Json

_TRAINING_INPUT, _INPUT = "TrainingInput", "Input"
_NAMED = 5
#: A path that can be a model's name; cog's own, such as `/predictions`, cannot.
_NAME = re.compile(r"[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaFile:
    """One document as a provider hands it out: the schema, and what it says of the model.

    ``model`` and ``version`` are empty where the document does not say.
    """

    document: dict[str, Json]
    model: str = ""
    version: str = ""

    def models(self) -> frozenset[str]:
        """The names of the models it may be about."""
        paths = (path.strip("/") for path, _ in _inputs(self.document))
        return frozenset({self.model, *filter(_NAME.fullmatch, paths)} - {""})

    def places(self, *, model: str, purpose: Purpose) -> tuple[InputPlace, ...]:
        """The model's input, place by place. Raises ``SchemaUnreadable``."""
        if self.model and self.model != model:
            raise SchemaUnreadable("it is of another model: name the one it is for, or get that one's schema")
        resolver = Resolver(self.document)
        root = _root(self.document, model=model, purpose=purpose)
        try:
            return places_of(root, resolver)
        except Unclear as unclear:
            raise SchemaUnreadable(f"the input {unclear}: write this manifest by hand") from None


def open_schema(parsed: Json, *, model: str = "") -> SchemaFile:
    """Find the schema in a document: an OpenAPI or JSON Schema one, or what Replicate says of a model or a version, or
    what fal says of models (then ``model`` picks one). Raises ``SchemaUnreadable``.
    """
    if not isinstance(parsed, dict):
        raise SchemaUnreadable("it is no JSON object")
    match parsed:
        case {"latest_version": dict(latest)}:
            name = f"{parsed.get('owner')}/{parsed.get('name')}"
            return _wrapped(latest, "openapi_schema", model=name, version=latest.get("id"))
        case {"openapi_schema": _}:
            return _wrapped(parsed, "openapi_schema", model="", version=parsed.get("id"))
        case {"models": list(listed)}:
            entries = [entry for entry in listed if isinstance(entry, dict)]
            found = [entry for entry in entries if model in {"", entry.get("endpoint_id")}]
            if len(found) != 1:
                raise SchemaUnreadable("it lists several models, or not this one: save the one model's schema")
            return open_schema(found[0])
        case {"openapi": dict(), "endpoint_id": name}:
            return _wrapped(parsed, "openapi", model=name, version="")
        case _:
            return SchemaFile(document=parsed, model=_name_in(parsed))


def _wrapped(holder: Mapping[str, Json], key: str, *, model: Json, version: Json) -> SchemaFile:
    held = holder.get(key)
    if not isinstance(held, dict):
        raise SchemaUnreadable(f"its '{key}' is no JSON object")
    return SchemaFile(
        document=held,
        model=model if isinstance(model, str) else "",
        version=version if isinstance(version, str) else "",
    )


def _name_in(document: Mapping[str, Json]) -> str:
    match document:
        case {"info": {"x-fal-metadata": {"endpointId": str(name)}}}:
            return name
        case _:
            return ""


def _root(document: Mapping[str, Json], *, model: str, purpose: Purpose) -> Json:
    """The schema of the input itself, among all that a document describes."""
    inputs = dict(_inputs(document))
    if (found := inputs.get(f"/{model}")) is not None:
        return found
    components = _components(document)
    if _INPUT in components:
        if purpose is Purpose.TRAINING and _TRAINING_INPUT not in components:
            raise SchemaUnreadable("it has no TrainingInput: this version of the model cannot be trained")
        return components[_TRAINING_INPUT if purpose is Purpose.TRAINING else _INPUT]
    if inputs:
        names = sorted(filter(_NAME.fullmatch, (path.strip("/") for path in inputs)))[:_NAMED]
        others = f" ({', '.join(names)})" if names else ""
        raise SchemaUnreadable(f"it describes other models{others}: name the one it is for, or get that one's schema")
    if any(key in document for key in ("properties", "$ref", "allOf")):
        return dict(document)
    raise SchemaUnreadable(
        "it describes no input: neither a path with a POST, nor components.schemas.Input, nor properties"
    )


def _components(document: Mapping[str, Json]) -> Mapping[str, Json]:
    match document:
        case {"components": {"schemas": dict(schemas)}}:
            return schemas
        case _:
            return {}


def _inputs(document: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    """The JSON that each path takes by POST."""
    paths = document.get("paths")
    for path, operations in paths.items() if isinstance(paths, dict) else ():
        match operations:
            case {"post": {"requestBody": {"content": {"application/json": {"schema": schema}}}}}:
                yield path, schema
            case _:
                pass
