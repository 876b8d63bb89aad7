"""The tree cut into tiles, as C2SP tlog-tiles cuts it: 256 neighbouring hashes of every eighth level.

A tile of level 0 holds the hashes of leaves, one of level n the roots of the full tiles of level n - 1. So appending
touches the tiles at the edge alone, and every hash that a proof needs comes out of one tile.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from rtcc_bridge.audit.tree import HASH_BYTES, Leaves, Subtree, joined, perfect_parts, perfect_root

HEIGHT: Final = 8
WIDTH: Final = 1 << HEIGHT
_FULL_BYTES: Final = WIDTH * HASH_BYTES


class TileId(NamedTuple):
    """Which tile: `number` counts within its level."""

    level: int
    number: int


Tiles = Mapping[TileId, bytes]
"""Hashes by tile, one behind another; a tile at the edge is not full."""


def edge_tiles(size: int) -> list[TileId]:
    """The tiles at the edge of a tree of this size that are not full."""
    found = []
    level = 0
    while count := size >> (HEIGHT * level):
        if count % WIDTH:
            found.append(TileId(level, count // WIDTH))
        level += 1
    return found


def appended(size: int, edge: Tiles, leaves: Sequence[bytes]) -> dict[TileId, bytes]:
    """The tiles that are new or fuller when these leaves' hashes are appended to a tree of `size` leaves.

    edge: those that `edge_tiles` names.
    """
    changed: dict[TileId, bytes] = {}
    level, count, rising = 0, size, list(leaves)
    while rising:
        number, width = divmod(count, WIDTH)
        held = edge[TileId(level, number)][: width * HASH_BYTES] if width else b""
        hashes = held + b"".join(rising)
        rising = []
        for start in range(0, len(hashes), _FULL_BYTES):
            tile = hashes[start : start + _FULL_BYTES]
            changed[TileId(level, number)] = tile
            if len(tile) == _FULL_BYTES:
                rising.append(perfect_root(hashes_of(tile)))
            number += 1
        level, count = level + 1, count >> HEIGHT
    return changed


def needed_tiles(ranges: Iterable[Leaves]) -> set[TileId]:
    """The tiles from which `range_hash` makes the hashes of these ranges."""
    return {_place(part)[0] for leaves in ranges for part in perfect_parts(leaves)}


def range_hash(tiles: Tiles, leaves: Leaves) -> bytes:
    """The hash of the subtree over these leaves. Raises KeyError for a tile that is missing."""
    return joined([_subtree_hash(tiles, part) for part in perfect_parts(leaves)])


def hashes_of(tile: bytes) -> list[bytes]:
    return [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]


def _subtree_hash(tiles: Tiles, part: Subtree) -> bytes:
    tile, begin, count = _place(part)
    return perfect_root(hashes_of(tiles[tile][begin * HASH_BYTES : (begin + count) * HASH_BYTES]))


def _place(part: Subtree) -> tuple[TileId, int, int]:
    """The tile that holds the subtree, and which of its hashes are the subtree's: the first, and how many."""
    level, above = divmod(part.level, HEIGHT)
    number, begin = divmod(part.number << above, WIDTH)
    return TileId(level, number), begin, 1 << above
