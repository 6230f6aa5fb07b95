"""Where sealed bytes lie: in a folder of this machine's, or in a bucket that replicas share."""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit
from urllib.request import url2pathname

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from consent_proxy.application.ports.media import MediaStoreUnavailable

if TYPE_CHECKING:  # these two exist for type checkers only
    from obstore.store import ClientConfig, RetryConfig

_BLOCK = 1 << 20
#: Longer files go to a bucket in parts of this size, one after the other.
_PART_BYTES = 8 << 20
#: Whoever uploads waits for this store: what does not work soon is said to be away.
_RETRIES: "RetryConfig" = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}
#: An endpoint of plain http is the operator's own word (``AWS_ENDPOINT_URL``): bytes are sealed, requests signed.
_CLIENT: "ClientConfig" = {
    "connect_timeout": timedelta(seconds=5),
    "timeout": timedelta(seconds=60),
    "allow_http": True,
}
_NAME = re.compile(r"[0-9a-f]{32}")
_UNFINISHED = ".part"


class MediaStore(Protocol):
    """Bytes by name. Names are 32 hexadecimal digits; all of it raises ``MediaStoreUnavailable``."""

    async def put(self, name: str, pieces: AsyncIterator[bytes]) -> None:
        """Keep the bytes under a new name, all of them or none. Raises what ``pieces`` raises."""
        ...

    def get(self, name: str) -> AsyncIterator[bytes]:
        """The bytes in pieces; raises ``FileNotFoundError`` where there are none of that name."""
        ...

    async def delete(self, name: str) -> None:
        """Delete them, if they are there."""
        ...

    async def names(self, *, older_than: datetime) -> list[str]:
        """The names of what was put before a moment, and of what never got whole."""
        ...


class FolderStore:
    """Fulfils ``MediaStore`` in a folder that is this service's alone (mode 0700) and made when it is needed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, name: str, pieces: AsyncIterator[bytes]) -> None:
        """See ``MediaStore``."""
        unfinished = self._folder / f"{name}{_UNFINISHED}"
        with _as_unavailable():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = await asyncio.to_thread(os.open, unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            held = bytearray()
            async for piece in pieces:
                held += piece
                if len(held) >= _BLOCK:
                    await asyncio.to_thread(_write, file, bytes(held))
                    held.clear()
            await asyncio.to_thread(_finish, file, bytes(held), unfinished, self._folder / name)
        finally:
            os.close(file)
            unfinished.unlink(missing_ok=True)

    async def get(self, name: str) -> AsyncIterator[bytes]:
        """See ``MediaStore``."""
        with (self._folder / name).open("rb", buffering=0) as file:
            while piece := await asyncio.to_thread(file.read, _BLOCK):
                yield piece

    async def delete(self, name: str) -> None:
        """See ``MediaStore``."""
        with _as_unavailable():
            (self._folder / name).unlink(missing_ok=True)

    async def names(self, *, older_than: datetime) -> list[str]:
        """See ``MediaStore``."""
        with _as_unavailable():
            return await asyncio.to_thread(self._older, older_than.timestamp())

    def _older(self, moment: float) -> list[str]:
        if not self._folder.exists():
            return []
        found = []
        for entry in os.scandir(self._folder):
            with suppress(FileNotFoundError):  # another replica may sweep it away meanwhile
                if _NAME.fullmatch(entry.name.removesuffix(_UNFINISHED)) and entry.stat().st_mtime < moment:
                    found.append(entry.name)
        return found


class BucketStore:
    """Fulfils ``MediaStore`` in any bucket that speaks S3. Credentials, region and endpoint come from the ``AWS_…``
    environment, as for every S3 client. Only sealed bytes go there.
    """

    def __init__(self, store: S3Store) -> None:
        self._store = store

    async def put(self, name: str, pieces: AsyncIterator[bytes]) -> None:
        """See ``MediaStore``."""
        with _as_unavailable():
            await obstore.put_async(self._store, name, pieces, chunk_size=_PART_BYTES, max_concurrency=1)

    async def get(self, name: str) -> AsyncIterator[bytes]:
        """See ``MediaStore``."""
        with _as_unavailable():
            found = await obstore.get_async(self._store, name)
            async for piece in found.stream(min_chunk_size=_BLOCK):
                yield bytes(piece)

    async def delete(self, name: str) -> None:
        """See ``MediaStore``."""
        with _as_unavailable():
            await obstore.delete_async(self._store, name)

    async def names(self, *, older_than: datetime) -> list[str]:
        """See ``MediaStore``."""
        with _as_unavailable():
            return [
                entry["path"]
                async for page in obstore.list(self._store)
                for entry in page
                if _NAME.fullmatch(entry["path"]) and entry["last_modified"].astimezone(UTC) < older_than
            ]


def open_media_store(setting: str | None, *, default: Path) -> MediaStore:
    """The store that a setting names: ``file:/folder``, ``s3://bucket/prefix``, or the default folder.

    Raises ``ValueError`` for anything else.
    """
    if setting is None:
        return FolderStore(default)
    parts = urlsplit(setting)
    if parts.scheme == "file" and parts.path.startswith("/") and not parts.netloc:
        return FolderStore(Path(url2pathname(parts.path)))
    if parts.scheme == "s3" and parts.netloc:
        prefix = parts.path.strip("/") or None
        return BucketStore(S3Store(parts.netloc, prefix=prefix, retry_config=_RETRIES, client_options=_CLIENT))
    raise ValueError("CONSENT_PROXY_MEDIA__STORE has to be file:/folder or s3://bucket/prefix")


def _write(file: int, block: bytes) -> None:
    with _as_unavailable():
        view = memoryview(block)
        while view:
            view = view[os.write(file, view) :]


def _finish(file: int, rest: bytes, unfinished: Path, whole: Path) -> None:
    _write(file, rest)
    with _as_unavailable():
        os.fsync(file)
        unfinished.rename(whole)


@contextmanager
def _as_unavailable() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, BaseError) as error:
        raise MediaStoreUnavailable(f"the store of held media failed ({type(error).__name__})") from None
