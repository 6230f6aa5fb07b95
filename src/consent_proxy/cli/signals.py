"""SIGTERM as an orderly end, through every `with`, so that nothing that was started stays behind."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

#: What a shell makes of a process that SIGTERM ended.
ENDED_BY_SIGTERM = 128 + signal.SIGTERM


def stopping() -> None:
    """From here on everything ends anyway: SIGTERM interrupts nothing more. For the main thread."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@contextmanager
def ended_by_sigterm(*, status: int = ENDED_BY_SIGTERM) -> Iterator[None]:
    """Inside, SIGTERM raises ``SystemExit`` with that status; a second one does not interrupt what the first began.

    For the main thread. uvicorn takes the signal itself while it serves, and raises it again once it has drained.
    """

    def end(_number: int, _frame: FrameType | None) -> None:
        stopping()
        raise SystemExit(status)

    previous = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)
