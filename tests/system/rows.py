"""What stands in a database, asked over SQL past the service."""

import asyncio

import asyncpg


def ask_database(url: str, query: str, *values: object) -> list[asyncpg.Record]:
    """Run one statement on a connection of its own. Not for use inside a running loop."""

    async def ask() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetch(query, *values)
        finally:
            await connection.close()

    return asyncio.run(ask())
