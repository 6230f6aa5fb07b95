"""${message}"""

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    # A lock that is not to be had soon must not hold up everyone who queues behind it: fail; `migrate` begins again.
    # Shorter than `deadlock_timeout`, so that it is never a request that has to give way.
    op.execute("set local lock_timeout = '500ms'")
    # Only add: the release before runs on this schema too. Where several tables are changed, in the order in which the
    # service locks them: jobs, outputs, keys, workers, standings, consent_events, outcomes, transfers, refusals.
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    op.execute("set local lock_timeout = '500ms'")
    ${downgrades if downgrades else "pass"}
