"""The JSON the control API answers with; no member has a default, so that the description tells the truth."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from consent_proxy.domain.callers import Role
from consent_proxy.domain.consent import ConsentState


class Outbound(BaseModel):
    """What we answer; every member is always there unless it says otherwise."""

    model_config = ConfigDict(frozen=True)


class SubjectTokenOut(Outbound):
    """A token, shown once."""

    token: str
    expires_at: datetime


class HeldMediumOut(Outbound):
    """A medium that is held; ``url`` or ``id`` is what a field of media takes, and nothing answers at the address.

    ``removed`` are the groups of tags that were taken out.
    """

    id: UUID
    url: str
    media_type: str
    bytes: int
    removed: list[str]
    expires_at: datetime


class KeyOut(Outbound):
    """A key as it is listed; its text is never kept."""

    id: UUID
    caller: str
    roles: list[Role]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class NewKeyOut(KeyOut):
    """A key just made; ``key`` is shown this once."""

    key: str


class StandingOut(Outbound):
    """What holds for one purpose and recipient."""

    purpose: str
    recipient: str
    state: ConsentState
    must_ask: bool
    may_ask: bool
    disclosure: str | None
    categories: list[str]
    decided_at: datetime | None
    valid_until: datetime | None
    deadline: datetime | None


class ShownDisclosureOut(Outbound):
    """A disclosure in one language, ready to be shown."""

    version: str
    locale: str
    dir: Literal["ltr", "rtl"]
    sha256: str
    effective_at: datetime
    controller: Any
    recipients: Any
    purposes: Any
    categories: Any
    text: Any


class ConsentOut(Outbound):
    """Whether to ask, and what stands."""

    subject_ref: UUID | None
    must_ask: bool
    ai_features: Literal["available", "unavailable"]
    standing: list[StandingOut]
    disclosure: ShownDisclosureOut | None


class RecordedOut(Outbound):
    """What a decision, a withdrawal or a link came to. ``reason`` says why it changed nothing, where it did not."""

    event_id: UUID
    effective: bool
    reason: str | None
    standing: list[StandingOut]
    receipt: str | None


class ChangedAnswerOut(Outbound):
    """One answer that counted: granted, declined or withdrawn. No recipients means all."""

    purpose: str
    decision: str
    recipients: list[str] | None


class ChangeOut(Outbound):
    """What changed for whom. Of a link, ``linked_from`` is the reference that is now one with ``subject_ref``.

    A link has no answers of its own: read what stands with ``GET /v1/consent``.
    """

    event_id: UUID
    kind: Literal["decision", "withdrawal", "link"]
    subject_ref: UUID
    linked_from: UUID | None
    purposes: list[str]
    answers: list[ChangedAnswerOut]
    at: datetime


class ChangesOut(Outbound):
    """A part of the feed. ``next_cursor`` is where to go on, also after an empty part."""

    items: list[ChangeOut]
    next_cursor: str | None


class PageOut(Outbound):
    """A part of a list."""

    items: list[dict[str, Any]]
    next_cursor: str | None


class ReadyOut(Outbound):
    """Whether the service can do its work."""

    status: Literal["ready", "not-ready"]
    warnings: list[str]


class CheckOut(Outbound):
    """What would happen. ``reason``, ``detail`` and ``paths`` are of a refusal."""

    decision: Literal["permit", "refusal"]
    reason: str | None
    detail: str | None
    paths: list[str]
    would_send: list[str]
    would_drop: list[dict[str, Any]]


class LogKeyOut(Outbound):
    """A key in signed-note's form, and the size of the first checkpoint it signed."""

    key: str
    first_size: int


class LogKeysOut(Outbound):
    """Every key that signed a checkpoint."""

    keys: list[LogKeyOut]


class InclusionOut(Outbound):
    """That a row is in the log; hashes in hex, ``proof`` from the leaf to the root (RFC 9162).

    ``checkpoint`` is the signed note of that very size, where one was made.
    """

    index: int
    size: int
    leaf: str
    root: str
    proof: list[str]
    checkpoint: str | None


class ConsistencyOut(Outbound):
    """That one log begins with another; hashes in hex (RFC 9162)."""

    from_size: int = Field(alias="from")
    to: int
    proof: list[str]
