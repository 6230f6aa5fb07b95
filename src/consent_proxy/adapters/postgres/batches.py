"""Group commit: what arrives while a batch is in flight forms the next one."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from consent_proxy.application.ports.transfers import LedgerUnavailable, Overloaded

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[Item, Result]):
    item: Item
    answer: "asyncio.Future[Result]"


class Batches(Generic[Item, Result]):
    """Hands items to ``write`` in batches: the first at once, those that come meanwhile together, no timers.

    At most ``lanes`` batches are in flight, of ``most`` items each; ``waiting`` items may wait. ``write`` answers for
    each item, in their order. Where it raises ``LedgerUnavailable`` that goes for the whole batch; after any other
    error it is called for each item alone, so that only the guilty one gets the error.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]],
        *,
        lanes: int = 2,
        most: int = 128,
        waiting: int = 2048,
    ) -> None:
        self._write = write
        self._lanes, self._most, self._limit = lanes, most, waiting
        self._queue: deque[_Waiting[Item, Result]] = deque()
        self._running: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How many items wait for a batch."""
        return len(self._queue)

    def add(self, item: Item) -> "asyncio.Future[Result]":
        """Take an item. Raises ``Overloaded`` where too many wait.

        The future is the batch's to answer: await it through ``asyncio.shield``, or a caller that is cancelled takes
        it away from under the batch.
        """
        if len(self._queue) >= self._limit:
            raise Overloaded("too many writes wait for the database")
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(item, answer))
        if len(self._running) < self._lanes:
            lane = asyncio.create_task(self._drain())
            self._running.add(lane)
        return answer

    async def aclose(self) -> None:
        """Wait until everything taken is answered."""
        while self._running:
            await asyncio.wait(self._running)

    async def _drain(self) -> None:
        lane = asyncio.current_task()
        assert lane is not None
        try:
            while self._queue:
                batch = [self._queue.popleft() for _ in range(min(self._most, len(self._queue)))]
                await self._settle(batch)
        finally:
            # Here and not in a callback: what is added between the last look at the queue and that would wait for ever.
            self._running.discard(lane)

    async def _settle(self, batch: Sequence[_Waiting[Item, Result]]) -> None:
        try:
            answers = await self._write([waiting.item for waiting in batch])
        except LedgerUnavailable as error:
            for waiting in batch:
                waiting.answer.set_exception(LedgerUnavailable(*error.args))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is one item's, and the others have to be tried
            if len(batch) == 1:
                batch[0].answer.set_exception(error)
                return
            for waiting in batch:
                await self._settle([waiting])
        else:
            for waiting, answer in zip(batch, answers, strict=True):
                waiting.answer.set_result(answer)
