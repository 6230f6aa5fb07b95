"""A provider's job, which advances by being polled and by the passing of time, whichever is sooner."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

POLLS_UNTIL_RUNNING = 2
POLLS_UNTIL_DONE = 3


class Stage(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """True when no other stage follows."""
        return self in (Stage.DONE, Stage.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How many seconds a job takes, and a slow one."""

    seconds: float = 0.3
    slow_seconds: float = 3.0


@dataclass(slots=True, kw_only=True)
class Job:
    """The work asked for. `patient` jobs are not hurried by polls; `seconds` is what the work takes."""

    id: str
    model: str
    seconds: float
    patient: bool = False
    polls: int = 0
    cancelled: bool = False
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    _started: float = field(default_factory=time.monotonic)

    @property
    def age(self) -> float:
        """Seconds since the job was created."""
        return time.monotonic() - self._started

    @property
    def stage(self) -> Stage:
        """Where the job stands now."""
        polls = 0 if self.patient else self.polls
        if self.cancelled:
            return Stage.CANCELLED
        if polls >= POLLS_UNTIL_DONE or self.age >= self.seconds:
            return Stage.DONE
        if polls >= POLLS_UNTIL_RUNNING or self.age >= self.seconds / 2:
            return Stage.RUNNING
        return Stage.QUEUED

    @property
    def over(self) -> bool:
        """True when nothing more will happen to it."""
        return self.stage.final

    def poll(self) -> Stage:
        """Ask how it goes, which moves it on."""
        self.polls += 1
        return self.stage

    def cancel(self) -> bool:
        """Stop it; False when it was over already."""
        if self.over:
            return False
        self.cancelled = True
        return True
