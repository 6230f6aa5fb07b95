"""Recognising a person under two references: links made one of them lead to the other."""

from consent_proxy.application.ports.consent import Subjects
from consent_proxy.domain.subjects import SubjectRef


async def is_one_person(one: SubjectRef, other: SubjectRef, *, subjects: Subjects) -> bool:
    """Whether two references are one person's, as of now. Raises ``LedgerUnavailable``.

    A token, a job or an output keeps the reference it was made with, so whoever compares has to ask this.
    """
    return one == other or await subjects.follow(one) == await subjects.follow(other)
