"""The secrets in use: opened at the start where the database answers, and otherwise as soon as it does."""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from consent_proxy.adapters.checkpoints import CheckpointSigner, SignedCheckpoint
from consent_proxy.adapters.postgres.connections import Database
from consent_proxy.adapters.postgres.schema import SchemaUnfit
from consent_proxy.adapters.postgres.secrets import load_keyring
from consent_proxy.adapters.receipts import Ed25519ReceiptSigner
from consent_proxy.adapters.secrets import Keyring, SecretsLocked
from consent_proxy.adapters.tokens import JwtTokenSigner
from consent_proxy.application.ports.platform import Finding, LedgerHealth, Readiness
from consent_proxy.application.ports.transfers import LedgerUnavailable
from consent_proxy.domain.callers import Credential
from consent_proxy.domain.payloads import Json
from consent_proxy.domain.subjects import SubjectIdentifier, SubjectRef

_log = logging.getLogger(__name__)

_RETRY_AFTER = 0.25


@dataclass(frozen=True, slots=True)
class _Opened:
    keyring: Keyring
    tokens: JwtTokenSigner
    receipts: Ed25519ReceiptSigner
    checkpoints: CheckpointSigner


class PostgresKeyring:
    """Fulfils ``Digests``, ``TokenSigner`` and ``ReceiptSigner``.

    Until the secrets are open every use raises ``LedgerUnavailable``.
    """

    def __init__(self, database: Database, *, secret_key: str, previous: Iterable[str] = ()) -> None:
        self._database, self._secret_key, self._previous = database, secret_key, tuple(previous)
        self._opened: _Opened | None = None
        self._waiting: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether the secrets could be read."""
        return self._opened is not None

    async def start(self) -> None:
        """Open the secrets, at once or when the database is back. Raises ``SecretsLocked`` if that is known at once."""
        try:
            await self._open()
        except LedgerUnavailable:
            self._waiting = asyncio.create_task(self._open_later())

    async def aclose(self) -> None:
        """Wait no longer."""
        if self._waiting is not None:
            self._waiting.cancel()
            await asyncio.wait({self._waiting})

    def subject(self, identifier: SubjectIdentifier) -> bytes:
        """See ``Digests``."""
        return self._in_use().keyring.subject(identifier)

    def pseudonym(self, subject_ref: SubjectRef, *, recipient: str) -> str:
        """See ``Digests``."""
        return self._in_use().keyring.pseudonym(subject_ref, recipient=recipient)

    def idempotency(self, key: str, *, caller_id: UUID) -> bytes:
        """See ``Digests``."""
        return self._in_use().keyring.idempotency(key, caller_id=caller_id)

    def capability(self, *, job_id: UUID, url: str) -> str:
        """See ``Digests``."""
        return self._in_use().keyring.capability(job_id=job_id, url=url)

    def wrap_media_key(self, key: bytes, *, key_id: UUID) -> bytes:
        """See ``MediaKeys``."""
        return self._in_use().keyring.wrap_media_key(key, key_id=key_id)

    def unwrap_media_key(self, wrapped: bytes, *, key_id: UUID) -> bytes | None:
        """See ``MediaKeys``."""
        return self._in_use().keyring.unwrap_media_key(wrapped, key_id=key_id)

    def mint(self, credential: Credential) -> str:
        """See ``TokenSigner``."""
        return self._in_use().tokens.mint(credential)

    def read(self, token: str) -> Credential | None:
        """See ``TokenSigner``."""
        return self._in_use().tokens.read(token)

    def sign(self, claims: Mapping[str, Json], *, at: datetime) -> str:
        """See ``ReceiptSigner``."""
        return self._in_use().receipts.sign(claims, at=at)

    def public_keys(self) -> list[dict[str, Json]]:
        """See ``ReceiptSigner``."""
        return self._in_use().receipts.public_keys()

    def sign_checkpoint(self, *, size: int, root: bytes) -> SignedCheckpoint:
        """The log's checkpoint at a size, and the key it is verified with."""
        return self._in_use().checkpoints.sign(size=size, root=root)

    def _in_use(self) -> _Opened:
        if self._opened is None:
            raise LedgerUnavailable("the service's secrets are in the database, which did not answer yet")
        return self._opened

    async def _open(self) -> None:
        keyring = await load_keyring(self._database, secret_key=self._secret_key, previous=self._previous)
        self._opened = _Opened(
            keyring, JwtTokenSigner(keyring), Ed25519ReceiptSigner(keyring), CheckpointSigner(keyring)
        )

    async def _open_later(self) -> None:
        _log.warning("the database does not answer: nothing is sent before it does")
        told = ""
        while not self.is_open:
            await asyncio.sleep(_RETRY_AFTER)
            try:
                await self._open()
            except LedgerUnavailable:
                continue
            except SchemaUnfit as error:  # somebody may migrate it
                if told != str(error):
                    told = str(error)
                    _log.error("nothing can be sent: %s", told)
            except SecretsLocked as error:
                _log.error("nothing can be sent: %s", error)
                return


class HealthWithSecrets:
    """Fulfils ``LedgerHealth`` for a service that can do nothing before its secrets are open."""

    def __init__(self, health: LedgerHealth, *, keyring: PostgresKeyring) -> None:
        self._health, self._keyring = health, keyring

    async def check(self) -> Readiness:
        """See ``LedgerHealth``."""
        found = await self._health.check()
        if found.ready and not self._keyring.is_open:
            locked = Finding("secrets-locked", "the service's secrets are not open: the log says why")
            return Readiness(ready=False, warnings=(locked, *found.warnings))
        return found
