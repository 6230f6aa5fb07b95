"""The references of one person: the one that stays, and those that links led into it."""

from collections.abc import Sequence
from dataclasses import dataclass

from consent_proxy.adapters.postgres.connections import Connection, Database
from consent_proxy.domain.subjects import SubjectRef

#: Up the way that links lead, to its end; then back down to everyone who ended there. Links are for good, so one
#: statement without locks sees a person as it was at some moment of now. A way is as long as a person has had
#: identifiers, and every step of it is looked up by an index.
_PERSON = """
with recursive way (ref, steps) as (
    select $1::uuid, 0
    union all
    select s.linked_into, way.steps + 1 from way join subjects s on s.subject_ref = way.ref
    where s.linked_into is not null),
  stays (ref) as (select ref from way order by steps desc limit 1),
  known (ref) as (
    select ref from stays
    union
    select s.subject_ref from known join subjects s on s.linked_into = known.ref)
select known.ref, known.ref = (select ref from stays) as stays from known order by known.ref
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who is behind a reference. ``references`` are all there ever were, ``stays`` among them."""

    stays: SubjectRef
    references: Sequence[SubjectRef]


async def find_person(reader: "Connection | Database", subject_ref: SubjectRef) -> Person:
    """The person behind a reference, known or not, as of now. Raises ``LedgerUnavailable``."""
    rows = await reader.fetch(_PERSON, subject_ref)
    return Person(
        stays=next(SubjectRef(row["ref"]) for row in rows if row["stays"]),
        references=tuple(SubjectRef(row["ref"]) for row in rows),
    )
