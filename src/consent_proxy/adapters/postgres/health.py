"""Whether the database answers, has the schema this code was written for, and guards the record as it should."""

import asyncio
import logging
from collections.abc import Iterable

from consent_proxy.adapters.postgres.connections import Database
from consent_proxy.adapters.postgres.schema import SchemaUnfit, check_revision, read_revision, warnings_of
from consent_proxy.adapters.postgres.tables import APPEND_ONLY, PARTITIONED
from consent_proxy.application.ports.platform import Readiness

_log = logging.getLogger(__name__)

_WITHIN = 3.0
_MONTHS_LEFT = 2

#: The months there are partitions for, from this one on, fewest of the three tables.
_MONTHS = """select coalesce(min(months), 0) from (
  select p.parent, count(c.relname) filter (
      where right(c.relname, 7) >= to_char(now() at time zone 'UTC', 'YYYY_MM')) as months
  from unnest($1::text[]) p (parent)
  left join pg_inherits i on i.inhparent = to_regclass(p.parent)
  left join pg_class c on c.oid = i.inhrelid
  group by p.parent) counted"""
#: Tables of the record, their partitions included, that this role may write to past the functions.
_WRITABLE = """select coalesce(array_agg(distinct parent), '{}') from (
  select p.parent, to_regclass(p.parent)::oid as table from unnest($1::text[]) p (parent)
  union all
  select p.parent, i.inhrelid from unnest($1::text[]) p (parent)
    join pg_inherits i on i.inhparent = to_regclass(p.parent)
) record where has_table_privilege(record.table, 'insert, update, delete, truncate')"""


class PostgresHealth:
    """Fulfils ``LedgerHealth``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def check(self) -> Readiness:
        """See ``LedgerHealth``."""
        try:
            async with asyncio.timeout(_WITHIN):
                return await self._look()
        except Exception as error:  # noqa: BLE001 - whatever it is, it means: not ready
            _log.warning("the database does not answer (%s)", type(error).__name__)
            return Readiness(ready=False, warnings=("the database does not answer",))

    async def _look(self) -> Readiness:
        async with self._database.acquire() as connection:
            revision = await read_revision(connection)
            try:
                check_revision(revision)
            except SchemaUnfit as error:
                return Readiness(ready=False, warnings=(str(error),))
            months = await connection.fetchval(_MONTHS, list(PARTITIONED))
            writable = await connection.fetchval(_WRITABLE, list(APPEND_ONLY))
        return Readiness(ready=True, warnings=(*warnings_of(revision), *_partitions(months), *_privileges(writable)))


def _partitions(months: int) -> Iterable[str]:
    if months < _MONTHS_LEFT:
        yield f"the record has partitions for {months} more months only: run consent-proxy migrate"


def _privileges(writable: list[str]) -> Iterable[str]:
    if writable:
        yield (
            f"this role may write to the record past its functions ({', '.join(writable)}): use an owner for"
            " CONSENT_PROXY_MIGRATE_DATABASE_URL and another role for CONSENT_PROXY_DATABASE_URL"
        )
