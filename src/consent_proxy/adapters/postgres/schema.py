"""Which schema a database has, next to the one that this code was written for.

Revisions are numbers and only ever add (`migrations/`), so that this release runs on its own schema and on those of the
releases after it: then the schema is upgraded first, and the processes one after the other.
"""

import re
from collections.abc import Iterable

from consent_proxy.adapters.postgres.connections import Connection
from consent_proxy.adapters.postgres.tables import SCHEMA_REVISION
from consent_proxy.application.ports.platform import Finding

_TABLE = "select to_regclass('alembic_version')"
_REVISION = "select version_num from alembic_version"
_NUMBER = re.compile(r"\d{4}")


class SchemaUnfit(Exception):
    """This code cannot work on this schema; the message says what to do."""


async def read_revision(connection: Connection) -> str | None:
    """The schema's revision; ``None`` where there is no schema of ours."""
    if await connection.fetchval(_TABLE) is None:
        return None
    revision: str | None = await connection.fetchval(_REVISION)
    return revision


def check_revision(revision: str | None) -> None:
    """Raise ``SchemaUnfit`` for a schema that is missing, is older than this code needs, or is not ours."""
    if revision is None:
        raise SchemaUnfit("this database has no schema of ours: run consent-proxy migrate")
    if _NUMBER.fullmatch(revision) is None:
        raise SchemaUnfit(f"the schema is at '{revision}', which no release of ours made: is this the right database?")
    if revision < SCHEMA_REVISION:
        raise SchemaUnfit(
            f"the schema is at revision {revision}, and {SCHEMA_REVISION} is needed: run consent-proxy migrate;"
            " processes of the release before may go on meanwhile"
        )


def is_newer(revision: str | None, *, than: str = SCHEMA_REVISION) -> bool:
    """Whether a later release has upgraded the schema."""
    return revision is not None and _NUMBER.fullmatch(revision) is not None and revision > than


def findings_of(revision: str | None) -> Iterable[Finding]:
    """What an operator should know of a schema that fits."""
    if is_newer(revision):
        message = (
            f"the schema is at revision {revision}, of a later release than this one ({SCHEMA_REVISION}): it works, and"
            " this process should be upgraded next"
        )
        yield Finding("schema-of-a-later-release", message, grave=False)
