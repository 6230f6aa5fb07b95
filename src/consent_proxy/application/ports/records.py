"""Reading the record, and recording who read it."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from consent_proxy.application.ports.pages import Page, PageOf
from consent_proxy.domain.callers import Credential
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.subjects import SubjectRef


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferQuery:
    """Which records an auditor asks for; every non-empty field must match, any of its values will do.

    ``subject_ref`` stands for its person: rows of every reference that was linked with it match too.
    """

    subject_ref: SubjectRef | None = None
    filters: Mapping[str, tuple[str, ...]] | None = None
    page: Page = field(default_factory=Page)


class TransferReader(Protocol):
    """Reads the record for auditors, in the shape the contract gives a transfer."""

    async def page(self, query: TransferQuery) -> PageOf[Mapping[str, Json]]:
        """One page, newest first unless asked otherwise. Raises ``LedgerUnavailable``."""
        ...

    def stream(self, query: TransferQuery) -> AsyncGenerator[Mapping[str, Json], None]:
        """Every match, with flat memory. To be closed where it is left early. Raises ``LedgerUnavailable``."""
        ...

    async def one(self, transfer_id: UUID) -> Mapping[str, Json] | None:
        """One transfer, refusal or delivery. Raises ``LedgerUnavailable``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """That somebody read the record: who, which route's template, what they asked for, how much they got."""

    id: UUID
    at: datetime
    credential: Credential
    resource: str
    subject_ref: SubjectRef | None
    object_id: str | None
    filters: Mapping[str, Json]
    items: int | None


class AccessLog(Protocol):
    """The append-only record of who read the record."""

    async def record(self, access: Access) -> None:
        """Append; durable when it returns, so that nothing is read unrecorded. Raises ``LedgerUnavailable``."""
        ...

    async def page(self, page: Page) -> PageOf[Mapping[str, Json]]:
        """One page, newest first unless asked otherwise. Raises ``LedgerUnavailable``."""
        ...
