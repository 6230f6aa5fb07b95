"""WAV: its samples, how they are coded, and a head of twelve bytes.

Kept: ``fmt `` with the numbers its coding needs, ``fact`` where the coding is not PCM, ``data`` byte for byte.
Removed: every other chunk, among them ``LIST``, ``bext``, ``iXML``, ``id3 ``, ``cue ``, ``smpl`` and padding.
Refused: RF64, RIFX and BW64, codings other than PCM, float, A-law and µ-law, sizes that do not fit the file, bytes
behind its end, a second ``data``.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from consent_proxy.adapters.media.pieces import Emit
from consent_proxy.adapters.media.spans import Part, Source, Span, hand_on, opened
from consent_proxy.adapters.media.tags import TagGroup, not_clean

_PCM, _FLOAT, _ALAW, _MULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_CODINGS = frozenset({_PCM, _FLOAT, _ALAW, _MULAW})
#: The rest of the name of a coding in an extensible format, behind its number.
_EXTENSIBLE_NAME = bytes.fromhex("000000001000800000aa00389b71")
_MOST_CHUNKS = 10_000
_LONGEST_LOOK = 64 * 1024

_GROUPS: tuple[tuple[bytes, TagGroup], ...] = (
    *((sign, TagGroup.TITLE) for sign in (b"INAM", b"IPRD", b"IKEY", b"ISBJ", b"TIT2", b"\x00TALB")),
    *((sign, TagGroup.OWNER) for sign in (b"IART", b"ICOP", b"IENG", b"TPE1", b"bext", b"iXML")),
    *((sign, TagGroup.DATES) for sign in (b"ICRD", b"IDIT", b"TDRC", b"TYER", b"bext")),
    *((sign, TagGroup.COMMENT) for sign in (b"ICMT", b"COMM", b"labl", b"note")),
    *((sign, TagGroup.EDITING) for sign in (b"ISFT", b"TSSE", b"_PMX")),
    (b"APIC", TagGroup.COVER),
    (b"GPS", TagGroup.LOCATION),
)
_TECHNICAL = frozenset({b"fact", b"cue ", b"smpl", b"inst", b"plst", b"PEAK", b"levl"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chunk:
    kind: bytes
    body: Span


def strip_wav(path: Path, emit: Emit) -> frozenset[TagGroup]:
    with opened(path) as source:
        chunks = list(_chunks(source))
        removed: set[TagGroup] = set()
        described = source.read(*_the_one(chunks, b"fmt ", most=64))
        coding, frame, head = _clean_format(described)
        data = next(chunk.body for chunk in chunks if chunk.kind == b"data")
        if sum(chunk.kind == b"data" for chunk in chunks) != 1 or data.length % frame:
            raise not_clean("the samples stand in two places, or end in the middle of one")
        fact = b""
        if coding != _PCM and any(chunk.kind == b"fact" for chunk in chunks):
            fact = b"fact\x04\x00\x00\x00" + source.read(*_the_one(chunks, b"fact", most=4))
        kept = {b"fmt ", b"data", *([b"fact"] if fact else [])}
        for chunk in chunks:
            if chunk.kind not in kept:
                removed |= _groups_of(source, chunk)
        if len(described) != len(head) - 8:
            removed.add(TagGroup.TECHNICAL)
        hand_on(source, _written(head + fact, data), emit)
        return frozenset(removed)


def _chunks(source: Source) -> Iterator[_Chunk]:
    """The chunks behind the head; they fill the file, and the last one's byte of padding may be missing."""
    _, size, _ = struct.unpack("<4sI4s", source.read(0, 12))
    if size + 8 not in {source.size, source.size + 1, source.size - 1} or (size + 8 < source.size and not size % 2):
        raise not_clean("the file is longer, or shorter, than its head says")
    at, names = 12, set()
    for _ in range(_MOST_CHUNKS):
        if at >= source.size:
            break
        kind, length = struct.unpack("<4sI", source.read(at, 8))
        if at + 8 + length > source.size:
            raise not_clean("a chunk is longer than the file")
        names.add(kind)
        yield _Chunk(kind=kind, body=Span(start=at + 8, length=length))
        at += 8 + length + length % 2
    else:
        raise not_clean(f"the file has more than {_MOST_CHUNKS} chunks")
    if not names >= {b"fmt ", b"data"}:
        raise not_clean("the file has no samples, or does not say how they are coded")


def _the_one(chunks: list[_Chunk], kind: bytes, *, most: int) -> tuple[int, int]:
    """Where a chunk's body stands that is there once and short."""
    found = [chunk.body for chunk in chunks if chunk.kind == kind]
    if len(found) != 1 or found[0].length > most:
        raise not_clean("a chunk that says how the samples are coded is there twice, or too long")
    return found[0].start, found[0].length


def _clean_format(body: bytes) -> tuple[int, int, bytes]:
    """The coding, the bytes of one sample of all channels, and the chunk as its coding needs it."""
    if len(body) < 16:  # noqa: PLR2004 - the numbers that every coding has
        raise not_clean("the samples' coding is not described as its format says")
    coding, channels, rate, by_second, frame, bits = struct.unpack("<HHIIHH", body[:16])
    extension = b""
    if coding == _EXTENSIBLE:
        if len(body) != 40 or body[16:18] != b"\x16\x00" or body[26:] != _EXTENSIBLE_NAME:  # noqa: PLR2004
            raise not_clean("the samples' coding is not described as its format says")
        coding, extension = int.from_bytes(body[24:26], "little"), body[16:]
    if coding not in _CODINGS:
        raise not_clean("the samples are of a coding that is not known here")
    if frame == 0 or frame != channels * ((bits + 7) // 8) or by_second != rate * frame:
        raise not_clean("the numbers of the samples' coding do not agree")
    if len(body) not in {16, 18, 40} or (not extension and any(body[16:])):
        raise not_clean("the samples' coding is not described as its format says")
    if coding != _PCM and not extension:
        extension = bytes(2)  # every coding but PCM says how much more it has to say
    return coding, frame, struct.pack("<4sI", b"fmt ", 16 + len(extension)) + body[:16] + extension


def _written(head: bytes, data: Span) -> list[Part]:
    padding = b"\x00" * (data.length % 2)
    size = 4 + len(head) + 8 + data.length + len(padding)
    opening = struct.pack("<4sI4s", b"RIFF", size, b"WAVE") + head + struct.pack("<4sI", b"data", data.length)
    return [opening, data, padding]


def _groups_of(source: Source, chunk: _Chunk) -> set[TagGroup]:
    body = chunk.kind + source.read(chunk.body.start, min(chunk.body.length, _LONGEST_LOOK))
    if chunk.kind in _TECHNICAL or not any(body[4:]):
        return {TagGroup.TECHNICAL}
    return {group for sign, group in _GROUPS if sign in body} or {TagGroup.UNKNOWN}
