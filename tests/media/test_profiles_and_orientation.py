"""What is rebuilt in every format: the colour profile without names and dates, EXIF with the orientation only."""

import struct

import pytest

from consent_proxy.adapters.media.exif import reduce_exif
from consent_proxy.adapters.media.icc import neutral_profile
from consent_proxy.adapters.media.tags import MediaRefused, TagGroup
from tests.media.looks import colours_through
from tests.media.tells import MARKS, colour_profile, directory, exif_block, short


def profile_with(tags: dict[bytes, bytes], *, space: bytes = b"RGB ", kind: bytes = b"mntr") -> bytes:
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for signature, content in tags.items():
        table += struct.pack(">4sII", signature, start + len(body), len(content))
        body += content
    header = bytes(8) + b"\x04\x30\x00\x00" + kind + space + b"XYZ " + bytes(12) + b"acsp" + bytes(88)
    return header + table + body


@pytest.mark.parametrize("version", [2, 4])
def test_a_profile_makes_the_same_colours_and_says_nothing_else(version: int) -> None:
    given = colour_profile(version=version)
    neutral = neutral_profile(given)
    assert neutral is not None
    assert colours_through(neutral) == colours_through(given)
    assert any(mark in given for mark in MARKS)
    assert not any(mark in neutral for mark in MARKS)
    assert neutral_profile(neutral) == neutral
    assert int.from_bytes(neutral[:4]) == len(neutral)


@pytest.mark.parametrize(
    "nothing", [b"", b"hello", bytes(200), colour_profile()[:100]], ids=["none", "word", "zeros", "cut"]
)
def test_what_is_no_profile_is_left_out(nothing: bytes) -> None:
    assert neutral_profile(nothing) is None


def table_of(kind: bytes, *, rest: int) -> bytes:
    """A look-up table of three channels to three, two cells wide, with ``rest`` bytes behind it."""
    head = kind + bytes(4) + bytes((3, 3, 2, 0)) + bytes(36)
    if kind == b"mft1":
        return head + bytes(256 * 6 + 3 * 2**3) + b"x" * rest
    return head + struct.pack(">HH", 2, 2) + bytes(2 * (3 * 2 + 3 * 2**3 + 3 * 2)) + b"x" * rest


@pytest.mark.parametrize("kind", [b"mft1", b"mft2"])
def test_a_table_in_a_profile_is_cut_to_its_size(kind: bytes) -> None:
    given = profile_with({b"A2B0": table_of(kind, rest=40)})
    neutral = neutral_profile(given)
    assert neutral is not None
    assert b"xxxx" not in neutral
    assert table_of(kind, rest=0) in neutral


@pytest.mark.parametrize(
    "given",
    [
        profile_with({b"rTRC": b"text" + bytes(4) + b"hello"}),
        profile_with({b"rTRC": b"curv" + bytes(4) + struct.pack(">I", 9999)}),
        profile_with({b"rTRC": b"para" + bytes(4) + struct.pack(">HH", 77, 0) + bytes(40)}),
        profile_with({b"A2B0": table_of(b"mft2", rest=0)[:-1]}),
        profile_with({b"A2B0": b"mft1" + bytes(4) + b"\xff\xff\xff\x00" + bytes(36)}),
        profile_with({}),
        profile_with({b"rXYZ": b"XYZ " + bytes(16)}, space=b"hey "),
        profile_with({b"rXYZ": b"XYZ " + bytes(16)}, kind=b"link"),
        profile_with({b"rXYZ": b"XYZ " + bytes(16)})[:-1],
        colour_profile() + bytes(9 << 20),
    ],
    ids=range(10),
)
def test_a_profile_with_unknown_parts_refuses_the_picture(given: bytes) -> None:
    with pytest.raises(MediaRefused, match="profile"):
        neutral_profile(given)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_exif_is_reduced_to_which_way_is_up(orientation: int) -> None:
    reduced = reduce_exif(exif_block(orientation=orientation))
    assert reduced.kept == b"MM\x00*\x00\x00\x00\x08" + directory([(0x0112, 3, short(orientation))], at=8)
    assert reduced.groups >= {TagGroup.LOCATION, TagGroup.MAKER_NOTE, TagGroup.OWNER, TagGroup.DATES, TagGroup.CAMERA}
    again = reduce_exif(reduced.kept)
    assert (again.kept, again.groups) == (reduced.kept, frozenset())


@pytest.mark.parametrize("orientation", [0, 1, 9, 65535])
def test_exif_of_an_upright_picture_goes_altogether(orientation: int) -> None:
    assert reduce_exif(exif_block(orientation=orientation)).kept is None


def test_exif_in_the_other_byte_order_is_read_too() -> None:
    little = b"II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00" + bytes(4)
    assert reduce_exif(little).kept == reduce_exif(exif_block(orientation=6)).kept
    assert reduce_exif(b"Exif\x00\x00" + little).kept == reduce_exif(little).kept


@pytest.mark.parametrize(
    "broken",
    [b"", b"MM", b"MM\x00*\xff\xff\xff\xff", b"MM\x00*\x00\x00\x00\x08", b"MM\x00*\x00\x00\x00\x08\xff\xff", bytes(99)],
)
def test_exif_that_cannot_be_read_goes_altogether(broken: bytes) -> None:
    reduced = reduce_exif(broken)
    assert reduced.kept is None
    assert reduced.groups


def test_directories_that_lead_in_a_circle_are_read_once() -> None:
    circle = b"MM\x00*\x00\x00\x00\x08" + directory([(0x0112, 3, short(6))], at=8, following=8)
    assert reduce_exif(circle).groups == {TagGroup.TECHNICAL}
