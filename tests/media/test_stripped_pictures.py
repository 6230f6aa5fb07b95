"""Every picture of the corpus, stripped: nothing of the person is left, and it looks the same."""

from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import ImageCms

from consent_proxy.adapters.media.kinds import AVIF, GIF, HEIC, JPEG, PNG, WEBP, MediaFormat, sniff
from consent_proxy.adapters.media.stripping import Stripped, strip_file
from consent_proxy.adapters.media.tags import TagGroup
from tests.media.corpus import CASES, IDS, picture
from tests.media.exiftool import needs_exiftool, read_tags, strangers
from tests.media.looks import colours_through, look, profile_of
from tests.media.tells import MARKS, SIDEWAYS

Strip = Callable[[MediaFormat, str], tuple[bytes, bytes, Stripped]]
Case = tuple[MediaFormat, str]

#: Pillow warns of the second pictures that the corpus announces and does not have.
pytestmark = pytest.mark.filterwarnings("ignore:Image appears to be a malformed MPO")

a_picture = pytest.mark.parametrize("case", CASES, ids=IDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stripped")


@pytest.fixture(scope="module")
def strip(folder: Path) -> Strip:
    """The picture before and after, each stripped once."""
    done: dict[Case, tuple[bytes, bytes, Stripped]] = {}

    def stripped(known: MediaFormat, name: str) -> tuple[bytes, bytes, Stripped]:
        if (known, name) not in done:
            source, target = folder / "before", folder / f"{known.name}-{name}.{known.extension}"
            source.write_bytes(picture(known, name))
            result = strip_file(source, target)
            source.unlink()
            done[known, name] = (picture(known, name), target.read_bytes(), result)
        return done[known, name]

    return stripped


@a_picture
def test_what_marks_the_person_was_there_and_is_gone(strip: Strip, case: Case) -> None:
    before, after, stripped = strip(*case)
    assert any(mark in before for mark in MARKS)
    assert not any(mark in after for mark in MARKS)
    assert stripped.removed
    assert (stripped.bytes_before, stripped.bytes_after) == (len(before), len(after))


@a_picture
def test_it_looks_the_same_frame_by_frame_and_the_same_way_up(strip: Strip, case: Case) -> None:
    before, after, stripped = strip(*case)
    assert look(after) == look(before)
    assert stripped.format == sniff(after[:4096]) == case[0]


@a_picture
def test_its_profile_makes_the_same_colours_and_names_nobody(strip: Strip, case: Case) -> None:
    before, after, _ = strip(*case)
    given, kept = profile_of(before), profile_of(after)
    assert (given is None) is (kept is None)
    if given and kept:
        assert colours_through(kept) == colours_through(given)
        assert kept[24:36] == bytes(12)
        assert kept[48:56] + kept[80:128] == bytes(56)


def test_the_corpus_has_profiles_whose_loss_would_show(strip: Strip) -> None:
    profile = profile_of(strip(JPEG, "baseline")[0])
    assert profile
    assert colours_through(profile) != colours_through(
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    )
    assert {known for known, name in CASES if profile_of(strip(known, name)[0])} == {JPEG, PNG, WEBP, HEIC, AVIF}


@a_picture
def test_stripping_it_again_changes_nothing(strip: Strip, case: Case, tmp_path: Path) -> None:
    _, after, _ = strip(*case)
    (tmp_path / "clean").write_bytes(after)
    again = strip_file(tmp_path / "clean", tmp_path / "again")
    assert again.removed == ()
    assert (tmp_path / "again").read_bytes() == after


@pytest.mark.parametrize("known", [JPEG, PNG, WEBP], ids=lambda known: known.name)
def test_a_picture_that_lies_on_its_side_still_does(strip: Strip, known: MediaFormat) -> None:
    name = {JPEG: "baseline", PNG: "rgb", WEBP: "lossy"}[known]
    assert look(strip(known, name)[1]).orientation == SIDEWAYS


ALL = "location camera owner dates thumbnail comment provenance editing maker-note technical unknown"
GROUPS = [
    (JPEG, "baseline", f"{ALL} second-picture title"),
    (JPEG, "motion-photo", "motion-clip location"),
    (JPEG, "second-picture", "second-picture"),
    (JPEG, "zip-behind", "trailer"),
    (JPEG, "jfif-thumbnail", "thumbnail"),
    (PNG, "rgb", ALL),
    (PNG, "cropped-rest-behind", "trailer"),
    (PNG, "picture-behind", "second-picture"),
    (WEBP, "moving", ALL),
    (GIF, "moving", "comment editing provenance technical unknown"),
    (HEIC, "telephone", f"{ALL} second-picture depth-map motion-clip"),
    (AVIF, "telephone", f"{ALL} second-picture depth-map motion-clip"),
]


@pytest.mark.parametrize(("known", "name", "groups"), GROUPS)
def test_what_was_removed_is_named_by_group(strip: Strip, known: MediaFormat, name: str, groups: str) -> None:
    _, _, stripped = strip(known, name)
    assert set(stripped.removed) >= {TagGroup(group) for group in groups.split()}
    assert list(stripped.removed) == [group for group in TagGroup if group in stripped.removed]


@needs_exiftool
def test_exiftool_finds_nothing_but_structure(strip: Strip, folder: Path) -> None:
    for case in CASES:
        strip(*case)
    found = read_tags(folder)
    assert len(found) == len(CASES)
    assert {name: strange for name, tags in found.items() if (strange := strangers(tags))} == {}


@needs_exiftool
def test_exiftool_finds_more_than_structure_before(tmp_path: Path) -> None:
    for known, name in CASES:
        (tmp_path / f"{known.name}-{name}.{known.extension}").write_bytes(picture(known, name))
    found = read_tags(tmp_path)
    assert len(found) == len(CASES)
    assert {name for name, tags in found.items() if not strangers(tags)} == set()
