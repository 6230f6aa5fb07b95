"""What a medium is once it was looked into: its kind, what was taken out of it, and the bytes that may leave."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.subjects import SubjectRef

#: A medium of up to so many bytes is kept in memory for as long as its request takes.
AT_HAND_BYTES = 8_000_000


class MediaKind(StrEnum):
    """What a file shows to be, by its bytes. A field of media takes some of these and no other."""

    PHOTO = "photo"
    VIDEO = "video"
    AUDIO = "audio"
    ARCHIVE = "archive"


class MediaContent(Protocol):
    """The bytes of a cleaned medium. They stay the same however often they are read."""

    @property
    def at_hand(self) -> bytes | None:
        """All of them, where they are few; ``None`` where they are read piece by piece only."""
        ...

    def pieces(self) -> AsyncIterator[bytes]:
        """All of them in order, in pieces of bounded size, from the beginning."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanMedium:
    """A medium with nothing in it but what it shows. ``removed`` are groups of tags, never their values.

    ``extension`` is without a dot, for the neutral name it leaves under. The digests are HMAC-SHA256 in hexadecimal,
    under the subject's salt: ``digest`` of these bytes, ``digest_before`` of the file as it came.
    """

    kind: MediaKind
    media_type: str
    extension: str
    bytes: int
    digest: str
    digest_before: str
    removed: tuple[str, ...]
    content: MediaContent = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaFault:
    """Why a medium cannot leave. ``fault`` finishes a sentence that begins with its field, and quotes nothing of it."""

    reason: Reason
    fault: str


#: What became of the media a request names, by the text that names them; ``None`` where they were not looked into.
FoundMedia = Mapping[str, CleanMedium | MediaFault | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaOwner:
    """Whose a medium is: nobody but this caller, for this subject, may name it."""

    caller_id: UUID
    subject_ref: SubjectRef


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldMedium:
    """A medium that is kept here until a permitted request names it, or its time is over (UTC)."""

    id: UUID
    owner: MediaOwner
    medium: CleanMedium
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedMedium:
    """A medium in its place in a payload: ``path`` is the manifest's, ``at`` the way to it through the body.

    In the body stands its neutral ``name``, until whoever sends it puts an address or the bytes there.
    """

    path: str
    at: tuple[str | int, ...]
    name: str
    medium: CleanMedium


class WholeContent:
    """Bytes that are at hand; fulfils ``MediaContent``."""

    __slots__ = ("_content",)

    def __init__(self, content: bytes) -> None:
        self._content = content

    @property
    def at_hand(self) -> bytes:
        """All of them."""
        return self._content

    async def pieces(self) -> AsyncIterator[bytes]:
        """All of them at once."""
        yield self._content
