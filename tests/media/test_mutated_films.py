"""Two hundred damaged copies of each format: each is refused or clean, none crashes, none takes long."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from consent_proxy.adapters.media.kinds import M4A, MOV, MP3, MP4, WAV, WEBM, ZIP, MediaFormat
from consent_proxy.adapters.media.stripping import MediaRefused, strip_file
from tests.media.demuxing import Samples, film_samples, mp3_samples, wav_samples, webm_samples, zip_members
from tests.media.moving_corpus import MOVING, file_of
from tests.media.mutants import mutated
from tests.media.tells import MARKS

MUTANTS = 200
LONGEST_SECONDS = 2


def without(content: bytes, samples: Samples) -> bytes:
    """The file around its samples: those may hold what a mutation put into them."""
    for sample in (sample for track in samples for sample in track if len(sample) > 4):
        content = content.replace(sample, b"", 1)
    return content


def around_members(content: bytes) -> bytes:
    """An archive without its members: each was cleaned by the rules that the other formats are tested for."""
    return without(content, [list(zip_members(content).values())])


AROUND: dict[MediaFormat, Callable[[bytes], bytes]] = {
    **dict.fromkeys((MP4, MOV, M4A), lambda content: without(content, film_samples(content))),
    WEBM: lambda content: without(content, webm_samples(content)),
    WAV: lambda content: without(content, wav_samples(content)),
    MP3: lambda content: without(content, mp3_samples(content)),
    ZIP: around_members,
}


@pytest.mark.parametrize("known", MOVING, ids=lambda known: known.name)
def test_a_damaged_file_is_refused_or_clean_and_never_takes_long(tmp_path: Path, known: MediaFormat) -> None:
    dice = random.Random(f"{known.name} 4711")
    names = list(MOVING[known])
    passed = 0
    for number in range(MUTANTS):
        (tmp_path / "in").write_bytes(mutated(file_of(known, names[number % len(names)]), dice))
        start = time.thread_time()
        try:
            strip_file(tmp_path / "in", tmp_path / "out")
        except MediaRefused as caught:
            said = str(caught).encode()
        else:
            said = b""
            passed += 1
            around = AROUND[known]((tmp_path / "out").read_bytes())
            assert not any(mark in around for mark in MARKS), f"mutant {number}"
        assert not any(mark in said for mark in MARKS)
        assert time.thread_time() - start < LONGEST_SECONDS, f"mutant {number}"
        assert not [path for path in tmp_path.iterdir() if path.name not in {"in", "out"}]
    assert passed < MUTANTS
    assert passed > 0 or known == ZIP  # a checksum over every member leaves few mutations unseen


@pytest.mark.parametrize("known", MOVING, ids=lambda known: known.name)
def test_the_test_above_looks_everywhere_but_at_samples(known: MediaFormat) -> None:
    content = file_of(known, next(iter(MOVING[known])))
    around = AROUND[known](content)
    assert any(mark in around for mark in MARKS)
    assert len(around) < len(content)
