"""MP4, QuickTime and M4A: written anew from the samples of their video and sound tracks, and what shows them.

Kept: the brand; for each video and sound track its header with rotation, edits, aperture, coding with its settings
and colours, the tables of times, key frames, sizes and chunks; the samples, byte for byte; fragments as fragments.
Removed: ``udta``, ``meta``, ``uuid``, ``free`` and what else only describes; dates, names of handlers and coders,
languages; tracks of subtitles, text, timecode, metadata and data with their samples; bytes in ``mdat`` that no kept
sample refers to; ``sidx``, ``mfra`` and ``emsg``.
Refused: encryption, samples in other files, codings and boxes that are not known here, chunks that overlap, a second
``moov``, tables that do not agree, bytes behind the last box, a film without video, a sound file with it.
Not looked at: the samples themselves, with the messages (SEI) that an encoder may have put into them.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from consent_proxy.adapters.media.boxes import FileBox, box, boxes_of_file
from consent_proxy.adapters.media.fragments import Fragment, read_fragment
from consent_proxy.adapters.media.kinds import M4A, MediaFormat
from consent_proxy.adapters.media.movie import LEFT_BEHIND, Movie, note_description, read_movie
from consent_proxy.adapters.media.pieces import Emit
from consent_proxy.adapters.media.spans import Part, Source, Span, hand_on, opened
from consent_proxy.adapters.media.tags import TagGroup, not_clean

#: A film's tables are held in memory, fragment by fragment; eight hours of sound need about half of it.
_LONGEST_TABLES = 12 * 1024 * 1024
_LONGEST_LOOK = 1024 * 1024
_FOUR_BYTES = 1 << 32

_KNOWN_BRANDS = frozenset(
    b"isom iso2 iso3 iso4 iso5 iso6 iso7 iso8 iso9 mp41 mp42 avc1 hvc1 hev1 av01 dby1 dash cmfc mmp4 MSNV M4VH".split()
) | {b"3gp4", b"3gp5", b"3gp6", b"M4V ", b"M4A ", b"M4B ", b"qt  "}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """The boxes at the top of the file that matter: the film, its samples, and its fragments."""

    brands: bytes
    moov: FileBox
    samples: tuple[FileBox, ...]
    fragments: tuple[FileBox, ...]
    removed: frozenset[TagGroup]


@dataclass(slots=True)
class _Found:
    brands: bytes | None = None
    moov: list[FileBox] = field(default_factory=list)
    samples: list[FileBox] = field(default_factory=list)
    fragments: list[FileBox] = field(default_factory=list)
    removed: set[TagGroup] = field(default_factory=set)


def strip_film(known: MediaFormat, path: Path, emit: Emit) -> frozenset[TagGroup]:
    with opened(path) as source:
        layout = _read_layout(source)
        movie = read_movie(source.read(layout.moov.body.start, layout.moov.body.length))
        _check_kind(known, movie)
        removed = set(layout.removed | movie.removed)
        for parts, gone in _written(source, layout, movie):
            hand_on(source, parts, emit)
            removed |= gone
        return frozenset(removed)


_Parts = tuple[list[Part], frozenset[TagGroup]]


def _written(source: Source, layout: _Layout, movie: Movie) -> Iterator[_Parts]:
    """The film with the samples that its own tables know, and then its fragments, one at a time."""
    if layout.fragments and movie.defaults is None:
        raise not_clean("the film has fragments and does not say so")
    if layout.fragments and not any(track.table.samples for track in movie.tracks):
        loose = any(mdat.body.length for mdat in layout.samples if mdat.whole.start < layout.fragments[0].whole.start)
        gone = frozenset({TagGroup.UNKNOWN}) if loose else frozenset[TagGroup]()
        yield [layout.brands, movie.write([[] for _ in movie.kept], wide=False)], gone
    else:
        yield _whole_film(layout, movie, source.size)
    yield from _fragments(source, layout, movie)


def _read_layout(source: Source) -> _Layout:
    found = _Found()
    for place, top in enumerate(boxes_of_file(source)):
        _sort(source, place, top, found)
    if len(found.moov) != 1:
        raise not_clean("the film is described twice, or not at all")
    if sum(top.body.length for top in found.moov + found.fragments) > _LONGEST_TABLES:
        raise not_clean(f"the film's description is longer than {_LONGEST_TABLES} bytes")
    return _Layout(
        brands=found.brands or box(b"ftyp", b"qt  ", bytes(4), b"qt  "),
        moov=found.moov[0],
        samples=tuple(found.samples),
        fragments=tuple(found.fragments),
        removed=frozenset(found.removed),
    )


def _sort(source: Source, place: int, top: FileBox, found: _Found) -> None:
    if top.kind == b"ftyp" and place == 0:
        found.brands = _clean_brands(source.read(top.body.start, min(top.body.length, 4096)))
    elif top.kind == b"moov":
        found.moov.append(top)
    elif top.kind == b"mdat":
        found.samples.append(top)
    elif top.kind == b"moof":
        found.fragments.append(top)
    elif top.kind in LEFT_BEHIND:
        note_description(top.kind, source.read(top.body.start, min(top.body.length, _LONGEST_LOOK)), found.removed)
    else:
        raise not_clean("bytes stand at the top of the file, or behind its end, that are not known here")


def _clean_brands(body: bytes) -> bytes:
    """The brand, and the compatible ones that are known; a version is the maker's."""
    compatible = dict.fromkeys(body[at : at + 4] for at in range(8, len(body) - 3, 4))
    return box(b"ftyp", body[:4], bytes(4), *(brand for brand in compatible if brand in _KNOWN_BRANDS))


def _check_kind(known: MediaFormat, movie: Movie) -> None:
    has_video = any(track.handler == b"vide" for track in movie.kept)
    if known == M4A and has_video:
        raise not_clean("the file says that it is sound, and holds video")
    if known != M4A and not has_video:
        raise not_clean("the file says that it is video, and holds none")


def _whole_film(layout: _Layout, movie: Movie, file_size: int) -> _Parts:
    """The film before its samples, which then stand in the order they stood in, without what was between them."""
    chunks = [track.table.chunks for track in movie.kept]
    others = [chunk for track in movie.tracks if not track.is_kept for chunk in track.table.chunks]
    end = layout.fragments[0].whole.start if layout.fragments else file_size
    samples = [mdat for mdat in layout.samples if mdat.whole.start < end]
    spans = _checked([chunk for track in chunks for chunk in track], others, samples)
    size = sum(span.length for span in spans)
    unplaced = [[0] * len(track) for track in chunks]
    head = len(layout.brands) + len(movie.write(unplaced, wide=False))
    wide = head + 16 + size >= _FOUR_BYTES
    if wide:
        head = len(layout.brands) + len(movie.write(unplaced, wide=True))
    opening = _mdat_head(size)
    moved = _Moved(spans, head + len(opening))
    starts = [[moved.to(chunk) for chunk in track] for track in chunks]
    removed = {TagGroup.UNKNOWN} if sum(mdat.body.length for mdat in samples) > size and not others else set()
    return [layout.brands, movie.write(starts, wide=wide), opening, *spans], frozenset(removed)


def _fragments(source: Source, layout: _Layout, movie: Movie) -> Iterator[_Parts]:
    starts = [mdat.whole.start for mdat in layout.samples]
    for place, top in enumerate(layout.fragments):
        fragment = read_fragment(source.read(top.body.start, top.body.length), top.whole.start, movie)
        end = layout.fragments[place + 1].whole.start if place + 1 < len(layout.fragments) else source.size
        samples = layout.samples[bisect_left(starts, top.whole.end) : bisect_left(starts, end)]
        yield _whole_fragment(fragment, samples)


def _whole_fragment(fragment: Fragment, samples: Sequence[FileBox]) -> _Parts:
    spans = _checked(fragment.places, fragment.others, samples)
    removed = {TagGroup.TECHNICAL} if fragment.left_behind else set()
    size = sum(span.length for span in spans)
    if sum(mdat.body.length for mdat in samples) > size and not fragment.others:
        removed.add(TagGroup.UNKNOWN)
    if not fragment.kept:
        return [], frozenset(removed)
    opening = _mdat_head(size)
    moved = _Moved(spans, len(fragment.write([0] * len(fragment.places))) + len(opening))
    return [fragment.write([moved.to(place) for place in fragment.places]), opening, *spans], frozenset(removed)


def _mdat_head(size: int) -> bytes:
    if size + 8 < _FOUR_BYTES:
        return (size + 8).to_bytes(4, "big") + b"mdat"
    return b"\x00\x00\x00\x01mdat" + (size + 16).to_bytes(8, "big")


def _checked(kept: Sequence[Span], others: Sequence[Span], samples: Sequence[FileBox]) -> list[Span]:
    """The kept chunks joined where they touch: each inside an ``mdat``, none over another one's bytes."""
    ordered = sorted((span.start, span.end, True) for span in kept if span.length)
    ends = {True: 0, False: 0}
    for start, end, is_kept in sorted(ordered + [(span.start, span.end, False) for span in others if span.length]):
        if start < ends[True] or (is_kept and start < ends[False]):
            raise not_clean("samples of two chunks share their bytes")
        ends[is_kept] = max(end, ends[is_kept])
    joined: list[list[int]] = []
    for start, end, _ in ordered:
        if joined and joined[-1][1] == start:
            joined[-1][1] = end
        else:
            joined.append([start, end])
    bodies = iter(sorted((mdat.body.start, mdat.body.end) for mdat in samples))
    body = next(bodies, (0, 0))
    for start, end in joined:
        while body != (0, 0) and body[1] < end:
            body = next(bodies, (0, 0))
        if not body[0] <= start < end <= body[1]:
            raise not_clean("samples stand outside of the boxes that hold samples")
    return [Span(start=start, length=end - start) for start, end in joined]


class _Moved:
    """Where bytes of the joined spans stand, once those follow each other from ``start`` on."""

    def __init__(self, spans: Sequence[Span], start: int) -> None:
        self._start = start
        self._spans = spans
        self._starts: list[int] = []
        at = start
        for span in spans:
            self._starts.append(at)
            at += span.length

    def to(self, place: Span) -> int:
        if not place.length:
            return self._start
        index = bisect_right(self._spans, place.start, key=lambda span: span.start) - 1
        return self._starts[index] + place.start - self._spans[index].start
