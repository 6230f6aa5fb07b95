"""JPEGs of every coding, each with all the metadata there is."""

import random
import re
import struct
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any
from zipfile import ZipFile

from PIL import Image

from tests.media import tells


def scene(mode: str = "RGB", *, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """A picture with soft and hard edges, no two of its corners alike."""
    one = Image.radial_gradient("L").resize(size)
    two = Image.linear_gradient("L").resize(size)
    noise = Image.frombytes("L", (32, 24), random.Random(4711).randbytes(768)).resize(size, Image.Resampling.NEAREST)
    if mode == "L":
        return Image.blend(one, two, 0.5)
    return Image.merge("RGBA", (one, two, noise, Image.blend(one, two, 0.4))).convert(mode)


def encoded(picture: Image.Image, **options: Any) -> bytes:
    file = BytesIO()
    picture.save(file, "JPEG", quality=85, **options)
    return file.getvalue()


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def icc_segments(profile: bytes, *, part: int = 300) -> bytes:
    parts = [profile[at : at + part] for at in range(0, len(profile), part)]
    return b"".join(
        segment(0xE2, b"ICC_PROFILE\x00" + bytes((number, len(parts))) + one) for number, one in enumerate(parts, 1)
    )


def everything(*, orientation: int = tells.SIDEWAYS) -> bytes:
    """Every segment that holds metadata, in an order in which cameras and editors write them."""
    extended = b"http://ns.adobe.com/xmp/extension/\x00" + b"0" * 32 + struct.pack(">II", 40, 0) + tells.MARK
    multi = b"MPF\x00MM\x00*" + struct.pack(">IH", 8, 0) + bytes(4) + tells.MARK
    jfxx = b"JFXX\x00\x10" + tells.small_jpeg(comment=tells.MARK)
    return b"".join(
        [
            segment(0xE1, b"Exif\x00\x00" + tells.exif_block(orientation=orientation)),
            segment(0xE0, jfxx),
            segment(0xE1, b"http://ns.adobe.com/xap/1.0/\x00" + tells.xmp_packet()),
            segment(0xE1, extended),
            icc_segments(tells.colour_profile()),
            segment(0xE2, multi),
            segment(0xE2, b"FPXR\x00" + tells.MARK),
            segment(0xE5, tells.MARK),
            segment(0xEB, b"JP\x00\x01\x00\x00\x00\x01" + tells.jumbf_box()),
            segment(0xEC, b"Ducky" + tells.MARK),
            segment(0xED, tells.iptc_block()),
            segment(0xFE, tells.MARK),
        ]
    )


def dressed(plain: bytes, extra: bytes | None = None) -> bytes:
    """``plain`` with metadata behind its first segment, and fill bytes such as some cameras write."""
    end = 4 + int.from_bytes(plain[4:6]) if plain[3] == 0xE0 else 2
    return plain[:end] + (everything() if extra is None else extra) + b"\xff\xff" + plain[end:]


def with_jfif_thumbnail(plain: bytes) -> bytes:
    pixels = (tells.MARK + bytes(48))[:48]
    return b"\xff\xd8" + segment(0xE0, plain[6:18] + b"\x04\x04" + pixels) + plain[20:]


def archive() -> bytes:
    file = BytesIO()
    with ZipFile(file, "w") as members:
        members.writestr("note.txt", tells.MARK)
    return file.getvalue()


def scans_apart(plain: bytes) -> bytes:
    """A comment and a stranger behind the first of a progressive picture's scans."""
    scan = plain.index(b"\xff\xda")
    found = re.compile(rb"\xff[^\x00\xd0-\xd7]").search(plain, scan + 2)
    assert found
    return plain[: found.start()] + segment(0xFE, tells.MARK) + segment(0xE1, tells.MARK) + plain[found.start() :]


def _made() -> Iterable[tuple[str, Callable[[], bytes]]]:
    yield "baseline", lambda: dressed(encoded(scene()))
    yield "progressive", lambda: dressed(scans_apart(encoded(scene(), progressive=True)))
    yield "restarts", lambda: dressed(encoded(scene(), restart_marker_blocks=4))
    yield "grey", lambda: dressed(encoded(scene("L")), segment(0xFE, tells.MARK))
    yield "cmyk", lambda: dressed(encoded(scene("CMYK")), segment(0xE1, b"Exif\x00\x00" + tells.exif_block()))
    yield "subsampled-4-4-4", lambda: dressed(encoded(scene(), subsampling=0))
    yield "old-profile", lambda: dressed(encoded(scene()), icc_segments(tells.colour_profile(version=2), part=60_000))
    yield "jfif-thumbnail", lambda: with_jfif_thumbnail(encoded(scene()))
    yield "second-picture", lambda: dressed(encoded(scene())) + dressed(encoded(scene("L")))
    yield "motion-photo", lambda: dressed(encoded(scene())) + tells.film()
    yield "zip-behind", lambda: dressed(encoded(scene())) + archive()
    yield "text-behind", lambda: dressed(encoded(scene())) + b"SEFH" + tells.MARK


JPEGS: dict[str, Callable[[], bytes]] = dict(_made())
