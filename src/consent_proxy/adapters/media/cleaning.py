"""The one door for bytes: a file is received, looked into and stripped in a folder that does not outlive it."""

import asyncio
import hmac
import logging
import os
import traceback
import weakref
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from consent_proxy.adapters.media.stripping import MediaRefused, strip_file
from consent_proxy.adapters.media.workshop import Workshop
from consent_proxy.application.ports.media import MediaTooLarge
from consent_proxy.application.ports.transfers import Overloaded
from consent_proxy.domain.media import AT_HAND_BYTES, CleanMedium, MediaContent, MediaFault, WholeContent
from consent_proxy.domain.refusals import Reason

logger = logging.getLogger(__name__)

#: How many files are worked on at once, in a process, and how many may wait for that.
HANDS = 2
MOST_WAITING = 64

_BLOCK = 1 << 20

Result = TypeVar("Result")


class FileMediaCleaner:
    """Fulfils ``MediaCleaner``. Files pass through ``folder``, as ``Workshop`` has it.

    ``max_bytes`` is the largest file that is taken.
    """

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self._workshop, self._max_bytes = Workshop(folder), max_bytes
        self._threads = ThreadPoolExecutor(max_workers=HANDS, thread_name_prefix="media")
        self._hands = asyncio.Semaphore(HANDS)
        self._waiting = 0

    def close(self) -> None:
        """Take on nothing more; what is being worked on comes to its end."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._workshop.close()

    async def clean(self, pieces: AsyncIterator[bytes], *, salt: bytes) -> CleanMedium | MediaFault:
        """See ``MediaCleaner``. Raises ``MediaTooLarge`` too."""
        with self._workshop.bench() as work:
            source, target = work / "source", work / "target"
            digest_before = await self._receive(pieces, source, salt=salt)
            async with self._hand():
                return await self._run(lambda: _strip(source, target, salt=salt, digest_before=digest_before))

    async def _receive(self, pieces: AsyncIterator[bytes], source: Path, *, salt: bytes) -> str:
        """Write the file as it comes, never more of it in memory than a block; its digest."""
        digest = hmac.new(salt, digestmod="sha256")
        size, held = 0, bytearray()
        with os.fdopen(os.open(source, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:

            def write(block: bytes) -> None:
                digest.update(block)
                file.write(block)

            async for piece in pieces:
                size += len(piece)
                if size > self._max_bytes:
                    raise MediaTooLarge(self._max_bytes)
                held += piece
                if len(held) >= _BLOCK:
                    block, held = bytes(held), bytearray()
                    await asyncio.to_thread(write, block)
            write(bytes(held))
        return digest.hexdigest()

    @asynccontextmanager
    async def _hand(self) -> AsyncIterator[None]:
        if self._waiting >= MOST_WAITING:
            raise Overloaded("more files wait to be cleaned than are taken on")
        self._waiting += 1
        try:
            async with self._hands:
                yield
        finally:
            self._waiting -= 1

    async def _run(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


class FileContent:
    """The bytes of a file that has no name any more; they are gone when nobody holds this. Fulfils ``MediaContent``."""

    at_hand = None

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        weakref.finalize(self, os.close, self._file)
        path.unlink()

    async def pieces(self) -> AsyncIterator[bytes]:
        """All of them, a block at a time."""
        at = 0
        while piece := await asyncio.to_thread(os.pread, self._file, _BLOCK, at):
            at += len(piece)
            yield piece


def _strip(source: Path, target: Path, *, salt: bytes, digest_before: str) -> CleanMedium | MediaFault:
    try:
        stripped = strip_file(source, target)
    except MediaRefused as refused:
        return MediaFault(reason=Reason(refused.reason), fault=f"cannot leave: {refused.detail}")
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a hostile file does to a stripper, it is not passed on
        frame = traceback.extract_tb(error.__traceback__)[-1]
        logger.error("a stripper failed with %s at %s:%s", type(error).__name__, frame.name, frame.lineno)  # noqa: TRY400 - the message may quote the file
        return MediaFault(reason=Reason.MEDIA_NOT_CLEAN, fault="cannot leave: the file is not wholly understood")
    finally:
        source.unlink(missing_ok=True)
    return CleanMedium(
        kind=stripped.format.kind,
        media_type=stripped.format.media_type,
        extension=stripped.format.extension,
        bytes=stripped.bytes_after,
        digest=_digest(target, salt=salt),
        digest_before=digest_before,
        removed=tuple(group.value for group in stripped.removed),
        content=_content(target, size=stripped.bytes_after),
    )


def _content(path: Path, *, size: int) -> MediaContent:
    if size > AT_HAND_BYTES:
        return FileContent(path)
    content = path.read_bytes()
    path.unlink()
    return WholeContent(content)


def _digest(path: Path, *, salt: bytes) -> str:
    digest = hmac.new(salt, digestmod="sha256")
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
