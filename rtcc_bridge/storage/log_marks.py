"""How much of the audit log has been read by what keeps some of it apart: so many entries, from its first place on."""

from sqlalchemy import select, update

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.inserts import insert_if_absent
from rtcc_bridge.storage.tables import log_marks


async def size(tx: Transaction, name: str) -> int:
    """Of the reader of this name; 0 before its first time."""
    found = (await tx.execute(select(log_marks.c.size).where(log_marks.c.name == name))).scalar_one_or_none()
    return 0 if found is None else int(found)


async def hold(tx: Transaction, name: str) -> int:
    """The same; a second reader of the name waits until this transaction has ended."""
    await insert_if_absent(tx, log_marks, {"name": name, "size": 0})
    query = select(log_marks.c.size).where(log_marks.c.name == name).with_for_update()
    return int((await tx.execute(query)).scalar_one())


async def move(tx: Transaction, name: str, to: int) -> None:
    """The caller has held it in the same transaction."""
    await tx.execute(update(log_marks).where(log_marks.c.name == name).values(size=to))
