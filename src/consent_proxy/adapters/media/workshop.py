"""Where files are worked on as they came: a folder of this process's own, which outlives it by nothing but a start."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from consent_proxy.application.ports.media import MediaStoreUnavailable

_OF_A_PROCESS = "process-"
_LOCK = "lock"
#: A folder without its lock is one that is just being made, or that was left in that moment.
_MADE_WITHIN = 60.0


class Workshop:
    """Folders below ``root``, made when they are needed (mode 0700). This process's is locked for as long as it lives.

    What a process left that was killed is removed by the next one that starts.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder: Path | None = None
        self._lock: int | None = None
        remove_abandoned(root)

    @contextmanager
    def bench(self) -> Iterator[Path]:
        """A folder for one piece of work, removed with all that is in it. Raises ``MediaStoreUnavailable``."""
        try:
            work = Path(tempfile.mkdtemp(dir=self._own()))
            try:
                yield work
            finally:
                shutil.rmtree(work, ignore_errors=True)
        except OSError as error:
            raise MediaStoreUnavailable(f"there is no room to work on media ({type(error).__name__})") from None

    def close(self) -> None:
        """Remove this process's folder."""
        if self._folder is not None and self._lock is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            os.close(self._lock)
            self._folder, self._lock = None, None

    def _own(self) -> Path:
        if self._folder is None:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=_OF_A_PROCESS, dir=self._root))
            self._lock = os.open(folder / _LOCK, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            self._folder = folder
        return self._folder


def remove_abandoned(root: Path) -> None:
    """Remove the folders of processes that are gone; those that live hold their locks."""
    for folder in root.glob(f"{_OF_A_PROCESS}*"):
        with suppress(OSError):  # somebody else removes it, or it is being made
            if _is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    if not (folder / _LOCK).exists():
        return folder.stat().st_mtime < time.time() - _MADE_WITHIN
    lock = os.open(folder / _LOCK, os.O_WRONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True
