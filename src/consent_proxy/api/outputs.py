"""Results at our own addresses: unguessable, expiring, relayed from the provider without its key or the caller's."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from consent_proxy.api.problems import Problem, problem_document, problem_of
from consent_proxy.api.services import Services
from consent_proxy.api.surface import ledger_unavailable
from consent_proxy.api.surface_openapi import paths_below
from consent_proxy.api.surface_replies import Reply, send_reply
from consent_proxy.application.ports.providers import OutputStream, OutputUnavailable
from consent_proxy.application.ports.transfers import LedgerUnavailable
from consent_proxy.application.relay import let_go, open_output
from consent_proxy.domain.refusals import Reason, Refusal

_CAPABILITY = re.compile(r"[A-Za-z0-9_-]{16,128}")
#: One range, as RFC 9110 §14.1.2 writes it; anything else is answered with the whole.
_RANGE = re.compile(r"bytes=(?:[0-9]{1,18}-[0-9]{0,18}|-[0-9]{1,18})")
#: What a browser shows and does not run; everything else is a download.
_SHOWN = re.compile(r"(?:image/(?!svg)|video/|audio/).*")
_GUARDS = {
    "cache-control": "private, no-store",
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; sandbox",
    "referrer-policy": "no-referrer",
}


def routes() -> list[BaseRoute]:
    """The files' route, and the one of streams, which are not offered yet."""
    return [
        Route("/v1/files/{capability}", endpoint=_Files(), name="files", include_in_schema=False),
        Route("/v1/streams/{capability}", endpoint=_Streams(), name="streams", include_in_schema=False),
    ]


def openapi_paths() -> dict[str, dict[str, Any]]:
    """The files' part of the OpenAPI document."""
    return paths_below("/v1/files/")


class _Files:
    """No credential is needed, and none that comes along is looked at."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            opened = await self._open(scope)
        except Problem as problem:
            await send_reply(send, _problem_reply(problem))
            return
        except LedgerUnavailable:
            await send_reply(send, _problem_reply(ledger_unavailable()))
            return
        try:
            await send({"type": "http.response.start", "status": opened.status, "headers": _headers(opened)})
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b""})
            else:
                await _relay(opened.chunks, receive=receive, send=send)
        finally:
            await let_go(opened.chunks)

    async def _open(self, scope: Scope) -> OutputStream:
        if scope["method"] not in {"GET", "HEAD"}:
            raise Problem(Reason.METHOD_NOT_ALLOWED, "read a file with GET or HEAD", headers={"allow": "GET, HEAD"})
        capability: str = scope["path_params"]["capability"]
        if _CAPABILITY.fullmatch(capability) is None:
            raise Problem(Reason.NOT_FOUND, "there is no such file")
        services: Services = scope["app"].state.services
        opened = await open_output(
            capability,
            jobs=services.jobs,
            providers=services.providers,
            clock=services.clock,
            range_header=_range(scope),
        )
        if isinstance(opened, Refusal):
            raise problem_of(opened)
        return opened


class _Streams:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send_reply(send, _problem_reply(Problem(Reason.NOT_OFFERED, "streams are not offered yet")))


async def _relay(chunks: AsyncIterator[bytes], *, receive: Receive, send: Send) -> None:
    """Pass the bytes on until they end or the reader goes. A file that breaks off is left unfinished, visibly."""
    gone = asyncio.ensure_future(_gone(receive))
    try:
        async for chunk in chunks:
            if gone.done():
                return
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    except OutputUnavailable:
        return
    finally:
        gone.cancel()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _headers(opened: OutputStream) -> list[tuple[bytes, bytes]]:
    headers = {**opened.headers, **_GUARDS}
    if _SHOWN.fullmatch(headers.get("content-type", "")) is None:
        headers["content-disposition"] = "attachment"
    return [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]


def _range(scope: Scope) -> str | None:
    given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"range"]
    return given[0] if len(given) == 1 and _RANGE.fullmatch(given[0]) is not None else None


def _problem_reply(problem: Problem) -> Reply:
    return Reply(
        status=problem.status,
        body=problem_document(problem),
        headers=problem.headers,
        media_type="application/problem+json",
    )
