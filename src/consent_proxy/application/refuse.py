"""Saying no, on the record: every refusal about a known subject is appended to the log before it is answered."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from consent_proxy.application.ports.observation import Meter
from consent_proxy.application.ports.platform import Clock, Identifiers
from consent_proxy.application.ports.transfers import RefusedTransfer, TransferLog
from consent_proxy.domain.callers import Credential
from consent_proxy.domain.manifests import Manifest
from consent_proxy.domain.refusals import Refusal
from consent_proxy.domain.subjects import SubjectKind, SubjectRef

#: How a model that no manifest names stands in the record: its name is the caller's text.
UNKNOWN_MODEL = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalContext:
    """Whose request was refused, and for what. ``edition`` is of the rules it was decided on, where it was.

    ``model`` and ``purpose`` are told where there is no ``manifest`` to say them.
    """

    credential: Credential
    subject_ref: SubjectRef
    subject_kind: SubjectKind
    provider: str
    recipient: str
    manifest: Manifest | None = None
    model: str = UNKNOWN_MODEL
    purpose: str | None = None
    trace_id: str | None = None
    edition: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A no that was answered; ``record_id`` is its record's.

    ``sent`` says that something had left before: of a transfer that was stopped half-way.
    """

    refusal: Refusal
    record_id: UUID
    sent: bool = False


class Recorder(Protocol):
    """The part of a walk that recording a refusal needs."""

    @property
    def log(self) -> TransferLog:
        """Where refusals are appended."""
        ...

    @property
    def clock(self) -> Clock:
        """The wall clock."""
        ...

    @property
    def meter(self) -> Meter:
        """Where refusals are counted."""
        ...

    @property
    def ids(self) -> Identifiers:
        """Where the record's id comes from."""
        ...

    @property
    def environment(self) -> str:
        """The label that stands in every record."""
        ...

    @property
    def sandboxed(self) -> frozenset[str]:
        """The providers that are local stand-ins."""
        ...


async def refuse(refusal: Refusal, *, context: RefusalContext, walk: Recorder) -> Refused:
    """Append a refusal and hand it back. Never raises for a database that is away: the no stands all the same."""
    manifest = context.manifest
    refused = RefusedTransfer(
        id=walk.ids.new_id(),
        at=walk.clock.now(),
        environment=walk.environment,
        sandbox=context.provider in walk.sandboxed,
        subject_ref=context.subject_ref,
        subject_kind=context.subject_kind,
        credential=context.credential,
        provider=context.provider,
        recipient=context.recipient,
        model=manifest.id if manifest is not None else context.model,
        purpose=manifest.purpose if manifest is not None else context.purpose,
        manifest=manifest,
        reason=refusal.reason,
        fields_dropped=tuple((path, refusal.reason.value) for path in refusal.paths),
        trace_id=context.trace_id,
        edition=context.edition,
    )
    await walk.log.record_refusal(refused)
    walk.meter.refused(refusal.reason, provider=context.provider)
    return Refused(refusal=refusal, record_id=refused.id)
