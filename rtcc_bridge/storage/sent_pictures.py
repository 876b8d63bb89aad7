"""Pictures that somebody sent on the page of a gallery. What is left of a settled one names nobody on it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.tables import galleries, sent_pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class SentPictureRecord:
    """One row of `sent_pictures`.

    words: what was stated beside it, and face: {object, width, height, landmarks, quality}, as `gallery.sent_pictures`
    writes them; both are gone, with the sealed objects, once it is settled. reason, detail: why it was left out.
    version: of the gallery from which on it is searched.
    """

    picture_id: str
    gallery: str
    image_sha256: str
    sent_by: str
    sent_at: datetime
    words: Mapping[str, Any] | None = None
    face: Mapping[str, Any] | None = None
    picture_object: str | None = None
    reason: str | None = None
    detail: str | None = None
    version: int | None = None
    settled_at: datetime | None = None


async def add(tx: Transaction, record: SentPictureRecord) -> None:
    await tx.execute(insert(sent_pictures).values(asdict(record)))


async def waiting_of(tx: Transaction, gallery: str, image_sha256: str) -> SentPictureRecord | None:
    """The picture with these bytes, while it waits."""
    same = (sent_pictures.c.gallery == gallery) & (sent_pictures.c.image_sha256 == image_sha256)
    query = select(sent_pictures).where(same & sent_pictures.c.settled_at.is_(None))
    row = (await tx.execute(query)).mappings().one_or_none()
    return None if row is None else SentPictureRecord(**row)


async def waiting(tx: Transaction, template_hash: str, limit: int) -> Sequence[SentPictureRecord]:
    """Those that wait for a template of this model, the oldest first."""
    query = select(sent_pictures).join(galleries, galleries.c.name == sent_pictures.c.gallery)
    query = query.where(sent_pictures.c.settled_at.is_(None) & (galleries.c.template_hash == template_hash))
    query = query.order_by(sent_pictures.c.sent_at, sent_pictures.c.picture_id).limit(limit)
    return [SentPictureRecord(**row) for row in (await tx.execute(query)).mappings()]


async def oldest_waiting_at(tx: Transaction) -> datetime | None:
    """When the oldest that waits was sent, of whatever model its gallery is. None: none waits."""
    query = select(sent_pictures.c.sent_at).where(sent_pictures.c.settled_at.is_(None))
    return (await tx.execute(query.order_by(sent_pictures.c.sent_at).limit(1))).scalar()


async def newest(tx: Transaction, gallery: str, limit: int) -> Sequence[SentPictureRecord]:
    """The newest first."""
    query = select(sent_pictures).where(sent_pictures.c.gallery == gallery)
    query = query.order_by(sent_pictures.c.sent_at.desc(), sent_pictures.c.picture_id).limit(limit)
    return [SentPictureRecord(**row) for row in (await tx.execute(query)).mappings()]


async def settle(
    tx: Transaction,
    picture_ids: Collection[str],
    *,
    at: datetime,
    reason: str | None = None,
    detail: str | None = None,
    version: int | None = None,
) -> int:
    """They are enrolled, or left out for this reason; what they were sent with is forgotten. Returns how many waited:
    of what is settled the first word stays."""
    values: dict[str, Any] = {"words": None, "face": None, "picture_object": None}
    values |= {"reason": reason, "detail": detail, "version": version, "settled_at": at}
    waited = sent_pictures.c.picture_id.in_(picture_ids) & sent_pictures.c.settled_at.is_(None)
    return (await tx.execute(update(sent_pictures).where(waited).values(values))).rowcount


async def forget(tx: Transaction, *, settled_before: datetime) -> None:
    """What became of them is known long enough."""
    await tx.execute(delete(sent_pictures).where(sent_pictures.c.settled_at < settled_before))
