"""Checkpoints: the log's size and root, signed in the form of C2SP's tlog-checkpoint and signed-note.

Any witness or monitor that speaks those forms can keep and cosign them. The name of the log (its origin) comes from
its first key, so that it stays the same whatever is configured and whichever key signs today.
"""

from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from consent_proxy.adapters.secrets import Keyring, Secret, SecretName

#: How signed-note names Ed25519.
_ED25519 = b"\x01"
_ID_BYTES = 4
_ORIGIN_DIGITS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedCheckpoint:
    """A checkpoint as a signed note, and the key it is verified with, in signed-note's form."""

    note: str
    key: str


class CheckpointSigner:
    """Signs with the newest key in use, under the name that the first key gave the log."""

    def __init__(self, keyring: Keyring) -> None:
        first = keyring.versions(SecretName.CHECKPOINT_SIGNING)[-1]
        self.origin = f"consent-proxy/{sha256(_public(_private(first))).hexdigest()[:_ORIGIN_DIGITS]}"
        self._private = _private(keyring.current(SecretName.CHECKPOINT_SIGNING))
        public = _public(self._private)
        self._key_id = _key_id(self.origin, public)
        self.key = f"{self.origin}+{self._key_id.hex()}+{b64encode(_ED25519 + public).decode()}"

    def __repr__(self) -> str:
        return f"CheckpointSigner({self.key})"

    def sign(self, *, size: int, root: bytes) -> SignedCheckpoint:
        """The checkpoint of a tree; the same bytes each time it is asked for."""
        text = f"{self.origin}\n{size}\n{b64encode(root).decode()}\n"
        signature = b64encode(self._key_id + self._private.sign(text.encode())).decode()
        return SignedCheckpoint(note=f"{text}\n\u2014 {self.origin} {signature}\n", key=self.key)


def _key_id(name: str, public: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:_ID_BYTES]


def _private(secret: Secret) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(secret.value)


def _public(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
