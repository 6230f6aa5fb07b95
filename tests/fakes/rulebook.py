"""The rules all subjects share, kept in memory and readable as ``Rules``."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from consent_proxy.application.ports.rules import VersionTaken
from consent_proxy.domain.callers import ServiceKey
from consent_proxy.domain.contracts import Contract
from consent_proxy.domain.disclosures import Disclosure
from consent_proxy.domain.rules import Rules
from consent_proxy.domain.subjects import SubjectRef


class FakeRulebook:
    """Fulfils ``Rulebook``; ``rules`` is what it came to."""

    def __init__(self, rules: Rules | None = None) -> None:
        self.rules = rules if rules is not None else Rules(edition=1)
        self._last_used: dict[UUID, datetime] = {}

    async def publish(self, disclosure: Disclosure, *, by: str) -> bool:
        known = self.rules.disclosure(disclosure.version)
        if known is not None:
            if _text(known) != _text(disclosure):
                raise VersionTaken
            return False
        self._change(disclosures=(*self.rules.disclosures, disclosure))
        return True

    async def put_contract(self, contract: Contract, *, by: str) -> None:
        self._change(contracts=(*self.rules.contracts, contract))

    async def end_contract(self, recipient: str, *, at: datetime, by: str) -> bool:
        ended = tuple(
            replace(known, ended_at=min(known.ended_at or at, at)) if known.recipient == recipient else known
            for known in self.rules.contracts
        )
        self._change(contracts=ended)
        return any(known.recipient == recipient for known in ended)

    async def create_key(self, key: ServiceKey) -> ServiceKey:
        known = (other.caller_id for other in self.rules.keys.values() if other.caller == key.caller)
        created = replace(key, caller_id=next(known, key.caller_id))
        self._change(keys={**self.rules.keys, created.digest: created})
        return created

    async def revoke_key(self, key_id: UUID, *, at: datetime) -> bool:
        revoked = {
            digest: replace(key, revoked_at=key.revoked_at or at) if key.id == key_id else key
            for digest, key in self.rules.keys.items()
        }
        self._change(keys=revoked)
        return any(key.id == key_id for key in revoked.values())

    async def revoke_token(self, token_id: str, *, expires_at: datetime) -> None:
        self._change(revoked_tokens=self.rules.revoked_tokens | {token_id})

    async def revoke_tokens_of(self, subject_ref: SubjectRef, *, issued_before: datetime) -> None:
        before = self.rules.tokens_revoked_before
        latest = max(before.get(subject_ref, issued_before), issued_before)
        self._change(tokens_revoked_before={**before, subject_ref: latest})

    async def note_key_used(self, key_id: UUID, *, at: datetime) -> None:
        known = any(key.id == key_id for key in self.rules.keys.values())
        last = self._last_used.get(key_id)
        if known and (last is None or at >= last + timedelta(minutes=1)):
            self._last_used[key_id] = at

    async def last_used(self) -> Mapping[UUID, datetime]:
        return dict(self._last_used)

    def _change(self, **changed: object) -> None:
        self.rules = replace(self.rules, edition=self.rules.edition + 1, **changed)  # type: ignore[arg-type]


def _text(disclosure: Disclosure) -> str:
    return json.dumps(disclosure.document, sort_keys=True)
