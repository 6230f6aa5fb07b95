"""Lists: the query parameters they all take, and the note that somebody read the record."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import Depends, Query
from pydantic import AwareDatetime

from consent_proxy.api.routing import Visit
from consent_proxy.application.ports.pages import Page
from consent_proxy.application.ports.records import Access
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.subjects import SubjectRef


class PageParameters:
    """``limit``, ``cursor``, ``order``, ``from`` (inclusive) and ``to`` (exclusive)."""

    def __init__(
        self,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        cursor: Annotated[str | None, Query(max_length=200)] = None,
        order: Annotated[Literal["desc", "asc"], Query()] = "desc",
        from_at: Annotated[AwareDatetime | None, Query(alias="from")] = None,
        to_at: Annotated[AwareDatetime | None, Query(alias="to")] = None,
    ) -> None:
        self.page = Page(limit=limit, cursor=cursor, descending=order == "desc", from_at=from_at, to_at=to_at)


PageQuery = Annotated[PageParameters, Depends()]


def cursor_page(query: PageParameters) -> Page:
    """The part of the list that was asked for."""
    return query.page


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
