"""The rows of held media and the wrapped keys of their subjects; the bytes lie in a store.

A medium keeps the reference it was held under; links made of several references one person, who has them all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from consent_proxy.adapters.postgres.connections import Database
from consent_proxy.domain.media import CleanMedium, HeldMedium, MediaContent, MediaKind, MediaOwner
from consent_proxy.domain.subjects import SubjectRef

_KEY = "select id, wrapped from media_keys where subject_ref = $1 order by created_at desc limit 1"
_ADD_KEY = "insert into media_keys (id, subject_ref, wrapped, created_at) values ($1, $2, $3, now())"
#: Whoever makes a subject's first key holds the subject's row; the second finds the first one's.
_SUBJECT = "select from subjects where subject_ref = $1 for update"
_ADD = """
insert into held_media (id, caller_id, subject_ref, key_id, store_name, kind, media_type, extension, bytes, digest,
  digest_before, removed, created_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
"""
_FIND = """
select m.*, k.wrapped from held_media m join media_keys k on k.id = m.key_id
where m.id = $1 and m.caller_id = $2 and m.subject_ref in (select ref from person_of($3)) and m.expires_at > $4
"""
_REMOVE = """
delete from held_media
where id = $1 and caller_id = $2 and subject_ref in (select ref from person_of($3)) and expires_at > $4
returning store_name
"""
_REMOVE_EXPIRED = """
delete from held_media where id in (
  select id from held_media where expires_at <= $1 order by expires_at limit $2 for update skip locked)
returning store_name
"""
_FORGET = "delete from held_media where subject_ref in (select ref from person_of($1)) returning store_name"
_FORGET_KEYS = "delete from media_keys where subject_ref in (select ref from person_of($1))"
_KNOWN = "select store_name from held_media where store_name = any($1)"


class MediaKeyGone(Exception):
    """The key was destroyed before the medium sealed under it was known; nothing was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptKey:
    """A subject's key as it is kept."""

    id: UUID
    wrapped: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredMedium:
    """A row, with the key that opens its bytes."""

    id: UUID
    key_id: UUID
    wrapped_key: bytes
    store_name: str
    row: Any

    def held(self, content: MediaContent) -> HeldMedium:
        """The medium, with its bytes."""
        row = self.row
        return HeldMedium(
            id=self.id,
            owner=MediaOwner(caller_id=row["caller_id"], subject_ref=SubjectRef(row["subject_ref"])),
            medium=CleanMedium(
                kind=MediaKind(row["kind"]),
                media_type=row["media_type"],
                extension=row["extension"],
                bytes=row["bytes"],
                digest=row["digest"],
                digest_before=row["digest_before"],
                removed=tuple(row["removed"]),
                content=content,
            ),
            created_at=row["created_at"],
            expires_at=row["expires_at"],
        )


class PostgresMediaRows:
    """The tables `held_media` and `media_keys`. Everything here raises ``LedgerUnavailable``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def key_of(self, subject_ref: SubjectRef) -> KeptKey | None:
        """The subject's newest key."""
        row = await self._database.fetchrow(_KEY, subject_ref)
        return KeptKey(id=row["id"], wrapped=row["wrapped"]) if row is not None else None

    async def add_key(self, subject_ref: SubjectRef, *, key_id: UUID, wrapped: bytes) -> KeptKey:
        """Make this the subject's key, unless somebody was faster: then theirs."""
        async with self._database.transaction() as connection:
            await connection.fetch(_SUBJECT, subject_ref)
            row = await connection.fetchrow(_KEY, subject_ref)
            if row is not None:
                return KeptKey(id=row["id"], wrapped=row["wrapped"])
            await connection.execute(_ADD_KEY, key_id, subject_ref, wrapped)
        return KeptKey(id=key_id, wrapped=wrapped)

    async def add(self, held: HeldMedium, *, key_id: UUID, store_name: str) -> None:
        """Make a medium known. Raises ``MediaKeyGone``."""
        medium, owner = held.medium, held.owner
        try:
            await self._database.execute(
                _ADD,
                held.id,
                owner.caller_id,
                owner.subject_ref,
                key_id,
                store_name,
                medium.kind.value,
                medium.media_type,
                medium.extension,
                medium.bytes,
                medium.digest,
                medium.digest_before,
                list(medium.removed),
                held.created_at,
                held.expires_at,
            )
        except asyncpg.ForeignKeyViolationError:
            raise MediaKeyGone from None

    async def find(self, media_id: UUID, *, owner: MediaOwner, at: datetime) -> StoredMedium | None:
        """The medium, if it is this owner's and lives."""
        row = await self._database.fetchrow(_FIND, media_id, owner.caller_id, owner.subject_ref, at)
        if row is None:
            return None
        return StoredMedium(
            id=row["id"], key_id=row["key_id"], wrapped_key=row["wrapped"], store_name=row["store_name"], row=row
        )

    async def remove(self, media_id: UUID, *, owner: MediaOwner, at: datetime) -> str | None:
        """Take a medium of this owner's out; the name of its bytes, or ``None`` where there is none that lives."""
        name: str | None = await self._database.fetchval(_REMOVE, media_id, owner.caller_id, owner.subject_ref, at)
        return name

    async def remove_expired(self, *, at: datetime, most: int) -> list[str]:
        """Take out what has expired; the names of the bytes."""
        return [row["store_name"] for row in await self._database.fetch(_REMOVE_EXPIRED, at, most)]

    async def forget(self, subject_ref: SubjectRef) -> list[str]:
        """Destroy the subject's keys with all that was sealed under them; the names of the bytes."""
        async with self._database.transaction() as connection:
            names = [row["store_name"] for row in await connection.fetch(_FORGET, subject_ref)]
            await connection.execute(_FORGET_KEYS, subject_ref)
        return names

    async def known(self, names: Sequence[str]) -> set[str]:
        """Those of the names that belong to a medium."""
        return {row["store_name"] for row in await self._database.fetch(_KNOWN, list(names))}
