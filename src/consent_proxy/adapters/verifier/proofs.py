"""From leaves to a signed root: the tree and its proofs (RFC 9162 §2.1), checkpoints as C2SP writes them."""

from base64 import b64decode
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class Wrong(Exception):
    """Something that does not hold; the message says what, and in which row."""


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 9162 §2.1.1."""
    return sha256(b"\x01" + left + right).digest()


@dataclass
class Tree:
    """A tree that grows leaf by leaf; of the past it keeps the roots of its complete subtrees only."""

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)

    def add(self, leaf: bytes) -> None:
        """Add a leaf hash: each 1 at the end of the size is a subtree that it completes."""
        size = self.size
        while size & 1:
            leaf, size = node_hash(self.peaks.pop(), leaf), size >> 1
        self.peaks.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The root of what was added so far."""
        if not self.peaks:
            return sha256(b"").digest()
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root


def root_with(leaf: bytes, *, index: int, size: int, proof: list[bytes]) -> bytes:
    """The root of a tree that has the leaf in that place, as its inclusion proof says. Raises ``Wrong``."""
    if not 0 <= index < size or (size == 1) != (not proof):
        raise Wrong("the inclusion proof is of another place or size")
    if size == 1:
        return leaf
    half = 1 << (size - 1).bit_length() - 1  # where RFC 9162 splits a tree: the largest power of two below its size
    if index < half:
        return node_hash(root_with(leaf, index=index, size=half, proof=proof[:-1]), proof[-1])
    return node_hash(proof[-1], root_with(leaf, index=index - half, size=size - half, proof=proof[:-1]))


def roots_with(first_root: bytes | None, *, first: int, second: int, proof: list[bytes]) -> tuple[bytes, bytes]:
    """The roots of the tree of the first size and of the second that begins with it, as their consistency proof says.

    ``first_root`` is known for as long as the first tree is a subtree of the second. Raises ``Wrong``.
    """
    expected = len(proof) > 0 if first < second else len(proof) == (first_root is None)
    if not 0 < first <= second or not expected:
        raise Wrong("the consistency proof is of other sizes")
    if first == second:
        return (first_root or proof[0],) * 2
    half = 1 << (second - 1).bit_length() - 1
    if first <= half:
        old, new = roots_with(first_root, first=first, second=half, proof=proof[:-1])
        return old, node_hash(new, proof[-1])
    old, new = roots_with(None, first=first - half, second=second - half, proof=proof[:-1])
    return node_hash(proof[-1], old), node_hash(proof[-1], new)


@dataclass(frozen=True)
class Checkpoint:
    """What the log says it is at one size: C2SP's tlog-checkpoint in a signed-note."""

    origin: str
    size: int
    root: bytes

    @staticmethod
    def read(note: str, keys: Iterable[str]) -> "Checkpoint":
        """The checkpoint of a note that one of the keys (`name+id+key`) has signed. Raises ``Wrong``."""
        text, separator, signatures = note.rpartition("\n\n")
        try:
            origin, size, root = text.split("\n")[:3]
            found = Checkpoint(origin, int(size), b64decode(root, validate=True))
        except ValueError:
            raise Wrong("this is not a checkpoint") from None
        signed = f"{text}\n".encode()
        if not separator or not any(_has_signed(key, signed, signatures) for key in keys):
            raise Wrong(f"the checkpoint of size {found.size} bears no signature of a key you trust")
        return found


def _has_signed(key: str, text: bytes, signatures: str) -> bool:
    name, _, encoded = key.split("+", 2)
    public = b64decode(encoded)[1:]  # its first byte says Ed25519
    key_id = sha256(f"{name}\n".encode() + b"\x01" + public).digest()[:4]
    for line in signatures.splitlines():
        dash, _, rest = line.partition(" ")
        signer, _, signature = rest.rpartition(" ")
        if dash == "\u2014" and signer == name and (raw := b64decode(signature))[:4] == key_id:
            try:
                Ed25519PublicKey.from_public_bytes(public).verify(raw[4:], text)
            except InvalidSignature:
                continue
            return True
    return False
