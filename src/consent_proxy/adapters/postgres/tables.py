"""The tables as the code expects them; `alembic check` holds the migrations to this."""

from sqlalchemy import (
    ARRAY,
    TIMESTAMP,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

#: The revision this code was written for; the newest of `migrations/versions`.
SCHEMA_REVISION = "0005"

#: Tables partitioned by the month that is written in their UUIDv7.
PARTITIONED = ("transfers", "outcomes", "refusals")
#: Tables that take new rows through functions only, and in which nothing ever changes.
APPEND_ONLY = (*PARTITIONED, "accesses", "consent_events", "log_leaves", "log_nodes", "log_checkpoints", "log_keys")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_MOMENT = TIMESTAMP(timezone=True)


def _xact() -> Column[int]:
    """Which transaction wrote the row: by it the sequencer of the log finds what it has not seen yet."""
    this_transaction = text("(pg_current_xact_id()::text)::bigint")
    return Column("xact", BigInteger, nullable=False, server_default=this_transaction, index=True)


rules = Table(
    "rules",
    metadata,
    Column("id", SmallInteger, CheckConstraint("id = 1", name="one_row"), primary_key=True, autoincrement=False),
    Column("edition", BigInteger, nullable=False),
)

disclosures = Table(
    "disclosures",
    metadata,
    Column("version", Text, primary_key=True),
    Column("effective_at", _MOMENT, nullable=False),
    Column("published_at", _MOMENT, nullable=False),
    Column("published_by", Text, nullable=False),
    Column("document", JSONB, nullable=False),
    Column("sha256_by_locale", JSONB, nullable=False),
)

contracts = Table(
    "contracts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("recipient", Text, nullable=False, index=True),
    Column("document", JSONB, nullable=False),
    Column("valid_from", _MOMENT, nullable=False),
    Column("valid_until", _MOMENT),
    Column("put_at", _MOMENT, nullable=False),
    Column("put_by", Text, nullable=False),
    Column("ended_at", _MOMENT),
)

callers = Table(
    "callers",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", _MOMENT, nullable=False),
)

keys = Table(
    "keys",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("caller_id", Uuid, ForeignKey(callers.c.id), nullable=False, index=True),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("roles", ARRAY(Text), nullable=False),
    Column("created_at", _MOMENT, nullable=False),
    Column("expires_at", _MOMENT),
    Column("revoked_at", _MOMENT),
    Column("last_used_at", _MOMENT),
)

token_revocations = Table(
    "token_revocations",
    metadata,
    Column("token_id", Text, primary_key=True),
    Column("expires_at", _MOMENT, nullable=False, index=True),
)

token_cutoffs = Table(
    "token_cutoffs",
    metadata,
    Column("subject_ref", Uuid, primary_key=True),
    Column("issued_before", _MOMENT, nullable=False),
)

subjects = Table(
    "subjects",
    metadata,
    Column("subject_ref", Uuid, primary_key=True),
    Column("created_at", _MOMENT, nullable=False),
    Column("erased_at", _MOMENT),
    Column("linked_into", Uuid),
    Index("ix_subjects_linked_into", "linked_into", postgresql_where=text("linked_into is not null")),
)

subject_identifiers = Table(
    "subject_identifiers",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("subject_ref", Uuid, ForeignKey(subjects.c.subject_ref), nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("created_at", _MOMENT, nullable=False),
)

salts = Table(
    "salts",
    metadata,
    Column("subject_ref", Uuid, primary_key=True),
    Column("salt", LargeBinary, nullable=False),
    Column("created_at", _MOMENT, nullable=False),
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("created_at", _MOMENT, nullable=False),
    Column("retired_at", _MOMENT),
)

standings = Table(
    "standings",
    metadata,
    Column("subject_ref", Uuid, primary_key=True),
    Column("purpose", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("detail", JSONB, nullable=False),
    Column("updated_at", _MOMENT, nullable=False),
)

consent_events = Table(
    "consent_events",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("seq", BigInteger, Identity(always=True), nullable=False, unique=True),
    Column("subject_ref", Uuid, nullable=False),
    Column("subject_kind", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("received_at", _MOMENT, nullable=False),
    Column("occurred_at", _MOMENT),
    Column("disclosure", Text),
    Column("disclosure_sha256", Text),
    Column("locale", Text),
    Column("answers", JSONB, nullable=False),
    Column("effective", Boolean, nullable=False),
    Column("reason", Text),
    Column("actor", Text, nullable=False),
    Column("evidence", JSONB, nullable=False),
    Column("caller_id", Uuid, nullable=False),
    Column("caller", Text, nullable=False),
    Column("credential", JSONB, nullable=False),
    Column("environment", Text, nullable=False),
    Column("receipt", JSONB),
    _xact(),
    CheckConstraint("kind in ('decision', 'withdrawal', 'link')", name="kind"),
    Column("linked_from", Uuid),
    Column("carry", Text),
    Index(None, "subject_ref", "seq"),
    Index("ix_consent_events_subject_ref_links", "subject_ref", "seq", postgresql_where=text("kind = 'link'")),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("request_sha256", LargeBinary, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("created_at", _MOMENT, nullable=False),
)

transfers = Table(
    "transfers",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("intent_at", _MOMENT, nullable=False),
    Column("subject_ref", Uuid, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("standing_version", BigInteger, nullable=False),
    Column("edition", BigInteger, nullable=False),
    Column("worker", BigInteger, nullable=False),
    Column("caller_id", Uuid, nullable=False),
    Column("caller", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("categories", ARRAY(Text), nullable=False),
    Column("contract_id", Uuid),
    Column("country", Text),
    Column("details", JSONB, nullable=False),
    _xact(),
    Index(None, "subject_ref", "id"),
    Index(None, "worker", "id"),
    postgresql_partition_by="RANGE (id)",
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("transfer_id", Uuid, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at", _MOMENT, nullable=False),
    Column("state", Text, nullable=False),
    Column("detail", JSONB, nullable=False),
    _xact(),
    CheckConstraint("seq >= 1", name="seq"),
    CheckConstraint("state in ('pending', 'delivered', 'not-delivered', 'indeterminate')", name="state"),
    postgresql_partition_by="RANGE (transfer_id)",
)

refusals = Table(
    "refusals",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("at", _MOMENT, nullable=False),
    Column("subject_ref", Uuid, nullable=False),
    Column("purpose", Text),
    Column("caller_id", Uuid, nullable=False),
    Column("caller", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("edition", BigInteger),
    Column("details", JSONB, nullable=False),
    _xact(),
    Index(None, "subject_ref", "id"),
    postgresql_partition_by="RANGE (id)",
)

accesses = Table(
    "accesses",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("at", _MOMENT, nullable=False),
    Column("caller_id", Uuid, nullable=False),
    Column("caller", Text, nullable=False),
    Column("credential", JSONB, nullable=False),
    Column("resource", Text, nullable=False),
    Column("subject_ref", Uuid),
    Column("object_id", Text),
    Column("filters", JSONB, nullable=False),
    Column("items", Integer),
    Index(None, "subject_ref", "id"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("caller_id", Uuid, nullable=False),
    Column("subject_ref", Uuid, nullable=False),
    Column("subject_kind", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("recipient", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("provider_job_id", Text),
    Column("address", Text, nullable=False, server_default=text("''")),
    Column("operation", Text, nullable=False),
    Column("version", Text),
    Column("created_at", _MOMENT, nullable=False),
    Column("state", Text),
    Column("finished_at", _MOMENT),
    Index(None, "subject_ref", "id"),
)

outputs = Table(
    "outputs",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("job_id", Uuid, nullable=False, index=True),
    Column("caller_id", Uuid, nullable=False),
    Column("subject_ref", Uuid, nullable=False),
    Column("provider", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("created_at", _MOMENT, nullable=False),
    Column("expires_at", _MOMENT, nullable=False, index=True),
)

#: A subject's keys for what is held of them, wrapped; without its row nothing sealed under a key is ever read again.
media_keys = Table(
    "media_keys",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("subject_ref", Uuid, nullable=False, index=True),
    Column("wrapped", LargeBinary, nullable=False),
    Column("created_at", _MOMENT, nullable=False),
)

held_media = Table(
    "held_media",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("caller_id", Uuid, nullable=False),
    Column("subject_ref", Uuid, nullable=False, index=True),
    Column("key_id", Uuid, ForeignKey("media_keys.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("store_name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("extension", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    Column("digest_before", Text, nullable=False),
    Column("removed", ARRAY(Text), nullable=False),
    Column("created_at", _MOMENT, nullable=False),
    Column("expires_at", _MOMENT, nullable=False, index=True),
)

#: `open_from`: every transfer of the worker with a lesser id has an outcome. `lost_at`: when its lock was first found
#: free. `settled_at`: since when nothing of it can be open any more.
workers = Table(
    "workers",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("started_at", _MOMENT, nullable=False, server_default=text("now()")),
    Column("host", Text, nullable=False),
    Column("open_from", Uuid),
    Column("lost_at", _MOMENT),
    Column("settled_at", _MOMENT),
)

log_leaves = Table(
    "log_leaves",
    metadata,
    Column("index", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("row_id", Uuid, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    UniqueConstraint("row_id", "kind", "seq"),
)

#: The nodes above the leaves whose leaves are all there.
log_nodes = Table(
    "log_nodes",
    metadata,
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    Column("index", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
)

#: Each seals every row before it. All transactions below `settled_below` have their rows in the log by then, but those
#: of `open_xacts`, which had not come to an end.
log_checkpoints = Table(
    "log_checkpoints",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("root", LargeBinary, nullable=False),
    Column("signed_at", _MOMENT, nullable=False),
    Column("note", Text, nullable=False),
    Column("settled_below", BigInteger, nullable=False),
    Column("open_xacts", ARRAY(BigInteger), nullable=False),
)

#: The public keys that signed checkpoints, in signed-note's form, with the size at which each was first used.
log_keys = Table(
    "log_keys",
    metadata,
    Column("key", Text, primary_key=True),
    Column("first_size", BigInteger, nullable=False),
)
