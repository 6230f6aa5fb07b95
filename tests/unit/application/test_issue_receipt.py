"""Receipts: what they say, and that anyone with the published key can check them."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from consent_proxy.adapters.receipts import Ed25519ReceiptSigner
from consent_proxy.adapters.secrets import Keyring, Secret, SecretName, new_secret

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)


def _bytes(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _verified(compact: str, jwks: Sequence[Mapping[str, object]]) -> tuple[dict[str, object], dict[str, object]]:
    """Verify by hand, with nothing of the library that signed. Raises ``InvalidSignature``."""
    head, claims, signature = compact.split(".")
    header = json.loads(_bytes(head))
    key = next(key for key in jwks if key["kid"] == header["kid"])
    Ed25519PublicKey.from_public_bytes(_bytes(str(key["x"]))).verify(_bytes(signature), f"{head}.{claims}".encode())
    return header, json.loads(_bytes(claims))


def _keyring(*receipt_keys: Secret) -> Keyring:
    others = [new_secret(name) for name in SecretName if name is not SecretName.RECEIPT_SIGNING]
    return Keyring([*others, *receipt_keys])


def test_a_receipt_is_verified_with_the_published_key_alone() -> None:
    signer = Ed25519ReceiptSigner(_keyring(new_secret(SecretName.RECEIPT_SIGNING)))
    header, claims = _verified(signer.sign({"jti": str(uuid4())}, at=AT), signer.public_keys())
    assert header["alg"] == "EdDSA"
    assert header["typ"] == "consent-receipt+jwt"
    assert set(claims) == {"jti"}


def test_a_changed_receipt_is_not_verified() -> None:
    signer = Ed25519ReceiptSigner(_keyring(new_secret(SecretName.RECEIPT_SIGNING)))
    head, _, signature = signer.sign({"jti": "a"}, at=AT).split(".")
    _, other, _ = signer.sign({"jti": "b"}, at=AT).split(".")
    with pytest.raises(InvalidSignature):
        _verified(f"{head}.{other}.{signature}", signer.public_keys())


def test_a_receipt_of_a_retired_key_stays_the_same_and_verifiable() -> None:
    first = new_secret(SecretName.RECEIPT_SIGNING)
    before = Ed25519ReceiptSigner(_keyring(first)).sign({"jti": "a"}, at=AT)
    retired = Secret(name=first.name, version=1, value=first.value, retired_at=datetime(2026, 12, 1, tzinfo=UTC))
    rotated = Ed25519ReceiptSigner(_keyring(retired, new_secret(SecretName.RECEIPT_SIGNING, version=2)))
    assert rotated.sign({"jti": "a"}, at=AT) == before
    header, _ = _verified(before, rotated.public_keys())
    later, _ = _verified(rotated.sign({"jti": "a"}, at=datetime(2027, 1, 1, tzinfo=UTC)), rotated.public_keys())
    assert header["kid"] != later["kid"]


def test_the_published_keys_hold_no_private_part() -> None:
    signer = Ed25519ReceiptSigner(_keyring(new_secret(SecretName.RECEIPT_SIGNING)))
    assert set(signer.public_keys()[0]) == {"kty", "crv", "x", "use", "alg", "kid"}
