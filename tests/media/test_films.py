"""MP4, QuickTime and M4A: what shows the film stays, what is not understood is refused."""

import struct
from pathlib import Path

import pytest

from consent_proxy.adapters.media import bmff
from consent_proxy.adapters.media.movie import read_movie
from consent_proxy.adapters.media.spans import opened
from consent_proxy.adapters.media.tags import MediaRefused
from tests.media.demuxing import box_kinds, film_samples, inside
from tests.media.films import (
    AVCC,
    MASTERING,
    NCLX,
    QUICKTIME,
    SIDES,
    SIDEWAYS,
    Layout,
    Reel,
    aac_entry,
    box,
    esds,
    film,
    flac_entry,
    fragmented,
    full,
    hevc_entry,
    numbers,
    quicktime_aac_entry,
    side,
    sound,
    sound_entry,
    video,
    video_entry,
)
from tests.media.refusing import refused, stripped
from tests.media.tells import MARK

TABLES = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def test_the_film_still_lies_on_its_side_and_begins_where_it_began(tmp_path: Path) -> None:
    content = film(video(matrix=SIDEWAYS), sound())
    after, _ = stripped(tmp_path, content)
    assert inside(after, b"moov", b"trak", b"tkhd")[0][40:76] == SIDEWAYS
    assert inside(after, b"moov", b"trak", b"edts", b"elst") == inside(content, b"moov", b"trak", b"edts", b"elst")
    assert inside(after, *TABLES, b"stts") == inside(content, *TABLES, b"stts")


def test_colours_and_decoders_settings_stay(tmp_path: Path) -> None:
    after, _ = stripped(tmp_path, film(video(), sound(quicktime_aac_entry()), layout=QUICKTIME))
    assert AVCC in after
    assert NCLX in after
    assert b"\x05\x02\x12\x10" in after  # AAC LC, two channels at 44.1 kHz
    assert inside(after, *TABLES, b"stsd")[1][8:].count(b"chan") == 1


def test_of_hevc_messages_those_about_colour_stay(tmp_path: Path) -> None:
    after, _ = stripped(tmp_path, film(video(hevc_entry())))
    assert MASTERING in after
    assert MARK not in after


def test_dates_names_and_languages_become_nothing(tmp_path: Path) -> None:
    after, _ = stripped(tmp_path, film(video(), sound()))
    assert inside(after, b"moov", b"mvhd")[0][4:12] == bytes(8)
    for trak in inside(after, b"moov", b"trak"):
        assert inside(trak, b"tkhd")[0][4:12] == bytes(8)
        assert inside(trak, b"mdia", b"mdhd")[0][4:12] == bytes(8)
        assert inside(trak, b"mdia", b"mdhd")[0][20:] == b"\x55\xc4\x00\x00"
        assert not any(inside(trak, b"mdia", b"hdlr")[0][12:])


def test_nothing_is_left_of_the_file_but_brand_film_and_samples(tmp_path: Path) -> None:
    after, _ = stripped(tmp_path, film(video(), sound(), *SIDES))
    assert box_kinds(after) == [b"ftyp", b"moov", b"mdat"]
    assert box_kinds(inside(after, b"moov")[0]) == [b"mvhd", b"trak", b"trak"]
    assert len(inside(after, b"mdat")[0]) == sum(len(sample) for track in film_samples(after) for sample in track)


def test_fragments_stay_fragments(tmp_path: Path) -> None:
    after, _ = stripped(tmp_path, fragmented(video(), sound(), side(b"meta", b"gpmd")))
    assert box_kinds(after) == [b"ftyp", b"moov", *[b"moof", b"mdat"] * 4]
    assert len(inside(after, b"moov", b"mvex", b"trex")) == 2


def test_a_film_whose_first_fragment_is_its_own_keeps_all_of_them(tmp_path: Path) -> None:
    """Some coders write the first samples into the film's tables, and fragments from then on."""
    first = film(video(), sound(), layout=Layout(is_moov_first=True))
    later = fragmented(video(), sound())
    mvex = box(b"mvex", *inside(later, b"moov", b"mvex")[:1])
    at = first.index(b"moov") - 4
    end = at + int.from_bytes(first[at : at + 4], "big")
    content = first[:at] + box(b"moov", moved_chunks(first[at + 8 : end], len(mvex)), mvex) + first[end:]
    content += later[later.index(b"styp") - 4 :]
    after, _ = stripped(tmp_path, content)
    assert (
        film_samples(after)
        == film_samples(content)
        == [[*one, *two] for one, two in zip(film_samples(first), film_samples(later), strict=True)]
    )
    assert MARK not in after


def moved_chunks(moov: bytes, by: int) -> bytes:
    """A film's tables, its samples standing so many bytes further on."""
    for at in (found for found in range(len(moov)) if moov.startswith(b"stco", found)):
        count = int.from_bytes(moov[at + 8 : at + 12], "big")
        places = struct.unpack_from(f">{count}I", moov, at + 12)
        moov = moov[: at + 12] + numbers(*(place + by for place in places)) + moov[at + 12 + 4 * count :]
    return moov


def test_a_track_that_is_switched_off_and_not_known_goes(tmp_path: Path) -> None:
    thumbnails = Reel(handler=b"vide", entry=video_entry(b"jpeg"), samples=(MARK, MARK), flags=2)
    after, result = stripped(tmp_path, film(video(), sound(), thumbnails))
    assert len(film_samples(after)) == 2
    assert "side-track" in result.removed


ROLL = full(b"sgpd", b"roll", numbers(2, 1), b"\xff\xff", version=1) + full(b"sbgp", b"roll", numbers(1, 6, 1))
SECRET_GROUPS = full(b"sgpd", b"Mia-", numbers(len(MARK), 1), MARK, version=1) + full(
    b"sbgp", b"Mia-", numbers(1, 6, 1)
)


def test_of_groups_of_samples_those_that_decoders_roll_in_with_stay(tmp_path: Path) -> None:
    after, _ = stripped(tmp_path, film(video(), sound(tables=ROLL + SECRET_GROUPS)))
    assert inside(after, *TABLES, b"sbgp") == inside(ROLL, b"sbgp")
    assert MARK not in after


PLAIN = film(video(), sound(), layout=Layout(is_moov_first=True))
OTHER_FILE = full(b"url ", b"file:///" + MARK + b"\x00")
ENCRYPTED = video_entry(b"encv", box(b"sinf", MARK), box(b"avcC", AVCC))
RAW = film(video(), sound(sound_entry(b"sowt")), layout=QUICKTIME)

REFUSED = {
    "second-moov": (PLAIN + box(b"moov", inside(PLAIN, b"moov")[0]), "twice"),
    "no-moov": (box(b"ftyp", b"isom", bytes(4)) + box(b"mdat", MARK), "not at all"),
    "bytes-behind": (PLAIN + MARK, "longer than the file"),
    "a-picture-behind": (PLAIN + b"\xff\xd8\xff\xe0" + MARK, "longer than the file"),
    "short-behind": (PLAIN + b"PK\x03", "ends in the middle"),
    "unknown-at-the-top": (PLAIN + box(b"Mia-", MARK), "behind its end"),
    "unknown-in-a-track": (film(video(more=box(b"Mia-", MARK))), "not known here"),
    "unknown-in-a-table": (film(video(tables=box(b"Mia-", MARK))), "not known here"),
    "unknown-setting": (film(video(video_entry(b"avc1", box(b"avcC", AVCC), box(b"Mia-", MARK)))), "setting"),
    "unknown-coding": (film(video(video_entry(b"jpeg"))), "coding that is not known"),
    "no-settings": (film(video(video_entry(b"avc1"))), "lacks what its decoder needs"),
    "encrypted": (film(video(ENCRYPTED)), "encrypted"),
    "encrypted-samples": (film(video(tables=full(b"saiz", MARK))), "encrypted"),
    "samples-elsewhere": (film(video(place=OTHER_FILE)), "another file"),
    "fragments-unsaid": (fragmented(video()).replace(b"mvex", b"free"), "does not say so"),
    "sound-only": (film(sound()), "holds none"),
    "video-in-sound": (film(sound(), video(), layout=Layout(brand=b"M4A ")), "holds video"),
    "text-only": (film(side(b"text", b"text")), "no track"),
    "comment-in-aac": (film(video(), sound(sound_entry(b"mp4a", esds(comment=MARK)))), "AAC"),
    "channels-of-its-own": (film(video(), sound(aac_entry().replace(b"\x12\x10", b"\x12\x00"))), "AAC"),
    "raw-sound-of-other-lengths": (RAW, "not as long"),
    "flac-without-stream": (
        film(video(), sound(flac_entry().replace(b"\x00\x00\x00\x22", b"\x04\x00\x00\x22"))),
        "FLAC",
    ),
    "same-number-twice": (PLAIN.replace(b"\xb4\xc7\x00\x00\x00\x02", b"\xb4\xc7\x00\x00\x00\x01"), "same number"),
    "compressed-moov": (box(b"ftyp", b"isom", bytes(4)) + box(b"moov", box(b"cmov", MARK)), "compressed"),
}


@pytest.mark.parametrize(("content", "why"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_wholly_understood_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    assert why in refused(tmp_path, content)


def patched(kind: bytes, at: int, *values: int, form: str = "I") -> bytes:
    """The plain film with numbers of its first table of a kind replaced, ``at`` bytes behind the table's letters."""
    where = PLAIN.index(kind) + 4 + at
    changed = struct.pack(f">{len(values)}{form}", *values)
    return PLAIN[:where] + changed + PLAIN[where + len(changed) :]


FIRST_PLACE = struct.unpack_from(">I", PLAIN, PLAIN.index(b"stco") + 12)[0]

TRICKS = {
    "into-the-film": patched(b"stco", 8, 60),
    "into-the-samples-head": patched(b"stco", 8, PLAIN.index(b"mdat") + 2),
    "beyond-the-end": patched(b"stco", 8, len(PLAIN)),
    "before-the-end": patched(b"stco", 8, len(PLAIN) - 10),
    "over-another-chunk": patched(b"stco", 8, FIRST_PLACE, FIRST_PLACE + 5),
    "over-another-track": patched(
        b"stco", 8, FIRST_PLACE, struct.unpack_from(">I", PLAIN, PLAIN.rindex(b"stco") + 12)[0]
    ),
    "huge-sample": patched(b"stsz", 12, 0xFFFFFFFF),
    "more-samples-than-sizes": patched(b"stsz", 8, 7),
    "a-million-sizes": patched(b"stsz", 8, 1_000_000),
    "more-places-than-there-are": patched(b"stco", 4, 0xFFFFFFFF),
    "chunks-out-of-order": patched(b"stsc", 8, 2),
    "empty-chunks": patched(b"stsc", 12, 0),
    "no-such-entry": patched(b"stsc", 16, 2),
    "time-for-more": patched(b"stts", 8, 7),
    "time-for-none": patched(b"stts", 4, 0xFFFFFFFF),
    "edits-for-more": patched(b"elst", 4, 2),
    "box-of-no-length": patched(b"trak", -8, 0),
    "box-of-one-byte": patched(b"trak", -8, 3),
    "box-of-all": patched(b"mdia", -8, 0xFFFFFFFF),
}


@pytest.mark.parametrize("content", TRICKS.values(), ids=TRICKS)
def test_tables_that_point_elsewhere_or_disagree_are_refused(tmp_path: Path, content: bytes) -> None:
    refused(tmp_path, content)


def test_samples_of_a_track_that_goes_cannot_be_kept_by_another(tmp_path: Path) -> None:
    content = film(video(), side(b"meta", b"gpmd"), layout=Layout(is_moov_first=True))
    places = [found for found in range(len(content)) if content.startswith(b"stco", found)]
    secret = content[places[1] + 12 : places[1] + 16]
    assert "share their bytes" in refused(tmp_path, content[: places[0] + 12] + secret + content[places[0] + 16 :])


@pytest.mark.parametrize("content", [PLAIN, fragmented(video(), sound())], ids=["whole", "fragments"])
def test_a_film_that_is_cut_off_anywhere_is_refused_or_whole_fragments(tmp_path: Path, content: bytes) -> None:
    whole = film_samples(content)
    for length in range(24, len(content), 61):
        try:
            after, _ = stripped(tmp_path, content[:length])
        except MediaRefused:
            continue
        assert all(mine == all_[: len(mine)] for mine, all_ in zip(film_samples(after), whole, strict=True))
        assert MARK not in after


def test_boxes_in_boxes_in_boxes_are_refused_at_once(tmp_path: Path) -> None:
    depth = 50_000
    content = b"".join(struct.pack(">I4s", 8 * (depth - at), b"moov") for at in range(depth))
    assert refused(tmp_path, box(b"ftyp", b"isom", bytes(4)) + content)


def test_a_film_larger_than_four_gigabytes_gets_wide_places(tmp_path: Path) -> None:
    """The file is mostly a hole, so that neither the disk nor the test notices; only its plan is looked at."""
    size = 5 << 30
    reel = Reel(handler=b"vide", entry=video().entry, samples=(bytes(1),) * 2)
    content = film(reel, layout=Layout(is_moov_first=True, is_wide=True, loose=b""))
    at = content.index(b"stsz") + 16
    content = content[:at] + numbers(0xFFFFFF00, 0x40000000) + content[at + 8 :]
    at = content.index(b"mdat") - 4
    content = content[:at] + struct.pack(">I4sQ", 1, b"mdat", size) + content[at + 8 :]
    at = content.index(b"co64") + 12
    content = content[:at] + struct.pack(">Q", content.index(b"mdat") + 12) + content[at + 8 :]
    with (tmp_path / "in").open("wb") as file:
        file.write(content)
        file.truncate(content.index(b"mdat") - 4 + size)
    with opened(tmp_path / "in") as source:
        layout = bmff._read_layout(source)
        movie = read_movie(source.read(layout.moov.body.start, layout.moov.body.length))
        parts, _ = bmff._whole_film(layout, movie, source.size)
    assert isinstance(parts[1], bytes)
    assert inside(parts[1], *TABLES, b"co64")
    assert parts[2] == struct.pack(">I4sQ", 1, b"mdat", 0xFFFFFF00 + 0x40000000 + 16)
