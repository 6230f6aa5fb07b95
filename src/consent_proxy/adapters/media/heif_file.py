"""A HEIF file written anew from the items that are kept: its table of contents first, and then their bytes."""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from consent_proxy.adapters.media.boxes import box, full_box
from consent_proxy.adapters.media.pieces import Piece

_MOST_SHORT_PROPERTIES = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptItem:
    """An item of the new file, numbered by its place from one; ``references`` name such numbers.

    ``properties`` are kind, body and whether it is essential; ``in_table`` puts its bytes into the table of contents.
    """

    kind: bytes
    is_hidden: bool
    in_table: bool
    data: Sequence[Piece]
    properties: Sequence[tuple[bytes, bytes, bool]]
    references: dict[bytes, list[int]]

    @property
    def size(self) -> int:
        return sum(map(len, self.data))


def built(*, brands: bytes, primary: int, items: Sequence[KeptItem]) -> Iterable[Piece]:
    """The pieces of the file."""
    start = box(b"ftyp", brands)
    before = len(start) + len(_contents(primary, items, first_byte=0)) + 8
    pixels = [piece for item in items if not item.in_table for piece in item.data]
    yield start
    yield _contents(primary, items, first_byte=before)
    yield struct.pack(">I4s", 8 + sum(map(len, pixels)), b"mdat")
    yield from pixels


def _contents(primary: int, items: Sequence[KeptItem], *, first_byte: int) -> bytes:
    inner = b"".join(bytes(piece) for item in items if item.in_table for piece in item.data)
    return full_box(
        b"meta",
        0,
        0,
        full_box(b"hdlr", 0, 0, bytes(4), b"pict", bytes(12), b"\x00"),
        full_box(b"pitm", 0, 0, struct.pack(">H", primary)),
        _places(items, first_byte=first_byte),
        _entries(items),
        _references(items),
        _properties(items),
        box(b"idat", inner) if inner else b"",
    )


def _entries(items: Sequence[KeptItem]) -> bytes:
    entries = [
        full_box(b"infe", 2, int(item.is_hidden), struct.pack(">HH", number, 0), item.kind, b"\x00")
        for number, item in enumerate(items, start=1)
    ]
    return full_box(b"iinf", 0, 0, struct.pack(">H", len(entries)), *entries)


def _places(items: Sequence[KeptItem], *, first_byte: int) -> bytes:
    """Each item in one piece: behind those before it, in the file or in the table of contents."""
    entries = []
    at = {False: first_byte, True: 0}
    for number, item in enumerate(items, start=1):
        entries.append(struct.pack(">HHHHII", number, int(item.in_table), 0, 1, at[item.in_table], item.size))
        at[item.in_table] += item.size
    return full_box(b"iloc", 1, 0, struct.pack(">HH", 0x4400, len(entries)), *entries)


def _references(items: Sequence[KeptItem]) -> bytes:
    references = [
        box(kind, struct.pack(f">HH{len(targets)}H", number, len(targets), *targets))
        for number, item in enumerate(items, start=1)
        for kind, targets in item.references.items()
        if targets
    ]
    return full_box(b"iref", 0, 0, *references) if references else b""


def _properties(items: Sequence[KeptItem]) -> bytes:
    """The properties, each once, and which item has which."""
    indexes: dict[tuple[bytes, bytes], int] = {}
    associations = [
        [
            (indexes.setdefault((kind, body), len(indexes) + 1), is_essential)
            for kind, body, is_essential in item.properties
        ]
        for item in items
    ]
    is_long = len(indexes) > _MOST_SHORT_PROPERTIES
    entries = [
        struct.pack(">HB", number, len(found)) + b"".join(_association(*one, is_long=is_long) for one in found)
        for number, found in enumerate(associations, start=1)
    ]
    return box(
        b"iprp",
        box(b"ipco", *(box(kind, body) for kind, body in indexes)),
        full_box(b"ipma", 0, int(is_long), struct.pack(">I", len(entries)), *entries),
    )


def _association(index: int, is_essential: bool, *, is_long: bool) -> bytes:  # noqa: FBT001 - a pair, unpacked
    return struct.pack(">H", index | is_essential << 15) if is_long else bytes((index | is_essential << 7,))
