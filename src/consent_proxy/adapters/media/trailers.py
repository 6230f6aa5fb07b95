"""What stands after the end of a picture: cut off, and named by what it looks like."""

from consent_proxy.adapters.media.kinds import sniff
from consent_proxy.adapters.media.tags import TagGroup
from consent_proxy.domain.media import MediaKind


def trailer_group(rest: memoryview) -> TagGroup:
    """The group of the bytes after the end; a film may stand behind the box headers of a motion photo."""
    found = sniff(bytes(rest[:64]))
    match found.kind if found else None:
        case MediaKind.PHOTO:
            return TagGroup.SECOND_PICTURE
        case MediaKind.VIDEO:
            return TagGroup.MOTION_CLIP
        case MediaKind.AUDIO | MediaKind.ARCHIVE | None:
            return TagGroup.MOTION_CLIP if b"ftyp" in bytes(rest[:4096]) else TagGroup.TRAILER
