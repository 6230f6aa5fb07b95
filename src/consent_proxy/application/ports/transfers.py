"""What the walk needs: the facts, the log that makes an intent durable, the jobs that transfers start."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from consent_proxy.domain.callers import Credential
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.decide import Facts
from consent_proxy.domain.manifests import Manifest
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.rules import Rules
from consent_proxy.domain.subjects import SubjectKind, SubjectRef
from consent_proxy.domain.transfers import FactsChanged, Intent, Job, Outcome, Output, RecordedIntent


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedTransfer:
    """What is recorded of a no: whose, which caller's, for what, and the one reason. No value of the request."""

    id: UUID
    at: datetime
    environment: str
    sandbox: bool
    subject_ref: SubjectRef
    subject_kind: SubjectKind
    credential: Credential
    provider: str
    recipient: str
    model: str
    purpose: str | None
    manifest: Manifest | None
    reason: Reason
    fields_dropped: tuple[tuple[str, str], ...] = ()
    trace_id: str | None = None
    edition: int | None = None


class LedgerUnavailable(Exception):
    """The database did not answer, or the answer to a commit was lost. Nothing was begun; nothing may be sent."""


class Overloaded(Exception):
    """More work is waiting than the service takes on. Nothing was begun."""


class FactsSource(Protocol):
    """What stands, through a cache that correctness never rests on: the commit of an intent checks again."""

    async def facts(self, subject_ref: SubjectRef, *, purpose: Purpose, fresh: bool) -> Facts:
        """Standing, salt and rules. ``fresh`` reads all of them from the database now, in one snapshot, and the
        result says so. Raises ``LedgerUnavailable``.
        """
        ...

    async def rules(self, *, fresh: bool) -> Rules:
        """The rules alone; ``fresh``: of the edition the database has now. Raises ``LedgerUnavailable``."""
        ...

    def last_rules(self) -> Rules | None:
        """The rules as they were read last, however long ago: for what has to be told while the database is away."""
        ...


class TransferLog(Protocol):
    """The append-only record of what left, and of what was refused."""

    async def record_intent(self, intent: Intent) -> RecordedIntent | FactsChanged:
        """Make the intent durable if what its permit stands on still stands in the database, and before ``not_after``.

        Durable (flushed) when it returns. ``begin_by`` counts from the moment of this call. Raises
        ``LedgerUnavailable`` when it is unknown whether the row is there: then nothing may be sent, and the row, if
        there is one, gets a not-delivered outcome later. Raises ``Overloaded`` when too many wait.
        """
        ...

    async def affirm(self, recorded: RecordedIntent) -> RecordedIntent | FactsChanged:
        """The same check without an insert, before each further outbound request of one transfer."""
        ...

    async def record_outcome(self, outcome: Outcome, *, job: Job | None = None, outputs: Sequence[Output] = ()) -> None:
        """Append an outcome and, with it, the job and outputs it made known; all durable when it returns.

        Outputs already known keep their expiry. Never raises for a database that is away when there is no ``job`` and
        no ``outputs``: the outcome is kept and written when it is back. Otherwise raises ``LedgerUnavailable``.
        """
        ...

    async def record_outputs(self, outputs: Sequence[Output]) -> None:
        """Make outputs known that a later answer named; those already known keep their expiry. Durable when it
        returns. Raises ``LedgerUnavailable``.
        """
        ...

    async def record_refusal(self, refused: RefusedTransfer) -> None:
        """Append a refusal. Never raises for a database that is away: the no stands, its record is kept for later."""
        ...


class Jobs(Protocol):
    """The work that transfers started, and the results it led to."""

    async def find(self, job_id: UUID) -> Job | None:
        """The job of that id. Raises ``LedgerUnavailable``."""
        ...

    async def last_outcome(self, job_id: UUID) -> Outcome | None:
        """The outcome of the highest ``seq``. Raises ``LedgerUnavailable``."""
        ...

    async def find_output(self, capability: str) -> Output | None:
        """The output a capability names, expired or not. Raises ``LedgerUnavailable``."""
        ...
