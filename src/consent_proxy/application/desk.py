"""The desk at which the command line works: what it reads and changes the rules and the record with."""

from dataclasses import dataclass

from consent_proxy.application.ports.platform import Clock, Identifiers, LedgerHealth
from consent_proxy.application.ports.records import Access, AccessLog, TransferQuery, TransferReader
from consent_proxy.application.ports.rules import Rulebook
from consent_proxy.application.ports.transfers import FactsSource
from consent_proxy.domain.callers import BOOTSTRAP_CALLER, Credential, CredentialKind, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What the command line works with: the rules, the record, and nothing that sends."""

    facts: FactsSource
    rulebook: Rulebook
    reader: TransferReader
    health: LedgerHealth
    access_log: AccessLog
    clock: Clock
    ids: Identifiers

    async def note_access(self, resource: str, *, query: TransferQuery, items: int | None) -> None:
        """Record that somebody with access to the database read the record."""
        credential = Credential(
            kind=CredentialKind.BOOTSTRAP, id="cli", caller_id=BOOTSTRAP_CALLER, caller="cli", roles=frozenset(Role)
        )
        access = Access(
            id=self.ids.new_id(),
            at=self.clock.now(),
            credential=credential,
            resource=resource,
            subject_ref=query.subject_ref,
            object_id=None,
            filters={name: list(values) for name, values in (query.filters or {}).items()},
            items=items,
        )
        await self.access_log.record(access)
