"""The way from a canonical identifier to the opaque reference; the identifier itself is written nowhere."""

import os
from datetime import timedelta
from uuid import uuid4

from consent_proxy.adapters.postgres.connections import Connection, Database
from consent_proxy.adapters.postgres.persons import find_person
from consent_proxy.adapters.postgres.remembered import Remembered
from consent_proxy.application.ports.platform import Digests
from consent_proxy.domain.subjects import SubjectIdentifier, SubjectRef

#: How long a replica may not know that links or erasure changed a mapping. What comes in under a reference that was
#: linked is followed wherever it counts (the ledger under its locks, the facts of a walk), so nothing waits for this;
#: whoever erases has to wait this long, or to lock the old reference's standings as withdrawals do.
REMEMBERED_FOR = timedelta(seconds=5)
_REMEMBERED = 10_000
_SALT_BYTES = 32

_FIND = "select subject_ref from subject_identifiers where digest = $1"
_ADD_IDENTIFIER = """
insert into subject_identifiers (digest, subject_ref, kind, created_at) values ($1, $2, $3, now())
on conflict do nothing returning true
"""


class _Overtaken(Exception):
    """Somebody else made the reference first; what we made is undone."""


class PostgresSubjects:
    """Fulfils ``Subjects``. Knows identifiers only as far as ``digests`` turns them into something else."""

    def __init__(self, database: Database, *, digests: Digests) -> None:
        self._database = database
        self._digests = digests
        self._known: Remembered[bytes, SubjectRef] = Remembered(size=_REMEMBERED, life=REMEMBERED_FOR)

    async def resolve(self, identifier: SubjectIdentifier, *, fresh: bool = False) -> SubjectRef:
        """The reference, made on first sight, with its salt; one only, however many ask at once.

        Raises ``LedgerUnavailable``.
        """
        digest = self._digests.subject(identifier)
        while (found := await self._find(digest, fresh=fresh)) is None:
            try:
                async with self._database.transaction() as connection:
                    made = await _make(connection, digest=digest, kind=identifier.kind.value)
            except _Overtaken:
                continue
            return self._known.put(digest, made)
        return found

    async def find(self, identifier: SubjectIdentifier, *, fresh: bool = False) -> SubjectRef | None:
        """The reference, if there is one. Raises ``LedgerUnavailable``."""
        return await self._find(self._digests.subject(identifier), fresh=fresh)

    async def follow(self, subject_ref: SubjectRef) -> SubjectRef:
        """The reference that stays, as of now. Raises ``LedgerUnavailable``."""
        return (await find_person(self._database, subject_ref)).stays

    async def _find(self, digest: bytes, *, fresh: bool) -> SubjectRef | None:
        known = self._known.get(digest)
        if known is not None and not fresh:
            return known
        found = await self._database.fetchval(_FIND, digest)
        return self._known.put(digest, SubjectRef(found)) if found is not None else None


async def _make(connection: Connection, *, digest: bytes, kind: str) -> SubjectRef:
    # Random throughout: an id of our usual kind would tell when the person was first seen.
    subject_ref = SubjectRef(uuid4())
    await connection.execute("insert into subjects (subject_ref, created_at) values ($1, now())", subject_ref)
    if not await connection.fetchval(_ADD_IDENTIFIER, digest, subject_ref, kind):
        raise _Overtaken
    salt = os.urandom(_SALT_BYTES)
    await connection.execute(
        "insert into salts (subject_ref, salt, created_at) values ($1, $2, now())", subject_ref, salt
    )
    return subject_ref
