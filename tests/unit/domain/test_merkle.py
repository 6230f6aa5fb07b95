"""The tree over the log, held to the published vectors of RFC 6962 and to the definition itself, size by size."""

from collections.abc import Sequence
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_proxy.domain import merkle
from consent_proxy.domain.merkle import Place

#: The leaves and roots that Certificate Transparency's own tests are built on.
INPUTS = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
#: (index, size, proof), indexes from nought.
INCLUSIONS = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]
CONSISTENCIES = [
    (1, 1, []),
    (
        1,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        6,
        8,
        [
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (
        2,
        5,
        [
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]


def leaf(data: bytes) -> bytes:
    return sha256(b"\0" + data).digest()


def defined_root(leaves: Sequence[bytes]) -> bytes:
    """RFC 9162 §2.1.1, word for word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\x01" + defined_root(leaves[:split]) + defined_root(leaves[split:])).digest()


def kept(leaves: Sequence[bytes]) -> dict[Place, bytes]:
    """Every node that is kept of a tree."""
    return {(0, index): one for index, one in enumerate(leaves)} | dict(merkle.grow(0, [], leaves).nodes)


LEAVES = list(map(leaf, INPUTS))
NODES = kept(LEAVES)


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_the_published_ones(size: int) -> None:
    assert merkle.grow(0, [], LEAVES[:size]).root.hex() == ROOTS[size - 1]
    assert merkle.root(size, NODES).hex() == ROOTS[size - 1]


@pytest.mark.parametrize(("index", "size", "proof"), INCLUSIONS)
def test_inclusion_proofs_are_the_published_ones(index: int, size: int, proof: list[str]) -> None:
    path = merkle.inclusion_path(index, size)
    assert [part.hex() for part in merkle.hashes(path, NODES)] == proof


@pytest.mark.parametrize(("first", "second", "proof"), CONSISTENCIES)
def test_consistency_proofs_are_the_published_ones(first: int, second: int, proof: list[str]) -> None:
    path = merkle.consistency_path(first, second)
    assert [part.hex() for part in merkle.hashes(path, NODES)] == proof


def test_an_empty_tree_has_the_root_of_nothing() -> None:
    assert merkle.grow(0, [], []).root == merkle.EMPTY_ROOT == merkle.root(0, {})


def test_every_size_has_the_root_of_the_definition() -> None:
    leaves = [leaf(str(number).encode()) for number in range(130)]
    nodes = kept(leaves)
    for size in range(len(leaves) + 1):
        assert merkle.root(size, nodes) == defined_root(leaves[:size]), size


@given(st.lists(st.integers(0, 40), max_size=6))
def test_a_tree_may_grow_in_any_steps(steps: list[int]) -> None:
    leaves = [leaf(str(number).encode()) for number in range(sum(steps))]
    nodes: dict[Place, bytes] = {}
    size = 0
    for step in steps:
        new = leaves[size : size + step]
        grown = merkle.grow(size, [nodes[place] for place in merkle.peaks(size)], new)
        nodes |= {(0, size + place): one for place, one in enumerate(new)} | dict(grown.nodes)
        size = grown.size
        assert grown.root == defined_root(leaves[:size])
    assert nodes == kept(leaves)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 4), (9, 4)])
def test_there_is_no_proof_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no such leaf"):
        merkle.inclusion_path(index, size)


def test_a_smaller_tree_does_not_begin_with_a_larger_one() -> None:
    with pytest.raises(ValueError, match="smaller"):
        merkle.consistency_path(5, 4)
    assert merkle.consistency_path(0, 4) == merkle.consistency_path(4, 4) == []
