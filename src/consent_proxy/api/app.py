"""The application: the control API, the provider surfaces beside it, and one shape for everything that goes wrong."""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from consent_proxy.api import (
    changes,
    check,
    consent,
    contracts,
    control_openapi,
    disclosures,
    fal,
    health,
    keys,
    links,
    log,
    media,
    metrics,
    models,
    outputs,
    problem_pages,
    receipts,
    replicate,
    reserved,
    tokens,
    transfers,
)
from consent_proxy.api.problems import Problem, problem_document
from consent_proxy.api.surface import Surface
from consent_proxy.application.ports.observation import Meter
from consent_proxy.application.ports.transfers import LedgerUnavailable, Overloaded
from consent_proxy.domain.refusals import Reason

logger = logging.getLogger(__name__)

API_VERSION = "1"
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
#: FastAPI's own tells URLs, messages of exceptions and what did not validate, and switches itself on by a variable.
_NO_TELEMETRY = TelemetryConfig(tracing=False, metrics=False, logs=False, operation_spans=False, auto_configure=False)
Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


class Application(FastAPI):
    """FastAPI with the provider surfaces before its middleware and router: they carry the traffic and need neither."""

    surfaces: Mapping[str, Surface] = {fal.PREFIX: fal.surface(), replicate.PREFIX: replicate.surface()}
    #: Before it stops it serves on for a while and says so: `/readyz`, and the end of each connection.
    is_stopping: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a provider's call to its surface, and everything else on."""
        if scope["type"] == "http":
            path: str = scope["path"]
            if self.is_stopping:
                send = _closing(send)
            for prefix, surface in self.surfaces.items():
                if path.startswith(prefix):
                    below = {**scope, "app": self, "path_params": {"path": path.removeprefix(prefix)}}
                    return await surface(below, receive, send)
            send = _counting(send, self.state.services.meter, surface=_surface(path))
        return await super().__call__(scope, receive, send)


_CONTROL = (
    *(disclosures, contracts, consent, changes, links, tokens, media, check, keys, transfers, log, models, receipts),
    health,
    metrics,
)


def create_app(lifespan: Lifespan | None = None) -> Application:
    """Build the application. ``app.state.services`` has to be set, by the lifespan, before a request is served.

    Without a lifespan it serves nothing and describes everything: settings and database are not needed for OpenAPI.
    """
    app = Application(
        title="consent-proxy",
        version=API_VERSION,
        summary="Nothing leaves for an AI platform without a standing consent, a contract and a record.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        telemetry=_NO_TELEMETRY,
        responses=control_openapi.RESPONSES,
    )
    app.router.routes.extend(outputs.routes())
    for resource in _CONTROL:
        app.include_router(resource.router)
    for pages in (problem_pages, reserved):
        app.router.routes.extend(pages.routes())
    _add_handlers(app)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    return app


def _surface(path: str) -> str:
    """What a path is counted under: paths themselves have no end."""
    if path.startswith(("/v1/files/", "/v1/streams/")):
        return "files"
    return "control" if path.startswith("/v1/") else "service"


def _counting(send: Send, meter: Meter, *, surface: str) -> Send:
    async def counted(message: Message) -> None:
        if message["type"] == "http.response.start":
            meter.answered(surface, status=message["status"])
        await send(message)

    return counted


def _closing(send: Send) -> Send:
    """The caller's next request shall take another connection, to another replica."""

    async def closed(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
        await send(message)

    return closed


def _described(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = FastAPI.openapi(app)
        for surface in (fal, replicate, outputs):
            document["paths"].update(surface.openapi_paths())
        control_openapi.complete(document)
        app.openapi_schema = document
    return app.openapi_schema


def problem_response(problem: Problem) -> Response:
    """The answer of the control API to a problem."""
    return JSONResponse(
        problem_document(problem),
        status_code=problem.status,
        headers=problem.headers,
        media_type="application/problem+json",
    )


Handler = Callable[[Request, Any], Awaitable[Response]]


def _add_handlers(app: FastAPI) -> None:
    handlers: dict[type[Exception], Handler] = {
        Problem: _on_problem,
        RequestValidationError: _on_invalid,
        HTTPException: _on_http,
        LedgerUnavailable: _on_ledger,
        Overloaded: _on_overloaded,
        Exception: _on_anything,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


async def _on_problem(_: Request, problem: Problem) -> Response:
    return problem_response(problem)


async def _on_invalid(_: Request, error: RequestValidationError) -> Response:
    """Name the places and what they need; never repeat what was sent."""
    places = [f"{_place(found['loc'])}: {found['msg']}" for found in error.errors()]
    detail = "; ".join(places[:8]) + (f"; and {len(places) - 8} more" if len(places) > 8 else "")  # noqa: PLR2004
    return problem_response(Problem(Reason.BODY_INVALID, detail))


def _place(parts: tuple[object, ...]) -> str:
    """Where the fault is; a key that is not a plain name is somebody's text and stays out."""
    return ".".join(str(part) if _PLAIN_NAME.fullmatch(str(part)) else "~" for part in parts)


async def _on_http(_: Request, error: HTTPException) -> Response:
    if error.status_code == 405:  # noqa: PLR2004 - Method Not Allowed
        problem = Problem(Reason.METHOD_NOT_ALLOWED, "this address does not take that method", headers=error.headers)
    elif error.status_code == 404:  # noqa: PLR2004 - Not Found
        problem = Problem(Reason.NOT_FOUND, "there is nothing at this address: see /openapi.json for what there is")
    else:
        problem = Problem(Reason.BODY_INVALID, "the request could not be read")
    return problem_response(problem)


async def _on_ledger(_: Request, __: LedgerUnavailable) -> Response:
    return problem_response(Problem(Reason.LEDGER_UNAVAILABLE, "the database does not answer; nothing was begun"))


async def _on_overloaded(_: Request, __: Overloaded) -> Response:
    return problem_response(Problem(Reason.OVERLOADED, "more is waiting than this service takes on; nothing was begun"))


async def _on_anything(request: Request, error: Exception) -> Response:
    # The message of a stranger's exception may hold what was sent: the type and the place are enough to find it.
    route = getattr(request.scope.get("route"), "path", "unknown route")
    logger.error("unexpected %s in %s", type(error).__name__, route, exc_info=None)
    return problem_response(Problem(Reason.INTERNAL_ERROR, "an unexpected error; the operator's log has its place"))
