"""What is not wholly understood is refused, with the reason, and nothing of it is written."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from consent_proxy.adapters.media.boxes import box
from consent_proxy.adapters.media.kinds import AVIF, GIF, HEIC, JPEG, PNG, WEBP, MediaFormat
from consent_proxy.adapters.media.stripping import strip_file
from tests.media import gifs, heifs, pngs, tells, webps
from tests.media.corpus import picture
from tests.media.heifs import AV1, HEVC, Part, coded, written
from tests.media.jpegs import encoded, scene, segment
from tests.media.refusing import refused

WHOLE = [
    (JPEG, "progressive"),
    (PNG, "animated"),
    (WEBP, "moving"),
    (GIF, "moving"),
    (HEIC, "telephone"),
    (AVIF, "telephone-transparent"),
]


@pytest.mark.parametrize(("known", "name"), WHOLE, ids=[known.name for known, _ in WHOLE])
def test_a_picture_that_ends_early_is_refused_wherever_it_ends(tmp_path: Path, known: MediaFormat, name: str) -> None:
    whole = picture(known, name)
    end = whole.rindex(b"mpvd") - 4 if known in {HEIC, AVIF} else len(whole)
    for cut in {*range(40, end - 1, end // 40), end - 1, end - 2}:
        assert refused(tmp_path, whole[:cut])


JPEG_START = encoded(scene())[:20]
JPEG_REST = encoded(scene())[20:]


def of_jpeg(change: Callable[[bytes], bytes]) -> Callable[[], bytes]:
    return lambda: change(encoded(scene()))


def without_second_part(plain: bytes) -> bytes:
    profile = b"ICC_PROFILE\x00\x01\x02" + bytes(200)
    return plain[:20] + segment(0xE2, profile) + plain[20:]


JPEG_FAULTS: dict[str, tuple[Callable[[], bytes], str]] = {
    "text between segments": (of_jpeg(lambda plain: plain[:20] + b"hello" + plain[20:]), "between"),
    "hierarchical": (of_jpeg(lambda plain: plain.replace(b"\xff\xc0", b"\xff\xc5", 1)), "not known"),
    "a marker for nobody": (of_jpeg(lambda plain: plain[:20] + segment(0xF7, b"hello") + plain[20:]), "not known"),
    "two frames": (of_jpeg(lambda plain: plain[:20] + plain[20:].replace(b"\xff\xda", frame() + b"\xff\xda")), "frame"),
    "a table with a rest": (of_jpeg(lambda plain: plain[:20] + segment(0xDB, bytes(66)) + plain[20:]), "longer"),
    "codes with a rest": (of_jpeg(lambda plain: plain[:20] + segment(0xC4, bytes(20)) + plain[20:]), "longer"),
    "a table of a fifth kind": (
        of_jpeg(lambda plain: plain[:20] + segment(0xDB, b"\x04" + bytes(64)) + plain[20:]),
        "longer",
    ),
    "text in tables": (
        of_jpeg(lambda plain: plain[:20] + segment(0xDB, (b"\x00" + tells.MARK * 4)[:65] * 900) * 2 + plain[20:]),
        "more tables",
    ),
    "half a profile": (of_jpeg(without_second_part), "missing"),
    "no picture": (lambda: JPEG_START + b"\xff\xd9", "no picture"),
    "a scan before its frame": (
        lambda: JPEG_START + segment(0xDA, b"\x01\x01\x00\x00\x3f\x00") + b"1\xff\xd9",
        "before",
    ),
    "too many segments": (lambda: JPEG_START + segment(0xDD, b"\x00\x00") * 20_000 + JPEG_REST, "more segments"),
}


def frame() -> bytes:
    return segment(0xC0, b"\x08\x00\x10\x00\x10\x01\x01\x11\x00")


def png_with(kind: bytes, body: bytes, *, at: int = 33) -> bytes:
    plain = pngs.encoded(scene())
    return plain[:at] + pngs.chunk(kind, body) + plain[at:]


def frames_swapped() -> bytes:
    plain = pngs.animated()
    at = plain.index(b"fdAT") + 4
    body = plain[at : at + int.from_bytes(plain[at - 8 : at - 4])]
    return plain.replace(pngs.chunk(b"fdAT", body), pngs.chunk(b"fdAT", b"\x00\x00\x00\x63" + body[4:]))


def profile_bomb() -> bytes:
    return b"bomb\x00\x00" + zlib.compress(bytes(64 << 20), 9)


PNG_FAULTS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a wrong checksum": (
        lambda: pngs.encoded(scene()).replace(b"IEND\xae\x42\x60\x82", b"IEND\xae\x42\x60\x83"),
        "checksum",
    ),
    "a critical stranger": (lambda: png_with(b"SECR", b"hello"), "critical"),
    "a phone's own dialect": (lambda: png_with(b"CgBI", b"\x50\x00\x20\x02"), "critical"),
    "two headers": (lambda: png_with(b"IHDR", pngs.encoded(scene())[16:29]), "two"),
    "a long gamma": (lambda: png_with(b"gAMA", bytes(40)), "longer"),
    "a long transparency": (lambda: png_with(b"tRNS", bytes(200)), "longer"),
    "transparency of a picture that has its own": (
        lambda: pngs.dressed(pngs.encoded(scene("RGBA"))).replace(
            pngs.chunk(b"pHYs", struct.pack(">IIB", 2834, 2834, 1)), pngs.chunk(b"tRNS", bytes(200))
        ),
        "longer",
    ),
    "a palette behind its pixels": (
        lambda: png_with(b"PLTE", bytes(300), at=len(pngs.encoded(scene())) - 12),
        "behind",
    ),
    "an end with a text": (lambda: pngs.encoded(scene())[:-12] + pngs.chunk(b"IEND", b"hello"), "longer"),
    "frames out of order": (frames_swapped, "order"),
    "fewer frames than said": (lambda: png_with(b"acTL", struct.pack(">II", 2, 0)), "frames"),
    "a profile that is a bomb": (lambda: png_with(b"iCCP", profile_bomb()), "too large"),
}


def webp_with(*chunks: bytes, flags: int = 0) -> bytes:
    still = webps.encoded(scene())[12:]
    header = webps.chunk(b"VP8X", bytes((flags, 0, 0, 0)) + b"\x9f\x00\x00\x77\x00\x00")
    return webps.riff(header + still + b"".join(chunks))


WEBP_FAULTS: dict[str, tuple[Callable[[], bytes], str]] = {
    "two pictures": (lambda: webp_with(webps.encoded(scene())[12:]), "more than one"),
    "said to be animated": (lambda: webp_with(flags=0x02), "animated"),
    "no picture": (lambda: webps.riff(webps.chunk(b"EXIF", b"hello")), "no picture"),
    "something else as a picture": (lambda: webps.riff(webps.chunk(b"VP8 ", bytes(40))), "begin"),
    "a chunk beyond the end": (lambda: webps.riff(b"VP8 \xff\xff\x00\x00" + bytes(40)), "ends"),
}

GIF_FAULTS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a block for nobody": (lambda: gifs.encoded(scene("L"))[:-1] + b"\x99;", "not known"),
    "two ways of going round": (
        lambda: gifs.moving().replace(b"\x21\xf9", b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x09\x09\x00\x21\xf9", 1),
        "two ways",
    ),
    "a long timing": (lambda: gifs.moving().replace(b"\x21\xf9\x04", b"\x21\xf9\x05", 1), "timing"),
    "no picture": (lambda: b"GIF89a\x01\x00\x01\x00\x00\x00\x00;", "no picture"),
}


def one(codec: heifs.Codec = HEVC, **changes: object) -> Part:
    data, said = coded(codec)
    part = Part(id=1, kind=codec.item, data=data, properties=list(said))
    for name, value in changes.items():
        setattr(part, name, value)
    return part


def with_property(kind: bytes, body: bytes, *, must: bool) -> Callable[[], bytes]:
    return lambda: written(HEVC, [one(properties=[*coded(HEVC)[1], (kind, body, must)])])


def sharing() -> bytes:
    """The thumbnail's bytes are said to be the picture's too."""
    whole = written(HEVC, [one(), one(id=2, references={b"thmb": [1]})])
    at = whole.index(b"iloc") + 4 + 4 + 2 + 4
    first, second = whole[at : at + 30], whole[at + 30 : at + 60]
    return whole.replace(second, second[:8] + first[8:])


def outside() -> bytes:
    """The picture's bytes are said to stand before the file's table of contents."""
    whole = written(HEVC, [one()])
    at = whole.index(b"iloc") + 4 + 4 + 2 + 4 + 8
    return whole[:at] + bytes(4) + whole[at + 4 :]


HEIF_FAULTS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a film beside it": (lambda: written(HEVC, [one()], more=box(b"moov", bytes(8))), "sequence"),
    "a sequence": (lambda: written(HEVC, [one()]).replace(b"heic", b"hevc", 1), "sequence"),
    "no table of contents": (lambda: written(HEVC, [one()]).replace(b"meta", b"free", 1), "table of contents"),
    "a picture of another coding": (lambda: written(HEVC, [one(kind=b"jpeg")]), "coding"),
    "AVIF in HEIC": (lambda: written(HEVC, [one(AV1)]), "coding"),
    "HEIC in AVIF": (lambda: written(AV1, [one(HEVC)]), "coding"),
    "a picture that others refine": (
        lambda: written(HEVC, [one(references={b"base": [2]}), one(id=2)]),
        "needs another",
    ),
    "an essential stranger": (with_property(b"xyz0", b"hello", must=True), "essential"),
    "a long size": (with_property(b"ispe", bytes(40), must=False), "longer"),
    "unknown colours": (with_property(b"colr", b"hello", must=False), "colours"),
    "shared bytes": (sharing, "shares"),
    "bytes from elsewhere": (outside, "stand where"),
    "text instead of a picture": (lambda: written(HEVC, [one(data=b"hello" * 20)]), "not built"),
    "text instead of AV1": (lambda: written(AV1, [one(AV1, data=b"hello" * 20)]), "not built"),
    "a grid of too few": (
        lambda: written(
            HEVC, [one(kind=b"grid", data=bytes((0, 0, 1, 1)) + bytes(4), references={b"dimg": [2]}), one(id=2)]
        ),
        "made of others",
    ),
    "no primary picture": (lambda: written(HEVC, [one()], primary=9), "primary"),
    "a reference to nobody": (lambda: written(HEVC, [one(references={b"dimg": [77]})]), "references"),
}

FAULTS = [
    pytest.param(make, said, id=f"{known} {name}")
    for known, faults in (
        ("JPEG", JPEG_FAULTS),
        ("PNG", PNG_FAULTS),
        ("WebP", WEBP_FAULTS),
        ("GIF", GIF_FAULTS),
        ("HEIF", HEIF_FAULTS),
    )
    for name, (make, said) in faults.items()
]


@pytest.mark.parametrize(("make", "said"), FAULTS)
def test_what_is_not_understood_is_refused_and_says_why(tmp_path: Path, make: Callable[[], bytes], said: str) -> None:
    assert said in refused(tmp_path, make())


@pytest.mark.parametrize("codec", [HEVC, AV1], ids=lambda codec: codec.name)
def test_what_the_faults_above_were_made_from_is_not_refused(tmp_path: Path, codec: heifs.Codec) -> None:
    for content in (written(codec, [one(codec)]), webp_with(), png_with(b"gAMA", bytes(4)), gifs.moving()):
        (tmp_path / "in").write_bytes(content)
        strip_file(tmp_path / "in", tmp_path / "out")


def test_how_large_a_picture_says_it_is_does_not_matter(tmp_path: Path) -> None:
    plain = encoded(scene())
    at = plain.index(b"\xff\xc0") + 5
    (tmp_path / "in").write_bytes(plain[:at] + b"\xff\xff\xff\xff" + plain[at + 4 :])
    strip_file(tmp_path / "in", tmp_path / "out")
    head = struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 16, 6, 0, 0, 0)
    (tmp_path / "in").write_bytes(pngs.encoded(scene())[:8] + pngs.chunk(b"IHDR", head) + pngs.encoded(scene())[33:])
    strip_file(tmp_path / "in", tmp_path / "out")


@pytest.mark.parametrize("marker", [0xC1, 0xC3, 0xC9, 0xCA], ids=lambda marker: f"{marker:02X}")
def test_a_jpeg_of_a_rare_coding_is_kept_as_it_is(tmp_path: Path, marker: int) -> None:
    """Nothing is decoded, so that extended, lossless and arithmetic pictures are as well understood as others."""
    conditioning = segment(0xCC, b"\x00\x10\x10\x05")
    lines = segment(0xDC, struct.pack(">H", 120))
    plain = encoded(scene()).replace(b"\xff\xc0", conditioning + bytes((0xFF, marker)), 1)
    (tmp_path / "in").write_bytes(plain[:-2] + lines + plain[-2:])
    assert strip_file(tmp_path / "in", tmp_path / "out").removed == ()
    assert (tmp_path / "out").read_bytes() == (tmp_path / "in").read_bytes()
