"""The salts of subjects' digests and leaves: made on first sight, and never again for somebody who was erased."""

import os
from collections.abc import Collection
from typing import Any, Protocol
from uuid import UUID

SALT_BYTES = 32

_MAKE = """
insert into salts (subject_ref, salt, created_at)
select w.subject_ref, w.salt, now() from unnest($1::uuid[], $2::bytea[]) w (subject_ref, salt)
where not exists (select from subjects s where s.subject_ref = w.subject_ref and s.erased_at is not null)
on conflict do nothing
"""
_READ = "select subject_ref, salt from salts where subject_ref = any($1)"


class _Fetching(Protocol):
    """A connection, or a pool of them."""

    async def fetch(self, query: str, *values: Any) -> Any: ...


async def make_salts(database: _Fetching, subject_refs: Collection[UUID]) -> dict[UUID, bytes]:
    """The salt of each subject, made where there was none; whoever was erased is missing.

    Two who make one at once get the same: the second statement sees what the first one waited for.
    """
    refs = sorted(subject_refs)
    await database.fetch(_MAKE, refs, [os.urandom(SALT_BYTES) for _ in refs])
    rows = await database.fetch(_READ, refs)
    return {row["subject_ref"]: row["salt"] for row in rows}
