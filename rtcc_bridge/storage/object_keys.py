"""The wrapped keys of sealed objects. Deleting a row makes its object unreadable for ever."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import ColumnElement, delete, func, insert, select, true, update

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.slices import slices
from rtcc_bridge.storage.tables import object_keys

GALLERY_PREFIX: Final = "gallery-segment/"
"""How the names of objects begin that hold the templates of a gallery."""


class Kinds(StrEnum):
    """Which objects are meant: where the galleries' templates have a master key of their own, the two are apart."""

    ALL = "all"
    GALLERY = "gallery"
    OTHERS = "others"


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectKeyRecord:
    """One row. size_bytes is that of the plain object."""

    object_key: str
    wrapped_key: bytes
    master_key_id: str
    size_bytes: int
    created_at: datetime


async def add(tx: Transaction, records: Sequence[ObjectKeyRecord]) -> None:
    """Adds rows; none is fine. Quickly, as `galleries.insert_images`: there are as many as images."""
    if records:
        names = [field.name for field in fields(ObjectKeyRecord)]
        await tx.execute(insert(object_keys), [{name: getattr(record, name) for name in names} for record in records])


async def find(tx: Transaction, object_key: str) -> ObjectKeyRecord | None:
    """The key of an object, or None when it was destroyed or never recorded."""
    row = (await tx.execute(select(object_keys).where(object_keys.c.object_key == object_key))).mappings().one_or_none()
    return None if row is None else ObjectKeyRecord(**row)


async def known(tx: Transaction, keys: Collection[str]) -> set[str]:
    """Which of these objects have a key."""
    found: set[str] = set()
    for some in slices(keys):
        found |= set(await tx.scalars(select(object_keys.c.object_key).where(object_keys.c.object_key.in_(some))))
    return found


async def count_by_master_key(tx: Transaction, kinds: Kinds = Kinds.ALL) -> Mapping[str, int]:
    """How many keys each master key wraps."""
    query = select(object_keys.c.master_key_id, func.count()).where(_of(kinds)).group_by(object_keys.c.master_key_id)
    return {row[0]: row[1] for row in await tx.execute(query.order_by(object_keys.c.master_key_id))}


async def wrapped_by_others(
    tx: Transaction, master_key_id: str, after: str, limit: int, kinds: Kinds = Kinds.ALL
) -> list[ObjectKeyRecord]:
    """Keys that another master key wraps, of the objects after this one in the order of their names."""
    query = select(object_keys).where(object_keys.c.master_key_id != master_key_id, object_keys.c.object_key > after)
    query = query.where(_of(kinds))
    rows = (await tx.execute(query.order_by(object_keys.c.object_key).limit(limit))).mappings()
    return [ObjectKeyRecord(**row) for row in rows]


def _of(kinds: Kinds) -> ColumnElement[bool]:
    in_gallery = object_keys.c.object_key.startswith(GALLERY_PREFIX, autoescape=True)
    match kinds:
        case Kinds.ALL:
            return true()
        case Kinds.GALLERY:
            return in_gallery
        case Kinds.OTHERS:
            return ~in_gallery


async def names_after(tx: Transaction, after: str, limit: int) -> list[str]:
    """The names of objects that have a key, those after this one, in their order."""
    query = select(object_keys.c.object_key).where(object_keys.c.object_key > after)
    return list(await tx.scalars(query.order_by(object_keys.c.object_key).limit(limit)))


async def rewrap(tx: Transaction, before: ObjectKeyRecord, wrapped_key: bytes, master_key_id: str) -> bool:
    """Puts the same key in another wrapping. False when it was destroyed or wrapped anew meanwhile."""
    statement = update(object_keys).where(
        object_keys.c.object_key == before.object_key, object_keys.c.wrapped_key == before.wrapped_key
    )
    values = {"wrapped_key": wrapped_key, "master_key_id": master_key_id}
    return (await tx.execute(statement.values(values))).rowcount == 1


async def remove_many(tx: Transaction, keys: Collection[str]) -> None:
    """Deletes the keys of any number of objects."""
    for some in slices(keys):
        await remove(tx, some)


async def remove(tx: Transaction, keys: Collection[str]) -> int:
    """Deletes the keys of these objects and says how many there were."""
    if not keys:
        return 0
    return (await tx.execute(delete(object_keys).where(object_keys.c.object_key.in_(keys)))).rowcount
