"""Making a service key: random, shown once, kept as a digest."""

import secrets
from datetime import datetime
from hashlib import sha256

from consent_proxy.application.ports.platform import Clock, Identifiers
from consent_proxy.application.ports.rules import Rulebook
from consent_proxy.domain.callers import KEY_PREFIX, Role, ServiceKey


async def create_key(
    *,
    caller: str,
    roles: frozenset[Role],
    expires_at: datetime | None,
    rulebook: Rulebook,
    ids: Identifiers,
    clock: Clock,
) -> tuple[ServiceKey, str]:
    """Make a key and hand out its text, ``cpk_`` and 256 random bits, this once."""
    secret = KEY_PREFIX + secrets.token_urlsafe(32)
    key = ServiceKey(
        id=ids.new_id(),
        caller_id=ids.new_id(),
        caller=caller,
        digest=sha256(secret.encode()).digest(),
        roles=roles,
        created_at=clock.now(),
        expires_at=expires_at,
        revoked_at=None,
    )
    return await rulebook.create_key(key), secret
