"""Incidents that a watch commander has declared imminent (P14): the last declaration of each."""

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import select

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.inserts import replace_all
from rtcc_bridge.storage.tables import imminent_declarations


@dataclass(frozen=True, slots=True, kw_only=True)
class ImminentDeclaration:
    """One row of `imminent_declarations`."""

    incident_id: str
    declared_by: str
    declared_at: datetime
    ends_at: datetime
    reason: str


async def put(tx: Transaction, declaration: ImminentDeclaration) -> None:
    """In place of an earlier one."""
    await replace_all(tx, imminent_declarations, [asdict(declaration)])


async def find(tx: Transaction, incident_id: str) -> ImminentDeclaration | None:
    """The incident's declaration, also when it has ended."""
    query = select(imminent_declarations).where(imminent_declarations.c.incident_id == incident_id)
    row = (await tx.execute(query)).mappings().one_or_none()
    return None if row is None else ImminentDeclaration(**row)
