"""How a stripper hands on what it keeps: piece by piece, most of them views of the file itself."""

import mmap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from consent_proxy.adapters.media.tags import TagGroup

Piece: TypeAlias = bytes | bytearray | memoryview
#: Takes the pieces of the cleaned file in their order; a file's ``write``.
Emit: TypeAlias = Callable[[Piece], object]
#: Strips one file: hands every piece of the cleaned one to ``Emit`` and says which groups stayed behind.
Strip: TypeAlias = Callable[[Path, Emit], frozenset[TagGroup]]


@dataclass(slots=True, kw_only=True)
class Cleaned:
    """What is kept of a file, in order, and which groups are not; filled while the file is read."""

    pieces: list[Piece] = field(default_factory=list)
    removed: set[TagGroup] = field(default_factory=set)


def mapped(source: Path) -> memoryview:
    """The file's bytes, read from the disk as they are looked at. The mapping ends with the last view of it."""
    with source.open("rb") as file:
        if file.seek(0, 2) == 0:
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
