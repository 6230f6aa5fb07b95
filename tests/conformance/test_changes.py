"""What every feed of changes does: everybody's events in one order, from a cursor on, with nothing left out."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from consent_proxy.application.ports.consent import ConsentLedger, CursorAhead, StoredEvent
from tests.conformance.samples import decision, link, new_ref, no, withdrawal, yes


async def everything(ledger: ConsentLedger, *, after: str | None = None, limit: int = 1000) -> list[StoredEvent]:
    seen: list[StoredEvent] = []
    while (part := await ledger.changes(after=after, limit=limit)).items:
        seen += part.items
        after = part.next_cursor
    return seen


async def test_where_nothing_happened_there_is_nothing_to_go_on_from(ledger: ConsentLedger) -> None:
    part = await ledger.changes(after=None, limit=10)
    assert (part.items, part.next_cursor) == ((), None)


async def test_everybodys_changes_come_in_one_order_and_in_parts(ledger: ConsentLedger) -> None:
    one, other = new_ref(), new_ref()
    recorded = [
        await ledger.decide(decision(one, yes())),
        await ledger.decide(decision(other, no())),
        await ledger.withdraw(withdrawal(one)),
        await ledger.link(link(one, into=other)),
        await ledger.decide(decision(one, yes())),
    ]
    expected = [one.event for one in recorded]
    assert await everything(ledger) == expected
    assert await everything(ledger, limit=2) == expected
    assert await everything(ledger, limit=1) == expected


async def test_a_reader_goes_on_where_it_stopped_and_keeps_its_place_while_nothing_happens(
    ledger: ConsentLedger,
) -> None:
    await ledger.withdraw(withdrawal(new_ref()))
    part = await ledger.changes(after=None, limit=10)
    nothing = await ledger.changes(after=part.next_cursor, limit=10)
    assert (nothing.items, nothing.next_cursor) == ((), part.next_cursor)
    later = await ledger.withdraw(withdrawal(new_ref()))
    assert await everything(ledger, after=nothing.next_cursor) == [later.event]


async def test_what_changed_nothing_is_no_change(ledger: ConsentLedger) -> None:
    ref = new_ref()
    given = datetime.now(UTC) - timedelta(minutes=1)
    taken_back = await ledger.withdraw(withdrawal(ref))
    await ledger.decide(decision(ref, yes(), occurred_at=given))
    assert await everything(ledger, limit=1) == [taken_back.event]
    part = await ledger.changes(after=None, limit=10)
    assert (await ledger.changes(after=part.next_cursor, limit=1)).items == ()


async def test_readers_that_poll_while_many_decide_see_every_change_once_in_one_order(ledger: ConsentLedger) -> None:
    asked = [ledger.withdraw(withdrawal(new_ref())) for _ in range(30)]
    done = asyncio.Event()

    async def read() -> list[StoredEvent]:
        seen: list[StoredEvent] = []
        after: str | None = None
        while True:
            last_look = done.is_set()
            part = await ledger.changes(after=after, limit=4)
            seen, after = [*seen, *part.items], part.next_cursor
            if last_look and not part.items:
                return seen
            await asyncio.sleep(0)

    readers = [asyncio.create_task(read()) for _ in range(2)]
    recorded = {one.event.id for one in await asyncio.gather(*asked)}
    done.set()
    first, second = await asyncio.gather(*readers)
    assert first == second
    assert len(first) == len(recorded)
    assert {event.id for event in first} == recorded


async def test_a_cursor_that_is_none_of_the_feeds_is_a_value_error(ledger: ConsentLedger) -> None:
    for cursor in ("", "x", "%%%", "A" * 500, "AAAAAAAAAAAAAAAAAAAAAA", "ü"):
        with pytest.raises(ValueError):  # noqa: PT011 - the message is the adapter's own
            await ledger.changes(after=cursor, limit=1)


async def test_a_cursor_from_after_the_end_of_the_record_is_told_apart(ledger: ConsentLedger) -> None:
    await ledger.withdraw(withdrawal(new_ref()))
    cursor = (await ledger.changes(after=None, limit=1)).next_cursor
    assert cursor is not None
    ahead = "at-9" if cursor.startswith("at-") else "YwAAAAAAAAAJ"
    with pytest.raises(CursorAhead):
        await ledger.changes(after=ahead, limit=1)
