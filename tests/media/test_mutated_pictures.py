"""Two hundred damaged copies of each format: each is refused or clean, none crashes, none takes long."""

import random
import re
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from consent_proxy.adapters.media.kinds import AVIF, GIF, HEIC, JPEG, PNG, WEBP, MediaFormat
from consent_proxy.adapters.media.stripping import MediaRefused, strip_file
from tests.media.corpus import STILLS, picture
from tests.media.mutants import mutated
from tests.media.tells import MARKS

MUTANTS = 200
LONGEST_SECONDS = 2


def riff_chunks(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(body):
        kind, length = struct.unpack_from("<4sI", body, at)
        yield kind, body[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def around_jpeg_scans(content: bytes) -> bytes:
    return re.sub(rb"(\xff\xda.{10}).*?(?=\xff[\x01-\xcf\xd8-\xfe])", rb"\1", content, flags=re.DOTALL)


def around_png_pixels(content: bytes) -> bytes:
    kept, at = b"", 8
    while at < len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        kept += b"" if kind in {b"IDAT", b"fdAT"} else content[at : at + 12 + length]
        at += 12 + length
    return kept


def around_webp_pixels(content: bytes) -> bytes:
    kept = b""
    for kind, body in riff_chunks(content[12:]):
        inner = riff_chunks(body[16:]) if kind == b"ANMF" else [(kind, body)]
        kept += b"".join(part for name, part in inner if name not in {b"VP8 ", b"VP8L", b"ALPH"})
    return kept


def around_gif_pixels(content: bytes) -> bytes:
    """Screen, frames' places and extensions; colour tables are samples as well, for any three bytes are a colour."""

    def table(flags: int) -> int:
        return 3 * (2 << (flags & 7)) if flags & 0x80 else 0

    kept, at = content[:13], 13 + table(content[10])
    while content[at] != 0x3B:
        if not content[at]:
            at += 1
            continue
        is_image = content[at] == 0x2C
        head = 10 if is_image else 2
        kept += content[at : at + head]
        at += head + (1 + table(content[at + 9]) if is_image else 0)
        while content[at]:
            kept += b"" if is_image else content[at : at + 1 + content[at]]
            at += 1 + content[at]
        at += 1
    return kept


def before_mdat(content: bytes) -> bytes:
    return content[: content.index(b"mdat")]


AROUND: dict[MediaFormat, Callable[[bytes], bytes]] = {
    JPEG: around_jpeg_scans,
    PNG: around_png_pixels,
    WEBP: around_webp_pixels,
    GIF: around_gif_pixels,
    HEIC: before_mdat,
    AVIF: before_mdat,
}


@pytest.mark.parametrize("known", STILLS, ids=lambda known: known.name)
def test_a_damaged_picture_is_refused_or_clean_and_never_takes_long(tmp_path: Path, known: MediaFormat) -> None:
    dice = random.Random(f"{known.name} 4711")
    names = list(STILLS[known])
    passed = 0
    for number in range(MUTANTS):
        (tmp_path / "in").write_bytes(mutated(picture(known, names[number % len(names)]), dice))
        start = time.thread_time()
        with suppress(MediaRefused):
            strip_file(tmp_path / "in", tmp_path / "out")
            passed += 1
            around = AROUND[known]((tmp_path / "out").read_bytes())
            assert not any(mark in around for mark in MARKS), f"mutant {number}"
        assert time.thread_time() - start < LONGEST_SECONDS, f"mutant {number}"
    assert 0 < passed < MUTANTS


@pytest.mark.parametrize("known", STILLS, ids=lambda known: known.name)
def test_the_test_above_looks_everywhere_but_at_samples(known: MediaFormat) -> None:
    content = picture(known, next(iter(STILLS[known])))
    if known not in {HEIC, AVIF}:
        assert any(mark in AROUND[known](content) for mark in MARKS)
    assert len(AROUND[known](content)) < len(content)
