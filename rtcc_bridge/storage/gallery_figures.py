"""What pages tell of a gallery: where its pictures come from, and what was removed. Nobody is named."""

from collections.abc import Sequence
from dataclasses import dataclass
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


async def holdings(tx: Transaction, gallery: str, *, now: datetime) -> Holdings:
    """Reads of every image an entry of an index, person by person: in another order it costs twice as much to tell the
    people apart."""
    until, ours = _IMAGE.retain_until, _IMAGE.gallery == gallery
    living = ours & _IMAGE.removed_version.is_(None)
    pictures = func.count(_IMAGE.image_object).label("with_picture")
    each = select(func.count().label("images"), pictures).where(living).group_by(_IMAGE.subject_id).subquery()
    past = select(func.count()).select_from(gallery_images).where(living & (until <= now))
    removed = select(func.count()).select_from(gallery_images).where(ours & _IMAGE.removed_version.is_not(None))
    segments = select(func.count()).select_from(gallery_segments).where(gallery_segments.c.gallery == gallery)
    query = select(
        func.count().label("people"),
        _total(each.c.images).label("images"),
        _total(each.c.with_picture).label("with_picture"),
        past.scalar_subquery().label("past_retention"),
        select(func.min(until, type_=until.type)).where(living).scalar_subquery().label("next_retention"),
        removed.scalar_subquery().label("removed"),
        segments.scalar_subquery().label("segments"),
    ).select_from(each)
    found = (await tx.execute(query)).mappings().one()
    return Holdings(**found, waiting=await gallery_upkeep.unsettled_removals(tx, gallery))


def _total(counts: ColumnElement[int]) -> ColumnElement[int]:
    """Of whole numbers a whole one on PostgreSQL too; 0 of none."""
    return cast(func.coalesce(func.sum(counts), 0), BigInteger)


async def sources(tx: Transaction, gallery: str, limit: int) -> Sequence[Source]:
    """Where the gallery's living images come from, the most frequent first. Reads every row of it."""
    until = _IMAGE.retain_until
    query = (
        select(
            _IMAGE.provenance,
            _IMAGE.lawful_basis,
            func.count().label("images"),
            func.count(_IMAGE.subject_id.distinct()).label("people"),
            (func.count() - func.count(_IMAGE.image_object)).label("without_picture"),
            func.min(until, type_=until.type).label("first_retention"),
            func.max(until, type_=until.type).label("last_retention"),
        )
        .where((_IMAGE.gallery == gallery) & _IMAGE.removed_version.is_(None))
        .group_by(_IMAGE.provenance, _IMAGE.lawful_basis)
        .order_by(func.count().desc(), _IMAGE.provenance, _IMAGE.lawful_basis)
        .limit(limit)
    )
    return [Source(**row) for row in (await tx.execute(query)).mappings()]


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
