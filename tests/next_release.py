"""The migrations of a release after this one: those of the repository, and one more that only adds."""

import shutil
from pathlib import Path

from consent_proxy.adapters.postgres.migrate import migrations_folder
from consent_proxy.adapters.postgres.tables import SCHEMA_REVISION

NEXT = f"{int(SCHEMA_REVISION) + 1:04}"

#: What an additive step may do, to the tables that every request touches: columns, an index, a table, a function.
ADDITIVE = """
    op.execute("set local lock_timeout = '500ms'")
    for table in ("jobs", "outputs", "keys", "workers", "standings", "consent_events", "outcomes", "transfers"):
        op.execute(f"alter table {table} add column of_the_next_release text default 'new'")
    op.execute("create index ix_jobs_of_the_next_release on jobs (of_the_next_release)")
    op.execute("create table of_the_next_release (id uuid primary key)")
    op.execute("create function of_the_next_release() returns int language sql as 'select 1'")
"""


def next_migrations(folder: Path, *, upgrade: str = ADDITIVE) -> Path:
    """A folder of migrations that ends with a made-up revision, whose `upgrade` has this body."""
    made = folder / "migrations"
    shutil.copytree(migrations_folder(), made, ignore=shutil.ignore_patterns("__pycache__"))
    (made / "versions" / f"{NEXT}_next.py").write_text(
        f'"""Made up."""\n\nfrom alembic import op\n\nrevision, down_revision = "{NEXT}", "{SCHEMA_REVISION}"\n'
        f"branch_labels = depends_on = None\n\n\ndef upgrade() -> None:\n    {upgrade.strip()}\n",
        "utf-8",
    )
    return made
