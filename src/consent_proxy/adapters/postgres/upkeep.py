"""What the tables need every day: partitions ahead of time, and rows that have run out taken away."""

import asyncio
import logging

from consent_proxy.adapters.postgres.connections import Database
from consent_proxy.adapters.postgres.sequencer import Seal, Sequencer, keep_sequencing
from consent_proxy.application.ports.transfers import LedgerUnavailable

_log = logging.getLogger(__name__)

#: Days an output stays known after its address has expired, so that the answer can say that it has.
_OUTPUTS_KEPT = 30

#: How often each process looks after the database, in seconds.
MAINTAIN_EVERY = 86_400.0


async def maintain(database: Database) -> int:
    """Make the coming months' partitions and forget what expired; how many partitions were made.

    To be called daily, by any number of replicas. Raises ``LedgerUnavailable``.
    """
    made: int = await database.fetchval("select ensure_partitions()")
    await database.execute("delete from token_revocations where expires_at < now() - interval '1 day'")
    await database.execute("delete from outputs where expires_at < now() - $1 * interval '1 day'", _OUTPUTS_KEPT)
    return made


async def keep_up(database: Database, *, seal: Seal) -> None:
    """Maintain it daily and its log all the time, for ever; a database that is away is no reason to stop."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(keep_sequencing(Sequencer(database, seal=seal)))
        tasks.create_task(_maintain_daily(database))


async def _maintain_daily(database: Database) -> None:
    while True:
        try:
            await maintain(database)
        except LedgerUnavailable:
            pass
        except Exception as error:  # noqa: BLE001 - the other upkeep has to go on
            _log.error("the daily upkeep failed (%s); it is tried again tomorrow", type(error).__name__)
        await asyncio.sleep(MAINTAIN_EVERY)
