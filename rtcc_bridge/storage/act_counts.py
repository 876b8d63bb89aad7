"""How often what was done, and what was refused, by day (UTC), without reading the audit log through.

An entry never changes, and neither does its place in the log. So each is counted once, in the order of the places, up
to a mark; what is not counted yet is counted when somebody asks. The counts may lag, and what is told is never wrong,
whoever writes the log meanwhile. They hold for one choice of actions: a revision that makes another one has to empty
both tables, and all is counted anew.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, String, case, func, select, update

from rtcc_bridge.storage import audit_tree
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.inserts import add_to_all, insert_if_absent
from rtcc_bridge.storage.slices import padded
from rtcc_bridge.storage.tables import act_count_marks, act_counts, audit_entries

_ENTRY: Final = audit_entries.c
_COUNT: Final = act_counts.c
_MARK: Final = "placed"


@dataclass(frozen=True, slots=True)
class ActCount:
    """How often the same was done, or refused. rule: of refusals alone; purpose and gallery: of all else, where the
    entry names one."""

    is_refused: bool
    rule: str | None
    purpose: str | None
    gallery: str | None
    count: int


async def of_days(
    tx: Transaction, actions: Collection[str], days: Collection[date], *, refused: str
) -> Mapping[date, Sequence[ActCount]]:
    """What the log says of these actions and of refusals, whose outcome is `refused`, by day; a day may be missing.

    To be asked in a snapshot: what is counted and what is not must be of one moment. The same act may be counted in
    several parts.
    """
    size = (await tx.execute(select(act_count_marks.c.size))).scalar_one_or_none() or 0
    # No condition on the time: with it the database goes through all entries of these days to find the few.
    rest = _ENTRY.position.is_(None) | (_ENTRY.position >= size)
    found: defaultdict[date, list[ActCount]] = defaultdict(list)
    for query in (_kept(days), _counted(tx, actions, refused, rest)):
        for row in await tx.execute(query):
            found[date.fromisoformat(row.day)].append(
                ActCount(row.is_refused, row.rule or None, row.purpose or None, row.gallery or None, row.times)
            )
    return {day: found[day] for day in days if day in found}


async def count_on(tx: Transaction, actions: Collection[str], *, refused: str, limit: int) -> int:
    """Counts at most so many entries that have got their place; returns how many, those of other actions too.

    Of two transactions that do it at once the second waits, and goes on where the first has ended.
    """
    await insert_if_absent(tx, act_count_marks, {"name": _MARK, "size": 0})
    size = (await tx.execute(select(act_count_marks.c.size).with_for_update())).scalar_one()
    end = min(await audit_tree.size(tx), size + limit)
    if end > size:
        new = (_ENTRY.position >= size) & (_ENTRY.position < end)
        rows = await tx.execute(_counted(tx, actions, refused, new))
        await add_to_all(tx, act_counts, [dict(row) for row in rows.mappings()], "times")
        await tx.execute(update(act_count_marks).values(size=end))
    return max(0, int(end - size))


async def is_behind(tx: Transaction, by: int) -> bool:
    """Whether more than so many entries that have their place are not counted yet."""
    size = (await tx.execute(select(act_count_marks.c.size))).scalar_one_or_none() or 0
    return await audit_tree.size(tx) - size > by


def _kept(days: Collection[date]) -> Select[Any]:
    return select(act_counts).where(_COUNT.day.in_(padded(sorted(day.isoformat() for day in days))))


def _counted(tx: Transaction, actions: Collection[str], refused: str, which: ColumnElement[bool]) -> Select[Any]:
    """Rows as of `act_counts`, counted by the database: no entry is fetched."""
    is_refused = _ENTRY.outcome == refused

    def told(*path: str, of_refusals: bool) -> ColumnElement[str]:
        named = case((is_refused == of_refusals, _ENTRY.entry[("details", *path)].as_string()))
        return func.coalesce(named, "")

    # Named in a query of their own: of an expression with parameters PostgreSQL does not see that it is grouped by.
    each = (
        select(
            _day(tx).label("day"),
            is_refused.label("is_refused"),
            told("rule", of_refusals=True).label("rule"),
            told("purpose", of_refusals=False).label("purpose"),
            told("search", "gallery", of_refusals=False).label("gallery"),
        )
        .where(which & (_ENTRY.action.in_(padded(sorted(actions))) | is_refused))
        .subquery()
    )
    return select(each, func.count().label("times")).group_by(*each.c).order_by(*each.c)


def _day(tx: Transaction) -> ColumnElement[str]:
    """Of an entry, in UTC: SQLite's times are texts in it, and PostgreSQL's connections have it as their zone."""
    if tx.dialect.name == "postgresql":
        return func.to_char(_ENTRY.at, "YYYY-MM-DD", type_=String())
    return func.substr(_ENTRY.at, 1, 10, type_=String())
