"""Files built to keep a reader busy are refused, or cleaned, long before anybody has to wait."""

import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from consent_proxy.adapters.media.stripping import MediaRefused, strip_file
from tests.media import gifs, heifs, pngs, webps
from tests.media.heifs import HEVC, Part
from tests.media.jpegs import encoded, icc_segments, scene, segment

LONGEST_SECONDS = 2


def directories_within_directories() -> bytes:
    """EXIF whose every byte begins a directory that leads to the next byte."""
    head = b"MM\x00*" + struct.pack(">I", 8)
    return (
        pngs.encoded(scene())[:33] + pngs.chunk(b"eXIf", head + bytes(range(256)) * 4096) + pngs.encoded(scene())[33:]
    )


def tiles_of_the_same_bytes() -> bytes:
    """A thousand pictures that all claim the same place: written out, each would get its own."""
    data, said = heifs.coded(HEVC)
    tiles = [Part(id=number, kind=b"hvc1", data=b"", properties=list(said)) for number in range(2, 1002)]
    tiles[0].data = data
    shape = struct.pack(">BBBBHH", 0, 0, 39, 24, 640, 640)
    grid = Part(id=1, kind=b"grid", data=shape, references={b"dimg": [tile.id for tile in tiles]}, is_inner=True)
    whole = heifs.written(HEVC, [grid, *tiles])
    at = whole.index(b"iloc") + 14
    entries = [whole[start : start + 30] for start in range(at, at + 30 * 1001, 30)]
    same = [entries[0], *(entry[:8] + entries[1][8:] for entry in entries[1:])]
    return whole[:at] + b"".join(same) + whole[at + 30 * 1001 :]


def units_for_nobody() -> bytes:
    """Half a million messages of no content."""
    data, said = heifs.coded(HEVC)
    return heifs.written(
        HEVC, [Part(id=1, kind=b"hvc1", data=data + b"\x00\x00\x00\x02\x4e\x01" * 500_000, properties=list(said))]
    )


def jpeg_with(extra: bytes) -> bytes:
    return encoded(scene())[:20] + extra + encoded(scene())[20:]


def png_with(extra: bytes) -> bytes:
    return pngs.encoded(scene())[:33] + extra + pngs.encoded(scene())[33:]


def webp_with(extra: bytes) -> bytes:
    return webps.riff(webps.encoded(scene())[12:] + extra)


def gif_with(extra: bytes) -> bytes:
    return gifs.moving()[:-1] + extra + b";"


#: How each is made, and why it is refused; None for what can be cleaned.
HOSTILE: dict[str, tuple[Callable[[], bytes], str | None]] = {
    "JPEG of many comments": (lambda: jpeg_with(segment(0xFE, b"") * 500_000), "more segments"),
    "JPEG of fill bytes": (lambda: encoded(scene())[:20] + b"\xff" * 8_000_000, "ends"),
    "JPEG with a profile of zeros": (lambda: jpeg_with(icc_segments(bytes(65_000 * 120), part=65_000)), None),
    "PNG of many texts": (lambda: png_with(pngs.chunk(b"tEXt", b"") * 300_000), "more chunks"),
    "PNG of nested directories": (directories_within_directories, None),
    "WebP of many chunks": (lambda: webp_with(webps.chunk(b"PRIV", b"") * 300_000), "more chunks"),
    "GIF of nothing": (lambda: gif_with(bytes(3_000_000)), "more parts"),
    "GIF of many comments": (lambda: gif_with(b"\x21\xfe\x00" * 300_000), "more parts"),
    "GIF in small pieces": (lambda: gif_with(b"\x21\xfe" + b"\x01a" * 3_000_000 + b"\x00"), "more blocks"),
    "HEIC of one picture many times": (tiles_of_the_same_bytes, "larger than the file"),
    "HEIC of many messages": (units_for_nobody, "more units"),
    "HEIC of many boxes": (lambda: heifs.plain(HEVC, "RGB") + b"\x00\x00\x00\x08free" * 300_000, "boxes"),
}


@pytest.mark.parametrize(("make", "said"), HOSTILE.values(), ids=HOSTILE)
def test_nobody_waits(tmp_path: Path, make: Callable[[], bytes], said: str | None) -> None:
    (tmp_path / "in").write_bytes(make())
    start = time.thread_time()
    if said is None:
        strip_file(tmp_path / "in", tmp_path / "out")
    else:
        with pytest.raises(MediaRefused, match=said):
            strip_file(tmp_path / "in", tmp_path / "out")
    assert time.thread_time() - start < LONGEST_SECONDS
