"""What the auditor's file believes: proofs and signatures that are right, JSON in its one form, and nothing else."""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from consent_proxy.adapters.checkpoints import CheckpointSigner
from consent_proxy.adapters.secrets import Keyring, Secret, SecretName, new_secret
from consent_proxy.adapters.verifier.leaves import canonical, commitment, leaf_hash, parse
from consent_proxy.adapters.verifier.proofs import Checkpoint, Tree, Wrong, root_with, roots_with
from consent_proxy.domain import merkle
from tests.builders import NOW

LEAVES = [leaf_hash(str(number).encode()) for number in range(40)]
NODES = {(0, index): leaf for index, leaf in enumerate(LEAVES)} | dict(merkle.grow(0, [], LEAVES).nodes)

_scalars = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(codec="utf-8"))
_json = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=20,
)


def root(size: int) -> bytes:
    return merkle.root(size, NODES)


def inclusion(index: int, size: int) -> list[bytes]:
    return merkle.hashes(merkle.inclusion_path(index, size), NODES)


def consistency(first: int, second: int) -> list[bytes]:
    return merkle.hashes(merkle.consistency_path(first, second), NODES)


def altered(proof: Sequence[bytes]) -> list[list[bytes]]:
    """The proof with each of its parts changed, one left out, one too many."""
    changed = [[*proof[:at], sha256(part).digest(), *proof[at + 1 :]] for at, part in enumerate(proof)]
    return [*changed, [*proof[:-1]], [*proof, LEAVES[0]], [LEAVES[0], *proof]]


def holds(index: int, size: int, proof: list[bytes], *, leaf: bytes) -> bool:
    try:
        return root_with(leaf, index=index, size=size, proof=proof) == root(size)
    except Wrong:
        return False


def leads_on(first: int, second: int, proof: list[bytes]) -> bool:
    try:
        return roots_with(root(first), first=first, second=second, proof=proof) == (root(first), root(second))
    except Wrong:
        return False


def test_a_tree_that_grows_leaf_by_leaf_has_the_roots_of_ours() -> None:
    tree = Tree()
    assert tree.root() == merkle.EMPTY_ROOT
    for size, leaf in enumerate(LEAVES, start=1):
        tree.add(leaf)
        assert tree.root() == root(size)


def test_every_inclusion_proof_holds_for_its_leaf_and_no_other() -> None:
    for size in range(1, len(LEAVES) + 1):
        for index in range(size):
            proof = inclusion(index, size)
            assert holds(index, size, proof, leaf=LEAVES[index])
            assert not holds(index, size, proof, leaf=sha256(LEAVES[index]).digest())
            assert not any(holds(index, size, other, leaf=LEAVES[index]) for other in altered(proof) if other != proof)
            assert not holds(size, size, proof, leaf=LEAVES[index])


def test_every_consistency_proof_holds_for_its_sizes_and_no_others() -> None:
    for second in range(1, len(LEAVES) + 1):
        for first in range(1, second + 1):
            proof = consistency(first, second)
            assert leads_on(first, second, proof)
            assert not any(leads_on(first, second, other) for other in altered(proof) if other != proof)


@given(_json)
def test_canonical_is_what_another_implementation_of_rfc_8785_says(value: Any) -> None:
    assert canonical(value).encode() == rfc8785.dumps(value)


def test_a_fraction_counts_as_it_is_written_and_a_large_number_whole() -> None:
    assert canonical(parse('{"b":1.50,"a":123456789012345678901}')) == '{"a":123456789012345678901,"b":"1.50"}'


def test_a_commitment_moves_with_salt_kind_and_every_value() -> None:
    record = {"id": "a", "details": {"model": "m", "categories": ["prompt"]}}
    first = commitment("intent", record, salt=b"s")
    others = [
        commitment("outcome", record, salt=b"s"),
        commitment("intent", record, salt=b"t"),
        commitment("intent", {**record, "details": {"model": "m", "categories": ["photo"]}}, salt=b"s"),
        commitment("intent", {**record, "more": None}, salt=b"s"),
    ]
    assert len({first, *others}) == 5
    assert commitment("intent", dict(reversed(record.items())), salt=b"s") == first


def keyring(*versions: Secret) -> Keyring:
    others = [new_secret(name) for name in SecretName if name is not SecretName.CHECKPOINT_SIGNING]
    return Keyring([*others, *versions])


def a_signer() -> CheckpointSigner:
    return CheckpointSigner(keyring(new_secret(SecretName.CHECKPOINT_SIGNING)))


def test_a_checkpoint_is_read_back_with_its_key() -> None:
    signer = a_signer()
    note = signer.sign(size=7, root=root(7)).note
    assert note == signer.sign(size=7, root=root(7)).note, "the same each time"
    assert note.split("\n")[:4] == [signer.origin, "7", b64encode(root(7)).decode(), ""]
    assert Checkpoint.read(note, [signer.key]) == Checkpoint(signer.origin, 7, root(7))


def test_a_checkpoint_that_somebody_changed_or_another_signed_is_not_believed() -> None:
    signer = a_signer()
    note = signer.sign(size=7, root=root(7)).note
    for other in (note.replace("\n7\n", "\n8\n"), note.replace(signer.origin, "consent-proxy/other"), note[:-9], ""):
        with pytest.raises(Wrong):
            Checkpoint.read(other, [signer.key])
    with pytest.raises(Wrong, match="no signature of a key you trust"):
        Checkpoint.read(note, [a_signer().key])
    with pytest.raises(Wrong, match="no signature"):
        Checkpoint.read(note, [])


def test_a_new_key_keeps_the_name_of_the_log() -> None:
    first = new_secret(SecretName.CHECKPOINT_SIGNING)
    before = CheckpointSigner(keyring(first))
    retired = Secret(name=first.name, version=1, value=first.value, retired_at=NOW)
    after = CheckpointSigner(keyring(retired, new_secret(SecretName.CHECKPOINT_SIGNING, version=2)))
    assert after.origin == before.origin
    both = [before.key, after.key]
    assert Checkpoint.read(before.sign(size=3, root=root(3)).note, both).size == 3
    assert Checkpoint.read(after.sign(size=4, root=root(4)).note, both).size == 4
    with pytest.raises(Wrong, match="no signature"):
        Checkpoint.read(after.sign(size=4, root=root(4)).note, [before.key])


def test_a_witness_may_add_its_signature_without_harm() -> None:
    signer = a_signer()
    note = signer.sign(size=7, root=root(7)).note + f"\u2014 witness.example {b64encode(b'x' * 76).decode()}\n"
    assert Checkpoint.read(note, [signer.key]).size == 7
