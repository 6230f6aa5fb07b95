"""Subject tokens over HTTP: what an unmodified SDK or a phone holds instead of a key."""

from datetime import timedelta

from fastapi import APIRouter, Response

from consent_proxy.api.answers import SubjectTokenOut
from consent_proxy.api.auth import identifier_of
from consent_proxy.api.problems import Problem
from consent_proxy.api.routing import CurrentVisit, StrictRoute
from consent_proxy.api.schemas import SubjectTokenIn, TokenRevocationIn
from consent_proxy.domain.callers import Credential, CredentialKind, Role, Scope
from consent_proxy.domain.refusals import Reason

router = APIRouter(prefix="/v1/subject-tokens", tags=["subject tokens"], route_class=StrictRoute)


@router.post("", operation_id="createSubjectToken", status_code=201)
async def create(wanted: SubjectTokenIn, visit: CurrentVisit, response: Response) -> SubjectTokenOut:
    """Mint a token for one subject. The scope ``consent`` needs a key with the role ``consent``."""
    visit.require_role(Role.GATEWAY)
    scopes = frozenset(wanted.scopes) if wanted.scopes is not None else frozenset({Scope.AI})
    if Scope.CONSENT in scopes:
        visit.require_role(Role.CONSENT)
    services = visit.services
    identifier = identifier_of(wanted.subject, wanted.kind)
    issued_at = services.clock.now()
    expires_at = issued_at + timedelta(seconds=wanted.expires_in)
    credential = Credential(
        kind=CredentialKind.SUBJECT_TOKEN,
        id=str(services.ids.new_id()),
        caller_id=visit.credential.caller_id,
        caller=visit.credential.caller,
        roles=frozenset(),
        issued_at=issued_at,
        expires_at=expires_at,
        subject_ref=await services.subjects.resolve(identifier, fresh=True),
        subject_kind=identifier.kind,
        scopes=scopes,
        purposes=frozenset(wanted.purposes) if wanted.purposes is not None else None,
    )
    response.headers["cache-control"] = "no-store"
    return SubjectTokenOut(token=services.signer.mint(credential), expires_at=expires_at)


@router.post("/revocations", operation_id="revokeSubjectTokens", status_code=204)
async def revoke(wanted: TokenRevocationIn, visit: CurrentVisit) -> None:
    """Revoke one token, or every token of a subject issued so far; it holds on every replica."""
    visit.require_role(Role.GATEWAY)
    services = visit.services
    if wanted.token is not None:
        credential = services.signer.read(wanted.token)
        if credential is None or credential.caller_id != visit.credential.caller_id or credential.expires_at is None:
            raise Problem(Reason.BODY_INVALID, "that is not a token of this caller")
        await services.rulebook.revoke_token(credential.id, expires_at=credential.expires_at)
    elif wanted.subject is not None:
        ref = await services.subjects.resolve(identifier_of(wanted.subject, wanted.kind), fresh=True)
        await services.rulebook.revoke_tokens_of(ref, issued_before=services.clock.now())
