"""How Alembic reaches the database: over the connection that `consent-proxy migrate` hands it, or `-x url=…` by hand.

By hand: `alembic -x url=postgresql://… check` (or `revision --autogenerate`).
"""

import asyncio
import re

import asyncpg
from alembic import context
from sqlalchemy import Connection, pool
from sqlalchemy.ext.asyncio import create_async_engine

from consent_proxy.adapters.postgres.tables import PARTITIONED, metadata

_PARTITION = re.compile(rf"(?:{'|'.join(PARTITIONED)})_\d{{4}}_\d{{2}}")


def include_name(name: str | None, kind: str, _parents: object) -> bool:
    """Leave the monthly partitions to `ensure_partitions`."""
    return kind != "table" or name is None or _PARTITION.fullmatch(name) is None


def run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, include_name=include_name, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()


async def run_by_hand(url: str) -> None:
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url), poolclass=pool.NullPool
    )
    async with engine.begin() as connection:
        await connection.run_sync(run)


given = context.config.attributes.get("connection")
if context.is_offline_mode():
    raise SystemExit("These migrations ask the database for its schema's name; they cannot be written out as a script.")
if given is not None:
    run(given)
elif "url" in (by_hand := context.get_x_argument(as_dictionary=True)):
    asyncio.run(run_by_hand(str(by_hand["url"])))
else:
    raise SystemExit("Say which database: alembic -x url=postgresql://… , or use consent-proxy migrate.")
