"""Raw loopback servers that keep what arrives and misbehave as they are told."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Line:
    """One connection, as the server sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, spoken_to: asyncio.Event) -> None:
        self._reader = reader
        self._writer = writer
        self._spoken_to = spoken_to

    async def request(self) -> bytes:
        """The bytes of the next request, or none when the client hung up."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await self._reader.readuntil(b"\r\n\r\n")
            self._spoken_to.set()
            fields = dict(line.lower().split(b": ", 1) for line in head.strip().split(b"\r\n")[1:])
            if b"transfer-encoding" in fields:
                return head + await self._reader.readuntil(b"0\r\n\r\n")
            return head + await self._reader.readexactly(int(fields.get(b"content-length", b"0")))
        return b""

    async def say(self, reply: bytes) -> None:
        with suppress(ConnectionError):
            self._writer.write(reply)
            await self._writer.drain()

    def close(self) -> None:
        self._writer.close()

    def reset(self) -> None:
        at_once = struct.pack("ii", 1, 0)
        self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
        self._writer.transport.abort()


Answer = Callable[[Line, bytes], Awaitable[None]]


class Peer:
    """A server that keeps what arrives; a function answers each request."""

    def __init__(self, answer: Answer) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.spoken_to = asyncio.Event()
        self.reached = asyncio.Event()
        self.hung_up = asyncio.Event()
        self.url = ""
        self._answer = answer
        self._talks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def start(self, tls: ssl.SSLContext | None) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=tls, limit=1 << 24, backlog=256)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/run"

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        talk = asyncio.create_task(self._talk(Line(reader, writer, self.spoken_to)))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _talk(self, line: Line) -> None:
        try:
            while request := await line.request():
                self.requests.append(request)
                self.reached.set()
                await self._answer(line, request)
            self.hung_up.set()
        finally:
            line.close()

    async def stop(self) -> None:
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()


def says(reply: bytes, *, then_closes: bool = False) -> Answer:
    async def answer(line: Line, request: bytes) -> None:
        await line.say(reply)
        if then_closes:
            line.close()

    return answer


async def resets(line: Line, request: bytes) -> None:
    line.reset()


async def keeps_silent(line: Line, request: bytes) -> None:
    """Says nothing; sees all the same when the client hangs up."""


class Serve:
    """Starts peers, and stops them all."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []

    async def __call__(self, answer: Answer, *, tls: ssl.SSLContext | None = None) -> Peer:
        peer = Peer(answer)
        await peer.start(tls)
        self.peers.append(peer)
        return peer

    async def stop(self) -> None:
        for peer in self.peers:
            await peer.stop()


def certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's TLS context whose certificate nobody vouches for, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
    day = timedelta(days=1)
    builder = builder.serial_number(1).not_valid_before(now - day).not_valid_after(now + day)
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    signed = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
    pem = signed.public_bytes(serialization.Encoding.PEM)
    encoding = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "chain.pem").write_bytes(pem + key.private_bytes(*encoding))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "chain.pem")
    return server, ssl.create_default_context(cadata=pem.decode())
