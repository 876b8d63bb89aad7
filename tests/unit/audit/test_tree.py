"""The tree against the definitions of RFC 9162 written down as they stand, and against roots that others published."""

from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcc_bridge.audit.tiles import TileId, appended, edge_tiles, needed_tiles, range_hash
from rtcc_bridge.audit.tree import (
    EMPTY_ROOT,
    GrowingTree,
    Leaves,
    ProofError,
    consistency_ranges,
    inclusion_ranges,
    leaf_hash,
    node_hash,
    root_from_inclusion,
    roots_from_consistency,
)

LEAVES: Final = (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)  # fmt: skip
"""The leaves that implementations of Certificate Transparency have tested each other with since RFC 6962."""
ROOTS: Final = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
EMPTY: Final = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

SOME: Final = [leaf_hash(str(number).encode()) for number in range(1200)]
SIZES: Final = st.integers(1, len(SOME))


def root_of(hashes: list[bytes]) -> bytes:
    """MTH of section 2.1.1."""
    if not hashes:
        return EMPTY_ROOT
    if len(hashes) == 1:
        return hashes[0]
    left = 1
    while 2 * left < len(hashes):
        left *= 2
    return node_hash(root_of(hashes[:left]), root_of(hashes[left:]))


def path_to(index: int, hashes: list[bytes]) -> list[bytes]:
    """PATH of section 2.1.3.1."""
    if len(hashes) == 1:
        return []
    left = 1
    while 2 * left < len(hashes):
        left *= 2
    if index < left:
        return [*path_to(index, hashes[:left]), root_of(hashes[left:])]
    return [*path_to(index - left, hashes[left:]), root_of(hashes[:left])]


def subproof(older: int, hashes: list[bytes], *, whole: bool) -> list[bytes]:
    """SUBPROOF of section 2.1.4.1."""
    if older == len(hashes):
        return [] if whole else [root_of(hashes)]
    left = 1
    while 2 * left < len(hashes):
        left *= 2
    if older <= left:
        return [*subproof(older, hashes[:left], whole=whole), root_of(hashes[left:])]
    return [*subproof(older - left, hashes[left:], whole=False), root_of(hashes[:left])]


def hash_of(leaves: Leaves) -> bytes:
    return root_of(SOME[leaves.begin : leaves.end])


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    assert GrowingTree().root().hex() == EMPTY


@pytest.mark.parametrize("size", range(1, len(LEAVES) + 1))
def test_the_published_roots_come_out(size: int) -> None:
    tree = GrowingTree()
    for leaf in LEAVES[:size]:
        tree.append(leaf_hash(bytes.fromhex(leaf)))
    assert tree.root().hex() == ROOTS[size - 1]


@settings(max_examples=60, deadline=None)
@given(SIZES)
def test_a_tree_that_grew_has_the_root_of_the_definition(size: int) -> None:
    tree = GrowingTree()
    for leaf in SOME[:size]:
        tree.append(leaf)
    assert tree.root() == root_of(SOME[:size])


@settings(max_examples=60, deadline=None)
@given(SIZES, st.data())
def test_an_inclusion_proof_is_that_of_the_definition_and_leads_to_the_root(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = [hash_of(leaves) for leaves in inclusion_ranges(index, size)]
    assert proof == path_to(index, SOME[:size])
    assert root_from_inclusion(SOME[index], index, size, proof) == root_of(SOME[:size])


@settings(max_examples=60, deadline=None)
@given(SIZES, st.data())
def test_a_consistency_proof_is_that_of_the_definition_and_leads_to_both_roots(size: int, data: st.DataObject) -> None:
    older = data.draw(st.integers(1, size))
    proof = [hash_of(leaves) for leaves in consistency_ranges(older, size)]
    assert proof == subproof(older, SOME[:size], whole=True)
    older_root = root_of(SOME[:older])
    assert roots_from_consistency(older, older_root, size, proof) == (older_root, root_of(SOME[:size]))


@settings(max_examples=60, deadline=None)
@given(st.integers(2, len(SOME)), st.data())
def test_no_other_proof_leads_to_the_root(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = [hash_of(leaves) for leaves in inclusion_ranges(index, size)]
    spoiled = data.draw(st.sampled_from(["flipped", "shorter", "longer", "of another leaf"]))
    at = data.draw(st.integers(0, len(proof) - 1))
    others = {
        "flipped": [*proof[:at], node_hash(proof[at], proof[at]), *proof[at + 1 :]],
        "shorter": proof[:at] + proof[at + 1 :],
        "longer": [*proof, proof[at]],
    }
    leaf = SOME[index] if spoiled in others else leaf_hash(b"another")
    try:
        root = root_from_inclusion(leaf, index, size, others.get(spoiled, proof))
    except ProofError:
        return
    assert root != root_of(SOME[:size])


@settings(max_examples=60, deadline=None)
@given(st.integers(3, len(SOME)), st.data())
def test_no_other_tree_is_proved_to_be_continued(size: int, data: st.DataObject) -> None:
    older = data.draw(st.integers(1, size - 1))
    proof = [hash_of(leaves) for leaves in consistency_ranges(older, size)]
    rewritten = [leaf_hash(b"another"), *SOME[1:older]]
    other = root_of(rewritten)
    assert roots_from_consistency(older, other, size, proof) != (other, root_of(SOME[:size]))


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 4)])
def test_a_leaf_that_is_not_there_has_no_proof(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_ranges(index, size)
    with pytest.raises(ProofError):
        root_from_inclusion(SOME[0], index, size, [])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 700), min_size=1, max_size=6), st.data())
def test_tiles_hold_what_every_root_and_proof_needs(batches: list[int], data: st.DataObject) -> None:
    tiles: dict[TileId, bytes] = {}
    size = 0
    for batch in batches:
        leaves = SOME[size : size + batch]
        tiles |= appended(size, {tile: tiles[tile] for tile in edge_tiles(size)}, leaves)
        size += len(leaves)
    older = data.draw(st.integers(1, size))
    index = data.draw(st.integers(0, older - 1))
    assert range_hash(tiles, Leaves(0, older)) == root_of(SOME[:older])
    ranges = inclusion_ranges(index, older) + consistency_ranges(older, size)
    assert needed_tiles(ranges) <= tiles.keys()
    assert [range_hash(tiles, leaves) for leaves in ranges] == [hash_of(leaves) for leaves in ranges]


def test_tiles_of_three_levels_hold_a_large_tree() -> None:
    leaves = [leaf_hash(number.to_bytes(4, "big")) for number in range(66_000)]
    tiles = appended(0, {}, leaves[:65_500])
    tiles |= appended(65_500, {tile: tiles[tile] for tile in edge_tiles(65_500)}, leaves[65_500:])
    assert max(tile.level for tile in tiles) == 2
    tree = GrowingTree()
    for leaf in leaves:
        tree.append(leaf)
    assert range_hash(tiles, Leaves(0, 66_000)) == tree.root()
    proof = [range_hash(tiles, one) for one in inclusion_ranges(65_999, 66_000)]
    assert root_from_inclusion(leaves[65_999], 65_999, 66_000, proof) == tree.root()
    assert len(needed_tiles(inclusion_ranges(40_000, 66_000))) <= 6
