"""What the provider surfaces share: the steps of a request, and the way from an answer to a reply. Lean ASGI."""

import json
import logging
import re
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from starlette.types import Receive, Scope, Send

from consent_proxy.api.auth import Subject, authenticate, require, subject_missing, subject_of
from consent_proxy.api.problems import Problem, problem_of
from consent_proxy.api.requests import RequestHead, parse_json, read_body, read_head
from consent_proxy.api.services import Services
from consent_proxy.application.follow import find_job
from consent_proxy.application.forward import Forwarded, forward
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
from consent_proxy.domain.transfers import Answer, Answered, Job, OutcomeState, ProviderCall, Unanswered

logger = logging.getLogger(__name__)

_TOP_LEVEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_URL = re.compile(r"https?://[^\s/?#]+[^ ]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply on its way out: a JSON document and headers, names in lower case."""

    status: int
    body: Json
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request whose sender is known. ``path`` is what follows the surface's own name.

    ``problem`` is a fault of its head that waits until it can be recorded.
    """

    head: RequestHead
    path: str
    credential: Credential
    receive: Receive
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


class Surface:
    """An ASGI application that speaks one provider's language, at a route whose parameter ``path`` is the rest.

    ``handle`` answers a request or raises ``Problem``; ``complain`` puts a problem into the provider's own shape.
    """

    def __init__(
        self,
        services: Services,
        *,
        handle: Callable[[Request], Awaitable[Reply]],
        complain: Callable[[Problem], Reply],
    ) -> None:
        self._services = services
        self._handle = handle
        self._complain = complain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            reply = await self._handle(await _enter(scope, receive, services=self._services))
        except Problem as problem:
            reply = self._complain(problem)
        except LedgerUnavailable:
            reply = self._complain(ledger_unavailable())
        except Overloaded:
            reply = self._complain(Problem(Reason.OVERLOADED, "more work is waiting than is taken on: try again"))
        except Exception as error:  # noqa: BLE001 - whatever broke, the caller gets an answer in its language
            _log(error)
            reply = self._complain(Problem(Reason.INTERNAL_ERROR, "something broke here", sent="maybe"))
        await send_reply(send, reply)


def ledger_unavailable() -> Problem:
    """The problem of a database that is away."""
    return Problem(Reason.LEDGER_UNAVAILABLE, "the record cannot be read or written now, so nothing is sent: try again")


async def _enter(scope: Scope, receive: Receive, *, services: Services) -> Request:
    fault: Problem | None = None
    try:
        head = read_head(scope)
    except Problem as problem:
        if problem.reason is not Reason.ENCODING_NOT_ALLOWED:
            raise
        # Who sends it is plain all the same, and a refusal about a known subject is recorded.
        plain = [(name, value) for name, value in scope["headers"] if name != b"content-encoding"]
        head, fault = read_head({**scope, "headers": plain}), problem
    credential = await authenticate(head, door=services.door, fresh=False)
    path: str = scope["path_params"]["path"]
    return Request(head=head, path=path, credential=credential, receive=receive, problem=fault)


async def name_subject(request: Request, *, services: Services) -> SubjectRequest:
    """The subject whose data a request would send. Raises ``Problem``."""
    subject = await subject_of(request.head, credential=request.credential, door=services.door, create=True)
    if subject is None:
        raise subject_missing()
    return SubjectRequest(request=request, subject=subject)


async def read_object(asked: SubjectRequest, *, services: Services) -> dict[str, Json]:
    """The body as a JSON object. Raises ``Problem``."""
    if asked.request.problem is not None:
        raise asked.request.problem
    media_type = asked.head.get("content-type")
    if media_type is not None and media_type.split(";")[0].strip().lower() != "application/json":
        raise Problem(Reason.MEDIA_TYPE_UNSUPPORTED, "send JSON, with Content-Type: application/json")
    body = parse_json(await read_body(asked.request.receive, asked.head, limit=services.body_limit))
    if not isinstance(body, dict):
        raise Problem(Reason.BODY_INVALID, "the body has to be a JSON object")
    return body


async def on_record(
    problem: Problem, asked: SubjectRequest, *, provider: Provider, services: Services, manifest: Manifest | None = None
) -> Problem:
    """Append the refusal that a problem is, and give the problem its record's id."""
    refusal = Refusal(reason=problem.reason, detail=problem.detail, paths=problem.paths, disclosure=problem.disclosure)
    context = RefusalContext(
        credential=asked.request.credential,
        subject_ref=asked.subject.ref,
        subject_kind=asked.subject.kind,
        provider=provider.name,
        recipient=provider.recipient,
        manifest=manifest,
        trace_id=asked.head.trace_id,
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
        trace_id=asked.head.trace_id,
    )
    forwarded = await forward(request, provider=provider, call=call, walk=services.walk)
    if isinstance(forwarded, Refused):
        raise problem_of(forwarded.refusal, instance=forwarded.record_id)
    usable(forwarded.answer, transfer_id=forwarded.transfer_id)
    return forwarded


def require_gateway(request: Request) -> None:
    """Let through who may use the provider surfaces, with a head that has nothing wrong. Raises ``Problem``."""
    require(request.credential, roles=frozenset({Role.GATEWAY}), scopes=frozenset({TokenScope.AI}))
    if request.problem is not None:
        raise request.problem


async def job_of(request: Request, job_id: UUID | None, *, provider: Provider, services: Services) -> Job:
    """The job a request asks about, if it is the caller's and, where one is named, the subject's. Raises ``Problem``."""
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
    )
    if isinstance(found, Refusal):
        raise problem_of(found)
    if found.provider != provider.name or found.provider_job is None:
        raise not_yours()
    return found


def not_yours() -> Problem:
    """The one answer for jobs that are not there and jobs of somebody else."""
    return Problem(Reason.JOB_NOT_YOURS, "there is no such job of this caller and subject")


_FAULTS = {
    Reason.PROVIDER_UNREACHABLE: "the provider cannot be reached",
    Reason.PROVIDER_TIMEOUT: "the provider did not answer in time",
    Reason.PROVIDER_REFUSED: "the provider does not take this request now; the operator's log says more",
    Reason.PROVIDER_REPLY_UNUSABLE: "the provider's reply was lost or cannot be used",
    Reason.INTERNAL_ERROR: "the provider answered, and its answer could not be recorded",
}


def usable(answer: Answer, *, transfer_id: UUID, sent: str | None = None) -> Answered:
    """The answer, if it may be handed on. Raises ``Problem``, which says whether the data left.

    ``sent`` overrules what the answer says of that: what a job was started with left before.
    """
    if answer.problem is None:
        assert isinstance(answer, Answered)
        return answer
    if sent is None and isinstance(answer, Unanswered):
        sent = "no" if answer.state is OutcomeState.NOT_DELIVERED else "maybe"
    raise Problem(answer.problem, _FAULTS[answer.problem], instance=transfer_id, sent=sent or "yes")


def transfer_headers(forwarded: Forwarded) -> dict[str, str]:
    """What every reply to a sending carries: the transfer's id and the names of what stayed here."""
    headers = {"consent-transfer-id": str(forwarded.transfer_id), "cache-control": "no-store"}
    paths = [dropped.path for dropped in forwarded.payload.fields_dropped]
    if paths:
        headers["consent-fields-dropped"] = ", ".join(top_level(paths))
    return headers


def top_level(paths: list[str]) -> list[str]:
    """The topmost name of each path, once; ``~`` for one that is no plain name."""
    names = (_TOP_LEVEL.match(path) for path in paths)
    return list(dict.fromkeys(name.group() if name is not None else "~" for name in names))


def on_our_side(value: Json, *, capabilities: Mapping[str, str], public_url: str, kept: tuple[str, ...] = ()) -> Json:
    """A provider's JSON with its results at our addresses, and no other address for an SDK to take our credential to.

    A string that is as a whole a URL becomes ours or ``null``; ``kept`` are beginnings of URLs that stay.
    """
    match value:
        case str():
            if value[:4].lower() != "http" or _URL.fullmatch(value) is None or value.startswith(kept):
                return value
            capability = capabilities.get(value)
            return f"{public_url}/v1/files/{capability}" if capability is not None else None
        case dict():
            return {
                key: on_our_side(member, capabilities=capabilities, public_url=public_url, kept=kept)
                for key, member in value.items()
            }
        case list():
            return [on_our_side(item, capabilities=capabilities, public_url=public_url, kept=kept) for item in value]
        case _:
            return value


async def send_reply(send: Send, reply: Reply) -> None:
    """Write a reply as it is, in one piece."""
    content = _encode(reply.body)
    headers = [
        (b"content-type", reply.media_type.encode()),
        (b"content-length", str(len(content)).encode()),
        *((name.encode(), value.encode("latin-1", "replace")) for name, value in reply.headers.items()),
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def _encode(body: Json) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # a provider wrote half of a surrogate pair: it stays an escape
        return json.dumps(body, separators=(",", ":")).encode()


def _log(error: Exception) -> None:
    """Where it broke and as what. The message is left out: it may quote a payload."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else "nowhere"
    logger.error("a provider surface failed with %s at %s", type(error).__name__, where)
