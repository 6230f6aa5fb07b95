"""Receipts: the signed copy of a consent record, verifiable by anyone with the published keys."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from consent_proxy.adapters.secrets import Keyring, Secret, SecretName
from consent_proxy.domain.payloads import Json

_TYPE = "consent-receipt+jwt"


class Ed25519ReceiptSigner:
    """Fulfils ``ReceiptSigner`` with compact JWS (RFC 7515) and Ed25519 (RFC 8037)."""

    def __init__(self, keyring: Keyring) -> None:
        oldest_first = tuple(reversed(keyring.versions(SecretName.RECEIPT_SIGNING)))
        self._versions = oldest_first
        self._keys = {secret.version: Ed25519PrivateKey.from_private_bytes(secret.value) for secret in oldest_first}
        self._jwks = {secret.version: _jwk(self._keys[secret.version]) for secret in oldest_first}

    def __repr__(self) -> str:
        return f"Ed25519ReceiptSigner(kids={[key['kid'] for key in self._jwks.values()]})"

    def sign(self, claims: Mapping[str, Json], *, at: datetime) -> str:
        """Sign with the key that was in use at a moment, so that the same receipt comes out each time."""
        secret = self._in_use(at)
        headers = {"kid": self._jwks[secret.version]["kid"], "typ": _TYPE}
        # In one order throughout: jsonb gives back the members of an object in another order than they came in.
        ordered = json.loads(json.dumps(claims, sort_keys=True))
        return jwt.encode(ordered, self._keys[secret.version], algorithm="EdDSA", headers=headers)

    def public_keys(self) -> list[dict[str, Json]]:
        """The JWK set's keys, retired ones kept: what they signed stays verifiable."""
        return [dict(key) for key in self._jwks.values()]

    def _in_use(self, at: datetime) -> Secret:
        return next(secret for secret in self._versions if secret.retired_at is None or at < secret.retired_at)


def _jwk(key: Ed25519PrivateKey) -> dict[str, Any]:
    point = _base64url(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    required = {"crv": "Ed25519", "kty": "OKP", "x": point}
    # The thumbprint of RFC 7638: the same key has the same name everywhere.
    thumbprint = sha256(json.dumps(required, separators=(",", ":"), sort_keys=True).encode()).digest()
    return {**required, "use": "sig", "alg": "EdDSA", "kid": _base64url(thumbprint)}


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
