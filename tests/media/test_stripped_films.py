"""Every film, sound and archive of the corpus, stripped: the person is gone, and the samples are the same."""

from collections.abc import Callable
from pathlib import Path

import pytest

from consent_proxy.adapters.media.kinds import M4A, MOV, MP3, MP4, WAV, WEBM, ZIP, MediaFormat, sniff
from consent_proxy.adapters.media.stripping import Stripped, strip_file
from consent_proxy.adapters.media.tags import TagGroup
from tests.media.moving_corpus import CASES, IDS, SAMPLES, file_of
from tests.media.tells import MARKS

Strip = Callable[[MediaFormat, str], tuple[bytes, bytes, Stripped]]
Case = tuple[MediaFormat, str]

a_file = pytest.mark.parametrize("case", CASES, ids=IDS)


@pytest.fixture(scope="module")
def strip(tmp_path_factory: pytest.TempPathFactory) -> Strip:
    """The file before and after, each stripped once."""
    done: dict[Case, tuple[bytes, bytes, Stripped]] = {}
    folder = tmp_path_factory.mktemp("stripped")

    def stripped(known: MediaFormat, name: str) -> tuple[bytes, bytes, Stripped]:
        if (known, name) not in done:
            (folder / "before").write_bytes(file_of(known, name))
            result = strip_file(folder / "before", folder / "after")
            done[known, name] = (file_of(known, name), (folder / "after").read_bytes(), result)
        return done[known, name]

    return stripped


@a_file
def test_what_marks_the_person_was_there_and_is_gone(strip: Strip, case: Case) -> None:
    before, after, stripped = strip(*case)
    assert any(mark in before for mark in MARKS)
    assert not any(mark in after for mark in MARKS)
    assert stripped.removed
    assert (stripped.bytes_before, stripped.bytes_after) == (len(before), len(after))
    assert stripped.format == sniff(after[:4096]) == case[0]


@pytest.mark.parametrize(
    "case", [case for case in CASES if case[0] != ZIP], ids=[name for name in IDS if "ZIP" not in name]
)
def test_its_samples_are_the_same(strip: Strip, case: Case) -> None:
    before, after, _ = strip(*case)
    samples = SAMPLES[case[0]]
    assert samples(after) == samples(before)
    assert all(samples(after))


@a_file
def test_stripping_it_again_changes_nothing(strip: Strip, case: Case, tmp_path: Path) -> None:
    _, after, _ = strip(*case)
    (tmp_path / "clean").write_bytes(after)
    again = strip_file(tmp_path / "clean", tmp_path / "again")
    assert again.removed == ()
    assert (tmp_path / "again").read_bytes() == after


GROUPS = [
    (MP4, "telephone", "location camera owner dates title cover editing provenance technical side-track unknown"),
    (MP4, "fragments", "location dates side-track technical unknown"),
    (MOV, "telephone", "location camera dates side-track"),
    (M4A, "aac", "dates cover title side-track"),
    (WEBM, "closed", "dates title comment cover side-track editing technical file-names unknown"),
    (WAV, "pcm", "title owner dates comment editing cover technical unknown"),
    (MP3, "all-tags", "title owner dates comment editing cover"),
    (ZIP, "training-set", "location camera dates side-track title file-names technical unknown"),
]


@pytest.mark.parametrize(("known", "name", "groups"), GROUPS)
def test_what_was_removed_is_named_by_group(strip: Strip, known: MediaFormat, name: str, groups: str) -> None:
    _, _, stripped = strip(known, name)
    assert {TagGroup(group) for group in groups.split()} - set(stripped.removed) == set()
