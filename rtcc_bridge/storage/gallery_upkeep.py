"""What happens to galleries as time passes: retention that ends, segments that are merged, bytes that are gone."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, or_, select, update

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.galleries import GalleryImageRecord, SegmentRecord
from rtcc_bridge.storage.tables import galleries, gallery_images, gallery_removals, gallery_segments


@dataclass(frozen=True, slots=True)
class SegmentUse:
    """A segment and how many of its rows are searched."""

    segment: SegmentRecord
    living: int


@dataclass(frozen=True, slots=True)
class SegmentRow:
    """Where the template of an image lies."""

    image_id: int
    segment_id: str
    segment_row: int


@dataclass(frozen=True, slots=True)
class SettledRemoval:
    """A version that removed somebody, of which no template lies in a segment any more."""

    version: int
    removed_at: datetime


async def past_retention(tx: Transaction, gallery: str, *, now: datetime, limit: int) -> Sequence[GalleryImageRecord]:
    """Images that are still searched after their retention date, the longest overdue first."""
    query = select(gallery_images).where((gallery_images.c.gallery == gallery) & _is_past(now))
    rows = await tx.execute(query.order_by(gallery_images.c.retain_until, gallery_images.c.image_id).limit(limit))
    return [GalleryImageRecord(**row) for row in rows.mappings()]


async def count_past_retention(tx: Transaction, *, now: datetime) -> int:
    """Images of all galleries that are still searched after their retention date."""
    query = select(func.count()).select_from(gallery_images).where(_is_past(now))
    return int((await tx.execute(query)).scalar_one())


async def unsettled_removals(tx: Transaction, gallery: str) -> int:
    """Acts of removal without a second receipt: one may have taken a person with several images out."""
    version = gallery_removals.c.removed_version
    query = select(func.count(version.distinct())).where(_is_unsettled(gallery))
    return int((await tx.execute(query)).scalar_one())


async def settle_removals(tx: Transaction, gallery: str, *, at: datetime) -> Sequence[SettledRemoval]:
    """Notes of which removals every template is gone by now, and returns those that were not noted before."""
    lies_somewhere = (
        select(gallery_images.c.image_id)
        .join(gallery_segments, gallery_segments.c.segment_id == gallery_images.c.segment_id)
        .where(
            (gallery_images.c.gallery == gallery)
            & (gallery_images.c.removed_version == gallery_removals.c.removed_version)
            & (gallery_images.c.removed_version > gallery_segments.c.scrubbed_version)
        )
        .exists()
    )
    columns = (gallery_removals.c.removed_version, gallery_removals.c.removed_at)
    statement = update(gallery_removals).where(_is_unsettled(gallery) & ~lies_somewhere)
    rows = await tx.execute(statement.values(bytes_gone_at=at).returning(*columns))
    settled = {row.removed_version: row.removed_at for row in rows}
    return [SettledRemoval(version, removed_at) for version, removed_at in sorted(settled.items())]


async def segments_in_use(tx: Transaction, gallery: str) -> Sequence[SegmentUse]:
    """Every segment of the gallery, oldest first. Reads the rows of removed images only, however many live."""
    removed = (
        select(gallery_images.c.segment_id, func.count().label("rows"))
        .where((gallery_images.c.gallery == gallery) & gallery_images.c.removed_version.is_not(None))
        .group_by(gallery_images.c.segment_id)
        .subquery()
    )
    query = (
        select(gallery_segments, func.coalesce(removed.c.rows, 0).label("removed"))
        .outerjoin(removed, removed.c.segment_id == gallery_segments.c.segment_id)
        .where(gallery_segments.c.gallery == gallery)
        .order_by(gallery_segments.c.added_version, gallery_segments.c.segment_id)
    )
    found = []
    for row in (await tx.execute(query)).mappings():
        values = dict(row)
        removed_rows = values.pop("removed")
        found.append(SegmentUse(SegmentRecord(**values), values["rows"] - removed_rows))
    return found


async def hold(tx: Transaction, gallery: str) -> int:
    """Keeps other writers of the gallery waiting until this transaction ends, and returns the gallery's version.

    For a change that makes no version of its own. SQLite has one writer at a time.
    """
    query = select(galleries.c.version).where(galleries.c.name == gallery).with_for_update()
    return int((await tx.execute(query)).scalar_one())


async def living_rows(
    tx: Transaction, segment_ids: Collection[str], *, up_to: int, after: int, limit: int
) -> Sequence[SegmentRow]:
    """The rows of these segments that version `up_to` searches, by image id: the order in which `move_rows` counts.

    So many at most, of images with a higher id than `after`.
    """
    query = select(gallery_images.c.image_id, gallery_images.c.segment_id, gallery_images.c.segment_row)
    query = query.where(_lives_in(segment_ids, up_to) & (gallery_images.c.image_id > after))
    rows = await tx.execute(query.order_by(gallery_images.c.image_id).limit(limit))
    return [SegmentRow(*row) for row in rows]


async def move_rows(tx: Transaction, segment_ids: Collection[str], *, up_to: int, into: str) -> int:
    """Lets the rows that `living_rows` gives lie in another segment, in that order; returns how many there were."""
    number = func.row_number().over(order_by=gallery_images.c.image_id) - 1
    numbered = select(gallery_images.c.image_id, number.label("row")).where(_lives_in(segment_ids, up_to)).subquery()
    statement = update(gallery_images).where(gallery_images.c.image_id == numbered.c.image_id)
    return (await tx.execute(statement.values(segment_id=into, segment_row=numbered.c.row))).rowcount


async def remove_segments(tx: Transaction, segments: Sequence[SegmentRecord]) -> bool:
    """Deletes segments whose rows were moved. False when one was rewritten or removed since it was read."""
    removed = 0
    for segment in segments:
        statement = delete(gallery_segments).where(
            (gallery_segments.c.segment_id == segment.segment_id)
            & (gallery_segments.c.object_key == segment.object_key)
        )
        removed += (await tx.execute(statement)).rowcount
    return removed == len(segments)


async def first_version_in(tx: Transaction, segment_id: str) -> int | None:
    """The first version that searches a row of this segment, of the rows that are searched now; None: of none."""
    query = select(func.min(gallery_images.c.added_version)).where(
        (gallery_images.c.segment_id == segment_id) & gallery_images.c.removed_version.is_(None)
    )
    found: int | None = (await tx.execute(query)).scalar_one()
    return found


async def newest_change(tx: Transaction, gallery: str) -> int:
    """The newest version that any row of the gallery speaks of; 0 for a gallery without rows."""
    of_images = select(func.max(gallery_images.c.added_version), func.max(gallery_images.c.removed_version))
    images = (await tx.execute(of_images.where(gallery_images.c.gallery == gallery))).one()
    of_removals = select(func.max(gallery_removals.c.removed_version)).where(gallery_removals.c.gallery == gallery)
    return max(value or 0 for value in (*images, (await tx.execute(of_removals)).scalar_one()))


async def living_after(tx: Transaction, gallery: str, image_id: int, limit: int) -> Sequence[GalleryImageRecord]:
    """Images that are searched, those with a higher id than this one, by id."""
    query = select(gallery_images).where(
        (gallery_images.c.gallery == gallery)
        & (gallery_images.c.image_id > image_id)
        & gallery_images.c.removed_version.is_(None)
    )
    rows = await tx.execute(query.order_by(gallery_images.c.image_id).limit(limit))
    return [GalleryImageRecord(**row) for row in rows.mappings()]


async def count_living(tx: Transaction, gallery: str) -> int:
    """Images that are searched."""
    return int((await tx.execute(_count_living(gallery))).scalar_one())


async def count_pictures(tx: Transaction, gallery: str) -> int:
    """Images that are searched and whose picture is kept."""
    query = _count_living(gallery).where(gallery_images.c.image_object.is_not(None))
    return int((await tx.execute(query)).scalar_one())


async def unplaced_images(tx: Transaction, gallery: str) -> int:
    """Images that are searched and whose segment is not there."""
    placed = select(gallery_segments.c.segment_id).where(gallery_segments.c.gallery == gallery)
    query = _count_living(gallery).where(gallery_images.c.segment_id.not_in(placed))
    return int((await tx.execute(query)).scalar_one())


async def find_segment(tx: Transaction, segment_id: str) -> SegmentRecord | None:
    query = select(gallery_segments).where(gallery_segments.c.segment_id == segment_id)
    row = (await tx.execute(query)).mappings().one_or_none()
    return None if row is None else SegmentRecord(**row)


async def added_after(tx: Transaction, gallery: str, version: int) -> Sequence[int]:
    """The images that are searched now and were not in this version yet."""
    query = select(gallery_images.c.image_id).where(
        (gallery_images.c.gallery == gallery)
        & (gallery_images.c.added_version > version)
        & gallery_images.c.removed_version.is_(None)
    )
    return list((await tx.execute(query)).scalars())


async def removed_since(tx: Transaction, gallery: str, version: int) -> int:
    """How many images of this version were removed after it: their templates are gone."""
    query = (
        select(func.count())
        .select_from(gallery_images)
        .where(
            (gallery_images.c.gallery == gallery)
            & (gallery_images.c.added_version <= version)
            & (gallery_images.c.removed_version > version)
        )
    )
    return int((await tx.execute(query)).scalar_one())


def _count_living(gallery: str) -> Select[Any]:
    of_gallery = (gallery_images.c.gallery == gallery) & gallery_images.c.removed_version.is_(None)
    return select(func.count()).select_from(gallery_images).where(of_gallery)


def _is_past(now: datetime) -> ColumnElement[bool]:
    return gallery_images.c.removed_version.is_(None) & (gallery_images.c.retain_until <= now)


def _is_unsettled(gallery: str) -> ColumnElement[bool]:
    return (gallery_removals.c.gallery == gallery) & gallery_removals.c.bytes_gone_at.is_(None)


def _lives_in(segment_ids: Collection[str], up_to: int) -> ColumnElement[bool]:
    alive = or_(gallery_images.c.removed_version.is_(None), gallery_images.c.removed_version > up_to)
    return gallery_images.c.segment_id.in_(list(segment_ids)) & alive
