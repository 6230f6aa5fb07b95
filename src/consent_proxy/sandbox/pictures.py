"""Real PNG pictures made from a prompt: the same words, seed and size give the same picture, other words another."""

import hashlib
import math
import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

MEDIA_TYPE = "image/png"
LARGEST_SIDE = 4096
BAND = 2  # lines that look alike: the PNG filter "up" makes every second line nothing but zeros

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_NO_FILTER, _SAME_AS_ABOVE = b"\x00", b"\x02"


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What a picture is made from; `width` and `height` in pixels, 1 to `LARGEST_SIDE`."""

    prompt: str
    seed: int = 0
    number: int = 0
    width: int = 1024
    height: int = 1024

    def png(self) -> bytes:
        """The picture's bytes: 8-bit RGB, not interlaced, without any text chunk."""
        return _render(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Disc:
    x: int
    y: int
    radius: int
    tint: bytes  # what each sample becomes inside the disc

    def span(self, y: int, *, width: int) -> tuple[int, int]:
        """The disc's first and last column on line y; equal when the line misses it."""
        reach = self.radius**2 - (y - self.y) ** 2
        half = math.isqrt(reach) if reach > 0 else 0
        return max(0, self.x - half), max(0, min(width, self.x + half))


def size_of_ratio(ratio: str) -> tuple[int, int]:
    """About one megapixel in the ratio `width:height`, both sides multiples of 32."""
    across, down = (int(part) for part in ratio.split(":"))
    scale = (1024 * 1024 / (across * down)) ** 0.5
    return round(across * scale / 32) * 32, round(down * scale / 32) * 32


@lru_cache(maxsize=16)
def _render(picture: Picture) -> bytes:
    dice = _dice(picture)
    header = struct.pack(">IIBBBBB", picture.width, picture.height, 8, 2, 0, 0, 0)
    lines = b"".join(_scanlines(picture, dice))
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(lines, level=1)) + _chunk(b"IEND", b"")


def _dice(picture: Picture) -> random.Random:
    recipe = f"{picture.seed}:{picture.number}:{picture.prompt}"
    digest = hashlib.sha256(recipe.encode("utf-8", "surrogatepass")).digest()
    return random.Random(digest)  # noqa: S311 - a picture, not a secret


def _scanlines(picture: Picture, dice: random.Random) -> Iterator[bytes]:
    width, height = picture.width, picture.height
    across = _waves(width, dice)
    ramp = _ramp(dice)
    discs = [_disc(width, height, dice) for _ in range(dice.randint(3, 6))]
    tilt = dice.uniform(0.4, 1.2) * 512 / height
    blank = _SAME_AS_ABOVE + bytes(3 * width)
    for y in range(0, height, BAND):
        start = int(y * tilt) % 512
        line = across.translate(ramp[start : start + 256])
        for disc in discs:
            left, right = disc.span(y, width=width)
            if left < right:
                line = line[: 3 * left] + line[3 * left : 3 * right].translate(disc.tint) + line[3 * right :]
        yield _NO_FILTER + line
        yield blank * (min(BAND, height - y) - 1)


def _waves(width: int, dice: random.Random) -> bytes:
    """One line of red, green and blue samples, each colour a wave of its own."""
    shapes = [(dice.uniform(0.5, 2.0) * math.tau / width, dice.uniform(0, math.tau)) for _ in "rgb"]
    samples = bytearray(3 * width)
    for channel, (speed, phase) in enumerate(shapes):
        wave = (int(127.5 + 127.4 * math.sin(speed * x + phase)) for x in range(width))
        samples[channel::3] = bytes(wave)
    return bytes(samples)


def _ramp(dice: random.Random) -> bytes:
    """A smooth ring of 512 levels and half of it again; a line looks its samples up in a window of 256."""
    low = dice.randint(0, 70)
    ring = bytes(int(low + (254 - low) * (0.5 - 0.5 * math.cos(math.tau * i / 512))) for i in range(512))
    return ring + ring[:256]


def _disc(width: int, height: int, dice: random.Random) -> _Disc:
    lift, share = dice.choice((0, 255)), dice.uniform(0.2, 0.5)
    return _Disc(
        x=dice.randrange(width),
        y=dice.randrange(height),
        radius=max(1, int(min(width, height) * dice.uniform(0.06, 0.28))),
        tint=bytes(int(level + (lift - level) * share) for level in range(256)),
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
