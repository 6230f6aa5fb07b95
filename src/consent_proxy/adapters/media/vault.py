"""Held media: cleaned bytes, sealed under a key of their subject's own, until they are named or their time is over."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID, uuid4

from consent_proxy.adapters.media.sealing import KEY_BYTES, SealBroken, seal, unseal
from consent_proxy.adapters.media.stores import MediaStore
from consent_proxy.adapters.postgres.held_media import MediaKeyGone, PostgresMediaRows, StoredMedium
from consent_proxy.application.ports.media import MediaUnreadable
from consent_proxy.application.ports.platform import Clock, Identifiers
from consent_proxy.domain.media import CleanMedium, HeldMedium, MediaOwner
from consent_proxy.domain.subjects import SubjectRef

logger = logging.getLogger(__name__)

#: How long after the longest life of a medium its bytes are taken for forgotten, whatever the tables say.
SWEEP_AFTER = timedelta(hours=1)
#: How often each process looks for what has expired, in seconds.
SWEEP_EVERY = 600.0
#: So many are swept away at once.
_AT_ONCE = 1_000


class MediaKeys(Protocol):
    """Wraps subjects' keys under a secret of the service's."""

    def wrap_media_key(self, key: bytes, *, key_id: UUID) -> bytes:
        """The key as it may be kept."""
        ...

    def unwrap_media_key(self, wrapped: bytes, *, key_id: UUID) -> bytes | None:
        """The key, or ``None`` where it was wrapped under another secret or for another id."""
        ...


class SealedMedia:
    """Fulfils ``HeldMedia``: rows in Postgres, bytes in a store. ``ttl`` is how long a medium lives."""

    def __init__(
        self,
        rows: PostgresMediaRows,
        *,
        store: MediaStore,
        keys: MediaKeys,
        clock: Clock,
        ids: Identifiers,
        ttl: timedelta,
    ) -> None:
        self._rows, self._store, self._keys = rows, store, keys
        self._clock, self._ids, self._ttl = clock, ids, ttl

    async def keep(self, medium: CleanMedium, *, owner: MediaOwner) -> HeldMedium:
        """See ``HeldMedia``."""
        media_id, name = self._ids.new_id(), uuid4().hex
        while True:
            key_id, key = await self._key(owner.subject_ref)
            await self._store.put(name, seal(medium.content.pieces(), key=key, name=media_id.bytes))
            now = self._clock.now()
            held = HeldMedium(id=media_id, owner=owner, medium=medium, created_at=now, expires_at=now + self._ttl)
            try:
                await self._rows.add(held, key_id=key_id, store_name=name)
            except MediaKeyGone:
                # Everything held for this person was forgotten meanwhile; what came just now has a new key.
                await self._store.delete(name)
                continue
            except BaseException:
                await self._store.delete(name)
                raise
            return held

    async def find(self, media_id: UUID, *, owner: MediaOwner) -> HeldMedium | None:
        """See ``HeldMedia``."""
        stored = await self._rows.find(media_id, owner=owner, at=self._clock.now())
        if stored is None:
            return None
        key = self._keys.unwrap_media_key(stored.wrapped_key, key_id=stored.key_id)
        if key is None:
            return None
        content = _SealedContent(self._store, stored, key=key)
        return stored.held(content)

    async def drop(self, media_id: UUID, *, owner: MediaOwner) -> bool:
        """See ``HeldMedia``."""
        name = await self._rows.remove(media_id, owner=owner, at=self._clock.now())
        if name is not None:
            await self._store.delete(name)
        return name is not None

    async def forget(self, subject_ref: SubjectRef) -> None:
        """See ``HeldMedia``."""
        for name in await self._rows.forget(subject_ref):
            await self._store.delete(name)

    async def sweep(self) -> int:
        """Delete what has expired, and bytes that no row knows; how many. To be called now and then, by any replica."""
        now, swept = self._clock.now(), 0
        while names := await self._rows.remove_expired(at=now, most=_AT_ONCE):
            swept += len(names)
            for name in names:
                await self._store.delete(name)
        return swept + await self._sweep_strays(before=now - self._ttl - SWEEP_AFTER)

    async def _sweep_strays(self, *, before: datetime) -> int:
        """Bytes whose row was never written, or went while the store was away."""
        old = await self._store.names(older_than=before)
        strays = set(old) - await self._rows.known(old)
        for name in strays:
            await self._store.delete(name)
        return len(strays)

    async def _key(self, subject_ref: SubjectRef) -> tuple[UUID, bytes]:
        """The subject's key, made on first sight; two who make one at once use the same."""
        kept = await self._rows.key_of(subject_ref)
        if kept is None:
            key_id = uuid4()
            wrapped = self._keys.wrap_media_key(os.urandom(KEY_BYTES), key_id=key_id)
            kept = await self._rows.add_key(subject_ref, key_id=key_id, wrapped=wrapped)
        key = self._keys.unwrap_media_key(kept.wrapped, key_id=kept.id)
        if key is None:
            raise MediaUnreadable("the key of held media does not open with the service's secrets")
        return kept.id, key


async def keep_swept(held: SealedMedia) -> None:
    """Sweep for ever; a database or a store that is away, or odd, is no reason to stop."""
    while True:
        try:
            await held.sweep()
        except Exception as error:  # noqa: BLE001 - without this task nothing is ever taken away
            logger.warning("expired media could not be swept away (%s); they are not handed out", type(error).__name__)
        await asyncio.sleep(SWEEP_EVERY)


class _SealedContent:
    """The bytes of a held medium, read from the store each time. Fulfils ``MediaContent``."""

    at_hand = None

    def __init__(self, store: MediaStore, stored: StoredMedium, *, key: bytes) -> None:
        self._store, self._stored, self._key = store, stored, key

    async def pieces(self) -> AsyncIterator[bytes]:
        """All of them. Raises ``MediaUnreadable``."""
        sealed = self._store.get(self._stored.store_name)
        try:
            async for piece in unseal(sealed, key=self._key, name=self._stored.id.bytes):
                yield piece
        except FileNotFoundError:
            raise MediaUnreadable("the bytes of a held medium are gone") from None
        except SealBroken:
            raise MediaUnreadable("the bytes of a held medium are not those that were kept") from None
