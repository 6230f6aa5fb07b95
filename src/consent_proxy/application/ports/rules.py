"""Changing the rules that all subjects share."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol
from uuid import UUID

from consent_proxy.domain.callers import ServiceKey
from consent_proxy.domain.contracts import Contract
from consent_proxy.domain.disclosures import Disclosure
from consent_proxy.domain.subjects import SubjectRef


class Rulebook(Protocol):
    """Writes the rules all subjects share. Each change moves the edition under the exclusive rules lock and, where it
    narrows anything, returns only when no send can begin any more on an intent committed under the edition before.
    """

    async def publish(self, disclosure: Disclosure, *, by: str) -> bool:
        """Publish a version; ``True`` if new, ``False`` if the same document was there. Raises ``VersionTaken``."""
        ...

    async def put_contract(self, contract: Contract, *, by: str) -> None:
        """Add a version of a contract."""
        ...

    async def end_contract(self, recipient: str, *, at: datetime, by: str) -> bool:
        """End every version put so far at a moment; ``False`` where there is none."""
        ...

    async def create_key(self, key: ServiceKey) -> ServiceKey:
        """Add a key; a caller of that name is made on first sight, and the answer carries its real ``caller_id``."""
        ...

    async def revoke_key(self, key_id: UUID, *, at: datetime) -> bool:
        """Revoke a key for good; ``False`` where there is none."""
        ...

    async def revoke_token(self, token_id: str, *, expires_at: datetime) -> None:
        """Revoke one subject token."""
        ...

    async def revoke_tokens_of(self, subject_ref: SubjectRef, *, issued_before: datetime) -> None:
        """Revoke every token of a person issued up to a moment, whichever of its references it carries."""
        ...

    async def note_key_used(self, key_id: UUID, *, at: datetime) -> None:
        """Remember roughly (to the minute) when a key was last used. Best effort."""
        ...

    async def last_used(self) -> Mapping[UUID, datetime]:
        """When each key was last used."""
        ...


class VersionTaken(Exception):
    """A disclosure of that version exists and says something else."""
