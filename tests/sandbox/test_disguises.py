"""A text is found on the wire in every disguise that a receiver would undo, and not where it is not."""

import base64
import gzip
import json
from urllib.parse import quote, quote_plus

import pytest

from consent_proxy.sandbox.disguises import bears

NAME = "Ada Löf+lace/1815 😀"
RAW = NAME.encode()


@pytest.mark.parametrize(
    "carrier",
    [
        b"prompt: " + RAW + b"!",
        quote(NAME, safe="").encode(),
        quote_plus(NAME).encode(),
        "".join(f"%{byte:02x}" for byte in RAW).encode(),
        json.dumps({"prompt": f'"{NAME}'}).encode(),
        RAW.hex().encode(),
        base64.b64encode(RAW),
        b"data:image/png;base64," + base64.b64encode(b"\x89" + RAW + b"tail"),
        base64.urlsafe_b64encode(b"\xff\xff" + RAW),
        quote(base64.b64encode(RAW).decode(), safe="").encode(),
        b"POST / HTTP/1.1\r\n\r\n" + gzip.compress(b"{" + RAW + b"}", mtime=0),
    ],
)
def test_a_text_is_found_in_disguise(carrier: bytes) -> None:
    assert bears(carrier, RAW)


@pytest.mark.parametrize(
    "carrier",
    [
        b"",
        RAW[:-1],
        base64.b64encode(RAW[1:]),
        gzip.compress(b"something else", mtime=0),
        b"\x1f\x8b\x08 no gzip",
        b"%zz\\u12",
    ],
)
def test_a_text_is_not_found_where_it_is_not(carrier: bytes) -> None:
    assert not bears(carrier, RAW)


def test_an_empty_text_is_no_question() -> None:
    with pytest.raises(ValueError, match="everywhere"):
        bears(b"anything", b"")
