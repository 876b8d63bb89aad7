"""Galleries: who is in them, which images, and in which row of which sealed segment each template lies.

Every change gives the gallery its next version. Rows are never deleted: `added_version` and `removed_version` say in
which versions an image is searched, so that a search can be told from its version.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import ColumnElement, Select, String, and_, cast, func, insert, or_, select, update

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.inserts import insert_all, insert_if_absent
from rtcc_bridge.storage.slices import slices
from rtcc_bridge.storage.tables import (
    galleries,
    gallery_images,
    gallery_removals,
    gallery_segments,
    object_keys,
    subjects,
)


class RemovalKind(StrEnum):
    """What a removal keeps out for ever (P25)."""

    SUBJECT = "subject"
    IMAGE = "image"


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryRecord:
    """One row of `galleries`. kind: live, training or demo."""

    name: str
    kind: str
    version: int
    template_hash: str
    pack_name: str
    template_length: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewImageRecord:
    """One image to add; the database gives it its id.

    taken_on: a date as in 2019-05-30; None: it is not known. retention_told_at: when the record system said until when.
    """

    gallery: str
    subject_id: int
    image_sha256: str
    image_object: str | None
    provenance: str
    lawful_basis: str
    retain_until: datetime
    taken_on: str | None
    quality_score: int | None
    segment_id: str
    segment_row: int
    added_version: int
    retention_told_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryImageRecord(NewImageRecord):
    """One row of `gallery_images`."""

    image_id: int
    removed_version: int | None
    removed_reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentRecord:
    """One row of `gallery_segments`. scrubbed_version: rows removed up to it hold no template any more."""

    segment_id: str
    gallery: str
    object_key: str
    rows: int
    added_version: int
    scrubbed_version: int
    created_at: datetime


@dataclass(frozen=True, slots=True, eq=False)
class Placements:
    """Where the templates of living images lie in one segment: int64 (n,) each, by rising row."""

    segment_rows: npt.NDArray[np.int64]
    image_ids: npt.NDArray[np.int64]
    subject_ids: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.segment_rows)


@dataclass(frozen=True, slots=True)
class KnownImage:
    """Who the image with these bytes was enrolled as."""

    subject_ref: str
    added_version: int


@dataclass(frozen=True, slots=True)
class LivingPicture:
    """A sealed picture of an image that is searched. taken_on: as in `NewImageRecord`."""

    object_key: str
    taken_on: str | None


@dataclass(frozen=True, slots=True)
class GalleryCounts:
    """What a gallery holds at this moment. size_bytes: of its segments and pictures before they were sealed."""

    subjects: int
    images: int
    images_with_picture: int
    images_removed: int
    images_past_retention: int
    next_retention: datetime | None
    segments: int
    segments_to_scrub: int
    removals: int
    removals_without_second_receipt: int
    size_bytes: int


async def find(tx: Transaction, name: str) -> GalleryRecord | None:
    row = (await tx.execute(select(galleries).where(galleries.c.name == name))).mappings().one_or_none()
    return None if row is None else GalleryRecord(**row)


async def every(tx: Transaction) -> Sequence[GalleryRecord]:
    """All galleries by name."""
    return [GalleryRecord(**row) for row in (await tx.execute(select(galleries).order_by(galleries.c.name))).mappings()]


async def insert_if_new(tx: Transaction, record: GalleryRecord) -> bool:
    """Adds a gallery unless there is one of that name; says whether it did."""
    return await insert_if_absent(tx, galleries, asdict(record))


async def advance(tx: Transaction, name: str) -> int:
    """Gives the gallery its next version and returns that. Other writers of the gallery wait until this one commits.

    Call it before reading what the change depends on: then versions become visible in their order.
    """
    await tx.execute(update(galleries).where(galleries.c.name == name).values(version=galleries.c.version + 1))
    return int((await tx.execute(select(galleries.c.version).where(galleries.c.name == name))).scalar_one())


async def ensure_subjects(
    tx: Transaction, gallery: str, subject_refs: Collection[str], *, at: datetime
) -> Mapping[str, int]:
    """The subjects' ids by reference; those that are new are added."""
    unique = list(dict.fromkeys(subject_refs))
    found: dict[str, int] = {}
    for some in slices(unique):
        query = select(subjects.c.subject_ref, subjects.c.subject_id)
        query = query.where((subjects.c.gallery == gallery) & subjects.c.subject_ref.in_(some))
        found |= {row.subject_ref: row.subject_id for row in await tx.execute(query)}
    if missing := [ref for ref in unique if ref not in found]:
        statement = insert(subjects).returning(subjects.c.subject_ref, subjects.c.subject_id)
        rows = [{"gallery": gallery, "subject_ref": ref, "created_at": at} for ref in missing]
        found |= {row.subject_ref: row.subject_id for row in await tx.execute(statement, rows)}
    return found


async def find_subject(tx: Transaction, gallery: str, subject_ref: str) -> int | None:
    query = select(subjects.c.subject_id)
    where = (subjects.c.gallery == gallery) & (subjects.c.subject_ref == subject_ref)
    return (await tx.execute(query.where(where))).scalar_one_or_none()


async def subject_refs(tx: Transaction, subject_ids: Collection[int]) -> Mapping[int, str]:
    """The agency's own references by subject id; an unknown id is left out."""
    found: dict[int, str] = {}
    for some in slices(list(subject_ids)):
        query = select(subjects.c.subject_id, subjects.c.subject_ref).where(subjects.c.subject_id.in_(some))
        found |= {row.subject_id: row.subject_ref for row in await tx.execute(query)}
    return found


async def images_of(tx: Transaction, subject_id: int) -> set[int]:
    """All images of a person, those that were removed too."""
    query = select(gallery_images.c.image_id).where(gallery_images.c.subject_id == subject_id)
    return set((await tx.execute(query)).scalars())


async def references(tx: Transaction, gallery: str) -> AsyncIterator[tuple[int, str]]:
    """The id and the agency's own reference of every subject of the gallery."""
    query = select(subjects.c.subject_id, subjects.c.subject_ref).where(subjects.c.gallery == gallery)
    async for row in await tx.stream(query):
        yield row.subject_id, row.subject_ref


async def skip_versions(tx: Transaction, by: int) -> None:
    """Leaves so many versions of every gallery out: those that a database gave out and that was lost with it."""
    await tx.execute(update(galleries).values(version=galleries.c.version + by))


async def segments_in(tx: Transaction, object_keys_: Collection[str]) -> Sequence[SegmentRecord]:
    """The segments that lie in one of these objects."""
    found: list[SegmentRecord] = []
    for some in slices(object_keys_):
        query = select(gallery_segments).where(gallery_segments.c.object_key.in_(some))
        found += [SegmentRecord(**row) for row in (await tx.execute(query)).mappings()]
    return found


async def insert_images(tx: Transaction, records: Sequence[NewImageRecord]) -> None:
    """Adds many rows quickly: `asdict` would copy every value of every row, which took most of the time."""
    names = [field.name for field in fields(NewImageRecord)]
    rows = [{name: getattr(record, name) for name in names} for record in records]
    await tx.execute(insert(gallery_images), rows)


async def insert_segment(tx: Transaction, record: SegmentRecord) -> None:
    await tx.execute(insert(gallery_segments).values(asdict(record)))


async def known_images(tx: Transaction, gallery: str, sha256s: Collection[str]) -> Mapping[str, KnownImage]:
    """Which of these images the gallery has or had, by the sha256 of their bytes."""
    found: dict[str, KnownImage] = {}
    columns = (gallery_images.c.image_sha256, subjects.c.subject_ref, gallery_images.c.added_version)
    joined = gallery_images.join(subjects, gallery_images.c.subject_id == subjects.c.subject_id)
    for some in slices(list(sha256s)):
        query = select(*columns).select_from(joined)
        query = query.where((gallery_images.c.gallery == gallery) & gallery_images.c.image_sha256.in_(some))
        found |= {row.image_sha256: KnownImage(row.subject_ref, row.added_version) for row in await tx.execute(query)}
    return found


async def removed_digests(tx: Transaction, gallery: str, kind: RemovalKind, digests: Collection[str]) -> set[str]:
    """Which of these subjects or images were removed from the gallery for ever (P25)."""
    found: set[str] = set()
    for some in slices(list(digests)):
        query = select(gallery_removals.c.digest).where(
            (gallery_removals.c.gallery == gallery)
            & (gallery_removals.c.kind == kind.value)
            & gallery_removals.c.digest.in_(some)
        )
        found |= set((await tx.execute(query)).scalars())
    return found


async def add_removals(
    tx: Transaction,
    gallery: str,
    kind: RemovalKind,
    digests: Collection[str],
    *,
    reason: str,
    version: int,
    at: datetime,
) -> None:
    """As `add_removal` for many, without saying which of them were kept out already."""
    kept_out = await removed_digests(tx, gallery, kind, digests)
    values = {"gallery": gallery, "kind": kind.value, "reason": reason, "removed_version": version, "removed_at": at}
    rows = [{**values, "digest": digest} for digest in sorted(set(digests) - kept_out)]
    await insert_all(tx, gallery_removals, rows)


async def add_removal(
    tx: Transaction, gallery: str, kind: RemovalKind, digest: str, *, reason: str, version: int, at: datetime
) -> bool:
    """Keeps a subject or an image out for ever; says whether it was not kept out already."""
    values = {
        "gallery": gallery,
        "kind": kind.value,
        "digest": digest,
        "reason": reason,
        "removed_version": version,
        "removed_at": at,
    }
    return await insert_if_absent(tx, gallery_removals, values)


async def living_images(
    tx: Transaction, gallery: str, *, subject_id: int | None = None, image_sha256: str | None = None
) -> Sequence[GalleryImageRecord]:
    """The images that are searched, of one subject or with these bytes when that is asked for."""
    query = select(gallery_images).where((gallery_images.c.gallery == gallery) & _is_alive())
    if subject_id is not None:
        query = query.where(gallery_images.c.subject_id == subject_id)
    if image_sha256 is not None:
        query = query.where(gallery_images.c.image_sha256 == image_sha256)
    rows = (await tx.execute(query.order_by(gallery_images.c.image_id))).mappings()
    return [GalleryImageRecord(**row) for row in rows]


async def remove_images(tx: Transaction, image_ids: Collection[int], *, version: int, reason: str) -> int:
    """Takes living images out of every later version and says how many there were."""
    removed = 0
    for some in slices(list(image_ids)):
        statement = update(gallery_images).where(gallery_images.c.image_id.in_(some) & _is_alive())
        removed += (await tx.execute(statement.values(removed_version=version, removed_reason=reason))).rowcount
    return removed


async def alive_image_ids(tx: Transaction, image_ids: Collection[int]) -> set[int]:
    """Which of these images are in their gallery at this moment. What a lead lists is filtered by it (P25).

    They stay locked against removal until the transaction ends: an expungement comes before the lead, which then is
    filtered, or after it, and then withdraws it. (SQLite has one writer at a time.)
    """
    found: set[int] = set()
    for some in slices(sorted(image_ids)):
        query = select(gallery_images.c.image_id).where(gallery_images.c.image_id.in_(some) & _is_alive())
        found |= set((await tx.execute(query.with_for_update(read=True))).scalars())
    return found


async def searched_images(tx: Transaction, image_ids: Collection[int]) -> set[int]:
    """Which of these images are searched at this moment. Unlike `alive_image_ids` it holds none of them."""
    found: set[int] = set()
    for some in slices(sorted(image_ids)):
        query = select(gallery_images.c.image_id).where(gallery_images.c.image_id.in_(some) & _is_alive())
        found |= set((await tx.execute(query)).scalars())
    return found


async def living_pictures(tx: Transaction, image_ids: Collection[int]) -> Mapping[int, LivingPicture]:
    """The sealed pictures of those images that are searched and have one, by image id (P25)."""
    found: dict[int, LivingPicture] = {}
    for some in slices(sorted(image_ids)):
        query = select(gallery_images.c.image_id, gallery_images.c.image_object, gallery_images.c.taken_on)
        where = gallery_images.c.image_id.in_(some) & _is_alive() & gallery_images.c.image_object.is_not(None)
        rows = await tx.execute(query.where(where))
        found |= {row.image_id: LivingPicture(row.image_object, row.taken_on) for row in rows}
    return found


async def tell_dates(tx: Transaction, gallery: str, dates: Mapping[str, tuple[str, str]], *, changing: bool) -> int:
    """Notes when enrolled images were taken where that was not known; says of how many. A date that is known stays.

    dates: (subject reference, date) by the sha256 of the image. changing: otherwise nothing is written.
    """
    unknown = (gallery_images.c.gallery == gallery) & _is_alive() & gallery_images.c.taken_on.is_(None)
    joined = gallery_images.join(subjects, gallery_images.c.subject_id == subjects.c.subject_id)
    columns = (gallery_images.c.image_id, gallery_images.c.image_sha256, subjects.c.subject_ref)
    told = 0
    for some in slices(sorted(dates)):
        query = select(*columns).select_from(joined).where(unknown & gallery_images.c.image_sha256.in_(some))
        for row in (await tx.execute(query.order_by(gallery_images.c.image_id))).all():
            subject_ref, taken_on = dates[row.image_sha256]
            if row.subject_ref != subject_ref:
                continue
            told += 1
            if changing:
                statement = update(gallery_images).where(gallery_images.c.image_id == row.image_id)
                await tx.execute(statement.values(taken_on=taken_on))
    return told


async def segments(tx: Transaction, gallery: str, *, after: int, up_to: int) -> Sequence[SegmentRecord]:
    """The segments that were added in the versions after `after`, up to and with `up_to`, in their order."""
    query = select(gallery_segments).where(
        (gallery_segments.c.gallery == gallery) & _between(gallery_segments.c.added_version, after, up_to)
    )
    rows = await tx.execute(query.order_by(gallery_segments.c.added_version, gallery_segments.c.segment_id))
    return [SegmentRecord(**row) for row in rows.mappings()]


async def placements(tx: Transaction, segment_id: str, *, after: int = -1, up_to: int) -> Placements:
    """The images of a segment that were added after version `after` and are alive in version `up_to`, by row.

    A merged segment is as new as its newest row and holds older ones too, which a reader may have already.

    The database joins each column to one text, all in the order in which it meets the rows: of a million images every
    row that becomes an object of its own costs more than its template.
    """
    columns = (gallery_images.c.segment_row, gallery_images.c.image_id, gallery_images.c.subject_id)
    alive = or_(gallery_images.c.removed_version.is_(None), gallery_images.c.removed_version > up_to)
    added = _between(gallery_images.c.added_version, after, up_to)
    query = select(*(func.aggregate_strings(cast(column, String), ",") for column in columns))
    texts = (await tx.execute(query.where((gallery_images.c.segment_id == segment_id) & added & alive))).one()
    found = [_numbers(text) for text in texts]
    order = np.argsort(found[0], kind="stable")
    return Placements(*(column[order] for column in found))


def _numbers(text: str | None) -> npt.NDArray[np.int64]:
    return np.fromstring(text or "", np.int64, sep=",")


async def removed_image_ids(tx: Transaction, gallery: str, *, after: int, up_to: int) -> Sequence[int]:
    """The images that were removed in the versions after `after`, up to and with `up_to`; in no order."""
    query = select(gallery_images.c.image_id).where(
        (gallery_images.c.gallery == gallery) & _between(gallery_images.c.removed_version, after, up_to)
    )
    return list((await tx.execute(query)).scalars())


async def removal_moments(tx: Transaction, gallery: str, *, after: int, up_to: int) -> Sequence[datetime]:
    """When each of these versions that removed somebody was committed, one moment for each version."""
    query = select(func.max(gallery_removals.c.removed_at, type_=gallery_removals.c.removed_at.type)).where(
        (gallery_removals.c.gallery == gallery) & _between(gallery_removals.c.removed_version, after, up_to)
    )
    grouped = query.group_by(gallery_removals.c.removed_version).order_by(gallery_removals.c.removed_version)
    return list((await tx.execute(grouped)).scalars())


async def count_segments(tx: Transaction, gallery: str) -> int:
    """All segments of the gallery."""
    query = select(func.count()).select_from(gallery_segments).where(gallery_segments.c.gallery == gallery)
    return int((await tx.execute(query)).scalar_one())


async def segments_to_scrub(tx: Transaction, gallery: str) -> Sequence[SegmentRecord]:
    """Segments in which a removed image's template still lies."""
    query = select(gallery_segments).where((gallery_segments.c.gallery == gallery) & _needs_scrubbing())
    rows = (await tx.execute(query.order_by(gallery_segments.c.segment_id))).mappings()
    return [SegmentRecord(**row) for row in rows]


async def removed_rows(tx: Transaction, segment_id: str, *, up_to: int) -> Sequence[int]:
    """The rows of a segment whose images were removed in version `up_to` or before."""
    query = select(gallery_images.c.segment_row).where(
        (gallery_images.c.segment_id == segment_id) & (gallery_images.c.removed_version <= up_to)
    )
    return list((await tx.execute(query)).scalars())


async def replace_segment_object(
    tx: Transaction, before: SegmentRecord, *, object_key: str, scrubbed_version: int
) -> bool:
    """Lets the segment lie in another object. False when somebody else replaced it meanwhile."""
    statement = update(gallery_segments).where(
        (gallery_segments.c.segment_id == before.segment_id) & (gallery_segments.c.object_key == before.object_key)
    )
    values = {"object_key": object_key, "scrubbed_version": scrubbed_version}
    return (await tx.execute(statement.values(values))).rowcount == 1


async def counts(tx: Transaction, gallery: str, *, now: datetime) -> GalleryCounts:
    """Counts the gallery's content; reads every row of it."""
    alive = and_(gallery_images.c.gallery == gallery, _is_alive())

    async def one(query: Select[Any]) -> Any:
        return (await tx.execute(query)).scalar_one()

    of_gallery = gallery_segments.c.gallery == gallery
    removals = gallery_removals.c.gallery == gallery
    soonest = select(func.min(gallery_images.c.retain_until, type_=gallery_images.c.retain_until.type)).where(alive)
    return GalleryCounts(
        subjects=await one(select(func.count(gallery_images.c.subject_id.distinct())).where(alive)),
        images=await one(select(func.count()).select_from(gallery_images).where(alive)),
        images_with_picture=await one(select(func.count(gallery_images.c.image_object)).where(alive)),
        images_removed=await one(
            select(func.count())
            .select_from(gallery_images)
            .where((gallery_images.c.gallery == gallery) & gallery_images.c.removed_version.is_not(None))
        ),
        images_past_retention=await one(
            select(func.count()).select_from(gallery_images).where(alive & (gallery_images.c.retain_until <= now))
        ),
        next_retention=await one(soonest),
        segments=await one(select(func.count()).select_from(gallery_segments).where(of_gallery)),
        segments_to_scrub=await one(
            select(func.count()).select_from(gallery_segments).where(of_gallery & _needs_scrubbing())
        ),
        removals=await one(select(func.count()).select_from(gallery_removals).where(removals)),
        removals_without_second_receipt=await one(
            select(func.count())
            .select_from(gallery_removals)
            .where(removals & gallery_removals.c.bytes_gone_at.is_(None))
        ),
        size_bytes=await one(_stored_bytes(gallery_segments.c.object_key, of_gallery))
        + await one(_stored_bytes(gallery_images.c.image_object, alive)),
    )


def _stored_bytes(object_key: ColumnElement[Any], where: ColumnElement[bool]) -> Select[Any]:
    total = func.coalesce(func.sum(object_keys.c.size_bytes), 0)
    return select(total).where(object_keys.c.object_key.in_(select(object_key).where(where)))


def _is_alive() -> ColumnElement[bool]:
    return gallery_images.c.removed_version.is_(None)


def _needs_scrubbing() -> ColumnElement[bool]:
    return (
        select(gallery_images.c.image_id)
        .where(
            (gallery_images.c.segment_id == gallery_segments.c.segment_id)
            & (gallery_images.c.removed_version > gallery_segments.c.scrubbed_version)
        )
        .exists()
    )


def _between(version: ColumnElement[Any], after: int, up_to: int) -> ColumnElement[bool]:
    return and_(version > after, version <= up_to)
