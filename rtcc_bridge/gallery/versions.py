"""A gallery as an earlier version had it, as far as that is still there.

A version is a number in the rows, and what was removed since has lost its template for ever (decision 7). So an earlier
version is what is searched now without what was added later, and the number of rows that it had and that are gone.
"""

from dataclasses import dataclass

import numpy as np

from rtcc_bridge.errors import NotFoundError, UnavailableError
from rtcc_bridge.matching.snapshot import GallerySnapshot
from rtcc_bridge.storage import galleries, gallery_upkeep
from rtcc_bridge.storage.engine import Database


@dataclass(frozen=True, slots=True, eq=False)
class PastVersion:
    """removed_since: images that the version searched and that nobody can search any more."""

    snapshot: GallerySnapshot
    removed_since: int


async def past_version(database: Database, current: GallerySnapshot, version: int) -> PastVersion:
    """An earlier version out of the present one, which has to be the gallery's head.

    Raises NotFoundError when the gallery never had that version, UnavailableError when it has moved on meanwhile.
    """
    if not 1 <= version <= current.version:
        raise NotFoundError(f"gallery {current.name} has versions 1 to {current.version}, and no version {version}")
    async with database.snapshot() as tx:
        head = await galleries.find(tx, current.name)
        if head is None or head.version != current.version:
            raise UnavailableError(f"gallery {current.name} changed at this moment: try again")
        later = await gallery_upkeep.added_after(tx, current.name, version)
        removed = await gallery_upkeep.removed_since(tx, current.name, version)
    return PastVersion(current.without(version, np.array(later, np.int64)), removed)
