"""Checkpoints: the log's size and root, signed in the form of C2SP's tlog-checkpoint and signed-note.

Any witness or monitor that speaks those forms can keep and cosign them. The name of the log (its origin) comes from
its first key, so that it stays the same whatever is configured and whichever key signs today.
"""

from base64 import b64encode
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from consent_proxy.adapters.secrets import Keyring, Secret, SecretName

#: How signed-note names Ed25519.
_ED25519 = b"\x01"
_ID_BYTES = 4
_ORIGIN_DIGITS = 16


class CheckpointSigner:
    """Signs with the newest key in use; the retired ones stay listed, since what they signed is still out there."""

    def __init__(self, keyring: Keyring) -> None:
        oldest_first = tuple(reversed(keyring.versions(SecretName.CHECKPOINT_SIGNING)))
        self._key = _private(keyring.current(SecretName.CHECKPOINT_SIGNING))
        publics = {secret.version: _public(_private(secret)) for secret in oldest_first}
        self.origin = f"consent-proxy/{sha256(publics[oldest_first[0].version]).hexdigest()[:_ORIGIN_DIGITS]}"
        self.keys = tuple(verifier_key(self.origin, publics[secret.version]) for secret in oldest_first)

    def __repr__(self) -> str:
        return f"CheckpointSigner({self.origin})"

    def sign(self, *, size: int, root: bytes) -> str:
        """The checkpoint of a tree; the same bytes each time it is asked for."""
        text = f"{self.origin}\n{size}\n{b64encode(root).decode()}\n"
        signature = _key_id(self.origin, _public(self._key)) + self._key.sign(text.encode())
        return f"{text}\n\u2014 {self.origin} {b64encode(signature).decode()}\n"


def verifier_key(name: str, public: bytes) -> str:
    """A public key as signed-note hands it out: name, id and key, joined by `+`."""
    return f"{name}+{_key_id(name, public).hex()}+{b64encode(_ED25519 + public).decode()}"


def _key_id(name: str, public: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:_ID_BYTES]


def _private(secret: Secret) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(secret.value)


def _public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
