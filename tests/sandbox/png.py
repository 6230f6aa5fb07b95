"""A PNG decoder of the tests' own, so that a picture is not judged by what made it."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    width: int
    height: int
    chunks: list[bytes]
    rows: list[bytes]


def decode(data: bytes) -> Decoded:
    """Decode an 8-bit RGB picture with filters 0 and 2; ValueError for anything else or a wrong checksum."""
    if not data.startswith(SIGNATURE):
        raise ValueError("no PNG signature")
    chunks = list(_chunks(data[len(SIGNATURE) :]))
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[0][1])
    if (depth, colour, *rest) != (8, 2, 0, 0, 0):
        raise ValueError("not plain 8-bit RGB")
    lines = zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT"))
    rows = list(_rows(lines, stride=3 * width))
    if len(rows) != height:
        raise ValueError("not as many lines as promised")
    return Decoded(width=width, height=height, chunks=[kind for kind, _ in chunks], rows=rows)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    while data:
        (length,) = struct.unpack(">I", data[:4])
        kind, body, checksum = data[4:8], data[8 : 8 + length], data[8 + length : 12 + length]
        if struct.pack(">I", zlib.crc32(kind + body)) != checksum:
            raise ValueError("wrong checksum")
        yield kind, body
        data = data[12 + length :]


def _rows(lines: bytes, *, stride: int) -> Iterator[bytes]:
    above = bytes(stride)
    for start in range(0, len(lines), stride + 1):
        kind, line = lines[start], lines[start + 1 : start + 1 + stride]
        if kind not in (0, 2):
            raise ValueError(f"filter {kind}")
        above = line if kind == 0 else bytes((a + b) % 256 for a, b in zip(line, above, strict=True))
        yield above
