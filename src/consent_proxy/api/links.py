"""Links over HTTP: two identifiers of one person become one."""

from fastapi import APIRouter, Response

from consent_proxy.api.answers import RecordedOut
from consent_proxy.api.auth import identifier_in, identifier_of
from consent_proxy.api.problems import Problem
from consent_proxy.api.recording import body_digest, idempotency, key_reused, recorded_out
from consent_proxy.api.routing import CurrentVisit, StrictRoute
from consent_proxy.api.schemas import LinkIn
from consent_proxy.application.link_subjects import link_subjects
from consent_proxy.application.ports.consent import IdempotencyKeyReused, LinkToRecord, NothingToLink
from consent_proxy.domain.callers import Role
from consent_proxy.domain.refusals import Reason

router = APIRouter(prefix="/v1/subjects", tags=["subjects"], route_class=StrictRoute)


@router.post("/links", operation_id="linkSubjects", status_code=201)
async def link(wanted: LinkIn, visit: CurrentVisit, response: Response) -> RecordedOut:
    """Make the identifier in ``from`` one with the header's, for good: one standing, history, jobs and outputs.

    A no on either side holds until a later yes. Identifiers that are one already are answered with their last link.
    """
    visit.require_role(Role.CONSENT)
    subject = await visit.subject(create=True)
    services = visit.services
    source = identifier_of(wanted.source.subject, wanted.source.kind)
    if source == identifier_in(visit.head):
        raise _one_already()
    taken = await services.subjects.resolve(source, fresh=True)
    to_record = LinkToRecord(
        event_id=services.ids.new_id(),
        kept=subject.ref,
        kept_kind=subject.kind,
        taken=taken,
        carry=wanted.carry,
        credential=visit.credential,
        environment=services.environment,
        idempotency=idempotency(visit),
        request_sha256=body_digest(visit),
    )
    try:
        recorded = await link_subjects(to_record, ledger=services.ledger)
    except IdempotencyKeyReused:
        raise key_reused() from None
    except NothingToLink:
        raise _one_already() from None
    response.headers["cache-control"] = "no-store"
    return await recorded_out(recorded, rules=await services.facts.rules(fresh=False), visit=visit)


def _one_already() -> Problem:
    return Problem(
        Reason.BODY_INVALID, "Consent-Subject and 'from' are the same identifier: name the other one of this person"
    )
