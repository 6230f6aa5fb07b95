"""One sending to one recipient: what will leave (intent), the proof that it was written down, what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from consent_proxy.domain.decide import Permit, TransferRequest
from consent_proxy.domain.media import CleanMedium
from consent_proxy.domain.minimise import MinimisedPayload
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.refusals import Reason
from consent_proxy.domain.subjects import SubjectKind, SubjectRef


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCall:
    """How the provider is asked: ``operation`` is the adapter's own word (``run``, ``submit``, ``prediction``).

    ``version`` and ``deployment`` are Replicate's; ``wait_seconds`` is how long it may hold the reply;
    ``timeout_seconds`` is how long the caller said it waits for a start; ``options`` are further reviewed switches,
    none of them personal.
    """

    operation: str
    version: str | None = None
    deployment: str | None = None
    wait_seconds: int | None = None
    timeout_seconds: float | None = None
    options: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A medium that goes to the provider in requests of its own, before the one that names it.

    ``name`` is its neutral name in the payload. ``address`` is where its bytes go, once the provider has said so, and
    ``url`` what it is called there. ``parts`` are the provider's marks of the pieces that are there, where it takes a
    large file in pieces.
    """

    name: str
    medium: CleanMedium
    address: str | None = None
    url: str | None = None
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """A request to a provider, drafted but not sent: where to, the bytes, the privacy switches it will carry.

    The media in ``waiting`` are uploaded before it, one after the other; in ``content`` their neutral names stand for
    them until all of them are ``uploaded``.
    """

    host: str
    path: str
    content: bytes
    payload: MinimisedPayload
    call: ProviderCall
    privacy_switches: Mapping[str, str]
    waiting: tuple[Upload, ...] = ()
    uploaded: tuple[Upload, ...] = ()

    @property
    def has_left(self) -> bool:
        """Whether bytes of media left in the requests before the next one."""
        return bool(self.uploaded) or any(upload.parts for upload in self.waiting)

    @property
    def bytes_sent(self) -> int:
        """How many bytes of bodies leave with it, uploads included."""
        uploads = (*self.waiting, *self.uploaded)
        return len(self.content) + sum(upload.medium.bytes for upload in uploads)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What is about to leave, complete enough to be the transfer's record."""

    id: UUID
    request: TransferRequest
    permit: Permit
    dispatch: Dispatch
    payload_digest: str
    environment: str
    sandbox: bool
    first_transfer_id: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedIntent:
    """An intent that is durable. ``begin_by`` is the monotonic clock's seconds by which its first byte must leave.

    Built by the log's adapters alone, after the database confirmed the commit.
    """

    intent: Intent
    intent_at: datetime
    begin_by: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FactsChanged:
    """The intent was not recorded, because what the permit stands on no longer stands."""


class OutcomeState(StrEnum):
    """What became of a transfer. ``indeterminate`` counts as sent."""

    PENDING = "pending"
    DELIVERED = "delivered"
    NOT_DELIVERED = "not-delivered"
    INDETERMINATE = "indeterminate"


class ResultState(StrEnum):
    """What became of the result: handed to the caller, or kept back after a withdrawal."""

    DELIVERED = "delivered"
    WITHHELD = "withheld"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """That the caller asked to stop a job, and the provider's answer (a slug)."""

    requested_at: datetime
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What is known of a transfer at one point. Outcomes are ``(transfer_id, seq)``; the highest holds. UTC.

    ``stopped_after`` is ``upload`` where media went to the provider and the request that names them did not.
    """

    transfer_id: UUID
    seq: int
    state: OutcomeState
    http_status: int | None = None
    completed_at: datetime | None = None
    duration_ms: int | None = None
    provider_request_id: str | None = None
    bytes_received: int | None = None
    cancel: Cancel | None = None
    result: ResultState | None = None
    stopped_after: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The provider replied. ``problem`` is set where the reply must not reach the caller as it is (an account error,
    a server error, an unusable body). ``provider_job`` names work that goes on; ``outputs`` are the URLs in ``body``
    that name results. ``bytes_received`` counts the body. ``finished`` says that the body holds the result itself, not
    word of work that goes on.
    """

    http_status: int
    body: Json
    bytes_received: int
    provider_request_id: str | None = None
    provider_job: "ProviderJob | None" = None
    outputs: tuple[str, ...] = ()
    problem: Reason | None = None
    finished: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """No reply. ``not-delivered`` only where no byte can have left; everything else is ``indeterminate``.

    ``window_closed`` says that ``begin_by`` came before the first byte could leave: it was not begun. Of an upload's
    requests those that carry nothing of the subject's are ``not-delivered`` whatever became of them.
    """

    state: OutcomeState
    problem: Reason
    window_closed: bool = False


Answer = Answered | Unanswered


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderJob:
    """The provider's own name for work it goes on with, and the adapter's note of where to ask."""

    id: str
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Work started by a transfer; its id is the transfer's. Belongs to (caller, subject).

    ``provider_job`` is ``None`` where the provider answered at once; such a job owns outputs and is never followed.
    """

    id: UUID
    caller_id: UUID
    subject_ref: SubjectRef
    subject_kind: SubjectKind
    provider: str
    recipient: str
    model: str
    purpose: str
    provider_job: ProviderJob | None
    operation: str
    version: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A result at the provider that a capability URL on our host leads to. Only the capability's digest is stored."""

    capability: str
    job_id: UUID
    caller_id: UUID
    subject_ref: SubjectRef
    provider: str
    url: str
    expires_at: datetime
