"""How a stripper hands on what it keeps: piece by piece, most of them views of the file itself."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from consent_proxy.adapters.media.tags import TagGroup

Piece: TypeAlias = bytes | bytearray | memoryview
#: Takes the pieces of the cleaned file in their order; a file's ``write``.
Emit: TypeAlias = Callable[[Piece], object]
#: Strips one file: hands every piece of the cleaned one to ``Emit`` and says which groups stayed behind.
Strip: TypeAlias = Callable[[Path, Emit], frozenset[TagGroup]]
