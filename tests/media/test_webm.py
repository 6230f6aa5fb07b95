"""WebM: everything stays where it stood, what says who made it is zeros, what is not understood is refused."""

from itertools import pairwise
from pathlib import Path

import pytest

from consent_proxy.adapters.media.tags import MediaRefused
from tests.media.demuxing import webm_elements, webm_samples
from tests.media.refusing import refused, stripped
from tests.media.tells import MARK
from tests.media.webms import (
    HEADER,
    OPUS,
    SUBTITLE_TRACK,
    VIDEO,
    VORBIS,
    VORBIS_TRACK,
    VP9,
    block,
    cluster,
    element,
    number,
    track,
    webm,
)

INFO, TRACKS, CLUSTER, CUES, VOID = 0x1549A966, 0x1654AE6B, 0x1F43B675, 0x1C53BB6B, 0xEC


def test_nothing_moves_so_that_cues_and_head_stay_right(tmp_path: Path) -> None:
    before = webm()
    after, result = stripped(tmp_path, before)
    assert len(after) == len(before)
    assert result.bytes_after == result.bytes_before
    kept = {INFO, TRACKS, CLUSTER, CUES}
    assert [at for kind, at in webm_elements(after) if kind in kept] == [
        at for kind, at in webm_elements(before) if kind in kept
    ]
    assert {kind for kind, _ in webm_elements(after)} == kept | {0x114D9B74, VOID}


def test_what_goes_leaves_nothing_but_zeros(tmp_path: Path) -> None:
    after, _ = stripped(tmp_path, webm())
    elements = [*webm_elements(after), (VOID, len(after))]
    emptied = [(at, end) for (kind, at), (_, end) in pairwise(elements) if kind == VOID]
    assert len(emptied) == 4  # tags, attachments, chapters, padding
    assert not any(any(after[at + 9 : end]) for at, end in emptied)


def test_names_become_blanks_and_languages_undetermined(tmp_path: Path) -> None:
    after, _ = stripped(tmp_path, webm())
    assert element(0x4D80, b" " * len(MARK)) in after
    assert after.count(element(0x22B59C, b"und")) == 2
    assert element(0x22B59C, b"ger") not in after


def test_vorbis_keeps_its_first_and_last_header(tmp_path: Path) -> None:
    after, _ = stripped(tmp_path, webm())
    assert VORBIS[:10] in after
    assert VORBIS[-71:] in after
    assert b"Xiph" not in after


def test_transparency_is_part_of_the_picture(tmp_path: Path) -> None:
    alpha = element(0x75A1, element(0xA6, number(0xEE, 1), element(0xA5, b"alpha")))
    group = element(0xA0, element(0xA1, block(1, 0, b"picture")), alpha)
    after, _ = stripped(tmp_path, webm(VP9, clusters=[element(0x1F43B675, number(0xE7, 0), group)]))
    assert alpha in after


ENCODED = track(2, 2, b"A_OPUS", element(0x63A2, OPUS), element(0x6D80, MARK))
NO_TRACK = element(0x1F43B675, number(0xE7, 0), element(0xA3, block(9, 0, MARK)))
WITH_ADDITION = element(
    0xA0, element(0xA1, block(1, 0, b"x")), element(0x75A1, element(0xA6, number(0xEE, 4), element(0xA5, MARK)))
)
ADDED = element(0x1F43B675, number(0xE7, 0), WITH_ADDITION)
WHOLE = webm()

REFUSED = {
    "matroska": (webm(header=HEADER.replace(b"webm", b"mkv1")), "Matroska"),
    "bytes-behind": (webm(behind=MARK), "behind the segment"),
    "another-segment": (webm(behind=WHOLE[len(HEADER) :]), "behind the segment"),
    "no-video": (webm(VORBIS_TRACK, clusters=[]), "holds none"),
    "codec": (webm(track(1, VIDEO, b"V_MPEG4/ISO/AVC"), VORBIS_TRACK), "codec"),
    "subtitles-as-video": (webm(track(1, VIDEO, b"D_WEBVTT/SUBTITLES"), VORBIS_TRACK), "codec"),
    "encoded": (webm(VP9, ENCODED, SUBTITLE_TRACK), "not known here"),
    "unknown-element": (webm(VP9, VORBIS_TRACK, element(0x4FFF, MARK)), "not known here"),
    "block-of-no-track": (webm(VP9, VORBIS_TRACK, SUBTITLE_TRACK, clusters=[NO_TRACK]), "no track"),
    "added-to-a-block": (webm(VP9, clusters=[ADDED]), "added"),
    "long-number": (webm(track(1, VIDEO, b"V_VP9", element(0x23E383, MARK))), "longer than a number"),
    "two-of-one-number": (webm(VP9, VP9), "same number"),
    "twice": (webm(track(1, VIDEO, b"V_VP9", number(0xB9, 1), number(0xB9, 1))), "twice"),
    "settings-of-vp9": (webm(track(1, VIDEO, b"V_VP9", element(0x63A2, MARK))), "settings"),
    "settings-of-opus": (webm(VP9, track(2, 2, b"A_OPUS", element(0x63A2, OPUS + MARK))), "Opus"),
    "samples-before-tracks": (
        HEADER + element(0x18538067, cluster(0), element(0x1654AE6B, VP9)),
        "behind their samples",
    ),
    "open-cluster-in-a-group": (
        webm(VP9, clusters=[element(0x1F43B675, element(0xA0, element(0x1F43B675, is_open=True)))]),
        "how long it is",
    ),
    "open-tracks": (HEADER + element(0x18538067, element(0x1654AE6B, VP9, is_open=True)), "how long it is"),
}


@pytest.mark.parametrize(("content", "why"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_wholly_understood_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    assert why.lower() in refused(tmp_path, content).lower()


@pytest.mark.parametrize("is_open", [False, True])
def test_a_film_that_is_cut_off_is_refused_or_loses_only_its_end(tmp_path: Path, *, is_open: bool) -> None:
    content = webm(is_open=is_open)
    for length in range(60, len(content), 53):
        try:
            after, _ = stripped(tmp_path, content[:length])
        except MediaRefused:
            continue
        assert is_open
        assert all(
            mine == all_[: len(mine)] for mine, all_ in zip(webm_samples(after), webm_samples(content), strict=True)
        )
        assert MARK not in after
