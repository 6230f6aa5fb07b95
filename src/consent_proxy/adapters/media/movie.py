"""What an MP4 or QuickTime file says of its film: its video and sound tracks, with how they are shown, and no more."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from consent_proxy.adapters.media.boxes import box, boxes_within, full_box
from consent_proxy.adapters.media.cursor import Cursor
from consent_proxy.adapters.media.sample_entries import is_known_coding
from consent_proxy.adapters.media.sample_tables import SampleTable, boxes_once, read_chunks, read_table
from consent_proxy.adapters.media.tags import TagGroup, not_clean

KEPT_HANDLERS = frozenset({b"vide", b"soun"})
_NO_LANGUAGE = 0x55C4
_MATRIX = 36
_MOST_TRACKS = 100
_ENABLED = 1

#: Boxes that only describe, and go wherever they stand.
DESCRIBING = frozenset({b"udta", b"meta", b"uuid", b"free", b"skip", b"wide", b"Xtra", b"iods", b"pnot", b"PICT"})
#: Boxes that find samples sooner, or prepare a player.
_TECHNICAL = frozenset({b"sidx", b"ssix", b"styp", b"mfra", b"pdin", b"iods", b"wide"})
#: What may stand at the top of a file, and need not.
LEFT_BEHIND = DESCRIBING | _TECHNICAL | {b"emsg", b"prft"}
_NEVER = frozenset({b"cmov", b"rmra", b"pssh", b"sinf"})
_IN_MOOV = frozenset({b"mvhd", b"trak", b"mvex", b"ctab", b"prfl"})
_IN_TRAK = frozenset({b"tkhd", b"edts", b"mdia", b"tapt", b"tref", b"load", b"trgr"})
_IN_MDIA = frozenset({b"mdhd", b"hdlr", b"minf", b"elng"})
_IN_MINF = frozenset({b"vmhd", b"smhd", b"hdlr", b"dinf", b"stbl"})
_APERTURES = frozenset({b"clef", b"prof", b"enof"})

#: What in a describing box says which kind of thing it describes; the first look at phones', cameras' and editors' own.
_SIGNS: tuple[tuple[bytes, TagGroup], ...] = (
    *((sign, TagGroup.LOCATION) for sign in (b"\xa9xyz", b"loci", b"location", b"GPS", b"Latitude")),
    *((sign, TagGroup.CAMERA) for sign in (b"\xa9mak", b"\xa9mod", b".make", b".model", b"manu", b"modl", b"Serial")),
    *((sign, TagGroup.OWNER) for sign in (b"\xa9ART", b"aART", b"auth", b"cprt", b".author", b".artist", b"perf")),
    *((sign, TagGroup.TITLE) for sign in (b"\xa9nam", b"\xa9alb", b"titl", b"dscp", b"\xa9lyr", b".title", b"keyw")),
    *((sign, TagGroup.COMMENT) for sign in (b"\xa9cmt", b"\xa9des", b"comment", b"desc")),
    *((sign, TagGroup.DATES) for sign in (b"\xa9day", b"creationdate", b"yrrc", b"CreateDate")),
    *((sign, TagGroup.COVER) for sign in (b"covr", b"thmb", b"PICT")),
    *((sign, TagGroup.EDITING) for sign in (b"\xa9too", b"\xa9swr", b"software", b"XMP_", b"x:xmpmeta", b"encoder")),
    *((sign, TagGroup.PROVENANCE) for sign in (b"jumb", b"c2pa")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A track: ``parts`` is its written boxes before the table of samples, which knows where the samples stood."""

    id: int
    handler: bytes
    is_kept: bool
    table: SampleTable
    before_mdia: bytes = b""
    mdia: tuple[bytes, bytes] = (b"", b"")

    def write(self, starts: list[int], *, wide: bool) -> bytes:
        header, minf = self.mdia
        return box(
            b"trak",
            self.before_mdia,
            box(b"mdia", header, box(b"minf", minf, self.table.write(starts, wide=wide))),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Movie:
    """``defaults`` is what fragments leave unsaid, by track: the body of its ``trex``; None without fragments."""

    head: bytes
    tracks: tuple[Track, ...]
    defaults: Mapping[int, bytes] | None
    duration: bytes
    removed: frozenset[TagGroup]

    @property
    def kept(self) -> tuple[Track, ...]:
        return tuple(track for track in self.tracks if track.is_kept)

    def write(self, starts: Sequence[list[int]], *, wide: bool) -> bytes:
        """The ``moov`` box, with the places of each kept track's chunks."""
        tracks = (track.write(places, wide=wide) for track, places in zip(self.kept, starts, strict=True))
        return box(b"moov", self.head, *tracks, self._fragmentation())

    def _fragmentation(self) -> bytes:
        if self.defaults is None:
            return b""
        return box(b"mvex", self.duration, *(box(b"trex", self.defaults[track.id]) for track in self.kept))


def read_movie(moov: bytes) -> Movie:
    removed: set[TagGroup] = set()
    found = _sorted_out(moov, _IN_MOOV, removed)
    if sum(kind == b"trak" for kind, _ in found) > _MOST_TRACKS:
        raise not_clean(f"the film has more than {_MOST_TRACKS} tracks")
    tracks = tuple(_read_track(body, removed) for kind, body in found if kind == b"trak")
    kept = [track.id for track in tracks if track.is_kept]
    if not kept or 0 in kept or len({track.id for track in tracks}) != len(tracks):
        raise not_clean("the film has no track that is kept, or two of the same number")
    if any(not track.is_kept for track in tracks):
        removed.add(TagGroup.SIDE_TRACK)
    if any(kind in {b"ctab", b"prfl"} for kind, _ in found):
        removed.add(TagGroup.TECHNICAL)
    duration, defaults = _defaults(_only(found, b"mvex"), kept, removed)
    return Movie(
        head=_clean_mvhd(_one(found, b"mvhd"), max(kept) + 1, removed),
        tracks=tracks,
        defaults=defaults,
        duration=duration,
        removed=frozenset(removed).union(*(track.table.removed for track in tracks)),
    )


def note_description(kind: bytes, body: bytes, removed: set[TagGroup]) -> None:
    """Remember what kinds of things a box that goes described; one that is empty or zeros described nothing."""
    if kind in _TECHNICAL or not any(body):
        removed.add(TagGroup.TECHNICAL)
        return
    groups = {group for sign, group in _SIGNS if sign in body}
    removed |= groups or {TagGroup.UNKNOWN}


def _sorted_out(data: bytes, known: frozenset[bytes], removed: set[TagGroup]) -> list[tuple[bytes, bytes]]:
    """The boxes that are known here, without those that only describe; any other refuses the file."""
    kept = []
    for kind, body in boxes_within(data):
        if kind in _NEVER:
            raise not_clean("the film is encrypted, compressed as a whole, or stands elsewhere")
        if kind in known:
            kept.append((kind, body))
        elif kind in DESCRIBING:
            note_description(kind, body, removed)
        else:
            raise not_clean("the film is described by a box that is not known here")
    return kept


def _only(found: Sequence[tuple[bytes, bytes]], wanted: bytes) -> bytes | None:
    bodies = [body for kind, body in found if kind == wanted]
    if len(bodies) > 1:
        raise not_clean("the same box stands twice where it may stand once")
    return bodies[0] if bodies else None


def _one(found: Sequence[tuple[bytes, bytes]], wanted: bytes) -> bytes:
    body = _only(found, wanted)
    if body is None:
        raise not_clean("the film lacks a box it cannot do without")
    return body


def _defaults(mvex: bytes | None, kept: Sequence[int], removed: set[TagGroup]) -> tuple[bytes, dict[int, bytes] | None]:
    """The film's length over all fragments, and each track's defaults."""
    if mvex is None:
        return b"", None
    found = _sorted_out(mvex, frozenset({b"mehd", b"trex"}), removed)
    defaults = {int.from_bytes(body[4:8], "big"): body for kind, body in found if kind == b"trex"}
    if any(len(body) != 24 or any(body[:4]) for body in defaults.values()) or not defaults.keys() >= set(kept):  # noqa: PLR2004
        raise not_clean("the film's fragments are not described as their format says")
    duration = _only(found, b"mehd")
    if duration is not None and (duration[:4], len(duration)) not in {(bytes(4), 8), (b"\x01\x00\x00\x00", 12)}:
        raise not_clean("the film's fragments are not described as their format says")
    return box(b"mehd", duration) if duration is not None else b"", defaults


def _timed_head(head: Cursor, removed: set[TagGroup]) -> tuple[int, int, int]:
    """The version, the flags, and how wide times are in a header whose dates have just been left behind."""
    version, flags = head.number(1), head.number(3)
    if version > 1:
        raise head.unclear()
    wide = 8 if version else 4
    if any(head.take(2 * wide)):
        removed.add(TagGroup.DATES)
    return version, flags, wide


def _clean_mvhd(body: bytes, next_track: int, removed: set[TagGroup]) -> bytes:
    head = Cursor(body, "the film's header")
    version, _, wide = _timed_head(head, removed)
    timing = head.take(4 + wide)
    shown = head.take(6)
    head.take(10)
    matrix = head.take(_MATRIX)
    head.take(28)
    head.finish()
    return full_box(
        b"mvhd", version, 0, bytes(2 * wide), timing, shown, bytes(10), matrix, bytes(24), struct.pack(">I", next_track)
    )


def _clean_tkhd(body: bytes, removed: set[TagGroup]) -> tuple[int, int, bytes]:
    """A track's number, its flags, and its header."""
    head = Cursor(body, "a track's header")
    version, flags, wide = _timed_head(head, removed)
    number = head.number(4)
    head.take(4)
    duration = head.take(wide)
    head.take(8)
    place = head.take(6)
    head.take(2)
    picture = head.take(_MATRIX + 8)
    head.finish()
    parts = (bytes(2 * wide), struct.pack(">I4x", number), duration, bytes(8), place, bytes(2), picture)
    return number, flags, full_box(b"tkhd", version, flags & 0xF, *parts)


def _clean_mdhd(body: bytes, removed: set[TagGroup]) -> bytes:
    head = Cursor(body, "a track's media header")
    version, _, wide = _timed_head(head, removed)
    timing = head.take(4 + wide)
    if head.number(2) != _NO_LANGUAGE:
        removed.add(TagGroup.TECHNICAL)
    head.take(2)
    head.finish()
    return full_box(b"mdhd", version, 0, bytes(2 * wide), timing, struct.pack(">HH", _NO_LANGUAGE, 0))


def _read_track(trak: bytes, removed: set[TagGroup]) -> Track:
    found = _sorted_out(trak, _IN_TRAK, removed)
    number, flags, tkhd = _clean_tkhd(_one(found, b"tkhd"), removed)
    mdia = _sorted_out(_one(found, b"mdia"), _IN_MDIA, removed)
    handler = Cursor(_one(mdia, b"hdlr"), "a track's handler")
    handler.take(8)
    kind = handler.take(4)
    if not _is_kept(kind, flags, mdia):
        stbl = _one(boxes_within(_one(mdia, b"minf")), b"stbl")
        return Track(id=number, handler=kind, is_kept=False, table=read_chunks(stbl))
    if any(handler.rest()):
        removed.add(TagGroup.TECHNICAL)
    if any(name in {b"tref", b"load", b"trgr"} for name, _ in found) or _only(mdia, b"elng"):
        removed.add(TagGroup.TECHNICAL)
    minf, table = _read_minf(_one(mdia, b"minf"), kind, removed)
    head = full_box(b"hdlr", 0, 0, struct.pack(">4x4s13x", kind))
    return Track(
        id=number,
        handler=kind,
        is_kept=True,
        table=table,
        before_mdia=tkhd + _clean_aperture(_only(found, b"tapt")) + _clean_edits(_only(found, b"edts")),
        mdia=(_clean_mdhd(_one(mdia, b"mdhd"), removed) + head, minf),
    )


def _is_kept(handler: bytes, flags: int, mdia: Sequence[tuple[bytes, bytes]]) -> bool:
    """Video and sound are kept; one that is switched off goes where its coding is not known."""
    if handler not in KEPT_HANDLERS:
        return False
    stbl = _one(boxes_within(_one(mdia, b"minf")), b"stbl")
    entries = boxes_within(_one(boxes_within(stbl), b"stsd")[8:])
    if all(is_known_coding(kind, handler=handler) for kind, _ in entries):
        return True
    if flags & _ENABLED:
        raise not_clean("a track's video or sound is of a coding that is not known here")
    return False


def _read_minf(minf: bytes, handler: bytes, removed: set[TagGroup]) -> tuple[bytes, SampleTable]:
    """The written boxes before the table of samples, and that table."""
    found = _sorted_out(minf, _IN_MINF, removed)
    head, size = (b"vmhd", 12) if handler == b"vide" else (b"smhd", 8)
    shown = _one(found, head)
    if len(shown) != size or shown[0]:
        raise not_clean("a track's kind is not described as its format says")
    if handler == b"soun":
        shown = shown[:6] + bytes(2)
    _check_place(_one(found, b"dinf"))
    here = box(b"dinf", full_box(b"dref", 0, 0, b"\x00\x00\x00\x01", full_box(b"url ", 0, 1)))
    return box(head, shown) + here, read_table(_one(found, b"stbl"), handler=handler)


def _check_place(dinf: bytes) -> None:
    """The samples stand in this file: every entry says so by its flag."""
    places = Cursor(_one(boxes_within(dinf), b"dref"), "a track's place")
    places.take(8)
    entries = boxes_within(places.rest())
    if not entries or any(
        kind not in {b"url ", b"urn ", b"alis"} or not body[3:4] == b"\x01" for kind, body in entries
    ):
        raise not_clean("a track's samples stand in another file")


def _clean_edits(edts: bytes | None) -> bytes:
    if edts is None:
        return b""
    found = boxes_once(edts)
    edits = Cursor(found.get(b"elst", b""), "a track's list of edits")
    version = edits.number(4)
    if found.keys() != {b"elst"} or edits.number(4) * {0: 12, 1 << 24: 20}.get(version, -1) != edits.left:
        raise edits.unclear()
    return box(b"edts", box(b"elst", found[b"elst"]))


def _clean_aperture(tapt: bytes | None) -> bytes:
    """QuickTime's sizes of the picture as shown: each a width and a height."""
    if tapt is None:
        return b""
    found = boxes_once(tapt)
    if not found.keys() <= _APERTURES or any(len(body) != 12 or any(body[:4]) for body in found.values()):  # noqa: PLR2004
        raise not_clean("a track's apertures are not described as their format says")
    return box(b"tapt", *(box(kind, body) for kind, body in found.items()))
