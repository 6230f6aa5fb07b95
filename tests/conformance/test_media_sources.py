"""Hosts outside from which media may be fetched: the fake, and the real one on a real socket."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest

from consent_proxy.adapters.http import Outbound
from consent_proxy.adapters.media.sources import ListedSources, source_transport
from consent_proxy.application.ports.media import MediaSource, MediaUnreadable
from tests.fakes.media import FakeMediaSource
from tests.source_host import SourceHost, serving_files


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source of media, and the beginning of addresses on its listed host, where there is one file, `/photo`."""

    sources: MediaSource
    listed: str


@pytest.fixture
def host() -> Iterator[SourceHost]:
    with serving_files() as host:
        host.files["/photo"] = b"pixels"
        yield host


@pytest.fixture(params=["fake", "socket"])
async def source(request: pytest.FixtureRequest) -> AsyncIterator[Source]:
    if request.param == "fake":
        fake = FakeMediaSource()
        fake.files["https://listed.test/photo"] = b"pixels"
        yield Source(sources=fake, listed="https://listed.test")
        return
    host: SourceHost = request.getfixturevalue("host")
    outbound = Outbound(source_transport([host.host]))
    yield Source(sources=ListedSources(outbound, hosts=[host.host], max_bytes=1_000), listed=f"http://{host.host}")
    await outbound.aclose()


async def test_a_listed_file_is_read_each_time_it_is_asked_for(source: Source) -> None:
    assert source.sources.allows(f"{source.listed}/photo")
    for _ in range(2):
        pieces = [piece async for piece in source.sources.fetch(f"{source.listed}/photo")]
        assert b"".join(pieces) == b"pixels"


async def test_what_is_not_there_cannot_be_read(source: Source) -> None:
    with pytest.raises(MediaUnreadable):
        [piece async for piece in source.sources.fetch(f"{source.listed}/nothing")]


@pytest.mark.parametrize("url", ["https://elsewhere.test/photo", "http://elsewhere.test/photo"])
async def test_another_host_is_not_allowed(source: Source, url: str) -> None:
    assert not source.sources.allows(url)
