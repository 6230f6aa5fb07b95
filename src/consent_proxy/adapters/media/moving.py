"""The strippers of films and sounds: one a format."""

from collections.abc import Mapping
from functools import partial

from consent_proxy.adapters.media.bmff import strip_film
from consent_proxy.adapters.media.kinds import M4A, MOV, MP3, MP4, WAV, WEBM, MediaFormat
from consent_proxy.adapters.media.matroska import strip_webm
from consent_proxy.adapters.media.mp3 import strip_mp3
from consent_proxy.adapters.media.pieces import Strip
from consent_proxy.adapters.media.wav import strip_wav

MOVING_STRIPPERS: Mapping[MediaFormat, Strip] = {
    **{known: partial(strip_film, known) for known in (MP4, MOV, M4A)},
    WEBM: strip_webm,
    WAV: strip_wav,
    MP3: strip_mp3,
}
