"""A clock that stands until it is told to go on."""

from datetime import UTC, datetime, timedelta


class FakeClock:
    """Fulfils ``Clock``."""

    def __init__(self, start: datetime = datetime(2026, 3, 3, 12, tzinfo=UTC)) -> None:
        self._now = start
        self._monotonic = 1_000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, by: timedelta) -> datetime:
        """Let time pass, on both of its clocks."""
        self._now += by
        self._monotonic += by.total_seconds()
        return self._now

    def set_back(self, by: timedelta) -> None:
        """Correct the wall clock, as a time server does; the other one goes on."""
        self._now -= by
