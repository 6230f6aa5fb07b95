"""Contracts over HTTP: put a version, read what is or was in force, end one."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from consent_proxy.api.answers import PageOut
from consent_proxy.api.listing import PageQuery, part_of
from consent_proxy.api.routing import CurrentVisit, StrictRoute, not_found
from consent_proxy.api.schemas import ContractIn, Moment
from consent_proxy.domain.callers import Role
from consent_proxy.domain.contracts import Contract
from consent_proxy.domain.documents import contract_from_document, contract_to_document
from consent_proxy.domain.rules import Rules

router = APIRouter(prefix="/v1/contracts", tags=["contracts"], route_class=StrictRoute)

RecipientId = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


@router.put("/{recipient}", operation_id="putContract")
async def put(recipient: RecipientId, contract: ContractIn, visit: CurrentVisit) -> dict[str, Any]:
    """Add a version. In force at a moment is the latest put whose period contains it."""
    visit.require_role(Role.ADMIN)
    services = visit.services
    put_at = services.clock.now()
    version = contract_from_document(
        contract.model_dump(mode="json"), id=services.ids.new_id(), recipient=recipient, put_at=put_at
    )
    await services.rulebook.put_contract(version, by=visit.credential.caller)
    return _shown(version, at=put_at)


@router.delete("/{recipient}", operation_id="endContract")
async def end(recipient: RecipientId, visit: CurrentVisit) -> dict[str, Any]:
    """End every version put so far, now. Once this answers, no send that rests on one of them begins."""
    visit.require_role(Role.ADMIN)
    services = visit.services
    ended_at = services.clock.now()
    if not await services.rulebook.end_contract(recipient, at=ended_at, by=visit.credential.caller):
        raise not_found("contract")
    return {"recipient": recipient, "ended_at": ended_at.isoformat()}


@router.get("", operation_id="listContracts")
async def list_all(visit: CurrentVisit, query: PageQuery, at: Annotated[Moment | None, Query()] = None) -> PageOut:
    """Every version put, the latest first; with ``at``, those in force then."""
    visit.require_role(Role.ADMIN, Role.AUDITOR)
    rules = await visit.services.facts.rules(fresh=False)
    moment: datetime = at or visit.services.clock.now()
    versions = rules.contracts if at is None else _in_force(rules, at=at)
    part = part_of(versions, query.page, key=lambda version: str(version.id), at=lambda version: version.put_at)
    return PageOut(items=[_shown(version, at=moment) for version in part.items], next_cursor=part.next_cursor)


@router.get("/{recipient}", operation_id="getContract")
async def one(
    recipient: RecipientId, visit: CurrentVisit, at: Annotated[Moment | None, Query()] = None
) -> dict[str, Any]:
    """The version in force now, or at a moment."""
    visit.require_role(Role.ADMIN, Role.AUDITOR)
    rules = await visit.services.facts.rules(fresh=False)
    moment: datetime = at or visit.services.clock.now()
    contract = rules.contract(recipient, at=moment)
    if contract is None:
        raise not_found("contract in force")
    return _shown(contract, at=moment)


def _in_force(rules: Rules, *, at: datetime) -> list[Contract]:
    recipients = {known.recipient for known in rules.contracts}
    found = (rules.contract(recipient, at=at) for recipient in recipients)
    return [contract for contract in found if contract is not None]


def _shown(contract: Contract, *, at: datetime) -> dict[str, Any]:
    return {
        "id": str(contract.id),
        "recipient": contract.recipient,
        **contract_to_document(contract),
        "put_at": contract.put_at.isoformat(),
        "ended_at": contract.ended_at.isoformat() if contract.ended_at is not None else None,
        "in_period": contract.in_force_at(at),
    }
