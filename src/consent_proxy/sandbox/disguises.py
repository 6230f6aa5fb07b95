"""Whether bytes bear a text, also where the text is encoded, escaped or compressed."""

import base64
import binascii
import json
import re
import zlib
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import quote_plus, unquote_to_bytes

_SHORTEST_BASE64_CORE = 4  # fewer characters would be found by chance
_GZIP_MAGIC = b"\x1f\x8b\x08"
_LARGEST_UNPACKED = 64 * 1024 * 1024
_ESCAPES = re.compile(rb'(?:\\(?:u[0-9a-fA-F]{4}|["\\/bfnrt]))+')  # a run, for two \u may be one character


def bears(carrier: bytes, text: bytes) -> bool:
    """True when `text` stands in `carrier`, plainly or in a disguise that a decoder would undo."""
    if not text:
        raise ValueError("an empty text is everywhere")
    forms = _forms(text)
    return any(form in view for view in _views(carrier) for form in forms)


@lru_cache(maxsize=256)
def _forms(text: bytes) -> frozenset[bytes]:
    forms = {text, quote_plus(text).encode(), binascii.hexlify(text), binascii.hexlify(text).upper()}
    for offset in range(3):
        core = _base64_core(text, offset=offset)
        if len(core) >= _SHORTEST_BASE64_CORE:
            forms |= {core, core.translate(bytes.maketrans(b"+/", b"-_"))}
    return frozenset(forms)


def _base64_core(text: bytes, *, offset: int) -> bytes:
    """The base64 characters that depend on `text` alone when it starts `offset` bytes into a group of three."""
    encoded = base64.b64encode(b"\0" * offset + text)
    return encoded[-(-8 * offset // 6) : 8 * (offset + len(text)) // 6]


def _views(carrier: bytes) -> Iterator[bytes]:
    yield carrier
    if b"%" in carrier or b"+" in carrier:
        yield unquote_to_bytes(carrier)
        yield unquote_to_bytes(carrier.replace(b"+", b" "))
    if b"\\" in carrier:
        yield _ESCAPES.sub(_unescaped, carrier)
    for start in _gzip_starts(carrier):
        yield from _unpacked(carrier[start:])


def _unescaped(escapes: re.Match[bytes]) -> bytes:
    text: str = json.loads(b'"' + escapes.group() + b'"')
    return text.encode("utf-8", "surrogatepass")


def _gzip_starts(carrier: bytes) -> Iterator[int]:
    start = carrier.find(_GZIP_MAGIC)
    while start >= 0:
        yield start
        start = carrier.find(_GZIP_MAGIC, start + 1)


def _unpacked(packed: bytes) -> Iterator[bytes]:
    try:
        yield zlib.decompressobj(wbits=31).decompress(packed, _LARGEST_UNPACKED)
    except zlib.error:
        return  # the magic number stood there by chance
