"""Takes the templates of removed images out of the sealed segments: the second half of an expungement (P25).

A segment is written anew with zeros in the removed rows, so that no other row moves, and the old object's key is
destroyed in the transaction that puts the new one in its place. A zero row can never pass for a template: whoever loads
the gallery refuses one that a living image points to.

When no template of a removal lies anywhere any more, the audit log says so: the second receipt.

A matcher does it, beside its searches: it has the key of templates. What is large is done in threads, a segment at a
time.
"""

import asyncio
from collections.abc import Sequence
from typing import Final, NoReturn

import numpy as np
import structlog

from rtcc_bridge.audit.entries import SYSTEM, AuditLog
from rtcc_bridge.clock import Clock
from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.errors import ConflictError, IntegrityError, NotFoundError
from rtcc_bridge.gallery.segments import OBJECT_KIND, SegmentHeader, SegmentPlaces, encode_segment
from rtcc_bridge.matching.stored_templates import TemplateRoom
from rtcc_bridge.periodic import periodically
from rtcc_bridge.storage import galleries, gallery_upkeep
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.galleries import GalleryRecord, SegmentRecord
from rtcc_bridge.storage.locks import UNCONTESTED, SoleRight, Work, alone
from rtcc_bridge.storage.objects import ObjectVault, SealedObject

_EVERY_SECONDS: Final = 60.0

_log = structlog.get_logger(__name__)


class SegmentScrubber:
    """Rewrites segments. Running it again, or twice at once, does no harm."""

    def __init__(self, database: Database, vault: ObjectVault, audit: AuditLog, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._audit = audit
        self._clock = clock

    async def run(self) -> NoReturn:
        """Finishes what expungements had to leave, at the start and every minute, until cancelled.

        An outage is left to the next time. What stays for longer is seen in the metric (`gallery.segment_watch`).
        """
        await periodically("scrubbing expunged templates", self._look, every_seconds=_EVERY_SECONDS)

    async def _look(self) -> None:
        await alone(self._database, Work.SEGMENT_SCRUBBER, self.scrub_all)

    async def scrub_all(self, right: SoleRight = UNCONTESTED) -> int:
        """Scrubs every gallery; returns how many segments. Raises as `scrub` does."""
        return sum([await self.scrub(name, right) for name in await self._galleries()])

    async def scrub(self, gallery: str, right: SoleRight = UNCONTESTED) -> int:
        """Scrubs every segment of the gallery that still holds a removed template; returns how many. Commits each.

        A segment that is damaged or missing is logged and left: matchers refuse it, and the others do not wait for it.
        Raises UnavailableError when database or object store do not answer, or the right is lost. What is left is tried
        by the next call.
        """
        async with self._database.read() as tx:
            record = await galleries.find(tx, gallery)
            waiting = await galleries.segments_to_scrub(tx, gallery)
        if record is None:
            raise NotFoundError(f"there is no gallery {gallery}")
        done = 0
        for segment in waiting:
            await right.confirm()
            try:
                done += await self._scrub(record, segment)
            except IntegrityError as error:
                _log.error("a segment to be scrubbed is damaged", segment=segment.segment_id, error=str(error))
            except NotFoundError as error:
                if await self._is_still(segment):
                    _log.warning("a segment to be scrubbed is missing", segment=segment.segment_id, error=str(error))
        await self._settle(gallery)
        return done

    async def rewrite(self, segment: SegmentRecord) -> bool:
        """Seals a segment anew under another key, without the removed templates, and destroys the old one. Commits.

        False when another process did it meanwhile. Raises IntegrityError when it is damaged, NotFoundError when it is
        missing, UnavailableError.
        """
        async with self._database.read() as tx:
            record = await galleries.find(tx, segment.gallery)
        if record is None:
            raise NotFoundError(f"there is no gallery {segment.gallery}")
        return await self._scrub(record, segment)

    async def _settle(self, gallery: str) -> None:
        """The second receipt of each removal whose templates are gone from every segment (P25). Commits."""
        async with self._database.read() as tx:
            if not await gallery_upkeep.unsettled_removals(tx, gallery):
                return
        now = self._clock.now()
        async with self._database.write() as tx:
            for removal in await gallery_upkeep.settle_removals(tx, gallery, at=now):
                await self._audit.append(
                    tx,
                    actor=SYSTEM,
                    action="gallery.bytes_gone",
                    subject=f"gallery/{gallery}",
                    outcome="bytes_gone",
                    authority={},
                    details={
                        "version": removal.version,
                        "removedAt": rfc3339(removal.removed_at),
                        "seconds": round((now - removal.removed_at).total_seconds()),
                    },
                )

    async def _galleries(self) -> list[str]:
        async with self._database.read() as tx:
            return [record.name for record in await galleries.every(tx)]

    async def _is_still(self, segment: SegmentRecord) -> bool:
        """Whether the segment still waits where it lay. If not, another process scrubbed it between the two reads."""
        async with self._database.read() as tx:
            waiting = await galleries.segments_to_scrub(tx, segment.gallery)
        return segment.object_key in {one.object_key for one in waiting}

    async def _scrub(self, gallery: GalleryRecord, segment: SegmentRecord) -> bool:
        async with self._database.read() as tx:
            head = await galleries.find(tx, gallery.name)
            assert head is not None
            removed = await galleries.removed_rows(tx, segment.segment_id, up_to=head.version)
            wrapped = await self._vault.key_of(tx, segment.object_key)
        header = SegmentHeader(
            gallery.name, segment.segment_id, gallery.template_hash, segment.rows, gallery.template_length
        )
        room = TemplateRoom.of(segment.rows, gallery.template_length)
        places = SegmentPlaces(header, room, wrapped.size_bytes)
        await self._vault.unseal_into(segment.object_key, wrapped, places.in_order)
        places.settle()
        content = await asyncio.to_thread(_content_without, removed, header, room)
        sealed = await self._vault.seal(OBJECT_KIND, content)
        try:
            await self._replace(segment, sealed, head.version, len(removed))
        except ConflictError:
            await self._vault.discard(sealed)
            return False
        await self._vault.delete(segment.object_key)
        return True

    async def _replace(self, segment: SegmentRecord, sealed: SealedObject, version: int, removed: int) -> None:
        """Raises ConflictError when somebody else replaced the object meanwhile."""
        async with self._database.write() as tx:
            if not await galleries.replace_segment_object(
                tx, segment, object_key=sealed.object_key, scrubbed_version=version
            ):
                raise ConflictError(f"segment {segment.segment_id} was rewritten by another process")
            await self._vault.record(tx, sealed)
            await self._vault.destroy(tx, segment.object_key)
            await self._audit.append(
                tx,
                actor=SYSTEM,
                action="gallery.scrubbed",
                subject=f"gallery/{segment.gallery}",
                outcome="bytes_gone",
                authority={},
                details={
                    "segmentId": segment.segment_id,
                    "segmentSha256": sealed.sha256,
                    "upToVersion": version,
                    "rowsWithoutTemplate": removed,
                },
            )


def _content_without(removed: Sequence[int], header: SegmentHeader, room: TemplateRoom) -> bytes:
    """The segment's content with zeros in these rows. Blocks."""
    return encode_segment(header, room.filled().without(np.array(removed, np.int64)))
