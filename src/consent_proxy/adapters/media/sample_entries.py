"""How a track's samples are coded, as MP4 and QuickTime files say it: codings that are known, and their settings."""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from consent_proxy.adapters.media.boxes import box, boxes_within
from consent_proxy.adapters.media.codec_configs import (
    clean_av1,
    clean_avc,
    clean_esds,
    clean_flac,
    clean_hevc,
    clean_opus,
)
from consent_proxy.adapters.media.cursor import Cursor
from consent_proxy.adapters.media.icc import neutral_profile
from consent_proxy.adapters.media.tags import TagGroup, not_clean

_Clean = Callable[[bytes], bytes]

#: For each coding the boxes of settings it cannot do without, any one of them.
_VIDEO_CODINGS: Mapping[bytes, frozenset[bytes]] = {
    **dict.fromkeys((b"avc1", b"avc3"), frozenset({b"avcC"})),
    **dict.fromkeys((b"hvc1", b"hev1"), frozenset({b"hvcC"})),
    b"av01": frozenset({b"av1C"}),
    **dict.fromkeys((b"vp08", b"vp09"), frozenset({b"vpcC"})),
    **dict.fromkeys((b"apcn", b"apch", b"apcs", b"apco", b"ap4h", b"ap4x"), frozenset()),
}
_SOUND_CODINGS: Mapping[bytes, frozenset[bytes]] = {
    b"mp4a": frozenset({b"esds", b"wave"}),
    b"alac": frozenset({b"alac", b"wave"}),
    b"Opus": frozenset({b"dOps"}),
    b"fLaC": frozenset({b"dfLa"}),
    b"ac-3": frozenset({b"dac3"}),
    **dict.fromkeys((b"ipcm", b"fpcm"), frozenset({b"pcmC"})),
    **dict.fromkeys((b"sowt", b"twos", b"in24", b"in32", b"fl32", b"fl64", b"lpcm"), frozenset()),
}
_PLAIN_SOUND = frozenset({b"sowt", b"twos", b"in24", b"in32", b"fl32", b"fl64", b"lpcm", b"ipcm", b"fpcm"})
_ENCRYPTED = frozenset({b"encv", b"enca", b"drmi", b"drms"})

#: Settings that are numbers of a fixed size, and nothing but.
_NUMBERS: Mapping[bytes, int] = {
    b"pasp": 8,
    b"clap": 32,
    b"fiel": 2,
    b"gama": 4,
    b"btrt": 12,
    b"amve": 8,
    b"mdcv": 24,
    b"clli": 4,
    b"SmDm": 28,
    b"CoLL": 8,
    b"srat": 8,
    b"dac3": 3,
    b"pcmC": 6,
    b"enda": 2,
    b"vpcC": 12,
}
#: Colour as numbers: the letters before them, and the whole length.
_COLOURS = {b"nclx": 11, b"nclc": 10}
_LAYOUT_HEAD, _LAYOUT_CHANNEL, _MOST_CHANNELS = 16, 20, 64
_ALAC_SIZES = frozenset({28, 52})
_NO_COLOUR_TABLE = 0xFFFF
#: The two numbers that never change in a sound description of version 2.
_VERSION_2 = (b"\x00\x00\x00\x48", b"\x7f\x00\x00\x00")


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleEntry:
    """One entry, cleaned; ``sample_bytes`` is set where every sample has the same size by its coding."""

    written: bytes
    sample_bytes: int | None
    removed: frozenset[TagGroup]


def is_known_coding(kind: bytes, *, handler: bytes) -> bool:
    if kind in _ENCRYPTED:
        raise not_clean("a track is encrypted")
    return kind in (_VIDEO_CODINGS if handler == b"vide" else _SOUND_CODINGS)


def clean_entry(kind: bytes, body: bytes, *, handler: bytes) -> SampleEntry:
    """The entry with its coding, its measures and its settings; makers' and coders' names become nothing."""
    entry = Cursor(body, "a track's description")
    if any(entry.take(6)) or entry.number(2) != 1:
        raise entry.unclear()
    clean = _clean_video if handler == b"vide" else _clean_sound
    return clean(kind, entry)


def _clean_video(kind: bytes, entry: Cursor) -> SampleEntry:
    origin = entry.take(16)
    width, height = entry.number(2), entry.number(2)
    entry.take(8)
    if entry.number(4) or entry.number(2) != 1:
        raise entry.unclear()
    name, depth, _ = entry.take(32), entry.number(2), entry.number(2)
    head = struct.pack(">HHIIIH32sHH", width, height, 72 << 16, 72 << 16, 0, 1, b"", depth, _NO_COLOUR_TABLE)
    settings, removed = _clean_settings(entry.rest(), _VIDEO_CODINGS[kind])
    if any(name) or any(origin):
        removed |= {TagGroup.TECHNICAL}
    return SampleEntry(
        written=box(kind, b"\x00" * 6 + b"\x00\x01" + bytes(16) + head + settings), sample_bytes=None, removed=removed
    )


def _clean_sound(kind: bytes, entry: Cursor) -> SampleEntry:
    version = entry.number(2)
    origin = entry.take(6)
    channels, bits, compression, packet = (entry.number(2) for _ in range(4))
    rate = entry.take(4)
    extension = entry.take({0: 0, 1: 16, 2: 36}.get(version, entry.left + 1))
    settings, removed = _clean_settings(entry.rest(), _SOUND_CODINGS[kind])
    if packet or (version == 0 and compression not in {0, 0xFFFE}):
        raise entry.unclear()
    if version == 2 and (extension[:4], extension[16:20]) != _VERSION_2:  # noqa: PLR2004 - the last one there is
        raise entry.unclear()
    if any(origin):
        removed |= {TagGroup.TECHNICAL}
    head = struct.pack(">6xHH6xHHHH4s", 1, version, channels, bits, compression, 0, rate)
    return SampleEntry(
        written=box(kind, head, extension, settings),
        sample_bytes=_bytes_of_sample(version, channels * bits // 8, extension) if kind in _PLAIN_SOUND else None,
        removed=removed,
    )


def _bytes_of_sample(version: int, plain: int, extension: bytes) -> int:
    """How many bytes one uncompressed sample of all channels has (QuickTime, sound sample descriptions)."""
    if version == 1:
        return int.from_bytes(extension[8:12], "big")
    if version == 0:
        return plain
    bytes_per_packet, samples_per_packet = struct.unpack(">II", extension[28:])
    if samples_per_packet != 1:
        raise not_clean("a sound track's samples come in packets that are not known here")
    return int(bytes_per_packet)


def _clean_settings(data: bytes, wanted: frozenset[bytes]) -> tuple[bytes, frozenset[TagGroup]]:
    """The boxes of settings, each known and at most once; QuickTime may end them with four bytes of nothing."""
    if data.endswith(bytes(4)) and len(data) == 4 + _filled(data):
        data = data[:-4]
    written: list[bytes] = []
    removed: frozenset[TagGroup] = frozenset()
    kinds: set[bytes] = set()
    for kind, body in boxes_within(data):
        if kind in kinds:
            raise not_clean("a track's description says the same thing twice")
        kinds.add(kind)
        kept = _clean_setting(kind, body)
        if kept != body:
            removed |= {TagGroup.TECHNICAL}
        if kept is not None:
            written.append(box(kind, kept))
    if wanted and not wanted & kinds:
        raise not_clean("a track's description lacks what its decoder needs")
    return b"".join(written), removed


def _filled(data: bytes) -> int:
    """Up to where boxes fill the data."""
    at = 0
    while at + 8 <= len(data) and int.from_bytes(data[at : at + 4], "big") >= 8:  # noqa: PLR2004 - a box's header
        at += int.from_bytes(data[at : at + 4], "big")
    return at


def _clean_setting(kind: bytes, body: bytes) -> bytes | None:
    """What is kept of one box of settings, or None for one that no decoder needs."""
    if kind in {b"free", b"skip", b"uuid", b"srcq"}:
        return None
    if kind in _NUMBERS and len(body) == _NUMBERS[kind]:
        return body
    if clean := _CLEANED.get(kind):
        return clean(body)
    raise not_clean("a track's description holds a setting that is not known here")


def _clean_colour(body: bytes) -> bytes:
    if body[:4] in {b"prof", b"rICC"} and (profile := neutral_profile(body[4:])) is not None:
        return body[:4] + profile
    if _COLOURS.get(body[:4]) != len(body):
        raise not_clean("a video track's colours are described in a way that is not known here")
    return body


def _clean_dolby_vision(body: bytes) -> bytes:
    if len(body) != 24:  # noqa: PLR2004 - Dolby Vision in ISO base media, 3.2
        raise not_clean("a Dolby Vision configuration is not built as its format says")
    return body[:4] + bytes((body[4] & 0xF0,)) + bytes(19)


def _clean_alac(body: bytes) -> bytes:
    if len(body) not in _ALAC_SIZES or any(body[:4]):
        raise not_clean("an Apple Lossless configuration is not built as its format says")
    return body


def _clean_layout(body: bytes) -> bytes:
    """Which channel is which: a number, or a list of them; what stands behind the list goes."""
    layout = Cursor(body, "a channel layout")
    head = layout.take(_LAYOUT_HEAD)
    count = int.from_bytes(head[12:], "big")
    if count > _MOST_CHANNELS:
        raise layout.unclear()
    kept = head + layout.take(count * _LAYOUT_CHANNEL)
    layout.finish()
    return kept


def _clean_wave(body: bytes) -> bytes:
    """QuickTime's wrapping of a decoder's settings, ended by a box without a name."""
    written = []
    found = boxes_within(body)
    for place, (kind, inner) in enumerate(found):
        if kind == bytes(4):
            if inner or place != len(found) - 1:
                raise not_clean("a sound track's settings go on behind their end")
            written.append(box(kind))
        elif kind == b"frma" or (kind == b"mp4a" and len(inner) == 4):  # noqa: PLR2004 - a coding's letters, or nothing
            written.append(box(kind, _known_letters(inner)))
        elif kind != b"wave" and (kept := _clean_setting(kind, inner)) is not None:
            written.append(box(kind, kept))
        elif kind == b"wave":
            raise not_clean("a sound track's settings are wrapped twice")
    return b"".join(written)


def _known_letters(letters: bytes) -> bytes:
    if letters != bytes(4) and letters not in _SOUND_CODINGS:
        raise not_clean("a sound track's settings are for a coding that is not known here")
    return letters


_CLEANED: Mapping[bytes, _Clean] = {
    b"avcC": clean_avc,
    b"hvcC": clean_hevc,
    b"av1C": clean_av1,
    b"dOps": clean_opus,
    b"dfLa": clean_flac,
    b"esds": clean_esds,
    b"colr": _clean_colour,
    b"alac": _clean_alac,
    b"chan": _clean_layout,
    b"wave": _clean_wave,
    **dict.fromkeys((b"dvcC", b"dvvC", b"dvwC"), _clean_dolby_vision),
}
