"""WebPs, still and moving, each with all the metadata there is."""

import struct
from collections.abc import Callable
from io import BytesIO
from typing import Any

from PIL import Image

from tests.media import tells
from tests.media.jpegs import archive, scene


def encoded(picture: Image.Image, **options: Any) -> bytes:
    file = BytesIO()
    picture.save(file, "WEBP", quality=80, **options)
    return file.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def riff(body: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def tagged(picture: Image.Image, **options: Any) -> bytes:
    """With what Pillow writes, and chunks that it does not know."""
    plain = encoded(
        picture,
        exif=b"Exif\x00\x00" + tells.exif_block(),
        xmp=tells.xmp_packet(),
        icc_profile=tells.colour_profile(),
        **options,
    )
    return riff(plain[12:] + chunk(b"PRIV", tells.MARK) + chunk(b"C2PA", tells.jumbf_box()))


def moving(**options: Any) -> bytes:
    frames = [scene("RGBA"), scene("RGBA").rotate(90), scene("RGBA").rotate(180)]
    return tagged(frames[0], save_all=True, append_images=frames[1:], duration=[80, 120, 40], loop=3, **options)


def frames_with_strangers() -> bytes:
    """A chunk that nobody knows inside each frame."""
    body, at, built = moving()[12:], 0, b""
    while at < len(body):
        kind, length = struct.unpack_from("<4sI", body, at)
        inner = body[at + 8 : at + 8 + length]
        built += chunk(kind, inner + chunk(b"PRIV", tells.MARK) if kind == b"ANMF" else inner)
        at += 8 + length + length % 2
    return riff(built)


WEBPS: dict[str, Callable[[], bytes]] = {
    "lossy": lambda: tagged(scene()),
    "lossy-transparent": lambda: tagged(scene("RGBA")),
    "lossless": lambda: tagged(scene("RGBA"), lossless=True),
    "simple-with-strangers": lambda: riff(encoded(scene())[12:] + chunk(b"EXIF", tells.exif_block())),
    "moving": moving,
    "moving-with-strangers": frames_with_strangers,
    "zip-behind": lambda: tagged(scene()) + archive(),
    "text-behind": lambda: tagged(scene()) + tells.MARK,
}
