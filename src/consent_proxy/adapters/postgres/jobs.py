"""The jobs that transfers started, what became of them, and the outputs that capabilities lead to."""

from datetime import timedelta
from hashlib import sha256
from uuid import UUID

from consent_proxy.adapters.postgres.connections import Database, Row
from consent_proxy.adapters.postgres.remembered import Remembered
from consent_proxy.adapters.postgres.rows import moment_from_json
from consent_proxy.domain.subjects import SubjectKind, SubjectRef
from consent_proxy.domain.transfers import Cancel, Job, Outcome, OutcomeState, Output, ProviderJob, ResultState

#: What is read of a job never changes, but it may be erased: so it is not remembered for long.
_REMEMBERED_FOR = timedelta(seconds=30)
_REMEMBERED = 10_000

_JOB = """
select id, caller_id, subject_ref, subject_kind, provider, recipient, model, purpose, provider_job_id, address,
  operation, version, created_at
from jobs where id = $1
"""
_LAST_OUTCOME = """
select transfer_id, seq, state, detail from outcomes where transfer_id = $1 order by seq desc limit 1
"""
_OUTPUT = "select job_id, caller_id, subject_ref, provider, url, expires_at from outputs where digest = $1"


class PostgresJobs:
    """Fulfils ``Jobs``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: Remembered[UUID, Job] = Remembered(size=_REMEMBERED, life=_REMEMBERED_FOR)

    async def find(self, job_id: UUID) -> Job | None:
        """The job of that id. Raises ``LedgerUnavailable``."""
        known = self._known.get(job_id)
        if known is not None:
            return known
        row = await self._database.fetchrow(_JOB, job_id)
        return self._known.put(job_id, _job(row)) if row is not None else None

    async def last_outcome(self, job_id: UUID) -> Outcome | None:
        """The outcome of the highest ``seq``. Raises ``LedgerUnavailable``."""
        row = await self._database.fetchrow(_LAST_OUTCOME, job_id)
        return _outcome(row) if row is not None else None

    async def find_output(self, capability: str) -> Output | None:
        """The output a capability names, expired or not. Raises ``LedgerUnavailable``."""
        # Whoever reads the database cannot open an output: it holds only what a capability hashes to.
        digest = sha256(capability.encode("utf-8", "surrogatepass")).digest()
        row = await self._database.fetchrow(_OUTPUT, digest)
        if row is None:
            return None
        return Output(
            capability=capability,
            job_id=row["job_id"],
            caller_id=row["caller_id"],
            subject_ref=SubjectRef(row["subject_ref"]),
            provider=row["provider"],
            url=row["url"],
            expires_at=row["expires_at"],
        )


def _job(row: Row) -> Job:
    provider_job_id = row["provider_job_id"]
    return Job(
        id=row["id"],
        caller_id=row["caller_id"],
        subject_ref=SubjectRef(row["subject_ref"]),
        subject_kind=SubjectKind(row["subject_kind"]),
        provider=row["provider"],
        recipient=row["recipient"],
        model=row["model"],
        purpose=row["purpose"],
        provider_job=ProviderJob(id=provider_job_id, address=row["address"]) if provider_job_id is not None else None,
        operation=row["operation"],
        version=row["version"],
        created_at=row["created_at"],
    )


def _outcome(row: Row) -> Outcome:
    detail, cancel = row["detail"], row["detail"].get("cancel")
    result = detail.get("result")
    return Outcome(
        transfer_id=row["transfer_id"],
        seq=row["seq"],
        state=OutcomeState(row["state"]),
        http_status=detail.get("http_status"),
        completed_at=moment_from_json(detail.get("completed_at")),
        duration_ms=detail.get("duration_ms"),
        provider_request_id=detail.get("provider_request_id"),
        bytes_received=detail.get("bytes_received"),
        cancel=_cancel(cancel["requested_at"], cancel["result"]) if cancel is not None else None,
        result=ResultState(result) if result is not None else None,
        stopped_after=detail.get("stopped_after"),
    )


def _cancel(requested_at: str, result: str) -> Cancel:
    moment = moment_from_json(requested_at)
    assert moment is not None
    return Cancel(requested_at=moment, result=result)
