"""What is said of the pictures in a HEIF file: kept where a picture cannot be shown rightly without it."""

from consent_proxy.adapters.media.codec_configs import clean_av1, clean_hevc
from consent_proxy.adapters.media.icc import neutral_profile
from consent_proxy.adapters.media.tags import TagGroup, not_clean

#: Where a transparency says what it is, in AVIF and in HEIC.
ALPHA_NAMES = frozenset({b"urn:mpeg:mpegB:cicp:systems:auxiliary:alpha", b"urn:mpeg:hevc:2015:auxid:1"})

#: Properties of one length, and which of their bits mean something: all, unless a mask is given.
_LENGTHS = {b"ispe": 12, b"pasp": 8, b"clap": 32, b"clli": 4, b"mdcv": 24, b"amve": 8, b"a1op": 1}
_MASKS = {b"irot": 3, b"imir": 1}
_REMOVED = {b"udes": TagGroup.COMMENT, b"altt": TagGroup.COMMENT, b"crtt": TagGroup.DATES, b"mdft": TagGroup.DATES}


def auxiliary_name(kind: bytes, body: bytes) -> bytes | None:
    """What an auxiliary picture says that it is, when the property says so."""
    return body[4:].partition(b"\x00")[0] if kind == b"auxC" else None


def clean_property(kind: bytes, body: bytes) -> bytes | None:
    """The body that is kept; None for a property that is not needed. Raises `MediaRefused` for one that is wrong."""
    if kind in _LENGTHS:
        if len(body) != _LENGTHS[kind]:
            raise not_clean("a property of a picture is longer or shorter than it can be")
        return body
    if kind in _MASKS:
        if len(body) != 1:
            raise not_clean("a property of a picture is longer or shorter than it can be")
        return bytes((body[0] & _MASKS[kind],))
    match kind:
        case b"hvcC":
            return clean_hevc(body)
        case b"av1C":
            return clean_av1(body)
        case b"pixi":
            return _depths(body)
        case b"colr":
            return _colours(body)
        case b"auxC":
            name = auxiliary_name(kind, body)
            return bytes(4) + name + b"\x00" if name in ALPHA_NAMES and name else None
        case _:
            return None


def removed_group(kind: bytes) -> TagGroup:
    """The group of a property that is not kept."""
    return _REMOVED.get(kind, TagGroup.UNKNOWN)


def _depths(body: bytes) -> bytes:
    """The bits of each channel; what newer readers find behind them is not needed."""
    if len(body) < 5 or not 1 <= body[4] <= 16 or len(body) < 5 + body[4]:  # noqa: PLR2004
        raise not_clean("a property of a picture is longer or shorter than it can be")
    return bytes(4) + body[4 : 5 + body[4]]


def _colours(body: bytes) -> bytes | None:
    kind = body[:4]
    if kind == b"nclx":
        if len(body) != 11:  # noqa: PLR2004
            raise not_clean("a picture's colours are described in a way that is not known")
        return body[:10] + bytes((body[10] & 0x80,))
    if kind not in {b"prof", b"rICC"}:
        raise not_clean("a picture's colours are described in a way that is not known")
    profile = neutral_profile(body[4:])
    return kind + profile if profile else None
