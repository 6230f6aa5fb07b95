"""What is taken out of media, by group and never by value, and how a file that cannot be cleaned is refused."""

from enum import StrEnum
from typing import Literal


class TagGroup(StrEnum):
    """A kind of thing that was removed; this much, and no value, stands in the record."""

    LOCATION = "location"
    CAMERA = "camera"  # make, model, lens, serial numbers, how it was set
    OWNER = "owner"  # names of people: owner, artist, copyright
    DATES = "dates"
    THUMBNAIL = "thumbnail"
    SECOND_PICTURE = "second-picture"  # another picture of the same moment, or of another
    DEPTH_MAP = "depth-map"  # depth, gain maps, mattes
    MOTION_CLIP = "motion-clip"  # the film of a motion photo
    COMMENT = "comment"
    TITLE = "title"  # titles, captions, keywords, artists, lyrics
    PROVENANCE = "provenance"  # C2PA and the like
    EDITING = "editing"  # XMP, software, editing history
    MAKER_NOTE = "maker-note"
    TECHNICAL = "technical"  # how it was coded; says nothing of a person, and is not needed
    SIDE_TRACK = "side-track"  # subtitles, timed metadata, data tracks, chapters
    COVER = "cover"  # pictures in sound files
    FILE_NAMES = "file-names"
    TRAILER = "trailer"  # bytes after the format's end
    UNKNOWN = "unknown"


class MediaRefused(Exception):
    """This file is not passed on. ``detail`` says why in our own words and never quotes the file's content."""

    def __init__(self, reason: Literal["media-type-unsupported", "media-not-clean"], detail: str) -> None:
        super().__init__(reason, detail)  # both, so that it can be handed from one process to another
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


def not_clean(detail: str) -> MediaRefused:
    """The refusal of a file that is not wholly understood."""
    return MediaRefused("media-not-clean", detail)
