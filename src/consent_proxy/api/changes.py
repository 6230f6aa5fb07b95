"""The feed of consent changes over HTTP: how other backends learn of a withdrawal."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from consent_proxy.api.answers import ChangedAnswerOut, ChangeOut, ChangesOut
from consent_proxy.api.listing import note_access
from consent_proxy.api.problems import Problem
from consent_proxy.api.routing import CurrentVisit, StrictRoute
from consent_proxy.application.ports.consent import CursorAhead, StoredEvent
from consent_proxy.domain.callers import Role
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.refusals import Reason

router = APIRouter(prefix="/v1/consent", tags=["consent"], route_class=StrictRoute)


@router.get("/changes", operation_id="listConsentChanges")
async def changes(
    visit: CurrentVisit,
    response: Response,
    after: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> ChangesOut:
    """What changed for anybody, oldest first, at least once and without a gap. Go on after ``next_cursor``.

    Remember the cursor when what came before it is done. An empty list means: nothing more for now, ask again later.
    """
    visit.require_role(Role.CONSENT, Role.AUDITOR)
    try:
        page = await visit.services.ledger.changes(after=after, limit=limit)
    except CursorAhead:
        raise Problem(
            Reason.BODY_INVALID,
            "the cursor is from after the end of the record, which was restored from an older backup: begin again"
            " without 'after'",
        ) from None
    except ValueError:
        raise Problem(Reason.BODY_INVALID, "the cursor is not one that this feed gave out") from None
    if Role.AUDITOR in visit.credential.roles:
        await note_access(visit, resource="/v1/consent/changes", items=len(page.items))
    response.headers["cache-control"] = "no-store"
    return ChangesOut(items=[_change(event) for event in page.items], next_cursor=page.next_cursor)


def _change(event: StoredEvent) -> ChangeOut:
    counted = [answer for answer in event.answers if answer["effective"] is True]
    # A link is about all that the person ever answered.
    purposes = {str(answer["purpose"]) for answer in counted} or set(Purpose)
    return ChangeOut.model_validate(
        {
            "event_id": event.id,
            "kind": event.kind,
            "subject_ref": event.subject_ref,
            "linked_from": event.linked_from,
            "purposes": sorted(purposes),
            "answers": [{name: answer[name] for name in ChangedAnswerOut.model_fields} for answer in counted],
            "at": event.received_at,
        }
    )
