"""Media that are held until a permitted request names them, the keys of their subjects, and uploads."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MOMENT = sa.TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.execute("set local lock_timeout = '500ms'")
    op.create_table(
        "media_keys",
        sa.Column("id", sa.Uuid),
        sa.Column("subject_ref", sa.Uuid, nullable=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_media_keys")),
    )
    op.create_index(op.f("ix_media_keys_subject_ref"), "media_keys", ["subject_ref"])
    op.create_table(
        "held_media",
        sa.Column("id", sa.Uuid),
        sa.Column("caller_id", sa.Uuid, nullable=False),
        sa.Column("subject_ref", sa.Uuid, nullable=False),
        sa.Column("key_id", sa.Uuid, nullable=False),
        sa.Column("store_name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("extension", sa.Text, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("digest_before", sa.Text, nullable=False),
        sa.Column("removed", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_held_media")),
        sa.UniqueConstraint("store_name", name=op.f("uq_held_media_store_name")),
        # Whoever destroys a key destroys what it opens; and nothing can be kept under a key that is gone.
        sa.ForeignKeyConstraint(
            ["key_id"], ["media_keys.id"], name=op.f("fk_held_media_key_id_media_keys"), ondelete="CASCADE"
        ),
    )
    op.create_index(op.f("ix_held_media_key_id"), "held_media", ["key_id"])
    op.create_index(op.f("ix_held_media_subject_ref"), "held_media", ["subject_ref"])
    op.create_index(op.f("ix_held_media_expires_at"), "held_media", ["expires_at"])
    settle_uploads_later()


def settle_uploads_later() -> None:
    # A transfer that uploads first affirms its intent before each further request, so the next one may begin a send
    # window after the worker was last seen, however old the intent is: such transfers stay open, for withdrawals to
    # see, until the worker has been gone for that long.
    connection = op.get_bind()
    found = connection.exec_driver_sql("select current_schema()").scalar_one()
    schema = connection.dialect.identifier_preparer.quote(found)
    connection.exec_driver_sql(
        # Only the schema's own name is put in.
        f"""create or replace function settle_intents(dead bigint, from_id uuid, age interval, most integer)
returns setof uuid language plpgsql security definer set search_path = {schema}, pg_temp as $function$
begin
  if not pg_try_advisory_xact_lock(4711, dead::integer) then
    return;
  end if;
  return query insert into outcomes (transfer_id, seq, at, state, detail)
    select t.id, 1, clock_timestamp(), 'indeterminate', '{{"settled": true}}'::jsonb from transfers t
    where t.worker = dead and t.id >= from_id and t.intent_at < clock_timestamp() - age
      and not exists (select from outcomes o where o.transfer_id = t.id)
      and (not t.details @? '$.media[*] ? (@.placed == "upload")'
        or exists (select from workers w where w.id = dead and w.lost_at < clock_timestamp() - age))
    order by t.id limit most
    on conflict do nothing
    returning outcomes.transfer_id;
end
$function$"""  # noqa: S608 - see above
    )


def downgrade() -> None:
    raise NotImplementedError("this would destroy the keys of held media; migrate forward instead")
