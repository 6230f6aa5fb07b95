"""PNGs and APNGs, each with all the metadata there is."""

import struct
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Any

from PIL import Image

from tests.media import tells
from tests.media.jpegs import archive, scene


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body), kind) + body + struct.pack(">I", zlib.crc32(kind + body))


def encoded(picture: Image.Image, **options: Any) -> bytes:
    file = BytesIO()
    picture.save(file, "PNG", **options)
    return file.getvalue()


def before_pixels() -> bytes:
    packed = zlib.compress(tells.MARK)
    wide = b"XML:com.adobe.xmp\x00\x00\x00\x00\x00" + tells.xmp_packet()
    raw = b"Raw profile type exif\x00\x00" + zlib.compress(b"\nexif\n 8\n" + tells.MARK.hex().encode())
    return b"".join(
        [
            chunk(b"iCCP", tells.MARK + b"\x00\x00" + zlib.compress(tells.colour_profile())),
            chunk(b"pHYs", struct.pack(">IIB", 2834, 2834, 1)),
            chunk(b"tEXt", b"Author\x00" + tells.MARK),
            chunk(b"tEXt", b"Software\x00" + tells.MARK),
            chunk(b"zTXt", b"Comment\x00\x00" + packed),
            chunk(b"zTXt", raw),
            chunk(b"iTXt", b"Title\x00\x01\x00de\x00Titel\x00" + packed),
            chunk(b"iTXt", wide),
            chunk(b"eXIf", tells.exif_block()),
            chunk(b"tIME", struct.pack(">HBBBBB", 2026, 11, 25, 12, 0, 0)),
            chunk(b"caBX", tells.jumbf_box()),
            chunk(b"prVt", tells.MARK),
            chunk(b"sPLT", tells.MARK + b"\x00\x08"),
        ]
    )


def dressed(plain: bytes) -> bytes:
    """``plain`` with metadata before and behind its pixels."""
    end = len(plain) - 12
    return plain[:33] + before_pixels() + plain[33:end] + chunk(b"tEXt", b"Late\x00" + tells.MARK) + plain[end:]


def animated(*, default_image: bool = False) -> bytes:
    frames = [scene("RGBA"), scene("RGBA").rotate(90), scene("RGBA").rotate(180)]
    return encoded(
        frames[0], save_all=True, append_images=frames[1:], duration=[80, 120, 40], loop=3, default_image=default_image
    )


PNGS: dict[str, Callable[[], bytes]] = {
    "rgb": lambda: dressed(encoded(scene())),
    "rgba": lambda: dressed(encoded(scene("RGBA"))),
    "palette": lambda: dressed(encoded(scene().convert("P", palette=Image.Palette.ADAPTIVE), transparency=3)),
    "grey": lambda: dressed(encoded(scene("L"))),
    "one-colour-transparent": lambda: dressed(encoded(scene(), transparency=(1, 2, 3))),
    "animated": lambda: dressed(animated()),
    "animated-behind-a-picture": lambda: dressed(animated(default_image=True)),
    "picture-behind": lambda: dressed(encoded(scene())) + encoded(scene("L"), comment=""),
    "zip-behind": lambda: dressed(encoded(scene())) + archive(),
    "cropped-rest-behind": lambda: dressed(encoded(scene())) + b"\x00\x00" + tells.MARK + chunk(b"IEND", b""),
}
