"""The stub upstream: fal's run host as far as a benchmark needs it, answering every run at once.

    python -m benchmarks.stub PORT

It reads each request to its end, counts it under the first part of its path and answers a picture's address. Request
id and address are new each time, as fal's are. ``GET /received`` tells the counts.
"""

import asyncio
import json
import sys
from collections import Counter
from typing import cast

import httptools
import uvloop

#: fal's answer to a picture made by flux/schnell, for the number of the request. Nobody reads the address.
_ANSWER = (
    b'{"images":[{"url":"https://v3.fal.media/files/bench/%012x.png","width":1024,"height":768,'
    b'"content_type":"image/png"}],"timings":{"inference":0.2},"seed":42,"has_nsfw_concepts":[false]}'
)
ANSWER_BYTES = len(_ANSWER % 0)

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
_RUN = (_HEAD % ANSWER_BYTES) + b"x-fal-request-id: 00000000-0000-4000-8000-%012x\r\n\r\n" + _ANSWER
_CLOSED = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Stub(asyncio.Protocol):
    """One connection: kept alive, pipelined requests answered in their order. ``received`` is shared by all."""

    def __init__(self, received: Counter[str]) -> None:
        self._received = received
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._url = b""
        self._answers: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.write(_CLOSED)
            self._transport.close()
            return
        if self._answers:
            self._transport.write(b"".join(self._answers))
            self._answers.clear()
            if not self._parser.should_keep_alive():
                self._transport.close()

    def on_message_begin(self) -> None:
        self._url = b""

    def on_url(self, url: bytes) -> None:
        self._url += url  # it may come in pieces

    def on_message_complete(self) -> None:
        if self._parser.get_method() == b"GET":
            told = json.dumps(self._received).encode()
            self._answers.append(_HEAD % len(told) + b"\r\n" + told)
            return
        self._received[first_part(self._url)] += 1
        number = self._received.total()
        self._answers.append(_RUN % (number, number))


def first_part(url: bytes) -> str:
    """The first part of a path: ``service`` of ``/service/fal-ai/flux/schnell``."""
    return url.split(b"/", 2)[1].decode("ascii", "replace") if url.startswith(b"/") else ""


async def _serve(port: int) -> None:
    received: Counter[str] = Counter()
    server = await asyncio.get_running_loop().create_server(lambda: Stub(received), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
