"""Jobs and their outputs, kept in memory; a test puts them there."""

from uuid import UUID

from consent_proxy.domain.transfers import Job, Outcome, Output


class FakeJobs:
    """Fulfils ``Jobs``."""

    def __init__(self) -> None:
        self._jobs: dict[UUID, Job] = {}
        self._outcomes: dict[UUID, dict[int, Outcome]] = {}
        self._outputs: dict[str, Output] = {}

    def add(self, job: Job | None = None, *, outcome: Outcome | None = None, output: Output | None = None) -> None:
        """Make known what a transfer led to; what is known already stays as it is."""
        if job is not None:
            self._jobs.setdefault(job.id, job)
        if outcome is not None:
            self._outcomes.setdefault(outcome.transfer_id, {}).setdefault(outcome.seq, outcome)
        if output is not None:
            self._outputs.setdefault(output.capability, output)

    async def find(self, job_id: UUID) -> Job | None:
        return self._jobs.get(job_id)

    async def last_outcome(self, job_id: UUID) -> Outcome | None:
        outcomes = self._outcomes.get(job_id)
        return outcomes[max(outcomes)] if outcomes else None

    async def find_output(self, capability: str) -> Output | None:
        return self._outputs.get(capability)
