"""Addresses the contract names that this version does not answer yet: 501, and what to use instead."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from consent_proxy.api.problems import Problem
from consent_proxy.domain.refusals import Reason

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]

_LATER = "this version does not offer it yet"
_RESERVED = {
    "/v1/consent/imports": _LATER,
    "/v1/artefacts": "trainings are not offered yet, so there are no artefacts",
    "/v1/artefacts/{id}": "trainings are not offered yet, so there are no artefacts",
    "/v1/privacy-requests": _LATER,
    "/v1/register": _LATER,
    "/v1/webhooks/secret": "webhooks are not offered yet: poll the job instead",
}


def routes() -> list[BaseRoute]:
    """A route for each reserved address."""
    return [
        Route(path, endpoint=_answer(detail), methods=_METHODS, include_in_schema=False)
        for path, detail in _RESERVED.items()
    ]


def _answer(detail: str) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(_: Request) -> Response:
        raise Problem(Reason.NOT_OFFERED, detail)

    return endpoint
