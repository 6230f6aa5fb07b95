"""Results at our own addresses: for whoever holds one, for a while, and without anybody's credential on the way."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest

from consent_proxy.application.ports.providers import OutputStream
from consent_proxy.application.ports.transfers import LedgerUnavailable
from consent_proxy.sandbox.behaviours import Behaviour
from consent_proxy.sandbox.wire import Role
from tests.fakes.clock import FakeClock
from tests.in_process import IN_ONE_LOOP, Served

pytestmark = IN_ONE_LOOP


async def an_address(served: Served) -> str:
    """Where a picture that was just made can be read; only the path, so that the stub client reaches it."""
    person = f"person-{uuid4().hex}"
    await served.decide(person)
    body = {"prompt": "a boat", "image_size": {"width": 64, "height": 64}}
    reply = await served.call("POST", "/fal/run/fal-ai/flux/schnell", subject=person, json=body)
    assert reply.status_code == 200, reply.text
    url: str = reply.json()["images"][0]["url"]
    return urlsplit(url).path


def assert_problem(reply: httpx.Response, status: int, reason: str) -> None:
    assert (reply.status_code, reply.json()["reason"]) == (status, reason), reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["cache-control"] == "no-store"


async def test_whoever_holds_the_address_reads_the_file(served: Served) -> None:
    reply = await served.http.get(await an_address(served))
    assert reply.status_code == 200
    assert reply.content.startswith(b"\x89PNG")
    assert int(reply.headers["content-length"]) == len(reply.content)
    assert reply.headers["content-type"] == "image/png"
    assert reply.headers["cache-control"] == "private, no-store"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "content-disposition" not in reply.headers


async def test_a_credential_that_comes_along_is_not_passed_on(served: Served) -> None:
    headers = {"authorization": "Bearer cpk_of_a_backend", "cookie": "a=b", "x-forwarded-for": "192.0.2.1"}
    assert (await served.http.get(await an_address(served), headers=headers)).status_code == 200
    (request,) = served.sandbox.wire.requests(role=Role.FAL_OUTPUT)
    assert {name for name, _ in request.headers} == {"host", "accept", "user-agent", "accept-encoding"}
    assert served.sandbox.wire.violations == []


async def test_a_head_shows_the_size_and_no_bytes(served: Served) -> None:
    address = await an_address(served)
    whole = await served.http.get(address)
    head = await served.http.head(address)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == whole.headers["content-length"]


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("bytes=0-7", 206),
        ("bytes=-8", 206),
        ("bytes=8-", 206),
        ("bytes=99999999-", 416),
        ("bytes=0-1,3-4", 200),
        ("lines=1-2", 200),
        ("bytes=a-b", 200),
    ],
)
async def test_a_range_is_a_part(served: Served, asked: str, status: int) -> None:
    address = await an_address(served)
    whole = (await served.http.get(address)).content
    reply = await served.http.get(address, headers={"range": asked})
    assert reply.status_code == status
    parts = {"bytes=0-7": whole[:8], "bytes=-8": whole[-8:], "bytes=8-": whole[8:], "bytes=99999999-": b""}
    assert reply.content == parts.get(asked, whole)
    assert ("content-range" in reply.headers) is (status != 200)


@pytest.mark.parametrize("capability", ["x", "a" * 32, "../../v1/transfers", "a" * 500, "%00" * 20, "a" * 31 + "!"])
async def test_an_address_that_nobody_was_given_leads_nowhere(served: Served, capability: str) -> None:
    reply = await served.http.get(f"/v1/files/{capability.replace('/', '%2f')}")
    assert_problem(reply, 404, "not-found")
    assert served.sandbox.wire.requests() == []


async def test_an_address_expires(served: Served) -> None:
    address = await an_address(served)
    served.sandbox.wire.clear()
    served.change(clock=FakeClock(served.services.clock.now() + timedelta(hours=1, seconds=1)))
    assert_problem(await served.http.get(address), 410, "output-expired")
    assert served.sandbox.wire.requests() == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
async def test_a_file_can_only_be_read(served: Served, method: str) -> None:
    reply = await served.http.request(method, await an_address(served))
    assert_problem(reply, 405, "method-not-allowed")
    assert reply.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize("behaviour", [Behaviour.REDIRECT, Behaviour.ERROR, Behaviour.RESET])
async def test_a_file_that_the_provider_keeps_back_is_not_there_now(served: Served, behaviour: Behaviour) -> None:
    address = await an_address(served)
    served.sandbox.behave("fal", "*", behaviour, operation="output")
    assert_problem(await served.http.get(address), 502, "provider-unreachable")
    assert served.sandbox.wire.violations == []


async def test_a_file_that_breaks_off_is_visibly_unfinished(served: Served) -> None:
    address = await an_address(served)
    served.sandbox.behave("fal", "*", Behaviour.CUT, operation="output")
    messages: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False} if not messages else await forever()

    async def send(message: Any) -> None:
        messages.append(message)

    await served.app(a_scope(address), receive, send)
    assert messages[0]["status"] == 200
    assert all(message["more_body"] for message in messages[1:])


async def test_a_reader_who_goes_is_not_read_for(served: Served) -> None:
    address = await an_address(served)
    closed = asyncio.Event()
    gone = asyncio.Event()
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 1_000
                await asyncio.sleep(0)
        finally:
            closed.set()

    class Endless:
        name = "fal"

        async def open_output(self, url: str, *, headers: Any) -> OutputStream:
            return OutputStream(status=200, headers={"content-type": "video/mp4"}, chunks=endless())

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal sent
        sent += len(message.get("body", b""))
        if sent >= 10_000:
            gone.set()

    served.change(providers={"fal": Endless()})
    await served.app(a_scope(address), receive, send)
    assert closed.is_set()
    assert sent < 20_000


async def forever() -> dict[str, Any]:
    await asyncio.Event().wait()
    raise AssertionError


def a_scope(path: str) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }


class JobsAway:
    """Jobs that the database is away for."""

    async def find_output(self, capability: str) -> None:
        raise LedgerUnavailable


async def test_without_the_database_nothing_is_handed_out(served: Served) -> None:
    address = await an_address(served)
    served.change(jobs=JobsAway())
    reply = await served.http.get(address)
    assert_problem(reply, 503, "ledger-unavailable")
    assert reply.headers["retry-after"] == "1"


async def test_what_a_browser_would_run_is_a_download(served: Served) -> None:
    address = await an_address(served)
    fal = served.services.providers["fal"]

    class Drawing:
        name = "fal"

        async def open_output(self, url: str, *, headers: Any) -> Any:
            opened = await fal.open_output(url, headers=headers)
            return replace(opened, headers={**opened.headers, "content-type": "image/svg+xml"})

    served.change(providers={"fal": Drawing()})
    reply = await served.http.get(address)
    assert reply.headers["content-disposition"] == "attachment"
    assert "sandbox" in reply.headers["content-security-policy"]


async def test_streams_are_not_offered(served: Served) -> None:
    assert_problem(await served.http.get("/v1/streams/st-abc"), 501, "not-offered")


async def test_the_surfaces_stand_in_the_openapi_document(served: Served) -> None:
    document = (await served.http.get("/openapi.json")).json()
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
    assert {"falRun", "falSubmit", "falStatus", "falResult", "falCancel", "replicateCreatePrediction"} <= set(ids)
    assert {"replicateGetPrediction", "replicateCancelPrediction", "readFile", "headFile"} <= set(ids)
    assert document["paths"]["/v1/files/{capability}"]["get"]["security"] == []
