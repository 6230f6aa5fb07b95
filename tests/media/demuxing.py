"""What a player gets out of a film or a sound, read without a line of the code under test."""

import struct
from collections import defaultdict
from collections.abc import Iterator
from io import BytesIO
from zipfile import ZipFile

Samples = list[list[bytes]]


def _boxes(data: bytes, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int, int]]:
    """Kind, first byte, first byte of the body, end."""
    end = len(data) if end is None else end
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        body = start + 8
        if size == 1:
            size, body = struct.unpack_from(">Q", data, body)[0], body + 8
        size = size or end - start
        yield kind, start, body, start + size
        start += size


def inside(data: bytes, *path: bytes) -> list[bytes]:
    """The bodies of all boxes at this path."""
    found = [data]
    for wanted in path:
        found = [outer[body:end] for outer in found for kind, _, body, end in _boxes(outer) if kind == wanted]
    return found


def box_kinds(data: bytes) -> list[bytes]:
    return [kind for kind, *_ in _boxes(data)]


def film_samples(data: bytes) -> Samples:
    """The samples of each video and sound track, in their order."""
    tracks = [
        trak for trak in inside(data, b"moov", b"trak") if inside(trak, b"mdia", b"hdlr")[0][8:12] in {b"vide", b"soun"}
    ]
    numbers = [
        struct.unpack_from(">I", inside(trak, b"tkhd")[0], 20 if inside(trak, b"tkhd")[0][0] else 12)[0]
        for trak in tracks
    ]
    fragments = _fragment_samples(data)
    return [
        _table_samples(data, inside(trak, b"mdia", b"minf", b"stbl")[0]) + fragments[number]
        for trak, number in zip(tracks, numbers, strict=True)
    ]


def _table_samples(data: bytes, stbl: bytes) -> list[bytes]:
    def table(kind: bytes, form: str, skip: int = 8) -> list[int]:
        bodies = inside(stbl, kind)
        return [number for (number,) in struct.iter_unpack(form, bodies[0][skip:])] if bodies else []

    same, _ = struct.unpack_from(">II", inside(stbl, b"stsz")[0], 4)
    sizes = table(b"stsz", ">I", 12)
    assert not same
    places = table(b"stco", ">I") or table(b"co64", ">Q")
    rows = list(struct.iter_unpack(">III", inside(stbl, b"stsc")[0][8:]))
    found: list[bytes] = []
    for number, place in enumerate(places, 1):
        for _ in range(next(count for first, count, _ in reversed(rows) if first <= number)):
            size = sizes[len(found)]
            found.append(data[place : place + size])
            place += size  # noqa: PLW2901 - the next sample of the chunk
    return found


def _fragment_samples(data: bytes) -> dict[int, list[bytes]]:
    found = defaultdict[int, list[bytes]](list)
    for kind, start, body, end in _boxes(data):
        if kind != b"moof":
            continue
        at = start
        for traf in inside(data[body:end], b"traf"):
            tfhd = inside(traf, b"tfhd")[0]
            flags, track = struct.unpack_from(">II", tfhd)
            origin = start if flags & 0x20000 else at
            if flags & 1:
                origin = struct.unpack_from(">Q", tfhd, 8)[0]
            for run in inside(traf, b"trun"):
                flags, count = struct.unpack_from(">II", run)
                rest = 8
                if flags & 1:
                    at, rest = origin + struct.unpack_from(">i", run, rest)[0], rest + 4
                assert flags & 0xF00 == 0x200
                for (size,) in struct.iter_unpack(">I", run[rest : rest + 4 * count]):
                    found[track].append(data[at : at + size])
                    at += size
    return found


def webm_samples(data: bytes) -> Samples:
    """The blocks of each video and sound track with their time in the cluster and their flags."""
    tracks: dict[int, list[bytes]] = {}
    _walk_webm(data, 0, len(data), tracks)
    return [tracks[number] for number in sorted(tracks)]


_PARENTS = {0x18538067, 0x1654AE6B, 0x1F43B675, 0xA0}


def _walk_webm(data: bytes, at: int, end: int, tracks: dict[int, list[bytes]]) -> None:
    while at < end:
        kind, body, size = _element(data, at)
        stop = end if size is None else body + size
        if kind == 0xAE:
            fields = dict(_numbers(data, body, stop))
            if fields[0x83] in {1, 2}:
                tracks[fields[0xD7]] = []
        elif kind in {0xA1, 0xA3} and data[body] & 0x7F in tracks:
            tracks[data[body] & 0x7F].append(data[body + 1 : stop])
        if kind in _PARENTS:
            _walk_webm(data, body, stop, tracks)
        at = stop


def _element(data: bytes, at: int) -> tuple[int, int, int | None]:
    first = 9 - data[at].bit_length()
    second = 9 - data[at + first].bit_length()
    body = at + first + second
    size = int.from_bytes(data[at + first : body], "big") & (1 << 7 * second) - 1
    return int.from_bytes(data[at : at + first], "big"), body, None if size == (1 << 7 * second) - 1 else size


def _numbers(data: bytes, at: int, end: int) -> Iterator[tuple[int, int]]:
    while at < end:
        kind, body, size = _element(data, at)
        assert size is not None
        yield kind, int.from_bytes(data[body : body + size], "big")
        at = body + size


def webm_elements(data: bytes) -> list[tuple[int, int]]:
    """Identifier and place of each element of the segment."""
    _, body, size = _element(data, 0)
    at = _element(data, body + (size or 0))[1]
    found = []
    while at < len(data):
        kind, body, size = _element(data, at)
        found.append((kind, at))
        at = len(data) if size is None else body + size
    return found


def wav_samples(data: bytes) -> Samples:
    """How the samples are coded, and the samples."""
    found, at = {}, 12
    while at < len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        found[kind] = data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    return [[found[b"fmt "][:16]], [found[b"data"]]]


def mp3_samples(data: bytes) -> Samples:
    """The frames of 128 kbit/s that the sounds of the tests are made of, but for the one that describes the others."""
    at = data.index(b"\xff\xfb\x90")
    frames = []
    while data[at : at + 3] == b"\xff\xfb\x90":
        frames.append(data[at : at + 417])
        at += 417
    return [[frame for frame in frames if frame[36:40] not in {b"Xing", b"Info"}]]


def zip_members(data: bytes) -> dict[str, bytes]:
    with ZipFile(BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
