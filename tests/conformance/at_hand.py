"""A port together with the other end of it: how a suite reads what the port wrote, or writes what it reads."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from consent_proxy.application.ports.rules import Rulebook
from consent_proxy.application.ports.transfers import Jobs
from consent_proxy.domain.rules import Rules
from consent_proxy.domain.subjects import SubjectRef
from consent_proxy.domain.transfers import Job, Outcome, Output


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesAtHand:
    """A rulebook, and a way to read what it wrote."""

    book: Rulebook
    read: Callable[[], Awaitable[Rules]]


class Note(Protocol):
    """Makes known what a transfer led to."""

    def __call__(
        self, outcome: Outcome, *, job: Job | None = None, outputs: Sequence[Output] = ()
    ) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class JobsAtHand:
    """Jobs, a transfer of a subject, and a way to write what became of it."""

    jobs: Jobs
    transfer_id: UUID
    subject_ref: SubjectRef
    note: Note
