"""When somebody last looked for what is to be destroyed; a process that has just started compares its clock to it."""

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import delete, insert, select

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.tables import purge_looks


@dataclass(frozen=True, slots=True)
class PurgeLook:
    """seen_at: what the clock said. distrusted_until: it had leapt, and is believed again from then on."""

    seen_at: datetime
    distrusted_until: datetime | None


async def newest(tx: Transaction, work: str) -> PurgeLook | None:
    """Of this kind of work; None before the first look ever."""
    row = (await tx.execute(select(purge_looks).where(purge_looks.c.name == work))).mappings().one_or_none()
    return None if row is None else PurgeLook(row["seen_at"], row["distrusted_until"])


async def keep(tx: Transaction, work: str, look: PurgeLook) -> None:
    """In place of the one before. One process at a time looks."""
    await tx.execute(delete(purge_looks).where(purge_looks.c.name == work))
    await tx.execute(insert(purge_looks).values(name=work, **asdict(look)))
