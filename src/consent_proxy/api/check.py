"""The check over HTTP: what would leave, and what would stay, if this were sent now."""

from typing import Any

from fastapi import APIRouter, Response

from consent_proxy.api.answers import CheckOut
from consent_proxy.api.problems import Problem
from consent_proxy.api.routing import CurrentVisit, StrictRoute
from consent_proxy.api.schemas import CheckIn
from consent_proxy.api.surface import strict
from consent_proxy.application.check import check
from consent_proxy.domain.callers import Role, Scope
from consent_proxy.domain.decide import TransferRequest
from consent_proxy.domain.refusals import Reason

router = APIRouter(prefix="/v1/check", tags=["check"], route_class=StrictRoute)


@router.post("", operation_id="checkTransfer")
async def check_transfer(asked: CheckIn, visit: CurrentVisit, response: Response) -> CheckOut:
    """Decide without sending: nothing leaves, nothing is recorded."""
    visit.require(Role.GATEWAY, scopes=frozenset({Scope.AI}))
    services = visit.services
    subject = await visit.subject(create=True)
    provider = services.providers.get(asked.provider)
    if provider is None:
        raise Problem(Reason.BODY_INVALID, f"provider has to be one of: {', '.join(sorted(services.providers))}")
    request = TransferRequest(
        credential=visit.credential,
        subject_ref=subject.ref,
        subject_kind=subject.kind,
        provider=provider.name,
        recipient=provider.recipient,
        manifest=services.manifests.find(provider.name, asked.model, purpose=asked.purpose),
        payload=asked.input,
        stated_purpose=visit.head.get("consent-purpose"),
        strict=strict(visit.head),
    )
    checked = await check(
        request,
        provider=provider,
        facts=services.facts,
        media=services.media,
        digests=services.digests,
        clock=services.clock,
    )
    response.headers["cache-control"] = "no-store"
    refusal = checked.refusal
    dropped: list[dict[str, Any]] = [{"path": field.path, "reason": field.reason} for field in checked.would_drop]
    return CheckOut(
        decision="permit" if refusal is None else "refusal",
        reason=refusal.reason.value if refusal is not None else None,
        detail=refusal.detail if refusal is not None else None,
        paths=list(refusal.paths) if refusal is not None else [],
        would_send=list(checked.would_send),
        would_drop=dropped,
    )
