"""Enrolment: pictures in, sealed templates with their provenance out.

While a batch is sealed and committed the next two are read, and no more than that, so that memory stays flat and the
workers that look at pictures have some also at the end of a batch. An interrupted run is resumed by starting it again:
what is enrolled already is told by its sha256. A crash leaves at most three batches of sealed objects that have no key.
"""

import asyncio
import hashlib
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import Final, TypeAlias

from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.gallery.additions import Added, GalleryAdditions, NewImage
from rtcc_bridge.gallery.checked_rows import CheckedRow, check_rows, dates_of, read_row
from rtcc_bridge.gallery.enroll_report import EnrollReport, SetAsideImage
from rtcc_bridge.gallery.identity import GalleryKind, PackIdentity, normal_ref
from rtcc_bridge.gallery.parts import GalleryParts
from rtcc_bridge.gallery.picture_batch import PictureBatch, PictureBatches
from rtcc_bridge.gallery.portraits import Portraits
from rtcc_bridge.gallery.receipts import EnrollReceipt, OnProgress, Progress
from rtcc_bridge.gallery.set_aside import Reason, SetAsideError
from rtcc_bridge.gallery.sources import ImageSource, SourceRow
from rtcc_bridge.matching.errors import TemplateError
from rtcc_bridge.matching.stored_templates import check_templates
from rtcc_bridge.matching.types import Float32Array
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.storage.galleries import GalleryRecord
from rtcc_bridge.turns import limited

_ENROLL: Final = "gallery.enroll"
IMAGES_PER_BATCH: Final = 128
TEMPLATES_PER_SEGMENT: Final = 16_384
KEPT_BYTES: Final = 256 * 1024
"""A file that is no longer is kept from its check until somebody looks at it, and not read a second time."""
BESIDE_FACE_WORK: Final = 4
"""So many pictures more than are looked at are under way: they are read, wait for their turn, or are sealed."""

_CHECKED_AT_ONCE: Final = 16
_READ_AHEAD: Final = 2

TemplateRows: TypeAlias = tuple[Float32Array, Sequence[str]]
"""Templates float32 (N, D), and for each row whose it is."""


@dataclass(slots=True)
class _Run:
    """One enrolment under way. taking: one batch at a time takes its rows."""

    gallery: GalleryRecord
    actor: str
    total: int
    version: int
    taking: asyncio.Lock = field(default_factory=asyncio.Lock)
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


@dataclass(frozen=True, slots=True)
class _Read:
    """A batch that was read. set_aside: what was left out before anybody looked at a picture."""

    rows: int
    checked: dict[str, CheckedRow]
    set_aside: list[SetAsideImage]
    pictures: PictureBatch


class Enroller:
    """Enrols pictures, or templates that exist already."""

    def __init__(
        self, parts: GalleryParts, portraits: Portraits, pack: PackIdentity, *, max_picture_bytes: int, workers: int
    ) -> None:
        """workers: look at pictures; as many pieces of later batches are checked meanwhile."""
        self._parts = parts
        self._pack = pack
        self._max_bytes = max_picture_bytes
        self._additions = GalleryAdditions(parts, pack)
        self._pictures = PictureBatches(parts, portraits, self._additions, workers + BESIDE_FACE_WORK)
        self._checks = asyncio.Semaphore(workers)

    async def enroll(
        self,
        source: ImageSource,
        gallery: str,
        kind: GalleryKind,
        *,
        account: Account,
        report: Path | None = None,
        on_progress: OnProgress = lambda _: None,
    ) -> EnrollReceipt:
        """Enrols every picture of the source that may be; the others are counted, and listed in `report` (CSV).

        Raises PolicyRefusalError (P10), InvalidInputError when the source or the report cannot be used at all,
        ConflictError when the gallery was made with another model pack or for another purpose, UnavailableError when
        database, object store or picture workers fail: then start it again.
        """
        async with self._parts.watching(account, _ENROLL, f"gallery/{gallery}"):
            require_permission(account, Deed.ENROLL_PICTURES)
        total = await asyncio.to_thread(source.count)
        opened = await self._additions.open_gallery(gallery, kind, account.name)
        run = _Run(opened, account.name, total, opened.version)
        rows, root = source.rows(), await asyncio.to_thread(source.root.resolve)

        def begin() -> "asyncio.Task[_Read | None]":
            return asyncio.create_task(self._read(run, root, rows))

        with EnrollReport(report) as listing:
            reading = deque(begin() for _ in range(_READ_AHEAD))
            try:
                while (read := await reading[0]) is not None:
                    reading.popleft()
                    reading.append(begin())
                    set_aside = await self._add(run, read)
                    run.reasons.update(image.reason for image in set_aside)
                    await asyncio.to_thread(listing.write, set_aside)
                    on_progress(run.progress())
            finally:
                await self._abandon(reading)
        return run.receipt()

    async def enroll_templates(
        self,
        gallery: str,
        kind: GalleryKind,
        templates: Iterable[TemplateRows],
        *,
        total: int,
        provenance: str,
        lawful_basis: str,
        retain_until: datetime,
        account: Account,
        on_progress: OnProgress = lambda _: None,
    ) -> EnrollReceipt:
        """Enrols templates without pictures, as many at a time as the source gives; they have no quality.

        total: how many there are, for the progress. `provenance` has to say plainly where they come from, for a filler
        that it is one. Raises InvalidInputError when a template or a text does not fit, otherwise as `enroll` does.
        """
        async with self._parts.watching(account, _ENROLL, f"gallery/{gallery}"):
            require_permission(account, Deed.ENROLL_PICTURES)
        _require_words(provenance, lawful_basis, is_retained=retain_until > self._parts.clock.now())
        opened = await self._additions.open_gallery(gallery, kind, account.name)
        run = _Run(opened, account.name, total, opened.version)

        def new_image(ref: str, digest: str) -> NewImage:
            return NewImage(normal_ref(ref), digest, None, provenance, lawful_basis, retain_until, None)

        given = _segments_of(templates)
        while (piece := await asyncio.to_thread(next, given, None)) is not None:
            rows, refs = piece
            await asyncio.to_thread(_require_usable, rows, refs, self._pack)
            digests = await asyncio.to_thread(_digests, rows)
            images = [new_image(ref, digest) for ref, digest in zip(refs, digests, strict=True)]
            first = {image.sha256: row for row, image in reversed(list(enumerate(images)))}
            kept = sorted(first.values())
            run.reasons[Reason.DUPLICATE] += len(images) - len(kept)
            added = await self._additions.add(opened, [images[row] for row in kept], rows[kept], account.name)
            run.reasons.update(reason for reason, _ in added.refused.values())
            run.count(added, len(images))
            on_progress(run.progress())
        run.reasons = +run.reasons
        return run.receipt()

    async def _read(self, run: _Run, root: Path, rows: Iterator[SourceRow]) -> _Read | None:
        """The next batch; None at the end of the source."""
        async with run.taking:
            batch = await asyncio.to_thread(_take, rows, IMAGES_PER_BATCH)
        if not batch:
            return None
        set_aside: list[SetAsideImage] = []
        kept: dict[str, bytes] = {}
        now = self._parts.clock.now()

        async def check(rows: Sequence[SourceRow]) -> list[CheckedRow]:
            found = []
            answers = await asyncio.to_thread(check_rows, rows, root, now, self._max_bytes, KEPT_BYTES)
            for row, answer in zip(rows, answers, strict=True):
                if isinstance(answer, SetAsideError):
                    set_aside.append(SetAsideImage(row.image, row.subject_ref, answer.reason, answer.detail))
                    continue
                one, data = answer
                found.append(one)
                if data is not None:
                    kept[one.sha256] = data
            return found

        async def read_picture(row: CheckedRow) -> bytes:
            if (data := kept.pop(row.sha256, None)) is not None:
                return data
            return await asyncio.to_thread(read_row, row, root, self._max_bytes)

        checked: dict[str, CheckedRow] = {}
        pieces = [batch[start : start + _CHECKED_AT_ONCE] for start in range(0, len(batch), _CHECKED_AT_ONCE)]
        for found in chain.from_iterable(await limited(self._checks, check, pieces)):
            if checked.setdefault(found.sha256, found) is not found:
                detail = f"the same picture as {checked[found.sha256].image}"
                set_aside.append(SetAsideImage(found.image, found.subject_ref, Reason.DUPLICATE, detail))
        pictures = await self._pictures.read(run.gallery, checked, read_picture)
        return _Read(len(batch), checked, set_aside, pictures)

    async def _add(self, run: _Run, read: _Read) -> list[SetAsideImage]:
        """Enrols a batch; the result is what was left out of it."""
        added = await self._pictures.add(run.gallery, read.pictures, run.actor)
        run.count(added, read.rows)
        already = [sha256 for sha256, (reason, _) in added.refused.items() if reason is Reason.ALREADY_ENROLLED]
        await self._additions.tell_dates(run.gallery.name, dates_of(read.checked[one] for one in already), run.actor)
        left_out = [(read.checked[sha256], *why) for sha256, why in added.refused.items()]
        set_aside = [SetAsideImage(row.image, row.subject_ref, reason, detail) for row, reason, detail in left_out]
        return [*read.set_aside, *set_aside]

    async def _abandon(self, reading: "Collection[asyncio.Task[_Read | None]]") -> None:
        """Ends the reading of batches that will not be added."""
        for task in reading:
            task.cancel()
        for read in await asyncio.gather(*reading, return_exceptions=True):
            if isinstance(read, _Read):
                await self._pictures.discard(read.pictures)


def _take(rows: Iterator[SourceRow], count: int) -> list[SourceRow]:
    return list(islice(rows, count))


def _segments_of(given: Iterable[TemplateRows]) -> Iterator[TemplateRows]:
    """In pieces that fit a segment."""
    for templates, refs in given:
        if len(refs) != len(templates):
            raise InvalidInputError(f"{len(templates)} templates came with {len(refs)} subject references")
        for start in range(0, len(templates), TEMPLATES_PER_SEGMENT):
            end = start + TEMPLATES_PER_SEGMENT
            yield templates[start:end], refs[start:end]


def _digests(templates: Float32Array) -> list[str]:
    """What stands for the sha256 of a picture where there is none."""
    return [hashlib.sha256(b"template" + row.tobytes()).hexdigest() for row in templates]


def _require_words(provenance: str, lawful_basis: str, *, is_retained: bool) -> None:
    if not provenance.strip() or not lawful_basis.strip() or not is_retained:
        raise InvalidInputError(
            "provenance, lawful basis and a retention date to come are needed (P06)", "no_provenance"
        )


def _require_usable(templates: Float32Array, subject_refs: Sequence[str], pack: PackIdentity) -> None:
    try:
        check_templates(templates, pack.template_length)
    except TemplateError as error:
        raise InvalidInputError(str(error)) from error
    if not all(normal_ref(ref) for ref in subject_refs):
        raise InvalidInputError("a subject reference is empty")
