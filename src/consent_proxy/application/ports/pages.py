"""How lists are asked for and answered, in parts."""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Part of a list: up to ``limit`` items after ``cursor``, from ``from_at`` to before ``to_at``, UTC.

    Readers raise ``ValueError`` for a cursor that they did not give out.
    """

    limit: int = 100
    cursor: str | None = None
    descending: bool = True
    from_at: datetime | None = None
    to_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageOf(Generic[Item]):
    """A part of a list and where the next part begins."""

    items: tuple[Item, ...]
    next_cursor: str | None
