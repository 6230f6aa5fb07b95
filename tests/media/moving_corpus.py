"""Every format of films, sounds and archives, and how to get its samples out without the code under test."""

from collections.abc import Callable
from functools import cache

from consent_proxy.adapters.media.kinds import M4A, MOV, MP3, MP4, WAV, WEBM, ZIP, MediaFormat
from tests.media.archives import ARCHIVES
from tests.media.demuxing import Samples, film_samples, mp3_samples, wav_samples, webm_samples
from tests.media.films import BOXED_SOUNDS, FILMS, QUICKTIMES
from tests.media.sounds import MP3S, WAVS
from tests.media.webms import WEBMS

MOVING: dict[MediaFormat, dict[str, Callable[[], bytes]]] = {
    MP4: FILMS,
    MOV: QUICKTIMES,
    M4A: BOXED_SOUNDS,
    WEBM: WEBMS,
    WAV: WAVS,
    MP3: MP3S,
    ZIP: ARCHIVES,
}
SAMPLES: dict[MediaFormat, Callable[[bytes], Samples]] = {
    MP4: film_samples,
    MOV: film_samples,
    M4A: film_samples,
    WEBM: webm_samples,
    WAV: wav_samples,
    MP3: mp3_samples,
}

CASES = [(known, name) for known, files in MOVING.items() for name in files]
IDS = [f"{known.name}-{name}" for known, name in CASES]


@cache
def file_of(known: MediaFormat, name: str) -> bytes:
    return MOVING[known][name]()
