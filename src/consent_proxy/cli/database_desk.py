"""The desk at the database itself, for whoever holds its credentials: the same rules and record, without a key."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from consent_proxy.application.create_key import create_key
from consent_proxy.application.ports.desk import ListedContract, ListedDisclosures, ListedKey
from consent_proxy.application.ports.pages import PageOf
from consent_proxy.application.ports.records import Access, TransferQuery
from consent_proxy.bootstrap.desk import Desk
from consent_proxy.domain.callers import BOOTSTRAP_CALLER, Credential, CredentialKind, Role, ServiceKey
from consent_proxy.domain.documents import contract_from_document, disclosure_from_document
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.subjects import SubjectIdentifier

#: Who changed the rules or read the record, where it was not one of the keys.
_CLI = Credential(
    kind=CredentialKind.BOOTSTRAP, id="cli", caller_id=BOOTSTRAP_CALLER, caller="cli", roles=frozenset(Role)
)


class DatabaseControlDesk:
    """Fulfils ``ControlDesk``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def create_key(
        self, *, caller: str, roles: frozenset[Role], expires_at: datetime | None
    ) -> tuple[ListedKey, str]:
        """See ``ControlDesk``."""
        desk = self._desk
        key, secret = await create_key(
            caller=caller, roles=roles, expires_at=expires_at, rulebook=desk.rulebook, ids=desk.ids, clock=desk.clock
        )
        return _listed(key, last_used_at=None), secret

    async def keys(self) -> Sequence[ListedKey]:
        """See ``ControlDesk``."""
        rules = await self._desk.facts.rules(fresh=True)
        used = await self._desk.rulebook.last_used()
        ordered = sorted(rules.keys.values(), key=lambda key: (key.created_at, key.id))
        return [_listed(key, last_used_at=used.get(key.id)) for key in ordered]

    async def revoke_key(self, key_id: UUID) -> bool:
        """See ``ControlDesk``."""
        return await self._desk.rulebook.revoke_key(key_id, at=self._desk.clock.now())

    async def publish(self, document: Mapping[str, Json]) -> bool:
        """See ``ControlDesk``."""
        disclosure = disclosure_from_document(document, published_at=self._desk.clock.now())
        return await self._desk.rulebook.publish(disclosure, by=_CLI.caller)

    async def disclosures(self) -> ListedDisclosures:
        """See ``ControlDesk``."""
        rules = await self._desk.facts.rules(fresh=True)
        current = rules.current(at=self._desk.clock.now())
        newest = sorted(rules.disclosures, key=lambda known: (known.effective_at, known.version), reverse=True)
        return ListedDisclosures(versions=tuple(newest), current=current.version if current is not None else None)

    async def put_contract(self, recipient: str, document: Mapping[str, Json]) -> UUID:
        """See ``ControlDesk``."""
        version = contract_from_document(
            document, id=self._desk.ids.new_id(), recipient=recipient, put_at=self._desk.clock.now()
        )
        await self._desk.rulebook.put_contract(version, by=_CLI.caller)
        return version.id

    async def contracts(self) -> Sequence[ListedContract]:
        """See ``ControlDesk``."""
        rules = await self._desk.facts.rules(fresh=True)
        now = self._desk.clock.now()
        in_force = {found.id for known in rules.contracts if (found := rules.contract(known.recipient, at=now))}
        ordered = sorted(rules.contracts, key=lambda known: (known.recipient, known.put_at, known.id))
        return [ListedContract(contract=known, in_force=known.id in in_force) for known in ordered]

    async def end_contract(self, recipient: str) -> datetime | None:
        """See ``ControlDesk``."""
        ended_at = self._desk.clock.now()
        return ended_at if await self._desk.rulebook.end_contract(recipient, at=ended_at, by=_CLI.caller) else None

    async def transfers(self, query: TransferQuery, *, subject: SubjectIdentifier | None) -> PageOf[Mapping[str, Json]]:
        """See ``ControlDesk``."""
        about = await self._about(query, subject)
        if about is None:
            return PageOf(items=(), next_cursor=None)
        page = await self._desk.reader.page(about)
        await self._note("cli transfers list", about, items=len(page.items))
        return page

    async def export(
        self, query: TransferQuery, *, subject: SubjectIdentifier | None
    ) -> AsyncGenerator[Mapping[str, Json], None]:
        """See ``ControlDesk``."""
        about = await self._about(query, subject)
        if about is None:
            return
        await self._note("cli transfers export", about, items=None)
        async with aclosing(self._desk.reader.stream(about)) as records:
            async for record in records:
                yield record

    async def log_lines(self) -> AsyncGenerator[str, None]:
        """The whole transparency log, a JSON line each; the reading is recorded first. Raises ``LedgerUnavailable``."""
        await self._note("cli log export", TransferQuery(), items=None)
        async with aclosing(self._desk.transparency.export()) as lines:
            async for line in lines:
                yield line

    async def _about(self, query: TransferQuery, subject: SubjectIdentifier | None) -> TransferQuery | None:
        """The query, or ``None`` where the person named is not known here, so that nothing can match."""
        if subject is None:
            return query
        ref = await self._desk.find_subject(subject)
        return replace(query, subject_ref=ref) if ref is not None and query.subject_ref in {None, ref} else None

    async def _note(self, resource: str, query: TransferQuery, *, items: int | None) -> None:
        """Record that somebody with access to the database reads the record."""
        access = Access(
            id=self._desk.ids.new_id(),
            at=self._desk.clock.now(),
            credential=_CLI,
            resource=resource,
            subject_ref=query.subject_ref,
            object_id=None,
            filters={name: list(values) for name, values in (query.filters or {}).items()},
            items=items,
        )
        await self._desk.access_log.record(access)


def _listed(key: ServiceKey, *, last_used_at: datetime | None) -> ListedKey:
    return ListedKey(
        id=key.id,
        caller=key.caller,
        roles=frozenset(role.value for role in key.roles),
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        last_used_at=last_used_at,
    )
