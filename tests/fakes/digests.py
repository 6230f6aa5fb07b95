"""Digests without a secret: the same in every run, different for different input."""

from hashlib import sha256
from uuid import UUID

from consent_proxy.domain.subjects import SubjectIdentifier, SubjectRef


class FakeDigests:
    """Fulfils ``Digests``."""

    def subject(self, identifier: SubjectIdentifier) -> bytes:
        return sha256(f"subject {identifier.kind} {identifier.value}".encode()).digest()

    def pseudonym(self, subject_ref: SubjectRef, *, recipient: str) -> str:
        return sha256(f"pseudonym {recipient} {subject_ref}".encode()).hexdigest()[:32]

    def idempotency(self, key: str, *, caller_id: UUID) -> bytes:
        return sha256(f"idempotency {caller_id} {key}".encode()).digest()

    def capability(self, *, job_id: UUID, url: str) -> str:
        return sha256(f"capability {job_id} {url}".encode()).hexdigest()[:32]
