"""What another implementation of RFC 9162 and of C2SP's notes says of our proofs and checkpoints.

It needs Python 3.12; on 3.11 the published vectors of `test_merkle.py` stand for it.
"""

from hashlib import sha256

import pytest

from consent_proxy.adapters.checkpoints import CheckpointSigner
from consent_proxy.adapters.secrets import Keyring, SecretName, new_secret
from consent_proxy.domain import merkle

tlog = pytest.importorskip("aics_tlog", reason="needs Python 3.12")

ENTRIES = [str(number).encode() for number in range(70)]
LEAVES = [sha256(b"\0" + entry).digest() for entry in ENTRIES]
NODES = {(0, index): leaf for index, leaf in enumerate(LEAVES)} | dict(merkle.grow(0, [], LEAVES).nodes)


def root(size: int) -> bytes:
    return merkle.root(size, NODES)


def test_it_accepts_every_inclusion_proof() -> None:
    for size in range(1, len(LEAVES) + 1):
        assert root(size) == tlog.MerkleTree(ENTRIES[:size]).root()
        for index in range(size):
            proof = merkle.hashes(merkle.inclusion_path(index, size), NODES)
            assert tlog.verify_inclusion(LEAVES[index], index, size, proof, root(size))
            assert not tlog.verify_inclusion(LEAVES[index], index, size, [*proof, root(1)], root(size))


def test_it_accepts_every_consistency_proof() -> None:
    for second in range(1, len(LEAVES) + 1):
        for first in range(second + 1):
            proof = merkle.hashes(merkle.consistency_path(first, second), NODES)
            assert tlog.verify_consistency(first, second, root(first), root(second), proof)


def test_it_accepts_a_checkpoint_and_its_key() -> None:
    signer = CheckpointSigner(Keyring([new_secret(name) for name in SecretName]))
    signed = signer.sign(size=42, root=root(42))
    key = tlog.parse_vkey(signed.key)
    note = tlog.parse_note(signed.note)
    assert tlog.verify_note(note, [key])
    found = tlog.parse_checkpoint(note.text)
    assert (found.origin, found.size, found.root) == (signer.origin, 42, root(42))
    forged = tlog.parse_note(signed.note.replace("\n42\n", "\n43\n"))
    assert not tlog.verify_note(forged, [key])
