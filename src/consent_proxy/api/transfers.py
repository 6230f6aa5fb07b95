"""What an auditor reads: transfers and refusals, one by one or as an export, and who else has read them."""

import csv
import io
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse

from consent_proxy.api.answers import PageOut
from consent_proxy.api.listing import PageQuery, PeriodQuery, note_access, read_page
from consent_proxy.api.routing import CurrentVisit, StrictRoute, Visit, not_found
from consent_proxy.api.schemas import Country, Label, Name
from consent_proxy.application.ports.pages import Page
from consent_proxy.application.ports.records import TransferQuery
from consent_proxy.application.recognise import is_one_person
from consent_proxy.domain.callers import Role
from consent_proxy.domain.categories import DataCategory, Purpose
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.subjects import SubjectRef
from consent_proxy.domain.transfers import OutcomeState

router = APIRouter(prefix="/v1", tags=["transfers"], route_class=StrictRoute)

Labels = Annotated[list[Label] | None, Query(max_length=50)]
Names = Annotated[list[Name] | None, Query(max_length=50)]

#: The members of a transfer that a CSV has a column for; nested ones are joined by a dot, lists are JSON.
CSV_COLUMNS = (
    *("id", "kind", "environment", "sandbox", "intent_at", "subject_ref", "subject_kind", "caller"),
    *("provider", "recipient", "legal_entity", "model", "model_version", "purpose", "categories"),
    *("fields_sent", "fields_dropped", "consent.event_id", "consent.disclosure", "consent.disclosure_sha256"),
    *("consent.locale", "contract.id", "contract.reference", "contract.country", "endpoint.host"),
    *("endpoint.path", "bytes_sent", "payload_digest", "first_transfer_id", "job_id", "trace_id", "reason"),
    *("outcome.state", "outcome.http_status", "outcome.completed_at", "outcome.result"),
)


class Filters:
    """Which records: every filter given must match, any of its values will do."""

    def __init__(
        self,
        subject_ref: Annotated[UUID | None, Query()] = None,
        recipient: Names = None,
        provider: Names = None,
        model: Labels = None,
        purpose: Annotated[list[Purpose] | None, Query()] = None,
        category: Annotated[list[DataCategory] | None, Query()] = None,
        caller: Names = None,
        kind: Annotated[list[Literal["transfer", "refusal", "delivery"]] | None, Query()] = None,
        reason: Annotated[list[Reason] | None, Query()] = None,
        outcome: Annotated[list[OutcomeState] | None, Query()] = None,
        contract: Labels = None,
        country: Annotated[list[Country] | None, Query(max_length=50)] = None,
        job: Annotated[list[UUID] | None, Query(max_length=50)] = None,
    ) -> None:
        given: dict[str, Sequence[object] | None] = {
            "recipient": recipient,
            "provider": provider,
            "model": model,
            "purpose": purpose,
            "category": category,
            "caller": caller,
            "kind": kind,
            "reason": reason,
            "outcome": outcome,
            "contract": contract,
            "country": country,
            "job": job,
        }
        self.subject_ref = subject_ref
        self.values = {name: tuple(map(str, values)) for name, values in given.items() if values}


FiltersQuery = Annotated[Filters, Depends()]


@router.get("/transfers", operation_id="listTransfers")
async def list_all(visit: CurrentVisit, filters: FiltersQuery, query: PageQuery, response: Response) -> PageOut:
    """Transfers and refusals, the newest first."""
    wanted = await _query(visit, filters, query.page)
    if wanted is None:
        return PageOut(items=[], next_cursor=None)
    page = await read_page(visit.services.reader.page(wanted))
    await _note(visit, "/v1/transfers", wanted, items=len(page.items))
    response.headers["cache-control"] = "no-store"
    return PageOut(items=[dict(item) for item in page.items], next_cursor=page.next_cursor)


@router.get("/transfers/export", operation_id="exportTransfers", response_class=StreamingResponse)
async def export(
    visit: CurrentVisit,
    filters: FiltersQuery,
    query: PeriodQuery,
    format: Annotated[Literal["ndjson", "csv"], Query()] = "ndjson",
) -> StreamingResponse:
    """Every record that matches, as a stream."""
    wanted = await _query(visit, filters, query.page)
    if wanted is not None:
        await _note(visit, "/v1/transfers/export", wanted, items=None)
    records = visit.services.reader.stream(wanted) if wanted is not None else _nothing()
    lines, media_type = (
        (_ndjson(records), "application/x-ndjson") if format == "ndjson" else (_csv(records), "text/csv")
    )
    headers = {"cache-control": "no-store", "content-disposition": f'attachment; filename="transfers.{format}"'}
    return StreamingResponse(lines, media_type=media_type, headers=headers)


@router.get("/transfers/{transfer_id}", operation_id="getTransfer")
async def one(transfer_id: UUID, visit: CurrentVisit, response: Response) -> dict[str, Any]:
    """One transfer or refusal."""
    visit.require_role(Role.AUDITOR)
    record = await visit.services.reader.one(transfer_id)
    if record is None:
        raise not_found("transfer")
    subject_ref = UUID(str(record["subject_ref"]))
    await note_access(
        visit, resource="/v1/transfers/{id}", subject_ref=subject_ref, object_id=str(transfer_id), items=1
    )
    response.headers["cache-control"] = "no-store"
    return dict(record)


@router.get("/access-log", operation_id="listAccesses", tags=["access log"])
async def accesses(visit: CurrentVisit, query: PageQuery, response: Response) -> PageOut:
    """Who read transfers, events and exports."""
    visit.require_role(Role.PRIVACY)
    page = await read_page(visit.services.access_log.page(query.page))
    response.headers["cache-control"] = "no-store"
    return PageOut(items=[dict(item) for item in page.items], next_cursor=page.next_cursor)


async def _query(visit: Visit, filters: Filters, page: Page) -> TransferQuery | None:
    """The query, or ``None`` where the person named is not known here, so nothing can match."""
    visit.require_role(Role.AUDITOR)
    subject_ref = SubjectRef(filters.subject_ref) if filters.subject_ref is not None else None
    if visit.head.raw(b"consent-subject") is not None:
        named = await visit.subject_if_named()
        if named is None:
            return None
        if subject_ref is not None and not await is_one_person(
            subject_ref, named.ref, subjects=visit.services.subjects
        ):
            return None
        subject_ref = named.ref
    return TransferQuery(subject_ref=subject_ref, filters=filters.values, page=page)


async def _note(visit: Visit, resource: str, query: TransferQuery, *, items: int | None) -> None:
    filters: dict[str, Json] = {name: list(values) for name, values in (query.filters or {}).items()}
    await note_access(visit, resource=resource, subject_ref=query.subject_ref, filters=filters, items=items)


async def _nothing() -> AsyncIterator[Mapping[str, Json]]:
    none: tuple[Mapping[str, Json], ...] = ()
    for record in none:
        yield record


async def _ndjson(records: AsyncIterator[Mapping[str, Json]]) -> AsyncIterator[str]:
    async for record in records:
        yield ndjson_line(record)


async def _csv(records: AsyncIterator[Mapping[str, Json]]) -> AsyncIterator[str]:
    yield csv_line(CSV_COLUMNS)
    async for record in records:
        yield csv_line(csv_cells(record))


def ndjson_line(record: Mapping[str, Json]) -> str:
    """A record as one line of an export."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n"


def csv_line(cells: Sequence[str]) -> str:
    """Cells as one line of a CSV export (RFC 4180)."""
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()


def csv_cells(record: Mapping[str, Json]) -> list[str]:
    """A record as the cells of ``CSV_COLUMNS``."""
    return [_cell(record, column) for column in CSV_COLUMNS]


def _cell(record: Mapping[str, Json], column: str) -> str:
    """Text as it is (never a formula), everything else as JSON, nothing as nothing."""
    value: Json = dict(record)
    for part in column.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    match value:
        case None:
            return ""
        case str():
            # A spreadsheet takes a cell that begins like this for a formula.
            return f"'{value}" if value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value
        case _:
            return json.dumps(value, ensure_ascii=False)
