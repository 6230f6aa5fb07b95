"""What decoders are told before the first sample, reduced to what they need: no messages, comments or padding."""

import struct

from consent_proxy.adapters.media.cursor import Cursor
from consent_proxy.adapters.media.tags import not_clean

#: No parameter set or decoder configuration that a camera writes comes near.
_LONGEST_UNIT = 4096
_SHORTEST_AAC, _LONGEST_AAC = 2, 12

_AVC_HIGH_PROFILES = frozenset({100, 110, 122, 144, 244, 44})
_SPS, _PPS, _SPS_EXTENSION = 7, 8, 13
_HEVC_PARAMETER_SETS = frozenset({32, 33, 34})
_HEVC_MESSAGES = frozenset({39, 40})
#: Messages about colour, with their one length: mastering display, content light, alternative transfer.
_COLOUR_MESSAGES = {b"\x89": b"\x18", b"\x90": b"\x04", b"\x93": b"\x01"}
_AV1_VERSION = 0x81
#: A unit that says its size, without extension, and with nothing set that is reserved.
_AV1_SIZED = 0x02
_AV1_SEQUENCE_HEADER, _AV1_METADATA = 1, 5

_ES, _DECODER, _SPECIFIC, _SYNC = 3, 4, 5, 6
_AAC_STREAMS = frozenset({0x40, 0x66, 0x67, 0x68})
_MP3_STREAMS = frozenset({0x69, 0x6B})
_AUDIO_STREAM = 5
#: AAC LC, with SBR, with parametric stereo.
_AAC_KINDS = frozenset({2, 5, 29})
_ESCAPED_RATE = 15


def clean_avc(body: bytes) -> bytes:
    """Parameter sets only (ISO/IEC 14496-15, 5.3.3.1)."""
    config = Cursor(body, "an AVC configuration")
    version, profile, compatibility, level, length_size = config.take(5)
    if version != 1:
        raise config.unclear()
    kept = [bytes((1, profile, compatibility, level, length_size | 0xFC))]
    sets = _avc_units(config, config.number(1) & 0x1F, _SPS)
    kept += [bytes((0xE0 | len(sets),)), *sets]
    sets = _avc_units(config, config.number(1), _PPS)
    kept += [bytes((len(sets),)), *sets]
    if config.left and profile in _AVC_HIGH_PROFILES:
        chroma, luma_depth, chroma_depth = config.take(3)
        sets = _avc_units(config, config.number(1), _SPS_EXTENSION)
        kept += [bytes((chroma | 0xFC, luma_depth | 0xF8, chroma_depth | 0xF8, len(sets))), *sets]
    config.finish()
    return b"".join(kept)


def _avc_units(config: Cursor, count: int, kind: int) -> list[bytes]:
    units = [_sized_unit(config) for _ in range(count)]
    if any(unit[2] & 0x1F != kind for unit in units):
        raise config.unclear()
    return units


def _sized_unit(config: Cursor) -> bytes:
    """A unit with the two bytes of its length before it."""
    length = config.number(2)
    if not 0 < length <= _LONGEST_UNIT:
        raise config.unclear()
    return length.to_bytes(2, "big") + config.take(length)


def clean_hevc(body: bytes) -> bytes:
    """Parameter sets, and of the messages those about colour (ISO/IEC 14496-15, 8.3.3.1)."""
    config = Cursor(body, "an HEVC configuration")
    head = config.take(22)
    if head[0] != 1:
        raise config.unclear()
    arrays = []
    for _ in range(config.number(1)):
        first = config.number(1)
        kind = first & 0x3F
        units = [_sized_unit(config) for _ in range(config.number(2))]
        if any(unit[2] >> 1 & 0x3F != kind for unit in units) or kind not in _HEVC_PARAMETER_SETS | _HEVC_MESSAGES:
            raise config.unclear()
        if kind in _HEVC_MESSAGES:
            units = [unit for unit in units if _is_about_colour(unit[2:])]
        if units:
            arrays.append(bytes((first & 0xBF,)) + len(units).to_bytes(2, "big") + b"".join(units))
    config.finish()
    return head + bytes((len(arrays),)) + b"".join(arrays)


def _is_about_colour(unit: bytes) -> bool:
    """Whether a unit of supplemental messages holds one message, on colour, and no byte more."""
    message = unit[2:].replace(b"\x00\x00\x03", b"\x00\x00")
    kind, size, content = message[:1], message[1:2], message[2:]
    return size == _COLOUR_MESSAGES.get(kind) and content[size[0] :] == b"\x80"


def clean_av1(body: bytes) -> bytes:
    """The sequence header, without metadata (AV1 in ISO base media, 2.3)."""
    config = Cursor(body, "an AV1 configuration")
    head = config.take(4)
    if head[0] != _AV1_VERSION or head[3] & 0xE0:
        raise config.unclear()
    kept = b""
    while config.left:
        unit_head = config.number(1)
        kind = unit_head >> 3 & 0x0F
        if unit_head & 0x87 != _AV1_SIZED:
            raise config.unclear()
        length, size = _leb128(config)
        payload = config.take(length)
        if kind == _AV1_SEQUENCE_HEADER and length <= _LONGEST_UNIT:
            kept += bytes((unit_head,)) + size + payload
        elif kind != _AV1_METADATA:
            raise config.unclear()
    return head + kept


def _leb128(config: Cursor) -> tuple[int, bytes]:
    value, written = 0, b""
    for place in range(4):
        byte = config.number(1)
        written += bytes((byte,))
        value |= (byte & 0x7F) << 7 * place
        if not byte & 0x80:
            return value, written
    raise config.unclear()


def clean_opus(body: bytes) -> bytes:
    """``dOps`` and, behind its eight letters, ``OpusHead``: the channels' mapping and no byte more."""
    config = Cursor(body, "an Opus configuration")
    head = config.take(11)
    if head[10]:
        config.take(2 + head[1])
    config.finish()
    return body


def clean_flac(body: bytes) -> bytes:
    """The stream's numbers; comments, pictures, cue sheets and application blocks stay behind."""
    config = Cursor(body, "a FLAC configuration")
    head = config.take(4)
    streams = []
    while config.left:
        kind, block = config.number(1) & 0x7F, config.take(config.number(3))
        if kind == 0:
            streams.append(block)
    if any(head) or len(streams) != 1 or len(streams[0]) != 34:  # noqa: PLR2004 - FLAC, 8.2
        raise config.unclear()
    return head + b"\x80\x00\x00\x22" + streams[0]


def clean_esds(body: bytes) -> bytes:
    """AAC or MP3: one stream, its decoder's few bytes, each length in its shortest form (14496-1, 7.2.6)."""
    outer = Cursor(body, "an elementary stream descriptor")
    if outer.number(4):
        raise outer.unclear()
    stream = Cursor(_descriptor(outer, _ES), "an elementary stream descriptor")
    outer.finish()
    stream.take(2)
    if stream.number(1) & 0xE0:
        raise not_clean("a sound track refers to another stream")
    decoder = Cursor(_descriptor(stream, _DECODER), "a decoder configuration")
    kind, stream_type = decoder.take(2)
    rates = decoder.take(11)
    if stream_type >> 2 != _AUDIO_STREAM or kind not in _AAC_STREAMS | _MP3_STREAMS:
        raise not_clean("a sound track is of a coding that is not known here")
    specific = b""
    if kind in _AAC_STREAMS:
        specific = _described(_SPECIFIC, _clean_aac(_descriptor(decoder, _SPECIFIC)))
    decoder.finish()
    if stream.left and _descriptor(stream, _SYNC) != b"\x02":
        raise stream.unclear()
    stream.finish()
    described = _described(_DECODER, bytes((kind, _AUDIO_STREAM << 2 | 1)) + rates + specific)
    return bytes(4) + _described(_ES, bytes(3) + described + _described(_SYNC, b"\x02"))


def _descriptor(cursor: Cursor, tag: int) -> bytes:
    if cursor.number(1) != tag:
        raise cursor.unclear()
    length = 0
    for _ in range(4):
        byte = cursor.number(1)
        length = length << 7 | byte & 0x7F
        if not byte & 0x80:
            return cursor.take(length)
    raise cursor.unclear()


def _described(tag: int, body: bytes) -> bytes:
    return struct.pack(">BB", tag, len(body)) + body


def _clean_aac(config: bytes) -> bytes:
    """A configuration without a channel layout of its own, for that one may hold a comment (14496-3, 4.5.1.1)."""
    bits = int.from_bytes(config.ljust(_LONGEST_AAC, b"\x00"), "big")
    size = 8 * _LONGEST_AAC
    kind, rate = bits >> size - 5, bits >> size - 9 & 0x0F
    channels = bits >> size - (37 if rate == _ESCAPED_RATE else 13) & 0x0F
    if not _SHORTEST_AAC <= len(config) <= _LONGEST_AAC or kind not in _AAC_KINDS or not channels:
        raise not_clean("a sound track's AAC is of a kind that is not known here")
    return config
