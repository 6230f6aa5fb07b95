"""The numbers of the service, for Prometheus: also while the database is away, which is when they are needed."""

from typing import Any

from fastapi import APIRouter, Request, Response

from consent_proxy.api.auth import authenticate, authenticate_last, require_role
from consent_proxy.api.routing import StrictRoute, services_of
from consent_proxy.api.services import Services
from consent_proxy.application.ports.transfers import LedgerUnavailable
from consent_proxy.application.take_readings import take_readings
from consent_proxy.domain.callers import Credential, Role

router = APIRouter(tags=["health"], route_class=StrictRoute)

_TEXT: dict[str, Any] = {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "The numbers."}


@router.get("/metrics", operation_id="getMetrics", response_class=Response, responses={200: _TEXT})
async def metrics(request: Request) -> Response:
    """Counters and gauges of every process of this service, in Prometheus' text form or OpenMetrics; nobody's data."""
    services = services_of(request)
    require_role(await _credential(request, services), Role.METRICS)
    readings = await take_readings(
        health=services.health, facts=services.facts, manifests=services.manifests, clock=services.clock
    )
    content, media_type = services.meter.exposition(readings, accept=request.headers.get("accept", ""))
    return Response(content, headers={"content-type": media_type, "cache-control": "no-store"})


async def _credential(request: Request, services: Services) -> Credential:
    head = request.state.head
    try:
        return await authenticate(head, door=services.door, fresh=False)
    except LedgerUnavailable:
        known = authenticate_last(head, door=services.door)
        if known is None:
            raise
        return known
