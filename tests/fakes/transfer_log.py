"""The log of transfers, kept in memory, with the same last guard as the database's."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from consent_proxy.application.ports.platform import Clock
from consent_proxy.application.ports.transfers import LedgerUnavailable, Overloaded, RefusedTransfer
from consent_proxy.domain.transfers import FactsChanged, Intent, Job, Outcome, Output, RecordedIntent
from tests.fakes.facts import FakeFactsSource
from tests.fakes.jobs import FakeJobs


class FakeTransferLog:
    """Fulfils ``TransferLog``; jobs and outputs are made known to ``jobs``.

    While ``away`` is true the database is, and ``overloaded`` likewise; ``come_back`` writes what was kept meanwhile.
    """

    def __init__(
        self, *, facts: FakeFactsSource, clock: Clock, jobs: FakeJobs, send_within: timedelta = timedelta(seconds=1)
    ) -> None:
        self._facts, self._clock, self._jobs = facts, clock, jobs
        self._send_within = send_within.total_seconds()
        self._kept_outcomes: list[Outcome] = []
        self._kept_refusals: list[RefusedTransfer] = []
        self.away = False
        self.overloaded = False
        self.intents: dict[UUID, Intent] = {}
        self.outcomes: dict[UUID, list[Outcome]] = {}
        self.refusals: dict[UUID, RefusedTransfer] = {}

    async def record_intent(self, intent: Intent) -> RecordedIntent | FactsChanged:
        begin_by = self._clock.monotonic() + self._send_within
        self._look()
        if not await self._stands(intent):
            return FactsChanged()
        self.intents[intent.id] = intent
        return RecordedIntent(intent=intent, intent_at=self._clock.now(), begin_by=begin_by)

    async def affirm(self, recorded: RecordedIntent) -> RecordedIntent | FactsChanged:
        begin_by = self._clock.monotonic() + self._send_within
        self._look()
        stands = recorded.intent.id in self.intents and await self._stands(recorded.intent)
        return replace(recorded, begin_by=begin_by) if stands else FactsChanged()

    async def record_outcome(self, outcome: Outcome, *, job: Job | None = None, outputs: Sequence[Output] = ()) -> None:
        if self.away:
            if job is not None or outputs:
                raise LedgerUnavailable
            self._kept_outcomes.append(outcome)
            return
        self._append(outcome)
        self._jobs.add(job, outcome=self.last_outcome(outcome.transfer_id))
        for output in outputs:
            self._jobs.add(output=output)

    async def record_outputs(self, outputs: Sequence[Output]) -> None:
        if self.away:
            raise LedgerUnavailable
        for output in outputs:
            self._jobs.add(output=output)

    async def record_refusal(self, refused: RefusedTransfer) -> None:
        if self.away:
            self._kept_refusals.append(refused)
        else:
            self.refusals[refused.id] = refused

    async def come_back(self) -> None:
        """The database is there again, and takes what was kept."""
        self.away = False
        outcomes, self._kept_outcomes = self._kept_outcomes, []
        refusals, self._kept_refusals = self._kept_refusals, []
        for outcome in outcomes:
            await self.record_outcome(outcome)
        for refused in refusals:
            await self.record_refusal(refused)

    def last_outcome(self, transfer_id: UUID) -> Outcome | None:
        """The outcome that holds."""
        return max(self.outcomes.get(transfer_id, []), key=lambda outcome: outcome.seq, default=None)

    def _look(self) -> None:
        if self.away:
            raise LedgerUnavailable
        if self.overloaded:
            raise Overloaded

    async def _stands(self, intent: Intent) -> bool:
        permit = intent.permit
        standing = await self._facts.standing_now(permit.subject_ref, purpose=permit.purpose)
        return (
            standing.granted_to_any
            and standing.version == permit.standing_version
            and self._facts.edition_now() == permit.edition
            and self._clock.now() < permit.not_after
        )

    def _append(self, outcome: Outcome) -> None:
        """Where its place is taken by one that says something else, it comes after what is there."""
        if outcome.transfer_id not in self.intents:
            return
        known = self.outcomes.setdefault(outcome.transfer_id, [])
        if any(replace(other, seq=outcome.seq) == outcome for other in known if other.seq >= outcome.seq):
            return
        taken = {other.seq for other in known}
        known.append(replace(outcome, seq=max(taken) + 1) if outcome.seq in taken else outcome)
