"""Ids that come in order and are the same in every run."""

from uuid import UUID


class FakeIdentifiers:
    """Fulfils ``Identifiers``: well-formed UUIDv7, counting up from 1."""

    def __init__(self) -> None:
        self._count = 0

    def new_id(self) -> UUID:
        self._count += 1
        return UUID(int=1_772_539_200_000 << 80 | 0x7 << 76 | 0b10 << 62 | self._count)
