"""The record as an auditor reads it: the contract's shape, every filter, page by page and as a stream."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from consent_proxy.adapters.postgres.connections import Database, RawConnection, open_database
from consent_proxy.adapters.postgres.intents import PostgresTransferLog, open_transfer_log
from consent_proxy.adapters.postgres.transfers import FILTERS, PostgresTransferReader
from consent_proxy.adapters.system import SystemClock
from consent_proxy.application.ports.pages import Page
from consent_proxy.application.ports.records import TransferQuery
from consent_proxy.application.ports.transfers import RefusedTransfer
from consent_proxy.domain.categories import DataCategory
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.subjects import SubjectRef
from consent_proxy.domain.transfers import Cancel, Intent, OutcomeState, RecordedIntent, ResultState
from tests.builders import a_contract, a_manifest
from tests.integration.ledger_rows import connected, set_standing
from tests.postgres import LedgerDatabase
from tests.transfer_samples import a_dispatch, a_job, a_refusal, an_intent, an_outcome, new_id, new_subject


@pytest.fixture
async def owner(ledger_database: LedgerDatabase) -> AsyncIterator[RawConnection]:
    async with connected(ledger_database.owner_url) as connection:
        yield connection


@pytest.fixture
async def database(ledger_database: LedgerDatabase) -> AsyncIterator[Database]:
    opened = await open_database(ledger_database.service_url)
    yield opened
    await opened.aclose()


@pytest.fixture
async def log(database: Database) -> AsyncIterator[PostgresTransferLog]:
    opened = await open_transfer_log(database, clock=SystemClock(), send_within=timedelta(seconds=30))
    yield opened
    await opened.aclose()


@pytest.fixture
def reader(database: Database) -> PostgresTransferReader:
    return PostgresTransferReader(database)


@pytest.fixture
async def subject_ref(owner: RawConnection) -> SubjectRef:
    granted = new_subject()
    await set_standing(owner, granted)
    return granted


def asked(*, limit: int = 100, descending: bool = True, cursor: str | None = None, **filters: str) -> TransferQuery:
    page = Page(limit=limit, descending=descending, cursor=cursor)
    return TransferQuery(filters={name: (value,) for name, value in filters.items()}, page=page)


async def ids(reader: PostgresTransferReader, query: TransferQuery) -> list[str]:
    return [str(item["id"]) for item in (await reader.page(query)).items]


async def record(log: PostgresTransferLog, intent: Intent) -> str:
    assert isinstance(await log.record_intent(intent), RecordedIntent)
    return str(intent.id)


async def test_a_transfer_reads_as_the_contract_says(
    log: PostgresTransferLog, reader: PostgresTransferReader, subject_ref: SubjectRef
) -> None:
    first = new_id()
    contract = a_contract(ended_at=datetime(2026, 12, 1, tzinfo=UTC), valid_until=None)
    manifest = a_manifest(sub_processors=("google",))
    intent = an_intent(subject_ref, permit={"contract": contract, "manifest": manifest}, first_transfer_id=first)
    payload = replace(intent.dispatch.payload, dropped_uncounted=3)
    intent = replace(
        intent,
        request=replace(intent.request, trace_id="4bf92f3577b34da6a3ce929d0e0e4736"),
        dispatch=replace(intent.dispatch, payload=payload),
    )
    await record(log, intent)
    cancelled = Cancel(requested_at=datetime(2026, 11, 23, 13, tzinfo=UTC), result="http-202")
    outcome = an_outcome(intent.id, cancel=cancelled, result=ResultState.DELIVERED)
    await log.record_outcome(an_outcome(intent.id, state=OutcomeState.PENDING), job=a_job(intent))
    await log.record_outcome(replace(outcome, seq=2))
    found = await reader.one(intent.id)
    assert found is not None
    intent_at = datetime.fromisoformat(str(found["intent_at"]))
    assert abs(datetime.now(UTC) - intent_at) < timedelta(minutes=1)
    assert str(found["intent_at"]).endswith("Z")
    assert found == {
        "schema": 1,
        "id": str(intent.id),
        "kind": "transfer",
        "environment": "test",
        "sandbox": True,
        "intent_at": found["intent_at"],
        "subject_ref": str(subject_ref),
        "subject_kind": "account",
        "caller": "backend",
        "credential": {"kind": "service-key", "id": str(UUID(int=0xCE))},
        "provider": "fal",
        "recipient": "fal",
        "legal_entity": "Features & Labels, Inc.",
        "sub_processors": ["google"],
        "model": "fal-ai/flux/dev",
        "model_version": None,
        "purpose": "generation",
        "manifest": {"id": "fal-ai/flux/dev", "sha256": "a" * 64},
        "categories": ["prompt"],
        "fields_sent": ["prompt"],
        "fields_dropped": [
            {"path": "email", "reason": "not-listed"},
            {"path": "~", "reason": "more", "count": 3},
        ],
        "consent": {
            "event_id": str(UUID(int=1)),
            "disclosure": "2026-03-03",
            "disclosure_sha256": "d" * 64,
            "locale": "en",
            "standing_version": 1,
        },
        "contract": {
            "id": str(contract.id),
            "reference": "DPA-1",
            "valid_until": "2026-12-01T00:00:00Z",
            "country": "US",
            "transfer_mechanism": "SCC",
        },
        "edition": 1,
        "endpoint": {"host": "fal.run", "path": "/fal-ai/flux/dev"},
        "bytes_sent": 19,
        "payload_digest": "e" * 64,
        "media": [],
        "privacy_switches": {"X-Fal-Store-IO": "0"},
        "first_transfer_id": str(first),
        "job_id": str(intent.id),
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        "reason": None,
        "outcome": {
            "state": "delivered",
            "http_status": 200,
            "completed_at": "2026-11-23T12:00:00Z",
            "duration_ms": 42,
            "provider_request_id": "req-1",
            "bytes_received": 7,
            "cancel": {"requested_at": "2026-11-23T13:00:00Z", "result": "http-202"},
            "result": "delivered",
            "stopped_after": None,
        },
    }


async def test_a_transfer_without_an_outcome_is_pending(
    log: PostgresTransferLog, reader: PostgresTransferReader, subject_ref: SubjectRef
) -> None:
    intent = an_intent(subject_ref)
    await record(log, intent)
    found = await reader.one(intent.id)
    assert found is not None
    assert found["job_id"] is None
    outcome = found["outcome"]
    assert isinstance(outcome, dict)
    assert outcome.pop("state") == "pending"
    assert set(outcome.values()) == {None}


async def test_a_refusal_has_the_same_keys(
    log: PostgresTransferLog, reader: PostgresTransferReader, subject_ref: SubjectRef
) -> None:
    intent = an_intent(subject_ref)
    await record(log, intent)
    refused = a_refusal(subject_ref, fields_dropped=(("prompt", "not-granted"),), trace_id="a" * 32)
    await log.record_refusal(refused)
    sent, found = await reader.one(intent.id), await reader.one(refused.id)
    assert sent is not None
    assert found is not None
    assert list(found) == list(sent)
    assert (found["id"], found["kind"], found["reason"]) == (str(refused.id), "refusal", "consent-never-asked")
    assert found["intent_at"] == refused.at.isoformat().replace("+00:00", "Z")
    assert found["fields_dropped"] == [{"path": "prompt", "reason": "not-granted"}]
    assert (found["manifest"], found["edition"]) == ({"id": "fal-ai/flux/dev", "sha256": "a" * 64}, 1)
    for absent in ("consent", "contract", "endpoint", "outcome", "legal_entity", "bytes_sent", "job_id"):
        assert found[absent] is None
    assert (found["categories"], found["media"], found["privacy_switches"]) == ([], [], {})


async def test_what_is_not_there_is_none(reader: PostgresTransferReader) -> None:
    assert await reader.one(new_id()) is None


async def some_records(log: PostgresTransferLog, subject_ref: SubjectRef) -> list[str]:
    """Three transfers and two refusals in turn, oldest first."""
    made: list[str] = []
    for number in range(5):
        if number % 2:
            refused = a_refusal(subject_ref)
            await log.record_refusal(refused)
            made.append(str(refused.id))
        else:
            made.append(await record(log, an_intent(subject_ref)))
    return made


async def test_records_come_newest_first_and_page_by_page(
    log: PostgresTransferLog, reader: PostgresTransferReader, subject_ref: SubjectRef
) -> None:
    made = await some_records(log, subject_ref)
    assert await ids(reader, asked()) == made[::-1]
    assert await ids(reader, asked(descending=False)) == made
    for descending in (True, False):
        pages, cursor = [], None
        while True:
            page = await reader.page(asked(limit=2, descending=descending, cursor=cursor))
            pages += [str(item["id"]) for item in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert pages == (made[::-1] if descending else made)


async def test_a_last_page_that_is_full_names_no_next(
    log: PostgresTransferLog, reader: PostgresTransferReader, subject_ref: SubjectRef
) -> None:
    made = await some_records(log, subject_ref)
    assert (await reader.page(asked(limit=len(made)))).next_cursor is None


async def test_a_stream_gives_every_match_in_order(
    log: PostgresTransferLog, reader: PostgresTransferReader, subject_ref: SubjectRef
) -> None:
    made = await some_records(log, subject_ref)
    assert [str(item["id"]) async for item in reader.stream(asked())] == made[::-1]
    kinds = [str(item["kind"]) async for item in reader.stream(asked(kind="refusal"))]
    assert kinds == ["refusal", "refusal"]
    assert [item async for item in reader.stream(asked(kind="delivery"))] == []


async def test_a_stream_that_is_left_gives_its_connection_back(
    log: PostgresTransferLog, reader: PostgresTransferReader, subject_ref: SubjectRef
) -> None:
    await some_records(log, subject_ref)
    for _ in range(30):
        stream = reader.stream(asked())
        async for _item in stream:
            break
        await stream.aclose()
    assert len(await ids(reader, asked())) == 5


@pytest.fixture
async def varied(log: PostgresTransferLog, owner: RawConnection, subject_ref: SubjectRef) -> Mapping[str, str]:
    """One record of each sort, by name."""
    other = new_subject()
    await set_standing(owner, other)
    plain = an_intent(subject_ref)
    elsewhere = an_intent(
        other,
        permit={
            "recipient": "replicate",
            "contract": a_contract(id=new_id(), recipient="replicate", reference="DPA-2", countries=("DE",)),
            "manifest": a_manifest(id="black-forest-labs/flux-dev", provider="replicate"),
        },
    )
    dispatch = a_dispatch()
    elsewhere = replace(
        elsewhere,
        request=replace(
            elsewhere.request,
            provider="replicate",
            recipient="replicate",
            credential=replace(elsewhere.request.credential, caller="another"),
        ),
        dispatch=replace(
            dispatch,
            payload=replace(dispatch.payload, categories=frozenset({DataCategory.PROMPT, DataCategory.PHOTO})),
        ),
    )
    refused = a_refusal(subject_ref, reason=Reason.CONTRACT_MISSING, purpose="training")
    made = {"plain": await record(log, plain), "elsewhere": await record(log, elsewhere), "refused": str(refused.id)}
    await log.record_refusal(refused)
    await log.record_outcome(an_outcome(plain.id, state=OutcomeState.PENDING), job=a_job(plain))
    await log.record_outcome(an_outcome(plain.id, seq=2))
    return made


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("recipient", "fal", {"plain", "refused"}),
        ("recipient", "replicate", {"elsewhere"}),
        ("provider", "replicate", {"elsewhere"}),
        ("model", "black-forest-labs/flux-dev", {"elsewhere"}),
        ("purpose", "generation", {"plain", "elsewhere"}),
        ("purpose", "training", {"refused"}),
        ("category", "photo", {"elsewhere"}),
        ("category", "prompt", {"plain", "elsewhere"}),
        ("caller", "another", {"elsewhere"}),
        ("kind", "transfer", {"plain", "elsewhere"}),
        ("kind", "refusal", {"refused"}),
        ("kind", "delivery", set()),
        ("reason", "contract-missing", {"refused"}),
        ("reason", "model-unknown", set()),
        ("outcome", "delivered", {"plain"}),
        ("outcome", "pending", {"elsewhere"}),
        ("contract", "DPA-2", {"elsewhere"}),
        ("contract", str(UUID(int=0xC0)), {"plain"}),
        ("contract", "no-uuid", set()),
        ("country", "DE", {"elsewhere"}),
    ],
)
async def test_a_filter_leaves_what_it_names(
    name: str, value: str, expected: set[str], varied: Mapping[str, str], reader: PostgresTransferReader
) -> None:
    query = TransferQuery(filters={name: (value,)})
    assert set(await ids(reader, query)) == {varied[one] for one in expected}


async def test_the_filters_are_the_contracts() -> None:
    named = "caller category contract country job kind model outcome provider purpose reason recipient"
    assert " ".join(sorted(FILTERS)) == named


async def test_a_job_is_found_by_its_id(varied: Mapping[str, str], reader: PostgresTransferReader) -> None:
    assert await ids(reader, asked(job=varied["plain"])) == [varied["plain"]]
    assert await ids(reader, asked(job=varied["elsewhere"])) == [], "it started no job"
    assert await ids(reader, asked(job="not-an-id")) == []


async def test_filters_hold_together_and_their_values_apart(
    varied: Mapping[str, str], reader: PostgresTransferReader, subject_ref: SubjectRef
) -> None:
    both = TransferQuery(filters={"recipient": ("fal", "replicate"), "kind": ("transfer",), "model": ()})
    assert set(await ids(reader, both)) == {varied["plain"], varied["elsewhere"]}
    of_subject = TransferQuery(subject_ref=subject_ref, filters={"recipient": ("fal", "replicate")})
    assert set(await ids(reader, of_subject)) == {varied["plain"], varied["refused"]}


async def test_a_period_begins_with_its_beginning_and_ends_before_its_end(
    log: PostgresTransferLog, reader: PostgresTransferReader, subject_ref: SubjectRef
) -> None:
    at = datetime.now(UTC).replace(microsecond=0)
    refused: list[RefusedTransfer] = [a_refusal(subject_ref, at=at + timedelta(minutes=minute)) for minute in range(3)]
    for one in refused:
        await log.record_refusal(one)
    page = Page(from_at=at, to_at=at + timedelta(minutes=2))
    assert await ids(reader, TransferQuery(page=page)) == [str(refused[1].id), str(refused[0].id)]


async def test_a_filter_or_a_cursor_that_is_none_is_an_error(reader: PostgresTransferReader) -> None:
    with pytest.raises(ValueError, match="no filter"):
        await reader.page(asked(shoe_size="44"))
    with pytest.raises(ValueError, match="cursor"):
        await reader.page(asked(cursor="not one of ours"))
