"""The stub upstream and the pass-through are honest HTTP: what they are measured by has to be right first."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator

import httpx
import pytest

from benchmarks import passthrough
from benchmarks.stub import ANSWER_BYTES, Stub

RUN = b'POST /service/fal-ai/flux/schnell HTTP/1.1\r\nHost: stub\r\nContent-Length: 15\r\n\r\n{"prompt":"hi"}'
TOLD = b"GET /received HTTP/1.1\r\nHost: stub\r\n\r\n"


@pytest.fixture
async def port() -> AsyncIterator[int]:
    received: Counter[str] = Counter()
    server = await asyncio.get_running_loop().create_server(lambda: Stub(received), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def read_answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return head, await reader.readexactly(length)


def is_answer(body: bytes, number: int) -> bool:
    url: str = json.loads(body)["images"][0]["url"]
    return len(body) == ANSWER_BYTES and url.endswith(f"/{number:012x}.png")


async def test_one_connection_carries_many_requests_each_with_an_id_of_its_own(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heads = set()
    for number in range(1, 4):
        writer.write(RUN)
        head, body = await read_answer(reader)
        assert is_answer(body, number)
        heads.add(head)
    assert len(heads) == 3
    writer.close()
    await writer.wait_closed()


async def test_pipelined_requests_are_answered_in_their_order(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(RUN + TOLD + RUN + TOLD)
    answers = [(await read_answer(reader))[1] for _ in range(4)]
    assert is_answer(answers[0], 1)
    assert is_answer(answers[2], 2)
    assert answers[1::2] == [b'{"service": 1}', b'{"service": 2}']
    writer.close()
    await writer.wait_closed()


async def test_a_request_in_pieces_is_answered_only_when_the_last_one_is_there(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for number, cut in enumerate((9, 60, len(RUN) - 1), start=1):
        writer.write(RUN[:cut])
        await writer.drain()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.05)
        writer.write(RUN[cut:])
        assert is_answer((await read_answer(reader))[1], number)
    writer.write(TOLD)
    assert json.loads((await read_answer(reader))[1]) == {"service": 3}
    writer.close()
    await writer.wait_closed()


async def test_what_is_no_http_is_told_so_and_not_counted(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hello\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()
    await writer.wait_closed()
    async with httpx.AsyncClient() as client:
        assert (await client.get(f"http://127.0.0.1:{port}/received")).json() == {}


async def test_the_pass_through_hands_both_ways_what_it_gets(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSTREAM_URL", f"http://127.0.0.1:{port}/pass-through")
    monkeypatch.setenv("UPSTREAM_KEY", "stub:key")
    transport = httpx.ASGITransport(passthrough.app)
    async with (
        passthrough.app.router.lifespan_context(passthrough.app),
        httpx.AsyncClient(transport=transport, base_url="http://pass-through") as client,
    ):
        reply = await client.post("/fal/run/fal-ai/flux/schnell", json={"prompt": "hi"})
        assert reply.status_code == 200
        assert is_answer(reply.content, 1)
        received = await client.get(f"http://127.0.0.1:{port}/received")
    assert received.status_code == 404  # the client above reaches only the pass-through
    async with httpx.AsyncClient() as direct:
        assert (await direct.get(f"http://127.0.0.1:{port}/received")).json() == {"pass-through": 1}
