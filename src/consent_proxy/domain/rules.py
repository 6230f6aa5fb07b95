"""The rules all subjects share, as one reading of the database saw them: disclosures, contracts, keys, revocations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from consent_proxy.domain.callers import Credential, CredentialKind, ServiceKey
from consent_proxy.domain.contracts import Contract, contract_in_force, next_contract_change
from consent_proxy.domain.disclosures import Disclosure, current_disclosure
from consent_proxy.domain.subjects import SubjectRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Everything that moves the ``edition``. Two readings with one edition are the same rules."""

    edition: int
    disclosures: tuple[Disclosure, ...] = ()
    contracts: tuple[Contract, ...] = ()
    keys: Mapping[bytes, ServiceKey] = field(default_factory=dict)
    revoked_tokens: frozenset[str] = frozenset()
    tokens_revoked_before: Mapping[SubjectRef, datetime] = field(default_factory=dict)
    bootstrap_caller: UUID | None = None

    def disclosure(self, version: str) -> Disclosure | None:
        """The published version of that name."""
        return next((known for known in self.disclosures if known.version == version), None)

    def current(self, *, at: datetime) -> Disclosure | None:
        """The disclosure in force at a moment."""
        return current_disclosure(self.disclosures, at=at)

    def contract(self, recipient: str, *, at: datetime) -> Contract | None:
        """The contract with a recipient in force at a moment."""
        return contract_in_force(self.contracts, recipient=recipient, at=at)

    def stands(self, credential: Credential, *, at: datetime) -> bool:
        """Whether a credential still opens anything: its key is valid or, for a token, its caller has a valid key."""
        if credential.expires_at is not None and at >= credential.expires_at:
            return False
        if self._token_revoked(credential):
            return False
        if credential.caller_id == self.bootstrap_caller:
            return True
        keys = (key for key in self.keys.values() if key.caller_id == credential.caller_id and key.valid_at(at))
        if credential.kind is CredentialKind.SUBJECT_TOKEN:
            return any(True for _ in keys)
        return any(str(key.id) == credential.id for key in keys)

    def _token_revoked(self, credential: Credential) -> bool:
        if credential.subject_ref is None:
            return False
        cut_off = self.tokens_revoked_before.get(credential.subject_ref)
        too_old = cut_off is not None and (credential.issued_at is None or credential.issued_at <= cut_off)
        return too_old or credential.id in self.revoked_tokens

    def next_change(self, *, recipient: str, at: datetime) -> datetime | None:
        """The next moment at which time alone may change what the rules say of a recipient."""
        moments = [disclosure.effective_at for disclosure in self.disclosures if disclosure.effective_at > at]
        moments += [
            disclosure.outdates_at
            for disclosure in self.disclosures
            if disclosure.outdates_at is not None and disclosure.outdates_at > at
        ]
        changed = next_contract_change(self.contracts, recipient=recipient, at=at)
        return min([*moments, changed] if changed is not None else moments, default=None)
