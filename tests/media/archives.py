"""Archives of what a model is trained on, with everything that archivers and systems put into them."""

import stat
import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO

from tests.media.films import FILMS
from tests.media.jpegs import JPEGS
from tests.media.pngs import PNGS
from tests.media.sounds import MP3S, WAVS
from tests.media.tells import MARK

NAME = MARK.decode()
CAPTION = "a photo of TOK in a garden\n"


def packed(
    members: Mapping[str, bytes | str],
    *,
    method: int = zipfile.ZIP_DEFLATED,
    comment: bytes = b"",
    is_streamed: bool = False,
) -> bytes:
    """An archive of these members; one that is written as a stream says its sizes behind each of them."""
    file = BytesIO()

    class Stream(BytesIO):
        def seekable(self) -> bool:
            return False

        def tell(self) -> int:
            raise OSError

    target = Stream() if is_streamed else file
    with zipfile.ZipFile(target, "w", method) as archive:
        archive.comment = comment
        for name, content in members.items():
            archive.writestr(entry(name, comment=comment), content)
    return target.getvalue()


def entry(name: str, *, mode: int = stat.S_IFREG | 0o644, comment: bytes = b"", extra: bytes = b"") -> zipfile.ZipInfo:
    found = zipfile.ZipInfo(name, (2024, 5, 5, 10, 10, 10))
    found.compress_type = zipfile.ZIP_DEFLATED
    found.external_attr, found.create_system = mode << 16, 3
    found.comment, found.extra = comment, extra
    return found


def training_set() -> dict[str, bytes | str]:
    return {
        f"{NAME}/": b"",
        f"{NAME}/{NAME}.JPG": JPEGS["baseline"](),
        f"{NAME}/{NAME}.txt": CAPTION,
        f"{NAME}/{NAME}_mask.png": PNGS["rgb"](),
        f"{NAME}/second.jpeg": JPEGS["baseline"](),
        "clip.mp4": FILMS["telephone"](),
        "clip.txt": "\ufeff" + CAPTION,
        "voice.wav": WAVS["pcm"](),
        "voice.mp3.mp3": MP3S["gapless"](),
        f"__MACOSX/._{NAME}.JPG": MARK,
        f"{NAME}/.DS_Store": MARK,
        "Thumbs.db": MARK,
    }


ARCHIVES: dict[str, Callable[[], bytes]] = {
    "training-set": lambda: packed(training_set(), comment=MARK),
    "stored": lambda: packed(training_set(), method=zipfile.ZIP_STORED),
    "streamed": lambda: packed(training_set(), is_streamed=True),
}
