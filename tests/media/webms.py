"""WebM, built by hand: tracks of every kind, open and closed sizes, and a mark wherever one can stand."""

import struct
from collections.abc import Callable, Sequence

from tests.media.films import noise
from tests.media.tells import MARK

VIDEO, SOUND, SUBTITLES, METADATA = 1, 2, 17, 33
UNKNOWN = b"\x01" + b"\xff" * 7


def element(kind: int, *parts: bytes, is_open: bool = False) -> bytes:
    body = b"".join(parts)
    length = (kind.bit_length() + 7) // 8
    size = UNKNOWN if is_open else (1 << 28 | len(body)).to_bytes(4, "big")
    return kind.to_bytes(length, "big") + size + body


def number(kind: int, value: int) -> bytes:
    return element(kind, value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))


def laced(*packets: bytes) -> bytes:
    """Vorbis' three headers, the sizes of the first two before them."""
    return bytes((2, len(packets[0]), len(packets[1]))) + b"".join(packets)


VORBIS = laced(
    b"\x01vorbis" + bytes(23),
    b"\x03vorbis" + struct.pack("<I", 4) + b"Xiph" + struct.pack("<II", 1, len(MARK)) + MARK + b"\x01",
    b"\x05vorbis" + bytes(range(64)),
)
OPUS = b"OpusHead\x01\x02" + bytes(9)


def track(at: int, kind: int, codec: bytes, *more: bytes) -> bytes:
    return element(
        0xAE,
        number(0xD7, at),
        element(0x73C5, MARK[:8]),
        number(0x83, kind),
        element(0x86, codec),
        element(0x536E, MARK),
        element(0x22B59C, b"ger"),
        element(0x22B59D, b"de-DE"),
        element(0x258688, MARK),
        *more,
    )


COLOUR = element(0x55B0, number(0x55B1, 9), element(0x55D0, element(0x55D1, struct.pack(">d", 0.7))))
VP9 = track(1, VIDEO, b"V_VP9", element(0xE0, number(0xB0, 64), number(0xBA, 48), COLOUR))
VORBIS_TRACK = track(
    2, SOUND, b"A_VORBIS", element(0x63A2, VORBIS), element(0xE1, element(0xB5, struct.pack(">f", 48000)))
)
OPUS_TRACK = track(2, SOUND, b"A_OPUS", element(0x63A2, OPUS), element(0xE1, number(0x9F, 2)))
SUBTITLE_TRACK = track(3, SUBTITLES, b"D_WEBVTT/SUBTITLES", element(0x63A2, MARK))
METADATA_TRACK = track(4, METADATA, b"D_WEBVTT/METADATA")


def block(at: int, time: int, content: bytes) -> bytes:
    return bytes((0x80 | at,)) + struct.pack(">hB", time, 0x80) + content


def cluster(time: int, *, is_open: bool = False) -> bytes:
    picture, sound = noise(f"video {time}", 1)[0], noise(f"sound {time}", 1)[0]
    return element(
        0x1F43B675,
        element(0xBF, MARK[:4]),
        number(0xE7, time),
        element(0xA3, block(1, 0, picture)),
        element(0xA3, block(2, 0, sound)),
        element(0xA0, element(0xA1, block(3, 0, MARK)), number(0x9B, 40)),
        element(0xA3, block(4, 0, MARK * 8)),
        element(0xA0, element(0xA1, block(1, 20, picture[::-1])), element(0xFB, b"\xec"), element(0xEC, MARK)),
        element(0xEC, MARK),
        is_open=is_open,
    )


INFO = element(
    0x1549A966,
    number(0x2AD7B1, 1_000_000),
    element(0x4489, struct.pack(">d", 80.0)),
    element(0x4D80, MARK),
    element(0x5741, MARK),
    element(0x7BA9, MARK),
    element(0x4461, b"\x09\x08\x07\x06\x05\x04\x03\x02"),
    element(0x73A4, MARK[:16]),
    element(0x7384, MARK),
)
TAGS = element(0x1254C367, element(0x7373, element(0x67C8, element(0x45A3, b"LOCATION"), element(0x4487, MARK))))
ATTACHMENTS = element(0x1941A469, element(0x61A7, element(0x466E, MARK), element(0x465C, MARK * 20)))
CHAPTERS = element(0x1043A770, element(0x45B9, element(0xB6, element(0x80, element(0x85, MARK)))))
HEADER = element(0x1A45DFA3, number(0x4286, 1), element(0x4282, b"webm"), number(0x4287, 4), number(0x4285, 2))


def seek_head(places: Sequence[tuple[int, int]]) -> bytes:
    entries = (
        element(0x4DBB, element(0x53AB, kind.to_bytes(4, "big")), element(0x53AC, place.to_bytes(8, "big")))
        for kind, place in places
    )
    return element(0x114D9B74, *entries)


def webm(
    *tracks: bytes,
    header: bytes = HEADER,
    is_open: bool = False,
    clusters: Sequence[bytes] | None = None,
    behind: bytes = b"",
) -> bytes:
    """A film with its head, which says where everything stands, and cues for every cluster."""
    described = element(0x1654AE6B, *(tracks or (VP9, VORBIS_TRACK, SUBTITLE_TRACK, METADATA_TRACK)))
    films = [cluster(time, is_open=is_open) for time in (0, 40)] if clusters is None else list(clusters)
    kinds = (0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1254C367)
    length = len(seek_head([(kind, 0) for kind in kinds]))
    places = [length, length + len(INFO)]
    at, cues = places[1] + len(described), b""
    for content in films:
        for kept in (1, 3):
            positions = element(0xB7, number(0xF7, kept), element(0xF1, at.to_bytes(8, "big")))
            cues += element(0xBB, number(0xB3, 0), positions)
        at += len(content)
    places += [at, at + len(element(0x1C53BB6B, cues))]
    body = seek_head(list(zip(kinds, places, strict=True))) + INFO + described + b"".join(films)
    body += element(0x1C53BB6B, cues) + TAGS + ATTACHMENTS + CHAPTERS + element(0xEC, MARK)
    return header + element(0x18538067, body, is_open=is_open) + behind


WEBMS: dict[str, Callable[[], bytes]] = {
    "closed": webm,
    "open": lambda: webm(is_open=True),
    "opus": lambda: webm(VP9, OPUS_TRACK, SUBTITLE_TRACK, METADATA_TRACK),
}
