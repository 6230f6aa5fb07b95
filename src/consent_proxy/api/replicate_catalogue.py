"""Models and versions in Replicate's shape, as our manifests know them: some SDKs read them before or after a run."""

from consent_proxy.api.problems import Problem
from consent_proxy.application.ports.providers import ManifestCatalogue
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.manifests import Field, FieldKind, Manifest
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.refusals import Reason

#: SDKs read old cog versions' schemas in another way; this one is new enough for all of them.
_COG_VERSION = "0.16.0"
_UNDATED = "2025-01-01T00:00:00Z"
_TYPES = {
    FieldKind.INTEGER: "integer",
    FieldKind.NUMBER: "number",
    FieldKind.BOOLEAN: "boolean",
}


def read_catalogue(parts: list[str], *, manifests: ManifestCatalogue) -> Json:
    """What ``models/{owner}/{name}``, its ``versions`` or one of them looks like. Raises ``Problem``."""
    match parts:
        case [owner, name]:
            return _model(_known(f"{owner}/{name}", manifests))
        case [owner, name, "versions"]:
            manifest = _known(f"{owner}/{name}", manifests)
            versions: list[Json] = [_version(manifest, version) for version in manifest.versions]
            return {"next": None, "previous": None, "results": versions}
        case [owner, name, "versions", version]:
            manifest = _known(f"{owner}/{name}", manifests)
            if version not in manifest.versions:
                raise Problem(Reason.NOT_FOUND, "no reviewed manifest names this version")
            return _version(manifest, version)
        case _:
            raise Problem(Reason.NOT_OFFERED, "the catalogue shows models and their versions only")


def _known(model: str, manifests: ManifestCatalogue) -> Manifest:
    manifest = manifests.find("replicate", model, purpose=Purpose.GENERATION)
    if manifest is None:
        raise Problem(Reason.NOT_FOUND, "no reviewed manifest names this model")
    return manifest


def _model(manifest: Manifest) -> dict[str, Json]:
    owner, _, name = manifest.id.partition("/")
    latest: Json = _version(manifest, manifest.versions[0]) if manifest.versions else None
    return {
        "url": f"https://replicate.com/{manifest.id}",
        "owner": owner,
        "name": name,
        "description": None,
        "visibility": "public",
        "github_url": None,
        "paper_url": None,
        "license_url": None,
        "run_count": 0,
        "cover_image_url": None,
        "default_example": None,
        "latest_version": latest,
    }


def _version(manifest: Manifest, version: str) -> dict[str, Json]:
    """The schema of the fields that may be sent; of the output we know nothing beforehand."""
    reviewed_at = manifest.reviewed_at
    properties: dict[str, Json] = {name: _property(member) for name, member in manifest.fields.items()}
    required: list[Json] = [name for name, member in manifest.fields.items() if member.required]
    return {
        "id": version,
        "created_at": f"{reviewed_at.isoformat()}T00:00:00Z" if reviewed_at is not None else _UNDATED,
        "cog_version": _COG_VERSION,
        "openapi_schema": {
            "openapi": "3.0.2",
            "info": {"title": "Cog", "version": "0.1.0"},
            "paths": {},
            "components": {
                "schemas": {
                    "Input": {"type": "object", "title": "Input", "required": required, "properties": properties},
                    "Output": {"title": "Output"},
                }
            },
        },
    }


def _property(member: Field) -> dict[str, Json]:
    if member.kind is FieldKind.CHOICE:
        return {"enum": list(member.choices)}
    if member.items is not None and member.kind is None:
        return {"type": "array", "items": _property(member.items)}
    if member.members and member.kind is None:
        return {"type": "object"}
    return {"type": _TYPES.get(member.kind, "string") if member.kind is not None else "string"}
