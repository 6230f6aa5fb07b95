"""The models that may be called at all: the reviewed manifests in force."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from consent_proxy.api.answers import PageOut
from consent_proxy.api.listing import Cursor, Limit, cut
from consent_proxy.api.routing import CurrentVisit, StrictRoute
from consent_proxy.domain.callers import Role
from consent_proxy.domain.manifests import Field, Manifest

router = APIRouter(prefix="/v1/models", tags=["models"], route_class=StrictRoute)


@router.get("", operation_id="listModels")
async def list_all(
    visit: CurrentVisit,
    provider: Annotated[str | None, Query(max_length=64)] = None,
    model: Annotated[str | None, Query(max_length=200)] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> PageOut:
    """The manifests in force, with every field that may be sent and what it is."""
    visit.require_role(Role.GATEWAY, Role.AUDITOR)
    manifests = [
        manifest
        for manifest in visit.services.manifests.all()
        if provider in {None, manifest.provider} and model in {None, manifest.id}
    ]
    part = cut(manifests, limit=limit, cursor=cursor, key=lambda manifest: manifest.sha256)
    return PageOut(items=[manifest_document(manifest) for manifest in part.items], next_cursor=part.next_cursor)


def manifest_document(manifest: Manifest) -> dict[str, Any]:
    """A manifest as JSON."""
    return {
        "provider": manifest.provider,
        "recipient": manifest.recipient,
        "id": manifest.id,
        "purpose": manifest.purpose.value,
        "sub_processors": list(manifest.sub_processors),
        "sha256": manifest.sha256,
        "versions": list(manifest.versions),
        "deployments": list(manifest.deployments),
        "source": manifest.source,
        "source_sha256": manifest.source_sha256,
        "reviewed_by": manifest.reviewed_by,
        "reviewed_at": manifest.reviewed_at.isoformat() if manifest.reviewed_at is not None else None,
        "left_out": list(manifest.left_out),
        "fields": [document for member in manifest.fields.values() for document in _places(member)],
    }


def _places(place: Field) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if place.kind is not None and place.category is not None:
        found.append(_value(place))
    for member in place.members.values():
        found += _places(member)
    if place.items is not None:
        found += _places(place.items)
    return found


def _value(place: Field) -> dict[str, Any]:
    document: dict[str, Any] = {
        "path": place.path,
        "category": place.category,
        "kind": place.kind,
        "required": place.required,
    }
    bounds = {"minimum": place.minimum, "maximum": place.maximum, "choices": list(place.choices) or None}
    return document | {name: bound for name, bound in bounds.items() if bound is not None}
