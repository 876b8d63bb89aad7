"""Merges small segments into large ones, without the rows that were removed.

Each booking adds a segment of one row, and a matcher that starts reads them all. Segments belong to tiers by how many
rows are searched in them: fewer than 16, 256, 4096, 65,536. Sixteen of one tier are merged, so a row is written anew
four times at most, and a gallery has some fifty segments beside the full ones.

The order is that of every change to sealed objects: seal the new one, switch in one transaction that also destroys the
old keys, delete the old bytes. A crash leaves the old segments, or the new one and bytes that have no key. Merging
makes no version of the gallery: the rows are the same, and a matcher that has them reads nothing again.

A matcher does it, beside its searches: it has the key of templates. So what is large is done in threads, rows are read
some at a time, and beside the new segment one of the old ones is in memory.
"""

import asyncio
import secrets
from array import array
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, NoReturn

import numpy as np
import structlog

from rtcc_bridge.audit.entries import SYSTEM, AuditLog
from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import ConflictError, IntegrityError, NotFoundError
from rtcc_bridge.gallery.segments import OBJECT_KIND, SegmentHeader, SegmentPlaces, encode_segment
from rtcc_bridge.matching.stored_templates import TemplateRoom
from rtcc_bridge.periodic import periodically
from rtcc_bridge.storage import galleries, gallery_upkeep
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.galleries import GalleryRecord, SegmentRecord
from rtcc_bridge.storage.gallery_upkeep import SegmentUse
from rtcc_bridge.storage.locks import UNCONTESTED, SoleRight, Work, alone
from rtcc_bridge.storage.object_keys import ObjectKeyRecord
from rtcc_bridge.storage.objects import ObjectVault, SealedObject

ROWS_PER_SEGMENT: Final = 65_536
SEGMENTS_TO_MERGE: Final = 16
"""Also the step from tier to tier."""
_YOUNGEST: Final = timedelta(minutes=10)
"""A younger segment is left: matchers that are catching up, and those of the program before, want it by its name."""
_ROWS_AT_ONCE: Final = 2048
"""Of those that are read from the database: each piece is turned into Python's objects on the event loop."""
_EVERY_SECONDS: Final = 60.0
_FIRST_AFTER_SECONDS: Final = 600.0
"""A matcher of the program before reads segments and rows in statements that do not see one moment: during an upgrade
it could begin while its rows move, so nothing is merged until the upgrade is over."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Moved:
    """What lives in one segment: rows, and the place of each in the new one. Bare numbers: there may be 65,536."""

    rows: "array[int]" = field(default_factory=lambda: array("q"))
    places: "array[int]" = field(default_factory=lambda: array("q"))


@dataclass(frozen=True, slots=True)
class _Group:
    """What becomes one segment of so many `rows`, as the database said at version `up_to`."""

    gallery: GalleryRecord
    segments: Sequence[SegmentRecord]
    keys: Sequence[ObjectKeyRecord]
    moved: Mapping[str, _Moved]
    rows: int

    @property
    def up_to(self) -> int:
        return self.gallery.version


class SegmentCompactor:
    """Merges segments. Running it again, or twice at once, does no harm."""

    def __init__(self, database: Database, vault: ObjectVault, audit: AuditLog, clock: Clock) -> None:
        self._database = database
        self._vault = vault
        self._audit = audit
        self._clock = clock

    async def run(self) -> NoReturn:
        """Looks for what can be merged every minute, until cancelled. An outage is left to the next time."""
        await asyncio.sleep(_FIRST_AFTER_SECONDS)
        await periodically("merging gallery segments", self._look, every_seconds=_EVERY_SECONDS)

    async def _look(self) -> None:
        await alone(self._database, Work.SEGMENT_COMPACTOR, self.compact_all)

    async def compact_all(self, right: SoleRight = UNCONTESTED) -> int:
        """Merges in every gallery; returns how many segments are gone. Raises as `compact` does."""
        return sum([await self.compact(name, right) for name in await self._galleries()])

    async def compact(self, gallery: str, right: SoleRight = UNCONTESTED) -> int:
        """Merges the gallery's segments until nothing is left to merge; returns how many are gone. Commits each time.

        A group with a damaged or missing segment is logged and left as it is. Raises UnavailableError when database or
        object store do not answer, or the right is lost.
        """
        gone, left = 0, set[str]()
        while chosen := await self._choose(gallery, left):
            await right.confirm()
            names = {segment.segment_id for segment in chosen}
            try:
                merged = await self._merge(gallery, chosen)
            except (IntegrityError, NotFoundError) as error:
                _log.error("gallery segments cannot be merged", gallery=gallery, error=str(error))
                merged = False
            if merged:
                gone += len(chosen)
            else:
                left |= names
        return gone

    async def _choose(self, gallery: str, left: Collection[str]) -> Sequence[SegmentRecord]:
        """The next group to merge; nothing when there is none."""
        newest = self._clock.now() - _YOUNGEST
        async with self._database.read() as tx:
            used = await gallery_upkeep.segments_in_use(tx, gallery)
        able = [one for one in used if one.segment.created_at <= newest and one.segment.segment_id not in left]
        return next(_groups(able), ())

    async def _merge(self, gallery: str, segments: Sequence[SegmentRecord]) -> bool:
        """False when somebody else changed one of the segments meanwhile."""
        group = await self._read(gallery, segments)
        if group is None:
            return False
        record, sealed = await self._seal(group)
        try:
            await self._switch(group, record, sealed)
        except ConflictError:
            if sealed is not None:
                await self._vault.discard(sealed)
            return False
        await self._vault.delete(*(segment.object_key for segment in segments))
        return True

    async def _read(self, gallery: str, segments: Sequence[SegmentRecord]) -> _Group | None:
        """None when one of them was scrubbed since it was chosen."""
        names = [segment.segment_id for segment in segments]
        async with self._database.snapshot() as tx:
            head = await galleries.find(tx, gallery)
            assert head is not None, "galleries are never deleted"
            try:
                keys = [await self._vault.key_of(tx, segment.object_key) for segment in segments]
            except NotFoundError:
                return None
            moved = {name: _Moved() for name in names}
            place, after = 0, -1
            while some := await gallery_upkeep.living_rows(
                tx, names, up_to=head.version, after=after, limit=_ROWS_AT_ONCE
            ):
                for row in some:
                    moved[row.segment_id].rows.append(row.segment_row)
                    moved[row.segment_id].places.append(place)
                    place += 1
                after = some[-1].image_id
            return _Group(head, segments, keys, moved, place)

    async def _seal(self, group: _Group) -> tuple[SegmentRecord | None, SealedObject | None]:
        """The new segment; none when nobody of the old ones is searched any more: those are not even read."""
        if not group.rows:
            return None, None
        joined = TemplateRoom.of(group.rows, group.gallery.template_length)
        for segment, key in zip(group.segments, group.keys, strict=True):
            header = _header(group.gallery, segment.segment_id, segment.rows)
            room = TemplateRoom.of(segment.rows, group.gallery.template_length)
            places = SegmentPlaces(header, room, key.size_bytes)
            await self._vault.unseal_into(segment.object_key, key, places.in_order)
            places.settle()
            await asyncio.to_thread(_take_over, segment, room, group.moved[segment.segment_id], joined)
        header = _header(group.gallery, secrets.token_urlsafe(16), group.rows)
        sealed = await self._vault.seal(OBJECT_KIND, await asyncio.to_thread(encode_segment, header, joined.filled()))
        record = SegmentRecord(
            segment_id=header.segment_id,
            gallery=header.gallery,
            object_key=sealed.object_key,
            rows=header.rows,
            added_version=max(segment.added_version for segment in group.segments),
            scrubbed_version=group.up_to,
            created_at=self._clock.now(),
        )
        return record, sealed

    async def _switch(self, group: _Group, record: SegmentRecord | None, sealed: SealedObject | None) -> None:
        """Raises ConflictError when a segment was scrubbed or merged by somebody else meanwhile.

        Who was removed meanwhile has a row in the new segment, which waits to be scrubbed like any other.
        """
        names = [segment.segment_id for segment in group.segments]
        async with self._database.write() as tx:
            await gallery_upkeep.hold(tx, group.gallery.name)
            if not await gallery_upkeep.remove_segments(tx, group.segments):
                raise ConflictError(f"segments of gallery {group.gallery.name} were changed by another process")
            if record is not None and sealed is not None:
                await galleries.insert_segment(tx, record)
                moved = await gallery_upkeep.move_rows(tx, names, up_to=group.up_to, into=record.segment_id)
                if moved != record.rows:
                    raise IntegrityError(f"{moved} rows were moved into a segment of {record.rows}")
                await self._vault.record(tx, sealed)
            await self._audit.append(
                tx,
                actor=SYSTEM,
                action="gallery.compacted",
                subject=f"gallery/{group.gallery.name}",
                outcome="merged",
                authority={},
                details={
                    "segments": len(names),
                    "segmentId": None if record is None else record.segment_id,
                    "segmentSha256": None if sealed is None else sealed.sha256,
                    "rows": group.rows,
                    "upToVersion": group.up_to,
                },
            )
            # Last, since it writes to the removals ledger: a restoration makes such segments anew before it takes
            # their keys away.
            await self._vault.destroy(tx, *(segment.object_key for segment in group.segments))

    async def _galleries(self) -> list[str]:
        async with self._database.read() as tx:
            return [record.name for record in await galleries.every(tx)]


def _groups(used: Sequence[SegmentUse]) -> Iterator[Sequence[SegmentRecord]]:
    """What can be merged now, oldest segments first; a group has at most `ROWS_PER_SEGMENT` living rows."""
    if empty := [one.segment for one in used if one.living == 0]:
        yield empty[:SEGMENTS_TO_MERGE]
    tiers: defaultdict[int, list[SegmentUse]] = defaultdict(list)
    for one in used:
        if 0 < one.living <= ROWS_PER_SEGMENT // 2:
            tiers[_tier(one.living)].append(one)
    for _, members in sorted(tiers.items()):
        group = members[:SEGMENTS_TO_MERGE]
        while sum(one.living for one in group) > ROWS_PER_SEGMENT:
            group.pop()
        if len(group) == SEGMENTS_TO_MERGE or len(group) < len(members):  # enough of them, or enough rows
            yield [one.segment for one in group]


def _tier(rows: int) -> int:
    """0 for fewer than 16 rows, 1 for fewer than 256, and so on: sixteen of one tier are at least one of the next."""
    tier, limit = 0, SEGMENTS_TO_MERGE
    while rows >= limit:
        tier, limit = tier + 1, limit * SEGMENTS_TO_MERGE
    return tier


def _header(gallery: GalleryRecord, segment_id: str, rows: int) -> SegmentHeader:
    return SegmentHeader(gallery.name, segment_id, gallery.template_hash, rows, gallery.template_length)


def _take_over(segment: SegmentRecord, room: TemplateRoom, moved: _Moved, joined: TemplateRoom) -> None:
    """Copies what lives in this segment, which is in `room`, to its places among all rows of the new one.

    Raises IntegrityError when a row points outside the segment. Blocks.
    """
    rows = np.array(moved.rows, np.int64)
    if ((rows < 0) | (rows >= segment.rows)).any():
        raise IntegrityError(f"an image points outside segment {segment.segment_id}")
    joined.scatter(np.array(moved.places, np.int64), room.filled(), rows)
