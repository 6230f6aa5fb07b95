"""Whether the service is alive, and whether it can do its work."""

from fastapi import APIRouter, Request, Response

from consent_proxy.api.answers import ReadyOut
from consent_proxy.api.routing import StrictRoute, services_of
from consent_proxy.application.readiness import readiness

router = APIRouter(tags=["health"], route_class=StrictRoute)


@router.get("/healthz", operation_id="getHealth")
async def alive() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}


@router.get(
    "/readyz",
    operation_id="getReadiness",
    responses={503: {"description": "It cannot work now.", "model": ReadyOut}},
)
async def ready(request: Request, response: Response) -> ReadyOut:
    """200 when the database answers and its schema fits; what an operator should look at stands in ``warnings``."""
    services = services_of(request)
    response.headers["cache-control"] = "no-store"
    if request.app.is_stopping:
        response.status_code = 503
        return ReadyOut(status="not-ready", warnings=["this process is stopping: send nothing more here"])
    found = await readiness(
        health=services.health,
        facts=services.facts,
        manifests=services.manifests,
        clock=services.clock,
        setup=services.setup,
    )
    response.status_code = 200 if found.ready else 503
    return ReadyOut(
        status="ready" if found.ready else "not-ready", warnings=[warning.message for warning in found.warnings]
    )
