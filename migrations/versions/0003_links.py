"""Links: where a reference went when its person turned out to be another one's, and a feed that leaves no gap."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("set local lock_timeout = '500ms'")
    create_links()
    create_person()
    create_guards()
    announce_events()


def downgrade() -> None:
    raise NotImplementedError("this would lose who was linked to whom; migrate forward instead")


def run(statement: str) -> None:
    """Execute one statement as it stands: no parameters, nothing escaped."""
    op.get_bind().exec_driver_sql(statement)


def create_function(signature: str, *, returns: str, body: str, options: str = "") -> None:
    """Create or replace a plpgsql function that finds its tables in this schema alone."""
    connection = op.get_bind()
    found = connection.exec_driver_sql("select current_schema()").scalar_one()
    schema = connection.dialect.identifier_preparer.quote(found)
    run(
        f"create or replace function {signature} returns {returns} language plpgsql {options}"
        f" set search_path = {schema}, pg_temp as $function$\n{body}\n$function$"
    )


def create_links() -> None:
    op.add_column("subjects", sa.Column("linked_into", sa.Uuid))
    # Partial: nearly nobody is linked, and whoever looks for a person's other references finds them at once.
    op.create_index(
        op.f("ix_subjects_linked_into"),
        "subjects",
        ["linked_into"],
        postgresql_where=sa.text("linked_into is not null"),
    )
    op.add_column("consent_events", sa.Column("linked_from", sa.Uuid))
    op.add_column("consent_events", sa.Column("carry", sa.Text))
    op.create_index(
        op.f("ix_consent_events_subject_ref_links"),
        "consent_events",
        ["subject_ref", "seq"],
        postgresql_where=sa.text("kind = 'link'"),
    )


def create_person() -> None:
    # Up the way that links lead, to its end; then back down to everyone who ended there. Links are for good, so one
    # statement without locks sees a person as it was at some moment of now. A way is as long as a person has had
    # identifiers, and every step of it goes by an index, whatever the statistics of a young or fast-growing table say.
    create_function(
        "person_of(reference uuid)",
        returns="table (ref uuid, stays boolean)",
        options="stable set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off",
        body="""#variable_conflict use_column
begin
  return query
    with recursive way (at, steps) as (
        select reference, 0
        union all
        select s.linked_into, way.steps + 1 from way join subjects s on s.subject_ref = way.at
        where s.linked_into is not null),
      kept (at) as (select at from way order by steps desc limit 1),
      known (at) as (
        select at from kept
        union
        select s.subject_ref from known join subjects s on s.linked_into = known.at)
    select known.at, known.at = (select at from kept) from known order by known.at;
end""",
    )
    run("revoke execute on function person_of(uuid) from public")


def create_guards() -> None:
    # The last guard, also against a release that knows nothing of links: what it would write on a reference that went
    # elsewhere would be lost. 40001: it answers 503, and has read the new reference when the caller comes again.
    create_function(
        "forbid_standing_of_linked()",
        returns="trigger",
        body="""begin
  if exists (select from subjects s where s.subject_ref = new.subject_ref and s.linked_into is not null) then
    raise exception 'this reference was linked to another one: decide there' using errcode = 'serialization_failure';
  end if;
  return new;
end""",
    )
    run(
        "create trigger only_where_it_stays before insert or update on standings"
        " for each row execute function forbid_standing_of_linked()"
    )
    run("alter table standings enable always trigger only_where_it_stays")
    create_function(
        "forbid_unlinking()",
        returns="trigger",
        body="""begin
  if new.linked_into = new.subject_ref
      or (old.linked_into is not null and new.linked_into is distinct from old.linked_into) then
    raise exception 'a link is for good, and leads to another reference' using errcode = 'insufficient_privilege';
  end if;
  return new;
end""",
    )
    run(
        "create trigger only_links before update of linked_into on subjects"
        " for each row execute function forbid_unlinking()"
    )
    run("alter table subjects enable always trigger only_links")
    for name in ("forbid_standing_of_linked", "forbid_unlinking"):
        run(f"revoke execute on function {name}() from public")


def announce_events() -> None:
    # The event's number is taken before its commit, so a lower one may become visible after a higher one. Whoever adds
    # an event first announces, by a lock that is let go when it has committed or failed, the number that came before
    # its own: a reader of the feed goes no further than the least number announced. Nobody ever waits for these locks.
    # 4712 is their class (EVENT_LOCKS): it stands in the upper 16 bits, the number in the lower 48.
    create_function(
        "append_consent_event(event jsonb)",
        returns="bigint",
        options="security definer",
        body="""declare
  made bigint;
begin
  perform pg_advisory_xact_lock_shared((4712::bigint << 48) | last_value) from consent_events_seq_seq;
  insert into consent_events (id, subject_ref, subject_kind, kind, received_at, occurred_at, disclosure,
      disclosure_sha256, locale, answers, effective, reason, actor, evidence, caller_id, caller, credential,
      environment, receipt, linked_from, carry)
    select r.id, r.subject_ref, r.subject_kind, r.kind, r.received_at, r.occurred_at, r.disclosure,
      r.disclosure_sha256, r.locale, r.answers, r.effective, r.reason, r.actor, r.evidence, r.caller_id, r.caller,
      r.credential, r.environment, r.receipt, r.linked_from, r.carry
    from jsonb_populate_record(null::consent_events, event) r
  returning seq into strict made;
  return made;
end""",
    )
