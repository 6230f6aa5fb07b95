"""The coded pictures in a HEIF file, unit by unit: what a decoder turns into pixels is kept, messages are not."""

from collections.abc import Iterator

from consent_proxy.adapters.media.tags import not_clean

#: Slices, parameter sets, and units that only mark a place. The others are for later use, for anyone's, or hold filling
#: or messages (SEI: encoders' settings, dates and whatever else one likes).
_HEVC_KEPT = frozenset({*range(10), *range(16, 22), *range(32, 38)})
_AV1_KEPT = frozenset({1, 3, 4, 6, 7})  # sequence header, frame headers, tiles, frame
_AV1_REMOVED = frozenset({2, 5, 15})  # delimiter, metadata, padding


def hevc_units(sample: memoryview, length_size: int) -> Iterator[tuple[memoryview, bool]]:
    """Each unit of a picture with its length before it, and whether it is kept."""
    at = 0
    while at < len(sample):
        body = at + length_size
        end = body + int.from_bytes(sample[at:body])
        if end < body + 2 or end > len(sample):
            raise not_clean("a coded picture is not built as its format says")
        yield sample[at:end], sample[body] >> 1 & 0x3F in _HEVC_KEPT
        at = end


def av1_units(sample: memoryview) -> Iterator[tuple[memoryview, bool]]:
    """Each unit of a picture, and whether it is kept; each says how long it is, but for the last."""
    at = 0
    while at < len(sample):
        head, body = sample[at], at + 1 + (sample[at] >> 2 & 1)
        end = len(sample)
        if head & 0x02:
            size, body = _leb128(sample, body)
            end = body + size
        kind = head >> 3 & 0x0F
        if head & 0x81 or end > len(sample) or kind not in _AV1_KEPT | _AV1_REMOVED:
            raise not_clean("a coded picture is not built as its format says")
        yield sample[at:end], kind in _AV1_KEPT
        at = end


def check_derivation(kind: bytes, body: bytes, *, inputs: int) -> None:
    """Raise unless a picture made of ``inputs`` others says how, and no more."""
    if kind == b"iden":
        fits = not body and inputs == 1
    elif len(body) < 8 or body[0] or body[1] > 1:  # noqa: PLR2004 - version, and whether sizes are long
        fits = False
    elif kind == b"grid":
        fits = len(body) == 4 + 4 * (body[1] + 1) and (body[2] + 1) * (body[3] + 1) == inputs
    else:
        fits = kind == b"iovl" and len(body) == 2 + 8 + 4 * (body[1] + 1) * (inputs + 1)
    if not fits:
        raise not_clean("a picture that is made of others is not built as its format says")


def _leb128(sample: memoryview, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    value = 0
    for place, byte in enumerate(sample[at : at + 5]):
        value |= (byte & 0x7F) << 7 * place
        if not byte & 0x80:
            return value, at + place + 1
    raise not_clean("a coded picture is not built as its format says")
