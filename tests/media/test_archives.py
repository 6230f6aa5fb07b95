"""ZIP: members are cleaned by their own rules under neutral names; what no trainer needs, or could hurt, is refused."""

import stat
import struct
import time
import zipfile
import zlib
from io import BytesIO
from pathlib import Path

import pytest

from consent_proxy.adapters.media.stripping import strip_file
from tests.media.archives import CAPTION, entry, packed, training_set
from tests.media.demuxing import zip_members
from tests.media.jpegs import JPEGS
from tests.media.pngs import PNGS
from tests.media.refusing import refused, stripped
from tests.media.sounds import coding
from tests.media.tells import MARK, small_jpeg

PICTURE = small_jpeg(comment=MARK)


def test_names_are_numbers_and_what_belongs_together_shares_one(tmp_path: Path) -> None:
    after, _ = stripped(tmp_path, packed(training_set()))
    assert list(zip_members(after)) == [
        "0001.jpg",
        "0001.txt",
        "0001_mask.png",
        "0002.jpg",
        "0003.mp4",
        "0003.txt",
        "0004.wav",
        "0005.mp3",
    ]


def test_members_are_what_each_becomes_alone(tmp_path: Path) -> None:
    members = zip_members(stripped(tmp_path, packed(training_set()))[0])
    (tmp_path / "alone").write_bytes(JPEGS["baseline"]())
    strip_file(tmp_path / "alone", tmp_path / "alone")
    assert members["0001.jpg"] == members["0002.jpg"] == (tmp_path / "alone").read_bytes()
    assert members["0001.txt"] == members["0003.txt"] == CAPTION.encode()


def test_what_stands_around_the_members_says_nothing(tmp_path: Path) -> None:
    after, _ = stripped(tmp_path, packed(training_set(), comment=MARK))
    with zipfile.ZipFile(BytesIO(after)) as archive:
        assert archive.comment == b""
        assert archive.testzip() is None
        for member in archive.infolist():
            assert member.date_time == (1980, 1, 1, 0, 0, 0)
            assert (member.extra, member.comment, member.compress_type) == (b"", b"", zipfile.ZIP_STORED)
            assert (member.external_attr, member.create_system, member.flag_bits) == (0, 0, 0)


def test_the_same_members_make_the_same_archive_however_they_were_packed(tmp_path: Path) -> None:
    members = training_set()
    packings = [
        packed(members),
        packed(members, method=zipfile.ZIP_STORED, comment=MARK),
        packed(members, is_streamed=True),
    ]
    assert len({stripped(tmp_path, archive)[0] for archive in packings}) == 1


def test_the_bytes_say_what_a_member_is_and_not_its_name(tmp_path: Path) -> None:
    after, _ = stripped(tmp_path, packed({"photo.jpg": PNGS["rgb"](), "photo.txt": CAPTION}))
    assert list(zip_members(after)) == ["0001.png", "0001.txt"]


def test_both_pictures_of_an_edit_keep_what_tells_them_apart(tmp_path: Path) -> None:
    after, _ = stripped(tmp_path, packed({"mia_start.jpg": PICTURE, "mia_end.jpg": PICTURE, "mia.txt": CAPTION}))
    assert list(zip_members(after)) == ["0001_start.jpg", "0001_end.jpg", "0001.txt"]


def with_entry(info: zipfile.ZipInfo, content: bytes = PICTURE) -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("first.jpg", PICTURE)
        archive.writestr(info, content)
    return file.getvalue()


def twice(first: bytes, second: bytes) -> bytes:
    """Two members of names of equal length, the second renamed to the first's."""
    return packed({"aaaa.jpg": PICTURE, "bbbb.jpg": PICTURE}).replace(b"bbbb.jpg", second).replace(b"aaaa.jpg", first)


PLAIN = packed({"one.jpg": PICTURE, "two.jpg": PICTURE})
CENTRAL = PLAIN.index(b"PK\x01\x02")
END = PLAIN.index(b"PK\x05\x06")
ENCRYPTED = bytearray(PLAIN)
ENCRYPTED[6] |= 1
ENCRYPTED[CENTRAL + 8] |= 1


def patched(at: int, value: bytes) -> bytes:
    return PLAIN[:at] + value + PLAIN[at + len(value) :]


def gapped() -> bytes:
    """Bytes between the last member and the directory."""
    start = struct.pack("<I", CENTRAL + len(MARK))
    return PLAIN[:CENTRAL] + MARK + PLAIN[CENTRAL : END + 16] + start + PLAIN[END + 20 :]


def overlapping() -> bytes:
    """Both entries of the directory name the first member's bytes."""
    second = PLAIN.index(b"PK\x01\x02", CENTRAL + 4)
    return PLAIN[:second] + PLAIN[CENTRAL:second][:46] + b"two.jpg" + PLAIN[END:]


def bomb(*, said: int) -> bytes:
    """Zeros that unpack to four megabytes and say that they are ``said`` bytes."""
    silence = coding() + struct.pack("<4sI", b"data", 4_000_000) + bytes(4_000_000)
    content = struct.pack("<4sI4s", b"RIFF", len(silence) + 4, b"WAVE") + silence
    archive = packed({"silence.wav": content})
    return archive.replace(struct.pack("<I", len(content)), struct.pack("<I", said))


def wide() -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive, archive.open("one.jpg", "w", force_zip64=True) as member:
        member.write(PICTURE)
    return file.getvalue()


REFUSED = {
    "bytes-before": (b"PK\x03\x04" + MARK + PLAIN, "before"),
    "bytes-behind": (PLAIN + MARK, "behind"),
    "bytes-between": (gapped(), "between"),
    "overlapping": (overlapping(), "directory says"),
    "same-bytes-twice": (patched(PLAIN.index(b"PK\x01\x02", CENTRAL + 4) + 42, bytes(4)), "directory says"),
    "encrypted": (bytes(ENCRYPTED), "encrypted"),
    "nested": (packed({"one.jpg": PICTURE, "inner.zip": PLAIN}), "an archive itself"),
    "nested-in-disguise": (packed({"one.jpg": PLAIN}), "an archive itself"),
    "link": (with_entry(entry("link.jpg", mode=stat.S_IFLNK | 0o777), b"/etc/passwd"), "link"),
    "device": (with_entry(entry("null.jpg", mode=stat.S_IFCHR | 0o666)), "device"),
    "slip": (with_entry(entry("../../slip.jpg")), "leads out"),
    "slip-inside": (with_entry(entry("a/../../slip.jpg")), "leads out"),
    "absolute": (with_entry(entry("/etc/slip.jpg")), "leads out"),
    "drive": (with_entry(entry("C:/slip.jpg")), "leads out"),
    "backslash": (twice(b"aaaa.jpg", b"..\\b.jpg"), "leads out"),
    "duplicate": (twice(b"aaaa.jpg", b"aaaa.jpg"), "another one"),
    "duplicate-in-capitals": (twice(b"aaaa.jpg", b"AAAA.JPG"), "another one"),
    "same-name-twice": (packed({"a.jpg": PICTURE, "a.jpeg": PICTURE}), "name of another one"),
    "document": (packed({"one.jpg": PICTURE, "letter.pdf": b"%PDF-1.7" + MARK}), "PDF"),
    "script": (packed({"one.jpg": PICTURE, "run.sh": b"#!/bin/sh\n"}), "member 2"),
    "table-of-captions": (packed({"one.jpg": PICTURE, "metadata.csv": f"one.jpg,{MARK.decode()}"}), "member 2"),
    "caption-of-nothing": (packed({"one.jpg": PICTURE, "two.txt": CAPTION}), "without a picture"),
    "caption-with-an-address": (packed({"a.jpg": PICTURE, "a.txt": "see https://example.com/mia"}), "web address"),
    "caption-with-a-file": (packed({"a.jpg": PICTURE, "a.txt": "data:image/png;base64,AAAA"}), "data URI"),
    "caption-not-utf-8": (packed({"a.jpg": PICTURE, "a.txt": b"gr\xfc\xdfe"}), "UTF-8"),
    "caption-too-long": (packed({"a.jpg": PICTURE, "a.txt": "word " * 10_000}), "more than"),
    "picture-called-caption": (packed({"a.jpg": PICTURE, "a.txt": PICTURE}), "says that it is text"),
    "broken-member": (packed({"one.jpg": PICTURE[:-9]}), "member 1: "),
    "only-leftovers": (packed({".DS_Store": MARK, "__MACOSX/._a.jpg": MARK}), "nothing in it"),
    "empty": (b"PK\x05\x06" + bytes(18), "ZIP"),
    "no-members": (b"PK\x03\x04" + MARK + b"PK\x05\x06" + bytes(18), "behind"),
    "bomb": (bomb(said=4_000_044), "times its size"),
    "bomb-that-lies": (bomb(said=100_000), "not what the directory says"),
    "other-checksum": (patched(14, b"\x00\x00\x00\x00"), "directory says"),
    "wide": (wide(), "ZIP64|directory says"),
    "another-method": (
        patched(8, b"\x0c").replace(
            b"PK\x01\x02\x14\x03\x14\x00\x00\x00\x08", b"PK\x01\x02\x14\x03\x14\x00\x00\x00\x0c"
        ),
        "packed",
    ),
    "cut-off": (PLAIN[:-5], "no end"),
    "without-directory": (PLAIN[:CENTRAL], "no end"),
}


@pytest.mark.parametrize(("content", "why"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_wholly_understood_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    said = refused(tmp_path, content)
    assert any(reason in said for reason in why.split("|")), said


def test_ten_thousand_members_are_refused_at_once(tmp_path: Path) -> None:
    archive = packed({f"{number}.txt": "" for number in range(10_000)}, method=zipfile.ZIP_STORED)
    start = time.thread_time()
    assert "more than 2000" in refused(tmp_path, archive)
    assert time.thread_time() - start < 1


def test_an_archive_that_unpacks_to_too_much_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """Each member says that it is twenty times its packed size: nobody has to unpack them to see that it is much."""
    packed_size = 1_100_000
    head = struct.pack("<5H3I", 20, 0, 8, 0, 0x21, 0, packed_size, 20 * packed_size)
    body = central = b""
    for number in range(30):
        name = b"%04d.wav" % number
        central += b"PK\x01\x02\x14\x00" + head + struct.pack("<5H2I", len(name), 0, 0, 0, 0, 0, len(body)) + name
        body += b"PK\x03\x04" + head + struct.pack("<2H", len(name), 0) + name + bytes(packed_size)
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 30, 30, len(central), len(body), 0)
    start = time.thread_time()
    assert "unpack to more than" in refused(tmp_path, body + central + end)
    assert time.thread_time() - start < 1


def test_a_member_that_goes_on_behind_its_end_is_refused(tmp_path: Path) -> None:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    content = deflate.compress(PICTURE) + deflate.flush() + MARK
    head = struct.pack("<5H3I", 20, 0, 8, 0, 0x21, zlib.crc32(PICTURE), len(content), len(PICTURE))
    body = b"PK\x03\x04" + head + struct.pack("<2H", 5, 0) + b"a.jpg" + content
    central = b"PK\x01\x02\x14\x00" + head + struct.pack("<5H2I", 5, 0, 0, 0, 0, 0, 0) + b"a.jpg"
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 1, 1, len(central), len(body), 0)
    assert "cannot be unpacked" in refused(tmp_path, body + central + end)
