"""The transparency log: what anyone may keep of it, and what an auditor checks the record with."""

from collections.abc import Awaitable
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import PlainTextResponse, StreamingResponse

from consent_proxy.api.answers import ConsistencyOut, InclusionOut, LogKeyOut, LogKeysOut
from consent_proxy.api.listing import note_access
from consent_proxy.api.problems import Problem
from consent_proxy.api.routing import CurrentVisit, StrictRoute, services_of
from consent_proxy.application.ports.transparency import NotInLog
from consent_proxy.application.show_evidence import show_evidence
from consent_proxy.domain.callers import Role
from consent_proxy.domain.refusals import Reason

router = APIRouter(prefix="/v1", tags=["log"], route_class=StrictRoute)

Found = TypeVar("Found")
#: No log is longer, and Postgres counts no further.
_MOST = 2**62
Size = Annotated[int | None, Query(ge=0, le=_MOST)]
Kind = Literal["consent", "intent", "outcome", "refusal", "contract", "contract-end", "disclosure"]


@router.get("/log/checkpoint", operation_id="getLogCheckpoint", response_class=PlainTextResponse)
async def checkpoint(request: Request) -> PlainTextResponse:
    """The newest checkpoint, a signed note (C2SP tlog-checkpoint). No credential: keep one from time to time."""
    note = await _found(services_of(request).transparency.checkpoint())
    return PlainTextResponse(note, headers={"cache-control": "no-cache"})


@router.get("/log/keys", operation_id="getLogKeys")
async def keys(request: Request, response: Response) -> LogKeysOut:
    """The keys checkpoints are verified with, in signed-note's form, retired ones kept. No credential."""
    found = await services_of(request).transparency.keys()
    response.headers["cache-control"] = "no-cache"
    return LogKeysOut(keys=[LogKeyOut(key=one.key, first_size=one.first_size) for one in found])


@router.get("/log/inclusion", operation_id="getLogInclusion")
async def inclusion(
    visit: CurrentVisit,
    index: Size = None,
    id: UUID | None = None,
    kind: Annotated[Kind, Query()] = "intent",
    seq: Annotated[int | None, Query(ge=0, le=_MOST)] = None,
    size: Size = None,
) -> InclusionOut:
    """That the log has a row, named by ``index`` or by ``kind``, ``id`` and, for an outcome, ``seq``."""
    visit.require_role(Role.AUDITOR)
    log = visit.services.transparency
    if (index is None) == (id is None):
        raise Problem(Reason.BODY_INVALID, "name the row by index, or by id and kind")
    if id is not None:
        index = await _found(log.find(id, kind=kind, seq=seq if seq is not None else _FIRST.get(kind, 0)))
    assert index is not None
    found = await _found(log.inclusion(index, size=size))
    return InclusionOut(
        index=found.index,
        size=found.size,
        leaf=found.leaf.hex(),
        root=found.root.hex(),
        proof=[part.hex() for part in found.proof],
        checkpoint=found.checkpoint,
    )


@router.get("/log/consistency", operation_id="getLogConsistency")
async def consistency(
    visit: CurrentVisit,
    first: Annotated[int, Query(alias="from", ge=0, le=_MOST)],
    second: Annotated[int | None, Query(alias="to", ge=0, le=_MOST)] = None,
) -> ConsistencyOut:
    """That the log of size ``to``, of now by default, begins with the log of size ``from``."""
    visit.require_role(Role.AUDITOR)
    size, proof = await _found(visit.services.transparency.consistency(first, second))
    return ConsistencyOut.model_validate({"from": first, "to": size, "proof": [part.hex() for part in proof]})


@router.get("/log/export", operation_id="exportLog", response_class=StreamingResponse)
async def export(visit: CurrentVisit) -> StreamingResponse:
    """The whole log as NDJSON, as a stream: what `consent-proxy log verify` reads."""
    visit.require_role(Role.AUDITOR)
    await note_access(visit, resource="/v1/log/export")
    headers = {"cache-control": "no-store", "content-disposition": 'attachment; filename="log.ndjson"'}
    lines = visit.services.transparency.export()
    return StreamingResponse(lines, media_type="application/x-ndjson", headers=headers)


@router.get("/transfers/{transfer_id}/evidence", operation_id="getEvidence", tags=["transfers"])
async def evidence(transfer_id: UUID, visit: CurrentVisit, response: Response) -> dict[str, Any]:
    """All that one transfer or refusal is shown by, in one document that `consent-proxy log verify` checks."""
    visit.require_role(Role.AUDITOR)
    services = visit.services
    bundle = await _found(show_evidence(transfer_id, log=services.transparency, at=services.clock.now()))
    await note_access(
        visit,
        resource="/v1/transfers/{id}/evidence",
        subject_ref=bundle.subject_ref,
        object_id=str(transfer_id),
        items=1,
    )
    response.headers["cache-control"] = "no-store"
    return bundle.document


#: Outcomes count from one.
_FIRST = {"outcome": 1}


async def _found(reading: Awaitable[Found]) -> Found:
    try:
        return await reading
    except NotInLog as error:
        raise Problem(Reason.NOT_FOUND, str(error)) from None
