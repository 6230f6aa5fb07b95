"""Whether the database answers, has the schema this code was written for, and guards the record as it should."""

import asyncio
import logging
from collections.abc import Iterator
from datetime import datetime, timedelta

from consent_proxy.adapters.postgres.connections import Connection, Database, Row
from consent_proxy.adapters.postgres.schema import SchemaUnfit, check_revision, findings_of, read_revision
from consent_proxy.adapters.postgres.tables import APPEND_ONLY, PARTITIONED
from consent_proxy.application.ports.platform import Clock, Finding, Readiness

_log = logging.getLogger(__name__)

_WITHIN = 3.0
_MONTHS_LEFT = 2
#: Decisions go by the database's clock, what is offered and signed by this machine's; more than this apart and terms,
#: tokens and receipts tell moments that were not.
CLOCKS_APART = timedelta(seconds=5)

#: The months there are partitions for, from this one on, fewest of the three tables.
_MONTHS = """select coalesce(min(months), 0) from (
  select p.parent, count(c.relname) filter (
      where right(c.relname, 7) >= to_char(now() at time zone 'UTC', 'YYYY_MM')) as months
  from unnest($1::text[]) p (parent)
  left join pg_inherits i on i.inhparent = to_regclass(p.parent)
  left join pg_class c on c.oid = i.inhrelid
  group by p.parent) counted"""
#: What this role may do to the record past the functions, partitions included, and which tables have lost their guard.
#: Membership counts: whoever may become the owner is the owner. Before Postgres 16, CREATEROLE may become anybody.
_GUARDS = """with record as (
  select p.parent, to_regclass(p.parent)::oid as id from unnest($1::text[]) p (parent)
  union all
  select p.parent, i.inhrelid from unnest($1::text[]) p (parent)
    join pg_inherits i on i.inhparent = to_regclass(p.parent)
)
select
  (select rolsuper or (rolcreaterole and current_setting('server_version_num')::int < 160000)
    from pg_roles where rolname = current_user) as almighty,
  array(select distinct parent from record join pg_class c on c.oid = record.id
    join pg_namespace n on n.oid = c.relnamespace
    where pg_has_role(c.relowner, 'member') or pg_has_role(n.nspowner, 'member')) as owned,
  array(select distinct parent from record
    where has_table_privilege(record.id, 'insert, update, delete, truncate')
      or has_any_column_privilege(record.id, 'insert, update')) as writable,
  array(select distinct parent from record where has_table_privilege(record.id, 'trigger')) as triggerable,
  array(select distinct parent from record where not exists (
    select from pg_trigger t where t.tgrelid = record.id and t.tgname = 'append_only' and t.tgenabled = 'A'
  )) as unguarded"""

_TWO_ROLES = "use an owner for CONSENT_PROXY_MIGRATE_DATABASE_URL and another role for CONSENT_PROXY_DATABASE_URL"


class PostgresHealth:
    """Fulfils ``LedgerHealth``."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def check(self) -> Readiness:
        """See ``LedgerHealth``."""
        try:
            async with asyncio.timeout(_WITHIN):
                return await self._look()
        except Exception as error:  # noqa: BLE001 - whatever it is, it means: not ready
            _log.warning("the database does not answer (%s)", type(error).__name__)
            message = "the database does not answer: start it, or correct CONSENT_PROXY_DATABASE_URL"
            return Readiness(ready=False, warnings=(Finding("database-away", message),))

    async def _look(self) -> Readiness:
        async with self._database.acquire() as connection:
            revision = await read_revision(connection)
            try:
                check_revision(revision)
            except SchemaUnfit as error:
                return Readiness(ready=False, warnings=(Finding("schema-revision", str(error)),))
            months = await connection.fetchval(_MONTHS, list(PARTITIONED))
            guards = await connection.fetchrow(_GUARDS, list(APPEND_ONLY))
            apart = await self._apart(connection)
        assert guards is not None
        found = (*findings_of(revision), *_partitions(months), *_privileges(guards), *_clocks(apart))
        return Readiness(ready=True, warnings=found)

    async def _apart(self, connection: Connection) -> timedelta:
        """How far the database's clock is ahead of ours, at the least: the way there and back is taken off."""
        before = self._clock.now()
        there: datetime = await connection.fetchval("select clock_timestamp()")
        after = self._clock.now()
        if there > after:
            return there - after
        return min(there - before, timedelta(0))


def _partitions(months: int) -> Iterator[Finding]:
    if months < _MONTHS_LEFT:
        message = f"the record has partitions for {months} more months only: run consent-proxy migrate"
        yield Finding("partitions-running-out", message)


def _privileges(guards: Row) -> Iterator[Finding]:
    if guards["almighty"]:
        yield _rewriting("is a superuser, or may make itself one of any other: it could rewrite the record")
    elif guards["owned"]:
        yield _rewriting(f"owns the record ({_names(guards['owned'])}) and could rewrite it past its triggers")
    elif guards["writable"]:
        yield _rewriting(f"may write to the record past its functions ({_names(guards['writable'])})")
    elif guards["triggerable"]:
        yield _rewriting(f"may add triggers to the record ({_names(guards['triggerable'])})")
    if guards["unguarded"]:
        message = (
            f"the triggers that guard the record are gone or off ({_names(guards['unguarded'])}): find out by whom,"
            " and what was changed since, then make them again as migration 0002 does"
        )
        yield Finding("record-unguarded", message)


def _rewriting(how: str) -> Finding:
    message = f"the service's database role {how}: {_TWO_ROLES}, then run consent-proxy migrate"
    return Finding("role-could-rewrite", message)


def _clocks(apart: timedelta) -> Iterator[Finding]:
    if abs(apart) > CLOCKS_APART:
        side = "ahead of" if apart > timedelta(0) else "behind"
        message = (
            f"the database's clock is {abs(apart).total_seconds():.0f} seconds {side} this machine's: set both by a"
            " time server (NTP), or terms, tokens and receipts tell wrong moments"
        )
        yield Finding("clock-skew", message)


def _names(tables: list[str]) -> str:
    return ", ".join(sorted(tables))
