"""The one way to strip a file: by its format, whole or not at all, and once more to see that it is clean."""

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

    Blocking: call it in a worker. Files are read and written piece by piece, so memory does not grow with their size.
    ``target`` appears complete or not at all. Raises `MediaRefused` for what is not wholly understood, and for an
    output that a second stripping would change; ``OSError`` for what the file system refuses.
    """
    known = _known_format(source)
    strip = _STRIPPERS[known]
    before = source.stat().st_size
    unfinished = target.with_name(f".{target.name[:64]}.{secrets.token_hex(8)}.part")
    try:
        with unfinished.open("xb") as file:
            removed = strip(source, file.write)
        _check_clean(unfinished, known, strip)
        after = unfinished.stat().st_size
        os.replace(unfinished, target)  # noqa: PTH105 - `Path.replace` says nothing more
    finally:
        unfinished.unlink(missing_ok=True)
    if not removed and before != after:
        removed = frozenset({TagGroup.TECHNICAL})  # padding, a spare header, a name of the program that wrote it
    return Stripped(
        format=known,
        removed=tuple(group for group in TagGroup if group in removed),
        bytes_before=before,
        bytes_after=after,
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
    what = f"it is {name}" if name else "its type is not known"
    raise MediaRefused("media-type-unsupported", f"{what}; send {', '.join(known.name for known in _STRIPPERS)}")


def _check_clean(written: Path, known: MediaFormat, strip: Strip) -> None:
    """Strip what was written once more: it must be known as the same, hold nothing to remove, and not change."""
    with written.open("rb") as file:
        if sniff(file.read(HEAD_BYTES)) != known:
            raise not_clean("the cleaned file is of another type than the file was")
        again = _Comparison(file.fileno())
        left = strip(written, again.compare)
        if left or not again.is_equal:
            raise not_clean("the cleaned file does not stay the same when it is cleaned again")


class _Comparison:
    """Takes pieces as a file would, and compares them with what is there."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._at = 0
        self._same = True

    def compare(self, piece: Piece) -> None:
        # Block by block, so that neither side is ever held whole, and as `bytes`, which compare ten times as fast as
        # views do.
        for start in range(0, len(piece), _BLOCK):
            block = bytes(piece[start : start + _BLOCK])
            self._same = self._same and os.pread(self._descriptor, len(block), self._at) == block
            self._at += len(block)

    @property
    def is_equal(self) -> bool:
        return self._same and self._at == os.fstat(self._descriptor).st_size
