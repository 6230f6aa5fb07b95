"""Sounds, built by hand: samples of noise, and every kind of chunk and tag around them."""

import random
import struct
from collections.abc import Callable

from tests.media.films import noise
from tests.media.tells import MARK, small_jpeg, xmp_packet

# WAV.


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", kind, len(body)) + body + bytes(len(body) % 2)


def coding(number: int = 1, *, channels: int = 1, bits: int = 16, more: bytes = b"") -> bytes:
    frame = channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", number, channels, 8000, 8000 * frame, frame, bits) + more)


EXTENSIBLE = struct.pack("<HHIH", 22, 16, 3, 1) + bytes.fromhex("000000001000800000aa00389b71")
PCM = random.Random("pcm").randbytes(601 * 4)
LIST = b"INFO" + b"".join(chunk(kind, MARK) for kind in (b"INAM", b"IART", b"ICMT", b"ICRD", b"ISFT"))
ID3_FRAMES = (
    b"".join(
        kind + struct.pack(">I2x", len(MARK) + 1) + b"\x03" + MARK
        for kind in (b"TIT2", b"TPE1", b"COMM", b"TDRC", b"USLT", b"TSSE")
    )
    + b"APIC"
    + struct.pack(">I2x", 14 + len(small_jpeg(comment=MARK)))
    + b"\x00image/jpeg\x00\x03\x00"
    + small_jpeg(comment=MARK)
)


def riff(*chunks: bytes, behind: bytes = b"") -> bytes:
    body = b"WAVE" + b"".join(chunks)
    return struct.pack("<4sI", b"RIFF", len(body)) + body + behind


def wav(described: bytes, samples: bytes = PCM) -> bytes:
    """Samples with all that an editor, a recorder or a player may put beside them."""
    return riff(
        chunk(b"JUNK", MARK),
        chunk(b"bext", MARK.ljust(602, b"\x00")),
        described,
        chunk(b"fact", struct.pack("<I", len(samples))),
        chunk(b"LIST", LIST),
        chunk(b"data", samples),
        *(chunk(kind, MARK) for kind in (b"iXML", b"cue ", b"smpl", b"_PMX", b"Mia-")),
        chunk(b"LIST", b"adtl" + chunk(b"labl", MARK)),
        chunk(b"id3 ", id3()),
    )


WAVS: dict[str, Callable[[], bytes]] = {
    "pcm": lambda: wav(coding()),
    "float": lambda: wav(coding(3, bits=32, more=b"\x00\x00")),
    "extensible": lambda: wav(coding(0xFFFE, channels=2, more=EXTENSIBLE)),
    "odd": lambda: wav(coding(7, bits=8), PCM[:333]),
}

# MP3.


def synchsafe(number: int) -> bytes:
    return bytes(number >> 7 * place & 0x7F for place in (3, 2, 1, 0))


def id3(*, mark: bytes = b"ID3", footer: bool = False) -> bytes:
    head = b"\x04\x00" + (b"\x10" if footer else b"\x00") + synchsafe(len(ID3_FRAMES))
    return mark + head + ID3_FRAMES + (b"3DI" + head if footer else b"")


def frame(body: bytes) -> bytes:
    """128 kbit/s at 44.1 kHz: 417 bytes."""
    return (b"\xff\xfb\x90\x00" + body).ljust(417, b"\x55")


#: The frame that says how many there are, and how much silence stands before and behind the sound.
GAPLESS = frame(
    bytes(32)
    + b"Info\x00\x00\x00\x0f"
    + struct.pack(">II", 20, 21 * 417)
    + bytes(range(100))
    + struct.pack(">I", 78)
    + b"LAME"
    + MARK[:5]
    + bytes(12)
    + b"\x24\x01\x23"
    + bytes(10)
    + b"\x00\x00"
    + MARK
)
FRAMES = tuple(frame(body) for body in noise("frames", 20, 200))
APE_ITEM = struct.pack("<II", len(MARK), 0) + b"Artist\x00" + MARK
APE = (
    struct.pack("<8sIIII8x", b"APETAGEX", 2000, len(APE_ITEM) + 32, 1, 0xA0000000)
    + APE_ITEM
    + struct.pack("<8sIIII8x", b"APETAGEX", 2000, len(APE_ITEM) + 32, 1, 0x80000000)
)
LYRICS = b"LYRICSBEGIN" + b"LYR" + b"%05d" % len(MARK) + MARK
LYRICS += b"%06d" % len(LYRICS) + b"LYRICS200"
OLD_LYRICS = b"LYRICSBEGIN" + MARK + b"LYRICSEND"
ID3V1 = b"TAG" + MARK.ljust(125, b"\x00")
ID3V1_EXTENSION = b"TAG+" + MARK.ljust(223, b"\x00")
XMP_TAG = b"ID3\x03\x00\x00" + synchsafe(len(xmp_packet())) + xmp_packet()

MP3S: dict[str, Callable[[], bytes]] = {
    "gapless": lambda: id3() + bytes(64) + GAPLESS + b"".join(FRAMES) + ID3V1,
    "all-tags": lambda: XMP_TAG + id3(footer=True) + b"".join(FRAMES) + APE + LYRICS + ID3V1_EXTENSION + ID3V1,
    "old-lyrics": lambda: id3() + b"".join(FRAMES) + OLD_LYRICS + ID3V1,
    "behind": lambda: b"".join(FRAMES) + id3(footer=True),
}
