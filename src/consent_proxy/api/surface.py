"""The steps of a request that the provider surfaces share: who, whose data, which body, and through the door."""

import logging
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from starlette.types import Receive, Scope, Send

from consent_proxy.api.auth import (
    CredentialExpired,
    Subject,
    authenticate,
    note_use,
    require,
    subject_missing,
    subject_of,
)
from consent_proxy.api.problems import Problem, problem_of
from consent_proxy.api.requests import RequestHead, parse_json, read_body, read_head
from consent_proxy.api.services import Services
from consent_proxy.api.surface_replies import Reply, send_reply, usable
from consent_proxy.application.follow import find_job
from consent_proxy.application.forward import Forwarded, forward
from consent_proxy.application.ports.platform import Clock
from consent_proxy.application.ports.providers import Provider
from consent_proxy.application.ports.transfers import LedgerUnavailable, Overloaded
from consent_proxy.application.refuse import RefusalContext, Refused, refuse
from consent_proxy.domain.callers import Credential, Role
from consent_proxy.domain.callers import Scope as TokenScope
from consent_proxy.domain.categories import Purpose
from consent_proxy.domain.decide import TransferRequest
from consent_proxy.domain.manifests import Manifest
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.refusals import Reason, Refusal
from consent_proxy.domain.transfers import Job, ProviderCall

logger = logging.getLogger(__name__)


class Stopwatch:
    """How long a request has been here, in seconds, without what it waited for others."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._began_at, self._elsewhere = clock, clock.monotonic(), 0.0

    def leave_out(self, seconds: float) -> None:
        """So long it waited for its caller or for a provider."""
        self._elsewhere += seconds

    def own(self) -> float:
        """The time until now that is ours."""
        return self._clock.monotonic() - self._began_at - self._elsewhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request whose sender is known. ``path`` is what follows the surface's own name.

    ``problem`` is a fault of its head that waits until it can be recorded.
    """

    head: RequestHead
    path: str
    credential: Credential
    receive: Receive
    stopwatch: Stopwatch
    problem: Problem | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectRequest:
    """A request that would send something of a subject's."""

    request: Request
    subject: Subject

    @property
    def head(self) -> RequestHead:
        """Its head."""
        return self.request.head


class Speaker(Protocol):
    """One provider's language."""

    @property
    def provider(self) -> Provider:
        """The system it speaks for."""
        ...

    async def handle(self, request: Request) -> Reply:
        """Answer a request. Raises ``Problem``, ``LedgerUnavailable``, ``Overloaded``."""
        ...

    def complain(self, problem: Problem) -> Reply:
        """Put a problem into the shape that the provider's SDKs understand."""
        ...


class Surface:
    """An ASGI application that speaks one provider's language, at a route whose parameter ``path`` is the rest."""

    def __init__(self, speaker: Callable[[Services], Speaker]) -> None:
        self._speaker = speaker

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        services: Services = scope["app"].state.services
        speaker = self._speaker(services)
        try:
            reply = await speaker.handle(await _enter(scope, receive, services=services, provider=speaker.provider))
        except Problem as problem:
            reply = speaker.complain(problem)
        except LedgerUnavailable:
            reply = speaker.complain(ledger_unavailable())
        except Overloaded:
            reply = speaker.complain(Problem(Reason.OVERLOADED, "more work is waiting than is taken on: try again"))
        except Exception as error:  # noqa: BLE001 - whatever broke, the caller gets an answer in its language
            _log(error)
            reply = speaker.complain(Problem(Reason.INTERNAL_ERROR, "something broke here", sent="maybe"))
        services.meter.answered(speaker.provider.name, status=reply.status)
        await send_reply(send, reply)


def ledger_unavailable() -> Problem:
    """The problem of a database that is away."""
    return Problem(Reason.LEDGER_UNAVAILABLE, "the record cannot be read or written now, so nothing is sent: try again")


async def _enter(scope: Scope, receive: Receive, *, services: Services, provider: Provider) -> Request:
    stopwatch = Stopwatch(services.clock)
    fault: Problem | None = None
    try:
        head = read_head(scope)
    except Problem as problem:
        if problem.reason is not Reason.ENCODING_NOT_ALLOWED:
            raise
        # Who sends it is plain all the same, and a refusal about a known subject is recorded.
        plain = [(name, value) for name, value in scope["headers"] if name != b"content-encoding"]
        head, fault = read_head({**scope, "headers": plain}), problem
    try:
        credential = await authenticate(head, door=services.door, fresh=False)
    except CredentialExpired as problem:
        if head.method != "POST":  # whoever polls sends nothing
            raise
        raise await _token_on_record(problem, head, problem.credential, provider=provider, services=services) from None
    await note_use(credential, rulebook=services.rulebook, clock=services.clock)
    path: str = scope["path_params"]["path"]
    return Request(head=head, path=path, credential=credential, receive=receive, stopwatch=stopwatch, problem=fault)


async def name_subject(request: Request, *, provider: Provider, services: Services) -> SubjectRequest:
    """The subject whose data a request would send. Raises ``Problem``."""
    credential = request.credential
    try:
        subject = await subject_of(request.head, credential=credential, door=services.door, create=True)
    except Problem as problem:
        raise await _token_on_record(problem, request.head, credential, provider=provider, services=services) from None
    if subject is None:
        raise subject_missing()
    return SubjectRequest(request=request, subject=subject)


async def _token_on_record(
    problem: Problem, head: RequestHead, credential: Credential, *, provider: Provider, services: Services
) -> Problem:
    """A refusal of a subject token is about its subject, whoever else the request names, and is recorded as that."""
    if credential.subject_ref is None or credential.subject_kind is None:
        return problem
    subject = Subject(ref=credential.subject_ref, kind=credential.subject_kind)
    return await _recorded(problem, subject, head, credential, provider=provider, services=services)


async def read_object(asked: SubjectRequest, *, services: Services) -> dict[str, Json]:
    """The body as a JSON object. Raises ``Problem``."""
    if asked.request.problem is not None:
        raise asked.request.problem
    media_type = asked.head.get("content-type")
    if media_type is not None and media_type.split(";")[0].strip().lower() != "application/json":
        raise Problem(Reason.MEDIA_TYPE_UNSUPPORTED, "send JSON, with Content-Type: application/json")
    asked_at = services.clock.monotonic()
    content = await read_body(asked.request.receive, asked.head, limit=services.body_limit)
    asked.request.stopwatch.leave_out(services.clock.monotonic() - asked_at)
    body = parse_json(content)
    if not isinstance(body, dict):
        raise Problem(Reason.BODY_INVALID, "the body has to be a JSON object")
    return body


async def on_record(
    problem: Problem, asked: SubjectRequest, *, provider: Provider, services: Services, manifest: Manifest | None = None
) -> Problem:
    """Append the refusal that a problem is, and give the problem its record's id."""
    return await _recorded(
        problem,
        asked.subject,
        asked.head,
        asked.request.credential,
        provider=provider,
        services=services,
        manifest=manifest,
    )


async def _recorded(
    problem: Problem,
    subject: Subject,
    head: RequestHead,
    credential: Credential,
    *,
    provider: Provider,
    services: Services,
    manifest: Manifest | None = None,
) -> Problem:
    refusal = Refusal(reason=problem.reason, detail=problem.detail, paths=problem.paths, disclosure=problem.disclosure)
    context = RefusalContext(
        credential=credential,
        subject_ref=subject.ref,
        subject_kind=subject.kind,
        provider=provider.name,
        recipient=provider.recipient,
        manifest=manifest,
        trace_id=head.trace_id,
    )
    refused = await refuse(refusal, context=context, walk=services.walk)
    return problem_of(refusal, instance=refused.record_id)


def stated_purpose(head: RequestHead) -> Purpose | None:
    """The purpose a request states, where it is one of ours; it tells two manifests of one id apart."""
    stated = head.get("consent-purpose")
    return Purpose(stated) if stated in list(Purpose) else None


def strict(head: RequestHead) -> bool:
    """Whether the caller would rather have a refusal than have less sent. Only a plain ``false`` says no."""
    return (head.get("consent-strict") or "false").strip().lower() != "false"


async def send_on(
    asked: SubjectRequest,
    *,
    manifest: Manifest | None,
    payload: dict[str, Json],
    provider: Provider,
    call: ProviderCall,
    services: Services,
    left_out: Sequence[str] = (),
) -> Forwarded:
    """Walk through the door. Raises ``Problem`` for a refusal and for an answer that must not be handed on."""
    request = TransferRequest(
        credential=asked.request.credential,
        subject_ref=asked.subject.ref,
        subject_kind=asked.subject.kind,
        provider=provider.name,
        recipient=provider.recipient,
        manifest=manifest,
        payload=payload,
        stated_purpose=asked.head.get("consent-purpose"),
        strict=strict(asked.head),
        left_out=tuple(left_out),
        trace_id=asked.head.trace_id,
    )
    traceparent = asked.head.traceparent
    forwarded = await forward(request, provider=provider, call=call, walk=services.walk, traceparent=traceparent)
    if isinstance(forwarded, Refused):
        raise problem_of(forwarded.refusal, instance=forwarded.record_id, sent=forwarded.sent)
    asked.request.stopwatch.leave_out(forwarded.provider_seconds)
    services.meter.delayed(asked.request.stopwatch.own())
    usable(forwarded.answer, transfer_id=forwarded.transfer_id)
    return forwarded


def require_gateway(request: Request) -> None:
    """Let through who may use the provider surfaces, with a head that has nothing wrong. Raises ``Problem``."""
    require(request.credential, roles=frozenset({Role.GATEWAY}), scopes=frozenset({TokenScope.AI}))
    if request.problem is not None:
        raise request.problem


async def job_of(request: Request, job_id: UUID | None, *, provider: Provider, services: Services) -> Job:
    """The job a request asks about, if it is this caller's and the named subject's. Raises ``Problem``."""
    require_gateway(request)
    subject = await subject_of(request.head, credential=request.credential, door=services.door, create=False)
    strangers = subject is None and request.head.raw(b"consent-subject") is not None
    if job_id is None or strangers:
        raise not_yours()
    found = await find_job(
        job_id,
        credential=request.credential,
        subject_ref=subject.ref if subject is not None else None,
        jobs=services.jobs,
        subjects=services.subjects,
    )
    if isinstance(found, Refusal):
        raise problem_of(found)
    if found.provider != provider.name or found.provider_job is None:
        raise not_yours()
    return found


def not_yours() -> Problem:
    """The one answer for jobs that are not there and jobs of somebody else."""
    return Problem(Reason.JOB_NOT_YOURS, "there is no such job of this caller and subject")


def _log(error: Exception) -> None:
    """Where it broke and as what. The message is left out: it may quote a payload."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else "nowhere"
    logger.error("a provider surface failed with %s at %s", type(error).__name__, where)
