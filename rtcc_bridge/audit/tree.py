"""The Merkle tree of RFC 9162, section 2.1: its hashes, which of them a proof holds, and how a proof is checked.

Nothing here reads or stores. A proof is told as ranges of leaves, in the order in which it lists their hashes; whoever
has the hashes of perfect subtrees (`perfect_parts`) makes the hash of any range from them (`joined`).
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()


class ProofError(ValueError):
    """The proof has not the form that it has to have for these sizes."""


class Leaves(NamedTuple):
    """The leaves from `begin` up to, and without, `end`."""

    begin: int
    end: int


class Subtree(NamedTuple):
    """The perfect subtree over the 2**level leaves from number * 2**level on."""

    level: int
    number: int


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def perfect_parts(leaves: Leaves) -> list[Subtree]:
    """The perfect subtrees that a subtree of the whole consists of, from left to right, each smaller than the last."""
    begin, end = leaves
    parts = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        parts.append(Subtree(level, begin >> level))
        begin += 1 << level
    return parts


def joined(hashes: Sequence[bytes]) -> bytes:
    """The hash over neighbouring perfect subtrees, each smaller than the one to its left; of none the empty tree's."""
    if not hashes:
        return EMPTY_ROOT
    result = hashes[-1]
    for left in reversed(hashes[:-1]):
        result = node_hash(left, result)
    return result


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """The root over 2**n hashes of one level."""
    level = list(hashes)
    while len(level) > 1:
        level = [node_hash(level[at], level[at + 1]) for at in range(0, len(level), 2)]
    return level[0]


def inclusion_ranges(index: int, size: int) -> list[Leaves]:
    """What the proof that leaf `index` is in the tree of this size lists (section 2.1.3.1), the nearest first."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    begin, end = 0, size
    siblings = []
    while end - begin > 1:
        middle = begin + _left_size(end - begin)
        if index < middle:
            siblings.append(Leaves(middle, end))
            end = middle
        else:
            siblings.append(Leaves(begin, middle))
            begin = middle
    return siblings[::-1]


def consistency_ranges(older: int, newer: int) -> list[Leaves]:
    """What the proof that the tree of the older size is the beginning of the newer one lists (section 2.1.4.1)."""
    if not 0 < older <= newer:
        raise ValueError(f"no tree of {older} leaves is proved to begin one of {newer}")
    begin, end = 0, newer
    ranges = []
    while older != end:
        middle = begin + _left_size(end - begin)
        if older <= middle:
            ranges.append(Leaves(middle, end))
            end = middle
        else:
            ranges.append(Leaves(begin, middle))
            begin = middle
    if begin:  # the older tree as a whole is known to whoever asks
        ranges.append(Leaves(begin, end))
    return ranges[::-1]


def root_from_inclusion(leaf: bytes, index: int, size: int, proof: Iterable[bytes]) -> bytes:
    """The root that the tree has if the proof is true (section 2.1.3.2). Raises ProofError."""
    if not 0 <= index < size:
        raise ProofError(f"a tree of {size} leaves has no leaf {index}")
    path = _Path(index, size - 1)
    root = leaf
    for other in proof:
        root = node_hash(other, root) if path.has_left_sibling() else node_hash(root, other)
        path.rise()
    path.require_top()
    return root


def roots_from_consistency(older: int, older_root: bytes, newer: int, proof: Sequence[bytes]) -> tuple[bytes, bytes]:
    """The roots of both trees if the proof is true (section 2.1.4.2). Raises ProofError."""
    if not 0 < older <= newer:
        raise ProofError(f"no tree of {older} leaves begins one of {newer}")
    if older == newer:
        if proof:
            raise ProofError("a tree needs no proof that it is itself")
        return older_root, older_root
    hashes = list(proof) if older & (older - 1) else [older_root, *proof]
    if not hashes:
        raise ProofError("the proof is empty")
    path = _Path(older - 1, newer - 1)
    path.skip_right_turns()
    first = second = hashes[0]
    for other in hashes[1:]:
        if path.has_left_sibling():
            first, second = node_hash(other, first), node_hash(other, second)
        else:
            second = node_hash(second, other)
        path.rise()
    path.require_top()
    return first, second


@dataclass(slots=True)
class GrowingTree:
    """The root of a tree that grows leaf by leaf, in memory for the perfect subtrees at its edge."""

    size: int = 0
    _edge: list[bytes] = field(default_factory=list)

    def append(self, leaf: bytes) -> None:
        """leaf: its hash."""
        carry, size = leaf, self.size
        while size & 1:
            carry = node_hash(self._edge.pop(), carry)
            size >>= 1
        self._edge.append(carry)
        self.size += 1

    def root(self) -> bytes:
        return joined(self._edge)


@dataclass(slots=True)
class _Path:
    """The way from a node up to the root: its number and that of the last node in its level (`fn` and `sn`)."""

    node: int
    last: int

    def has_left_sibling(self) -> bool:
        """Raises ProofError when this is the root already. The last node of a level may rise without a sibling."""
        if not self.last:
            raise ProofError("the proof is too long")
        if not (self.node & 1 or self.node == self.last):
            return False
        while self.node and not self.node & 1:
            self.rise()
        return True

    def skip_right_turns(self) -> None:
        while self.node & 1:
            self.rise()

    def rise(self) -> None:
        self.node >>= 1
        self.last >>= 1

    def require_top(self) -> None:
        if self.last:
            raise ProofError("the proof is too short")


def _left_size(size: int) -> int:
    """The largest power of two that is smaller than `size`."""
    return 1 << ((size - 1).bit_length() - 1)
