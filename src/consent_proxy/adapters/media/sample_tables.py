"""Where a track's samples stand, when and in which order they are shown: tables of numbers that have to agree."""

import sys
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise

from consent_proxy.adapters.media.boxes import box, boxes_within, full_box
from consent_proxy.adapters.media.cursor import Cursor
from consent_proxy.adapters.media.sample_entries import clean_entry
from consent_proxy.adapters.media.spans import Span
from consent_proxy.adapters.media.tags import TagGroup, not_clean

#: What may be left out of a table without a sample being shown otherwise.
_NOT_NEEDED = frozenset(
    {b"sdtp", b"stdp", b"padb", b"subs", b"udta", b"uuid", b"free", b"skip", b"stsh", b"sbgp", b"sgpd"}
)
#: A day and a half of film, with two chunks a second.
_MOST_CHUNKS = 250_000
_ENCRYPTION = frozenset({b"senc", b"saiz", b"saio"})
#: Groups of samples that decoders roll in with, and the bytes that describe one.
_ROLLING_GROUPS = {b"roll": 2, b"prol": 2, b"rap ": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleTable:
    """``chunks`` is where the samples stand in the file; ``written`` is the table without that, cleaned."""

    chunks: tuple[Span, ...]
    samples: int
    written: tuple[bytes, ...]
    removed: frozenset[TagGroup]

    def write(self, starts: list[int], *, wide: bool) -> bytes:
        """The whole table, for samples that now stand elsewhere."""
        offsets = array("Q" if wide else "I", starts)
        places = full_box(b"co64" if wide else b"stco", 0, 0, len(starts).to_bytes(4, "big"), _big_endian(offsets))
        return box(b"stbl", *self.written, places)


def boxes_once(data: bytes) -> dict[bytes, bytes]:
    """The boxes inside another one, of which no kind may stand there twice but those that stay behind anyway."""
    found: dict[bytes, bytes] = {}
    for kind, body in boxes_within(data):
        if kind in found and kind not in _NOT_NEEDED:
            raise not_clean("the same box stands twice where it may stand once")
        found[kind] = body
    return found


def read_chunks(stbl: bytes) -> SampleTable:
    """Where the samples of a track stand that is not kept; nothing of it is written."""
    tables = boxes_once(stbl)
    count, chunks = _chunks(tables)
    return SampleTable(chunks=chunks, samples=count, written=(), removed=frozenset())


def read_table(stbl: bytes, *, handler: bytes) -> SampleTable:
    tables = boxes_once(stbl)
    if unknown := tables.keys() - _KEPT.keys() - _NOT_NEEDED - {b"stsd", b"stsz", b"stz2", b"stsc", b"stco", b"co64"}:
        encrypted = bool(unknown & _ENCRYPTION)
        raise not_clean("a track is encrypted" if encrypted else "a track's table holds a box that is not known here")
    count, chunks = _chunks(tables)
    entries, removed = _entries(tables, count=count, handler=handler)
    written = [entries, *(_KEPT[kind](kind, body, count) for kind, body in tables.items() if kind in _KEPT)]
    if count and b"stts" not in tables:
        raise not_clean("a track does not say when its samples are shown")
    written += [box(kind, _needed(tables, kind)) for kind in (b"stsz", b"stz2", b"stsc") if kind in tables]
    groups = _rolling_groups(stbl, count)
    if any(kind in _NOT_NEEDED for kind in tables.keys() - {b"sbgp", b"sgpd"}) or groups.left_out:
        removed |= {TagGroup.TECHNICAL}
    return SampleTable(chunks=chunks, samples=count, written=(*written, *groups.written), removed=removed)


def _entries(tables: Mapping[bytes, bytes], *, count: int, handler: bytes) -> tuple[bytes, frozenset[TagGroup]]:
    described = Cursor(_needed(tables, b"stsd"), "a track's description")
    if described.number(4):
        raise described.unclear()
    number = described.number(4)
    entries = [clean_entry(kind, body, handler=handler) for kind, body in boxes_within(described.rest())]
    if not number == len(entries) > 0:
        raise described.unclear()
    if (used := set(_numbers(_needed(tables, b"stsc")[8:])[2::3])) and (min(used) < 1 or max(used) > number):
        raise not_clean("samples are of a coding that no entry describes")
    size = int.from_bytes(_needed(tables, b"stsz")[4:8], "big") if b"stsz" in tables else 0
    if count and any(entry.sample_bytes not in {None, size} for entry in entries):
        raise not_clean("a sound track's samples are not as long as its coding says")
    written = full_box(b"stsd", 0, 0, number.to_bytes(4, "big"), *(entry.written for entry in entries))
    return written, frozenset[TagGroup]().union(*(entry.removed for entry in entries))


def _chunks(tables: Mapping[bytes, bytes]) -> tuple[int, tuple[Span, ...]]:
    count, sizes = _sizes(tables)
    wide = b"co64" in tables
    places = Cursor(_needed(tables, b"co64" if wide else b"stco"), "a track's table of places")
    if places.number(4) or places.number(4) * (8 if wide else 4) != places.left or (wide and b"stco" in tables):
        raise places.unclear()
    if places.left > _MOST_CHUNKS * (8 if wide else 4):
        raise not_clean(f"a track has more than {_MOST_CHUNKS} chunks")
    starts = _numbers(places.rest(), "Q" if wide else "I")
    ends = [0, *accumulate(_samples_by_chunk(_needed(tables, b"stsc"), len(starts)))]
    if ends[-1] != count:
        raise not_clean("a track has more samples, or fewer, than its chunks hold")
    if isinstance(sizes, int):
        lengths = [(after - before) * sizes for before, after in pairwise(ends)]
    else:
        total = array("Q", accumulate(sizes, initial=0))
        lengths = [total[after] - total[before] for before, after in pairwise(ends)]
    return count, tuple(Span(start=start, length=length) for start, length in zip(starts, lengths, strict=True))


def _sizes(tables: Mapping[bytes, bytes]) -> "tuple[int, int | array[int]]":
    """How many samples there are, and their one size or each one's."""
    compact = b"stz2" in tables
    table = Cursor(_needed(tables, b"stz2" if compact else b"stsz"), "a track's table of sizes")
    same, count = (table.number(4), table.number(4), table.number(4))[1:]
    if compact and b"stsz" not in tables and same in {8, 16} and table.left == count * same // 8:
        return count, _numbers(table.rest(), "B" if same == 8 else "H")  # noqa: PLR2004 - bits
    if compact or table.left != (0 if same else 4 * count):
        raise table.unclear()
    return count, same or _numbers(table.rest())


def _samples_by_chunk(stsc: bytes, chunks: int) -> list[int]:
    """How many samples each chunk holds; the table has a row where that changes."""
    rows = Cursor(stsc, "a track's table of chunks")
    if rows.number(4) or rows.number(4) * 12 != rows.left:
        raise rows.unclear()
    numbers = _numbers(rows.rest())
    firsts, counts = list(numbers[0::3]), list(numbers[1::3])
    if not _ascends(firsts, most=chunks) or (firsts[:1] or [1]) != [1] or 0 in counts or bool(chunks) != bool(firsts):
        raise rows.unclear()
    ends = [*firsts[1:], chunks + 1]
    found: list[int] = []
    for first, end, count in zip(firsts, ends, counts, strict=False):
        found += [count] * (end - first)
    return found


def _timing(kind: bytes, body: bytes, samples: int) -> bytes:
    """``stts`` and ``ctts``: so many samples, so much time; together as many as there are samples."""
    table = Cursor(body, "a track's table of times")
    head = table.number(4)
    if head not in {0, 1 << 24} or table.number(4) * 8 != table.left:
        raise table.unclear()
    counts = _numbers(table.rest())[0::2]
    if 0 in counts or sum(counts) != samples:
        raise table.unclear()
    return box(kind, body)


def _numbered_samples(kind: bytes, body: bytes, samples: int) -> bytes:
    """``stss`` and ``stps``: the samples that can be begun with."""
    table = Cursor(body, "a track's table of key frames")
    if table.number(4) or table.number(4) * 4 != table.left or not _ascends(list(_numbers(table.rest())), most=samples):
        raise table.unclear()
    return box(kind, body)


def _composition_shift(kind: bytes, body: bytes, samples: int) -> bytes:
    del samples
    if len(body) not in {24, 44}:
        raise not_clean("a track's shift of times is not built as its format says")
    return box(kind, body)


_KEPT: Mapping[bytes, Callable[[bytes, bytes, int], bytes]] = {
    b"stts": _timing,
    b"ctts": _timing,
    b"stss": _numbered_samples,
    b"stps": _numbered_samples,
    b"cslg": _composition_shift,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Groups:
    written: tuple[bytes, ...]
    left_out: bool


def _rolling_groups(stbl: bytes, samples: int) -> _Groups:
    """Of the groups of samples those that say how many to decode before one can be shown."""
    boxes = [(kind, body) for kind, body in boxes_within(stbl) if kind in {b"sbgp", b"sgpd"}]
    described = {body[4:8] for kind, body in boxes if kind == b"sgpd" and _describes_rolling(body)}
    grouped = {body[4:8] for kind, body in boxes if kind == b"sbgp" and _groups_samples(body, samples)}
    both = described & grouped
    kept = [(kind, body) for kind, body in boxes if body[4:8] in both]
    if len(kept) != 2 * len(both):
        raise not_clean("samples are grouped twice in the same way")
    return _Groups(written=tuple(box(kind, body) for kind, body in kept), left_out=len(kept) != len(boxes))


def _describes_rolling(body: bytes) -> bool:
    size = _ROLLING_GROUPS.get(body[4:8])
    described = Cursor(body, "a group of samples")
    if size is None or described.number(4) != 1 << 24:
        return False
    described.take(4)
    return described.number(4) == size and described.number(4) * size == described.left


def _groups_samples(body: bytes, samples: int) -> bool:
    grouped = Cursor(body, "a group of samples")
    if grouped.number(4):
        return False
    grouped.take(4)
    if grouped.number(4) * 8 != grouped.left:
        raise grouped.unclear()
    counts = _numbers(grouped.rest())[0::2]
    return 0 not in counts and sum(counts) <= samples


def _needed(tables: Mapping[bytes, bytes], kind: bytes) -> bytes:
    if kind not in tables:
        raise not_clean("a track's table lacks a box it cannot do without")
    return tables[kind]


def _ascends(numbers: list[int], *, most: int) -> bool:
    return all(before < after for before, after in zip([0, *numbers], numbers, strict=False)) and (
        not numbers or numbers[-1] <= most
    )


def _numbers(data: bytes, kind: str = "I") -> "array[int]":
    if len(data) % array(kind).itemsize:
        raise not_clean("a table ends in the middle of a number")
    found = array(kind, data)
    if sys.byteorder == "little":
        found.byteswap()
    return found


def _big_endian(numbers: "array[int]") -> bytes:
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers.tobytes()
