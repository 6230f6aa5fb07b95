"""The machine's clock, work in the background, and new ids that sort by the time they were made."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from threading import Lock
from typing import Any
from uuid import UUID

_RANDOM_BITS = 74
#: How far an id made in the same millisecond may lie behind the one before it: 32 bits keep it unguessable.
_STEP_BYTES = 4


@asynccontextmanager
async def running(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Background work that goes on inside the block, and has ended after it."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


class SystemClock:
    """Time as this machine has it."""

    def now(self) -> datetime:
        """The wall clock, UTC-aware."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds of a clock that never goes back; comparable within this process only."""
        return time.monotonic()


class Uuid7Identifiers:
    """UUIDv7 (RFC 9562 §5.7), each greater than the one before within this process, whatever the clock does.

    Within one millisecond the 74 random bits are a counter that takes random steps (RFC 9562 §6.2, method 2).
    """

    def __init__(
        self, *, clock_ns: Callable[[], int] = time.time_ns, random_bytes: Callable[[int], bytes] = os.urandom
    ) -> None:
        self._clock_ns = clock_ns
        self._random_bytes = random_bytes
        self._lock = Lock()
        self._milliseconds = 0
        self._tail = 0

    def new_id(self) -> UUID:
        """A UUIDv7 of now; of the last id's millisecond where the clock went back."""
        with self._lock:
            self._advance(self._clock_ns() // 1_000_000)
            milliseconds, tail = self._milliseconds, self._tail
        high, low = tail >> 62, tail & (1 << 62) - 1
        return UUID(int=milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low)

    def _advance(self, milliseconds: int) -> None:
        if milliseconds > self._milliseconds:
            self._begin(milliseconds)
            return
        self._tail += 1 + int.from_bytes(self._random_bytes(_STEP_BYTES))
        if self._tail >> _RANDOM_BITS:
            self._begin(self._milliseconds + 1)

    def _begin(self, milliseconds: int) -> None:
        self._milliseconds = milliseconds
        # One bit less than there is room for, so that a busy millisecond has steps to take.
        self._tail = int.from_bytes(self._random_bytes(10)) >> (80 - _RANDOM_BITS + 1)
