"""PNG and APNG: the chunks that make the picture and its frames are kept, and all else stays behind."""

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from consent_proxy.adapters.media.exif import reduce_exif
from consent_proxy.adapters.media.icc import MOST_BYTES as MOST_PROFILE_BYTES
from consent_proxy.adapters.media.icc import neutral_profile
from consent_proxy.adapters.media.pieces import Cleaned
from consent_proxy.adapters.media.tags import TagGroup, not_clean
from consent_proxy.adapters.media.trailers import trailer_group

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST_CHUNKS = 200_000
_PROFILE_NAME = b"ICC profile\x00\x00"
_ANIMATION = frozenset({b"acTL", b"fcTL", b"fdAT"})


def _exactly(*lengths: int) -> Callable[[int], bool]:
    return lambda length: length in lengths


#: The chunks that are kept as they are, and how long each may be.
_KEPT: Mapping[bytes, Callable[[int], bool]] = {
    b"IHDR": _exactly(13),
    b"PLTE": _exactly(*range(3, 769, 3)),
    b"IDAT": lambda _: True,
    b"IEND": _exactly(0),
    b"tRNS": lambda _: True,  # that depends on the picture
    b"gAMA": _exactly(4),
    b"cHRM": _exactly(32),
    b"sRGB": _exactly(1),
    b"sBIT": _exactly(1, 2, 3, 4),
    b"bKGD": _exactly(1, 2, 6),
    b"pHYs": _exactly(9),
    b"cICP": _exactly(4),
    b"mDCV": _exactly(24),
    b"mDCv": _exactly(24),
    b"cLLI": _exactly(8),
    b"cLLi": _exactly(8),
    b"acTL": _exactly(8),
    b"fcTL": _exactly(26),
    b"fdAT": lambda length: length > 4,  # noqa: PLR2004 - a number, and then the frame
}
#: What may stand in a picture more than once.
_REPEATED = frozenset({b"IDAT", b"fcTL", b"fdAT"})
#: What may stand behind the first pixels.
_LATE = frozenset({b"IDAT", b"fcTL", b"fdAT", b"IEND"})

_GROUPS: Mapping[bytes, TagGroup] = {
    b"tEXt": TagGroup.COMMENT,
    b"zTXt": TagGroup.COMMENT,
    b"iTXt": TagGroup.COMMENT,
    b"tIME": TagGroup.DATES,
    b"caBX": TagGroup.PROVENANCE,
    b"sPLT": TagGroup.TECHNICAL,
    b"hIST": TagGroup.TECHNICAL,
}


@dataclass(slots=True, kw_only=True)
class _Frames:
    """What an animation says of itself, to be compared with what is there."""

    announced: int | None = None
    controls: int = 0
    numbers: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chunk:
    kind: bytes
    body: memoryview
    whole: memoryview
    end: int


@dataclass(slots=True, kw_only=True)
class _Picture:
    seen: set[bytes] = field(default_factory=set)
    last: bytes = b""
    colour_type: int = 0
    frames: _Frames = field(default_factory=_Frames)

    def takes_transparency(self, length: int) -> bool:
        """Whether so many bytes say what is transparent: one shade, one colour, or a value for each of a palette's."""
        return length in {0: (2,), 2: (6,), 3: range(1, 257)}.get(self.colour_type, ())


def clean_png(content: memoryview) -> Cleaned:
    """Keep the picture and its frames, up to its end. Raises `MediaRefused` where a chunk is not understood."""
    cleaned, picture = Cleaned(pieces=[_SIGNATURE]), _Picture()
    end = len(content)
    for chunk in _chunks(content):
        end = chunk.end
        if chunk.kind in _KEPT:
            _check(chunk, picture)
            cleaned.pieces.append(chunk.whole)
        elif chunk.kind == b"eXIf":
            _reduce_exif(chunk, picture, cleaned)
        elif chunk.kind == b"iCCP":
            _neutralise_profile(chunk, picture, cleaned)
        elif chunk.kind[0] & 0x20:
            cleaned.removed.add(_group(chunk))
        else:
            raise not_clean("the PNG has a critical chunk that is not known")
    if b"IDAT" not in picture.seen or picture.frames.announced not in {None, picture.frames.controls}:
        raise not_clean("the PNG has no picture, or not as many frames as it says")
    if rest := content[end:]:
        cleaned.removed.add(trailer_group(rest))
    return cleaned


def _chunks(content: memoryview) -> Iterator[_Chunk]:
    """Every chunk up to the end of the picture, which is the last."""
    at = len(_SIGNATURE)
    for _ in range(_MOST_CHUNKS):
        if at + 12 > len(content):
            raise not_clean("the PNG ends early")
        length, kind = struct.unpack_from(">I4s", content, at)
        end = at + 12 + length
        if end > len(content) or not kind.isalpha():
            raise not_clean("the PNG ends within a chunk, or has something between its chunks")
        yield _Chunk(kind=kind, body=content[at + 8 : end - 4], whole=content[at:end], end=end)
        if kind == b"IEND":
            return
        at = end
    raise not_clean("the PNG has more chunks than any picture needs")


def _check(chunk: _Chunk, picture: _Picture) -> None:
    """Raise unless the chunk is whole, in its place and as long as it has to be."""
    kind, seen = chunk.kind, picture.seen
    if zlib.crc32(chunk.whole[4:-4]) != int.from_bytes(chunk.whole[-4:]):
        raise not_clean("a chunk of the PNG is damaged: its checksum is wrong")
    if not _KEPT[kind](len(chunk.body)) or (kind == b"tRNS" and not picture.takes_transparency(len(chunk.body))):
        raise not_clean("a chunk of the PNG is longer or shorter than it can be")
    if (not seen) is not (kind == b"IHDR"):
        raise not_clean("the PNG does not begin with its header, or has two")
    if kind in seen and (kind not in _REPEATED or (kind == b"IDAT" and picture.last != b"IDAT")):
        raise not_clean("the PNG has two chunks of a kind of which there can be one")
    if b"IDAT" in seen and kind not in _LATE:
        raise not_clean("the PNG has a chunk behind its pixels that has to stand before them")
    if kind in _ANIMATION:
        _count_frame(chunk, picture)
    if kind == b"IHDR":
        picture.colour_type = chunk.body[9]
    seen.add(kind)
    picture.last = kind


def _count_frame(chunk: _Chunk, picture: _Picture) -> None:
    frames = picture.frames
    if chunk.kind == b"acTL":
        if b"IDAT" in picture.seen:
            raise not_clean("the PNG says too late that it is animated")
        frames.announced = int.from_bytes(chunk.body[:4])
        return
    if frames.announced is None or int.from_bytes(chunk.body[:4]) != frames.numbers:
        raise not_clean("the frames of the PNG are out of order")
    frames.numbers += 1
    frames.controls += chunk.kind == b"fcTL"


def _reduce_exif(chunk: _Chunk, picture: _Picture, cleaned: Cleaned) -> None:
    """Keep the orientation of the first block; a picture has one."""
    exif = reduce_exif(chunk.body)
    cleaned.removed |= exif.groups
    if exif.kept and chunk.kind not in picture.seen:
        _append(cleaned, b"eXIf", exif.kept)
    picture.seen.add(chunk.kind)
    picture.last = chunk.kind


def _neutralise_profile(chunk: _Chunk, picture: _Picture, cleaned: Cleaned) -> None:
    if chunk.kind in picture.seen or picture.seen & {b"PLTE", b"IDAT"}:
        cleaned.removed.add(TagGroup.TECHNICAL)
        return
    if len(chunk.body) > MOST_PROFILE_BYTES:
        raise not_clean("the colour profile is too large")
    picture.seen.add(chunk.kind)
    name, _, compressed = bytes(chunk.body).partition(b"\x00")
    inflated = _inflated(compressed[1:]) if compressed[:1] == b"\x00" and len(name) < 80 else None  # noqa: PLR2004
    profile = neutral_profile(inflated) if inflated else None
    body = _PROFILE_NAME + zlib.compress(profile, 9) if profile else b""
    if profile:
        _append(cleaned, b"iCCP", body)
    if body != chunk.body:
        cleaned.removed.add(TagGroup.TECHNICAL)


def _inflated(compressed: bytes) -> bytes | None:
    """The profile, which is as long as it says and no bomb; None where it cannot be read."""
    inflating = zlib.decompressobj()
    try:
        profile = inflating.decompress(compressed, MOST_PROFILE_BYTES + 1)
    except zlib.error:
        return None
    if len(profile) > MOST_PROFILE_BYTES:
        raise not_clean("the colour profile is too large")
    return profile


def _append(cleaned: Cleaned, kind: bytes, body: bytes) -> None:
    cleaned.pieces.append(struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body)))


def _group(chunk: _Chunk) -> TagGroup:
    """What a chunk that is not kept was; XMP and EXIF hide in text chunks too."""
    start = bytes(chunk.body[:40])
    if chunk.kind in {b"tEXt", b"zTXt", b"iTXt"} and start.startswith((b"XML:com.adobe.xmp", b"Raw profile type")):
        return TagGroup.EDITING
    if chunk.kind == b"tEXt" and start.startswith((b"Software", b"date:", b"Creation Time")):
        return TagGroup.EDITING if start.startswith(b"Software") else TagGroup.DATES
    return _GROUPS.get(chunk.kind, TagGroup.UNKNOWN)
