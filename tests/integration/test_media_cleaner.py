"""The one door for bytes: memory stays flat, and nothing of a file as it came is left behind."""

import asyncio
import signal
import subprocess
import sys
import wave
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from consent_proxy.adapters.media import cleaning
from consent_proxy.adapters.media.cleaning import FileMediaCleaner
from consent_proxy.adapters.media.workshop import Workshop
from consent_proxy.application.ports.media import MediaStoreUnavailable, MediaTooLarge
from consent_proxy.application.ports.transfers import Overloaded
from consent_proxy.domain.media import AT_HAND_BYTES, CleanMedium, MediaFault, MediaKind
from consent_proxy.domain.refusals import Reason
from tests.media.jpegs import JPEGS
from tests.media.tells import MARKS

SALT = b"salt"


@pytest.fixture
def cleaner(tmp_path: Path) -> Iterator[FileMediaCleaner]:
    made = FileMediaCleaner(tmp_path / "work", max_bytes=60_000_000)
    yield made
    made.close()
    assert list((tmp_path / "work").glob("*")) == []


async def pieces_of(content: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for at in range(0, len(content), size):
        yield content[at : at + size]


def left(tmp_path: Path) -> list[Path]:
    """What lies in the working folder besides locks."""
    return [path for path in (tmp_path / "work").rglob("*") if path.is_file() and path.name != "lock"]


async def test_a_photo_comes_out_clean_and_nothing_is_left_of_how_it_came(
    cleaner: FileMediaCleaner, tmp_path: Path
) -> None:
    medium = await cleaner.clean(pieces_of(JPEGS["baseline"]()), salt=SALT)
    assert isinstance(medium, CleanMedium)
    assert (medium.kind, medium.media_type, medium.extension) == (MediaKind.PHOTO, "image/jpeg", "jpg")
    assert medium.content.at_hand is not None
    assert not any(mark in medium.content.at_hand for mark in MARKS)
    assert medium.bytes == len(medium.content.at_hand)
    assert left(tmp_path) == []


async def test_what_is_large_is_read_piece_by_piece_from_a_file_without_a_name(
    cleaner: FileMediaCleaner, tmp_path: Path
) -> None:
    path = tmp_path / "long.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(2)
        sound.setsampwidth(2)
        sound.setframerate(48_000)
        sound.writeframes(bytes(range(256)) * 130_000)
    content = path.read_bytes()
    assert len(content) > 2 * AT_HAND_BYTES
    medium = await cleaner.clean(pieces_of(content), salt=SALT)
    assert isinstance(medium, CleanMedium)
    assert medium.content.at_hand is None
    assert left(tmp_path) == []
    for _ in range(2):
        pieces = [piece async for piece in medium.content.pieces()]
        assert max(map(len, pieces)) <= 1 << 20
        assert sum(map(len, pieces)) == medium.bytes


async def test_what_the_sender_breaks_off_leaves_nothing(cleaner: FileMediaCleaner, tmp_path: Path) -> None:
    async def breaking_off() -> AsyncIterator[bytes]:
        yield JPEGS["baseline"]()
        assert [path.stat().st_mode & 0o777 for path in left(tmp_path)] == [0o600]
        raise RuntimeError("hung up")

    with pytest.raises(RuntimeError, match="hung up"):
        await cleaner.clean(breaking_off(), salt=SALT)
    assert left(tmp_path) == []


async def test_what_is_too_large_is_let_go_at_once(cleaner: FileMediaCleaner, tmp_path: Path) -> None:
    given = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal given
        while True:
            given += 1_000_000
            yield bytes(1_000_000)

    with pytest.raises(MediaTooLarge):
        await cleaner.clean(endless(), salt=SALT)
    assert given == 61_000_000
    assert left(tmp_path) == []


async def test_a_stripper_that_fails_passes_nothing_on(
    cleaner: FileMediaCleaner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def failing(source: Path, target: Path) -> None:
        raise IndexError(source.read_bytes())

    monkeypatch.setattr(cleaning, "strip_file", failing)
    fault = await cleaner.clean(pieces_of(b"Mia's secret"), salt=SALT)
    assert isinstance(fault, MediaFault)
    assert fault.reason is Reason.MEDIA_NOT_CLEAN
    assert "Mia" not in caplog.text + fault.fault
    assert left(tmp_path) == []


async def test_no_more_wait_than_are_taken_on(cleaner: FileMediaCleaner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning, "MOST_WAITING", 3)
    photo = JPEGS["baseline"]()
    done = await asyncio.gather(
        *(cleaner.clean(pieces_of(photo), salt=SALT) for _ in range(12)), return_exceptions=True
    )
    assert any(isinstance(one, Overloaded) for one in done)
    assert all(isinstance(one, CleanMedium | Overloaded) for one in done)
    assert isinstance(await cleaner.clean(pieces_of(photo), salt=SALT), CleanMedium)


async def test_where_there_is_no_room_nothing_is_taken(tmp_path: Path) -> None:
    (tmp_path / "work").write_text("a file stands there")
    made = FileMediaCleaner(tmp_path / "work", max_bytes=1_000)
    with pytest.raises(MediaStoreUnavailable):
        await made.clean(pieces_of(b"x"), salt=SALT)
    made.close()


KILLED = """
import sys, time
from pathlib import Path
from consent_proxy.adapters.media.workshop import Workshop
with Workshop(Path(sys.argv[1])).bench() as bench:
    (bench / "source").write_bytes(b"as it came")
    print("working", flush=True)
    time.sleep(60)
"""


def test_what_a_killed_process_left_is_removed_by_the_next_and_what_a_living_one_works_on_is_not(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path / "work")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"working\n"
        Workshop(tmp_path / "work")
        assert [path.name for path in left(tmp_path)] == ["source"]
        process.send_signal(signal.SIGKILL)
    assert [path.name for path in left(tmp_path)] == ["source"]
    Workshop(tmp_path / "work")
    assert left(tmp_path) == []
