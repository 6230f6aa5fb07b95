"""Waiting until no send can begin any more on an intent that was recorded before a change."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta

from consent_proxy.adapters.postgres.connections import Database, Row
from consent_proxy.adapters.postgres.persons import find_person
from consent_proxy.adapters.postgres.rows import uuid7_floor
from consent_proxy.application.ports.transfers import LedgerUnavailable
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.subjects import SubjectRef

_RECHECK_SECONDS = 0.02
#: How far back an id can lie of an intent younger than the send window: far more than clocks differ, so that the
#: database looks into one or two partitions and at one day of the subject's transfers.
_LOOK_BACK = timedelta(days=1)

#: A transfer of several requests has its intent affirmed before each: the next may begin a send window after that, and
#: the intent itself is older. Whoever affirmed before the change begins within a window of it all the same.
_MAY_BEGIN = """(t.intent_at > clock_timestamp() - $1::interval
  or t.details @? '$.media[*] ? (@.placed == "upload")')"""
_OF_A_SUBJECT = f"""
select t.id from transfers t
where t.subject_ref = any($2) and t.purpose = any($3) and t.id >= $4 and {_MAY_BEGIN}
  and not exists (select from outcomes o where o.transfer_id = t.id)
"""  # noqa: S608 - put together from the constant above
#: By worker, since only there is a mark (``open_from``) before which nothing is open.
_OF_AN_EDITION = f"""
select t.id from workers w
join transfers t on t.worker = w.id and t.id >= coalesce(w.open_from, '00000000-0000-0000-0000-000000000000')
where w.settled_at is null and t.edition < $2 and {_MAY_BEGIN}
  and not exists (select from outcomes o where o.transfer_id = t.id)
"""  # noqa: S608 - put together from the constant above
_STILL_OPEN = """
select id from unnest($1::uuid[]) id where not exists (select from outcomes o where o.transfer_id = id)
"""


async def wait_for_subject(
    database: Database, subject_ref: SubjectRef, *, purposes: Iterable[Purpose], send_within: timedelta
) -> None:
    """Wait for the open intents of a person under every reference it has had, after the change to its standings was
    committed. Never raises.
    """
    purpose_names = [purpose.value for purpose in purposes]
    floor = uuid7_floor(datetime.now(UTC) - _LOOK_BACK)

    async def find() -> list[Row]:
        person = await find_person(database, subject_ref)
        return await database.fetch(_OF_A_SUBJECT, send_within, person.references, purpose_names, floor)

    await _wait(database, find, send_within=send_within)


async def wait_for_older_editions(database: Database, *, edition: int, send_within: timedelta) -> None:
    """Wait for the open intents of everybody under earlier rules, after the edition was committed. Never raises."""
    await _wait(database, lambda: database.fetch(_OF_AN_EDITION, send_within, edition), send_within=send_within)


async def _wait(database: Database, find: Callable[[], Awaitable[list[Row]]], *, send_within: timedelta) -> None:
    """Wait until the intents that are found have outcomes, but no longer than the send window.

    Whoever recorded one asked for it before this call, so nobody may begin to send later than the window after it.
    That holds too where the database is away: then nothing is looked up, and the whole window is waited out.
    """
    loop = asyncio.get_running_loop()
    ends_at = loop.time() + send_within.total_seconds()
    try:
        open_intents = [row["id"] for row in await find()]
        while open_intents and (left := ends_at - loop.time()) > 0:
            await asyncio.sleep(min(_RECHECK_SECONDS, left))
            open_intents = [row["id"] for row in await database.fetch(_STILL_OPEN, open_intents)]
    except LedgerUnavailable:
        await asyncio.sleep(max(0.0, ends_at - loop.time()))
