"""Time, ids, keyed digests, tokens and health: what the service needs of the machine it runs on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from consent_proxy.domain.callers import Credential
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.subjects import SubjectIdentifier, SubjectRef


class Clock(Protocol):
    """Time, at the edge of the house."""

    def now(self) -> datetime:
        """The wall clock, UTC-aware."""
        ...

    def monotonic(self) -> float:
        """Seconds of a clock that never goes back; comparable within this process only."""
        ...


class Identifiers(Protocol):
    """Where new ids come from."""

    def new_id(self) -> UUID:
        """A UUIDv7 of now."""
        ...


class Digests(Protocol):
    """The keyed functions over the service's secrets. None of them can be turned round."""

    def subject(self, identifier: SubjectIdentifier) -> bytes:
        """``HMAC(pepper, kind, identifier)``: the only trace of a raw identifier anywhere."""
        ...

    def pseudonym(self, subject_ref: SubjectRef, *, recipient: str) -> str:
        """The subject as one recipient knows it: different at each, useless after erasure. 32 hex digits."""
        ...

    def idempotency(self, key: str, *, caller_id: UUID) -> bytes:
        """What is kept of an ``Idempotency-Key``."""
        ...

    def capability(self, *, job_id: UUID, url: str) -> str:
        """The unguessable, stable name of one output of one job; at least 128 bits, URL-safe."""
        ...


class TokenSigner(Protocol):
    """Mints and reads subject tokens."""

    def mint(self, credential: Credential) -> str:
        """The token's text, ``cps_…``."""
        ...

    def read(self, token: str) -> Credential | None:
        """The credential a token stands for, expired or not; ``None`` if its signature or shape is wrong."""
        ...


class ReceiptSigner(Protocol):
    """Signs the copies of consent records that are handed out."""

    def sign(self, claims: Mapping[str, Json], *, at: datetime) -> str:
        """Compact JWS under the key that was in use at a moment; deterministic."""
        ...

    def public_keys(self) -> list[dict[str, Json]]:
        """The keys to verify with as JWKs, retired ones kept."""
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """Something an operator should look at: a slug for programs, a sentence that says what to do, and whether the door
    stays shut or something is unsafe until it is done.
    """

    slug: str
    message: str
    grave: bool = field(default=True, kw_only=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether the service can do its work, and what an operator should look at."""

    ready: bool
    warnings: tuple[Finding, ...] = ()


class LedgerHealth(Protocol):
    """Whether the database answers and its schema fits."""

    async def check(self) -> Readiness:
        """Never raises."""
        ...
