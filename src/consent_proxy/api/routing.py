"""How the control API's routes are entered: strict JSON, checked headers, a credential, and the subject it is about."""

import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from consent_proxy.api.auth import Subject, authenticate, note_use, require, require_role, subject_missing, subject_of
from consent_proxy.api.problems import Problem
from consent_proxy.api.requests import RequestHead, parse_json, read_body, read_head
from consent_proxy.api.services import Services
from consent_proxy.application.ports.transfers import LedgerUnavailable, Overloaded
from consent_proxy.application.recognise import is_one_person
from consent_proxy.domain.callers import Credential, Role, Scope
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.subjects import SubjectRef

logger = logging.getLogger(__name__)

#: A control request is small; a disclosure in thirty languages is the largest.
CONTROL_BODY_LIMIT = 4_000_000
#: What the application has an answer for.
_ANSWERED = (Problem, RequestValidationError, HTTPException, LedgerUnavailable, Overloaded)


class StrictRoute(APIRoute):
    """A route whose body is parsed by our own parser before FastAPI validates it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler: check head and query, read and parse the body once, hand both on."""
        handle = super().get_route_handler()
        parameters = _query_parameters(self.dependant)

        async def quiet(request: Request) -> Response:
            try:
                return await strict(request)
            except _ANSWERED:
                raise
            except Exception as error:  # noqa: BLE001 - left to the server, its message would be logged
                # A stranger's message may hold what was sent: the type and the place are enough to find it.
                logger.error("unexpected %s in %s", type(error).__name__, self.path)  # noqa: TRY400 - see above
                detail = "an unexpected error; the operator's log has its place"
                raise Problem(Reason.INTERNAL_ERROR, detail, sent="no") from None

        async def strict(request: Request) -> Response:
            head = read_head(request.scope)
            request.state.head = head
            if not parameters.issuperset(request.query_params):
                raise _no_such_parameter(parameters)
            if self.body_field is not None:
                body = await read_body(request.receive, head, limit=CONTROL_BODY_LIMIT)
                request._body = body  # noqa: SLF001 - Starlette's own cache of the body
                if body or self.body_field.field_info.is_required():
                    _require_json(head)
                    request._json = parse_json(body)  # noqa: SLF001 - and of its parsed form
            return await handle(request)

        return quiet


def _query_parameters(dependant: Dependant) -> frozenset[str]:
    own = frozenset(field.alias for field in dependant.query_params)
    return own.union(*map(_query_parameters, dependant.dependencies))


def _no_such_parameter(known: frozenset[str]) -> Problem:
    """A filter with a typing error would otherwise answer for everybody what was asked about one."""
    takes = f"takes {', '.join(sorted(known))}" if known else "takes none"
    return Problem(Reason.BODY_INVALID, f"the query has a parameter that is not known here: this address {takes}")


def _require_json(head: RequestHead) -> None:
    media_type = (head.get("content-type") or "").split(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem(Reason.MEDIA_TYPE_UNSUPPORTED, "send JSON, with Content-Type: application/json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One authenticated control request."""

    head: RequestHead
    credential: Credential
    services: Services
    body: bytes

    def require_role(self, *roles: Role) -> None:
        """Let a service key with any of the roles through. Raises ``Problem``."""
        require_role(self.credential, *roles)

    def require(self, *roles: Role, scopes: frozenset[Scope] = frozenset()) -> None:
        """Let a key with any of the roles, or a token with any of the scopes, through. Raises ``Problem``."""
        require(self.credential, roles=frozenset(roles), scopes=scopes)

    async def subject(self, *, create: bool) -> Subject:
        """The subject named by header or token, made known on first sight if ``create``. Raises ``Problem``."""
        subject = await self.subject_if_named(create=create)
        if subject is None:
            raise subject_missing() if self.head.raw(b"consent-subject") is None else not_found("person")
        return subject

    async def subject_if_named(self, *, create: bool = False) -> Subject | None:
        """The subject, or ``None`` where none is named or, without ``create``, none of that name is known."""
        door = self.services.door
        return await subject_of(self.head, credential=self.credential, door=door, create=create, fresh=True)

    async def may_see(self, subject_ref: SubjectRef) -> bool:
        """Whether what belongs to a subject is the credential's to see: a token sees its own person alone."""
        own = self.credential.subject_ref
        return own is None or await is_one_person(subject_ref, own, subjects=self.services.subjects)


def not_found(what: str) -> Problem:
    """The problem of a thing that is not there."""
    return Problem(Reason.NOT_FOUND, f"there is no such {what} here")


async def _visit(request: Request) -> Visit:
    services: Services = request.app.state.services
    head: RequestHead = request.state.head
    credential = await authenticate(head, door=services.door, fresh=True)
    await note_use(credential, rulebook=services.rulebook, clock=services.clock)
    return Visit(head=head, credential=credential, services=services, body=getattr(request, "_body", b""))


CurrentVisit = Annotated[Visit, Depends(_visit)]


def services_of(request: Request) -> Services:
    """What bootstrap handed to the application, for routes that ask for no credential."""
    services: Services = request.app.state.services
    return services
