"""`media inspect` and `media clean`: a person sees what a file would lose, and loses no file over it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from consent_proxy.adapters.media.kinds import HEIC, JPEG
from consent_proxy.cli.main import commands
from tests.media.corpus import picture
from tests.media.jpegs import encoded, scene
from tests.media.tells import MARK


def run(*words: object) -> Result:
    return CliRunner().invoke(commands, ["media", *map(str, words)])


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "holiday.dat"
    path.write_bytes(picture(JPEG, "motion-photo"))
    return path


def test_inspect_lists_groups_and_never_values(photo: Path) -> None:
    ended = run("inspect", photo)
    assert ended.exit_code == 0
    assert "JPEG (photo, image/jpeg)" in ended.output
    assert "would lose: location, camera, owner, dates, thumbnail, second-picture, motion-clip" in ended.output
    assert MARK.decode() not in ended.output
    assert photo.read_bytes() == picture(JPEG, "motion-photo")
    assert list(photo.parent.iterdir()) == [photo]


def test_inspect_prints_json(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(picture(HEIC, "rgb"))
    said = json.loads(run("inspect", tmp_path / "a", "--json").output)
    assert said["format"] == "HEIC"
    assert said["media_type"] == "image/heic"
    assert said["kind"] == "photo"
    assert said["removed"] == ["camera", "editing", "technical"]
    assert said["bytes_after"] < said["bytes_before"]


def test_a_clean_file_is_said_to_be_clean(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(scene()))
    assert "nothing to remove" in run("inspect", tmp_path / "a.jpg").output


def test_a_refused_file_ends_with_1_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(scene())[:-9])
    (tmp_path / "b.jpg").write_bytes(b"%PDF-1.7")
    ended = run("inspect", tmp_path / "a.jpg")
    assert ended.exit_code == 1
    assert "a.jpg is refused. media-not-clean: the JPEG ends" in ended.output
    ended = run("inspect", "--json", tmp_path / "b.jpg")
    assert ended.exit_code == 1
    assert json.loads(ended.output)["refused"] == "media-type-unsupported"
    ended = run("clean", tmp_path / "a.jpg", tmp_path / "c.jpg")
    assert ended.exit_code == 1
    assert not (tmp_path / "c.jpg").exists()


def test_clean_writes_the_file_without_what_it_names(photo: Path, tmp_path: Path) -> None:
    target = tmp_path / "clean.jpg"
    ended = run("clean", photo, target)
    assert ended.exit_code == 0
    assert "It lost: location" in ended.output
    assert MARK not in target.read_bytes()
    assert f"{target.stat().st_size:,} bytes" in ended.output


def test_clean_writes_over_a_file_only_when_told_to(photo: Path, tmp_path: Path) -> None:
    target = tmp_path / "kept.jpg"
    target.write_bytes(b"kept")
    ended = run("clean", photo, target)
    assert ended.exit_code == 2
    assert "--force" in ended.output
    assert target.read_bytes() == b"kept"
    assert json.loads(run("clean", photo, target, "--force", "--json").output)["kind"] == "photo"
    assert target.read_bytes() != b"kept"


def test_a_folder_that_is_not_there_is_told_in_one_line(photo: Path, tmp_path: Path) -> None:
    ended = run("clean", photo, tmp_path / "nowhere" / "a.jpg")
    assert ended.exit_code == 2
    assert "cannot be written" in ended.output
    assert "Traceback" not in ended.output
