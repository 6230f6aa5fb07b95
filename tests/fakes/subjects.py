"""References to subjects, kept in memory."""

from collections.abc import Mapping
from uuid import UUID

from consent_proxy.domain.subjects import SubjectIdentifier, SubjectRef


class FakeSubjects:
    """Fulfils ``Subjects``; ``links`` are a fake ledger's."""

    def __init__(self, links: Mapping[SubjectRef, SubjectRef] | None = None) -> None:
        self._refs: dict[SubjectIdentifier, SubjectRef] = {}
        self._links = links if links is not None else {}

    async def resolve(self, identifier: SubjectIdentifier, *, fresh: bool = False) -> SubjectRef:
        del fresh
        made = SubjectRef(UUID(int=0x4 << 76 | 0b10 << 62 | len(self._refs) + 1))
        return await self.follow(self._refs.setdefault(identifier, made))

    async def find(self, identifier: SubjectIdentifier, *, fresh: bool = False) -> SubjectRef | None:
        del fresh
        known = self._refs.get(identifier)
        return await self.follow(known) if known is not None else None

    async def follow(self, subject_ref: SubjectRef) -> SubjectRef:
        while subject_ref in self._links:
            subject_ref = self._links[subject_ref]
        return subject_ref
