"""Adds images to a gallery: one sealed segment and its rows in one transaction, which makes a new version."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypeAlias

from rtcc_bridge.errors import ConflictError
from rtcc_bridge.gallery.head import put_head_notice
from rtcc_bridge.gallery.identity import GalleryKind, PackIdentity, ref_digest, require_fit_for, require_same_pack
from rtcc_bridge.gallery.parts import GalleryParts
from rtcc_bridge.gallery.segments import OBJECT_KIND, SegmentHeader, encode_segment
from rtcc_bridge.gallery.set_aside import Reason
from rtcc_bridge.matching.stored_templates import StoredTemplates
from rtcc_bridge.matching.types import Float32Array
from rtcc_bridge.storage import galleries, retention_words
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.galleries import GalleryRecord, NewImageRecord, RemovalKind, SegmentRecord
from rtcc_bridge.storage.objects import SealedObject

Refusals: TypeAlias = Mapping[str, tuple[Reason, str]]
"""Why images may not be added, by the sha256 of their bytes."""


@dataclass(frozen=True, slots=True)
class NewImage:
    """One image to add. picture: the sealed picture, none for a template that came without one.

    taken_on: as in `CheckedRow`.
    """

    subject_ref: str
    sha256: str
    picture: SealedObject | None
    provenance: str
    lawful_basis: str
    retain_until: datetime
    quality_score: int | None
    taken_on: date | None = None


@dataclass(frozen=True, slots=True)
class Added:
    """What became of a batch. refused: what came in the way between the screening and the transaction."""

    version: int
    images: int
    refused: Refusals


class _RefusedMeanwhileError(Exception):
    """Rolls the transaction back: its segment holds a template that may not be added any more."""

    def __init__(self, refused: Refusals) -> None:
        super().__init__()
        self.refused = refused


class GalleryAdditions:
    """Opens galleries and adds to them."""

    def __init__(self, parts: GalleryParts, pack: PackIdentity) -> None:
        self._parts = parts
        self._pack = pack

    async def open_gallery(self, name: str, kind: GalleryKind, actor: str) -> GalleryRecord:
        """The gallery, created when it is new. Commits.

        Raises ConflictError when it is of another kind or its templates were made by another model pack,
        PolicyRefusalError when the pack is not fit for this kind (P28).
        """
        require_fit_for(kind, self._pack)
        async with self._parts.database.write() as tx:
            gallery = await galleries.find(tx, name) or await self._create(tx, name, kind, actor)
        require_same_pack(gallery, self._pack)
        if gallery.kind != kind.value:
            raise ConflictError(f"gallery {name} is a {gallery.kind} gallery, not a {kind.value} one: name another")
        return gallery

    async def screen(self, tx: Transaction, gallery: GalleryRecord, refs_by_sha256: Mapping[str, str]) -> Refusals:
        """Which images may not be added: the gallery has them, or they or their subject were removed for ever (P25).

        Nor those that the record system has closed by its last word, however old what asks for them is (P06).
        `gallery` is as it was when the enrolment began: what was added since then is a duplicate, not resumed work.
        """
        digests = {sha256: ref_digest(ref) for sha256, ref in refs_by_sha256.items()}
        gone_subjects = await galleries.removed_digests(tx, gallery.name, RemovalKind.SUBJECT, set(digests.values()))
        gone_images = await galleries.removed_digests(tx, gallery.name, RemovalKind.IMAGE, digests.keys())
        known = await galleries.known_images(tx, gallery.name, digests.keys())
        said = await retention_words.last_words(tx, gallery.name, digests)
        now = self._parts.clock.now()
        refused: dict[str, tuple[Reason, str]] = {}
        for sha256, ref in refs_by_sha256.items():
            earlier = known.get(sha256)
            if digests[sha256] in gone_subjects:
                refused[sha256] = (Reason.REMOVED, "this subject was expunged and stays out (P25)")
            elif sha256 in gone_images:
                refused[sha256] = (Reason.REMOVED, "this image was expunged and stays out (P25)")
            elif earlier is not None and (earlier.subject_ref, earlier.added_version <= gallery.version) == (ref, True):
                refused[sha256] = (Reason.ALREADY_ENROLLED, "an earlier run enrolled it")
            elif earlier is not None:
                refused[sha256] = (Reason.DUPLICATE, f"the same picture is enrolled as {earlier.subject_ref}")
            elif sha256 in said and said[sha256].until <= now:
                refused[sha256] = (Reason.RETENTION_PASSED, "the record system has ended its retention (P06)")
        return refused

    async def add(
        self, gallery: GalleryRecord, images: Sequence[NewImage], templates: Float32Array, actor: str
    ) -> Added:
        """Seals the templates and adds the images. Commits once. Pictures that are not added are discarded.

        images have distinct sha256; templates: float32 (N, D), one row for each. Raises UnavailableError.
        """
        refused: dict[str, tuple[Reason, str]] = {}
        while images:
            try:
                version = await self._add_all(gallery, images, templates, actor)
            except _RefusedMeanwhileError as error:
                refused |= error.refused
                kept = [row for row, image in enumerate(images) if image.sha256 not in error.refused]
                dropped = [image.picture for image in images if image.sha256 in error.refused and image.picture]
                await self._parts.vault.discard(*dropped)
                images, templates = [images[row] for row in kept], templates[kept]
            else:
                return Added(version, len(images), refused)
        return Added(gallery.version, 0, refused)

    async def tell_dates(self, gallery: str, dates: Mapping[str, tuple[str, date]], actor: str) -> None:
        """Notes when images were taken that are enrolled without a date; whatever is known already stays.

        dates: (subject reference, date) by sha256. Commits once, with an audit entry, if there is anything to note.
        Raises UnavailableError.
        """
        if not dates:
            return
        told = {sha256: (ref, day.isoformat()) for sha256, (ref, day) in dates.items()}
        async with self._parts.database.read() as tx:  # a repetition writes nothing
            if not await galleries.tell_dates(tx, gallery, told, changing=False):
                return
        async with self._parts.database.write() as tx:
            if count := await galleries.tell_dates(tx, gallery, told, changing=True):
                await self._parts.audit.append(
                    tx,
                    actor=actor,
                    action="gallery.dated",
                    subject=f"gallery/{gallery}",
                    outcome="dated",
                    authority={},
                    details={"images": count},
                )

    async def _add_all(
        self, gallery: GalleryRecord, images: Sequence[NewImage], templates: Float32Array, actor: str
    ) -> int:
        pictures = [image.picture for image in images if image.picture is not None]
        header = SegmentHeader(
            gallery.name, secrets.token_urlsafe(16), gallery.template_hash, len(images), gallery.template_length
        )
        sealed: list[SealedObject] = []
        committing = False
        try:
            segment = await self._parts.vault.seal(OBJECT_KIND, encode_segment(header, StoredTemplates.of(templates)))
            sealed.append(segment)
            async with self._parts.database.write() as tx:
                version = await galleries.advance(tx, gallery.name)
                if refused := await self.screen(tx, gallery, {image.sha256: image.subject_ref for image in images}):
                    raise _RefusedMeanwhileError(refused)
                await self._parts.vault.record(tx, segment, *pictures)
                await self._insert_rows(tx, header, segment, images, version)
                await self._tell(tx, header, segment, version, actor)
                committing = True
        except _RefusedMeanwhileError:
            await self._parts.vault.discard(*sealed)
            raise
        except BaseException:
            # A commit that fails may have reached the database: then the objects are referred to and have to stay.
            if not committing:
                await self._parts.vault.discard(*sealed, *pictures)
            raise
        return version

    async def _insert_rows(
        self, tx: Transaction, header: SegmentHeader, segment: SealedObject, images: Sequence[NewImage], version: int
    ) -> None:
        now = self._parts.clock.now()
        subjects = await galleries.ensure_subjects(tx, header.gallery, [image.subject_ref for image in images], at=now)
        record = SegmentRecord(
            segment_id=header.segment_id,
            gallery=header.gallery,
            object_key=segment.object_key,
            rows=header.rows,
            added_version=version,
            scrubbed_version=version,
            created_at=now,
        )
        await galleries.insert_segment(tx, record)
        digests = {image.sha256: ref_digest(image.subject_ref) for image in images}
        said = await retention_words.last_words(tx, header.gallery, digests, taking=True)
        rows = [
            NewImageRecord(
                gallery=header.gallery,
                subject_id=subjects[image.subject_ref],
                image_sha256=image.sha256,
                image_object=None if image.picture is None else image.picture.object_key,
                provenance=image.provenance,
                lawful_basis=image.lawful_basis,
                retain_until=said[image.sha256].until if image.sha256 in said else image.retain_until,
                retention_told_at=said[image.sha256].said_at if image.sha256 in said else None,
                taken_on=None if image.taken_on is None else image.taken_on.isoformat(),
                quality_score=image.quality_score,
                segment_id=header.segment_id,
                segment_row=row,
                added_version=version,
            )
            for row, image in enumerate(images)
        ]
        await galleries.insert_images(tx, rows)

    async def _create(self, tx: Transaction, name: str, kind: GalleryKind, actor: str) -> GalleryRecord:
        record = GalleryRecord(
            name=name,
            kind=kind.value,
            version=0,
            template_hash=self._pack.template_hash,
            pack_name=self._pack.name,
            template_length=self._pack.template_length,
            created_at=self._parts.clock.now(),
        )
        if not await galleries.insert_if_new(tx, record):
            raise ConflictError(f"gallery {name} was created by another process at this moment: start again")
        await self._parts.audit.append(
            tx,
            actor=actor,
            action="gallery.created",
            subject=f"gallery/{name}",
            outcome="created",
            authority={},
            details={"kind": kind.value, "modelPack": self._pack.name, "modelHash": self._pack.template_hash},
        )
        return record

    async def _tell(
        self, tx: Transaction, header: SegmentHeader, segment: SealedObject, version: int, actor: str
    ) -> None:
        await self._parts.audit.append(
            tx,
            actor=actor,
            action="gallery.enrolled",
            subject=f"gallery/{header.gallery}",
            outcome="enrolled",
            authority={},
            details={
                "version": version,
                "images": header.rows,
                "segmentId": header.segment_id,
                "segmentSha256": segment.sha256,
            },
        )
        await put_head_notice(tx, self._parts.outbox, self._parts.head_topic, header.gallery, version)
