"""What pages tell of a gallery: where its pictures come from, and what was removed. Nobody is named."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import BigInteger, ColumnElement, case, cast, func, select

from rtcc_bridge.storage import gallery_upkeep
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.galleries import RemovalKind
from rtcc_bridge.storage.tables import gallery_images, gallery_removals, gallery_segments

_IMAGE = gallery_images.c
_REMOVAL = gallery_removals.c


@dataclass(frozen=True, slots=True)
class Holdings:
    """What is searched at this moment. with_picture: images whose picture is kept. removed: images that are searched no
    more. waiting: people and images that were removed, without a second receipt."""

    people: int
    images: int
    with_picture: int
    past_retention: int
    next_retention: datetime | None
    removed: int
    segments: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Source:
    """The living images of one provenance on one lawful basis. without_picture: templates that came without one."""

    provenance: str
    lawful_basis: str
    images: int
    people: int
    without_picture: int
    first_retention: datetime
    last_retention: datetime


@dataclass(frozen=True, slots=True)
class Removal:
    """What one version of a gallery removed. bytes_gone_at: None while a template of it may lie in a segment."""

    version: int
    removed_at: datetime
    reason: str
    people: int
    images: int
    bytes_gone_at: datetime | None


async def contents(
    tx: Transaction, gallery: str, *, now: datetime, most_sources: int
) -> tuple[Holdings, Sequence[Source]]:
    """What is searched, and where it comes from, the most frequent first. Reads each living image of the gallery twice,
    by indexes: for its source, and for whose it is."""
    totals, found = await _sources(tx, gallery, most_sources)
    until, ours = _IMAGE.retain_until, _IMAGE.gallery == gallery
    living = ours & _IMAGE.removed_version.is_(None)
    people = select(_IMAGE.subject_id).where(living).distinct().subquery()
    past = select(func.count()).select_from(gallery_images).where(living & (until <= now))
    removed = select(func.count()).select_from(gallery_images).where(ours & _IMAGE.removed_version.is_not(None))
    segments = select(func.count()).select_from(gallery_segments).where(gallery_segments.c.gallery == gallery)
    query = select(
        func.count().label("people"),
        past.scalar_subquery().label("past_retention"),
        select(func.min(until, type_=until.type)).where(living).scalar_subquery().label("next_retention"),
        removed.scalar_subquery().label("removed"),
        segments.scalar_subquery().label("segments"),
    ).select_from(people)
    counted = (await tx.execute(query)).mappings().one()
    waiting = await gallery_upkeep.unsettled_removals(tx, gallery)
    return Holdings(**counted, images=totals[0], with_picture=totals[1], waiting=waiting), found


async def _sources(tx: Transaction, gallery: str, limit: int) -> tuple[tuple[int, int], Sequence[Source]]:
    """(images, those with a picture) of all sources, and so many of them."""
    until, images, pictures = _IMAGE.retain_until, func.count(), func.count(_IMAGE.image_object)
    query = (
        select(
            _IMAGE.provenance,
            _IMAGE.lawful_basis,
            images.label("images"),
            func.count(_IMAGE.subject_id.distinct()).label("people"),
            (images - pictures).label("without_picture"),
            func.min(until, type_=until.type).label("first_retention"),
            func.max(until, type_=until.type).label("last_retention"),
            _over_all(images).label("all_images"),
            _over_all(pictures).label("all_pictures"),
        )
        .where((_IMAGE.gallery == gallery) & _IMAGE.removed_version.is_(None))
        .group_by(_IMAGE.provenance, _IMAGE.lawful_basis)
        .order_by(images.desc(), _IMAGE.provenance, _IMAGE.lawful_basis)
        .limit(limit)
    )
    rows = (await tx.execute(query)).all()
    totals = (rows[0].all_images, rows[0].all_pictures) if rows else (0, 0)
    return totals, [Source(*row[: len(fields(Source))]) for row in rows]


def _over_all(counts: ColumnElement[int]) -> ColumnElement[int]:
    """Of the whole numbers of all groups, those that are cut off too; a whole one on PostgreSQL as well."""
    return cast(func.sum(counts).over(), BigInteger)


async def removals(tx: Transaction, gallery: str, limit: int) -> Sequence[Removal]:
    """What was removed for good (P25), by version, the newest first."""
    gone, is_person = _REMOVAL.bytes_gone_at, _REMOVAL.kind == RemovalKind.SUBJECT.value
    all_gone = func.count() == func.count(gone)
    query = (
        select(
            _REMOVAL.removed_version.label("version"),
            _REMOVAL.removed_at,
            _REMOVAL.reason,
            func.sum(case((is_person, 1), else_=0)).label("people"),
            func.sum(case((is_person, 0), else_=1)).label("images"),
            case((all_gone, func.max(gone, type_=gone.type)), else_=None).label("bytes_gone_at"),
        )
        .where(_REMOVAL.gallery == gallery)
        .group_by(_REMOVAL.removed_version, _REMOVAL.removed_at, _REMOVAL.reason)
        .order_by(_REMOVAL.removed_version.desc())
        .limit(limit)
    )
    return [Removal(**row) for row in (await tx.execute(query)).mappings()]
