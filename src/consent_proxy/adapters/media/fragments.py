"""The fragments of a film that was written while it was made: each with the samples that follow it."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from consent_proxy.adapters.media.boxes import box, boxes_within, full_box
from consent_proxy.adapters.media.cursor import Cursor
from consent_proxy.adapters.media.movie import Movie
from consent_proxy.adapters.media.spans import Span
from consent_proxy.adapters.media.tags import not_clean

_BASE, _ENTRY, _DURATION, _SIZE, _FLAGS = 0x1, 0x2, 0x8, 0x10, 0x20
_EMPTY, _FROM_MOOF = 0x10000, 0x20000
_RUN_OFFSET, _RUN_FIRST_FLAGS = 0x1, 0x4
_SAMPLE_DURATION, _SAMPLE_SIZE, _SAMPLE_FLAGS, _SAMPLE_SHIFT = 0x100, 0x200, 0x400, 0x800
_SAMPLE_FIELDS = (_SAMPLE_DURATION, _SAMPLE_SIZE, _SAMPLE_FLAGS, _SAMPLE_SHIFT)
_LEFT_BEHIND = frozenset({b"sdtp", b"subs", b"sbgp", b"sgpd", b"udta", b"meta", b"uuid", b"free", b"skip"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Samples that follow each other in the file: where, and what the run says of them."""

    place: Span
    version_and_flags: int
    samples: int
    said: bytes

    def write(self, start: int) -> bytes:
        return box(b"trun", struct.pack(">IIi", self.version_and_flags | _RUN_OFFSET, self.samples, start), self.said)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackFragment:
    track: int
    head: bytes
    runs: tuple[Run, ...]
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """One ``moof``; ``kept`` are its parts of tracks that are kept, ``others`` where samples of other tracks stand."""

    sequence: bytes
    kept: tuple[TrackFragment, ...]
    others: tuple[Span, ...]
    left_behind: bool

    @property
    def places(self) -> list[Span]:
        return [run.place for part in self.kept for run in part.runs]

    def write(self, starts: Sequence[int]) -> bytes:
        """The ``moof`` box, with the places of its runs counted from its own first byte."""
        places = iter(starts)
        parts = (box(b"traf", part.head, *(run.write(next(places)) for run in part.runs)) for part in self.kept)
        return box(b"moof", self.sequence, *parts)


def read_fragment(moof: bytes, start: int, movie: Movie) -> Fragment:
    """Read a fragment whose box begins at ``start``: a run's place may be counted from there."""
    kept_tracks = {track.id for track in movie.kept}
    sequence, parts, left_behind, end = b"", [], False, start
    for kind, body in boxes_within(moof):
        if kind == b"mfhd" and len(body) == 8 and not sequence and not any(body[:4]):  # noqa: PLR2004
            sequence = box(kind, body)
        elif kind == b"traf":
            part, clean = _read_traf(body, start, end, movie.defaults or {})
            parts.append(part)
            end, left_behind = part.end, left_behind or not clean
        elif kind in _LEFT_BEHIND:
            left_behind = True
        else:
            raise not_clean("a fragment holds a box that is not known here")
    if not sequence:
        raise not_clean("a fragment has no number")
    others = [run.place for part in parts if part.track not in kept_tracks for run in part.runs]
    kept = tuple(part for part in parts if part.track in kept_tracks)
    return Fragment(
        sequence=sequence, kept=kept, others=tuple(others), left_behind=left_behind or len(kept) != len(parts)
    )


def _read_traf(traf: bytes, start: int, follows: int, defaults: Mapping[int, bytes]) -> tuple[TrackFragment, bool]:
    """One track's part, and whether all of it is kept. Without a word its samples follow those of the part before."""
    boxes = boxes_within(traf)
    if [kind for kind, _ in boxes].count(b"tfhd") != 1 or boxes[0][0] != b"tfhd":
        raise not_clean("a track's fragment does not begin with its header")
    track, base, size, head = _read_tfhd(boxes[0][1], start, follows, defaults)
    written, runs, end, clean = [head], [], base, True
    for kind, body in boxes[1:]:
        if kind == b"tfdt" and len(written) == 1 and (body[:4], len(body)) in {(bytes(4), 8), (b"\x01\0\0\0", 12)}:
            written.append(box(kind, body))
        elif kind == b"trun":
            run = _read_run(body, base, end, size)
            runs.append(run)
            end = run.place.end
        elif kind in _LEFT_BEHIND:
            clean = False
        else:
            raise not_clean("a track's fragment is encrypted, or holds a box that is not known here")
    return TrackFragment(track=track, head=b"".join(written), runs=tuple(runs), end=end), clean


def _read_tfhd(body: bytes, start: int, follows: int, defaults: Mapping[int, bytes]) -> tuple[int, int, int, bytes]:
    """The track, from where its places are counted, its samples' size if it is always the same, and the header."""
    head = Cursor(body, "a track fragment's header")
    flags, track = head.number(4), head.number(4)
    if track not in defaults or flags & ~(_BASE | _ENTRY | _DURATION | _SIZE | _FLAGS | _EMPTY | _FROM_MOOF):
        raise head.unclear()
    base = start if flags & _FROM_MOOF else follows
    if flags & _BASE:
        base = head.number(8)
    said = {flag: head.take(4) for flag in (_ENTRY, _DURATION, _SIZE, _FLAGS) if flags & flag}
    head.finish()
    size = int.from_bytes(said.get(_SIZE, defaults[track][16:20]), "big")
    new_flags = flags & ~_BASE | _FROM_MOOF
    return track, base, size, full_box(b"tfhd", 0, new_flags, struct.pack(">I", track), *said.values())


def _read_run(body: bytes, base: int, follows: int, size: int) -> Run:
    run = Cursor(body, "a run of samples")
    version_and_flags, samples = run.number(4), run.number(4)
    fields = [field for field in _SAMPLE_FIELDS if version_and_flags & field]
    if version_and_flags & ~(1 << 24 | _RUN_OFFSET | _RUN_FIRST_FLAGS | sum(_SAMPLE_FIELDS)):
        raise run.unclear()
    at = follows
    if version_and_flags & _RUN_OFFSET:
        at = base + int.from_bytes(run.take(4), "big", signed=True)
    first_flags = run.take(4) if version_and_flags & _RUN_FIRST_FLAGS else b""
    said = run.take(4 * len(fields) * samples)
    run.finish()
    length = size * samples
    if _SAMPLE_SIZE in fields:
        numbers = struct.unpack(f">{len(said) // 4}I", said)
        length = sum(numbers[fields.index(_SAMPLE_SIZE) :: len(fields)])
    return Run(
        place=Span(start=at, length=length),
        version_and_flags=version_and_flags,
        samples=samples,
        said=first_flags + said,
    )
