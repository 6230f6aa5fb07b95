"""Media without files: what is cleaned is what a line of text says of itself, and what is held is held in memory."""

import hmac
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

from consent_proxy.application.hold_media import MediaRoom
from consent_proxy.application.ports.consent import Subjects
from consent_proxy.application.ports.media import MediaTooLarge, MediaUnreadable
from consent_proxy.application.ports.platform import Clock
from consent_proxy.application.ports.transfers import Jobs
from consent_proxy.domain.media import CleanMedium, HeldMedium, MediaFault, MediaKind, MediaOwner, WholeContent
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.subjects import SubjectRef
from tests.fakes.subjects import FakeSubjects

PUBLIC_URL = "https://proxy.test"


def a_file(kind: str = "photo", *, secret: str = "", size: int = 0) -> bytes:
    """A file for ``FakeMediaCleaner``, which takes out what stands between `<` and `>`."""
    return f"{kind}:pixels{'.' * size}<{secret}>".encode()


class FakeMediaCleaner:
    """Fulfils ``MediaCleaner`` for files of ``a_file``; every other file is refused. Keeps what it was given."""

    def __init__(self, *, max_bytes: int = 100_000) -> None:
        self.given: list[bytes] = []
        self._max_bytes = max_bytes

    async def clean(self, pieces: AsyncIterator[bytes], *, salt: bytes) -> CleanMedium | MediaFault:
        content = b""
        async for piece in pieces:
            content += piece
            if len(content) > self._max_bytes:
                raise MediaTooLarge(self._max_bytes)
        self.given.append(content)
        kind, _, rest = content.decode("utf-8", "replace").partition(":")
        if kind not in list(MediaKind):
            return MediaFault(reason=Reason.MEDIA_TYPE_UNSUPPORTED, fault="cannot leave: the file's type is not known")
        cleaned = f"{kind}:{rest.partition('<')[0]}".encode()
        return CleanMedium(
            kind=MediaKind(kind),
            media_type=f"{kind}/x-fake",
            extension="fake",
            bytes=len(cleaned),
            digest=hmac.digest(salt, cleaned, "sha256").hex(),
            digest_before=hmac.digest(salt, content, "sha256").hex(),
            removed=("location",) if "<>" not in rest else (),
            content=WholeContent(cleaned),
        )


class FakeHeldMedia:
    """Fulfils ``HeldMedia``."""

    def __init__(self, clock: Clock, *, ttl: timedelta = timedelta(hours=24)) -> None:
        self._clock, self.ttl = clock, ttl
        self._held: dict[UUID, HeldMedium] = {}

    async def keep(self, medium: CleanMedium, *, owner: MediaOwner) -> HeldMedium:
        now = self._clock.now()
        held = HeldMedium(id=uuid4(), owner=owner, medium=medium, created_at=now, expires_at=now + self.ttl)
        self._held[held.id] = held
        return held

    async def find(self, media_id: UUID, *, owner: MediaOwner) -> HeldMedium | None:
        held = self._held.get(media_id)
        lives = held is not None and held.owner == owner and self._clock.now() < held.expires_at
        return held if lives else None

    async def drop(self, media_id: UUID, *, owner: MediaOwner) -> bool:
        if await self.find(media_id, owner=owner) is None:
            return False
        del self._held[media_id]
        return True

    async def forget(self, subject_ref: SubjectRef) -> None:
        self._held = {key: held for key, held in self._held.items() if held.owner.subject_ref != subject_ref}


class FakeMediaSource:
    """Fulfils ``MediaSource``; ``files`` are those there are, by address. Keeps which were ``fetched``."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.fetched: list[str] = []

    def allows(self, url: str) -> bool:
        return url.startswith("https://listed.test/")

    async def fetch(self, url: str) -> AsyncIterator[bytes]:
        self.fetched.append(url)
        if url not in self.files:
            raise MediaUnreadable("it is not there")
        yield self.files[url]


def a_media_room(*, clock: Clock, jobs: Jobs, subjects: Subjects | None = None) -> MediaRoom:
    """All of it, joined as bootstrap joins the real ones."""
    return MediaRoom(
        public_url=PUBLIC_URL,
        max_bytes=100_000,
        cleaner=FakeMediaCleaner(),
        held=FakeHeldMedia(clock),
        sources=FakeMediaSource(),
        jobs=jobs,
        subjects=subjects or FakeSubjects(),
    )
