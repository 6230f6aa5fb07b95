"""`ffmpeg` as the one who films: real coders and real files, and a second opinion on what is played from them."""

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest

from tests.media.tells import MARK

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not here: make test-tools")

_NAME = MARK.decode()
_PICTURES = ("-f", "lavfi", "-i", "testsrc=size=160x120:rate=25:duration=1")
_TONE = ("-f", "lavfi", "-i", "sine=frequency=440:duration=1")
_TAGS = (
    *("-metadata", f"title={_NAME}", "-metadata", f"artist={_NAME}", "-metadata", f"comment={_NAME}"),
    *("-metadata", "location=+52.5200+013.4050/", "-metadata", "creation_time=2024-05-05T10:10:10Z"),
    *("-metadata:s", f"handler_name={_NAME}", "-metadata:s", "language=deu"),
)
_H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
_VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8")
_H265 = ("-c:v", "libx265", "-preset", "ultrafast", "-tag:v", "hvc1", "-x265-params", "log-level=none")

#: The arguments after the inputs, by the file's name; ``{subtitles}`` is a file of subtitles with a place in them.
FILMED: dict[str, tuple[str, ...]] = {
    "subtitles.mp4": (*_H264, "-c:a", "aac", "-c:s", "mov_text", "-map", "0", "-map", "1", "-map", "2"),
    "timecode.mov": (*_H264, "-c:a", "pcm_s16le", "-timecode", "01:02:03:04"),
    "aac.mov": (*_H264, "-bf", "2", "-c:a", "aac", "-movflags", "use_metadata_tags"),
    "fragments.mp4": (*_H264, "-g", "10", "-c:a", "aac", "-movflags", "frag_keyframe+empty_moov"),
    "dash.mp4": (*_H264, "-g", "10", "-c:a", "aac", "-movflags", "dash+delay_moov+global_sidx"),
    "hevc.mp4": (*_H265, "-c:a", "libopus"),
    "prores.mov": ("-c:v", "prores_ks", "-c:a", "pcm_s24le"),
    "aac.m4a": ("-vn", "-c:a", "aac", "-map", "1"),
    "alac.m4a": ("-vn", "-c:a", "alac", "-map", "1"),
    "vorbis.webm": ("-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libvorbis"),
    "subtitles.webm": (*_VP9, "-c:a", "libopus", "-c:s", "webvtt", "-map", "0", "-map", "1", "-map", "2"),
    "live.webm": (*_VP9, "-c:a", "libopus", "-live", "1"),
    "surround.wav": ("-map", "1", "-ac", "6", "-c:a", "pcm_s24le", "-write_bext", "1"),
    "float.wav": ("-map", "1", "-c:a", "pcm_f32le"),
    "constant.mp3": ("-map", "1", "-c:a", "libmp3lame", "-write_id3v1", "1"),
    "variable.mp3": ("-map", "1", "-c:a", "libmp3lame", "-q:a", "4"),
}


def make_film(folder: Path, name: str) -> Path:
    subtitles = folder / "place.srt"
    subtitles.write_text(f"1\n00:00:00,000 --> 00:00:01,000\n{_NAME} 52.5200 13.4050\n", "utf-8")
    how = FILMED[name]
    inputs = (*_PICTURES, *_TONE, *(("-i", str(subtitles)) if "-c:s" in how else ()))
    _run("-y", *inputs, *_TAGS, *how, str(folder / name))
    return folder / name


class Frames(NamedTuple):
    """A digest of each packet of video and sound, and of each frame as it is shown: turned, and cut by its edits."""

    packets: str
    played: str


def frames(path: Path) -> Frames:
    streams = ("-map", "0:v?", "-map", "0:a?")
    with TemporaryDirectory() as folder:
        packets, shown = Path(folder) / "packets", Path(folder) / "played"
        digests = (*streams, "-c", "copy", "-f", "framemd5", str(packets), *streams, "-f", "framemd5", str(shown))
        _run("-i", str(path), *digests)
        return Frames(_without_settings(packets), _without_settings(shown))


def _without_settings(digests: Path) -> str:
    """Without the digest of decoders' settings, which are reduced."""
    return "\n".join(line for line in digests.read_text("utf-8").splitlines() if not line.startswith("#extradata"))


def _run(*arguments: str) -> None:
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", *arguments]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
