"""Putting facts into a test's database by hand, and reading its record by hand."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg

from consent_proxy.adapters.postgres.connections import RawConnection, encode_json, use_json
from consent_proxy.adapters.postgres.rows import standing_to_detail
from consent_proxy.domain.subjects import SubjectRef
from tests.builders import a_standing


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[RawConnection]:
    connection: RawConnection = await asyncpg.connect(url)
    try:
        await use_json(connection)
        yield connection
    finally:
        await connection.close()


async def set_standing(
    connection: RawConnection, subject_ref: SubjectRef, *, state: str = "granted", version: int = 1
) -> None:
    """Let a subject's standing for generation be of a version and a state; its detail says fal has a yes."""
    await connection.execute(
        """insert into standings (subject_ref, purpose, version, state, detail, updated_at)
          values ($1, 'generation', $2, $3, $4::text::jsonb, now())
          on conflict (subject_ref, purpose) do update set version = excluded.version, state = excluded.state""",
        subject_ref,
        version,
        state,
        encode_json(standing_to_detail(a_standing(subject_ref=subject_ref))),
    )


async def outcomes_of(connection: RawConnection, transfer_id: UUID) -> list[tuple[int, str]]:
    rows = await connection.fetch("select seq, state from outcomes where transfer_id = $1 order by seq", transfer_id)
    return [(row["seq"], row["state"]) for row in rows]


async def until(condition: Callable[[], Awaitable[Any]], *, within: float = 20.0) -> Any:
    """Wait for something that happens by itself; its first true answer."""
    async with asyncio.timeout(within):
        while not (answer := await condition()):  # noqa: ASYNC110 - the event is in a database
            await asyncio.sleep(0.02)
    return answer
