"""ICC profiles: rebuilt from the parts that make colours, without date, device, names and whatever else they hold."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from consent_proxy.adapters.media.pieces import Piece
from consent_proxy.adapters.media.tags import not_clean

MOST_BYTES = 8 << 20

_HEADER = 128
_TAG_ENTRY = 12
_MOST_TAGS = 128

#: Tags a colour engine computes with. Names, dates, devices, calibration and makers' own tags are not among them.
_COLOUR_TAGS = frozenset(
    tag.encode()
    for tag in (
        *("rXYZ", "gXYZ", "bXYZ", "rTRC", "gTRC", "bTRC", "kTRC", "wtpt", "bkpt", "chad", "gamt", "cicp"),
        *("A2B0", "A2B1", "A2B2", "B2A0", "B2A1", "B2A2", "D2B0", "D2B1", "D2B2", "D2B3", "B2D0", "B2D1", "B2D2"),
        *("B2D3", "pre0", "pre1", "pre2"),
    )
)
_CLASSES = frozenset({b"scnr", b"mntr", b"prtr", b"spac"})
_SPACES = frozenset({b"RGB ", b"GRAY", b"CMYK", b"Lab ", b"XYZ ", b"YCbr"})
_NAME = "Colour profile"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tag:
    signature: bytes
    content: bytes


def neutral_profile(profile: Piece) -> bytes | None:
    """The profile that makes the same colours and says nothing else; None when ``profile`` is none at all.

    What is no profile decoders ignore, so it may be left out. Raises `MediaRefused` for one that has parts we do not
    know: neither keeping nor dropping it would do. Rebuilding twice changes nothing.
    """
    if len(profile) > MOST_BYTES:
        raise not_clean("the colour profile is too large")
    whole = bytes(profile)
    if len(whole) < _HEADER + 4 or whole[36:40] != b"acsp":
        return None
    if whole[12:16] not in _CLASSES or whole[16:20] not in _SPACES or whole[20:24] not in _SPACES:
        raise not_clean("the colour profile is of a class or for a colour space that is not known")
    tags = _colour_tags(whole)
    if not tags:
        raise not_clean("the colour profile has parts that are not known")
    text = _text_of_version_4 if whole[8] >= 4 else _text_of_version_2  # noqa: PLR2004
    return _built(_neutral_header(whole), [*text(), *tags])


def _colour_tags(whole: bytes) -> list[_Tag] | None:
    """The tags that make colours, in their order; None where one of them cannot be understood."""
    (count,) = struct.unpack_from(">I", whole, _HEADER)
    if count > _MOST_TAGS or _HEADER + 4 + count * _TAG_ENTRY > len(whole):
        return None
    found: dict[bytes, _Tag] = {}
    for at in range(_HEADER + 4, _HEADER + 4 + count * _TAG_ENTRY, _TAG_ENTRY):
        signature, offset, size = struct.unpack_from(">4sII", whole, at)
        if signature not in _COLOUR_TAGS or signature in found:
            continue
        content = _exact(whole[offset : offset + size]) if offset + size <= len(whole) else None
        if content is None:
            return None
        found[signature] = _Tag(signature=signature, content=content)
    return list(found.values())


def _exact(content: bytes) -> bytes | None:
    """A tag's content cut to what its type says it is, its reserved bytes zeroed; None for types we do not know."""
    kind = content[:4]
    if len(content) < 12:  # noqa: PLR2004
        return None
    length = _length(kind, content)
    if length is None or length > len(content):
        return None
    return kind + bytes(4) + content[8:length]


def _length(kind: bytes, content: bytes) -> int | None:
    match kind:
        case b"XYZ ":
            return 20
        case b"sf32":
            return 8 + 36
        case b"cicp":
            return 12
        case b"curv":
            return 12 + 2 * int.from_bytes(content[8:12])
        case b"para":
            counts = (1, 3, 4, 5, 7)
            function = int.from_bytes(content[8:10])
            return 12 + 4 * counts[function] if function < len(counts) else None
        case b"mft1" if len(content) >= 48:  # noqa: PLR2004
            inputs, outputs, grid = content[8:11]
            cells = int(grid**inputs)
            return 48 + 256 * (inputs + outputs) + outputs * cells
        case b"mft2" if len(content) >= 52:  # noqa: PLR2004
            inputs, outputs, grid = content[8:11]
            cells = int(grid**inputs)
            before, after = int.from_bytes(content[48:50]), int.from_bytes(content[50:52])
            return 52 + 2 * (inputs * before + outputs * cells + outputs * after)
        case b"mAB " | b"mBA " | b"mpet":
            return len(content)
        case _:
            return None


def _neutral_header(whole: bytes) -> bytearray:
    """Version, class, spaces, intent and white point; no maker, date, device, creator or digest."""
    header = bytearray(_HEADER)
    header[8:10] = whole[8:10]
    header[12:24] = whole[12:24]
    header[36:40] = b"acsp"
    header[63] = whole[63] & 0x0F  # reflective or transparent, glossy or matte, positive or negative, colour or not
    header[64:80] = bytes(3) + whole[67:68] + whole[68:80]
    return header


def _built(header: bytearray, tags: list[_Tag]) -> bytes:
    """Put together; tags with equal content share it, as most profiles' three curves do."""
    body = bytearray()
    places: dict[bytes, int] = {}
    start = _HEADER + 4 + len(tags) * _TAG_ENTRY
    table = struct.pack(">I", len(tags))
    for tag in tags:
        if tag.content not in places:
            places[tag.content] = start + len(body)
            body += tag.content + bytes(-len(tag.content) % 4)
        table += struct.pack(">4sII", tag.signature, places[tag.content], len(tag.content))
    header[0:4] = struct.pack(">I", start + len(body))
    return bytes(header) + table + bytes(body)


def _text_of_version_2() -> Iterator[_Tag]:
    """The two texts that a profile must have."""
    ascii_name = _NAME.encode() + b"\x00"
    name = b"desc" + bytes(4) + struct.pack(">I", len(ascii_name)) + ascii_name + bytes(4 + 4 + 2 + 1 + 67)
    yield _Tag(signature=b"desc", content=name)
    yield _Tag(signature=b"cprt", content=b"text" + bytes(4) + ascii_name)


def _text_of_version_4() -> Iterator[_Tag]:
    encoded = _NAME.encode("utf-16-be")
    name = b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(encoded), 28) + encoded
    yield _Tag(signature=b"desc", content=name)
    yield _Tag(signature=b"cprt", content=name)
