"""JPEG: the segments that make the picture are kept, orientation and colours rebuilt, and all else stays behind."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from consent_proxy.adapters.media.exif import EXIF_MARK, reduce_exif
from consent_proxy.adapters.media.icc import neutral_profile
from consent_proxy.adapters.media.pieces import Cleaned, Piece
from consent_proxy.adapters.media.tags import TagGroup, not_clean
from consent_proxy.adapters.media.trailers import trailer_group

_EOI, _SOS, _DQT, _DHT, _DAC, _DNL, _DRI, _COM = 0xD9, 0xDA, 0xDB, 0xC4, 0xCC, 0xDC, 0xDD, 0xFE
_APP0, _APP1, _APP2, _APP11, _APP13, _APP14 = 0xE0, 0xE1, 0xE2, 0xEB, 0xED, 0xEE
_APPLICATION = range(0xE0, 0xF0)
#: Sequential, progressive and lossless, Huffman and arithmetic. Hierarchical ones hold several pictures: refused.
_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA, 0xCB})

_ICC, _JFIF, _ADOBE = b"ICC_PROFILE\x00", b"JFIF\x00", b"Adobe"
_LARGEST_ICC_PART = 65519
#: A table says in one byte of what kind it is, and which of four.
_TABLE_HEAD, _MOST_CODES = 0x13, 256
_MOST_SEGMENTS = 10_000
_MOST_TABLE_BYTES = 64 * 1024

#: In a scan, 0xFF is followed by zero, a restart or another 0xFF; anything else is the next marker.
_NEXT_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_FILL = re.compile(rb"\xff*")


@dataclass(slots=True, kw_only=True)
class _Header:
    """What the application segments before the first scan say that the picture needs; the last of a kind counts."""

    jfif: bytes | None = None
    adobe: bytes | None = None
    exif: bytes | None = None
    icc: dict[int, Piece] = field(default_factory=dict)
    icc_parts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Segment:
    """``whole`` runs from the marker to the next one, so that a scan's data is in it; ``end`` is where that stands."""

    marker: int
    body: memoryview
    whole: memoryview
    end: int


def clean_jpeg(content: memoryview) -> Cleaned:
    """Keep one picture, from its start to its certain end. Raises `MediaRefused` where a segment is not understood."""
    cleaned, header = Cleaned(), _Header()
    seen: set[int] = set()
    end, tables = len(content), 0
    for segment in _segments(content):
        end = segment.end
        if segment.marker in _APPLICATION:
            _take_application(segment, None if _SOS in seen else header, cleaned.removed)
        elif segment.marker == _COM:
            cleaned.removed.add(TagGroup.COMMENT)
        elif segment.marker != _EOI:
            _check_segment(segment, seen)
            tables += len(segment.body)
            if tables > _MOST_TABLE_BYTES:
                raise not_clean("the JPEG has more tables than any picture needs")
            cleaned.pieces.append(segment.whole)
    if _SOS not in seen:
        raise not_clean("the JPEG holds no picture")
    if rest := content[end:]:
        cleaned.removed.add(trailer_group(rest))
    cleaned.pieces = [b"\xff\xd8", *_rebuilt(header, cleaned.removed), *cleaned.pieces, b"\xff\xd9"]
    return cleaned


def _segments(content: memoryview) -> Iterator[_Segment]:
    """Every segment up to the end of the picture, which is the last."""
    at = 2
    for _ in range(_MOST_SEGMENTS):
        filled = _FILL.match(content, at)
        start = filled.end() + 1 if filled else at
        if start < at + 2 or start > len(content):
            raise not_clean("the JPEG ends early, or something stands between its segments")
        marker = content[start - 1]
        if marker == _EOI:
            yield _Segment(marker=marker, body=content[:0], whole=content[start - 2 : start], end=start)
            return
        body_end = start + int.from_bytes(content[start : start + 2])
        if body_end < start + 2 or body_end > len(content):
            raise not_clean("the JPEG ends within a segment")
        at = _end_of_scan(content, body_end) if marker == _SOS else body_end
        yield _Segment(marker=marker, body=content[start + 2 : body_end], whole=content[start - 2 : at], end=at)
    raise not_clean("the JPEG has more segments than any picture needs")


def _end_of_scan(content: memoryview, start: int) -> int:
    found = _NEXT_MARKER.search(content, start)
    if found is None:
        raise not_clean("the JPEG ends within its picture")
    return found.start()


def _take_application(segment: _Segment, header: _Header | None, removed: set[TagGroup]) -> None:
    """Remember what the picture needs of an application segment, and count the rest as removed.

    ``header`` is None after the first scan, when no decoder looks at them any more.
    """
    marker, body = segment.marker, segment.body
    name = bytes(body[:12])
    if header is None:
        removed.add(_group(marker, body))
    elif marker == _APP0 and name.startswith(_JFIF) and len(body) >= 14:  # noqa: PLR2004
        header.jfif = bytes(body[:12]) + bytes(2)
        if len(body) > 14:  # noqa: PLR2004
            removed.add(TagGroup.THUMBNAIL)
    elif marker == _APP14 and name.startswith(_ADOBE) and len(body) >= 12:  # noqa: PLR2004
        header.adobe = _ADOBE + b"\x00\x64" + bytes(4) + bytes(body[11:12])
        if header.adobe != body:
            removed.add(TagGroup.EDITING)
    elif marker == _APP1 and name.startswith(EXIF_MARK) and header.exif is None:
        exif = reduce_exif(body[len(EXIF_MARK) :])
        header.exif = exif.kept or b""
        removed |= exif.groups
    elif marker == _APP2 and name == _ICC and len(body) > 14:  # noqa: PLR2004
        _take_icc_part(body, header)
    else:
        removed.add(_group(marker, body))


def _take_icc_part(body: memoryview, header: _Header) -> None:
    number, parts = body[12], body[13]
    if number in header.icc or not 1 <= number <= parts or header.icc_parts not in {0, parts}:
        raise not_clean("the parts of the JPEG's colour profile do not fit together")
    header.icc[number] = body[14:]
    header.icc_parts = parts


def _group(marker: int, body: memoryview) -> TagGroup:
    """What a segment that is not kept was, as far as its name tells."""
    name = bytes(body[:32])
    if marker == _APP1:
        return TagGroup.EDITING if name.startswith(b"http://ns.adobe.com/") else TagGroup.UNKNOWN
    if marker == _APP2 and name.startswith((b"MPF\x00", b"urn:iso:std:iso:ts:21496")):
        return TagGroup.SECOND_PICTURE if name.startswith(b"MPF") else TagGroup.DEPTH_MAP
    if marker == _APP11:
        return TagGroup.PROVENANCE
    if marker == _APP13:
        return TagGroup.TITLE
    return TagGroup.THUMBNAIL if marker == _APP0 and name.startswith(b"JFXX") else TagGroup.UNKNOWN


def _check_segment(segment: _Segment, seen: set[int]) -> None:
    """Raise unless it is one that a picture is made of, in its place, and as long as its content says."""
    marker, body = segment.marker, segment.body
    fits = _FITTING.get(marker)
    if fits is None:
        raise not_clean(f"the JPEG has a segment that is not known (marker {marker:02X})")
    if not fits(body):
        raise not_clean(f"a segment of the JPEG is longer or shorter than it says (marker {marker:02X})")
    if marker in _FRAMES and seen & _FRAMES:
        raise not_clean("the JPEG has more than one frame")
    if marker == _SOS and not seen & _FRAMES:
        raise not_clean("the JPEG has a scan before its frame")
    seen.add(marker)


def _is_frame(body: memoryview) -> bool:
    return len(body) > 6 and 1 <= body[5] <= 4 and len(body) == 6 + 3 * body[5] and any(body[3:5])  # noqa: PLR2004


def _is_scan(body: memoryview) -> bool:
    return len(body) > 0 and 1 <= body[0] <= 4 and len(body) == 4 + 2 * body[0]  # noqa: PLR2004


def _are_quantisation_tables(body: memoryview) -> bool:
    at = 0
    while at < len(body):
        if body[at] & ~_TABLE_HEAD:
            return False
        at += 129 if body[at] & 0xF0 else 65
    return at == len(body)


def _are_huffman_tables(body: memoryview) -> bool:
    at = 0
    while at < len(body):
        codes = sum(body[at + 1 : at + 17])
        if body[at] & ~_TABLE_HEAD or codes > _MOST_CODES:
            return False
        at += 17 + codes
    return at == len(body)


_FITTING: dict[int, Callable[[memoryview], bool]] = {
    **dict.fromkeys(_FRAMES, _is_frame),
    _SOS: _is_scan,
    _DQT: _are_quantisation_tables,
    _DHT: _are_huffman_tables,
    _DAC: lambda body: len(body) % 2 == 0,
    _DNL: lambda body: len(body) == 2,  # noqa: PLR2004
    _DRI: lambda body: len(body) == 2,  # noqa: PLR2004
}


def _rebuilt(header: _Header, removed: set[TagGroup]) -> Iterator[bytes]:
    """The application segments that the picture needs, in the order in which readers expect them."""
    if header.jfif is not None:
        yield _segment(_APP0, header.jfif)
    if header.exif:
        yield _segment(_APP1, EXIF_MARK + header.exif)
    yield from _rebuilt_profile(header, removed)
    if header.adobe is not None:
        yield _segment(_APP14, header.adobe)


def _rebuilt_profile(header: _Header, removed: set[TagGroup]) -> Iterator[bytes]:
    if not header.icc:
        return
    if len(header.icc) != header.icc_parts:
        raise not_clean("a part of the JPEG's colour profile is missing")
    given = b"".join(header.icc[number] for number in sorted(header.icc))
    profile = neutral_profile(given) or b""
    if profile != given:
        removed.add(TagGroup.TECHNICAL)
    parts = [profile[at : at + _LARGEST_ICC_PART] for at in range(0, len(profile), _LARGEST_ICC_PART)]
    for number, part in enumerate(parts, start=1):
        yield _segment(_APP2, _ICC + bytes((number, len(parts))) + part)


def _segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2) + body
