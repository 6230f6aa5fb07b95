"""HEIC and AVIF, plain and built as telephones build them, each with all the metadata there is."""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from io import BytesIO
from typing import Any

import pillow_heif
from PIL import Image

from consent_proxy.adapters.media.boxes import box, boxes_within, full_box
from consent_proxy.adapters.media.heif_items import read_contents
from tests.media import tells
from tests.media.jpegs import scene

pillow_heif.register_heif_opener()

Property = tuple[bytes, bytes, bool]
TILE = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    name: str
    item: bytes
    config: bytes
    brand: bytes
    alpha: bytes


HEVC = Codec(name="HEIF", item=b"hvc1", config=b"hvcC", brand=b"heic", alpha=b"urn:mpeg:hevc:2015:auxid:1\x00")
AV1 = Codec(
    name="AVIF", item=b"av01", config=b"av1C", brand=b"avif", alpha=b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha\x00"
)


@dataclass(slots=True, kw_only=True)
class Part:
    """An item to be written, its bytes in the file or in the table of contents."""

    id: int
    kind: bytes
    data: bytes
    properties: list[Property] = field(default_factory=list)
    references: dict[bytes, list[int]] = field(default_factory=dict)
    is_inner: bool = False
    is_hidden: bool = False
    texts: bytes = b""


def encoded(codec: Codec, picture: Image.Image, **options: Any) -> bytes:
    file = BytesIO()
    picture.save(file, codec.name, quality=70, **options)
    return file.getvalue()


@cache
def coded(codec: Codec, turn: int = 0, *, mode: str = "RGB", size: int = TILE) -> tuple[bytes, tuple[Property, ...]]:
    """A coded picture and what is said of it, taken out of a file that an encoder made."""
    whole = encoded(codec, scene(mode, size=(size, size)).rotate(turn))
    contents = read_contents(dict(boxes_within(whole))[b"meta"])
    item = contents.items[contents.primary]
    data = b"".join(whole[part.start : part.end] for part in item.extents)
    said = [(*contents.properties[one.index - 1], one.is_essential) for one in item.properties]
    return talking(codec, data), tuple((kind, talking_config(codec, kind, body), must) for kind, body, must in said)


def talking(codec: Codec, data: bytes) -> bytes:
    """With a message among the units: user data in HEVC (SEI), metadata of a broadcaster (T.35) in AV1."""
    if codec is AV1:
        message = b"\x04\xb5\x00\x3c" + tells.MARK + b"\x80"
        return data + b"\x2a" + bytes((len(message),)) + message
    unit = sei()
    return struct.pack(">I", len(unit)) + unit + data


def sei() -> bytes:
    body = bytes(range(16)) + tells.MARK
    return b"\x4e\x01\x05" + bytes((len(body),)) + body + b"\x80"


def talking_config(codec: Codec, kind: bytes, body: bytes) -> bytes:
    if kind == b"hvcC":
        unit = sei()
        return body[:22] + bytes((body[22] + 1,)) + body[23:] + b"\xa7\x00\x01" + struct.pack(">H", len(unit)) + unit
    return body


def written(codec: Codec, parts: list[Part], *, more: bytes = b"", primary: int = 1) -> bytes:
    """The file: a table of contents in an order of its own, strangers in it and around it."""
    start = box(b"ftyp", codec.brand, tells.MARK[:4], b"mif1", codec.brand, b"miaf", b"MiHB", tells.MARK[:4])
    stranger = box(b"uuid", bytes(range(16)), tells.jumbf_box()) + box(b"free", tells.MARK)
    before = len(start) + len(stranger) + len(_meta(parts, primary, first_byte=0)) + 8
    pixels = b"".join(part.data for part in parts if not part.is_inner)
    mdat = struct.pack(">I4s", 8 + len(pixels), b"mdat") + pixels
    return start + stranger + _meta(parts, primary, first_byte=before) + mdat + more


def _meta(parts: list[Part], primary: int, *, first_byte: int) -> bytes:
    inner = b"".join(part.data for part in parts if part.is_inner)
    return full_box(
        b"meta",
        0,
        0,
        full_box(b"hdlr", 0, 0, bytes(4), b"pict", bytes(12), tells.MARK, b"\x00"),
        box(b"dinf", full_box(b"dref", 0, 0, struct.pack(">I", 1), full_box(b"url ", 0, 1))),
        full_box(b"pitm", 1, 0, struct.pack(">I", primary)),
        _entries(parts),
        box(b"grpl", full_box(b"altr", 0, 0, struct.pack(">III", 900, 1, primary))),
        _references(parts),
        _properties(parts),
        box(b"udta", tells.MARK),
        box(b"idat", inner) if inner else b"",
        _places(parts, first_byte=first_byte),
    )


def _entries(parts: list[Part]) -> bytes:
    entries = [
        full_box(
            b"infe", 3, int(part.is_hidden), struct.pack(">IH", part.id, 0), part.kind, tells.MARK + b"\x00", part.texts
        )
        for part in parts
    ]
    return full_box(b"iinf", 1, 0, struct.pack(">I", len(entries)), *entries)


def _places(parts: list[Part], *, first_byte: int) -> bytes:
    """Bytes of the first half and of the second are two extents, both counted from a base of the item."""
    entries = []
    at = {False: first_byte, True: 0}
    for part in parts:
        base, half = at[part.is_inner], len(part.data) // 2
        extents = struct.pack(">IIII", 0, half, half, len(part.data) - half)
        entries.append(struct.pack(">IHHIH", part.id, int(part.is_inner), 0, base, 2) + extents)
        at[part.is_inner] += len(part.data)
    return full_box(b"iloc", 2, 0, struct.pack(">HI", 0x4440, len(entries)), *entries)


def _references(parts: list[Part]) -> bytes:
    references = [
        box(kind, struct.pack(f">IH{len(targets)}I", part.id, len(targets), *targets))
        for part in parts
        for kind, targets in part.references.items()
    ]
    return full_box(b"iref", 1, 0, *references)


def _properties(parts: list[Part]) -> bytes:
    """The items in the order of their numbers, which strict readers insist on."""
    table: list[bytes] = []
    entries = []
    for part in sorted(parts, key=lambda part: part.id):
        indexes = []
        for kind, body, must in part.properties:
            table.append(box(kind, body))
            indexes.append(len(table) | must << 15)
        entries.append(struct.pack(f">IB{len(indexes)}H", part.id, len(indexes), *indexes))
    ipma = full_box(b"ipma", 1, 1, struct.pack(">I", len(entries)), *entries)
    return box(b"iprp", box(b"ipco", *table), ipma)


def descriptions(target: int) -> list[Part]:
    """EXIF, XMP, a thing nobody knows, and C2PA, all about one picture."""
    about = {b"cdsc": [target]}
    return [
        Part(id=300, kind=b"Exif", data=bytes(4) + tells.exif_block(), references=about),
        Part(id=301, kind=b"mime", data=tells.xmp_packet(), references=about, texts=b"application/rdf+xml\x00"),
        Part(id=302, kind=b"uri ", data=tells.MARK, references=about, texts=b"https://example.com/" + tells.MARK),
        Part(id=303, kind=b"mime", data=tells.jumbf_box(), references=about, texts=b"application/c2pa\x00"),
    ]


def auxiliary(codec: Codec, number: int, name: bytes, *, target: int, turn: int = 0, size: int = TILE) -> Part:
    data, said = coded(codec, turn, mode="L", size=size)
    properties = [*said, (b"auxC", bytes(4) + name, False)]
    return Part(
        id=number, kind=codec.item, data=data, properties=properties, references={b"auxl": [target]}, is_hidden=True
    )


def telephone(codec: Codec, *, has_alpha: bool = False) -> bytes:
    """A grid of four tiles, turned, with a profile; and beside it all that telephones add."""
    tiles = []
    for number, turn in enumerate((0, 90, 180, 270), start=10):
        data, said = coded(codec, turn)
        tiles.append(Part(id=number, kind=codec.item, data=data, properties=list(said), is_hidden=True))
    height = 2 * TILE if has_alpha else 2 * TILE - 6
    said_of_all: list[Property] = [
        (b"ispe", struct.pack(">III", 0, 2 * TILE, height), False),
        (b"pixi", bytes(4) + b"\x03\x08\x08\x08", False),
        (b"colr", b"prof" + tells.colour_profile(), False),
        (b"irot", b"\x03", True),
        (b"udes", bytes(4) + b"de\x00" + tells.MARK + b"\x00\x00\x00", False),
        (b"mdft", bytes(12), False),
    ]
    shape = struct.pack(">BBBBHH", 0, 0, 1, 1, 2 * TILE, height)
    grid = Part(id=1, kind=b"grid", data=shape, properties=said_of_all, is_inner=True)
    grid.references = {b"dimg": [tile.id for tile in tiles]}
    thumbnail = Part(id=50, kind=codec.item, data=b"", references={b"thmb": [1]})
    thumbnail.data, thumbnail.properties = coded(codec, 45)[0], list(coded(codec, 45)[1])
    second = Part(id=60, kind=codec.item, data=coded(codec, 135)[0], properties=list(coded(codec, 135)[1]))
    toned = Part(id=70, kind=b"tmap", data=tells.MARK, references={b"dimg": [1, 200]})
    parts = [thumbnail, grid, *tiles, second, toned, *descriptions(1)]
    parts.append(auxiliary(codec, 200, b"urn:com:apple:photo:2020:aux:hdrgainmap\x00", target=1, turn=10))
    parts.append(auxiliary(codec, 201, b"urn:mpeg:hevc:2015:auxid:2\x00" + tells.MARK, target=1, turn=20))
    if has_alpha:
        parts.append(auxiliary(codec, 202, codec.alpha + tells.MARK, target=1, turn=30, size=2 * TILE))
    return written(codec, parts, more=box(b"mpvd", tells.film()) + box(b"free", tells.MARK))


def overlay(codec: Codec) -> bytes:
    """One picture laid over another on a canvas."""
    first, second = (
        Part(id=number, kind=codec.item, data=coded(codec, turn)[0], properties=list(coded(codec, turn)[1]))
        for number, turn in ((2, 0), (3, 90))
    )
    how = struct.pack(">BB4H2H4h", 0, 0, 0, 0, 0, 0xFFFF, 2 * TILE, TILE, 0, 0, TILE, 0)
    canvas = Part(id=1, kind=b"iovl", data=how, references={b"dimg": [2, 3]})
    canvas.properties = [(b"ispe", struct.pack(">III", 0, 2 * TILE, TILE), False)]
    return written(codec, [first, second, canvas, *descriptions(1)])


def plain(codec: Codec, mode: str) -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = tells.MARK.decode(), tells.SIDEWAYS
    return encoded(codec, scene(mode), exif=exif.tobytes(), xmp=tells.xmp_packet())


def _made(codec: Codec) -> dict[str, Callable[[], bytes]]:
    return {
        "rgb": partial(plain, codec, "RGB"),
        "rgba": partial(plain, codec, "RGBA"),
        "telephone": partial(telephone, codec),
        "telephone-transparent": partial(telephone, codec, has_alpha=True),
    }


#: Overlays are read by libheif only.
HEICS: dict[str, Callable[[], bytes]] = {
    **_made(HEVC),
    "overlay": partial(overlay, HEVC),
    "neutral-brand": lambda: telephone(HEVC).replace(b"ftypheic", b"ftypmif1"),
}
AVIFS = _made(AV1)
