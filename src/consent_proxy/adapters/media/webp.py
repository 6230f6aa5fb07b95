"""WebP: the chunks that make the picture and its frames are kept, header and sizes rebuilt, all else stays behind."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from consent_proxy.adapters.media.exif import reduce_exif
from consent_proxy.adapters.media.icc import neutral_profile
from consent_proxy.adapters.media.pieces import Cleaned, Piece
from consent_proxy.adapters.media.tags import TagGroup, not_clean
from consent_proxy.adapters.media.trailers import trailer_group

_MOST_CHUNKS, _MOST_IN_FRAME = 100_000, 16
_HEADER = 8
_ICC, _ALPHA, _EXIF, _ANIMATED = 0x20, 0x10, 0x08, 0x02
_FRAME_HEADER = 16
_PICTURES = frozenset({b"VP8 ", b"VP8L"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chunk:
    kind: bytes
    body: memoryview


@dataclass(slots=True, kw_only=True)
class _Parts:
    """The picture's parts; a WebP has each of them once, and in this order."""

    extended: memoryview | None = None
    profile: bytes | None = None
    animation: memoryview | None = None
    pictures: list[Piece] = field(default_factory=list)
    has_picture: bool = False
    exif: bytes | None = None


def clean_webp(content: memoryview) -> Cleaned:
    """Keep the picture and its frames. Raises `MediaRefused` where a chunk is not understood."""
    end = _HEADER + int.from_bytes(content[4:8], "little")
    if end > len(content) or end < 20:  # noqa: PLR2004 - two headers
        raise not_clean("the WebP ends early")
    cleaned, parts = Cleaned(), _Parts()
    for index, chunk in enumerate(_chunks(content[12:end], most=_MOST_CHUNKS)):
        _take(chunk, parts, cleaned, is_first=index == 0)
    if not parts.has_picture:
        raise not_clean("the WebP holds no picture")
    if rest := content[end:]:
        cleaned.removed.add(trailer_group(rest))
    pieces = list(_rebuilt(parts))
    cleaned.pieces = [b"RIFF" + struct.pack("<I", 4 + sum(map(len, pieces))) + b"WEBP", *pieces]
    return cleaned


def _chunks(content: memoryview, *, most: int) -> Iterator[_Chunk]:
    at = 0
    for _ in range(most):
        if at == len(content):
            return
        if at + _HEADER > len(content):
            raise not_clean("the WebP ends within a chunk")
        kind, length = struct.unpack_from("<4sI", content, at)
        end = at + _HEADER + length
        if end > len(content):
            raise not_clean("the WebP ends within a chunk")
        yield _Chunk(kind=kind, body=content[at + _HEADER : end])
        at = min(end + length % 2, len(content))
    raise not_clean("the WebP has more chunks than any picture needs")


def _take(chunk: _Chunk, parts: _Parts, cleaned: Cleaned, *, is_first: bool) -> None:
    """Put the chunk where it belongs, or count it as removed. Only an extended file has more than its picture."""
    kind, body = chunk.kind, chunk.body
    if kind == b"VP8X":
        if not is_first or len(body) != 10:  # noqa: PLR2004
            raise not_clean("the WebP's header stands in the wrong place or cannot be read")
        parts.extended = body
    elif kind in _PICTURES or (kind == b"ALPH" and parts.extended):
        _take_picture(chunk, parts)
    elif kind == b"ANIM" and parts.extended:
        if parts.animation is not None or len(body) != 6:  # noqa: PLR2004
            raise not_clean("the WebP's animation cannot be read")
        parts.animation = body
    elif kind == b"ANMF" and parts.extended:
        _take_frame(body, parts, cleaned)
    elif kind == b"ICCP" and parts.extended and parts.profile is None:
        parts.profile = neutral_profile(body) or b""
        if parts.profile != body:
            cleaned.removed.add(TagGroup.TECHNICAL)
    elif kind == b"EXIF" and parts.extended and parts.exif is None:
        exif = reduce_exif(body)
        parts.exif = exif.kept or b""
        cleaned.removed |= exif.groups
    else:
        cleaned.removed.add(_group(kind))


def _take_picture(chunk: _Chunk, parts: _Parts) -> None:
    """A picture is one chunk, before which its transparency may stand."""
    _check_picture(chunk)
    if parts.has_picture or (parts.pictures and chunk.kind == b"ALPH"):
        raise not_clean("the WebP holds more than one picture")
    parts.has_picture = chunk.kind in _PICTURES
    parts.pictures += _chunk(chunk.kind, chunk.body)


def _take_frame(body: memoryview, parts: _Parts, cleaned: Cleaned) -> None:
    if len(body) < _FRAME_HEADER:
        raise not_clean("a frame of the WebP cannot be read")
    frame = _Parts()
    for chunk in _chunks(body[_FRAME_HEADER:], most=_MOST_IN_FRAME):
        if chunk.kind in _PICTURES or chunk.kind == b"ALPH":
            _take_picture(chunk, frame)
        else:
            cleaned.removed.add(TagGroup.UNKNOWN)
    if not frame.has_picture or parts.animation is None or (parts.pictures and not parts.has_picture):
        raise not_clean("a frame of the WebP holds no picture, or stands before the animation")
    length = _FRAME_HEADER + sum(map(len, frame.pictures))
    parts.pictures += [b"ANMF" + struct.pack("<I", length), body[:_FRAME_HEADER], *frame.pictures]
    parts.has_picture = True


def _check_picture(chunk: _Chunk) -> None:
    body = chunk.body
    match chunk.kind:
        case b"VP8 ":
            fits = len(body) > 10 and not body[0] & 1 and bytes(body[3:6]) == b"\x9d\x01\x2a"  # noqa: PLR2004
        case b"VP8L":
            fits = len(body) > 5 and body[0] == 0x2F and body[4] >> 5 == 0  # noqa: PLR2004
        case _:
            fits = len(body) > 1 and body[0] & 3 in {0, 1}
    if not fits:
        raise not_clean("a picture in the WebP does not begin as one has to")


def _rebuilt(parts: _Parts) -> Iterator[Piece]:
    if parts.extended is not None:
        flags = parts.extended[0] & (_ALPHA | _ANIMATED)
        flags |= (_ICC if parts.profile else 0) | (_EXIF if parts.exif else 0)
        if bool(flags & _ANIMATED) is not (parts.animation is not None):
            raise not_clean("the WebP says wrongly whether it is animated")
        yield from _chunk(b"VP8X", bytes((flags, 0, 0, 0)) + bytes(parts.extended[4:]))
        if parts.profile:
            yield from _chunk(b"ICCP", parts.profile)
        if parts.animation is not None:
            yield from _chunk(b"ANIM", parts.animation)
    yield from parts.pictures
    if parts.exif:
        yield from _chunk(b"EXIF", parts.exif)


def _chunk(kind: bytes, body: Piece) -> Iterator[Piece]:
    yield kind + struct.pack("<I", len(body))
    yield body
    if len(body) % 2:
        yield b"\x00"


def _group(kind: bytes) -> TagGroup:
    """What a chunk that is not kept was."""
    named = {b"EXIF": TagGroup.TECHNICAL, b"XMP ": TagGroup.EDITING, b"C2PA": TagGroup.PROVENANCE}
    return named.get(kind, TagGroup.UNKNOWN)
