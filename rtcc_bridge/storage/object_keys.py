"""The wrapped keys of sealed objects. Deleting a row makes its object unreadable for ever."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.tables import object_keys


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectKeyRecord:
    """One row. size_bytes is that of the plain object."""

    object_key: str
    wrapped_key: bytes
    master_key_id: str
    size_bytes: int
    created_at: datetime


async def add(tx: Transaction, records: Sequence[ObjectKeyRecord]) -> None:
    """Adds rows; none is fine."""
    if records:
        await tx.execute(insert(object_keys), [asdict(record) for record in records])


async def find(tx: Transaction, object_key: str) -> ObjectKeyRecord | None:
    """The key of an object, or None when it was destroyed or never recorded."""
    row = (await tx.execute(select(object_keys).where(object_keys.c.object_key == object_key))).mappings().one_or_none()
    return None if row is None else ObjectKeyRecord(**row)


async def remove(tx: Transaction, keys: Collection[str]) -> int:
    """Deletes the keys of these objects and says how many there were."""
    if not keys:
        return 0
    return (await tx.execute(delete(object_keys).where(object_keys.c.object_key.in_(keys)))).rowcount
