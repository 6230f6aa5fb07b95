"""The transfer log on Postgres: intents are committed in groups, by the one function that may, or not at all."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from consent_proxy.adapters.metrics import Load
from consent_proxy.adapters.postgres.batches import Batches
from consent_proxy.adapters.postgres.connections import Backend, Connection, Database, encode_json, is_lost
from consent_proxy.adapters.postgres.doubts import Doubts
from consent_proxy.adapters.postgres.outcomes import OutcomeWriter, RefusalWriter
from consent_proxy.adapters.postgres.transfer_records import intent_details
from consent_proxy.adapters.postgres.workers import Worker
from consent_proxy.application.ports.platform import Clock
from consent_proxy.application.ports.transfers import LedgerUnavailable, Overloaded, RefusedTransfer
from consent_proxy.domain.decide import Permit
from consent_proxy.domain.transfers import FactsChanged, Intent, Job, Outcome, OutcomeState, Output, RecordedIntent

_COMMIT = "select commit_intents($1, $2, $3, $4, $5, $6, $7::text[]::jsonb[]) as id"
_AFFIRM = "select affirm_intents($1, $2, $3, $4, $5, $6) as id"
#: So many outcomes that wait for the database are the memory's limit: nothing new is sent before they are written.
_MOST_KEPT = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """An intent that waits to be committed, encoded. ``begin_by`` counts from the moment it was asked for."""

    intent: Intent
    details: str
    worker: int
    begin_by: float


_Answer = RecordedIntent | FactsChanged | Overloaded


class PostgresTransferLog:
    """Fulfils ``TransferLog``. Make it with ``open_transfer_log``."""

    def __init__(self, database: Database, *, worker: Worker, clock: Clock, send_within: timedelta) -> None:
        self._database, self._worker, self._clock = database, worker, clock
        self._send_within = send_within.total_seconds()
        self._intents: Batches[_Asked, _Answer] = Batches(self._commit)
        self._affirmations: Batches[RecordedIntent, bool] = Batches(self._check, lanes=1)
        self._outcomes = OutcomeWriter(database, clock=clock, written=worker.closed)
        self._refusals = RefusalWriter(database)
        self._doubts = Doubts(database, closed=worker.closed)
        self._doubtful: set[UUID] = set()

    async def record_intent(self, intent: Intent) -> RecordedIntent | FactsChanged:
        """See ``TransferLog``. Raises ``ValueError`` for what jsonb cannot hold."""
        begin_by = self._clock.monotonic() + self._send_within
        if self._outcomes.kept > _MOST_KEPT:
            raise LedgerUnavailable("too many outcomes wait to be written")
        worker, tenure = self._worker.id, self._worker.tenure
        details = encode_json(intent_details(intent, worker=worker))
        answer = self._intents.add(_Asked(intent=intent, details=details, worker=worker, begin_by=begin_by))
        self._worker.opened(intent.id, worker=worker)
        answer.add_done_callback(self._closing(intent.id))
        try:
            result = await asyncio.shield(answer)
        except asyncio.CancelledError:
            # Nobody will send it. If it was committed, or still is, the record has to say so.
            answer.add_done_callback(self._abandoned)
            raise
        except LedgerUnavailable:
            raise
        except Exception as error:
            raise LedgerUnavailable(f"the intent {intent.id} was not taken ({type(error).__name__})") from error
        if isinstance(result, Overloaded):
            raise result
        if isinstance(result, RecordedIntent):
            self._still_ours(result, tenure)
        return result

    async def affirm(self, recorded: RecordedIntent) -> RecordedIntent | FactsChanged:
        """See ``TransferLog``."""
        begin_by = self._clock.monotonic() + self._send_within
        if not self._worker.holds(recorded.intent.id):
            raise LedgerUnavailable("this worker has lost the lock that the intent was recorded under")
        stands = await asyncio.shield(self._affirmations.add(recorded))
        return replace(recorded, begin_by=begin_by) if stands else FactsChanged()

    async def record_outcome(self, outcome: Outcome, *, job: Job | None = None, outputs: Sequence[Output] = ()) -> None:
        """See ``TransferLog``."""
        await self._outcomes.record(outcome, job=job, outputs=outputs)

    async def record_outputs(self, outputs: Sequence[Output]) -> None:
        """See ``TransferLog``."""
        await self._outcomes.record_outputs(outputs)

    async def record_refusal(self, refused: RefusedTransfer) -> None:
        """See ``TransferLog``."""
        await self._refusals.record(refused)

    def load(self) -> Load:
        """What is under way in this process."""
        return Load(
            waiting=len(self._intents),
            open=self._worker.open,
            kept=self._outcomes.kept,
            settled=self._worker.settled,
        )

    async def aclose(self, *, within: float = 10.0) -> None:
        """Write what is still to be written, for so many seconds at most, then give the worker's id up."""
        await self._intents.aclose()
        await self._affirmations.aclose()
        await asyncio.gather(
            self._outcomes.aclose(within=within),
            self._refusals.aclose(within=within),
            self._doubts.aclose(within=within),
        )
        await self._worker.aclose()

    async def _commit(self, batch: Sequence[_Asked]) -> Sequence[_Answer]:
        now = self._clock.monotonic()
        timely = [asked for asked in batch if asked.begin_by > now]
        committed = await self._insert(timely) if timely else frozenset()
        at = self._clock.now()
        return [_answer(asked, committed, late=asked.begin_by <= now, at=at) for asked in batch]

    async def _insert(self, batch: Sequence[_Asked]) -> frozenset[UUID]:
        columns = [*_keys([asked.intent for asked in batch]), [asked.details for asked in batch]]
        async with self._database.acquire() as connection:
            backend = self._database.backend(connection)
            try:
                rows = await connection.fetch(_COMMIT, *columns)
            except Exception as error:
                if not _is_answered(error, connection):
                    self._doubt([asked.intent.id for asked in batch], backend)
                raise
        return frozenset(row["id"] for row in rows)

    async def _check(self, batch: Sequence[RecordedIntent]) -> Sequence[bool]:
        rows = await self._database.fetch(_AFFIRM, *_keys([recorded.intent for recorded in batch]))
        standing = {row["id"] for row in rows}
        return [recorded.intent.id in standing for recorded in batch]

    def _doubt(self, ids: Sequence[UUID], backend: Backend) -> None:
        self._doubtful.update(ids)
        self._doubts.add(ids, backend=backend)

    def _closing(self, transfer_id: UUID) -> "Callable[[asyncio.Future[_Answer]], None]":
        """Where it is known that there is no row, nothing is open; doubtful ones are closed with the doubt."""

        def done(answer: "asyncio.Future[_Answer]") -> None:
            if transfer_id in self._doubtful:
                self._doubtful.discard(transfer_id)
            elif (
                answer.cancelled() or answer.exception() is not None or not isinstance(answer.result(), RecordedIntent)
            ):
                self._worker.closed(transfer_id)

        return done

    def _abandoned(self, answer: "asyncio.Future[_Answer]") -> None:
        if answer.cancelled() or answer.exception() is not None:
            return
        result = answer.result()
        if isinstance(result, RecordedIntent):
            self._not_begun(result)

    def _still_ours(self, recorded: RecordedIntent, tenure: int) -> None:
        """The lock may have been lost while the commit was under way, and the intent settled by somebody: not begun."""
        if self._worker.tenure != tenure or not self._worker.holds(recorded.intent.id):
            self._not_begun(recorded)
            raise LedgerUnavailable("this worker lost its lock while the intent was recorded")

    def _not_begun(self, recorded: RecordedIntent) -> None:
        self._outcomes.follow_up(Outcome(transfer_id=recorded.intent.id, seq=1, state=OutcomeState.NOT_DELIVERED))


async def open_transfer_log(database: Database, *, clock: Clock, send_within: timedelta) -> PostgresTransferLog:
    """Open the log as a worker of its own; the database may be away. Close it, with ``aclose``, before the database."""
    worker = Worker(database, clock=clock, send_within=send_within)
    await worker.start()
    return PostgresTransferLog(database, worker=worker, clock=clock, send_within=send_within)


def _keys(intents: Sequence[Intent]) -> list[list[object]]:
    permits: list[Permit] = [intent.permit for intent in intents]
    return [
        [intent.id for intent in intents],
        [permit.subject_ref for permit in permits],
        [permit.purpose.value for permit in permits],
        [permit.standing_version for permit in permits],
        [permit.edition for permit in permits],
        [permit.not_after for permit in permits],
    ]


def _answer(asked: _Asked, committed: frozenset[UUID], *, late: bool, at: datetime) -> _Answer:
    if late:
        return Overloaded("the intent waited longer than a send may")
    if asked.intent.id not in committed:
        return FactsChanged()
    return RecordedIntent(intent=asked.intent, intent_at=at, begin_by=asked.begin_by)


def _is_answered(error: Exception, connection: Connection) -> bool:
    """Whether it is certain that nothing was committed: the server refused it, or it never left here."""
    if isinstance(error, asyncpg.PostgresError):
        return not is_lost(connection) and not (error.sqlstate or "").startswith(("57P", "08"))
    return isinstance(error, ValueError) and not is_lost(connection)
