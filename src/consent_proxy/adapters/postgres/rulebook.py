"""Changes of the rules all subjects share: disclosures, contracts, keys, revoked tokens."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from consent_proxy.adapters.postgres.connections import Connection, Database
from consent_proxy.adapters.postgres.open_intents import wait_for_older_editions
from consent_proxy.adapters.postgres.persons import find_person
from consent_proxy.adapters.postgres.remembered import Remembered
from consent_proxy.adapters.postgres.rows import contract_to_document
from consent_proxy.application.ports.rules import VersionTaken
from consent_proxy.application.ports.transfers import LedgerUnavailable
from consent_proxy.domain.callers import ServiceKey
from consent_proxy.domain.contracts import Contract
from consent_proxy.domain.disclosures import Disclosure, disclosure_sha256
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.subjects import SubjectRef

#: How exactly it is remembered when a key was last used.
_USE_NOTED_EVERY = timedelta(minutes=1)

_PUBLISH = """
insert into disclosures (version, effective_at, published_at, published_by, document, sha256_by_locale)
values ($1, $2, $3, $4, $5, $6)
"""
_PUT_CONTRACT = """
insert into contracts (id, recipient, document, valid_from, valid_until, put_at, put_by, ended_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_END_CONTRACT = """
update contracts set ended_at = $2 where recipient = $1 and (ended_at is null or ended_at > $2)
"""
_ADD_CALLER = """
insert into callers (id, name, created_at) values ($1, $2, clock_timestamp()) on conflict (name) do nothing
"""
_ADD_KEY = """
insert into keys (id, caller_id, digest, roles, created_at, expires_at, revoked_at) values ($1, $2, $3, $4, $5, $6, $7)
"""
_REVOKE_KEY = """
update keys set revoked_at = coalesce(revoked_at, $2) where id = $1 returning true
"""
_ADD_REVOCATION = """
insert into token_revocations (token_id, expires_at) values ($1, $2)
on conflict (token_id) do update set expires_at = greatest(token_revocations.expires_at, excluded.expires_at)
"""
_REVOKE_TOKENS_OF = """
insert into token_cutoffs (subject_ref, issued_before) select ref, $2 from unnest($1::uuid[]) ref
on conflict (subject_ref) do update
set issued_before = greatest(token_cutoffs.issued_before, excluded.issued_before)
"""
_NOTE_USE = """
update keys set last_used_at = $2
where id = $1 and (last_used_at is null or last_used_at <= $2::timestamptz - $3::interval)
"""


class PostgresRulebook:
    """Fulfils ``Rulebook``. ``send_within`` is the longest time from asking for an intent to its first byte."""

    def __init__(self, database: Database, *, send_within: timedelta) -> None:
        self._database = database
        self._send_within = send_within
        self._noted: Remembered[UUID, datetime] = Remembered(size=10_000, life=_USE_NOTED_EVERY)

    async def publish(self, disclosure: Disclosure, *, by: str) -> bool:
        """Publish a version; ``False`` if the same document was there.

        Raises ``VersionTaken``, ``LedgerUnavailable``, and ``ValueError`` for a document without a canonical form.
        """
        digests: dict[str, Json] = {
            locale: disclosure_sha256(disclosure.document, locale=locale) for locale in disclosure.locales()
        }
        # Looked up before the lock too: publishing what is there, as every start does, disturbs nobody.
        async with self._database.acquire() as connection:
            if await _is_published(connection, disclosure):
                return False
        async with self._changed() as connection:
            if await _is_published(connection, disclosure):
                return False
            await connection.execute(
                _PUBLISH,
                disclosure.version,
                disclosure.effective_at,
                disclosure.published_at,
                by,
                dict(disclosure.document),
                digests,
            )
        return True

    async def put_contract(self, contract: Contract, *, by: str) -> None:
        """Add a version of a contract. Raises ``LedgerUnavailable``."""
        async with self._changed() as connection:
            await connection.execute(
                _PUT_CONTRACT,
                contract.id,
                contract.recipient,
                contract_to_document(contract),
                contract.valid_from,
                contract.valid_until,
                contract.put_at,
                by,
                contract.ended_at,
            )

    async def end_contract(
        self,
        recipient: str,
        *,
        at: datetime,
        by: str,  # noqa: ARG002 - there is no column yet for who ended it
    ) -> bool:
        """End every version put so far at a moment; what ended earlier stays so. Raises ``LedgerUnavailable``."""
        async with self._changed() as connection:
            await connection.execute(_END_CONTRACT, recipient, at)
            return bool(
                await connection.fetchval("select exists (select from contracts where recipient = $1)", recipient)
            )

    async def create_key(self, key: ServiceKey) -> ServiceKey:
        """Add a key, and its caller on first sight. It narrows nothing. Raises ``LedgerUnavailable``."""
        async with self._database.transaction() as connection:
            await connection.execute("select move_edition()")
            await connection.execute(_ADD_CALLER, key.caller_id, key.caller)
            caller_id = await connection.fetchval("select id from callers where name = $1", key.caller)
            created = replace(key, caller_id=caller_id)
            await connection.execute(
                _ADD_KEY,
                created.id,
                created.caller_id,
                created.digest,
                sorted(created.roles),
                created.created_at,
                created.expires_at,
                created.revoked_at,
            )
        return created

    async def revoke_key(self, key_id: UUID, *, at: datetime) -> bool:
        """Revoke a key for good; the first revocation counts. Raises ``LedgerUnavailable``."""
        async with self._changed() as connection:
            return await connection.fetchval(_REVOKE_KEY, key_id, at) is not None

    async def revoke_token(self, token_id: str, *, expires_at: datetime) -> None:
        """Revoke one subject token, and forget those that have expired since. Raises ``LedgerUnavailable``."""
        async with self._changed() as connection:
            await connection.execute("delete from token_revocations where expires_at < clock_timestamp()")
            await connection.execute(_ADD_REVOCATION, token_id, expires_at)

    async def revoke_tokens_of(self, subject_ref: SubjectRef, *, issued_before: datetime) -> None:
        """Revoke every token of a person issued up to a moment. Raises ``LedgerUnavailable``."""
        async with self._changed() as connection:
            # A link shares the lock that this holds alone: none is made meanwhile.
            person = await find_person(connection, subject_ref)
            await connection.execute(_REVOKE_TOKENS_OF, person.references, issued_before)

    async def note_key_used(self, key_id: UUID, *, at: datetime) -> None:
        """Remember, to the minute, when a key was last used. Best effort: never fails for a database that is away."""
        if self._noted.get(key_id) is not None:
            return
        self._noted.put(key_id, at)
        try:
            await self._database.execute(_NOTE_USE, key_id, at, _USE_NOTED_EVERY)
        except LedgerUnavailable:
            return

    async def last_used(self) -> Mapping[UUID, datetime]:
        """When each key was last used. Raises ``LedgerUnavailable``."""
        rows = await self._database.fetch("select id, last_used_at from keys where last_used_at is not null")
        return {row["id"]: row["last_used_at"] for row in rows}

    @asynccontextmanager
    async def _changed(self) -> AsyncIterator[Connection]:
        """A transaction that moves the edition; after its commit, wait for what may still leave under the old one."""
        async with self._database.transaction() as connection:
            edition = await connection.fetchval("select move_edition()")
            yield connection
        await wait_for_older_editions(self._database, edition=edition, send_within=self._send_within)


async def _is_published(connection: Connection, disclosure: Disclosure) -> bool:
    """Whether this very document is there. Raises ``VersionTaken`` where another one has its name."""
    known = await connection.fetchval("select document from disclosures where version = $1", disclosure.version)
    if known is not None and _text(known) != _text(dict(disclosure.document)):
        raise VersionTaken(f"the version '{disclosure.version}' is published and says something else")
    return known is not None


def _text(document: Json) -> str:
    # Not `==`, for which 1 and true are the same.
    return json.dumps(document, sort_keys=True)
