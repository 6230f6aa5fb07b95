"""The one way to strip a file: by its format, whole or not at all, and once more to see that it is clean."""

import mmap
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from consent_proxy.adapters.media.archive import strip_archive
from consent_proxy.adapters.media.kinds import HEAD_BYTES, ZIP, MediaFormat, sniff, unsupported_name
from consent_proxy.adapters.media.moving import MOVING_STRIPPERS
from consent_proxy.adapters.media.pieces import Piece, Strip
from consent_proxy.adapters.media.stills import STILL_STRIPPERS
from consent_proxy.adapters.media.tags import MediaRefused, TagGroup, not_clean

__all__ = ["MediaRefused", "Stripped", "TagGroup", "strip_file"]

_BLOCK = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Stripped:
    """What became of a file. ``removed`` is in the order of `TagGroup`, and empty when the file was clean already."""

    format: MediaFormat
    removed: tuple[TagGroup, ...]
    bytes_before: int
    bytes_after: int


def strip_file(source: Path, target: Path) -> Stripped:
    """Write to ``target`` what of ``source`` shows the same picture, film or sound, and nothing else.

    Blocking: call it in a worker. Files are mapped and written piece by piece, so memory does not grow with their size.
    ``target`` appears complete or not at all. Raises `MediaRefused` for what is not wholly understood, and for an
    output that a second stripping would change; ``OSError`` for what the file system refuses.
    """
    known = _known_format(source)
    strip = _STRIPPERS.get(known)
    if strip is None:
        raise MediaRefused("media-type-unsupported", f"{known.name} files cannot be cleaned yet")
    unfinished = target.with_name(f".{target.name[:64]}.{secrets.token_hex(8)}.part")
    try:
        with unfinished.open("xb") as file:
            removed = strip(source, file.write)
        _check_clean(unfinished, known, strip)
        written = unfinished.stat().st_size
        os.replace(unfinished, target)  # noqa: PTH105 - `Path.replace` says nothing more
    finally:
        unfinished.unlink(missing_ok=True)
    return Stripped(
        format=known,
        removed=tuple(group for group in TagGroup if group in removed),
        bytes_before=source.stat().st_size,
        bytes_after=written,
    )


#: A stripper for each format; what is not in here is refused. An archive's members go the same way.
_STRIPPERS: Mapping[MediaFormat, Strip] = {
    **STILL_STRIPPERS,
    **MOVING_STRIPPERS,
    ZIP: partial(strip_archive, strip_file),
}


def _known_format(source: Path) -> MediaFormat:
    with source.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if known := sniff(head):
        return known
    if not head:
        raise MediaRefused("media-type-unsupported", "the file is empty")
    name = unsupported_name(head)
    raise MediaRefused("media-type-unsupported", f"{name} is not supported" if name else "the file's type is not known")


def _check_clean(written: Path, known: MediaFormat, strip: Strip) -> None:
    """Strip what was written once more: it must be known as the same, hold nothing to remove, and not change."""
    with written.open("rb") as file:
        if sniff(file.read(HEAD_BYTES)) != known:
            raise not_clean("the cleaned file is of another type than the file was")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            again = _Comparison(content)
            left = strip(written, again.compare)
    if left or not again.is_equal:
        raise not_clean("the cleaned file does not stay the same when it is cleaned again")


class _Comparison:
    """Takes pieces as a file would, and compares them with what is there."""

    def __init__(self, expected: mmap.mmap) -> None:
        self._expected = expected
        self._length = len(expected)
        self._at = 0
        self._same = True

    def compare(self, piece: Piece) -> None:
        # Block by block and as `bytes`, which compare ten times as fast as views do.
        for start in range(0, len(piece), _BLOCK):
            block = bytes(piece[start : start + _BLOCK])
            self._same = self._same and self._expected[self._at : self._at + len(block)] == block
            self._at += len(block)

    @property
    def is_equal(self) -> bool:
        return self._same and self._at == self._length
