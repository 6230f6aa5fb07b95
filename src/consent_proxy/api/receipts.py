"""The keys receipts are verified with."""

from typing import Any

from fastapi import APIRouter, Request, Response

from consent_proxy.api.routing import StrictRoute, services_of

router = APIRouter(tags=["receipts"], route_class=StrictRoute)


@router.get("/.well-known/jwks.json", operation_id="getReceiptKeys")
async def keys(request: Request, response: Response) -> dict[str, Any]:
    """The public keys (RFC 7517), retired ones kept. No credential."""
    response.headers["cache-control"] = "public, max-age=300"
    return {"keys": services_of(request).receipts.public_keys()}
