"""References to subjects, kept in memory."""

from uuid import UUID

from consent_proxy.domain.subjects import SubjectIdentifier, SubjectRef


class FakeSubjects:
    """Fulfils ``Subjects``."""

    def __init__(self) -> None:
        self._refs: dict[SubjectIdentifier, SubjectRef] = {}

    async def resolve(self, identifier: SubjectIdentifier) -> SubjectRef:
        return self._refs.setdefault(identifier, SubjectRef(UUID(int=0x4 << 76 | 0b10 << 62 | len(self._refs) + 1)))

    async def find(self, identifier: SubjectIdentifier) -> SubjectRef | None:
        return self._refs.get(identifier)
