"""Lists: the query parameters they all take, and the note that somebody read the record."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, Query

from consent_proxy.api.problems import Problem
from consent_proxy.api.routing import Visit
from consent_proxy.api.schemas import Moment
from consent_proxy.application.ports.pages import Item, Page, PageOf
from consent_proxy.application.ports.records import Access
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.subjects import SubjectRef

#: Nothing is recorded after it, and readers may add to a moment without leaving the calendar.
_END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)

Limit = Annotated[int, Query(ge=1, le=1000)]
Cursor = Annotated[str | None, Query(max_length=200)]
Order = Annotated[Literal["desc", "asc"], Query()]
From = Annotated[Moment | None, Query(alias="from")]
To = Annotated[Moment | None, Query(alias="to")]


class PeriodParameters:
    """``order``, ``from`` (inclusive) and ``to`` (exclusive), for what is read as a whole."""

    def __init__(self, order: Order = "desc", from_at: From = None, to_at: To = None) -> None:
        until = min(to_at, _END_OF_TIME) if to_at is not None else None
        self.page = Page(descending=order == "desc", from_at=from_at, to_at=until)


class PageParameters:
    """The same, with ``limit`` and ``cursor``, for what is read in parts."""

    def __init__(
        self,
        limit: Limit = 100,
        cursor: Cursor = None,
        order: Order = "desc",
        from_at: From = None,
        to_at: To = None,
    ) -> None:
        self.page = replace(PeriodParameters(order, from_at, to_at).page, limit=limit, cursor=cursor)


PeriodQuery = Annotated[PeriodParameters, Depends()]
PageQuery = Annotated[PageParameters, Depends()]


async def read_page(reading: Awaitable[PageOf[Item]]) -> PageOf[Item]:
    """The part of the list that a port reads. Raises ``Problem`` for a cursor that is none of its own."""
    try:
        return await reading
    except ValueError:
        raise _no_such_cursor() from None


def part_of(
    items: Sequence[Item], page: Page, *, key: Callable[[Item], str], at: Callable[[Item], datetime]
) -> PageOf[Item]:
    """The part of a list that is held in memory; ``key`` names an item among all. Raises ``Problem``."""
    ordered = sorted(items, key=lambda item: (at(item), key(item)), reverse=page.descending)
    matching = [item for item in ordered if _within(at(item), page)]
    return cut(matching, limit=page.limit, cursor=page.cursor, key=key)


def cut(items: Sequence[Item], *, limit: int, cursor: str | None, key: Callable[[Item], str]) -> PageOf[Item]:
    """The part after the cursor of a list that is in order; ``key`` names an item among all. Raises ``Problem``."""
    rest = items
    if cursor is not None:
        places = [key(item) for item in items]
        if cursor not in places:
            raise _no_such_cursor()
        rest = items[places.index(cursor) + 1 :]
    part = rest[:limit]
    return PageOf(items=tuple(part), next_cursor=key(part[-1]) if len(rest) > limit else None)


def _within(moment: datetime, page: Page) -> bool:
    return (page.from_at is None or moment >= page.from_at) and (page.to_at is None or moment < page.to_at)


def _no_such_cursor() -> Problem:
    return Problem(Reason.BODY_INVALID, "the cursor is not one that this list gave out")


async def note_access(
    visit: Visit,
    *,
    resource: str,
    subject_ref: UUID | None = None,
    object_id: str | None = None,
    filters: dict[str, Json] | None = None,
    items: int | None = None,
) -> None:
    """Record who read the record, before they get to see it. Raises ``LedgerUnavailable``: then nothing is shown."""
    services = visit.services
    access = Access(
        id=services.ids.new_id(),
        at=services.clock.now(),
        credential=visit.credential,
        resource=resource,
        subject_ref=SubjectRef(subject_ref) if subject_ref is not None else None,
        object_id=object_id,
        filters=filters or {},
        items=items,
    )
    await services.access_log.record(access)
