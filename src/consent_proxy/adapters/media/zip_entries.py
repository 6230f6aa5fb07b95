"""A ZIP archive read strictly: members that fill the file from its first byte on, and a directory that agrees."""

import stat
import struct
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from consent_proxy.adapters.media.spans import Source, Span
from consent_proxy.adapters.media.tags import not_clean

MOST_MEMBERS = 2000
#: What all members together may unpack to, and how many times its packed size one may.
MOST_UNPACKED = 512 * 1024 * 1024
MOST_RATIO = 20
#: The first day that an archive can name.
DATE_1980 = 0x21
_FREE_RATIO_BYTES = 1 << 20

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_WIDE = frozenset({0xFFFF, 0xFFFFFFFF})
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _SIZES_BEHIND, _UTF8 = 0x1, 0x8, 0x800
#: The two middle bits say how hard deflate tried.
_KNOWN_FLAGS = _SIZES_BEHIND | _UTF8 | 0x6
_UNIX_MAKERS = frozenset({3, 19})
_LONGEST_NAME = 1024
_BLOCK = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member; ``number`` counts from 1 and is what a refusal names it by."""

    number: int
    name: str
    packed: Span
    is_deflated: bool
    size: int
    crc: int
    is_bare: bool
    is_dated: bool

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    name: bytes
    start: int
    is_bare: bool
    is_dated: bool


def read_members(source: Source) -> tuple[Member, ...]:
    """Every member, in the order of the directory, after all of it agrees with the file; nothing is unpacked yet."""
    directory, entries = _read_directory(source)
    members, seen = [], set[str]()
    for number, entry in enumerate(entries, start=1):
        name = _safe_name(entry, number)
        if (folded := unicodedata.normalize("NFC", name).casefold()) in seen:
            raise not_clean(f"member {number} has the name of another one")
        seen.add(folded)
        members.append(_member(source, entry, number, name))
    _check_tiling(source, entries, members, directory)
    if sum(member.size for member in members) > MOST_UNPACKED:
        raise not_clean(f"the members unpack to more than {MOST_UNPACKED} bytes")
    return tuple(members)


def unpacked(source: Source, member: Member) -> Iterator[bytes]:
    """Yield the member's bytes in blocks; what is longer, shorter or other than announced refuses the archive."""
    crc, size = 0, 0
    for block in _inflated(source, member):
        crc, size = zlib.crc32(block, crc), size + len(block)
        if size > member.size:
            break
        yield block
    if size != member.size or crc != member.crc:
        raise not_clean(f"member {member.number} is not what the directory says")


def _read_directory(source: Source) -> tuple[int, list[_Entry]]:
    """Where the directory begins, and its entries. The end record is at the end, but for its comment."""
    tail_length = min(source.size, _END.size + 0xFFFF)
    tail = source.read(source.size - tail_length, tail_length)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < _END.size:
        raise not_clean("the archive has no end, or bytes stand behind it")
    _, disk, first_disk, here, count, length, start, comment = _END.unpack_from(tail, at)
    if _WIDE & {here, count, length, start}:
        raise not_clean("the archive is in the ZIP64 format")
    end = source.size - tail_length + at
    if at + _END.size + comment != len(tail) or start + length != end or disk or first_disk or here != count:
        raise not_clean("bytes stand before, inside or behind the archive, or it is one part of several")
    if not 0 < count <= MOST_MEMBERS:
        raise not_clean(f"the archive has no member, or more than {MOST_MEMBERS}")
    entries, at = [], start
    for _ in range(count):
        entry, at = _read_entry(source, at, end)
        entries.append(entry)
    if at != end:
        raise not_clean("bytes stand behind the archive's directory")
    return start, entries


def _read_entry(source: Source, at: int, end: int) -> tuple[_Entry, int]:
    head = source.read(at, _CENTRAL.size)
    mark, maker, _, flags, method, time, date, crc, packed, size, *lengths, attributes, start = _CENTRAL.unpack(head)
    name_length, extra, comment, disk, _ = lengths
    behind = at + _CENTRAL.size + name_length + extra + comment
    if mark != b"PK\x01\x02" or behind > end or disk or name_length > _LONGEST_NAME:
        raise not_clean("the archive's directory is not built as its format says")
    if _WIDE & {packed, size, start}:
        raise not_clean("the archive is in the ZIP64 format")
    mode = attributes >> 16
    if maker >> 8 in _UNIX_MAKERS and stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise not_clean("the archive has a link or a device in it")
    name = source.read(at + _CENTRAL.size, name_length)
    return _Entry(
        flags=flags,
        method=method,
        crc=crc,
        packed=packed,
        size=size,
        name=name,
        start=start,
        is_bare=not extra and not comment,
        is_dated=(time, date) != (0, DATE_1980),
    ), behind


def _safe_name(entry: _Entry, number: int) -> str:
    """The name as text. It is never used as a path; one that tries to leave the folder says what the archive is."""
    try:
        name = entry.name.decode("utf-8" if entry.flags & _UTF8 or entry.name.isascii() else "cp437")
    except UnicodeDecodeError:
        raise not_clean(f"member {number} has a name that is no text") from None
    parts = name.removesuffix("/").split("/")
    if "\\" in name or "\x00" in name or ":" in parts[0] or any(part in {"", ".", ".."} for part in parts):
        raise not_clean(f"member {number} has a name that leads out of the archive's folder")
    return name


def _member(source: Source, entry: _Entry, number: int, name: str) -> Member:
    if entry.flags & _ENCRYPTED or entry.flags & ~_KNOWN_FLAGS & 0x2040:
        raise not_clean(f"member {number} is encrypted")
    if entry.flags & ~_KNOWN_FLAGS or entry.method not in {_STORED, _DEFLATED}:
        raise not_clean(f"member {number} is packed in a way that is not known here")
    if entry.method == _STORED and entry.packed != entry.size:
        raise not_clean(f"member {number} is not as long as it says")
    if entry.size > max(_FREE_RATIO_BYTES, MOST_RATIO * entry.packed):
        raise not_clean(f"member {number} unpacks to more than {MOST_RATIO} times its size")
    if name.endswith("/") and entry.size:
        raise not_clean(f"member {number} is a folder and holds bytes")
    mark, _, flags, method, _, _, crc, packed, size, name_length, extra = _LOCAL.unpack(
        source.read(entry.start, _LOCAL.size)
    )
    behind = bool(flags & _SIZES_BEHIND)
    said = zip((crc, packed, size), (entry.crc, entry.packed, entry.size), strict=True)
    agrees = all(here == there or (behind and here == 0) for here, there in said)
    if mark != b"PK\x03\x04" or (flags, method) != (entry.flags, entry.method) or not agrees:
        raise not_clean(f"member {number} is not what the directory says")
    if source.read(entry.start + _LOCAL.size, name_length) != entry.name:
        raise not_clean(f"member {number} is not what the directory says")
    return Member(
        number=number,
        name=name,
        packed=Span(start=entry.start + _LOCAL.size + name_length + extra, length=entry.packed),
        is_deflated=entry.method == _DEFLATED,
        size=entry.size,
        crc=entry.crc,
        is_bare=entry.is_bare and not extra and not behind,
        is_dated=entry.is_dated,
    )


def _check_tiling(source: Source, entries: list[_Entry], members: list[Member], directory: int) -> None:
    """The members stand one behind the other, from the first byte of the file to the directory, and nothing between."""
    at = 0
    for entry, member in sorted(zip(entries, members, strict=True), key=lambda both: both[0].start):
        if entry.start != at:
            raise not_clean("bytes stand before or between the archive's members, or two share theirs")
        at = member.packed.end
        if at > directory:
            raise not_clean(f"member {member.number} is longer than the archive")
        if entry.flags & _SIZES_BEHIND:
            at += _descriptor_length(source, at, entry, member)
    if at != directory:
        raise not_clean("bytes stand before or between the archive's members, or two share theirs")


def _descriptor_length(source: Source, at: int, entry: _Entry, member: Member) -> int:
    """Sizes may stand behind the bytes, with or without a mark before them; they have to be those of the directory."""
    sizes = struct.pack("<3I", entry.crc, entry.packed, entry.size)
    for expected in (b"PK\x07\x08" + sizes, sizes):
        if at + len(expected) <= source.size and source.read(at, len(expected)) == expected:
            return len(expected)
    raise not_clean(f"member {member.number} is not what the directory says")


def _inflated(source: Source, member: Member) -> Iterator[bytes]:
    if not member.is_deflated:
        yield from source.blocks(member.packed)
        return
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for packed in source.blocks(member.packed):
            if inflate.eof:
                break
            rest = packed
            while rest and not inflate.eof:
                yield inflate.decompress(rest, _BLOCK)
                rest = inflate.unconsumed_tail
        ended = inflate.eof and not inflate.unused_data
    except zlib.error:
        ended = False
    if not ended:
        raise not_clean(f"member {member.number} cannot be unpacked")
