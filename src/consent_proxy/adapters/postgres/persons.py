"""The references of one person: the one that stays, and those that links led into it."""

from collections.abc import Sequence
from dataclasses import dataclass

from consent_proxy.adapters.postgres.connections import Connection, Database
from consent_proxy.domain.subjects import SubjectRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who is behind a reference. ``references`` are all there ever were, ``stays`` among them.

    Each keeps its salt, its pseudonyms at recipients, its jobs and its rows: whoever erases a person has to take them
    all, and to hold ``stays`` alone while doing so, or a link may add to them.
    """

    stays: SubjectRef
    references: Sequence[SubjectRef]


async def find_person(reader: "Connection | Database", subject_ref: SubjectRef) -> Person:
    """The person behind a reference, known or not, as of now. Raises ``LedgerUnavailable``."""
    rows = await reader.fetch("select ref, stays from person_of($1)", subject_ref)
    return Person(
        stays=next(SubjectRef(row["ref"]) for row in rows if row["stays"]),
        references=tuple(SubjectRef(row["ref"]) for row in rows),
    )
