"""ZIP archives of what a model is trained on: media, each cleaned by its own rules, and captions that are only text.

Kept: pictures, films and sounds of every supported format, cleaned; ``name.txt`` beside ``name.jpg`` where it is free
text that may leave. Both are called by one number, and keep what trainers read off a name: ``_mask``, ``_start``,
``_end``. They are stored, not packed, dated 1980, without extra fields or comments: the same archive, always.
Removed: names, folders, dates, extra fields, comments, and the files that Windows and macOS leave behind.
Refused: ZIP64, encryption, archives in archives, links, names that lead elsewhere or stand twice, gaps, overlaps and
bytes around the archive, captions without a picture, anything else; more than 2000 members, half a gigabyte
unpacked, or twenty times a member's packed size.
"""

import re
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from consent_proxy.adapters.media.kinds import HEAD_BYTES, MediaFormat, sniff
from consent_proxy.adapters.media.pieces import Emit
from consent_proxy.adapters.media.spans import Source, Span, opened
from consent_proxy.adapters.media.tags import MediaRefused, TagGroup, not_clean
from consent_proxy.adapters.media.zip_entries import DATE_1980, Member, read_members, unpacked
from consent_proxy.domain.free_text import fault_of_text
from consent_proxy.domain.media import MediaKind

_LONGEST_CAPTION = 16 * 1024
_VERSION = 20
_LEFTOVERS = frozenset({".ds_store", "thumbs.db", "desktop.ini", "ehthumbs.db"})
#: What trainers read off a name: the mask of a picture, and the two pictures of an edit.
_ROLE = re.compile(r"_(?:mask|start|end)[0-9]?$")


class StrippedMember(Protocol):
    """What the one way to strip a file says of a member."""

    @property
    def format(self) -> MediaFormat: ...

    @property
    def removed(self) -> tuple[TagGroup, ...]: ...


StripMember = Callable[[Path, Path], StrippedMember]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Written:
    """A member as the new directory lists it."""

    name: bytes
    crc: int
    size: int
    start: int


def strip_archive(strip_member: StripMember, path: Path, emit: Emit) -> frozenset[TagGroup]:
    """Clean every member by ``strip_member``; each is unpacked to a temporary file, never to memory."""
    with opened(path) as source, TemporaryDirectory() as folder:
        members = read_members(source)
        kept = [member for member in members if not member.is_folder and not _is_leftover(member.name)]
        if not kept:
            raise not_clean("the archive has nothing in it that could be kept")
        removed = _left_behind(members, kept)
        stems = _numbered(kept)
        writer = _Writer(emit)
        names: list[str] = []
        for member in kept:
            extension, groups = _clean_member(source, member, strip_member, Path(folder))
            removed |= groups
            names.append(_neutral_name(member, extension, stems))
            writer.add(names[-1], Path(folder) / "clean")
            # Not written over: some file systems flush what takes the place of another file.
            (Path(folder) / "raw").unlink()
            (Path(folder) / "clean").unlink()
        writer.finish()
        _check_names(kept, names)
        if [member.name for member in members] != names:
            removed.add(TagGroup.FILE_NAMES)
        return frozenset(removed)


def _is_leftover(name: str) -> bool:
    parts = name.lower().split("/")
    return parts[-1] in _LEFTOVERS or parts[-1].startswith("._") or "__macosx" in parts[:-1]


def _left_behind(members: Sequence[Member], kept: Sequence[Member]) -> set[TagGroup]:
    removed = set[TagGroup]()
    if any(_is_leftover(member.name) for member in members):
        removed.add(TagGroup.UNKNOWN)
    if len(kept) != len(members) or not all(member.is_bare for member in members):
        removed.add(TagGroup.TECHNICAL)
    if any(member.is_dated for member in kept):
        removed.add(TagGroup.DATES)
    return removed


def _numbered(kept: Sequence[Member]) -> dict[str, str]:
    """For each name without its ending and its role, the number it becomes, in the order of the archive."""
    stems = dict.fromkeys(_stem(member)[0] for member in kept)
    width = max(4, len(str(len(stems))))
    return {stem: f"{number:0{width}}" for number, stem in enumerate(stems, start=1)}


def _stem(member: Member) -> tuple[str, str]:
    """A member's name without its ending, parted before what a trainer reads off it."""
    folder, _, name = member.name.rpartition("/")
    stem = name.rpartition(".")[0] or name
    role = found.group() if (found := _ROLE.search(stem)) else ""
    return f"{folder}/{stem.removesuffix(role)}", role


def _neutral_name(member: Member, extension: str, stems: dict[str, str]) -> str:
    stem, role = _stem(member)
    return f"{stems[stem]}{role}.{extension}"


def _check_names(kept: Sequence[Member], names: Sequence[str]) -> None:
    """Each name once, and each caption beside what it describes."""
    taken = set[str]()
    described = {name.rpartition(".")[0] for name in names if not name.endswith(".txt")}
    described |= {name.partition("_")[0] for name in described}
    for member, name in zip(kept, names, strict=True):
        if name in taken:
            raise not_clean(f"member {member.number} would have the name of another one")
        if name.endswith(".txt") and name.removesuffix(".txt") not in described:
            raise not_clean(f"member {member.number} is a text without a picture, film or sound of the same name")
        taken.add(name)


def _clean_member(
    source: Source, member: Member, strip_member: StripMember, folder: Path
) -> tuple[str, frozenset[TagGroup]]:
    """Write the member, cleaned, to ``clean`` in the folder; returns its ending and what was removed."""
    raw, clean = folder / "raw", folder / "clean"
    with raw.open("wb") as file:
        for block in unpacked(source, member):
            file.write(block)
    with raw.open("rb") as file:
        known = sniff(file.read(HEAD_BYTES))
    if member.name.lower().endswith(".txt"):
        if known is not None:
            raise not_clean(f"member {member.number} says that it is text, and is not")
        return "txt", _clean_caption(member, raw, clean)
    if known is not None and known.kind is MediaKind.ARCHIVE:
        raise not_clean(f"member {member.number} is an archive itself")
    try:
        stripped = strip_member(raw, clean)
    except MediaRefused as refused:
        raise not_clean(f"member {member.number}: {refused.detail}") from None
    return stripped.format.extension, frozenset(stripped.removed)


def _clean_caption(member: Member, raw: Path, clean: Path) -> frozenset[TagGroup]:
    if member.size > _LONGEST_CAPTION:
        raise not_clean(f"member {member.number} is a text of more than {_LONGEST_CAPTION} bytes")
    written = raw.read_bytes()
    content = written.removeprefix(b"\xef\xbb\xbf")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise not_clean(f"member {member.number} is a text that is not UTF-8") from None
    if fault := fault_of_text(text, max_bytes=_LONGEST_CAPTION):
        raise not_clean(f"member {member.number} is a text that {fault}")
    clean.write_bytes(content)
    return frozenset() if content == written else frozenset({TagGroup.TECHNICAL})


class _Writer:
    """Writes an archive of stored members to ``emit``, and its directory at the end."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._at = 0
        self._written: list[_Written] = []

    def add(self, name: str, content: Path) -> None:
        with opened(content) as source:
            whole = Span(start=0, length=source.size)
            crc = 0
            for block in source.blocks(whole):
                crc = zlib.crc32(block, crc)
            written = _Written(name=name.encode(), crc=crc, size=whole.length, start=self._at)
            self._hand_on(b"PK\x03\x04" + _said(written) + struct.pack("<H", 0) + written.name)
            for block in source.blocks(whole):
                self._hand_on(block)
        self._written.append(written)

    def finish(self) -> None:
        start = self._at
        for written in self._written:
            self._hand_on(
                b"PK\x01\x02"
                + struct.pack("<H", _VERSION)
                + _said(written)
                + struct.pack("<4H2I", 0, 0, 0, 0, 0, written.start)
                + written.name
            )
        count = len(self._written)
        self._hand_on(struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, count, count, self._at - start, start, 0))

    def _hand_on(self, piece: bytes) -> None:
        self._emit(piece)
        self._at += len(piece)


def _said(written: _Written) -> bytes:
    """What a member's own header and the directory say alike, up to the length of its name."""
    size = written.size
    return struct.pack("<5H3IH", _VERSION, 0, 0, 0, DATE_1980, written.crc, size, size, len(written.name))
