"""Follows one gallery's head, so that a matcher searches what the database says and nobody who was removed.

The database is asked at an interval; a matcher that cannot confirm the head stops searching (P25).
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
import structlog

from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import (
    ConfigurationError,
    ConfigurationProblem,
    ConflictError,
    IntegrityError,
    NotFoundError,
    UnavailableError,
)
from rtcc_bridge.gallery.damage import damaged_segment
from rtcc_bridge.gallery.identity import GalleryKind, PackIdentity, require_same_pack
from rtcc_bridge.gallery.segments import SegmentHeader, SegmentPlaces
from rtcc_bridge.gallery.template_service import TemplateService
from rtcc_bridge.matching.errors import TemplateError
from rtcc_bridge.matching.search import SearchIndex
from rtcc_bridge.matching.search_index import open_index
from rtcc_bridge.matching.session import Device
from rtcc_bridge.matching.snapshot import ChunkCollector, GallerySnapshot
from rtcc_bridge.matching.stored_templates import TemplateRoom
from rtcc_bridge.matching.types import Int64Array
from rtcc_bridge.matching_settings import MatchingSettings
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.storage import galleries, gallery_upkeep
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.storage.galleries import GalleryRecord, Placements, SegmentRecord
from rtcc_bridge.storage.object_keys import ObjectKeyRecord
from rtcc_bridge.storage.objects import ObjectVault

_READ_ATTEMPTS: Final = 3
_LOAD_TIMEOUT_SECONDS: Final = 300.0
"""For reading the rows of a whole gallery, of which there may be millions."""
_DEAD_SHARE: Final = 0.05
"""When more of the rows than this are removed ones, the rest is copied together and the memory given back."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """What to search with: the index over `snapshot`, and what the gallery may be searched for."""

    index: SearchIndex
    snapshot: GallerySnapshot
    kind: GalleryKind


@dataclass(frozen=True, slots=True)
class _NewSegment:
    record: SegmentRecord
    key: ObjectKeyRecord
    placements: Placements


@dataclass(frozen=True, slots=True)
class _Changes:
    """What leads from the followed version to the head."""

    head: GalleryRecord
    segments: Sequence[_NewSegment]
    removed_image_ids: Sequence[int]
    removal_moments: Sequence[datetime]


class GalleryFollower:
    """Keeps a search index of one gallery in step with the database. `run` is its one task."""

    def __init__(
        self,
        database: Database,
        vault: ObjectVault,
        name: str,
        pack: PackIdentity,
        settings: MatchingSettings,
        metrics: Metrics,
        clock: Clock,
        service: TemplateService | None = None,
    ) -> None:
        """service: what keeps and searches the templates instead of this process, which then has the ids alone."""
        self._database = database
        self._vault = vault
        self._name = name
        self._pack = pack
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._service = service
        self._to_delete: set[int] = set()
        self._followed: Followed | None = None
        self._confirmed_at: datetime | None = None
        self._opened_at = clock.now()
        metrics.gallery_head_age_seconds.labels(name).set_function(self._head_age_seconds)
        self._problem: ConfigurationProblem | None = None
        self._reachable = True

    @property
    def current(self) -> Followed:
        """The newest confirmed state; it stays usable for a search that has begun while a newer one is swapped in.

        Raises UnavailableError when the gallery is not loaded or its head could not be confirmed for
        `matching.gallery_stale_seconds`; ConfigurationError when there is no such gallery or its templates were made by
        another model pack.
        """
        if self._problem is not None:
            raise ConfigurationError(self._problem)
        if self._followed is None or self._confirmed_at is None:
            raise UnavailableError(f"gallery {self._name} is not loaded yet")
        age_seconds = (self._clock.now() - self._confirmed_at).total_seconds()
        if not 0 <= age_seconds <= self._settings.gallery_stale_seconds:
            raise UnavailableError(
                f"the head of gallery {self._name} was not confirmed for {age_seconds:.1f} s: somebody may have been "
                "removed meanwhile (P25)"
            )
        return self._followed

    def _head_age_seconds(self) -> float:
        """Before the head is confirmed for the first time, since this follower was made."""
        return (self._clock.now() - (self._confirmed_at or self._opened_at)).total_seconds()

    async def run(self) -> None:
        """Follows the head until it is cancelled. Raises IntegrityError when the gallery is not what was sealed."""
        while True:
            await self.follow_once()
            await asyncio.sleep(self._settings.gallery_poll_seconds)

    async def follow_once(self) -> None:
        """Confirms the head, or catches up with it. An unreachable database or object store is left to the next time.

        Raises IntegrityError.
        """
        asked_at = self._clock.now()
        try:
            await self._catch_up()
        except UnavailableError as error:
            if self._reachable:
                _log.warning("gallery_head_unconfirmed", gallery=self._name, cause=str(error))
            self._reachable = False
            return
        self._confirmed_at = asked_at
        if not self._reachable:
            _log.info("gallery_head_confirmed_again", gallery=self._name)
        self._reachable = True
        await self._delete_from_service()

    async def _catch_up(self) -> None:
        """Brings the followed state to the head, unless the gallery cannot be followed as it is configured.

        A segment that is scrubbed or merged while it is loaded is read again under its new name. One that stays where
        it was and cannot be found is missing.
        """
        attempts: Counter[str] = Counter()
        while (changes := await self._read_changes()) is not None:
            with self._collector(changes) as loaded:
                if await self._load_all(changes, loaded, attempts):
                    self._swap(await asyncio.to_thread(self._build, changes, loaded), changes)
                    return

    def _collector(self, changes: _Changes) -> ChunkCollector:
        """For the templates that this process has to hold: all, or none where the service has them."""
        held = changes.segments if self._service is None else ()
        return ChunkCollector(changes.head.template_length, [len(segment.placements) for segment in held])

    async def _load_all(self, changes: _Changes, loaded: ChunkCollector, attempts: Counter[str]) -> bool:
        """Reads all segments; False when one of them was not there, and may lie under another name now."""
        for segment in changes.segments:
            try:
                if self._service is None:
                    await self._load(changes.head, segment, loaded.next_room())
                else:
                    await self._give_to(self._service, changes.head, segment)
            except NotFoundError as error:
                attempts[segment.record.object_key] += 1
                if attempts[segment.record.object_key] == _READ_ATTEMPTS:
                    raise IntegrityError(await self._damage(segment.record, str(error))) from error
                return False
            except IntegrityError as error:
                raise IntegrityError(await self._damage(segment.record, str(error))) from error
        return True

    async def _damage(self, segment: SegmentRecord, cause: str) -> str:
        """What is wrong with a segment, which versions do without it, and what to do."""
        async with self._database.read() as tx:
            first = await gallery_upkeep.first_version_in(tx, segment.segment_id)
        return damaged_segment(segment, first, cause)

    async def _key_of(self, tx: Transaction, segment: SegmentRecord) -> ObjectKeyRecord:
        """In one snapshot a segment has its key, or it is nobody's any more: IntegrityError."""
        try:
            return await self._vault.key_of(tx, segment.object_key)
        except NotFoundError as error:
            first = await gallery_upkeep.first_version_in(tx, segment.segment_id)
            raise IntegrityError(damaged_segment(segment, first, str(error))) from error

    async def _read_changes(self) -> _Changes | None:
        """None when there is nothing to do: the head is what is followed, or it cannot be followed (`_problem`)."""
        try:
            async with asyncio.timeout(self._settings.gallery_stale_seconds) as limit, self._database.snapshot() as tx:
                head = await galleries.find(tx, self._name)
                self._note(_problem_with(head, self._name, self._pack))
                if head is None or self._problem is not None:
                    self._followed = None
                    return None
                after = -1 if self._followed is None else self._followed.snapshot.version
                if head.version < after:
                    raise IntegrityError(
                        f"gallery {self._name} went back from version {after} to {head.version}: the database was "
                        "replaced by an older one, which may hold people that were removed. Restart when it is clear"
                    )
                if head.version == after:
                    return None
                limit.reschedule(asyncio.get_running_loop().time() + _LOAD_TIMEOUT_SECONDS)
                return await self._changes(tx, head, after)
        except TimeoutError as error:
            raise UnavailableError("the database does not answer") from error

    def _note(self, problem: ConfigurationProblem | None) -> None:
        """Remembers why the gallery cannot be searched, if so, and says it once."""
        if problem == self._problem:
            return
        self._problem = problem
        if problem is None:
            _log.info("gallery_usable_again", gallery=self._name)
            return
        self._metrics.gallery_templates.labels(self._name).set(0)
        _log.warning("gallery_unusable", gallery=self._name, cause=str(problem))

    async def _changes(self, tx: Transaction, head: GalleryRecord, after: int) -> _Changes:
        segments = [
            _NewSegment(
                record,
                await self._key_of(tx, record),
                await galleries.placements(tx, record.segment_id, after=after, up_to=head.version),
            )
            for record in await galleries.segments(tx, self._name, after=after, up_to=head.version)
        ]
        if self._followed is None:
            # A service may still have who was removed while nobody followed; and it takes deletions twice.
            gone = (
                ()
                if self._service is None
                else await galleries.removed_image_ids(tx, self._name, after=-1, up_to=head.version)
            )
            return _Changes(head, segments, gone, ())
        removed = await galleries.removed_image_ids(tx, self._name, after=after, up_to=head.version)
        moments = await galleries.removal_moments(tx, self._name, after=after, up_to=head.version)
        return _Changes(head, segments, removed, moments)

    async def _give_to(self, service: TemplateService, head: GalleryRecord, segment: _NewSegment) -> None:
        """Afterwards the service has the templates of the segment's living images."""
        segment_id, image_ids = segment.record.segment_id, segment.placements.image_ids
        missing = await asyncio.to_thread(service.missing, segment_id, image_ids)
        if len(missing):
            room = TemplateRoom.of(len(image_ids), head.template_length)
            await self._load(head, segment, room)
            await asyncio.to_thread(service.put, segment_id, image_ids[missing], room.filled().take(missing))

    async def _delete_from_service(self) -> None:
        """Deletes who was removed. Nothing waits for it: they are in no search any more."""
        if self._service is None or not self._to_delete:
            return
        image_ids = np.array(sorted(self._to_delete), np.int64)
        try:
            await asyncio.to_thread(self._service.delete, image_ids)
        except UnavailableError as error:
            _log.warning("templates_not_deleted_yet", gallery=self._name, images=len(image_ids), cause=str(error))
            return
        self._to_delete.difference_update(image_ids.tolist())
        _log.info("templates_deleted_from_service", gallery=self._name, images=len(image_ids))

    async def _load(self, head: GalleryRecord, segment: _NewSegment, room: TemplateRoom) -> None:
        """Fills the room with the templates of the segment's living images, in the order of its placements."""
        record, rows = segment.record, segment.placements.segment_rows
        if len(rows) and (rows[0] < 0 or rows[-1] >= record.rows or not (np.diff(rows) > 0).all()):
            raise IntegrityError(f"images of gallery {self._name} point outside segment {record.segment_id}")
        complete = len(rows) == record.rows  # they rise, and none is outside
        whole = room if complete else TemplateRoom.of(record.rows, head.template_length)
        header = SegmentHeader(self._name, record.segment_id, head.template_hash, record.rows, head.template_length)
        places = SegmentPlaces(header, whole, segment.key.size_bytes)
        await self._vault.unseal_into(record.object_key, segment.key, places.in_order)
        places.settle()
        if not complete:
            room.put(whole.filled(), rows)

    def _build(self, changes: _Changes, loaded: ChunkCollector) -> Followed:
        """Blocks while the index is built; the searches that go on meanwhile use the present one."""
        image_ids = _joined([segment.placements.image_ids for segment in changes.segments])
        subject_ids = _joined([segment.placements.subject_ids for segment in changes.segments])
        version, length = changes.head.version, changes.head.template_length
        try:
            if self._service is not None:
                added = GallerySnapshot.of_ids(self._name, version, length, image_ids, subject_ids)
            else:
                chunks = loaded.chunks()
                added = GallerySnapshot.of_chunks(self._name, version, length, chunks, image_ids, subject_ids)
            snapshot = added
            if self._followed is not None:
                removed = np.array(changes.removed_image_ids, np.int64)
                snapshot = self._followed.snapshot.without(version, removed)
                if len(image_ids):
                    snapshot = snapshot.joined_by(added)
        except (TemplateError, ValueError) as error:
            raise IntegrityError(f"gallery {self._name} holds what no enrolment writes: {error}") from error
        if snapshot.image_count < snapshot.row_count * (1 - _DEAD_SHARE):
            snapshot = snapshot.compacted(version)
        return Followed(self._open_index(snapshot), snapshot, GalleryKind(changes.head.kind))

    def _open_index(self, snapshot: GallerySnapshot) -> SearchIndex:
        if self._service is not None:
            return self._service.open_index(snapshot)
        previous = None if self._followed is None else self._followed.index
        return open_index(snapshot, Device(self._settings.device), self._settings.threads, previous)

    def _swap(self, followed: Followed, changes: _Changes) -> None:
        self._followed = followed
        self._to_delete.update(changes.removed_image_ids)
        now = self._clock.now()
        for moment in changes.removal_moments:
            self._metrics.expunge_effective_seconds.observe(max(0.0, (now - moment).total_seconds()))
        self._metrics.gallery_templates.labels(self._name).set(followed.snapshot.image_count)
        self._metrics.gallery_version.labels(self._name).set(followed.snapshot.version)
        _log.info(
            "gallery_followed",
            gallery=self._name,
            version=followed.snapshot.version,
            templates=followed.snapshot.image_count,
            removed=len(changes.removed_image_ids),
        )


def _problem_with(head: GalleryRecord | None, name: str, pack: PackIdentity) -> ConfigurationProblem | None:
    if head is None:
        remedy = "Enrol it with `rtcc-bridge gallery enroll`, or name another"
        return ConfigurationProblem("matching.gallery", f"there is no gallery {name}", remedy)
    try:
        require_same_pack(head, pack)
    except ConflictError as error:
        return ConfigurationProblem("matching.pack", "does not fit the gallery", str(error))
    return None


def _joined(columns: Sequence[Int64Array]) -> Int64Array:
    return np.concatenate([np.empty(0, np.int64), *columns])
