"""Whether a gallery is what was sealed: segments open, their rows fit, pictures have their digests, the head fits."""

import asyncio
import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np

from rtcc_bridge.errors import IntegrityError, NotFoundError
from rtcc_bridge.gallery.damage import damaged_segment
from rtcc_bridge.gallery.segments import SegmentHeader, decode_segment
from rtcc_bridge.matching.errors import TemplateError
from rtcc_bridge.matching.snapshot import TemplateChunk
from rtcc_bridge.storage import galleries, gallery_upkeep
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.galleries import GalleryImageRecord, GalleryRecord, SegmentRecord
from rtcc_bridge.storage.objects import ObjectVault

_PICTURES_AT_ONCE: Final = 64

OnChecked: TypeAlias = Callable[[str, int, int], None]
"""Told what is checked, how many are done, and of how many."""


@dataclass(slots=True)
class VerifyReport:
    """What was looked at, and what is wrong with it, each with what to do."""

    gallery: str
    version: int
    segments: int = 0
    templates: int = 0
    pictures: int = 0
    findings: list[str] = field(default_factory=list)


class GalleryVerifier:
    """Looks at one gallery while everything runs. Changes nothing."""

    def __init__(self, database: Database, vault: ObjectVault) -> None:
        self._database = database
        self._vault = vault

    async def verify(self, name: str, *, with_pictures: bool, on_checked: OnChecked) -> VerifyReport:
        """Reads every segment, and every picture when asked to.

        Raises NotFoundError when there is no such gallery, UnavailableError. What is wrong with it is in the report.
        """
        async with self._database.snapshot() as tx:
            gallery = await galleries.find(tx, name)
            if gallery is None:
                raise NotFoundError(
                    f"there is no gallery {name}: `rtcc-bridge gallery stats` lists those that there are"
                )
            newest = await gallery_upkeep.newest_change(tx, name)
            segments = await galleries.segments(tx, name, after=-1, up_to=max(newest, gallery.version))
            unplaced = await gallery_upkeep.unplaced_images(tx, name)
        report = VerifyReport(name, gallery.version)
        if newest > gallery.version:
            report.findings.append(
                f"the head is version {gallery.version} and rows speak of version {newest}: the database was put "
                "together from two moments. Restore it from one backup"
            )
        if unplaced:
            report.findings.append(f"{unplaced} images have no segment: restore the database from a backup")
        for done, segment in enumerate(segments):
            on_checked("segments", done, len(segments))
            report.segments += 1
            await self._verify_segment(gallery, segment, report)
        on_checked("segments", len(segments), len(segments))
        if with_pictures:
            await self._verify_pictures(gallery, report, on_checked)
        return report

    async def _verify_segment(self, gallery: GalleryRecord, segment: SegmentRecord, report: VerifyReport) -> None:
        async with self._database.snapshot() as tx:
            present = await gallery_upkeep.find_segment(tx, segment.segment_id)
            if present is None:
                return  # it was merged meanwhile, into one that the next verification reads
            head = await galleries.find(tx, gallery.name)
            assert head is not None, "galleries are never deleted"
            placed = await galleries.placements(tx, segment.segment_id, up_to=head.version)
            first = await gallery_upkeep.first_version_in(tx, segment.segment_id)
            removed = await galleries.removed_rows(tx, segment.segment_id, up_to=present.scrubbed_version)
            try:
                key = await self._vault.key_of(tx, present.object_key)
            except NotFoundError as error:
                report.findings.append(_damaged(present, first, len(placed), str(error)))
                return
        header = SegmentHeader(
            gallery.name, segment.segment_id, gallery.template_hash, segment.rows, gallery.template_length
        )
        rows = placed.segment_rows.tolist()
        try:
            content = await self._vault.unseal(present.object_key, key)
            problem = await asyncio.to_thread(_problem_with, header, content, rows, removed)
        except (IntegrityError, NotFoundError) as error:
            if await self._was_rewritten(present):
                await self._verify_segment(gallery, segment, report)
            else:
                report.findings.append(_damaged(present, first, len(placed), str(error)))
            return
        if problem is not None:
            report.findings.append(f"segment {segment.segment_id} of gallery {gallery.name}: {problem}")
        report.templates += len(rows)

    async def _was_rewritten(self, segment: SegmentRecord) -> bool:
        async with self._database.read() as tx:
            now = await gallery_upkeep.find_segment(tx, segment.segment_id)
        return now is None or now.object_key != segment.object_key

    async def _verify_pictures(self, gallery: GalleryRecord, report: VerifyReport, on_checked: OnChecked) -> None:
        async with self._database.read() as tx:
            total = await gallery_upkeep.count_pictures(tx, gallery.name)
        after = -1
        while True:
            async with self._database.read() as tx:
                images = await gallery_upkeep.living_after(tx, gallery.name, after, _PICTURES_AT_ONCE)
            if not images:
                break
            after = images[-1].image_id
            for image in images:
                if image.image_object is not None:
                    await self._verify_picture(image, image.image_object, report)
            on_checked("pictures", report.pictures, total)
        on_checked("pictures", total, total)

    async def _verify_picture(self, image: GalleryImageRecord, object_key: str, report: VerifyReport) -> None:
        try:
            async with self._database.read() as tx:
                key = await self._vault.key_of(tx, object_key)
            data = await self._vault.unseal(object_key, key)
        except (IntegrityError, NotFoundError) as error:
            async with self._database.read() as tx:
                if not await galleries.alive_image_ids(tx, [image.image_id]):
                    return  # it was removed meanwhile
            report.findings.append(
                f"the picture of image {image.image_id} cannot be read ({error}). Copy objects/{object_key} from a "
                "backup into the object store; searches do without it, lists show no picture"
            )
        else:
            digest = (await asyncio.to_thread(hashlib.sha256, data)).hexdigest()
            if digest != image.image_sha256:
                report.findings.append(
                    f"the picture of image {image.image_id} is not the one that was enrolled: expunge it by "
                    f"--image-sha256 {image.image_sha256}, and enrol it again"
                )
        report.pictures += 1


def _damaged(segment: SegmentRecord, first_version: int | None, images: int, cause: str) -> str:
    return f"{damaged_segment(segment, first_version, cause)} ({images} images)"


def _problem_with(header: SegmentHeader, content: bytes, rows: Sequence[int], removed: Collection[int]) -> str | None:
    """What does not fit between a segment and the database. Raises IntegrityError. Blocks."""
    templates = decode_segment(header, content)
    if len(set(rows)) != len(rows) or any(not 0 <= row < header.rows for row in rows):
        return "two images lie in one row, or one lies outside: restore the database from a backup"
    try:
        TemplateChunk.of(templates.take(np.array(rows, np.int64)))
    except TemplateError as error:
        return f"{error}: restore the segment from a backup, or enrol its pictures again"
    taken_out = templates.take(np.array([row for row in removed if 0 <= row < header.rows], np.int64))
    if taken_out.high.any() or taken_out.low.any() or taken_out.scales.any():
        return "a template of a removed image lies in it, although it was scrubbed: tell the makers"
    return None
