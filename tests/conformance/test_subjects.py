"""What every ``Subjects`` does: one identifier, one reference, and never the other way round."""

import asyncio

from consent_proxy.application.ports.consent import Subjects
from consent_proxy.domain.subjects import identifier_from_text


async def test_a_subject_nobody_named_is_not_found(subjects: Subjects) -> None:
    assert await subjects.find(identifier_from_text("nobody@example.org")) is None


async def test_the_first_sight_makes_the_reference_and_later_ones_find_it(subjects: Subjects) -> None:
    ada = identifier_from_text("ada@example.org")
    made = await subjects.resolve(ada)
    assert await subjects.resolve(ada) == made
    assert await subjects.find(ada) == made


async def test_case_and_kind_make_another_person(subjects: Subjects) -> None:
    identifiers = [
        identifier_from_text("ada"),
        identifier_from_text("Ada"),
        identifier_from_text("ada", kind="session"),
    ]
    assert len({await subjects.resolve(identifier) for identifier in identifiers}) == 3


async def test_many_first_sights_at_once_make_one_reference(subjects: Subjects) -> None:
    ada = identifier_from_text("ada@example.org")
    assert len(set(await asyncio.gather(*(subjects.resolve(ada) for _ in range(8))))) == 1
