"""Transfers that were recorded and have no outcome yet, for tests of what waits for them."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from consent_proxy.adapters.postgres.connections import Database
from consent_proxy.adapters.postgres.ledger import PostgresConsentLedger
from consent_proxy.adapters.postgres.transfer_records import intent_details
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.subjects import SubjectRef
from tests.conformance.samples import decision, new_ref, yes
from tests.transfer_samples import a_dispatch, a_dispatch_with_an_upload, an_intent, soon

_COMMIT = "select commit_intents($1, $2, $3, $4, $5, $6, $7)"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTransfer:
    """A transfer, its subject, and the worker it was recorded under."""

    id: UUID
    subject_ref: SubjectRef
    worker: int


async def open_transfer(
    database: Database, *, subject_ref: SubjectRef | None = None, uploads: bool = False
) -> OpenTransfer:
    """Record the intent of a picture on the standing and the rules of now; a yes is recorded where nothing stands.

    With ``uploads`` it is one of several requests, of which each after the first has the intent affirmed.
    """
    ref = subject_ref if subject_ref is not None else new_ref()
    ledger = PostgresConsentLedger(database, send_within=timedelta(0))
    standing = (await ledger.standings(ref)).get(Purpose.GENERATION)
    if standing is None:
        standing = (await ledger.decide(decision(ref, yes()))).standings[Purpose.GENERATION]
    edition = await database.fetchval("select edition from rules")
    worker = await database.fetchval("insert into workers (host) values ('a test') returning id")
    transfer_id = await commit_intent(
        database, ref, version=standing.version, edition=edition, worker=worker, uploads=uploads
    )
    assert transfer_id is not None
    return OpenTransfer(id=transfer_id, subject_ref=ref, worker=worker)


async def commit_intent(
    database: Database,
    subject_ref: SubjectRef,
    *,
    version: int,
    edition: int,
    worker: int = 1,
    uploads: bool = False,
) -> UUID | None:
    """Commit an intent on a version and an edition; ``None`` where they no longer stand."""
    intent = an_intent(subject_ref, dispatch=a_dispatch_with_an_upload() if uploads else a_dispatch())
    row = await database.fetchrow(
        _COMMIT,
        [intent.id],
        [subject_ref],
        [Purpose.GENERATION.value],
        [version],
        [edition],
        [soon()],
        [intent_details(intent, worker=worker)],
    )
    return intent.id if row is not None else None


async def close_transfer(database: Database, transfer_id: UUID) -> None:
    """Write the outcome."""
    await database.execute("select append_outcomes($1, $2, $3, $4)", [transfer_id], [1], ["delivered"], [{}])
