"""What a gallery holds, in figures."""

from collections.abc import Sequence
from dataclasses import dataclass

from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import NotFoundError
from rtcc_bridge.storage import galleries
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.galleries import GalleryCounts, GalleryRecord


@dataclass(frozen=True, slots=True)
class GalleryStats:
    """A gallery and its counts at one moment."""

    gallery: GalleryRecord
    counts: GalleryCounts


async def gallery_stats(database: Database, clock: Clock, name: str) -> GalleryStats:
    """Counts one gallery; reads all its rows. Raises NotFoundError, UnavailableError."""
    async with database.read() as tx:
        gallery = await galleries.find(tx, name)
        if gallery is None:
            raise NotFoundError(f"there is no gallery {name}: `rtcc-bridge gallery enroll` makes one")
        return GalleryStats(gallery, await galleries.counts(tx, name, now=clock.now()))


async def every_gallery(database: Database) -> Sequence[GalleryRecord]:
    """All galleries by name, uncounted."""
    async with database.read() as tx:
        return await galleries.every(tx)
