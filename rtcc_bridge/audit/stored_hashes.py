"""Hashes of the tree out of the tiles that the database holds."""

from collections.abc import Collection, Sequence

from rtcc_bridge.audit.tiles import HEIGHT, WIDTH, TileId, edge_tiles, needed_tiles, range_hash
from rtcc_bridge.audit.tree import HASH_BYTES, Leaves
from rtcc_bridge.errors import IntegrityError
from rtcc_bridge.storage import audit_tree
from rtcc_bridge.storage.engine import Transaction


async def hashes_of_ranges(tx: Transaction, ranges: Sequence[Leaves]) -> list[bytes]:
    """The hashes of the subtrees over these leaves. Raises IntegrityError when the tree is damaged."""
    found = await _read(tx, needed_tiles(ranges))
    try:
        return [range_hash(found, leaves) for leaves in ranges]
    except IndexError as error:
        raise _damaged("a tile is cut off") from error


async def edge_of(tx: Transaction, size: int) -> dict[TileId, bytes]:
    """The tiles to which the next leaf of a tree of this size is appended. Raises IntegrityError as above."""
    found = await _read(tx, edge_tiles(size))
    for tile, hashes in found.items():
        if len(hashes) < (size >> (HEIGHT * tile.level)) % WIDTH * HASH_BYTES:
            raise _damaged("a tile is cut off")
    return found


async def leaf_hashes(tx: Transaction, number: int) -> bytes:
    """The hashes of the leaves of one tile, from number * 256 on. Raises IntegrityError as above."""
    tile = TileId(0, number)
    return (await _read(tx, [tile]))[tile]


async def _read(tx: Transaction, wanted: Collection[TileId]) -> dict[TileId, bytes]:
    found = {TileId(*name): hashes for name, hashes in (await audit_tree.tiles(tx, wanted)).items()}
    if missing := set(wanted) - found.keys():
        raise _damaged(f"{len(missing)} tiles are gone")
    return found


def _damaged(cause: str) -> IntegrityError:
    return IntegrityError(f"the tree of the audit log is damaged ({cause}): restore the database from a backup")
