"""Parts of lists, cut in memory as the real ones are cut by the database."""

from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from consent_proxy.application.ports.pages import Item, Page, PageOf


def part_of(
    items: Sequence[Item], page: Page, *, key: Callable[[Item], UUID], at: Callable[[Item], datetime]
) -> PageOf[Item]:
    """The part a page asks for of a list in ascending order."""
    matching = [item for item in items if _within(at(item), page)]
    if page.descending:
        matching.reverse()
    if page.cursor is not None:
        places = [str(key(item)) for item in matching]
        matching = matching[places.index(page.cursor) + 1 :]
    items = matching[: page.limit]
    more = len(matching) > page.limit
    return PageOf(items=tuple(items), next_cursor=str(key(items[-1])) if more else None)


def _within(moment: datetime, page: Page) -> bool:
    return (page.from_at is None or moment >= page.from_at) and (page.to_at is None or moment < page.to_at)
