"""Every format with every kind of metadata, made once a run; no picture here was taken by anyone."""

from collections.abc import Callable
from functools import cache

from consent_proxy.adapters.media.kinds import AVIF, GIF, HEIC, JPEG, PNG, WEBP, MediaFormat
from tests.media.gifs import GIFS
from tests.media.heifs import AVIFS, HEICS
from tests.media.jpegs import JPEGS
from tests.media.pngs import PNGS
from tests.media.webps import WEBPS

STILLS: dict[MediaFormat, dict[str, Callable[[], bytes]]] = {
    JPEG: JPEGS,
    PNG: PNGS,
    WEBP: WEBPS,
    GIF: GIFS,
    HEIC: HEICS,
    AVIF: AVIFS,
}

#: Each picture of the corpus as a format and a name.
CASES = [(known, name) for known, pictures in STILLS.items() for name in pictures]
IDS = [f"{known.name}-{name}" for known, name in CASES]


@cache
def picture(known: MediaFormat, name: str) -> bytes:
    return STILLS[known][name]()
