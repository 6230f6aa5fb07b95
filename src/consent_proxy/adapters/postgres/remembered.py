"""A small memory of rows that were read: bounded in number and in age."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from datetime import timedelta
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Remembered(Generic[Key, Value]):
    """The entries used last, at most ``size`` of them, each for ``life`` from when it was read."""

    def __init__(self, *, size: int, life: timedelta, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._life = life.total_seconds()
        self._monotonic = monotonic
        self._entries: OrderedDict[Key, tuple[float, Value]] = OrderedDict()

    def get(self, key: Key) -> Value | None:
        """The value, if it is known and still fresh."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        read_at, value = entry
        if self._monotonic() >= read_at + self._life:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return value

    def put(self, key: Key, value: Value) -> Value:
        """Remember a value that was read just now, and hand it back; the entry used longest ago makes room."""
        self._entries[key] = (self._monotonic(), value)
        self._entries.move_to_end(key)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)
        return value
