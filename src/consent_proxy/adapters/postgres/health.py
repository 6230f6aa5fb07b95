"""Whether the database answers, has the schema this code was written for, and guards the record as it should."""

import asyncio
import logging
from collections.abc import Iterable

from consent_proxy.adapters.postgres.connections import Database
from consent_proxy.adapters.postgres.tables import APPEND_ONLY, PARTITIONED, SCHEMA_REVISION
from consent_proxy.application.ports.platform import Readiness

_log = logging.getLogger(__name__)

_WITHIN = 3.0
_MONTHS_LEFT = 2

_REVISION = "select version_num from alembic_version"
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

#: Minutes that the oldest row without a place in the log has waited for one; looked up row by row, in their order.
_WAITING = """with seen as materialized (
    select coalesce((select settled_below from log_checkpoints order by size desc limit 1), 0) as below)
  select coalesce(max(extract(epoch from now() - at)) / 60, 0)::integer from (
    (select r.intent_at as at from transfers r where r.xact >= (select below from seen)
      and (select true from log_leaves l where l.row_id = r.id and l.kind = 'intent' and l.seq = 0) is null
      order by r.xact limit 1)
    union all
    (select r.received_at from consent_events r where r.xact >= (select below from seen)
      and (select true from log_leaves l where l.row_id = r.id and l.kind = 'consent' and l.seq = 0) is null
      order by r.xact limit 1)) waiting"""
_LONGEST_WAIT = 5


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
            return Readiness(ready=False, warnings=("the database does not answer, or holds no schema of ours",))

    async def _look(self) -> Readiness:
        async with self._database.acquire() as connection:
            revision = await connection.fetchval(_REVISION)
            if revision != SCHEMA_REVISION:
                return Readiness(
                    ready=False,
                    warnings=(f"the schema is at revision {revision}, and {SCHEMA_REVISION} is needed: migrate",),
                )
            months = await connection.fetchval(_MONTHS, list(PARTITIONED))
            writable = await connection.fetchval(_WRITABLE, list(APPEND_ONLY))
            waiting = await connection.fetchval(_WAITING)
        return Readiness(ready=True, warnings=(*_partitions(months), *_privileges(writable), *_sequencing(waiting)))


def _partitions(months: int) -> Iterable[str]:
    if months < _MONTHS_LEFT:
        yield f"the record has partitions for {months} more months only: run consent-proxy migrate"


def _privileges(writable: list[str]) -> Iterable[str]:
    if writable:
        yield (
            f"this role may write to the record past its functions ({', '.join(writable)}): use an owner for"
            " CONSENT_PROXY_MIGRATE_DATABASE_URL and another role for CONSENT_PROXY_DATABASE_URL"
        )


def _sequencing(waiting: int) -> Iterable[str]:
    if waiting >= _LONGEST_WAIT:
        yield (
            f"rows of the record have waited {waiting} minutes for their place in the transparency log: no service is"
            " running, or its log says why it cannot go on"
        )
