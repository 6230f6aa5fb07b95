"""Locks on files that die with their holder, so that `kill -9` leaves none behind."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from consent_proxy.adapters.postgres.embedded.errors import EmbeddedPostgresError

_PAUSE = 0.02


class SharedLock:
    """A lock that many may hold at once, on an open file that is not passed on to other programs."""

    def __init__(self, path: Path) -> None:
        """Take the lock. Waits only while someone holds it alone, which nobody does for long."""
        self._file = _open(path)
        fcntl.flock(self._file, fcntl.LOCK_SH)

    def release(self) -> None:
        _release(self._file)


@contextmanager
def alone(path: Path, *, within: float) -> Iterator[None]:
    """Hold the lock at `path` alone. Raises EmbeddedPostgresError when it is not had within so many seconds."""
    file = _await_alone(path, within)
    try:
        yield
    finally:
        _release(file)


@contextmanager
def handed_on(path: Path, *, within: float) -> Iterator[int]:
    """Hold the lock at `path` alone, by an open file for other programs to inherit: they hold it after us.

    Raises EmbeddedPostgresError when it is not had within so many seconds.
    """
    file = _await_alone(path, within)
    try:
        yield file
    finally:
        os.close(file)


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock at `path` at this moment."""
    file = _try_alone(path)
    if file is None:
        return False
    _release(file)
    return True


def _await_alone(path: Path, within: float) -> int:
    deadline = time.monotonic() + within
    while (file := _try_alone(path)) is None:
        if time.monotonic() > deadline:
            raise EmbeddedPostgresError(
                f"Another process has held {path} for {within:.0f} seconds. End that process"
                f" (`fuser {path}` names it) and start again."
            )
        time.sleep(_PAUSE)
    return file


def _try_alone(path: Path) -> int | None:
    file = _open(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file


def _release(file: int) -> None:
    """Give a lock up, also for children that were forked meanwhile and hold the same open file."""
    fcntl.flock(file, fcntl.LOCK_UN)
    os.close(file)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
