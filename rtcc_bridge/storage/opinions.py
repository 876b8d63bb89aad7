"""What examiners think of a list: private until all who have to conclude have done so (P12)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.inserts import replace_all
from rtcc_bridge.storage.slices import slices
from rtcc_bridge.storage.tables import examinations, opinions


@dataclass(frozen=True, slots=True, kw_only=True)
class OpinionRecord:
    """One row of `opinions`.

    opinion: as JSON, by the examiner's own references. aids: [{candidateRef, aid}, ...] by them too, which the examiner
    does not write. nonce: none while it is a draft.
    """

    examination_id: str
    opinion: Mapping[str, Any]
    aids: Sequence[Mapping[str, str]] | None
    nonce: str | None
    updated_at: datetime


async def put(tx: Transaction, record: OpinionRecord) -> None:
    """Writes the opinion over what the same examination had before."""
    await replace_all(tx, opinions, [asdict(record)])


async def find(tx: Transaction, examination_id: str) -> OpinionRecord | None:
    """The opinion of one examination: for its own examiner."""
    row = (await tx.execute(select(opinions).where(opinions.c.examination_id == examination_id))).mappings()
    found = row.one_or_none()
    return None if found is None else OpinionRecord(**found)


async def find_all(tx: Transaction, examination_ids: Iterable[str]) -> Mapping[str, OpinionRecord]:
    """The opinions of several examinations, by examination; one that has none is left out."""
    records: dict[str, OpinionRecord] = {}
    for some in slices(examination_ids):
        rows = await tx.execute(select(opinions).where(opinions.c.examination_id.in_(some)))
        records |= {row["examination_id"]: OpinionRecord(**row) for row in rows.mappings()}
    return records


async def filed_of_lead(tx: Transaction, lead_id: str) -> Mapping[int, OpinionRecord]:
    """The opinions that were filed on a lead, by round: for who compares them, and for nobody's screen."""
    joined = opinions.join(examinations, examinations.c.examination_id == opinions.c.examination_id)
    where = (examinations.c.lead_id == lead_id) & examinations.c.filed_at.is_not(None)
    query = select(examinations.c.round, *opinions.c).select_from(joined).where(where)
    rows = (await tx.execute(query.order_by(examinations.c.round))).mappings()
    return {row["round"]: OpinionRecord(**{one.name: row[one.name] for one in opinions.c}) for row in rows}
