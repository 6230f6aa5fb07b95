"""Writing what became of transfers, with the jobs and outputs that it made known, and what was refused."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from hashlib import sha256
from uuid import UUID

from consent_proxy.adapters.postgres.batches import Batches
from consent_proxy.adapters.postgres.connections import Database, encode_json
from consent_proxy.adapters.postgres.later import Later
from consent_proxy.adapters.postgres.transfer_records import outcome_detail, refusal_details
from consent_proxy.application.ports.platform import Clock
from consent_proxy.application.ports.transfers import LedgerUnavailable, Overloaded, RefusedTransfer
from consent_proxy.domain.transfers import Job, Outcome, Output

#: Seconds a refusal's answer waits for its record; after that the record follows.
_REFUSAL_WITHIN = 1.0

_APPEND = "select transfer_id, seq from append_outcomes($1, $2, $3, $4::text[]::jsonb[])"
_INSERT_OUTPUTS = """insert into outputs (digest, job_id, caller_id, subject_ref, provider, url, created_at, expires_at)
    select * from unnest({}::bytea[], {}::uuid[], {}::uuid[], {}::uuid[], {}::text[], {}::text[], {}::timestamptz[],
      {}::timestamptz[])
    on conflict do nothing"""
_ADD_OUTPUTS = _INSERT_OUTPUTS.format(*(f"${place}" for place in range(1, 9)))
_APPEND_WITH_WORK = f"""with told as ({_APPEND}),
  started as (
    insert into jobs (id, caller_id, subject_ref, subject_kind, provider, recipient, model, purpose, provider_job_id,
      address, operation, version, created_at)
    select * from unnest($5::uuid[], $6::uuid[], $7::uuid[], $8::text[], $9::text[], $10::text[], $11::text[],
      $12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::timestamptz[])
    on conflict do nothing),
  named as ({_INSERT_OUTPUTS.format(*(f"${place}" for place in range(18, 26)))})
select transfer_id, seq from told"""  # noqa: S608 - put together from the constants above
_APPEND_REFUSALS = "select append_refusals($1, $2::text[]::jsonb[])"
#: How often an outcome that another transaction overtook is tried again at once.
_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """An outcome on its way, encoded."""

    outcome: Outcome
    detail: str
    job: Job | None
    outputs: tuple[Output, ...]

    @property
    def made_work_known(self) -> bool:
        return self.job is not None or bool(self.outputs)


class OutcomeWriter:
    """Appends outcomes, in batches. ``written`` hears of each transfer whose outcome is durable."""

    def __init__(self, database: Database, *, clock: Clock, written: Callable[[UUID], None]) -> None:
        self._database, self._clock, self._written = database, clock, written
        self._batches: Batches[_Told, None] = Batches(self._append)
        self._later: Later[_Told] = Later(self._write, name="the outcome of", key=_transfer_of)

    @property
    def kept(self) -> int:
        """How many outcomes wait for the database."""
        return len(self._later)

    async def record(self, outcome: Outcome, *, job: Job | None = None, outputs: Sequence[Output] = ()) -> None:
        """See ``TransferLog.record_outcome``."""
        told = _encode(outcome, job, tuple(outputs))
        try:
            await self._write(told)
        except LedgerUnavailable:
            if told.made_work_known:
                raise
            self._later.keep(told)

    def follow_up(self, outcome: Outcome) -> None:
        """Write an outcome that nobody waits for, as soon as the database takes it."""
        self._later.keep(_encode(outcome, None, ()))

    async def record_outputs(self, outputs: Sequence[Output]) -> None:
        """See ``TransferLog.record_outputs``."""
        if outputs:
            await self._database.execute(_ADD_OUTPUTS, *_output_columns(outputs, at=self._clock.now()))

    async def aclose(self, *, within: float) -> None:
        """Write what is under way, and try what is kept for so many seconds at most."""
        await self._batches.aclose()
        await self._later.aclose(within=within)

    async def _write(self, told: _Told) -> None:
        """Raises ``LedgerUnavailable``."""
        transfer_id = told.outcome.transfer_id
        try:
            answer = self._batches.add(told)
        except Overloaded as error:
            raise LedgerUnavailable(*error.args) from error
        try:
            await asyncio.shield(answer)
        except asyncio.CancelledError:
            answer.add_done_callback(partial(self._left_alone, told))
            raise
        except LedgerUnavailable:
            raise
        except Exception as error:
            raise LedgerUnavailable(f"the outcome of {transfer_id} was not taken ({type(error).__name__})") from error
        self._written(transfer_id)

    def _left_alone(self, told: _Told, answer: "asyncio.Future[None]") -> None:
        """Whoever waited is gone; the outcome has to be written all the same."""
        if answer.cancelled() or answer.exception() is not None:
            self._later.keep(told)
        else:
            self._written(told.outcome.transfer_id)

    async def _append(self, batch: Sequence[_Told]) -> Sequence[None]:
        async with self._database.acquire() as connection:
            statement, columns = _APPEND, _outcome_columns(batch)
            if any(told.made_work_known for told in batch):
                statement, columns = _APPEND_WITH_WORK, [*columns, *_work_columns(batch, at=self._clock.now())]
            rows = await connection.fetch(statement, *columns)
            left = batch
            for _ in range(_TRIES):
                left = _left(left, Counter(row["transfer_id"] for row in rows))
                if not left:
                    break
                rows = await connection.fetch(_APPEND, *_outcome_columns(left))
                if not rows:  # there already, word for word
                    break
        return [None] * len(batch)


class RefusalWriter:
    """Appends refusals, in batches; one that cannot be written now is written later."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._batches: Batches[tuple[UUID, str], None] = Batches(self._append, lanes=1)
        self._later: Later[tuple[UUID, str]] = Later(self._write, name="the record of refusal", key=_refusal_of)

    async def record(self, refused: RefusedTransfer) -> None:
        """See ``TransferLog.record_refusal``."""
        item = (refused.id, encode_json(refusal_details(refused)))
        try:
            answer = self._batches.add(item)
        except Overloaded:
            self._later.keep(item)
            return
        answer.add_done_callback(partial(self._keep_if_failed, item))
        await asyncio.wait({answer}, timeout=_REFUSAL_WITHIN)

    async def aclose(self, *, within: float) -> None:
        """Write what is under way, and try what is kept for so many seconds at most."""
        await self._batches.aclose()
        await self._later.aclose(within=within)

    def _keep_if_failed(self, item: tuple[UUID, str], answer: "asyncio.Future[None]") -> None:
        """The refusal stands whatever befalls its record."""
        if answer.cancelled() or answer.exception() is not None:
            self._later.keep(item)

    async def _write(self, item: tuple[UUID, str]) -> None:
        await asyncio.shield(self._batches.add(item))

    async def _append(self, batch: Sequence[tuple[UUID, str]]) -> Sequence[None]:
        await self._database.fetch(_APPEND_REFUSALS, [key for key, _ in batch], [text for _, text in batch])
        return [None] * len(batch)


def _left(batch: Sequence[_Told], appended: Counter[UUID]) -> Sequence[_Told]:
    """Those of transfers of which fewer outcomes were appended than given; trying one twice does nothing."""
    given = Counter(told.outcome.transfer_id for told in batch)
    return [told for told in batch if appended[told.outcome.transfer_id] < given[told.outcome.transfer_id]]


def _encode(outcome: Outcome, job: Job | None, outputs: tuple[Output, ...]) -> _Told:
    """What a provider called its reply is the one text of an outcome that is not ours: it must not cost the rest."""
    try:
        detail = encode_json(outcome_detail(outcome))
    except ValueError:
        outcome = replace(outcome, provider_request_id=None)
        detail = encode_json(outcome_detail(outcome))
    return _Told(outcome=outcome, detail=detail, job=job, outputs=outputs)


def _outcome_columns(batch: Sequence[_Told]) -> list[list[object]]:
    return [
        [told.outcome.transfer_id for told in batch],
        [told.outcome.seq for told in batch],
        [told.outcome.state.value for told in batch],
        [told.detail for told in batch],
    ]


def _work_columns(batch: Sequence[_Told], *, at: datetime) -> list[list[object]]:
    jobs = [told.job for told in batch if told.job is not None]
    outputs = [output for told in batch for output in told.outputs]
    return [
        [job.id for job in jobs],
        [job.caller_id for job in jobs],
        [job.subject_ref for job in jobs],
        [job.subject_kind.value for job in jobs],
        [job.provider for job in jobs],
        [job.recipient for job in jobs],
        [job.model for job in jobs],
        [job.purpose for job in jobs],
        [job.provider_job.id if job.provider_job is not None else None for job in jobs],
        [job.provider_job.address if job.provider_job is not None else "" for job in jobs],
        [job.operation for job in jobs],
        [job.version for job in jobs],
        [job.created_at for job in jobs],
        *_output_columns(outputs, at=at),
    ]


def _output_columns(outputs: Sequence[Output], *, at: datetime) -> list[list[object]]:
    return [
        [sha256(output.capability.encode()).digest() for output in outputs],
        [output.job_id for output in outputs],
        [output.caller_id for output in outputs],
        [output.subject_ref for output in outputs],
        [output.provider for output in outputs],
        [output.url for output in outputs],
        [at for _ in outputs],
        [output.expires_at for output in outputs],
    ]


def _transfer_of(told: _Told) -> str:
    return str(told.outcome.transfer_id)


def _refusal_of(item: tuple[UUID, str]) -> str:
    return str(item[0])
