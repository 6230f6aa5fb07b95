"""Fetching media that a request names by address, on real sockets: listed hosts, public machines, and within limits."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from consent_proxy.adapters.addresses import PublicResolver
from consent_proxy.adapters.http import Outbound, OutboundTransport
from consent_proxy.adapters.media.sources import ListedSources, source_transport
from consent_proxy.application.ports.media import MediaTooLarge, MediaUnreadable
from tests.source_host import SourceHost, serving_files

PHOTO = b"pixels" * 10_000


@pytest.fixture
def source() -> Iterator[SourceHost]:
    with serving_files() as source:
        source.files["/photo.jpg"] = PHOTO
        yield source


@pytest.fixture
async def sources(source: SourceHost) -> AsyncIterator[ListedSources]:
    outbound = Outbound(source_transport([source.host]))
    yield ListedSources(outbound, hosts=[source.host], max_bytes=100_000, longest=1.0)
    await outbound.aclose()


async def fetch(sources: ListedSources, url: str) -> bytes:
    return b"".join([piece async for piece in sources.fetch(url)])


async def test_a_file_on_a_listed_host_is_read_whole(sources: ListedSources, source: SourceHost) -> None:
    assert sources.allows(source.url("/photo.jpg?signature=s"))
    assert await fetch(sources, source.url("/photo.jpg?signature=s")) == PHOTO
    [(path, headers)] = source.requests
    assert path == "/photo.jpg?signature=s"
    assert {"authorization", "cookie", "referer"}.isdisjoint(headers)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/photo.jpg",
        "http://127.0.0.1/photo.jpg",
        "https://media.test:444/photo.jpg",
        "http://media.test/photo.jpg",
        "https://user:pass@media.test/photo.jpg",
        "https://media.test.evil.test/photo.jpg",
        "https://evilmedia.test/photo.jpg",
        "https://127.0.0.1/photo.jpg",
        "https://10.0.0.1/photo.jpg",
        "https://[::1]/photo.jpg",
    ],
)
async def test_what_is_not_listed_is_not_allowed(url: str) -> None:
    hosts = ["media.test", "*.cdn.test", "10.0.0.1", "127.0.0.1", "[::1]"]
    listed = ListedSources(Outbound(source_transport(hosts)), hosts=hosts, max_bytes=1)
    assert listed.allows("https://media.test/photo.jpg")
    assert listed.allows("https://eu.cdn.test/photo.jpg")
    assert not listed.allows(url)


async def test_a_listed_name_that_leads_to_this_machine_is_not_even_connected_to() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    hosts = [f"media.test:{port}"]

    class Rebinding(AbstractResolver):
        """Says that the host is this machine, as a name under somebody else's control may at any time."""

        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
        ) -> list[ResolveResult]:
            return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=family, proto=0, flags=0)]

        async def close(self) -> None:
            pass

    resolver = PublicResolver(exempt=frozenset(), resolver=Rebinding())
    outbound = Outbound(OutboundTransport(resolver=resolver, keepalive_seconds=None))
    listed = ListedSources(outbound, hosts=hosts, max_bytes=100_000)
    url = f"https://media.test:{port}/photo.jpg"
    assert listed.allows(url)
    with pytest.raises(MediaUnreadable):
        await fetch(listed, url)
    await outbound.aclose()
    listener.setblocking(False)
    with listener, pytest.raises(BlockingIOError):
        listener.accept()


async def test_a_source_that_drips_is_given_up_in_time(sources: ListedSources, source: SourceHost) -> None:
    source.drip_seconds = 0.05
    began = time.monotonic()
    with pytest.raises(MediaUnreadable):
        await fetch(sources, source.url("/photo.jpg"))
    assert time.monotonic() - began < 10


async def test_a_redirect_is_not_followed(sources: ListedSources, source: SourceHost) -> None:
    source.redirect_to = source.url("/elsewhere")
    with pytest.raises(MediaUnreadable, match="302"):
        await fetch(sources, source.url("/photo.jpg"))
    assert len(source.requests) == 1


async def test_what_is_not_there_is_unreadable(sources: ListedSources, source: SourceHost) -> None:
    with pytest.raises(MediaUnreadable, match="404"):
        await fetch(sources, source.url("/nothing.jpg"))


async def test_a_file_that_says_it_is_too_large_is_not_read(sources: ListedSources, source: SourceHost) -> None:
    source.files["/huge.jpg"] = bytes(100_001)
    with pytest.raises(MediaTooLarge):
        await fetch(sources, source.url("/huge.jpg"))


async def test_no_error_repeats_the_address(
    sources: ListedSources, source: SourceHost, caplog: pytest.LogCaptureFixture
) -> None:
    for path in ("/nothing.jpg?signature=secret", "/photo.jpg?signature=secret"):
        source.drip_seconds = 0.5
        with pytest.raises(MediaUnreadable) as raised:
            await fetch(sources, source.url(path))
        assert "secret" not in repr(raised.value)
        assert raised.value.__cause__ is None
    assert "secret" not in caplog.text


async def test_many_are_fetched_at_once_each_on_a_connection_of_its_own(
    sources: ListedSources, source: SourceHost
) -> None:
    found = await asyncio.gather(*(fetch(sources, source.url("/photo.jpg")) for _ in range(5)))
    assert found == [PHOTO] * 5
    assert len(source.requests) == 5
