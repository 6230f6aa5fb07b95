"""A wire to Postgres that a test can cut at a chosen moment of the conversation."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

BIND, SYNC, READY = b"B", b"S", b"Z"
#: For a statement to have reached the server's process, which then waits for a lock.
BEGUN_WITHIN = 0.1


class Cut(Enum):
    """Where the wire breaks when a statement that carries the marker comes by."""

    BEFORE_IT_ARRIVES = auto()
    WHILE_IT_RUNS = auto()
    BEFORE_ITS_ANSWER = auto()


@dataclass(eq=False)
class Wire:
    """Carries connections to a server's socket. ``arm`` it with bytes of a value that the statement will bind.

    It breaks once. A server whose statement was running when it broke is not told: its end stays open.
    """

    server: Path
    happened: asyncio.Event = field(default_factory=asyncio.Event)
    _cut: Cut | None = None
    _marker: bytes = b""
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    def arm(self, cut: Cut, marker: bytes) -> None:
        self._cut, self._marker = cut, marker
        self.happened.clear()

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        from_server, to_server = await asyncio.open_unix_connection(str(self.server))
        self._open |= {writer, to_server}
        broken: asyncio.Future[Cut] = asyncio.get_running_loop().create_future()
        ways = [
            asyncio.create_task(self._requests(reader, to_server, broken)),
            asyncio.create_task(self._answers(from_server, writer, broken)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        self._close(writer)
        if not (broken.done() and broken.result() is Cut.WHILE_IT_RUNS):
            self._close(to_server)
        self._tasks.discard(task)

    async def aclose(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in list(self._open):
            self._close(writer)
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _requests(
        self, reader: asyncio.StreamReader, to_server: asyncio.StreamWriter, broken: "asyncio.Future[Cut]"
    ) -> None:
        # The first message has no letter.
        length = await reader.readexactly(4)
        to_server.write(length + await reader.readexactly(int.from_bytes(length) - 4))
        while True:
            letter, body = await _message(reader)
            if self._cut is not None and letter == BIND and self._marker in body:
                broken.set_result(self._cut)
                self._cut = None
            if broken.done() and broken.result() is Cut.BEFORE_IT_ARRIVES:
                self.happened.set()
                return
            to_server.write(letter + body)
            await to_server.drain()
            if broken.done() and broken.result() is Cut.WHILE_IT_RUNS and letter == SYNC:
                await asyncio.sleep(BEGUN_WITHIN)
                self.happened.set()
                return

    async def _answers(
        self, from_server: asyncio.StreamReader, writer: asyncio.StreamWriter, broken: "asyncio.Future[Cut]"
    ) -> None:
        while True:
            letter, body = await _message(from_server)
            if not broken.done():
                writer.write(letter + body)
                await writer.drain()
            elif letter == READY and broken.result() is Cut.BEFORE_ITS_ANSWER:
                self.happened.set()
                return

    def _close(self, writer: asyncio.StreamWriter) -> None:
        writer.close()
        self._open.discard(writer)


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    letter = await reader.readexactly(1)
    length = await reader.readexactly(4)
    return letter, length + await reader.readexactly(int.from_bytes(length) - 4)


@asynccontextmanager
async def wire_to(url: str, *, folder: Path) -> AsyncIterator[tuple[Wire, str]]:
    """A wire to the server of a URL with a socket's folder in it, and the URL that leads through the wire."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    port = query["port"][0]
    name = f".s.PGSQL.{port}"
    wire = Wire(server=Path(query["host"][0]) / name)
    server = await asyncio.start_unix_server(wire.carry, str(folder / name))
    try:
        yield wire, parts._replace(query=f"host={quote(str(folder))}&port={port}").geturl()
    finally:
        server.close()
        await wire.aclose()
        await server.wait_closed()
