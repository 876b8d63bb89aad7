"""Enrolment: pictures in, sealed templates with their provenance out.

A batch is checked, read, sealed and committed before the next one begins, so that memory stays flat and an interrupted
run is resumed by starting it again: what is enrolled already is told by its sha256. A crash leaves at most one batch of
sealed objects that have no key.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.gallery.additions import Added, GalleryAdditions, NewImage
from rtcc_bridge.gallery.checked_rows import CheckedRow, check_row, read_picture
from rtcc_bridge.gallery.enroll_report import EnrollReport, SetAsideImage
from rtcc_bridge.gallery.identity import GalleryKind, PackIdentity, normal_ref
from rtcc_bridge.gallery.parts import GalleryParts
from rtcc_bridge.gallery.portraits import Portrait, Portraits
from rtcc_bridge.gallery.receipts import EnrollReceipt, OnProgress, Progress
from rtcc_bridge.gallery.set_aside import Reason, SetAsideError
from rtcc_bridge.gallery.sources import ImageSource, SourceRow
from rtcc_bridge.matching.errors import TemplateError
from rtcc_bridge.matching.stored_templates import check_templates
from rtcc_bridge.matching.types import Float32Array
from rtcc_bridge.storage.galleries import GalleryRecord
from rtcc_bridge.storage.objects import SealedObject

PICTURE_KIND: Final = "gallery-picture"
IMAGES_PER_BATCH: Final = 64
TEMPLATES_PER_SEGMENT: Final = 16_384

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True)
class _Run:
    """One enrolment under way."""

    gallery: GalleryRecord
    actor: str
    total: int
    version: int
    done: int = 0
    enrolled: int = 0
    reasons: Counter[Reason] = field(default_factory=Counter)

    def count(self, added: Added, rows: int) -> None:
        self.done += rows
        self.enrolled += added.images
        self.version = max(self.version, added.version)

    def progress(self) -> Progress:
        set_aside = self.reasons.total() - self.reasons[Reason.ALREADY_ENROLLED]
        return Progress(self.done, self.total, self.enrolled, set_aside)

    def receipt(self) -> EnrollReceipt:
        reasons = dict(self.reasons)
        already = reasons.pop(Reason.ALREADY_ENROLLED, 0)
        return EnrollReceipt(self.gallery.name, self.version, self.total, self.enrolled, already, reasons)


@dataclass(frozen=True, slots=True, eq=False)
class _ReadImage:
    row: CheckedRow
    portrait: Portrait
    picture: SealedObject


class Enroller:
    """Enrols pictures, or templates that exist already."""

    def __init__(
        self, parts: GalleryParts, portraits: Portraits, pack: PackIdentity, *, max_picture_bytes: int, workers: int
    ) -> None:
        """workers: pictures that are worked on at the same time, each in a thread."""
        self._parts = parts
        self._portraits = portraits
        self._pack = pack
        self._max_bytes = max_picture_bytes
        self._workers = asyncio.Semaphore(workers)
        self._additions = GalleryAdditions(parts, pack)

    async def enroll(
        self,
        source: ImageSource,
        gallery: str,
        kind: GalleryKind,
        *,
        actor: str,
        report: Path | None = None,
        on_progress: OnProgress = lambda _: None,
    ) -> EnrollReceipt:
        """Enrols every picture of the source that may be; the others are counted, and listed in `report` (CSV).

        Raises InvalidInputError when the source or the report cannot be used at all, ConflictError when the gallery
        was made with another model pack or for another purpose, UnavailableError when database or object store fail:
        then start it again.
        """
        total = await asyncio.to_thread(source.count)
        opened = await self._additions.open_gallery(gallery, kind, actor)
        run = _Run(opened, actor, total, opened.version)
        rows = source.rows()
        with EnrollReport(report) as listing:
            while batch := await asyncio.to_thread(_take, rows, IMAGES_PER_BATCH):
                set_aside = await self._enroll_batch(run, source.root, batch)
                run.reasons.update(image.reason for image in set_aside)
                await asyncio.to_thread(listing.write, set_aside)
                on_progress(run.progress())
        return run.receipt()

    async def enroll_templates(
        self,
        gallery: str,
        kind: GalleryKind,
        templates: Float32Array,
        subject_refs: Sequence[str],
        *,
        provenance: str,
        lawful_basis: str,
        retain_until: datetime,
        actor: str,
        on_progress: OnProgress = lambda _: None,
    ) -> EnrollReceipt:
        """Enrols templates without pictures, float32 (N, D), row by row for these subjects; they have no quality.

        `provenance` has to say plainly where they come from, for a filler that it is one. Raises InvalidInputError when
        a template or a text does not fit, otherwise as `enroll` does.
        """
        _require_usable(
            templates, subject_refs, self._pack, provenance, lawful_basis, retain_until > self._parts.clock.now()
        )
        opened = await self._additions.open_gallery(gallery, kind, actor)
        run = _Run(opened, actor, len(templates), opened.version)

        def new_image(ref: str, digest: str) -> NewImage:
            return NewImage(normal_ref(ref), digest, None, provenance, lawful_basis, retain_until, None)

        for start in range(0, len(templates), TEMPLATES_PER_SEGMENT):
            rows = templates[start : start + TEMPLATES_PER_SEGMENT]
            refs = subject_refs[start : start + TEMPLATES_PER_SEGMENT]
            digests = await asyncio.to_thread(_digests, rows)
            images = [new_image(ref, digest) for ref, digest in zip(refs, digests, strict=True)]
            first = {image.sha256: row for row, image in reversed(list(enumerate(images)))}
            kept = sorted(first.values())
            run.reasons[Reason.DUPLICATE] += len(images) - len(kept)
            added = await self._additions.add(opened, [images[row] for row in kept], rows[kept], actor)
            run.reasons.update(reason for reason, _ in added.refused.values())
            run.count(added, len(images))
            on_progress(run.progress())
        run.reasons = +run.reasons
        return run.receipt()

    async def _enroll_batch(self, run: _Run, root: Path, rows: Sequence[SourceRow]) -> list[SetAsideImage]:
        """Enrols a batch; the result is what was left out of it."""
        set_aside: list[SetAsideImage] = []
        now = self._parts.clock.now()

        async def check(row: SourceRow) -> CheckedRow | None:
            try:
                return await asyncio.to_thread(check_row, row, root, now, self._max_bytes)
            except SetAsideError as error:
                set_aside.append(SetAsideImage(row.image, row.subject_ref, error.reason, error.detail))
                return None

        checked: dict[str, CheckedRow] = {}
        for found in await self._limited(check, rows):
            if found is not None and checked.setdefault(found.sha256, found) is not found:
                detail = f"the same picture as {checked[found.sha256].image}"
                set_aside.append(SetAsideImage(found.image, found.subject_ref, Reason.DUPLICATE, detail))
        async with self._parts.database.read() as tx:
            refs = {sha256: row.subject_ref for sha256, row in checked.items()}
            refused = await self._additions.screen(tx, run.gallery, refs)
        read = await self._read([row for row in checked.values() if row.sha256 not in refused], set_aside)
        added = await self._add(run, read)
        for sha256, (reason, detail) in {**refused, **added.refused}.items():
            row = checked[sha256]
            set_aside.append(SetAsideImage(row.image, row.subject_ref, reason, detail))
        run.count(added, len(rows))
        return set_aside

    async def _read(self, rows: Sequence[CheckedRow], set_aside: list[SetAsideImage]) -> list[_ReadImage]:
        """Makes the templates and seals the pictures. When that fails for good, nothing sealed is left behind."""
        sealed: list[SealedObject] = []

        async def read(row: CheckedRow) -> _ReadImage | None:
            try:
                data, portrait = await asyncio.to_thread(self._portrait, row)
            except SetAsideError as error:
                set_aside.append(SetAsideImage(row.image, row.subject_ref, error.reason, error.detail))
                return None
            picture = await self._parts.vault.seal(PICTURE_KIND, data)
            sealed.append(picture)
            return _ReadImage(row, portrait, picture)

        try:
            return [image for image in await self._limited(read, rows) if image is not None]
        except BaseException:
            await self._parts.vault.discard(*sealed)
            raise

    def _portrait(self, row: CheckedRow) -> tuple[bytes, Portrait]:
        data = read_picture(row.path, self._max_bytes)
        if hashlib.sha256(data).hexdigest() != row.sha256:
            raise SetAsideError(Reason.UNREADABLE, "the file was changed while it was enrolled: enrol it again")
        return data, self._portraits.read(data)

    async def _add(self, run: _Run, read: Sequence[_ReadImage]) -> Added:
        if not read:
            return Added(run.version, 0, {})
        images = [
            NewImage(
                subject_ref=image.row.subject_ref,
                sha256=image.row.sha256,
                picture=image.picture,
                provenance=image.row.provenance,
                lawful_basis=image.row.lawful_basis,
                retain_until=image.row.retain_until,
                quality_score=image.portrait.quality_score,
            )
            for image in read
        ]
        templates = np.stack([image.portrait.template for image in read])
        return await self._additions.add(run.gallery, images, templates, run.actor)

    async def _limited(self, work: Callable[[Item], Awaitable[Result]], items: Sequence[Item]) -> list[Result]:
        """Works on all items, on as many at once as there are threads. The first failure ends the others."""

        async def one(item: Item) -> Result:
            async with self._workers:
                return await work(item)

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(item)) for item in items]
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from failures
        return [task.result() for task in tasks]


def _take(rows: Iterator[SourceRow], count: int) -> list[SourceRow]:
    return list(islice(rows, count))


def _digests(templates: Float32Array) -> list[str]:
    """What stands for the sha256 of a picture where there is none."""
    return [hashlib.sha256(b"template" + row.tobytes()).hexdigest() for row in templates]


def _require_usable(
    templates: Float32Array,
    subject_refs: Sequence[str],
    pack: PackIdentity,
    provenance: str,
    lawful_basis: str,
    is_retained: bool,
) -> None:
    try:
        check_templates(templates, pack.template_length)
    except TemplateError as error:
        raise InvalidInputError(str(error)) from error
    if len(subject_refs) != len(templates):
        raise InvalidInputError(f"{len(templates)} templates came with {len(subject_refs)} subject references")
    if not provenance.strip() or not lawful_basis.strip() or not is_retained:
        raise InvalidInputError(
            "provenance, lawful basis and a retention date to come are needed (P06)", "no_provenance"
        )
    if not all(normal_ref(ref) for ref in subject_refs):
        raise InvalidInputError("a subject reference is empty")
