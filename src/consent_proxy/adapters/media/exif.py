"""EXIF: read for the orientation of the picture and for what else it says, and built anew with the orientation only."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from consent_proxy.adapters.media.pieces import Piece
from consent_proxy.adapters.media.tags import TagGroup

#: What stands before the block in a JPEG, and by mistake in others.
EXIF_MARK = b"Exif\x00\x00"

_UPRIGHT = 1
_ORIENTATIONS = range(2, 9)

_ORIENTATION, _EXIF, _GPS, _INTEROPERABILITY, _MAKER_NOTE = 0x0112, 0x8769, 0x8825, 0xA005, 0x927C
_SHORT, _LONG = 3, 4
_ENTRY = 12
# What lies beyond is not looked at, and goes like the rest.
_MOST_DIRECTORIES, _MOST_ENTRIES, _MOST_BYTES = 16, 1024, 1 << 20

_GROUPS: dict[int, TagGroup] = {
    **dict.fromkeys((0x0132, 0x9003, 0x9004, 0x9010, 0x9011, 0x9012, 0x9290, 0x9291, 0x9292), TagGroup.DATES),
    **dict.fromkeys((0x010F, 0x0110, 0xA431, 0xA432, 0xA433, 0xA434, 0xA435, 0xA420, 0xC62F, 0xC614), TagGroup.CAMERA),
    **dict.fromkeys(range(0x829A, 0x829E), TagGroup.CAMERA),  # exposure time and f-number
    **dict.fromkeys(range(0x8822, 0x8836), TagGroup.CAMERA),
    **dict.fromkeys((*range(0x9201, 0x9210), *range(0x9214, 0x9216), *range(0xA20B, 0xA40D)), TagGroup.CAMERA),
    **dict.fromkeys((0x013B, 0x8298, 0x9C9D, 0xA430), TagGroup.OWNER),
    **dict.fromkeys((0x010E, 0x9286, 0x9C9C), TagGroup.COMMENT),
    **dict.fromkeys((0x010D, 0x9C9B, 0x9C9E, 0x9C9F, 0x83BB), TagGroup.TITLE),
    **dict.fromkeys((0x0131, 0x013C, 0x02BC, 0x8649), TagGroup.EDITING),
    **dict.fromkeys((0x014A, 0x0201, 0x0202), TagGroup.THUMBNAIL),
    **dict.fromkeys((0x0103, 0x011A, 0x011B, 0x0128, 0x0213, 0x0100, 0x0101), TagGroup.TECHNICAL),
    **dict.fromkeys((0x9000, 0x9101, 0x9102, 0xA000, 0xA001, 0xA002, 0xA003), TagGroup.TECHNICAL),
    _INTEROPERABILITY: TagGroup.TECHNICAL,
    _GPS: TagGroup.LOCATION,
    _MAKER_NOTE: TagGroup.MAKER_NOTE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exif:
    """What an EXIF block says. ``kept`` is the block to put in its place, None where none is needed."""

    kept: bytes | None
    groups: frozenset[TagGroup]


def reduce_exif(tiff: Piece) -> Exif:
    """Reduce a block, with or without its mark, to the orientation, without the mark; an upright picture needs none."""
    groups: set[TagGroup] = set()
    orientation = _UPRIGHT
    for tag, value, is_first in _entries(bytes(tiff[:_MOST_BYTES]).removeprefix(EXIF_MARK)):
        if tag == _ORIENTATION:
            orientation = value if is_first else orientation
        elif tag != _EXIF:
            groups.add(_GROUPS.get(tag, TagGroup.UNKNOWN))
        if not is_first and tag == _ORIENTATION:
            groups.add(TagGroup.THUMBNAIL)
    kept = _only_orientation(orientation) if orientation in _ORIENTATIONS else None
    if kept == tiff:
        return Exif(kept=kept, groups=frozenset())
    return Exif(kept=kept, groups=frozenset(groups or {TagGroup.TECHNICAL}))


def _only_orientation(orientation: int) -> bytes:
    entry = struct.pack(">HHIHH", _ORIENTATION, _SHORT, 1, orientation, 0)
    return b"MM\x00*" + struct.pack(">IH", 8, 1) + entry + bytes(4)


def _entries(tiff: bytes) -> Iterator[tuple[int, int, bool]]:
    """Each tag with its short or long value, and whether it stands in the first directory: the picture's own.

    What cannot be read ends the reading: nothing of the block is kept but the orientation, so nothing is missed.
    """
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 8:  # noqa: PLR2004
        return
    first: int = struct.unpack_from(order + "I", tiff, 4)[0]
    waiting, seen = [first], {0}
    while waiting and len(seen) <= _MOST_DIRECTORIES:
        at = waiting.pop()
        if at in seen or at + 2 > len(tiff):
            continue
        seen.add(at)
        count: int = struct.unpack_from(order + "H", tiff, at)[0]
        end = at + 2 + count * _ENTRY
        for entry in range(at + 2, min(end, len(tiff) - _ENTRY + 1, at + 2 + _MOST_ENTRIES * _ENTRY), _ENTRY):
            tag, kind = struct.unpack_from(order + "HH", tiff, entry)
            value: int = struct.unpack_from(order + ("H" if kind == _SHORT else "I"), tiff, entry + 8)[0]
            if tag in {_EXIF, _INTEROPERABILITY} and kind == _LONG:
                waiting.append(value)
            yield tag, value, at == first
        if end + 4 <= len(tiff):
            waiting.append(struct.unpack_from(order + "I", tiff, end)[0])
