"""A file read at given places and handed on in spans, so that no file is ever held whole."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from consent_proxy.adapters.media.pieces import Emit
from consent_proxy.adapters.media.tags import not_clean

#: What is read at once where a structure is walked, and where spans are handed on.
_WINDOW = 16 * 1024
_BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """So many bytes of the file, as they are."""

    start: int
    length: int

    @property
    def end(self) -> int:
        return self.start + self.length


@dataclass(frozen=True, slots=True, kw_only=True)
class Zeros:
    """So many bytes of nothing, where the places of what follows must not move."""

    length: int


#: What a cleaned file is made of: bytes of ours, spans of the file, and nothing.
Part: TypeAlias = bytes | Span | Zeros


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Parts that take the place of as many bytes of the file."""

    place: Span
    parts: tuple[Part, ...]


class Source:
    """An open file, read where its structure says; reading beyond its end refuses it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size
        self._window = b""
        self._window_start = 0

    def read(self, start: int, length: int) -> bytes:
        at = start - self._window_start
        if at >= 0 and at + length <= len(self._window):
            return self._window[at : at + length]
        if start < 0 or length < 0 or start + length > self.size:
            raise not_clean("the file ends in the middle of what it announces")
        if length > _WINDOW:
            return self._read_exactly(start, length)
        self._window = self._read_exactly(start, min(_WINDOW, self.size - start))
        self._window_start = start
        return self._window[:length]

    def blocks(self, span: Span) -> Iterator[bytes]:
        """Yield the bytes of a span in blocks of bounded size."""
        for start in range(span.start, span.end, _BLOCK):
            yield self._read_exactly(start, min(_BLOCK, span.end - start))

    def _read_exactly(self, start: int, length: int) -> bytes:
        data = os.pread(self._descriptor, length, start)
        if len(data) != length:
            raise not_clean("the file ends in the middle of what it announces")
        return data


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    with path.open("rb") as file:
        yield Source(file.fileno())


def hand_on(source: Source, parts: Iterable[Part], emit: Emit) -> None:
    for part in parts:
        match part:
            case Span():
                for block in source.blocks(part):
                    emit(block)
            case Zeros():
                for start in range(0, part.length, _BLOCK):
                    emit(bytes(min(_BLOCK, part.length - start)))
            case bytes():
                emit(part)


def edited(whole: Span, edits: Iterable[Edit]) -> Iterator[Part]:
    """The parts of a span with some of its places replaced; the edits come in the order of their places."""
    done = whole.start
    for edit in edits:
        if edit.place.start > done:
            yield Span(start=done, length=edit.place.start - done)
        yield from edit.parts
        done = edit.place.end
    if done < whole.end:
        yield Span(start=done, length=whole.end - done)
