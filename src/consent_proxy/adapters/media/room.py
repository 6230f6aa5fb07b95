"""Everything that handling media takes, put together, with the sweeping in the background."""

from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from consent_proxy.adapters.http import Outbound
from consent_proxy.adapters.media.cleaning import FileMediaCleaner
from consent_proxy.adapters.media.sources import ListedSources, source_transport
from consent_proxy.adapters.media.stores import MediaStore, open_media_store
from consent_proxy.adapters.media.vault import MediaKeys, SealedMedia, keep_swept
from consent_proxy.adapters.postgres.connections import Database
from consent_proxy.adapters.postgres.held_media import PostgresMediaRows
from consent_proxy.adapters.postgres.jobs import PostgresJobs
from consent_proxy.adapters.postgres.subjects import PostgresSubjects
from consent_proxy.adapters.system import SystemClock, Uuid7Identifiers, running
from consent_proxy.application.hold_media import MediaRoom
from consent_proxy.application.ports.platform import Digests


class Keys(MediaKeys, Digests, Protocol):
    """The service's secrets, as far as media and their subjects need them."""


def open_media_room(
    folder: Path,
    *,
    database: Database,
    keys: Keys,
    public_url: str,
    store: str | None,
    source_hosts: Iterable[str],
    max_bytes: int,
    ttl: timedelta,
) -> AbstractAsyncContextManager[MediaRoom]:
    """The room, to be entered. ``folder`` is this service's own; ``store`` as ``open_media_store`` reads it.

    Raises ``ValueError`` for a store that is none, and ``OSError`` for a folder that cannot be used.
    """
    hosts = tuple(source_hosts)
    cleaner = FileMediaCleaner(folder / "work", max_bytes=max_bytes)
    held = _held(open_media_store(store, default=folder / "held"), database=database, keys=keys, ttl=ttl)
    outbound = Outbound(source_transport(hosts))
    sources = ListedSources(outbound, hosts=hosts, max_bytes=max_bytes)
    room = MediaRoom(
        public_url=public_url,
        max_bytes=max_bytes,
        cleaner=cleaner,
        held=held,
        sources=sources,
        jobs=PostgresJobs(database),
        subjects=PostgresSubjects(database, digests=keys),
    )

    @asynccontextmanager
    async def opened() -> AsyncIterator[MediaRoom]:
        async with AsyncExitStack() as stack:
            stack.callback(cleaner.close)
            stack.push_async_callback(outbound.aclose)
            await stack.enter_async_context(running(keep_swept(held)))
            yield room

    return opened()


def _held(store: MediaStore, *, database: Database, keys: MediaKeys, ttl: timedelta) -> SealedMedia:
    rows = PostgresMediaRows(database)
    return SealedMedia(rows, store=store, keys=keys, clock=SystemClock(), ids=Uuid7Identifiers(), ttl=ttl)
