"""The transparency log: a place for each row of the record, the tree over them, and the checkpoints that seal it.

Requests write nothing for it. Every row notes by a default which transaction wrote it, and by that the sequencer finds
what has been committed since it last looked, however late a commit came.
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

LOGGED = ("consent_events", "outcomes", "transfers", "refusals")
LOG = ("log_leaves", "log_nodes", "log_checkpoints", "log_keys")
# Stable, not volatile: rows that are there already get the number of this very transaction, and no table is rewritten.
THIS_TRANSACTION = "(pg_current_xact_id()::text)::bigint"


def upgrade() -> None:
    op.execute("set local lock_timeout = '500ms'")
    for table in LOGGED:
        column = sa.Column("xact", sa.BigInteger, server_default=sa.text(THIS_TRANSACTION), nullable=False)
        op.add_column(table, column)
        op.create_index(op.f(f"ix_{table}_xact"), table, ["xact"])
    create_tables()
    for table in LOG:
        run(
            f"create trigger append_only before update or delete or truncate on {table}"
            " for each statement execute function forbid_change()"
        )
        run(f"alter table {table} enable always trigger append_only")
    create_append()


def downgrade() -> None:
    raise NotImplementedError("this would destroy the log; migrate forward instead")


def run(statement: str) -> None:
    """Execute one statement as it stands: no parameters, nothing escaped."""
    op.get_bind().exec_driver_sql(statement)


def create_tables() -> None:
    op.create_table(
        "log_leaves",
        sa.Column("index", sa.BigInteger, autoincrement=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("row_id", sa.Uuid, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("index", name=op.f("pk_log_leaves")),
        sa.UniqueConstraint("row_id", "kind", "seq", name=op.f("uq_log_leaves_row_id_kind_seq")),
    )
    op.create_table(
        "log_nodes",
        sa.Column("level", sa.SmallInteger, autoincrement=False),
        sa.Column("index", sa.BigInteger, autoincrement=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("level", "index", name=op.f("pk_log_nodes")),
    )
    op.create_table(
        "log_checkpoints",
        sa.Column("size", sa.BigInteger, autoincrement=False),
        sa.Column("root", sa.LargeBinary, nullable=False),
        sa.Column("signed_at", sa.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("settled_below", sa.BigInteger, nullable=False),
        sa.Column("open_xacts", sa.ARRAY(sa.BigInteger), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_log_checkpoints")),
    )
    op.create_table(
        "log_keys",
        sa.Column("key", sa.Text),
        sa.Column("first_size", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_log_keys")),
    )


def create_append() -> None:
    # 471100007 is LOG_LOCK: whoever holds it is the sequencer. The leaves, the nodes that they complete
    # and the checkpoint that seals them come together or not at all, and only where the log ends as the caller saw it.
    body = """#variable_conflict use_column
declare
  known bigint;
begin
  perform pg_advisory_xact_lock(471100007);
  select coalesce(max(index) + 1, 0) into known from log_leaves;
  if known <> size_before or cardinality(hashes) = 0 then
    raise exception 'the log has % rows, not %', known, size_before using errcode = 'serialization_failure';
  end if;
  insert into log_leaves (index, kind, row_id, seq, hash)
    select size_before + r.place - 1, r.kind, r.row_id, r.seq, r.hash
    from unnest(kinds, ids, seqs, hashes) with ordinality r (kind, row_id, seq, hash, place);
  insert into log_nodes (level, index, hash) select * from unnest(node_levels, node_indexes, node_hashes);
  known := size_before + cardinality(hashes);
  insert into log_checkpoints (size, root, signed_at, note, settled_below, open_xacts)
    values (known, root_hash, clock_timestamp(), signed_note, all_below, but_not);
  insert into log_keys (key, first_size) values (signed_by, known) on conflict do nothing;
  return known;
end"""
    connection = op.get_bind()
    found = connection.exec_driver_sql("select current_schema()").scalar_one()
    schema = connection.dialect.identifier_preparer.quote(found)
    run(
        "create function append_to_log(size_before bigint, kinds text[], ids uuid[], seqs bigint[], hashes bytea[],"
        " node_levels smallint[], node_indexes bigint[], node_hashes bytea[], root_hash bytea, signed_note text,"
        " signed_by text, all_below bigint, but_not bigint[]) returns bigint language plpgsql security definer"
        f" set search_path = {schema}, pg_temp as $function$\n{body}\n$function$"
    )
    run(
        "revoke execute on function append_to_log(bigint, text[], uuid[], bigint[], bytea[], smallint[], bigint[],"
        " bytea[], bytea, text, text, bigint, bigint[]) from public"
    )
