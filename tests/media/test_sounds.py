"""WAV and MP3: the samples and what decodes them stay, what is not understood is refused."""

import struct
from pathlib import Path

import pytest

from consent_proxy.adapters.media.mp3 import _crc
from tests.media.refusing import refused, stripped
from tests.media.sounds import (
    APE,
    EXTENSIBLE,
    FRAMES,
    GAPLESS,
    ID3V1,
    PCM,
    chunk,
    coding,
    frame,
    id3,
    riff,
    synchsafe,
    wav,
)
from tests.media.tells import MARK

SOUND = b"".join(FRAMES)


def test_of_a_wav_its_coding_and_its_samples_are_left(tmp_path: Path) -> None:
    assert stripped(tmp_path, wav(coding()))[0] == riff(coding(), chunk(b"data", PCM))


def test_a_coding_other_than_pcm_keeps_its_count_of_samples(tmp_path: Path) -> None:
    after, _ = stripped(tmp_path, wav(coding(3, bits=32, more=b"\x00\x00")))
    assert after == riff(
        coding(3, bits=32, more=b"\x00\x00"), chunk(b"fact", struct.pack("<I", len(PCM))), chunk(b"data", PCM)
    )


def test_a_wav_whose_last_byte_of_padding_is_missing_is_taken(tmp_path: Path) -> None:
    whole = riff(coding(bits=8), chunk(b"data", PCM[:333]))
    assert stripped(tmp_path, whole[:-1])[0] == whole


WAV_REFUSED = {
    "bytes-behind": (riff(coding(), chunk(b"data", PCM), behind=MARK), "longer, or shorter"),
    "cut-off": (riff(coding(), chunk(b"data", PCM))[:-100], "longer, or shorter"),
    "chunk-beyond-the-end": (riff(coding(), struct.pack("<4sI", b"data", 0xFFFFFFFF), PCM), "longer than the file"),
    "two-datas": (riff(coding(), chunk(b"data", PCM), chunk(b"data", PCM)), "two places"),
    "no-data": (riff(coding(), chunk(b"LIST", b"wavl" + MARK)), "no samples"),
    "two-codings": (riff(coding(), coding(), chunk(b"data", PCM)), "there twice"),
    "coding-with-more": (riff(coding(more=MARK), chunk(b"data", PCM)), "not described"),
    "long-coding": (riff(coding(more=MARK * 8), chunk(b"data", PCM)), "too long"),
    "adpcm": (riff(coding(2), chunk(b"data", PCM)), "not known"),
    "mp3-in-wav": (riff(coding(0x55), chunk(b"data", PCM)), "not known"),
    "numbers-that-disagree": (riff(coding(channels=0), chunk(b"data", PCM)), "do not agree"),
    "half-a-sample": (riff(coding(), chunk(b"data", PCM + b"M")), "end in the middle"),
    "another-guid": (
        riff(coding(0xFFFE, channels=2, more=EXTENSIBLE[:-4] + MARK[:4]), chunk(b"data", PCM)),
        "not described",
    ),
    "many-chunks": (riff(coding(), chunk(b"data", PCM), chunk(b"JUNK", b"") * 20_000), "more than"),
}


@pytest.mark.parametrize(("content", "why"), WAV_REFUSED.values(), ids=WAV_REFUSED)
def test_a_wav_that_is_not_wholly_understood_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    assert why in refused(tmp_path, content)


@pytest.mark.parametrize("head", [b"RF64", b"RIFX", b"BW64"])
def test_wavs_of_other_kinds_are_refused(tmp_path: Path, head: bytes) -> None:
    refused(tmp_path, head + riff(coding(), chunk(b"data", PCM))[4:])


def test_of_an_mp3_its_frames_are_left(tmp_path: Path) -> None:
    assert stripped(tmp_path, id3() + SOUND + APE + ID3V1)[0] == SOUND


def test_zeros_behind_the_last_frame_are_cut_off(tmp_path: Path) -> None:
    after, result = stripped(tmp_path, SOUND + bytes(1000) + ID3V1)
    assert after == SOUND
    assert "trailer" in result.removed


def test_the_frame_that_joins_pieces_without_a_gap_keeps_its_numbers(tmp_path: Path) -> None:
    after, _ = stripped(tmp_path, GAPLESS + SOUND)
    assert after[417:] == SOUND
    assert after[:36] == GAPLESS[:36]
    assert after[36:160] == GAPLESS[36:160]  # up to the encoder's letters
    assert after[160:165] == bytes(5)
    assert after[165:190] == GAPLESS[165:190]
    assert int.from_bytes(after[190:192], "big") == _crc(after[:190])
    assert not any(after[192:417])


def test_the_check_of_a_frame_is_the_one_that_is_published() -> None:
    assert _crc(b"123456789") == 0xBB3D


MPEG2 = b"\xff\xf3\x90\x00".ljust(417, b"\x55")

MP3_REFUSED = {
    "bytes-between": (SOUND + MARK + SOUND, "between the frames"),
    "bytes-behind": (SOUND + MARK, "between the frames"),
    "three-bytes-behind": (SOUND + b"\xff\xfb\x90", "between the frames"),
    "cut-off": (SOUND[:-9], "cut off"),
    "no-frames": (id3() + MARK, "between the frames"),
    "only-tags": (id3(), "ends in the middle"),
    "layer-two": (id3() + b"\xff\xfd\x90\x00".ljust(417, b"\x00"), "layer"),
    "free-format": (id3() + b"\xff\xfb\x00\x00".ljust(417, b"\x00"), "free format"),
    "another-version": (SOUND + MPEG2, "different kinds"),
    "mono-among-stereo": (SOUND + b"\xff\xfb\x90\xc0".ljust(417, b"\x00"), "different kinds"),
    "tag-longer-than-the-file": (b"ID3\x04\x00\x00" + synchsafe(1 << 27) + SOUND, "ends in the middle"),
    "tag-of-another-version": (b"ID3\x05\x00\x00" + synchsafe(10) + bytes(10) + SOUND, "not built"),
    "tag-longer-than-the-sound": (
        SOUND + struct.pack("<8sIIII8x", b"APETAGEX", 2000, 99_999, 1, 0x80000000),
        "longer than",
    ),
    "many-tags": ((b"ID3\x04\x00\x00" + synchsafe(1) + b"M") * 100 + SOUND, "more than"),
    "places-out-of-order": (GAPLESS.replace(bytes(range(19)), MARK) + SOUND, "not built"),
    "describing-frame-too-long": (frame(bytes(32) + b"Xing\xff\xff\xff\xff" + MARK) + SOUND, "not built"),
}


@pytest.mark.parametrize(("content", "why"), MP3_REFUSED.values(), ids=MP3_REFUSED)
def test_an_mp3_that_is_not_wholly_understood_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    assert why in refused(tmp_path, content)
