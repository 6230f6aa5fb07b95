"""What stripping a large film, sound or archive costs: little time, and no memory that grows with the file."""

import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from consent_proxy.adapters.media.stripping import strip_file
from consent_proxy.adapters.media.tags import MediaRefused
from tests.media.demuxing import film_samples
from tests.media.films import Layout, Reel, aac_entry, avc_entry, box, film, film_head, table_of, track_of
from tests.media.sounds import chunk, coding, riff
from tests.media.webms import UNKNOWN, element, webm

MEGABYTE = 1024 * 1024
LARGE = 64 * MEGABYTE

#: Strips one file in a process of its own, and prints by how much that made the process grow at its largest.
GROWTH = """
import resource, sys
from pathlib import Path
from consent_proxy.adapters.media.stripping import strip_file
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
strip_file(Path(sys.argv[1]), Path(sys.argv[2]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def long_film(megabytes: int) -> bytes:
    """A minute of video in 1,800 samples, and of sound in 2,600."""
    picture = bytes(range(256)) * (megabytes * MEGABYTE // 256 // 1800)
    video = Reel(handler=b"vide", entry=avc_entry(), samples=(picture,) * 1800)
    sound = Reel(handler=b"soun", entry=aac_entry(), samples=(bytes(range(200)),) * 2600)
    return film(video, sound, layout=Layout(loose=b""))


def test_a_film_of_fifty_megabytes_takes_less_than_two_hundred_milliseconds(tmp_path: Path) -> None:
    content = long_film(50)
    (tmp_path / "in").write_bytes(content)
    taken = []
    for _ in range(3):
        start = time.thread_time()
        strip_file(tmp_path / "in", tmp_path / "out")
        taken.append(time.thread_time() - start)
    assert min(taken) < 0.2
    assert film_samples((tmp_path / "out").read_bytes()) == film_samples(content)


@pytest.mark.parametrize("name", ["film", "sound"])
def test_memory_does_not_grow_with_the_file(tmp_path: Path, name: str) -> None:
    content = long_film(LARGE // MEGABYTE) if name == "film" else riff(coding(), chunk(b"data", bytes(LARGE)))
    (tmp_path / "in").write_bytes(content)
    command = [sys.executable, "-c", GROWTH, str(tmp_path / "in"), str(tmp_path / "out")]
    grown = int(subprocess.run(command, check=True, capture_output=True, timeout=60).stdout)
    (tmp_path / "in").unlink()
    (tmp_path / "out").unlink()
    assert grown * (1 if sys.platform == "darwin" else 1024) < LARGE // 4


def of_many_blocks() -> bytes:
    """A film of four megabytes whose end is not said, of the smallest blocks there are."""
    head = webm(clusters=[], is_open=True)
    head = head[: head.rindex(b"\x1c\x53\xbb\x6b")]
    return head + b"\x1f\x43\xb6\x75" + UNKNOWN + element(0xE7, b"\x00") + b"\xa3\x84\x81\x00\x00\x00" * 700_000


def of_many_voids() -> bytes:
    return of_many_blocks().partition(b"\xa3\x84\x81")[0] + b"\xec\x81\x4d" * 200_000


def of_many_frames() -> bytes:
    return b"\xff\xf3\x14\xc0".ljust(24, b"\x00") * 1_100_000


def of_many_tracks() -> bytes:
    return box(b"ftyp", b"isom", bytes(4)) + box(b"moov", film_head(version=0), box(b"trak") * 30_000)


def of_many_boxes() -> bytes:
    return box(b"ftyp", b"isom", bytes(4)) + box(b"free") * 200_000


def of_many_samples() -> bytes:
    """Tables of ten megabytes: each sample is nothing, and they stand in as many chunks as a track may have."""
    count = 250_000
    reel = Reel(handler=b"vide", entry=avc_entry(), samples=(b"",) * count)
    stbl = table_of(reel, [100] * count, by_chunk=1, wide=False)
    moov = box(b"moov", film_head(version=0), track_of(reel, 1, stbl, version=0))
    return box(b"ftyp", b"isom", bytes(4)) + moov + box(b"mdat")


@pytest.mark.parametrize(
    "make", [of_many_blocks, of_many_voids, of_many_frames, of_many_tracks, of_many_boxes, of_many_samples]
)
def test_a_file_of_very_many_parts_keeps_nobody_waiting(tmp_path: Path, make: Callable[[], bytes]) -> None:
    (tmp_path / "in").write_bytes(make())
    start = time.thread_time()
    with suppress(MediaRefused):
        strip_file(tmp_path / "in", tmp_path / "out")
    assert time.thread_time() - start < 5
