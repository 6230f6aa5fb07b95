"""Every table of the service, and the one row of the rules."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.execute("set local lock_timeout = '5s'")
    create_rules()
    create_callers()
    create_subjects()
    create_consent()
    create_transfers()
    create_outcomes_and_refusals()
    create_accesses()
    create_jobs()
    create_workers()


def downgrade() -> None:
    raise NotImplementedError("this would destroy the record; drop the database by hand if that is what you mean")


def create_rules() -> None:
    op.create_table(
        "rules",
        sa.Column("id", sa.SmallInteger, autoincrement=False),
        sa.Column("edition", sa.BigInteger, nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_rules_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rules")),
    )
    op.execute("insert into rules (id, edition) values (1, 1)")
    op.create_table(
        "disclosures",
        sa.Column("version", sa.Text),
        sa.Column("effective_at", MOMENT, nullable=False),
        sa.Column("published_at", MOMENT, nullable=False),
        sa.Column("published_by", sa.Text, nullable=False),
        sa.Column("document", postgresql.JSONB, nullable=False),
        sa.Column("sha256_by_locale", postgresql.JSONB, nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_disclosures")),
    )
    op.create_table(
        "contracts",
        sa.Column("id", sa.Uuid),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("document", postgresql.JSONB, nullable=False),
        sa.Column("valid_from", MOMENT, nullable=False),
        sa.Column("valid_until", MOMENT),
        sa.Column("put_at", MOMENT, nullable=False),
        sa.Column("put_by", sa.Text, nullable=False),
        sa.Column("ended_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contracts")),
    )
    op.create_index(op.f("ix_contracts_recipient"), "contracts", ["recipient"])


def create_callers() -> None:
    op.create_table(
        "callers",
        sa.Column("id", sa.Uuid),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_callers")),
        sa.UniqueConstraint("name", name=op.f("uq_callers_name")),
    )
    op.create_table(
        "keys",
        sa.Column("id", sa.Uuid),
        sa.Column("caller_id", sa.Uuid, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("roles", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT),
        sa.Column("revoked_at", MOMENT),
        sa.Column("last_used_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_keys")),
        sa.UniqueConstraint("digest", name=op.f("uq_keys_digest")),
        sa.ForeignKeyConstraint(["caller_id"], ["callers.id"], name=op.f("fk_keys_caller_id_callers")),
    )
    op.create_index(op.f("ix_keys_caller_id"), "keys", ["caller_id"])
    op.create_table(
        "token_revocations",
        sa.Column("token_id", sa.Text),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("token_id", name=op.f("pk_token_revocations")),
    )
    op.create_index(op.f("ix_token_revocations_expires_at"), "token_revocations", ["expires_at"])
    op.create_table(
        "token_cutoffs",
        sa.Column("subject_ref", sa.Uuid),
        sa.Column("issued_before", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("subject_ref", name=op.f("pk_token_cutoffs")),
    )


def create_subjects() -> None:
    op.create_table(
        "subjects",
        sa.Column("subject_ref", sa.Uuid),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("erased_at", MOMENT),
        sa.PrimaryKeyConstraint("subject_ref", name=op.f("pk_subjects")),
    )
    op.create_table(
        "subject_identifiers",
        sa.Column("digest", sa.LargeBinary),
        sa.Column("subject_ref", sa.Uuid, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_subject_identifiers")),
        sa.ForeignKeyConstraint(
            ["subject_ref"], ["subjects.subject_ref"], name=op.f("fk_subject_identifiers_subject_ref_subjects")
        ),
    )
    op.create_index(op.f("ix_subject_identifiers_subject_ref"), "subject_identifiers", ["subject_ref"])
    op.create_table(
        "salts",
        sa.Column("subject_ref", sa.Uuid),
        sa.Column("salt", sa.LargeBinary, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("subject_ref", name=op.f("pk_salts")),
    )
    op.create_table(
        "secrets",
        sa.Column("name", sa.Text),
        sa.Column("version", sa.Integer, autoincrement=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("retired_at", MOMENT),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_secrets")),
    )


def create_consent() -> None:
    op.create_table(
        "standings",
        sa.Column("subject_ref", sa.Uuid),
        sa.Column("purpose", sa.Text),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("detail", postgresql.JSONB, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("subject_ref", "purpose", name=op.f("pk_standings")),
    )
    op.create_table(
        "consent_events",
        sa.Column("id", sa.Uuid),
        sa.Column("seq", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("subject_ref", sa.Uuid, nullable=False),
        sa.Column("subject_kind", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("occurred_at", MOMENT),
        sa.Column("disclosure", sa.Text),
        sa.Column("disclosure_sha256", sa.Text),
        sa.Column("locale", sa.Text),
        sa.Column("answers", postgresql.JSONB, nullable=False),
        sa.Column("effective", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("evidence", postgresql.JSONB, nullable=False),
        sa.Column("caller_id", sa.Uuid, nullable=False),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("credential", postgresql.JSONB, nullable=False),
        sa.Column("environment", sa.Text, nullable=False),
        sa.Column("receipt", postgresql.JSONB),
        sa.CheckConstraint("kind in ('decision', 'withdrawal', 'link')", name=op.f("ck_consent_events_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_consent_events")),
        sa.UniqueConstraint("seq", name=op.f("uq_consent_events_seq")),
    )
    op.create_index(op.f("ix_consent_events_subject_ref_seq"), "consent_events", ["subject_ref", "seq"])
    op.create_table(
        "idempotency",
        sa.Column("digest", sa.LargeBinary),
        sa.Column("request_sha256", sa.LargeBinary, nullable=False),
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_idempotency")),
    )


def create_transfers() -> None:
    op.create_table(
        "transfers",
        sa.Column("id", sa.Uuid),
        sa.Column("intent_at", MOMENT, nullable=False),
        sa.Column("subject_ref", sa.Uuid, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("standing_version", sa.BigInteger, nullable=False),
        sa.Column("edition", sa.BigInteger, nullable=False),
        sa.Column("worker", sa.BigInteger, nullable=False),
        sa.Column("caller_id", sa.Uuid, nullable=False),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("categories", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("contract_id", sa.Uuid),
        sa.Column("country", sa.Text),
        sa.Column("details", postgresql.JSONB, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfers")),
        postgresql_partition_by="RANGE (id)",
    )
    op.create_index(op.f("ix_transfers_subject_ref_id"), "transfers", ["subject_ref", "id"])
    op.create_index(op.f("ix_transfers_worker_id"), "transfers", ["worker", "id"])


def create_outcomes_and_refusals() -> None:
    op.create_table(
        "outcomes",
        sa.Column("transfer_id", sa.Uuid),
        sa.Column("seq", sa.Integer, autoincrement=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("detail", postgresql.JSONB, nullable=False),
        sa.CheckConstraint("seq >= 1", name=op.f("ck_outcomes_seq")),
        sa.CheckConstraint(
            "state in ('pending', 'delivered', 'not-delivered', 'indeterminate')", name=op.f("ck_outcomes_state")
        ),
        sa.PrimaryKeyConstraint("transfer_id", "seq", name=op.f("pk_outcomes")),
        postgresql_partition_by="RANGE (transfer_id)",
    )
    op.create_table(
        "refusals",
        sa.Column("id", sa.Uuid),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("subject_ref", sa.Uuid, nullable=False),
        sa.Column("purpose", sa.Text),
        sa.Column("caller_id", sa.Uuid, nullable=False),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("edition", sa.BigInteger),
        sa.Column("details", postgresql.JSONB, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refusals")),
        postgresql_partition_by="RANGE (id)",
    )
    op.create_index(op.f("ix_refusals_subject_ref_id"), "refusals", ["subject_ref", "id"])


def create_accesses() -> None:
    op.create_table(
        "accesses",
        sa.Column("id", sa.Uuid),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("caller_id", sa.Uuid, nullable=False),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("credential", postgresql.JSONB, nullable=False),
        sa.Column("resource", sa.Text, nullable=False),
        sa.Column("subject_ref", sa.Uuid),
        sa.Column("object_id", sa.Text),
        sa.Column("filters", postgresql.JSONB, nullable=False),
        sa.Column("items", sa.Integer),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accesses")),
    )
    op.create_index(op.f("ix_accesses_subject_ref_id"), "accesses", ["subject_ref", "id"])


def create_jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid),
        sa.Column("caller_id", sa.Uuid, nullable=False),
        sa.Column("subject_ref", sa.Uuid, nullable=False),
        sa.Column("subject_kind", sa.Text, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("provider_job_id", sa.Text),
        sa.Column("address", sa.Text, server_default=sa.text("''"), nullable=False),
        sa.Column("operation", sa.Text, nullable=False),
        sa.Column("version", sa.Text),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("state", sa.Text),
        sa.Column("finished_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index(op.f("ix_jobs_subject_ref_id"), "jobs", ["subject_ref", "id"])
    op.create_table(
        "outputs",
        sa.Column("digest", sa.LargeBinary),
        sa.Column("job_id", sa.Uuid, nullable=False),
        sa.Column("caller_id", sa.Uuid, nullable=False),
        sa.Column("subject_ref", sa.Uuid, nullable=False),
        sa.Column("provider", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_outputs")),
    )
    op.create_index(op.f("ix_outputs_job_id"), "outputs", ["job_id"])
    op.create_index(op.f("ix_outputs_expires_at"), "outputs", ["expires_at"])


def create_workers() -> None:
    op.create_table(
        "workers",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True)),
        sa.Column("started_at", MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("open_from", sa.Uuid),
        sa.Column("lost_at", MOMENT),
        sa.Column("settled_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_workers")),
    )
