"""What the record system said of how long an image may be kept: its last word counts, in whatever order it comes.

Of an image that is searched the word stands in its row. Of one that is not in the gallery (yet) it is kept here,
without the person's reference: a booking of before, which comes late, must not let an image in that the record system
has closed since.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, and_, delete, select, update

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.galleries import RemovalKind, removed_digests
from rtcc_bridge.storage.inserts import replace_all
from rtcc_bridge.storage.slices import slices
from rtcc_bridge.storage.tables import gallery_images, retention_words, subjects

_Key: TypeAlias = tuple[str, str]
"""The sha256 of an image's bytes, the digest of the reference of the person whom a word says to be on it."""


@dataclass(frozen=True, slots=True)
class RetentionSaid:
    """What the record system said at some time of how long a picture of a person may be kept."""

    subject_ref: str
    subject_digest: str
    image_sha256: str
    until: datetime
    said_at: datetime


@dataclass(frozen=True, slots=True)
class RetentionWord:
    """The last word of an image that is not in the gallery."""

    until: datetime
    said_at: datetime


@dataclass(frozen=True, slots=True)
class MovedDate:
    """A newer word of an image that is searched. is_other: its date is another one by it."""

    image_id: int
    subject_id: int
    said: RetentionSaid
    is_other: bool


@dataclass(frozen=True, slots=True)
class RetentionNews:
    """What of the words is newer than what is known: of images that are searched, and of images that never were."""

    moved: Sequence[MovedDate]
    kept: Sequence[RetentionSaid]


async def news(tx: Transaction, gallery: str, said: Sequence[RetentionSaid]) -> RetentionNews:
    """What these words change. One about an image that was removed, or enrolled as somebody else, changes nothing.

    Of two words of the same moment the earlier date counts, so that it is the same in whatever order they come.
    """
    last = _last_of(said)
    sha256s = {sha256 for sha256, _ in last}
    enrolled = await _enrolled(tx, gallery, sha256s)
    known = await _known(tx, gallery, sha256s)
    removed = await removed_digests(tx, gallery, RemovalKind.IMAGE, sha256s)
    removed |= await removed_digests(tx, gallery, RemovalKind.SUBJECT, {digest for _, digest in last})
    moved: list[MovedDate] = []
    kept: list[RetentionSaid] = []
    for key, one in last.items():
        image = enrolled.get(one.image_sha256)
        if image is not None:
            is_this = image.removed_version is None and image.subject_ref == one.subject_ref
            if is_this and _is_news(image.retain_until, image.retention_told_at, one):
                moved.append(MovedDate(image.image_id, image.subject_id, one, image.retain_until != one.until))
        elif not removed.intersection(key) and (key not in known or _is_newer(one, known[key])):
            kept.append(one)
    return RetentionNews(moved, kept)


async def take_in(tx: Transaction, gallery: str, found: RetentionNews) -> None:
    """Writes what `news` found in the same transaction, which holds the gallery: nobody may enrol in between."""
    for one in found.moved:
        values = {"retain_until": one.said.until, "retention_told_at": one.said.said_at}
        await tx.execute(update(gallery_images).where(gallery_images.c.image_id == one.image_id).values(values))
    rows = [
        {
            "gallery": gallery,
            "image_sha256": one.image_sha256,
            "subject_digest": one.subject_digest,
            "until": one.until,
            "said_at": one.said_at,
        }
        for one in found.kept
    ]
    await replace_all(tx, retention_words, sorted(rows, key=lambda row: (row["image_sha256"], row["subject_digest"])))


async def last_words(
    tx: Transaction, gallery: str, digests: Mapping[str, str], *, taking: bool = False
) -> Mapping[str, RetentionWord]:
    """The last word of these images, by the sha256 of their bytes. digests: of the person's reference, by the same.

    taking: they are not kept any longer, since their images are enrolled in this transaction.
    """
    known = await _known(tx, gallery, digests)
    found = {sha256: known[key] for key in known if digests[sha256 := key[0]] == key[1]}
    if taking and found:
        await _delete(tx, gallery, retention_words.c.image_sha256, found)
    return found


async def is_spoken_of(tx: Transaction, gallery: str) -> bool:
    """Whether the record system has ever booked a picture for this gallery."""
    said = select(retention_words.c.gallery).where(retention_words.c.gallery == gallery)
    told = (gallery_images.c.gallery == gallery) & gallery_images.c.retention_told_at.is_not(None)
    image = select(gallery_images.c.gallery).where(told)
    return any([(await tx.execute(query.limit(1))).first() is not None for query in (said, image)])


async def forget(tx: Transaction, gallery: str, kind: RemovalKind, digest: str) -> None:
    """Keeps no word of a person, or of an image, that is kept out for ever."""
    column = retention_words.c.image_sha256 if kind is RemovalKind.IMAGE else retention_words.c.subject_digest
    await _delete(tx, gallery, column, (digest,))


def _last_of(said: Sequence[RetentionSaid]) -> Mapping[_Key, RetentionSaid]:
    last: dict[_Key, RetentionSaid] = {}
    for one in said:
        key = (one.image_sha256, one.subject_digest)
        if key not in last or _is_newer(one, last[key]):
            last[key] = one
    return last


def _is_newer(said: RetentionSaid, known: RetentionSaid | RetentionWord) -> bool:
    return _is_news(known.until, known.said_at, said)


def _is_news(until: datetime, told_at: datetime | None, said: RetentionSaid) -> bool:
    return told_at is None or said.said_at > told_at or (said.said_at == told_at and said.until < until)


async def _enrolled(tx: Transaction, gallery: str, sha256s: Collection[str]) -> Mapping[str, Any]:
    """The image with each of these bytes, searched or not any more."""
    names = ("image_id", "image_sha256", "subject_id", "retain_until", "retention_told_at", "removed_version")
    columns = [*(gallery_images.c[name] for name in names), subjects.c.subject_ref]
    joined = gallery_images.join(subjects, subjects.c.subject_id == gallery_images.c.subject_id)
    found: dict[str, Any] = {}
    for some in slices(sha256s):
        query = select(*columns).select_from(joined)
        query = query.where((gallery_images.c.gallery == gallery) & gallery_images.c.image_sha256.in_(some))
        found |= {row.image_sha256: row for row in await tx.execute(query)}
    return found


async def _known(tx: Transaction, gallery: str, sha256s: Collection[str]) -> Mapping[_Key, RetentionWord]:
    found: dict[_Key, RetentionWord] = {}
    for some in slices(sha256s):
        query = select(retention_words).where(_is_of(gallery, retention_words.c.image_sha256, some))
        for row in await tx.execute(query):
            found[row.image_sha256, row.subject_digest] = RetentionWord(row.until, row.said_at)
    return found


async def _delete(tx: Transaction, gallery: str, column: ColumnElement[str], values: Collection[str]) -> None:
    for some in slices(values):
        await tx.execute(delete(retention_words).where(_is_of(gallery, column, some)))


def _is_of(gallery: str, column: ColumnElement[str], values: Sequence[str]) -> ColumnElement[bool]:
    return and_(retention_words.c.gallery == gallery, column.in_(values))
