"""What closes the record: append-only triggers, monthly partitions, and the functions that alone may add to it.

The functions belong to the owner and run with its rights (SECURITY DEFINER); the service's role may execute them and
holds no INSERT on the tables they write. Tables named here are found by the pinned search_path only.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# For the functions on the path of every request: plans are made once a session, and go by the keys whatever the
# statistics say. A plan of a table's first, empty hours would read all of the standings; planning anew each time, over
# the partitions of three tables, took four times as long as the work (measured).
BY_KEY = (
    "security definer set plan_cache_mode = 'force_generic_plan'"
    " set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off"
)

APPEND_ONLY = ("transfers", "outcomes", "refusals", "accesses", "consent_events")
NEVER_DELETED = ("contracts",)

# In the bodies below, 471100001 is the lock of the rules: shared by every commit of intents, exclusive for every change
# of the rules. 471100003 is the lock of whoever makes partitions. advisory_locks.py has both by name.


def upgrade() -> None:
    op.execute("set local lock_timeout = '5s'")
    create_triggers()
    create_partitions()
    create_intents()
    create_outcomes()
    create_records()
    create_edition()


def downgrade() -> None:
    raise NotImplementedError("this would open the record to changes; migrate forward instead")


def run(statement: str) -> None:
    """Execute one statement as it stands: no parameters, nothing escaped."""
    op.get_bind().exec_driver_sql(statement)


def create_function(signature: str, *, returns: str, body: str, options: str = "") -> None:
    """Create a plpgsql function that finds its tables in this schema alone, and that nobody else may execute."""
    connection = op.get_bind()
    found = connection.exec_driver_sql("select current_schema()").scalar_one()
    schema = connection.dialect.identifier_preparer.quote(found)
    run(
        f"create function {signature} returns {returns} language plpgsql {options}"
        f" set search_path = {schema}, pg_temp as $function$\n{body}\n$function$"
    )
    name, _, parameters = signature.partition("(")
    types = [part.split(" default ")[0].split()[-1] for part in parameters.rstrip(")").split(",") if part]
    run(f"revoke execute on function {name}({', '.join(types)}) from public")


def create_triggers() -> None:
    # Triggers for each statement, on every table: those for each row would let a statement that meets no row pass,
    # and TRUNCATE knows no rows. ALWAYS: also where session_replication_role says that triggers do not fire.
    create_function(
        "forbid_change()",
        returns="trigger",
        body="""begin
  raise exception '% is append-only: nobody may % it, not even its owner', tg_table_name, lower(tg_op)
    using errcode = 'insufficient_privilege';
end""",
    )
    for table in (*APPEND_ONLY, "disclosures"):
        close_table(table, "update or delete or truncate")
    for table in NEVER_DELETED:
        close_table(table, "delete or truncate")
    create_function(
        "forbid_rewriting_contracts()",
        returns="trigger",
        body="""begin
  if to_jsonb(new) - 'ended_at' <> to_jsonb(old) - 'ended_at'
      or (old.ended_at is not null and (new.ended_at is null or new.ended_at > old.ended_at)) then
    raise exception 'a contract that was put may end, or end earlier, and change in nothing else'
      using errcode = 'insufficient_privilege';
  end if;
  return new;
end""",
    )
    run(
        "create trigger only_ends before update on contracts for each row execute function forbid_rewriting_contracts()"
    )
    run("alter table contracts enable always trigger only_ends")


def close_table(table: str, events: str) -> None:
    run(f"create trigger append_only before {events} on {table} for each statement execute function forbid_change()")
    run(f"alter table {table} enable always trigger append_only")


def create_partitions() -> None:
    # A partition is made as a table of its own and then attached: that locks out no insert into the parent, which
    # `create table … partition of` would. Statement triggers are not inherited, so each gets its own.
    create_function(
        "ensure_partitions(months_ahead integer default 12)",
        returns="integer",
        options="security definer set lock_timeout = '5s'",
        body="""declare
  this_month timestamp := date_trunc('month', now() at time zone 'UTC');
  month timestamp;
  parent text;
  partition text;
  made integer := 0;
begin
  if months_ahead not between 0 and 120 then
    raise exception 'months_ahead has to be 0 to 120' using errcode = 'invalid_parameter_value';
  end if;
  perform pg_advisory_xact_lock(471100003);
  for month in
    select generate_series(this_month - interval '1 month', this_month + months_ahead * interval '1 month', '1 month')
  loop
    foreach parent in array array['transfers', 'outcomes', 'refusals'] loop
      partition := parent || to_char(month, '_YYYY_MM');
      continue when exists (
        select from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = parent::regclass and c.relname = partition);
      execute format('create table %I (like %I including all)', partition, parent);
      execute format('create trigger append_only before update or delete or truncate on %I'
        ' for each statement execute function forbid_change()', partition);
      execute format('alter table %I enable always trigger append_only', partition);
      execute format('alter table %I attach partition %I for values from (%L) to (%L)',
        parent, partition, uuid_floor(month), uuid_floor(month + interval '1 month'));
      made := made + 1;
    end loop;
  end loop;
  return made;
end""",
    )
    # RFC 9562: the first 48 bits of a UUIDv7 are milliseconds since 1970.
    create_function(
        "uuid_floor(moment timestamp)",
        returns="uuid",
        options="immutable strict",
        body="""begin
  return rpad(lpad(to_hex((extract(epoch from moment) * 1000)::bigint), 12, '0'), 32, '0')::uuid;
end""",
    )


def create_intents() -> None:
    # The locks and the read have to be statements of their own: the insert's snapshot is then taken after the locks
    # are held. One statement that locks and reads let intents through that a withdrawal had overtaken (tried).
    create_function(
        "commit_intents(ids uuid[], subjects uuid[], purposes text[], versions bigint[], editions bigint[],"
        " not_after timestamptz[], details jsonb[])",
        returns="setof uuid",
        options=BY_KEY,
        body="""begin
  perform pg_advisory_xact_lock_shared(471100001);
  perform 1 from standings s where (s.subject_ref, s.purpose) in (select * from unnest(subjects, purposes))
    order by s.subject_ref, s.purpose for share;
  return query insert into transfers (id, intent_at, subject_ref, purpose, standing_version, edition, worker,
      caller_id, caller, provider, recipient, model, categories, contract_id, country, details)
    select r.id, clock_timestamp(), r.subject, r.purpose, r.version, r.edition, (r.detail ->> 'worker')::bigint,
      (r.detail ->> 'caller_id')::uuid, r.detail ->> 'caller', r.detail ->> 'provider', r.detail ->> 'recipient',
      r.detail ->> 'model', array(select jsonb_array_elements_text(r.detail -> 'categories')),
      (r.detail #>> '{contract,id}')::uuid, r.detail #>> '{contract,country}',
      r.detail - '{worker,caller_id}'::text[]
    from unnest(ids, subjects, purposes, versions, editions, not_after, details)
      r (id, subject, purpose, version, edition, not_after, detail)
    join standings s on s.subject_ref = r.subject and s.purpose = r.purpose and s.version = r.version
      and s.state = 'granted'
    join rules g on g.edition = r.edition
    where clock_timestamp() < r.not_after
    returning transfers.id;
end""",
    )
    create_function(
        "affirm_intents(ids uuid[], subjects uuid[], purposes text[], versions bigint[], editions bigint[],"
        " not_after timestamptz[])",
        returns="setof uuid",
        options=BY_KEY,
        body="""begin
  perform pg_advisory_xact_lock_shared(471100001);
  perform 1 from standings s where (s.subject_ref, s.purpose) in (select * from unnest(subjects, purposes))
    order by s.subject_ref, s.purpose for share;
  return query select t.id
    from unnest(ids, subjects, purposes, versions, editions, not_after)
      r (id, subject, purpose, version, edition, not_after)
    join transfers t on t.id = r.id and t.subject_ref = r.subject and t.purpose = r.purpose
    join standings s on s.subject_ref = r.subject and s.purpose = r.purpose and s.version = r.version
      and s.state = 'granted'
    join rules g on g.edition = r.edition
    where clock_timestamp() < r.not_after;
end""",
    )


def create_outcomes() -> None:
    # Whatever becomes known is kept: where the place is taken, an outcome that says something else comes after what is
    # there, and one that says the same is the second try of a write whose answer was lost. One that two transactions
    # write at once is not returned, and is tried again by the caller. Written in the order of the key, so that two
    # batches with rows in common do not wait for each other in a circle.
    create_function(
        "append_outcomes(transfer_ids uuid[], seqs integer[], states text[], details jsonb[])",
        returns="table (transfer_id uuid, seq integer)",
        options=BY_KEY,
        body="""#variable_conflict use_column
declare
  -- What lies between them is what the partitions of other months need not be asked for.
  least_id uuid := (select id from unnest(transfer_ids) id order by id limit 1);
  greatest_id uuid := (select id from unnest(transfer_ids) id order by id desc limit 1);
begin
  return query insert into outcomes as o (transfer_id, seq, at, state, detail)
    select r.id, case when r.seq = any (known.seqs) then known.top + 1 else r.seq end,
      clock_timestamp(), r.state, r.detail
    from unnest(transfer_ids, seqs, states, details) r (id, seq, state, detail)
    cross join lateral (
      select array_agg(k.seq) as seqs, max(k.seq) as top,
        coalesce(bool_or(k.seq >= r.seq and k.state = r.state and k.detail = r.detail), false) as told
      from outcomes k where k.transfer_id = r.id and k.transfer_id between least_id and greatest_id) known
    where not known.told
      and exists (select from transfers t where t.id = r.id and t.id between least_id and greatest_id)
    order by 1, 2
    on conflict do nothing
    returning o.transfer_id, o.seq;
end""",
    )
    # 4711 is the class of the workers' locks (WORKER_LOCKS): who holds a worker's lock is that worker, or
    # settles for it. What has any outcome is left alone, and so is what is younger than a send window: a worker that
    # lost its lock may be about to send it, and a withdrawal has to see it as open for as long as that may be.
    create_function(
        "settle_intents(dead bigint, from_id uuid, age interval, most integer)",
        returns="setof uuid",
        options="security definer",
        body="""begin
  if not pg_try_advisory_xact_lock(4711, dead::integer) then
    return;
  end if;
  return query insert into outcomes (transfer_id, seq, at, state, detail)
    select t.id, 1, clock_timestamp(), 'indeterminate', '{"settled": true}'::jsonb from transfers t
    where t.worker = dead and t.id >= from_id and t.intent_at < clock_timestamp() - age
      and not exists (select from outcomes o where o.transfer_id = t.id)
    order by t.id limit most
    on conflict do nothing
    returning outcomes.transfer_id;
end""",
    )


def create_records() -> None:
    create_function(
        "append_refusals(ids uuid[], details jsonb[])",
        returns="setof uuid",
        options="security definer",
        body="""begin
  return query insert into refusals (id, at, subject_ref, purpose, caller_id, caller, provider, recipient, model,
      reason, edition, details)
    select r.id, (r.detail ->> 'at')::timestamptz, (r.detail ->> 'subject_ref')::uuid, r.detail ->> 'purpose',
      (r.detail ->> 'caller_id')::uuid, r.detail ->> 'caller', r.detail ->> 'provider', r.detail ->> 'recipient',
      r.detail ->> 'model', r.detail ->> 'reason', (r.detail ->> 'edition')::bigint,
      r.detail - '{at,caller_id}'::text[]
    from unnest(ids, details) r (id, detail)
    on conflict do nothing
    returning refusals.id;
end""",
    )
    create_function(
        "append_accesses(entries jsonb[])",
        returns="setof uuid",
        options="security definer",
        body="""begin
  return query insert into accesses
      (id, at, caller_id, caller, credential, resource, subject_ref, object_id, filters, items)
    select r.id, r.at, r.caller_id, r.caller, r.credential, r.resource, r.subject_ref, r.object_id, r.filters, r.items
    from unnest(entries) entry (entry), jsonb_populate_record(null::accesses, entry.entry) r
    on conflict do nothing
    returning accesses.id;
end""",
    )
    create_function(
        "append_consent_event(event jsonb)",
        returns="bigint",
        options="security definer",
        body="""declare
  made bigint;
begin
  insert into consent_events (id, subject_ref, subject_kind, kind, received_at, occurred_at, disclosure,
      disclosure_sha256, locale, answers, effective, reason, actor, evidence, caller_id, caller, credential,
      environment, receipt)
    select r.id, r.subject_ref, r.subject_kind, r.kind, r.received_at, r.occurred_at, r.disclosure,
      r.disclosure_sha256, r.locale, r.answers, r.effective, r.reason, r.actor, r.evidence, r.caller_id, r.caller,
      r.credential, r.environment, r.receipt
    from jsonb_populate_record(null::consent_events, event) r
    returning seq into strict made;
  return made;
end""",
    )


def create_edition() -> None:
    create_function(
        "move_edition()",
        returns="bigint",
        options="security definer",
        body="""declare
  moved bigint;
begin
  perform pg_advisory_xact_lock(471100001);
  update rules set edition = edition + 1 returning edition into strict moved;
  return moved;
end""",
    )
