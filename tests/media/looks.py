"""How a picture looks to whoever opens it: its frames, their timing, which way is up, and its colours."""

from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageCms, ImageSequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    frames: tuple[bytes, ...]
    durations: tuple[int | None, ...]
    rounds: int | None
    size: tuple[int, int]
    mode: str
    orientation: int


def look(content: bytes) -> Look:
    """Decode all of it. HEIC and AVIF show one picture; what else is in them are other pictures."""
    with Image.open(BytesIO(content)) as picture:
        frames = [picture] if picture.format in {"HEIF", "AVIF", "MPO"} else ImageSequence.Iterator(picture)
        shown = [(frame.convert("RGBA").tobytes(), frame.info.get("duration")) for frame in frames]
        return Look(
            frames=tuple(pixels for pixels, _ in shown),
            durations=tuple(duration for _, duration in shown),
            rounds=picture.info.get("loop"),
            size=picture.size,
            mode=picture.mode,
            orientation=picture.getexif().get(0x0112, 1),
        )


def profile_of(content: bytes) -> bytes | None:
    with Image.open(BytesIO(content)) as picture:
        found = picture.info.get("icc_profile")
    return found if isinstance(found, bytes) else None


def colours_through(profile: bytes) -> bytes:
    """What a row of colours becomes when it is read with this profile."""
    row = Image.frombytes("RGB", (16, 16), bytes(range(256)) * 3)
    given = ImageCms.ImageCmsProfile(BytesIO(profile))
    seen = ImageCms.profileToProfile(row, given, ImageCms.createProfile("sRGB"))
    assert seen is not None
    return seen.tobytes()
