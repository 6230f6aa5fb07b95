"""What an operator or an auditor asks of a service from outside of it, wherever that service runs."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from consent_proxy.application.ports.pages import PageOf
from consent_proxy.application.ports.records import TransferQuery
from consent_proxy.domain.callers import Role
from consent_proxy.domain.contracts import Contract
from consent_proxy.domain.disclosures import Disclosure
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.subjects import SubjectIdentifier


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedKey:
    """A service key as it is listed: neither its text nor its digest. Times are UTC.

    ``roles`` are texts, since a newer service may have some that are not known here.
    """

    id: UUID
    caller: str
    roles: frozenset[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedContract:
    """A version of a contract, and whether it is the one in force by the service's clock."""

    contract: Contract
    in_force: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedDisclosures:
    """Every version, the newest first; ``current`` is the one in force by the service's clock, if any is."""

    versions: tuple[Disclosure, ...]
    current: str | None


class DeskRefused(Exception):
    """The service said no. The message is one line and says why."""


class DeskAway(Exception):
    """The service could not be asked, or what answers is none. The message is one line and says what to do."""


class ControlDesk(Protocol):
    """The rules and the record of one service. A change holds on every replica once its method has returned.

    Every method raises ``DeskRefused`` and ``DeskAway``, or ``LedgerUnavailable`` where it asks the database itself.
    """

    async def create_key(
        self, *, caller: str, roles: frozenset[Role], expires_at: datetime | None
    ) -> tuple[ListedKey, str]:
        """Make a key; its text is handed out this once."""
        ...

    async def keys(self) -> Sequence[ListedKey]:
        """Every key, revoked ones too, the oldest first."""
        ...

    async def revoke_key(self, key_id: UUID) -> bool:
        """Revoke a key for good; ``False`` where there is none."""
        ...

    async def publish(self, document: Mapping[str, Json]) -> bool:
        """Publish a disclosure; ``False`` if the same was there. Raises ``VersionTaken``."""
        ...

    async def disclosures(self) -> ListedDisclosures:
        """Every version, and which is in force."""
        ...

    async def put_contract(self, recipient: str, document: Mapping[str, Json]) -> UUID:
        """Add a version of a contract; its id."""
        ...

    async def contracts(self) -> Sequence[ListedContract]:
        """Every version put, by recipient, the oldest first."""
        ...

    async def end_contract(self, recipient: str) -> datetime | None:
        """End every version put so far, and say when; ``None`` where there is none."""
        ...

    async def transfers(self, query: TransferQuery, *, subject: SubjectIdentifier | None) -> PageOf[Mapping[str, Json]]:
        """A page of the record, of one person where one is named. That it was read is recorded."""
        ...

    def export(
        self, query: TransferQuery, *, subject: SubjectIdentifier | None
    ) -> AsyncGenerator[Mapping[str, Json], None]:
        """Every match, with flat memory. That it was read is recorded first. Close it where it is left early."""
        ...
