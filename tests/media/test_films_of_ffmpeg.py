"""Files of real coders, stripped: ffmpeg plays the same frames from them, and exiftool finds nothing but structure."""

from pathlib import Path

import pytest

from consent_proxy.adapters.media.stripping import strip_file
from tests.media.exiftool import needs_exiftool, read_tags, strangers
from tests.media.ffmpeg import FILMED, frames, make_film, needs_ffmpeg
from tests.media.films import SIDEWAYS, UPRIGHT
from tests.media.moving_corpus import CASES, file_of
from tests.media.tells import MARKS


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of every film before, and beside it one of every film after."""
    before, after = tmp_path_factory.mktemp("before"), tmp_path_factory.mktemp("after")
    for name in FILMED:
        strip_file(make_film(before, name), after / name)
    (before / "place.srt").unlink()
    return before


def cleaned(films: Path, name: str) -> Path:
    return next(films.parent.glob("after*")) / name


@needs_ffmpeg
@pytest.mark.parametrize("name", FILMED)
def test_the_same_frames_are_played_and_nothing_marks_the_person(films: Path, name: str) -> None:
    before, after = films / name, cleaned(films, name)
    assert frames(after) == frames(before)
    assert any(mark in before.read_bytes() for mark in MARKS)
    assert not any(mark in after.read_bytes() for mark in MARKS)


@needs_ffmpeg
@needs_exiftool
def test_exiftool_finds_nothing_but_structure(films: Path, tmp_path: Path) -> None:
    for known, name in CASES:
        (tmp_path / "in").write_bytes(file_of(known, name))
        strip_file(tmp_path / "in", tmp_path / f"{known.name}-{name}.{known.extension}")
    (tmp_path / "in").unlink()
    found = read_tags(tmp_path) | read_tags(cleaned(films, ""))
    assert len(found) == len(CASES) + len(FILMED)
    assert {name: strange for name, tags in found.items() if (strange := strangers(tags))} == {}


@needs_ffmpeg
@needs_exiftool
def test_exiftool_finds_more_than_structure_before(films: Path) -> None:
    found = read_tags(films)
    assert len(found) == len(FILMED)
    assert {name for name, tags in found.items() if not strangers(tags)} == set()


@needs_ffmpeg
def test_a_film_that_lies_on_its_side_is_still_turned_when_it_is_played(films: Path, tmp_path: Path) -> None:
    lying, after = tmp_path / "lying.mov", tmp_path / "after.mov"
    content = (films / "timecode.mov").read_bytes()
    tracks = content.index(UPRIGHT) + len(UPRIGHT)  # behind the film's own
    lying.write_bytes(content[:tracks] + content[tracks:].replace(UPRIGHT, SIDEWAYS))
    strip_file(lying, after)
    assert frames(after) == frames(lying)
    assert "120x160" in frames(after).played
    assert "120x160" not in frames(films / "timecode.mov").played
