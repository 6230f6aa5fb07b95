"""How a field of media may name what is meant, and that everything else names nothing."""

from uuid import UUID

import pytest

from consent_proxy.domain.media_names import (
    AddressName,
    HeldName,
    MediaName,
    OutputName,
    WrittenOut,
    held_media_url,
    read_media_name,
)

OURS = "https://proxy.test"
ID = UUID("01987654-3210-7abc-8def-0123456789ab")
CAPABILITY = "abcdefghijklmnopqrstuvwxyz_-0123"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (str(ID), HeldName(id=ID)),
        (str(ID).upper(), HeldName(id=ID)),
        (held_media_url(ID, public_url=OURS), HeldName(id=ID)),
        (f"{OURS}/v1/files/{CAPABILITY}", OutputName(capability=CAPABILITY)),
        ("data:image/png;base64,AAAA", WrittenOut(base64="AAAA")),
        ("data:;base64,AAAA", WrittenOut(base64="AAAA")),
        ("DATA:image/svg+xml;charset=utf-8;base64,AA==", WrittenOut(base64="AA==")),
        ("https://media.test/a.jpg?X-Amz-Signature=1", AddressName(url="https://media.test/a.jpg?X-Amz-Signature=1")),
        ("http://127.0.0.1:9000/a.jpg", AddressName(url="http://127.0.0.1:9000/a.jpg")),
    ],
)
def test_a_medium_is_named_in_four_ways(text: str, name: MediaName) -> None:
    assert read_media_name(text, public_url=OURS) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "me.png",
        f"{ID}x",
        f" {ID}",
        f"{OURS}/v1/media/",
        f"{OURS}/v1/media/{ID}/",
        f"{OURS}/v1/media/{ID}?x=1",
        f"{OURS}/v1/transfers/{ID}",
        f"{OURS}/v1/files/short",
        f"{OURS}/v1/files/../media/{ID}",
        "data:image/png,%89PNG",
        "data:image/png;base64",
        f"data:{'x' * 300};base64,AAAA",
        "file:///etc/passwd",
        "s3://bucket/key",
        "ftp://media.test/a.jpg",
        "//media.test/a.jpg",
        "https://media.test/a b.jpg",
        "https://media.test/\u00e9.jpg",
        "https://media.test/a.jpg\n",
        "https://" + "a" * 3_000,
        "javascript:alert(1)",
    ],
)
def test_everything_else_names_nothing(text: str) -> None:
    assert read_media_name(text, public_url=OURS) is None
