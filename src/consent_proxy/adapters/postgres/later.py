"""Writes that could not be made: kept in memory and tried again until they are."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")

_log = logging.getLogger(__name__)

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


class Later(Generic[Item]):
    """Calls ``write`` for each kept item again and again, with growing pauses, until it no longer raises.

    ``name`` says in the log what is kept, ``key`` which one; ``limit`` is how many are kept before the oldest is lost.
    """

    def __init__(
        self, write: Callable[[Item], Awaitable[None]], *, name: str, key: Callable[[Item], str], limit: int = 20_000
    ) -> None:
        self._write, self._name, self._key, self._limit = write, name, key, limit
        self._kept: list[Item] = []
        self._worker: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, item: Item) -> None:
        """Take an item that is to be written as soon as it can be."""
        if self._closing.is_set():
            _log.error("%s %s came too late to be written", self._name, self._key(item))
            return
        if len(self._kept) >= self._limit:
            _log.error("%s %s is lost: too many wait to be written", self._name, self._key(self._kept.pop(0)))
        self._kept.append(item)
        _log.warning("%s %s is kept until the database takes it", self._name, self._key(item))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._try_until_done())

    async def aclose(self, *, within: float) -> None:
        """Go on trying for so many seconds at most, then name what is lost."""
        self._closing.set()
        if self._worker is not None and not self._worker.done():
            await asyncio.wait({self._worker}, timeout=within)
            self._worker.cancel()
            await asyncio.wait({self._worker})
        for item in self._kept:
            _log.error("%s %s was not written before the end", self._name, self._key(item))

    async def _try_until_done(self) -> None:
        pause = _FIRST_PAUSE
        while self._kept:
            before = len(self._kept)
            await self._try_all()
            if self._kept:
                pause = _FIRST_PAUSE if len(self._kept) < before else min(pause * 2, _LONGEST_PAUSE)
                await self._pause(pause)

    async def _try_all(self) -> None:
        tried = list(self._kept)
        errors = await asyncio.gather(*map(self._write, tried), return_exceptions=True)
        done = {id(item) for item, error in zip(tried, errors, strict=True) if error is None}
        self._kept = [item for item in self._kept if id(item) not in done]

    async def _pause(self, seconds: float) -> None:
        """Sleep, but only briefly once the end is near."""
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
                await asyncio.sleep(_FIRST_PAUSE)
        except TimeoutError:
            pass
