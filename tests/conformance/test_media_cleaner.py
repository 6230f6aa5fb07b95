"""The one door for bytes: the fake that stands in for it in other tests, and the real one on files."""

import hmac
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from consent_proxy.adapters.media.cleaning import FileMediaCleaner
from consent_proxy.application.ports.media import MediaCleaner, MediaTooLarge, MediaUnreadable
from consent_proxy.domain.media import CleanMedium, MediaFault, MediaKind
from consent_proxy.domain.refusals import Reason
from tests.fakes.media import FakeMediaCleaner, a_file
from tests.media.jpegs import JPEGS
from tests.media.tells import MARK

LIMIT = 200_000
SALT = b"the subject's salt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaning:
    """A cleaner, and a photo for it that says where it was taken, with what gives that away."""

    cleaner: MediaCleaner
    photo: bytes
    mark: bytes


@pytest.fixture(params=["fake", "files"])
def cleaning(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cleaning]:
    if request.param == "fake":
        yield Cleaning(cleaner=FakeMediaCleaner(max_bytes=LIMIT), photo=a_file(secret="at home"), mark=b"at home")
        return
    real = FileMediaCleaner(tmp_path / "work", max_bytes=LIMIT)
    yield Cleaning(cleaner=real, photo=JPEGS["baseline"](), mark=MARK)
    real.close()


async def pieces_of(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), 1_000):
        yield content[at : at + 1_000]


async def test_what_is_not_shown_is_taken_out_and_the_digests_are_keyed(cleaning: Cleaning) -> None:
    medium = await cleaning.cleaner.clean(pieces_of(cleaning.photo), salt=SALT)
    assert isinstance(medium, CleanMedium)
    cleaned = b"".join([piece async for piece in medium.content.pieces()])
    assert (medium.kind, medium.bytes) == (MediaKind.PHOTO, len(cleaned))
    assert cleaning.mark in cleaning.photo
    assert cleaning.mark not in cleaned
    assert "location" in medium.removed
    assert medium.digest == hmac.digest(SALT, cleaned, "sha256").hex()
    assert medium.digest_before == hmac.digest(SALT, cleaning.photo, "sha256").hex()


async def test_what_is_clean_already_stays_as_it_is(cleaning: Cleaning) -> None:
    once = await cleaning.cleaner.clean(pieces_of(cleaning.photo), salt=SALT)
    assert isinstance(once, CleanMedium)
    twice = await cleaning.cleaner.clean(once.content.pieces(), salt=SALT)
    assert isinstance(twice, CleanMedium)
    assert twice.digest == once.digest == twice.digest_before


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7", b"a text"])
async def test_what_is_no_medium_is_a_fault(cleaning: Cleaning, content: bytes) -> None:
    fault = await cleaning.cleaner.clean(pieces_of(content), salt=SALT)
    assert isinstance(fault, MediaFault)
    assert fault.reason is Reason.MEDIA_TYPE_UNSUPPORTED


async def test_what_is_too_large_is_not_read_to_its_end(cleaning: Cleaning) -> None:
    with pytest.raises(MediaTooLarge) as raised:
        await cleaning.cleaner.clean(pieces_of(cleaning.photo + bytes(LIMIT)), salt=SALT)
    assert raised.value.limit == LIMIT


async def test_what_cannot_be_read_is_its_sources_fault(cleaning: Cleaning) -> None:
    async def unreadable() -> AsyncIterator[bytes]:
        yield cleaning.photo[:100]
        raise MediaUnreadable("its host went away")

    with pytest.raises(MediaUnreadable):
        await cleaning.cleaner.clean(unreadable(), salt=SALT)
