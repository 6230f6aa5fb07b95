"""Media on their way in: cleaned, held until they are named, and read from where they were named to be."""

from collections.abc import AsyncIterator
from typing import Protocol
from uuid import UUID

from consent_proxy.application.ports.transfers import LedgerUnavailable
from consent_proxy.domain.media import CleanMedium, HeldMedium, MediaFault, MediaOwner
from consent_proxy.domain.subjects import SubjectRef


class MediaStoreUnavailable(LedgerUnavailable):
    """The store of held media did not answer. Nothing was begun, and nothing may be sent."""


class MediaUnreadable(Exception):
    """A medium that is named cannot be read to its end; the message says why, and quotes nothing."""


class MediaTooLarge(Exception):
    """A medium is larger than this service takes; ``limit`` is in bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"a file may have {limit} bytes at most")
        self.limit = limit


class MediaCleaner(Protocol):
    """The one door for bytes: whatever way they came, here they are looked into and stripped."""

    async def clean(self, pieces: AsyncIterator[bytes], *, salt: bytes) -> CleanMedium | MediaFault:
        """Read a file to its end, tell its type from its bytes, and take out what it does not show.

        ``salt`` keys the digests. Memory stays flat whatever the size; the work is done beside the event loop, so many
        at a time. A fault says what is wrong with the file. Raises ``Overloaded`` when too many wait, and what
        ``pieces`` raises. Nothing of the file as it came is left behind, however this ends.
        """
        ...


class HeldMedia(Protocol):
    """Cleaned media, kept encrypted under a key of their subject until they expire."""

    async def keep(self, medium: CleanMedium, *, owner: MediaOwner) -> HeldMedium:
        """Keep a medium for as long as the settings say; durable when it returns.

        Raises ``LedgerUnavailable``, and ``MediaStoreUnavailable`` for the store of the bytes.
        """
        ...

    async def find(self, media_id: UUID, *, owner: MediaOwner) -> HeldMedium | None:
        """A medium of this owner's whose time is not over; its bytes are read when they are asked for.

        One answer for what is not there, what is somebody else's and what has expired. Reading its bytes raises
        ``MediaUnreadable`` where they are gone or are not those that were kept. Raises ``LedgerUnavailable``.
        """
        ...

    async def drop(self, media_id: UUID, *, owner: MediaOwner) -> bool:
        """Delete one; whether there was such a medium of this owner's. Raises ``LedgerUnavailable``."""
        ...

    async def forget(self, subject_ref: SubjectRef) -> None:
        """Destroy the subject's key, and with it every medium held for them, at once and for ever.

        What is left of the bytes is noise, and is swept away. Raises ``LedgerUnavailable``.
        """
        ...


class MediaSource(Protocol):
    """Hosts outside from which media may be fetched, if the operator lists them."""

    def allows(self, url: str) -> bool:
        """Whether the address lies on a host that is listed. Looks nothing up."""
        ...

    def fetch(self, url: str) -> AsyncIterator[bytes]:
        """The file at an address that is allowed, with no credential and no redirect, from public machines only.

        Raises ``MediaUnreadable`` and ``MediaTooLarge``.
        """
        ...
