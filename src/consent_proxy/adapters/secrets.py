"""The service's own random secrets: how ``SECRET_KEY`` wraps them, and the keyed functions over them.

Pure cryptography: where they are kept is ``adapters.postgres.secrets``' business.
"""

import hmac
import os
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from consent_proxy.adapters.media.sealing import unwrap_key, wrap_key
from consent_proxy.domain.subjects import SubjectIdentifier, SubjectRef

SECRET_BYTES = 32
#: Opens every wrapped secret, so that another way of wrapping can be told from this one.
_LAYOUT = b"\x01"
_NONCE_BYTES = 12
_PSEUDONYM_DIGITS = 32
#: 192 bits: 32 characters of base64url without padding.
_CAPABILITY_BYTES = 24


class SecretName(StrEnum):
    """What each secret is for; no two uses share one."""

    PEPPER = "pepper"
    TOKEN_SIGNING = "token-signing"  # noqa: S105 - a name, not a secret
    RECEIPT_SIGNING = "receipt-signing"
    PSEUDONYM = "pseudonym"
    CAPABILITY = "capability"
    IDEMPOTENCY = "idempotency"
    MEDIA = "media"
    CHECKPOINT_SIGNING = "checkpoint-signing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """One version of a secret: 32 random bytes, an Ed25519 seed where we sign for others. Retired ones only verify."""

    name: str
    version: int
    value: bytes = field(repr=False)
    retired_at: datetime | None = None


class SecretsLocked(Exception):
    """The kept secrets do not open with the keys given. The service must not start; the message says what to do."""


class WrappingKey:
    """What ``SECRET_KEY`` becomes: AES-256-GCM under HKDF-SHA256, bound to the secret's name and version."""

    def __init__(self, secret_key: str) -> None:
        if not secret_key:
            raise ValueError("the key that wraps the service's secrets is empty: set CONSENT_PROXY_SECRET_KEY")
        self._cipher = AESGCM(_derive(secret_key.encode(), use=b"wrap"))

    def __repr__(self) -> str:
        return "WrappingKey(<hidden>)"

    def wrap(self, secret: Secret) -> bytes:
        """The bytes that may be kept: layout, nonce, ciphertext with its tag."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, secret.value, _place(secret.name, secret.version))
        return _LAYOUT + nonce + sealed

    def unwrap(self, wrapped: bytes, *, name: str, version: int) -> bytes | None:
        """The secret, or ``None`` where another key wrapped it, or wrapped it for another name or version."""
        if wrapped[:1] != _LAYOUT:
            return None
        nonce, sealed = wrapped[1 : 1 + _NONCE_BYTES], wrapped[1 + _NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, sealed, _place(name, version))
        except (InvalidTag, ValueError):  # ValueError: too short to have been wrapped by us
            return None


def new_secret(name: str, *, version: int = 1) -> Secret:
    """A secret that nobody has seen yet."""
    return Secret(name=name, version=version, value=os.urandom(SECRET_BYTES))


class Keyring:
    """The unwrapped secrets, and the keyed digests over them; fulfils ``Digests``."""

    def __init__(self, secrets: Iterable[Secret]) -> None:
        newest_first = sorted(secrets, key=lambda secret: secret.version, reverse=True)
        self._secrets: dict[str, tuple[Secret, ...]] = {}
        for secret in newest_first:
            self._secrets[secret.name] = (*self._secrets.get(secret.name, ()), secret)
        self._pepper = self.current(SecretName.PEPPER).value
        self._idempotency = self.current(SecretName.IDEMPOTENCY).value
        self._capability = self.current(SecretName.CAPABILITY).value
        pseudonym = self.current(SecretName.PSEUDONYM).value
        self._recipient_key = lru_cache(maxsize=256)(lambda recipient: _derive(pseudonym, use=recipient.encode()))

    def __repr__(self) -> str:
        held = (f"{secret.name}/{secret.version}" for versions in self._secrets.values() for secret in versions)
        return f"Keyring({', '.join(sorted(held))})"

    def current(self, name: SecretName) -> Secret:
        """The newest version that is not retired. Raises ``LookupError`` where there is none."""
        return next(secret for secret in self.versions(name) if secret.retired_at is None)

    def versions(self, name: SecretName) -> tuple[Secret, ...]:
        """Every version, newest first, the retired ones too: what they signed can still be verified."""
        if not any(secret.retired_at is None for secret in self._secrets.get(name, ())):
            raise LookupError(f"the keyring has no secret '{name}' in use")
        return self._secrets[name]

    def subject(self, identifier: SubjectIdentifier) -> bytes:
        """``HMAC(pepper, kind, identifier)``: the only trace of a raw identifier anywhere. 32 bytes."""
        return _mac(self._pepper, identifier.kind.encode() + b"\0" + identifier.value.encode())

    def pseudonym(self, subject_ref: SubjectRef, *, recipient: str) -> str:
        """The subject as one recipient knows it: 32 hex digits, different at each recipient."""
        return _mac(self._recipient_key(recipient), subject_ref.bytes).hex()[:_PSEUDONYM_DIGITS]

    def idempotency(self, key: str, *, caller_id: UUID) -> bytes:
        """What is kept of an ``Idempotency-Key``. 32 bytes."""
        return _mac(self._idempotency, caller_id.bytes + _utf8(key))

    def capability(self, *, job_id: UUID, url: str) -> str:
        """The stable name of one output of one job: 192 bits, 32 URL-safe characters."""
        return urlsafe_b64encode(_mac(self._capability, job_id.bytes + _utf8(url))[:_CAPABILITY_BYTES]).decode()

    def wrap_media_key(self, key: bytes, *, key_id: UUID) -> bytes:
        """A subject's key for held media as it may be kept, bound to its id."""
        return wrap_key(key, under=self.current(SecretName.MEDIA).value, name=key_id.bytes)

    def unwrap_media_key(self, wrapped: bytes, *, key_id: UUID) -> bytes | None:
        """The key, or ``None`` where none of the secrets wrapped it for this id."""
        opened = (
            unwrap_key(wrapped, under=secret.value, name=key_id.bytes) for secret in self.versions(SecretName.MEDIA)
        )
        return next((key for key in opened if key is not None), None)


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def _derive(material: bytes, *, use: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=SECRET_BYTES, salt=None, info=b"consent-proxy/" + use).derive(material)


def _place(name: str, version: int) -> bytes:
    return f"{name}/{version}".encode()


def _utf8(text: str) -> bytes:
    """Any text at all, told apart from every other: provider URLs and callers' keys come from JSON and headers."""
    return text.encode("utf-8", "surrogatepass")
