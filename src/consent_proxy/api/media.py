"""Media over HTTP: a file is taken in as it comes, cleaned and held until a permitted request names it."""

from uuid import UUID

from fastapi import APIRouter, Request, Response
from starlette.requests import ClientDisconnect

from consent_proxy.api.answers import HeldMediumOut
from consent_proxy.api.auth import Subject, subject_missing
from consent_proxy.api.problems import Problem
from consent_proxy.api.routing import CurrentVisit, StrictRoute, Visit
from consent_proxy.api.uploads import read_upload
from consent_proxy.application.hold_media import hold_media
from consent_proxy.application.ports.media import MediaStoreUnavailable, MediaTooLarge
from consent_proxy.domain.callers import Role, Scope
from consent_proxy.domain.media import HeldMedium, MediaFault, MediaOwner
from consent_proxy.domain.media_names import held_media_url
from consent_proxy.domain.refusals import Reason

router = APIRouter(prefix="/v1/media", tags=["media"], route_class=StrictRoute)


@router.post("", operation_id="holdMedium", status_code=201)
async def hold(request: Request, visit: CurrentVisit, response: Response) -> HeldMediumOut:
    """Take a file, as the body itself or as the one file of a form, strip it, and hold it for this caller and person.

    Its type is told from its bytes; names and content types are not looked at. Nothing leaves, so no consent is needed.
    """
    owner = await _owner(visit, create=True)
    services = visit.services
    pieces = read_upload(request.stream(), visit.head, limit=services.media.max_bytes)
    try:
        held = await hold_media(pieces, owner=owner, facts=services.facts, room=services.media)
    except MediaStoreUnavailable:
        detail = "there is no room for media now, or their store does not answer; nothing is held: try again"
        raise Problem(Reason.LEDGER_UNAVAILABLE, detail) from None
    except MediaTooLarge as error:
        raise Problem(Reason.BODY_TOO_LARGE, str(error)) from None
    except ClientDisconnect:
        raise Problem(Reason.BODY_INVALID, "the connection closed before the whole file had arrived") from None
    if isinstance(held, MediaFault):
        raise Problem(held.reason, f"the file {held.fault}")
    response.headers["cache-control"] = "no-store"
    return _shown(held, public_url=services.public_url)


@router.delete("/{media_id}", operation_id="dropMedium", status_code=204)
async def drop(media_id: UUID, visit: CurrentVisit) -> None:
    """Delete a medium that is held."""
    owner = await _owner(visit, create=False)
    if not await visit.services.media.held.drop(media_id, owner=owner):
        raise _not_yours()


async def _owner(visit: Visit, *, create: bool) -> MediaOwner:
    visit.require(Role.GATEWAY, scopes=frozenset({Scope.AI}))
    subject: Subject | None = await visit.subject_if_named(create=create)
    if subject is None:
        raise subject_missing() if visit.head.raw(b"consent-subject") is None else _not_yours()
    return MediaOwner(caller_id=visit.credential.caller_id, subject_ref=subject.ref)


def _not_yours() -> Problem:
    return Problem(Reason.MEDIA_NOT_YOURS, "there are no such media of this caller and subject")


def _shown(held: HeldMedium, *, public_url: str) -> HeldMediumOut:
    return HeldMediumOut(
        id=held.id,
        url=held_media_url(held.id, public_url=public_url),
        media_type=held.medium.media_type,
        bytes=held.medium.bytes,
        removed=list(held.medium.removed),
        expires_at=held.expires_at,
    )
