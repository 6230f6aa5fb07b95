"""The tree over the log's rows (RFC 9162 §2.1): how it grows, its root at any size, and which nodes a proof takes.

A node stands at ``(level, index)`` and covers the leaves from ``index << level`` to before ``(index + 1) << level``;
leaves are level 0. Only nodes whose leaves are all there are ever kept, so no kept node changes. Whatever else a root
or a proof needs is put together from kept ones, some forty of them in a tree of a million leaves.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

Place = tuple[int, int]
#: Leaves from the first to before the second number.
Range = tuple[int, int]

EMPTY_ROOT = sha256(b"").digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """A tree after new leaves: its size, its root, and the nodes above the leaves that have become complete."""

    size: int
    root: bytes
    nodes: Mapping[Place, bytes]


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node (RFC 9162 §2.1.1); the first byte keeps it apart from that of any leaf."""
    return sha256(b"\x01" + left + right).digest()


def peaks(size: int) -> list[Place]:
    """The complete subtrees that a tree of a size is made of, from left to right."""
    return _complete((0, size))


def grow(size: int, peak_hashes: Iterable[bytes], leaves: Iterable[bytes]) -> Grown:
    """Add leaf hashes to a tree of which the size and the hashes at its ``peaks`` are known."""
    stack = list(peak_hashes)
    nodes: dict[Place, bytes] = {}
    for leaf in leaves:
        level, index, current = 0, size, leaf
        while index & 1:
            current = node_hash(stack.pop(), current)
            level, index = level + 1, index >> 1
            nodes[level, index] = current
        stack.append(current)
        size += 1
    return Grown(size=size, root=_fold(stack), nodes=nodes)


def inclusion_path(index: int, size: int) -> list[Range]:
    """What has to be hashed together with a leaf to get the root of a tree of a size, from the leaf upwards.

    Raises ``ValueError`` where the tree has no such leaf.
    """
    if not 0 <= index < size:
        raise ValueError("the tree has no such leaf")
    start, end, path = 0, size, []
    while end - start > 1:
        split = start + _half(end - start)
        if index < split:
            path.append((split, end))
            end = split
        else:
            path.append((start, split))
            start = split
    return path[::-1]


def consistency_path(first: int, second: int) -> list[Range]:
    """What shows that a tree of the second size begins with all of the tree of the first (RFC 9162 §2.1.4.1).

    Raises ``ValueError`` where the first is the larger. Every tree begins with the empty one: nothing shows that.
    """
    if not 0 <= first <= second:
        raise ValueError("the first size has to be the smaller one")
    if first == 0:
        return []
    start, end, path = 0, second, []
    while end != first:
        split = start + _half(end - start)
        if first <= split:
            path.append((split, end))
            end = split
        else:
            path.append((start, split))
            start = split
    if start > 0:  # else it is the first root itself, which whoever checks has in hand
        path.append((start, end))
    return path[::-1]


def places(path: Iterable[Range]) -> list[Place]:
    """The kept nodes that a path is put together from."""
    return [place for part in path for place in _complete(part)]


def hashes(path: Iterable[Range], nodes: Mapping[Place, bytes]) -> list[bytes]:
    """The proof of a path, given the hashes at its ``places``. Raises ``KeyError`` where one is missing."""
    return [_fold([nodes[place] for place in _complete(part)]) for part in path]


def root(size: int, nodes: Mapping[Place, bytes]) -> bytes:
    """The root of a tree of a size, given the hashes at its ``peaks``. Raises ``KeyError`` where one is missing."""
    return _fold([nodes[place] for place in peaks(size)])


def _complete(part: Range) -> list[Place]:
    """The complete subtrees of a range that begins where a subtree of at least its length does, the largest first."""
    start, end = part
    found = []
    while start < end:
        level = (end - start).bit_length() - 1
        found.append((level, start >> level))
        start += 1 << level
    return found


def _half(length: int) -> int:
    """The largest power of two below a length of two or more: where RFC 9162 splits a tree."""
    return 1 << (length - 1).bit_length() - 1


def _fold(parts: Sequence[bytes]) -> bytes:
    if not parts:
        return EMPTY_ROOT
    folded = parts[-1]
    for part in reversed(parts[:-1]):
        folded = node_hash(part, folded)
    return folded
