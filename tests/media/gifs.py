"""GIFs, still and moving, each with all the metadata there is."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

from PIL import Image

from tests.media import tells
from tests.media.jpegs import archive, scene


def encoded(picture: Image.Image, **options: Any) -> bytes:
    file = BytesIO()
    picture.save(file, "GIF", **options)
    return file.getvalue()


def blocks(body: bytes) -> bytes:
    parts = [body[at : at + 255] for at in range(0, len(body), 255)]
    return b"".join(bytes((len(part),)) + part for part in parts) + b"\x00"


def strangers() -> bytes:
    """A comment, XMP with its odd end, a profile, C2PA, an application nobody knows, and a plain text."""
    magic = b"\x01" + bytes(range(0xFF, 0x00, -1)) + b"\x00\x00"
    return b"".join(
        [
            b"\x21\xfe" + blocks(tells.MARK),
            b"\x21\xff\x0bXMP DataXMP" + tells.xmp_packet() + magic,
            b"\x21\xff\x0bICCRGBG1012" + blocks(tells.colour_profile()),
            b"\x21\xff\x0bC2PA_GIF\x01\x00\x00" + blocks(tells.jumbf_box()),
            b"\x21\xff\x0bPRIVATE1.0 " + blocks(tells.MARK),
            b"\x21\x01\x0c" + bytes(12) + blocks(tells.MARK),
        ]
    )


def dressed(plain: bytes) -> bytes:
    """``plain`` with strangers before its first frame and behind its last."""
    start = 13 + (3 * (2 << (plain[10] & 7)) if plain[10] & 0x80 else 0)
    return plain[:start] + strangers() + plain[start:-1] + strangers() + b"\x00" + plain[-1:]


def moving() -> bytes:
    frames = [scene().rotate(angle).convert("P", palette=Image.Palette.ADAPTIVE) for angle in (0, 90, 180)]
    return encoded(frames[0], save_all=True, append_images=frames[1:], duration=[80, 120, 40], loop=3, disposal=2)


GIFS: dict[str, Callable[[], bytes]] = {
    "still": lambda: dressed(encoded(scene().convert("P", palette=Image.Palette.ADAPTIVE))),
    "transparent": lambda: dressed(encoded(scene().convert("P", palette=Image.Palette.ADAPTIVE), transparency=5)),
    "commented": lambda: encoded(scene("L"), comment=tells.MARK),
    "moving": lambda: dressed(moving()),
    "picture-behind": lambda: dressed(moving()) + encoded(scene("L")),
    "zip-behind": lambda: dressed(moving()) + archive(),
}
