"""Free text leaves as it is; addresses and files in it do not, however they are dressed up."""

import base64
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_proxy.domain.free_text import LONG_RUN, fault_of_text

PICTURE = base64.b64encode(random.Random(7).randbytes(400)).decode()
URL_SAFE = base64.urlsafe_b64encode(random.Random(7).randbytes(400)).decode()


def fullwidth(text: str) -> str:
    return "".join(chr(ord(character) + 0xFEE0) for character in text)


def bold(text: str) -> str:
    return "".join(chr(ord(character) - ord("a") + 0x1D41A) for character in text)


def circled(text: str) -> str:
    return "".join(chr(ord(character) - ord("a") + 0x24D0) for character in text)


HARMLESS = [
    "",
    "a boat",
    "Porträt einer Frau, Öl auf Leinwand; Maßstab 1:1 // fröhlich",
    "一只在月光下的猫。" * 200,
    "月光の下の猫、とても長い文章で空白がない" * 100,
    "صورة لقارب في البحر مع نص طويل",
    "एक नाव, चाँदनी रात में",
    "👩‍👩‍👧‍👦 family portrait ❤️ 🏳️‍🌈",
    "line one\nline two\r\n\tindented",
    "data: the final frontier",
    "Here is the data:\n2020, 5\n2021, 6",
    "use my metadata: title, author",
    '{"data": [1, 2, 3], "file": "none"}',
    "a sign that says example.com",
    "the amazon.com logo on a box",
    "write to jane@example.com",
    "ratio 16:9, f/2.8, 1/250s",
    "a file: folded, on a desk",
    "switch (x) {\n  case 1:\n    // nothing\n    break;\n}\n//console.log(x.y)",
    "public:\n// comment",
    "he said http is a protocol",
    "the World Wide Web, www, and all that",
    "-" * 400,
    "_" * 400 + "\n" + "=" * 400,
    "no, " * 300,
    "\n".join(["dog", "cat", "elephant", "hippopotamus"] * 40),
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft im Regen, " * 20,
    "No" + "o" * 200,
    "-" * 300 + "title" + "-" * 300,
    "Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch",
    "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "3c4a9c8e-5f5d-4b7c-9a49-0e0c7f9d8a11 and 3c4a9c8e-5f5d-4b7c-9a49-0e0c7f9d8a12",
    "a b c d " * 1000,
    "s3 of the series, gs and ipfs are words",
    "emoticon :/ and :\\ and ://",
]

ADDRESSES = [
    "https://example.com/me.png",
    "look at http://example.com",
    "hTTp://example.com",
    "HTTPS://EXAMPLE.COM/ME.PNG",
    "http:\\\\example.com",
    "https:\\/\\/example.com",
    "https:/example.com",
    "http:example.com",
    "https : // example.com",
    "ht\ntps://example.com",
    "https\n:\n//example.com",
    "h\u200bt\u200bt\u200bp\u200bs://example.com",
    "https\u2060://example.com",
    "ht\u00adtps://example.com",
    "h\u0336t\u0336t\u0336p\u0336s\u0336:\u0336/\u0336/example.com",
    "http\ufe0f://example.com",
    fullwidth("https://example.com"),
    bold("https") + "://example.com",
    circled("https") + "://example.com",
    "https\u2236//example.com",
    "https:\u2044\u2044example.com",
    "https:\u2215\u2215example.com",
    "https%3A%2F%2Fexample.com",
    "https&colon;&sol;&sol;example.com",
    "https&#58;&#x2F;&#x2F;example.com",
    "www.example.com/me.png",
    "WWW.example.com",
    "www\u3002example\u3002com",
    "see //cdn.example.com/me.png",
    "(https://example.com)",
    "\U000e0068https://example.com",
    "https\x7f://example.com",
]

FILES = [
    "file:///etc/passwd",
    "file:/etc/passwd",
    "FILE : ///c:/me.png",
    "s3://bucket/me.png",
    "S3 ://bucket/me.png",
    "s3a://bucket/me.png",
    "gs://bucket/me.png",
    "g\u200bs://bucket/me.png",
    "ipfs://bafybeigdyrzt/me.png",
    "ipfs:/bafybeigdyrzt",
    "ftp://example.com/me.png",
    "az://container/me.png",
    "blob:https://example.com/3c4a",
    "hf://datasets/me",
    "custom+scheme://x",
    "bucket.s3.eu-west-1.amazonaws.com/me.png",
    "https://bucket.s3.amazonaws.com/me.png",
    "storage.googleapis.com/bucket/me.png",
    "account.blob.core.windows.net/c/me.png",
    "https://x.r2.cloudflarestorage.com/me.png",
]

DATA_URIS = [
    "data:image/png;base64,AAAA",
    "DATA:image/png;base64,AAAA",
    "data : image/png ; base64 , AAAA",
    "d\u200bata:image/png;base64,AAAA",
    fullwidth("data:") + "image/png;base64,AAAA",
    "da\nta:image/png;base64,AAAA",
    "data:\nimage/png;base64,AAAA",
    "data:,hello",
    "data:;base64,AAAA",
    "data:foo/bar,xyz",
    "data%3Aimage/png;base64,AAAA",
    "data&colon;image/png,AAAA",
    "src='data:image/svg+xml,<svg/>'",
    "png ;base64, AAAA",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_ordinary_text_passes(text: str) -> None:
    assert fault_of_text(text, max_bytes=32_768) is None


@pytest.mark.parametrize("text", ADDRESSES)
def test_a_web_address_is_found(text: str) -> None:
    assert " address " in (fault_of_text(f"a boat, {text}", max_bytes=1_000) or "")


@pytest.mark.parametrize("text", ["https://example.com/a.png", "see www.example.com", "HTTP://example.com"])
def test_a_web_address_passes_where_the_manifest_takes_one(text: str) -> None:
    assert fault_of_text(text, max_bytes=1_000, urls_allowed=True) is None


@pytest.mark.parametrize("urls_allowed", [False, True])
@pytest.mark.parametrize("text", FILES)
def test_the_address_of_a_file_or_bucket_is_found_everywhere(text: str, urls_allowed: bool) -> None:
    fault = fault_of_text(f"a boat {text}", max_bytes=1_000, urls_allowed=urls_allowed)

    assert "file or a bucket" in (fault or "")


@pytest.mark.parametrize("urls_allowed", [False, True])
@pytest.mark.parametrize("text", DATA_URIS)
def test_a_data_uri_is_found_everywhere(text: str, urls_allowed: bool) -> None:
    fault = fault_of_text(f"a boat {text}", max_bytes=1_000, urls_allowed=urls_allowed)

    assert "data URI" in (fault or "")


@pytest.mark.parametrize(
    "text",
    [
        PICTURE,
        URL_SAFE,
        f"what is this? {PICTURE}",
        "\u200b".join(PICTURE),
        "\u00ad".join(PICTURE[i : i + 8] for i in range(0, len(PICTURE), 8)),
        "\n".join(PICTURE[i : i + 76] for i in range(0, len(PICTURE), 76)),
        "\r\n".join(PICTURE[i : i + 64] for i in range(0, len(PICTURE), 64)),
        "  ".join(PICTURE[i : i + 40] for i in range(0, len(PICTURE), 40)),
        re.sub("[A-Za-z]+", lambda letters: fullwidth(letters.group()), PICTURE),
        random.Random(7).randbytes(200).hex(),
        base64.b64encode(bytes(300)).decode(),
    ],
    ids=[
        "plain",
        "url-safe",
        "after words",
        "zero-width",
        "soft hyphens",
        "76",
        "64",
        "blanks",
        "fullwidth",
        "hex",
        "zeros",
    ],
)
def test_a_file_written_out_in_letters_is_found(text: str) -> None:
    assert "base64" in (fault_of_text(text, max_bytes=32_768) or "")


def test_a_run_counts_from_256_characters_on() -> None:
    assert fault_of_text(PICTURE[: LONG_RUN - 1], max_bytes=1_000) is None
    assert fault_of_text(PICTURE[:LONG_RUN], max_bytes=1_000) is not None


@pytest.mark.parametrize("character", ["\x00", "\x01", "\x07", "\x08", "\x0b", "\x0c", "\x1b", "\x1f"])
def test_control_characters_are_refused(character: str) -> None:
    assert "control character" in (fault_of_text(f"a{character}boat", max_bytes=100) or "")


@pytest.mark.parametrize("text", ["\ud800", "a boat \udfff"])
def test_lone_surrogates_are_refused(text: str) -> None:
    assert fault_of_text(text, max_bytes=100) is not None


@pytest.mark.parametrize(("text", "fits"), [("a" * 32, True), ("a" * 33, False), ("ä" * 16, True), ("ä" * 17, False)])
def test_the_length_is_counted_in_bytes(text: str, fits: bool) -> None:
    assert (fault_of_text(text, max_bytes=32) is None) is fits


@given(text=st.text(), urls_allowed=st.booleans())
def test_any_text_gets_an_answer_that_says_nothing_of_it(text: str, urls_allowed: bool) -> None:
    fault = fault_of_text(text, max_bytes=64, urls_allowed=urls_allowed)

    assert fault is None or fault in {
        "has to be text of at most 64 bytes in UTF-8",
        "has a control character in it",
        "has a data URI in it: media cannot be sent inside a text",
        "has the address of a file or a bucket in it",
        "has a web address in it, which this field does not take",
        "has a long run of base64 in it: media cannot be sent inside a text",
    }


@given(
    where=st.lists(st.integers(1, 19), max_size=6),
    unseen=st.sampled_from("\u200b\u200d\u2060\ufeff\u00ad\u034f\ufe0f\u3164"),
)
def test_unseen_characters_hide_no_address(where: list[int], unseen: str) -> None:
    address = "https://example.com/"
    for place in sorted(where, reverse=True):
        address = address[:place] + unseen + address[place:]

    assert fault_of_text(address, max_bytes=1_000) is not None


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "part",
    [
        "a",
        "/",
        ":",
        "data:",
        "https",
        "a://",
        "x-",
        "\n",
        "a" * 31 + " ",
        "a.",
        "a/",
        "&#",
        "&#0",
        "a+",
        "\u0336",
        "=",
        ";",
    ],
)
@pytest.mark.parametrize("start", ["", "data:", "data ", "https", "https ", ";", "//", "www.", "a"])
def test_no_text_takes_the_search_for_ever(start: str, part: str) -> None:
    fault_of_text(start + part * (32_000 // len(part)), max_bytes=100_000)
    fault_of_text(start + " " * 16_000 + part * (16_000 // len(part)), max_bytes=100_000)
