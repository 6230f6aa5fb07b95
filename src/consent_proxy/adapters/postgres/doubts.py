"""Intents whose commit was not answered: found out about when the database is back, and closed as not delivered."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from consent_proxy.adapters.postgres.connections import Backend, Connection, Database, encode_json
from consent_proxy.adapters.postgres.later import Later
from consent_proxy.adapters.postgres.transfer_records import outcome_detail
from consent_proxy.application.ports.transfers import LedgerUnavailable
from consent_proxy.domain.transfers import Outcome, OutcomeState

_END = "select pg_terminate_backend(pid) from pg_stat_activity where pid = $1 and backend_start = $2"
_LOOKS = 50
_LOOK_EVERY = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """Ids that one server process was asked to commit, and that may or may not be there."""

    ids: tuple[UUID, ...]
    backend: Backend


class Doubts:
    """Remembers doubtful ids. Nothing was sent for them, so whichever are there get a not-delivered outcome.

    A row that is not there yet may still come: its server process may be waiting for a lock, unaware that nobody
    listens. So that process is ended first, and the ids are looked up when it is gone.
    """

    def __init__(self, database: Database, *, closed: Callable[[UUID], None]) -> None:
        self._database = database
        self._closed = closed
        self._later: Later[Doubt] = Later(self._resolve, name="an unanswered commit of", key=_names)

    def __len__(self) -> int:
        return len(self._later)

    def add(self, ids: Sequence[UUID], *, backend: Backend) -> None:
        """Remember ids whose commit was not answered by that server process."""
        self._later.keep(Doubt(ids=tuple(ids), backend=backend))

    async def aclose(self, *, within: float) -> None:
        """Go on resolving for so many seconds at most; the rest is settled as indeterminate by whoever comes next."""
        await self._later.aclose(within=within)

    async def _resolve(self, doubt: Doubt) -> None:
        async with self._database.acquire() as connection:
            await _end(connection, doubt.backend)
            outcomes = [Outcome(transfer_id=key, seq=1, state=OutcomeState.NOT_DELIVERED) for key in doubt.ids]
            await connection.fetch(
                "select * from append_outcomes($1, $2, $3, $4::text[]::jsonb[])",
                list(doubt.ids),
                [outcome.seq for outcome in outcomes],
                [outcome.state.value for outcome in outcomes],
                [encode_json(outcome_detail(outcome)) for outcome in outcomes],
            )
        for key in doubt.ids:
            self._closed(key)


async def _end(connection: Connection, backend: Backend) -> None:
    """End a server process of our own role and wait until it is gone, its transaction with it."""
    for _ in range(_LOOKS):
        if not await connection.fetch(_END, backend.pid, backend.started_at):
            return
        await asyncio.sleep(_LOOK_EVERY)
    raise LedgerUnavailable("the server process that did not answer is still there")


def _names(doubt: Doubt) -> str:
    return ", ".join(map(str, doubt.ids))
