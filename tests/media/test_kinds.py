"""A file is what its bytes say, whatever its name says."""

import struct

import pytest

from consent_proxy.adapters.media.kinds import (
    AVIF,
    HEAD_BYTES,
    HEIC,
    M4A,
    MOV,
    MP3,
    MP4,
    WAV,
    WEBM,
    ZIP,
    MediaFormat,
    sniff,
    unsupported_name,
)
from tests.media.corpus import CASES, IDS, picture
from tests.media.jpegs import archive


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    body = major + bytes(4) + b"".join(compatible)
    return struct.pack(">I4s", 8 + len(body), b"ftyp") + body


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_every_picture_of_the_corpus_is_known(case: tuple[MediaFormat, str]) -> None:
    assert sniff(picture(*case)[:HEAD_BYTES]) == case[0]


@pytest.mark.parametrize(
    ("head", "known"),
    [
        (ftyp(b"isom", b"iso2", b"avc1", b"mp41"), MP4),
        (ftyp(b"qt  "), MOV),
        (b"\x00\x00\x00\x08wide\x00\x00\x00\x00mdat", MOV),
        (ftyp(b"M4A ", b"isom"), M4A),
        (ftyp(b"mif1", b"mif1", b"heic"), HEIC),
        (ftyp(b"mif1", b"avif", b"mif1"), AVIF),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", WEBM),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", WAV),
        (b"ID3\x04\x00\x00\x00\x00\x00\x00", MP3),
        (b"\xff\xfb\x90\x00", MP3),
        (archive(), ZIP),
    ],
)
def test_films_sounds_and_archives_are_known(head: bytes, known: MediaFormat) -> None:
    assert sniff(head) == known


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"%PDF-1.7\n", "PDF"),
        (b'<?xml version="1.0"?>\n<!-- a drawing --><svg xmlns="http://www.w3.org/2000/svg"><script/>', "SVG"),
        (b"  <svg>", "SVG"),
        (b"<!DOCTYPE html><script>", "HTML"),
        (b"<!doctype HTML><svg>", "HTML"),
        (b"<!---->" * 500 + b"<svg>", "SVG"),
        (b"II*\x00\x08\x00\x00\x00", "TIFF"),
        (b"MM\x00*\x00\x00\x00\x08", "TIFF"),
        (b"BM" + bytes(12) + b"\x28\x00\x00\x00", "BMP"),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\x1a\x45\xdf\xa3\x93\x42\x82\x88matroska", "Matroska"),
        (b"RIFF\x00\x00\x00\x00AVI LIST", "AVI"),
        (b"OggS\x00", "Ogg"),
        (b"fLaC", "FLAC"),
        (b"MZ\x90\x00", "executable"),
        (b"\x7fELF\x02", "executable"),
        (b"#!/bin/sh\n", "executable"),
        (b"\xff\xf1\x50\x80", "AAC"),
        (ftyp(b"crx ", b"isom"), "ISO media of an unknown brand"),
    ],
)
def test_what_is_not_taken_is_called_by_its_name(head: bytes, name: str) -> None:
    assert sniff(head) is None
    assert unsupported_name(head) == name


@pytest.mark.timeout(5)
@pytest.mark.parametrize("head", [b"<!---->" * 580, b"<?xml" * 800, b" " * 4096, b"<!" * 2000])
def test_a_head_that_could_be_much_is_looked_at_once(head: bytes) -> None:
    assert unsupported_name(head) is None


@pytest.mark.parametrize("head", [b"", b"\xff", b"\xff\xd8", b"GIF8", b"RIFF", b"\x00\x00\x00\x18ftyp", b"Hello"])
def test_too_little_to_tell_is_nothing_that_is_taken(head: bytes) -> None:
    assert sniff(head) is None
