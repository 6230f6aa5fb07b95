"""MP3: its frames, with the one that tells players how to join two pieces without a gap.

Kept: every frame of MPEG layer III, byte for byte; the Xing, Info or VBRI frame before them, of its encoder's name
the first letters.
Removed: ID3v2 before and behind, ID3v1 with its extension, APEv2, Lyrics3, zeros before the first frame and behind
the last one.
Refused: layers I and II, the free format, frames of different kinds in one file, any other byte between the frames
or behind them, a last frame that is cut off.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from consent_proxy.adapters.media.pieces import Emit
from consent_proxy.adapters.media.spans import Part, Source, Span, hand_on, opened
from consent_proxy.adapters.media.tags import TagGroup, not_clean

_MPEG1, _LAYER_3 = 3, 1
_MONO = 3
_BIT_RATES = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
#: By version: 2.5, reserved, 2, 1.
_SAMPLE_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_MOST_TAGS = 64
_LONGEST_PADDING = 64 * 1024
#: Seven hours of frames.
_MOST_FRAMES = 1_000_000
_LONGEST_LOOK = 256 * 1024

_PLACES, _SCALE = 4, 8
_XING_PARTS = ((1, 4), (2, 4), (_PLACES, 100), (_SCALE, 4))
_ENCODERS = re.compile(rb"LAME|Lavf|Lavc|GOGO|L3\.9")
_ENCODER_BYTES, _GAPLESS_BYTES = 9, 36

_SIGNS: tuple[tuple[bytes, TagGroup], ...] = (
    *((sign, TagGroup.TITLE) for sign in (b"TIT2", b"TALB", b"TT2", b"USLT", b"Title", b"LYRICS", b"TAG")),
    *((sign, TagGroup.OWNER) for sign in (b"TPE1", b"TCOP", b"TOWN", b"Artist", b"TP1", b"TAG")),
    *((sign, TagGroup.DATES) for sign in (b"TDRC", b"TYER", b"TDAT", b"Year")),
    *((sign, TagGroup.COMMENT) for sign in (b"COMM", b"TXXX", b"Comment")),
    *((sign, TagGroup.COVER) for sign in (b"APIC", b"PIC\x00", b"Cover Art")),
    *((sign, TagGroup.EDITING) for sign in (b"TSSE", b"TENC", b"<x:xmpmeta")),
    *((sign, TagGroup.LOCATION) for sign in (b"GPS", b"location")),
)


def strip_mp3(path: Path, emit: Emit) -> frozenset[TagGroup]:
    with opened(path) as source:
        removed: set[TagGroup] = set()
        start = _past_front_tags(source, removed)
        end = _before_end_tags(source, start, removed)
        first = _frame_length(source.read(start, 4)) if end - start >= 4 else 0  # noqa: PLR2004 - a frame's header
        sound_end = _end_of_frames(source, start, end)
        if sound_end != end:
            removed.add(TagGroup.TRAILER)
        opening = source.read(start, first)
        cleaned = _clean_opening(opening)
        if cleaned != opening:
            removed.add(TagGroup.EDITING)
        parts: Sequence[Part] = (cleaned, Span(start=start + first, length=sound_end - start - first))
        hand_on(source, parts, emit)
        return frozenset(removed)


def _end_of_frames(source: Source, start: int, end: int) -> int:
    """Where the last frame ends: frames fill the file from ``start`` to ``end``, but for zeros behind them."""
    at, kind = start, source.read(start, 4)
    mono = kind[3] >> 6 == _MONO
    lengths: dict[bytes, int] = {}
    read = source.read
    for _ in range(_MOST_FRAMES):
        if at >= end:
            break
        if end - at < 4:  # noqa: PLR2004 - a frame's header
            raise not_clean("bytes stand between the frames, or behind the last one")
        head = read(at, 4)
        if head == bytes(4) and end - at <= _LONGEST_PADDING and not any(read(at, end - at)):
            return at
        length = lengths.get(head)
        if length is None:
            length = lengths[head] = _frame_length(head)
            if head[1] & 0xFE != kind[1] & 0xFE or (head[2] ^ kind[2]) & 0x0C or (head[3] >> 6 == _MONO) != mono:
                raise not_clean("frames of different kinds stand in one file")
        at += length
    if at < end:
        raise not_clean(f"the sound has more than {_MOST_FRAMES} frames")
    if at != end:
        raise not_clean("the last frame is cut off, or bytes stand behind it")
    return end


def _frame_length(head: bytes) -> int:
    """How long the frame is that begins with these four bytes (ISO/IEC 11172-3, 2.4.1.3)."""
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    rate, sampling = head[2] >> 4, head[2] >> 2 & 3
    if head[0] != 0xFF or head[1] >> 5 != 7 or version not in _SAMPLE_RATES:  # noqa: PLR2004 - eleven bits of one
        raise not_clean("bytes stand between the frames, or behind the last one")
    if layer != _LAYER_3:
        raise not_clean("the sound is of another layer than III")
    if not 0 < rate < 15 or sampling == 3:  # noqa: PLR2004 - 15 and 3 are reserved
        raise not_clean("a frame is of the free format, or of a rate that does not exist")
    is_first = version == _MPEG1
    bit_rate = _BIT_RATES[is_first][rate] * 1000
    return (144 if is_first else 72) * bit_rate // _SAMPLE_RATES[version][sampling] + (head[2] >> 1 & 1)


def _clean_opening(frame: bytes) -> bytes:
    """A frame that describes the rest keeps its numbers; its encoder's name, and what stands behind them, goes."""
    side = {(True, True): 17, (True, False): 32, (False, True): 9, (False, False): 17}
    at = 4 + side[frame[1] >> 3 & 3 == _MPEG1, frame[3] >> 6 == _MONO]
    if frame[at : at + 4] not in {b"Xing", b"Info"}:
        return frame
    flags = int.from_bytes(frame[at + 4 : at + 8], "big")
    end = at + 8 + sum(length for flag, length in _XING_PARTS if flags & flag)
    if flags & ~0xF or end > len(frame):
        raise not_clean("the frame that describes the sound is not built as its format says")
    places = frame[end - 100 - (4 if flags & _SCALE else 0) : end - (4 if flags & _SCALE else 0)]
    if flags & _PLACES and list(places) != sorted(places):
        raise not_clean("the frame that describes the sound is not built as its format says")
    extension = frame[end : end + _GAPLESS_BYTES]
    kept = frame[:end]
    if len(extension) == _GAPLESS_BYTES and _ENCODERS.match(extension):
        kept += extension[:4] + bytes(_ENCODER_BYTES - 4) + extension[_ENCODER_BYTES:-2]
        kept += _crc(kept).to_bytes(2, "big")
    return kept.ljust(len(frame), b"\x00")


def _crc(data: bytes) -> int:
    """LAME's check over what stands before it: CRC-16 with the polynomial 0x8005, lowest bit first."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


def _past_front_tags(source: Source, removed: set[TagGroup]) -> int:
    """Where the first frame may stand: behind the tags at the front and their padding."""
    at = 0
    for _ in range(_MOST_TAGS):
        if source.size - at < 10 or source.read(at, 3) != b"ID3":  # noqa: PLR2004 - a tag's header
            break
        length = _id3_length(source.read(at, 10))
        _note(source, Span(start=at, length=min(length, source.size - at)), removed)
        at += length
    else:
        raise not_clean(f"more than {_MOST_TAGS} tags stand before the sound")
    if at:
        rest = source.read(at, min(_LONGEST_PADDING, source.size - at))
        at += len(rest) - len(rest.lstrip(b"\x00"))
    return at


def _id3_length(head: bytes) -> int:
    """A tag's length with its header and footer (ID3v2.4, 3.1)."""
    if head[3] not in {2, 3, 4} or any(byte & 0x80 for byte in head[6:10]):
        raise not_clean("a tag before the sound is not built as its format says")
    length = 0
    for byte in head[6:10]:
        length = length << 7 | byte
    return 10 + length + (10 if head[5] & 0x10 else 0)


def _before_end_tags(source: Source, start: int, removed: set[TagGroup]) -> int:
    """Where the last frame ends: before the tags at the end, in whichever order they stand."""
    end = source.size
    for _ in range(_MOST_TAGS):
        length = next((length for tag in _END_TAGS if (length := tag(source, end))), 0)
        if not length:
            return end
        if end - length < start:
            raise not_clean("a tag behind the sound is longer than what stands before it")
        end -= length
        _note(source, Span(start=end, length=length), removed)
    raise not_clean(f"more than {_MOST_TAGS} tags stand behind the sound")


def _tail(source: Source, end: int, length: int) -> bytes:
    return source.read(end - length, length) if end >= length else b""


def _id3v1(source: Source, end: int) -> int:
    return 128 if _tail(source, end, 128)[:3] == b"TAG" else 0


def _id3v1_extension(source: Source, end: int) -> int:
    return 227 if _tail(source, end, 227)[:4] == b"TAG+" else 0


def _ape(source: Source, end: int) -> int:
    footer = _tail(source, end, 32)
    if footer[:8] != b"APETAGEX":
        return 0
    length, flags = int.from_bytes(footer[12:16], "little"), int.from_bytes(footer[20:24], "little")
    if length < 32 or flags & 0x20000000:  # noqa: PLR2004 - the footer counts
        raise not_clean("a tag behind the sound is not built as its format says")
    return length + (32 if flags & 0x80000000 else 0)


def _lyrics(source: Source, end: int) -> int:
    mark = _tail(source, end, 15)
    if mark[6:] == b"LYRICS200" and mark[:6].isdigit():
        return int(mark[:6]) + 15
    if mark[6:] == b"LYRICSEND":
        found = _tail(source, end, min(end, 5100 + 20)).rfind(b"LYRICSBEGIN")
        if found < 0:
            raise not_clean("a tag behind the sound is not built as its format says")
        return min(end, 5100 + 20) - found
    return 0


def _id3v2_behind(source: Source, end: int) -> int:
    footer = _tail(source, end, 10)
    return _id3_length(footer) if footer[:3] == b"3DI" else 0


_END_TAGS: tuple[Callable[[Source, int], int], ...] = (_id3v1, _id3v1_extension, _ape, _lyrics, _id3v2_behind)


def _note(source: Source, tag: Span, removed: set[TagGroup]) -> None:
    body = source.read(tag.start, min(tag.length, _LONGEST_LOOK))
    removed |= {group for sign, group in _SIGNS if sign in body} or {TagGroup.UNKNOWN}
