"""The strippers of pictures that stand still, or move without sound: one a format."""

from collections.abc import Callable, Mapping
from pathlib import Path

from consent_proxy.adapters.media.gif import clean_gif
from consent_proxy.adapters.media.heif import strip_avif, strip_heic
from consent_proxy.adapters.media.jpeg import clean_jpeg
from consent_proxy.adapters.media.kinds import AVIF, GIF, HEIC, JPEG, PNG, WEBP, MediaFormat
from consent_proxy.adapters.media.pieces import Cleaned, Emit, Strip, mapped
from consent_proxy.adapters.media.png import clean_png
from consent_proxy.adapters.media.tags import TagGroup
from consent_proxy.adapters.media.webp import clean_webp


def _stripping(clean: Callable[[memoryview], Cleaned]) -> Strip:
    """A stripper of files from a cleaner of bytes. Nothing is handed on before the whole file has been understood."""

    def strip(source: Path, emit: Emit) -> frozenset[TagGroup]:
        cleaned = clean(mapped(source))
        for piece in cleaned.pieces:
            emit(piece)
        return frozenset(cleaned.removed)

    return strip


STILL_STRIPPERS: Mapping[MediaFormat, Strip] = {
    JPEG: _stripping(clean_jpeg),
    PNG: _stripping(clean_png),
    WEBP: _stripping(clean_webp),
    GIF: _stripping(clean_gif),
    HEIC: strip_heic,
    AVIF: strip_avif,
}
