"""What a file is, told from its bytes and never from its name."""

import re
from dataclasses import dataclass

from consent_proxy.domain.media import MediaKind

#: Enough of a file's beginning for `sniff` to know it.
HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaFormat:
    """A format that can be stripped. ``extension`` is without its dot, for the neutral name it leaves under."""

    name: str
    media_type: str
    extension: str
    kind: MediaKind


JPEG = MediaFormat(name="JPEG", media_type="image/jpeg", extension="jpg", kind=MediaKind.PHOTO)
PNG = MediaFormat(name="PNG", media_type="image/png", extension="png", kind=MediaKind.PHOTO)
WEBP = MediaFormat(name="WebP", media_type="image/webp", extension="webp", kind=MediaKind.PHOTO)
GIF = MediaFormat(name="GIF", media_type="image/gif", extension="gif", kind=MediaKind.PHOTO)
HEIC = MediaFormat(name="HEIC", media_type="image/heic", extension="heic", kind=MediaKind.PHOTO)
AVIF = MediaFormat(name="AVIF", media_type="image/avif", extension="avif", kind=MediaKind.PHOTO)
MP4 = MediaFormat(name="MP4", media_type="video/mp4", extension="mp4", kind=MediaKind.VIDEO)
MOV = MediaFormat(name="MOV", media_type="video/quicktime", extension="mov", kind=MediaKind.VIDEO)
WEBM = MediaFormat(name="WebM", media_type="video/webm", extension="webm", kind=MediaKind.VIDEO)
WAV = MediaFormat(name="WAV", media_type="audio/wav", extension="wav", kind=MediaKind.AUDIO)
MP3 = MediaFormat(name="MP3", media_type="audio/mpeg", extension="mp3", kind=MediaKind.AUDIO)
M4A = MediaFormat(name="M4A", media_type="audio/mp4", extension="m4a", kind=MediaKind.AUDIO)
ZIP = MediaFormat(name="ZIP", media_type="application/zip", extension="zip", kind=MediaKind.ARCHIVE)

#: The brands of ISO base media files that say what a file is; any other brand is unsupported.
_BRANDS: dict[bytes, MediaFormat] = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), HEIC),
    **dict.fromkeys((b"avif", b"avis"), AVIF),
    b"qt  ": MOV,
    **dict.fromkeys((b"M4A ", b"M4B "), M4A),
    **dict.fromkeys(
        (b"isom", b"iso2", b"iso3", b"iso4", b"iso5", b"iso6", b"iso7", b"iso8", b"iso9", b"mp41", b"mp42", b"avc1"),
        MP4,
    ),
    **dict.fromkeys((b"M4V ", b"M4VH", b"MSNV", b"dash", b"3gp4", b"3gp5", b"3gp6", b"mmp4"), MP4),
}
#: Brands that say only that it is a picture; the compatible brands say which.
_PICTURE_BRANDS = frozenset({b"mif1", b"mif2", b"msf1", b"miaf"})
#: What a QuickTime file begins with where it has no brand.
_QUICKTIME_BOXES = frozenset({b"moov", b"mdat", b"wide"})

_WEBM = re.compile(rb"\x42\x82(?:\x84|\x40\x04|\x20\x00\x04|\x10\x00\x00\x04|\x01\x00{6}\x04)webm")

_UNSUPPORTED: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.DOTALL), name)
    for pattern, name in (
        (rb"%PDF-", "PDF"),
        (rb"II\*\x00|MM\x00\*|II\x2b\x00|MM\x00\x2b", "TIFF"),
        (rb"BM.{12}[\x0c-\x7c]\x00{3}", "BMP"),
        (rb"8BPS", "Photoshop"),
        (rb"\x00\x00\x01\x00", "ICO"),
        (rb"\xff\x0a|\x00\x00\x00\x0cJXL ", "JPEG XL"),
        (rb"\x00\x00\x00\x0cjP  |\xff\x4f\xff\x51", "JPEG 2000"),
        (rb"RIFF.{4}AVI ", "AVI"),
        (rb"\x1a\x45\xdf\xa3", "Matroska"),
        (rb"FLV\x01", "Flash video"),
        (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media"),
        (rb"OggS", "Ogg"),
        (rb"fLaC", "FLAC"),
        (rb"FORM.{4}AIF[FC]", "AIFF"),
        (rb"#!AMR", "AMR"),
        (rb"\xff[\xf0\xf1\xf8\xf9]", "AAC"),
        (rb"7z\xbc\xaf\x27\x1c", "7z"),
        (rb"Rar!", "RAR"),
        (rb"\x1f\x8b", "gzip"),
        (rb".{257}ustar", "tar"),
        (rb"MZ|\x7fELF|[\xcf\xce]\xfa\xed\xfe|\xca\xfe\xba\xbe|#!", "executable"),
        (rb".{4}ftyp", "ISO media of an unknown brand"),
        (rb"(?:\xef\xbb\xbf)?\s*<(?i:!DOCTYPE html|html|script)", "HTML"),
        (rb"(?:\xef\xbb\xbf)?\s*<(?:svg[\s>]|[?!].*?<svg[\s>])", "SVG"),
    )
)


def sniff(head: bytes) -> MediaFormat | None:
    """The supported format whose file begins with ``head``, of which `HEAD_BYTES` are enough; None for any other."""
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return PNG
    if head.startswith((b"GIF87a", b"GIF89a")):
        return GIF
    if head.startswith(b"RIFF"):
        return {b"WEBP": WEBP, b"WAVE": WAV}.get(head[8:12])
    if head.startswith(b"PK\x03\x04"):
        return ZIP
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return WEBM if _WEBM.search(head, 0, 128) else None
    return _iso_media(head) or _mp3(head)


def unsupported_name(head: bytes) -> str | None:
    """What a file that `sniff` does not know is called, so that its refusal can say so; None when nobody knows."""
    return next((name for pattern, name in _UNSUPPORTED if pattern.match(head)), None)


def _iso_media(head: bytes) -> MediaFormat | None:
    if head[4:8] in _QUICKTIME_BOXES:
        return MOV
    if head[4:8] != b"ftyp":
        return None
    end = min(int.from_bytes(head[:4]), len(head))
    major, compatible = head[8:12], [head[at : at + 4] for at in range(16, end - 3, 4)]
    if major in _PICTURE_BRANDS:
        return next((found for brand in compatible if (found := _BRANDS.get(brand)) in {HEIC, AVIF}), None)
    return _BRANDS.get(major)


def _mp3(head: bytes) -> MediaFormat | None:
    """ID3 before it, or a frame of MPEG layer III: sync, a version that exists, a bit rate and a sample rate."""
    if head.startswith(b"ID3"):
        return MP3
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2 or head[1] & 0x18 == 0x08:  # noqa: PLR2004
        return None
    return MP3 if head[2] >> 4 not in {0, 15} and head[2] >> 2 & 3 != 3 else None  # noqa: PLR2004
