"""Service keys over HTTP: make, list, revoke."""

from uuid import UUID

from fastapi import APIRouter, Response

from consent_proxy.api.answers import KeyOut, NewKeyOut, PageOut
from consent_proxy.api.listing import PageQuery, part_of
from consent_proxy.api.problems import Problem
from consent_proxy.api.routing import CurrentVisit, StrictRoute, not_found
from consent_proxy.api.schemas import KeyIn
from consent_proxy.application.create_key import create_key
from consent_proxy.domain.callers import Role, ServiceKey
from consent_proxy.domain.refusals import Reason

router = APIRouter(prefix="/v1/keys", tags=["keys"], route_class=StrictRoute)


@router.post("", operation_id="createKey", status_code=201)
async def create(key: KeyIn, visit: CurrentVisit, response: Response) -> NewKeyOut:
    """Make a key for a caller, who is made on first sight. The answer shows it this once."""
    visit.require_role(Role.ADMIN)
    services = visit.services
    if key.expires_at is not None and key.expires_at <= services.clock.now():
        raise Problem(Reason.BODY_INVALID, "expires_at is over already: the key would open nothing")
    made, secret = await create_key(
        caller=key.caller,
        roles=frozenset(key.roles),
        expires_at=key.expires_at,
        rulebook=services.rulebook,
        ids=services.ids,
        clock=services.clock,
    )
    response.headers["cache-control"] = "no-store"
    return NewKeyOut(**_shown(made).model_dump(), key=secret)


@router.get("", operation_id="listKeys")
async def list_all(visit: CurrentVisit, query: PageQuery) -> PageOut:
    """Every key, revoked ones too; never its text."""
    visit.require_role(Role.ADMIN)
    rules = await visit.services.facts.rules(fresh=False)
    used = await visit.services.rulebook.last_used()
    known = list(rules.keys.values())
    part = part_of(known, query.page, key=lambda key: str(key.id), at=lambda key: key.created_at)
    shown = [_shown(key).model_copy(update={"last_used_at": used.get(key.id)}) for key in part.items]
    return PageOut(items=[key.model_dump(mode="json") for key in shown], next_cursor=part.next_cursor)


@router.delete("/{key_id}", operation_id="revokeKey", status_code=204)
async def revoke(key_id: UUID, visit: CurrentVisit) -> None:
    """Revoke a key for good, on every replica."""
    visit.require_role(Role.ADMIN)
    if not await visit.services.rulebook.revoke_key(key_id, at=visit.services.clock.now()):
        raise not_found("key")


def _shown(key: ServiceKey) -> KeyOut:
    return KeyOut(
        id=key.id,
        caller=key.caller,
        roles=sorted(key.roles),
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        last_used_at=None,
    )
