"""The boxes that MP4, QuickTime and HEIF files are made of: read strictly, and written."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from consent_proxy.adapters.media.spans import Source, Span
from consent_proxy.adapters.media.tags import not_clean

#: Three hours of film in fragments of a second have about as many.
_MOST_BOXES = 40_000


@dataclass(frozen=True, slots=True, kw_only=True)
class FileBox:
    """A box at the top of a file: its four letters, where it stands, and where what it holds stands."""

    kind: bytes
    whole: Span
    body: Span


def boxes_of_file(source: Source) -> Iterator[FileBox]:
    """Yield the boxes at the top of a file; the last may say that it goes on to the end."""
    at = 0
    for _ in range(_MOST_BOXES):
        if at == source.size:
            return
        size, kind = struct.unpack(">I4s", source.read(at, 8))
        header = 8
        if size == 1:
            header = 16
            (size,) = struct.unpack(">Q", source.read(at + 8, 8))
        elif size == 0:
            size = source.size - at
        if size < header or at + size > source.size:
            raise not_clean("a box is longer than the file, or shorter than its own header")
        yield FileBox(kind=kind, whole=Span(start=at, length=size), body=Span(start=at + header, length=size - header))
        at += size
    raise not_clean(f"more than {_MOST_BOXES} boxes stand at the top of the file")


def boxes_within(data: bytes) -> list[tuple[bytes, bytes]]:
    """The boxes inside another one, as their four letters and what they hold; together they fill it."""
    found: list[tuple[bytes, bytes]] = []
    at = 0
    while at < len(data):
        if len(found) == _MOST_BOXES:
            raise not_clean(f"more than {_MOST_BOXES} boxes stand inside another one")
        body, end = _extent(data, at)
        found.append((data[at + 4 : at + 8], data[body:end]))
        at = end
    return found


def _extent(data: bytes, at: int) -> tuple[int, int]:
    if at + 8 > len(data):
        raise not_clean("bytes stand between the boxes")
    size = int.from_bytes(data[at : at + 4], "big")
    body = at + 8
    if size == 1:
        size = int.from_bytes(data[body : body + 8], "big")
        body += 8
    if size < body - at or at + size > len(data):
        raise not_clean("a box is longer than the one it stands in, or shorter than its own header")
    return body, at + size


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    """A box that opens with its version and its flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)
