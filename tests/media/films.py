"""Films and sounds in boxes, built by hand: every coding, every layout, and a mark wherever one can stand."""

import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.media.tells import MARK, jumbf_box, xmp_packet

DATE = 0xE2A3B4C5
GERMAN = 0x10B2  # "deu", five bits a letter
SIDEWAYS = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
UPRIGHT = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
PLACE = b"+52.5200+013.4050/"


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def full(kind: bytes, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def numbers(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def noise(seed: str, count: int = 6, length: int = 40) -> tuple[bytes, ...]:
    """Samples that no other track has, each of another length."""
    dice = random.Random(seed)
    return tuple(dice.randbytes(length + number) for number in range(count))


# How samples are coded.

SPS, PPS = bytes.fromhex("674d401f965600a0"), bytes.fromhex("68ee3c80")
AVCC = b"\x01\x4d\x40\x1f\xff\xe1" + struct.pack(">H", len(SPS)) + SPS + b"\x01" + struct.pack(">H", len(PPS)) + PPS
NCLX = box(b"colr", b"nclx", struct.pack(">HHHB", 9, 16, 9, 0x80))


def video_entry(kind: bytes, *settings: bytes) -> bytes:
    origin = struct.pack(">HH4sII", 0, 0, MARK[:4], 512, 512)
    measures = struct.pack(">HHIIIH", 64, 48, 72 << 16, 72 << 16, 0, 1)
    return box(kind, bytes(6), b"\x00\x01", origin, measures, MARK.ljust(32, b"\x00"), b"\x00\x18\xff\xff", *settings)


def sound_entry(kind: bytes, *settings: bytes, version: int = 0, bits: int = 16) -> bytes:
    extension = numbers(1024, 0, 2 * bits // 8, 2) if version else b""
    head = struct.pack(">HH4sHHHHI", version, 0, MARK[:4], 2, bits, 0xFFFE if version else 0, 0, 44100 << 16)
    return box(kind, bytes(6), b"\x00\x01", head, extension, *settings)


def avc_entry() -> bytes:
    return video_entry(b"avc1", box(b"avcC", AVCC), box(b"pasp", numbers(1, 1)), NCLX, box(b"uuid", MARK))


def hevc_unit(kind: int, body: bytes) -> bytes:
    unit = bytes((kind << 1, 1)) + body
    return struct.pack(">H", len(unit)) + unit


MASTERING = b"\x89\x18" + bytes(range(24)) + b"\x80"


def hevc_entry() -> bytes:
    user_data = b"\x05" + bytes((16 + len(MARK),)) + bytes(16) + MARK + b"\x80"
    arrays = [
        *(struct.pack(">BH", 0xA0 | kind & 31, 1) + hevc_unit(kind, b"\x01parameter") for kind in (32, 33, 34)),
        struct.pack(">BH", 0x27, 2) + hevc_unit(39, user_data) + hevc_unit(39, MASTERING),
    ]
    arrays[:3] = [struct.pack(">BH", 0x80 | kind, 1) + hevc_unit(kind, b"\x01parameter") for kind in (32, 33, 34)]
    return video_entry(b"hvc1", box(b"hvcC", b"\x01", bytes(21), bytes((len(arrays),)), *arrays), NCLX)


def av1_entry() -> bytes:
    sequence, metadata = b"\x0a\x04\x01\x02\x03\x04", bytes((0x2A, len(MARK))) + MARK
    return video_entry(b"av01", box(b"av1C", b"\x81\x00\x0c\x00", sequence, metadata))


def esds(*, comment: bytes = b"") -> bytes:
    """An AAC stream's settings as Apple writes them, each length in four bytes."""

    def described(tag: int, body: bytes) -> bytes:
        return bytes((tag, 0x80, 0x80, 0x80, len(body))) + body

    decoder = described(4, b"\x40\x15" + bytes(11) + described(5, b"\x12\x10" + comment))
    return full(b"esds", described(3, b"\x00\x01\x00" + decoder + described(6, b"\x02")))


def aac_entry() -> bytes:
    return sound_entry(b"mp4a", esds(), box(b"btrt", numbers(1, 2, 3)))


def quicktime_aac_entry() -> bytes:
    wave = box(b"wave", box(b"frma", b"mp4a"), box(b"mp4a", bytes(4)), esds(), box(bytes(4)))
    return sound_entry(b"mp4a", wave, full(b"chan", numbers(101 << 16 | 2, 0, 0)), version=1)


def flac_entry() -> bytes:
    comment = b"\x84" + len(MARK).to_bytes(3, "big") + MARK
    return sound_entry(b"fLaC", full(b"dfLa", b"\x00\x00\x00\x22", bytes(range(34)), comment))


# Tracks and films.


@dataclass(frozen=True, kw_only=True)
class Reel:
    """A track to be: what it is, how it is coded, and its samples."""

    handler: bytes
    entry: bytes
    samples: tuple[bytes, ...]
    matrix: bytes = UPRIGHT
    flags: int = 3
    more: bytes = b""
    tables: bytes = b""
    place: bytes = field(default_factory=lambda: full(b"url ", flags=1))


def video(entry: bytes | None = None, **options: bytes | int) -> Reel:
    return Reel(handler=b"vide", entry=entry or avc_entry(), samples=noise("video"), **options)  # type: ignore[arg-type]


def sound(entry: bytes | None = None, **options: bytes | int) -> Reel:
    return Reel(handler=b"soun", entry=entry or aac_entry(), samples=noise("sound"), **options)  # type: ignore[arg-type]


def side(handler: bytes, kind: bytes) -> Reel:
    """A track of text or data that says where the film was made."""
    entry = box(kind, bytes(6), b"\x00\x01", MARK)
    return Reel(handler=handler, entry=entry, samples=tuple(PLACE + MARK + bytes((number,)) for number in range(4)))


SIDES = (
    side(b"sbtl", b"tx3g"),
    side(b"text", b"text"),
    side(b"meta", b"gpmd"),
    side(b"meta", b"mebx"),
    side(b"tmcd", b"tmcd"),
    side(b"data", b"mett"),
)

ITUNES = full(b"meta", box(b"hdlr", MARK), box(b"ilst", box(b"\xa9nam", MARK), box(b"covr", MARK)))
APPLE = box(b"meta", box(b"keys", b"com.apple.quicktime.location.ISO6709"), box(b"ilst", PLACE + MARK))
DESCRIBING = b"".join(
    (
        box(b"udta", box(b"\xa9xyz", PLACE + MARK), box(b"\xa9mak", MARK), box(b"\xa9ART", MARK), ITUNES),
        APPLE,
        box(b"uuid", xmp_packet()),
        box(b"uuid", jumbf_box()),
        box(b"free", MARK),
        box(b"skip", MARK),
    )
)


def head(kind: bytes, *parts: bytes, version: int, flags: int = 0, before: int = 2) -> bytes:
    """A header with its two dates first."""
    dates = struct.pack(">QQ" if version else ">II", DATE, DATE + before)
    return full(kind, dates, *parts, version=version, flags=flags)


def wide_number(value: int, version: int) -> bytes:
    return value.to_bytes(8 if version else 4, "big")


def table_of(reel: Reel, places: Sequence[int], *, by_chunk: int, wide: bool) -> bytes:
    count = len(reel.samples)
    offsets = struct.pack(f">{len(places)}{'Q' if wide else 'I'}", *places)
    return box(
        b"stbl",
        full(b"stsd", numbers(1), reel.entry),
        full(b"stts", numbers(1 if count else 0), numbers(count, 1024) if count else b""),
        full(b"stsc", numbers(1, 1, by_chunk, 1) if places else numbers(0)),
        full(b"stsz", numbers(0, count, *map(len, reel.samples))),
        full(b"co64" if wide else b"stco", numbers(len(places)), offsets),
        reel.tables,
    )


def track_of(reel: Reel, number: int, stbl: bytes, *, version: int) -> bytes:
    described = {b"vide": full(b"vmhd", bytes(8), flags=1), b"soun": full(b"smhd", bytes(4))}
    media = described.get(reel.handler, full(b"nmhd"))
    place = box(b"dinf", full(b"dref", numbers(1), reel.place))
    length = wide_number(6144, version)
    return box(
        b"trak",
        head(
            b"tkhd",
            numbers(number, 0) + length + bytes(16) + reel.matrix + numbers(64 << 16, 48 << 16),
            version=version,
            flags=reel.flags,
        ),
        box(b"edts", full(b"elst", numbers(1, 6144, 1024, 1 << 16))),
        box(b"tref", box(b"cdsc", numbers(1))),
        reel.more,
        box(b"udta", box(b"name", MARK)),
        box(
            b"mdia",
            head(b"mdhd", numbers(44100) + length + struct.pack(">HH", GERMAN, 0), version=version),
            full(b"hdlr", MARK[:4], reel.handler, MARK[:12], MARK + b"\x00"),
            box(b"minf", media, full(b"hdlr", b"dhlralis", bytes(12), MARK), place, stbl),
        ),
    )


def film_head(*, version: int) -> bytes:
    timing = numbers(1000) + wide_number(6000, version)
    rest = struct.pack(">IH10s", 1 << 16, 256, MARK) + UPRIGHT + MARK.ljust(24, b"\x00") + numbers(99)
    return head(b"mvhd", timing, rest, version=version)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a film stands in its file."""

    brand: bytes | None = b"isom"
    is_moov_first: bool = False
    mdat: str = "plain"  # or "wide", with a length of eight bytes, or "open", up to the end of the file
    is_wide: bool = False
    version: int = 0
    loose: bytes = MARK * 3
    behind: bytes = b""


def film(*reels: Reel, layout: Layout | None = None) -> bytes:
    """A film with two samples a chunk, the chunks of all tracks in turn, and loose bytes between them."""
    how = layout or Layout()
    brands = box(b"ftyp", how.brand, b"MARK", how.brand, MARK[:4]) if how.brand else b""
    chunks = sorted(
        (first, track, b"".join(reel.samples[first : first + 2]))
        for track, reel in enumerate(reels)
        for first in range(0, len(reel.samples), 2)
    )
    content, places = bytearray(how.loose), [list[int]() for _ in reels]
    for _, track, chunk in chunks:
        places[track].append(len(content))
        content += chunk
        content += how.loose
    opening = {
        "plain": struct.pack(">I4s", len(content) + 8, b"mdat"),
        "wide": struct.pack(">I4sQ", 1, b"mdat", len(content) + 16),
        "open": struct.pack(">I4s", 0, b"mdat"),
    }[how.mdat]

    def moov(start: int) -> bytes:
        tracks = [
            track_of(
                reel,
                number,
                table_of(reel, [start + at for at in places[number - 1]], by_chunk=2, wide=how.is_wide),
                version=how.version,
            )
            for number, reel in enumerate(reels, 1)
        ]
        return box(b"moov", film_head(version=how.version), *tracks, DESCRIBING)

    between = DESCRIBING + box(b"wide")
    start = len(brands) + len(between) + len(opening)
    if how.is_moov_first or how.mdat == "open":
        before = moov(start + len(moov(0)))
        return b"".join((brands, before, between, opening, content, how.behind))
    return b"".join((brands, between, opening, content, moov(start), how.behind))


# Fragments.


def fragment(reels: Sequence[Reel], number: int, start: int, *, base: str) -> bytes:
    """One sample of each track; ``base`` is from where places are counted: moof, absolute or unsaid."""
    chunks = [reel.samples[number] for reel in reels]
    flags = {"moof": 0x20000, "absolute": 1, "unsaid": 0}[base]

    def moof(size: int) -> bytes:
        parts, at = [], size + 8 + len(MARK)
        for track, chunk in enumerate(chunks, 1):
            origin = struct.pack(">Q", start + at) if base == "absolute" else b""
            tfhd = full(b"tfhd", numbers(track), origin, numbers(1024), flags=flags | 8)
            offset = 0 if base == "absolute" else at
            if base == "unsaid" and track > 1:
                run = full(b"trun", numbers(1, len(chunk)), flags=0x200)
            else:
                run = full(b"trun", struct.pack(">Ii", 1, offset), numbers(len(chunk)), flags=0x201)
            tfdt = full(b"tfdt", struct.pack(">Q", number * 1024), version=1)
            parts.append(box(b"traf", tfhd, tfdt, run, box(b"uuid", MARK), full(b"sdtp", b"\x20")))
            at += len(chunk)
        return box(b"moof", full(b"mfhd", numbers(number + 1)), *parts, box(b"uuid", MARK))

    return moof(len(moof(0))) + box(b"mdat", MARK, *chunks, MARK)


def fragmented(*reels: Reel, base: str = "moof", brand: bytes = b"iso5") -> bytes:
    tracks = [
        track_of(
            reel,
            number,
            table_of(Reel(handler=reel.handler, entry=reel.entry, samples=()), [], by_chunk=1, wide=False),
            version=0,
        )
        for number, reel in enumerate(reels, 1)
    ]
    defaults = [full(b"trex", numbers(number, 1, 1024, 0, 0)) for number in range(1, len(reels) + 1)]
    mvex = box(b"mvex", full(b"mehd", numbers(6000)), *defaults)
    content = box(b"ftyp", brand, b"MARK", brand, b"dash")
    content += box(b"moov", film_head(version=0), *tracks, DESCRIBING, mvex)
    for number in range(min(len(reel.samples) for reel in reels)):
        content += box(b"styp", b"msdh", MARK) + full(b"sidx", MARK) + full(b"emsg", MARK) + full(b"prft", MARK)
        content += fragment(reels, number, len(content), base=base)
    return content + box(b"mfra", MARK)


QUICKTIME = Layout(brand=b"qt  ")

FILMS: dict[str, Callable[[], bytes]] = {
    "telephone": lambda: film(video(), sound(), *SIDES),
    "moov-first": lambda: film(video(), sound(), layout=Layout(is_moov_first=True)),
    "wide-places": lambda: film(video(), sound(), layout=Layout(is_wide=True, mdat="wide", version=1)),
    "open-mdat": lambda: film(video(), sound(), layout=Layout(mdat="open")),
    "sideways-hevc": lambda: film(video(hevc_entry(), matrix=SIDEWAYS), sound(flac_entry())),
    "av1": lambda: film(video(av1_entry())),
    "fragments": lambda: fragmented(video(), sound(), side(b"meta", b"gpmd")),
    "fragments-absolute": lambda: fragmented(video(), sound(), base="absolute"),
    "fragments-unsaid": lambda: fragmented(video(), side(b"text", b"tx3g"), sound(), base="unsaid"),
}
QUICKTIMES: dict[str, Callable[[], bytes]] = {
    "telephone": lambda: film(video(), sound(quicktime_aac_entry()), *SIDES, layout=QUICKTIME),
    "no-brand": lambda: film(video(), layout=Layout(brand=None, is_moov_first=True)),
}
BOXED_SOUNDS: dict[str, Callable[[], bytes]] = {
    "aac": lambda: film(sound(), side(b"text", b"text"), layout=Layout(brand=b"M4A ")),
    "flac": lambda: film(sound(flac_entry()), layout=Layout(brand=b"M4A ", is_moov_first=True)),
}
