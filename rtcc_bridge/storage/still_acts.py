"""What was done with stills, for the signs of misuse, without reading the entries of the audit log through.

An entry never changes, and neither does its place in the log. So the few fields of each are kept apart once, in the
order of the places, up to a mark; what lies behind it is read from the log when somebody asks. What is kept may lag,
and what is told is never wrong, whoever writes the log meanwhile. It holds for `ACTIONS`: a revision with another
choice has to empty the table and its mark.

What was refused is left out. An exercise is told by what the incident is at the time of asking.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence, Set
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Select,
    exists,
    false,
    func,
    insert,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from rtcc_bridge.storage import audit_tree, log_marks
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.slices import padded, slices
from rtcc_bridge.storage.streaming import pieces
from rtcc_bridge.storage.tables import audit_entries, incidents, still_acts

ATTACH: Final = "probe.attach"
EDIT: Final = "probe.edit"
CHOOSE: Final = "probe.choose_face"
SEARCH: Final = "probe.search"
APPROVE: Final = "probe.approve"
LAPSE: Final = "probe.approval_lapsed"
ACTIONS: Final = (APPROVE, LAPSE, ATTACH, CHOOSE, EDIT, SEARCH)

_MARK: Final = "still_acts"
_ENTRY: Final = audit_entries.c
_KEPT: Final = still_acts.c
_TOLD: Final = ("at", "actor", "action", "subject", "still", "edits")

Columns = ReadOnlyColumnCollection[str, Any]


class StillAct(NamedTuple):
    """still: the sha256 of the original's bytes. edits: of the still, as JSON, where they are told."""

    at: datetime
    actor: str
    action: str
    subject: str
    still: str | None
    edits: str | None


ActPieces: TypeAlias = AsyncGenerator[Sequence[StillAct], None]
"""Some at a time, as they come from the database: of one still there may be as many as of all."""


class Window(NamedTuple):
    """From `since` on and before `before`."""

    since: datetime
    before: datetime

    def holds(self, at: ColumnElement[datetime]) -> ColumnElement[bool]:
        return (at >= self.since) & (at < self.before)


class StillActs:
    """What is asked of them in one snapshot: what is kept and what is not must be of one moment."""

    def __init__(self, tx: Transaction, kept: int, refused: str) -> None:
        self._tx = tx
        self._refused = refused
        # Found by its place and then read: asked about the time, the database goes through all entries of those days.
        behind = or_(_ENTRY.position.is_(None), _ENTRY.position >= kept)
        self._rest = _from_log(behind, refused).cte("rest").prefix_with("MATERIALIZED")

    async def copies(self, within: Window) -> Sequence[tuple[str, str]]:
        """Stills, each with a face that was cut out of it and out of another one too."""

        def chosen(of: Columns, *told: str) -> Select[Any]:
            columns = (of[name] for name in ("face", *told))
            return select(*columns).where(_did(of, (CHOOSE,), within) & of.face.is_not(None))

        # Nearly all are looked at here, so as little as can be is asked of each: the rest of the few that come again.
        all_seen = self._both(chosen).subquery().c
        again = select(all_seen.face).group_by(all_seen.face).having(func.count() > 1)
        seen = self._both(lambda of: chosen(of, "still", "incident_id")).subquery()
        found: list[tuple[str, str]] = []
        for faces in slices((await self._tx.execute(again)).scalars()):
            query = select(seen.c.still, seen.c.face).where(seen.c.face.in_(faces) & ~_is_exercise(seen.c)).distinct()
            found += [(row.still, row.face) for row in await self._tx.execute(query)]
        stills = Counter(face for _, face in found)
        return [(still, face) for still, face in found if stills[face] > 1]

    async def stills(self, actions: Collection[str], within: Window, *, at_least: int) -> Set[str]:
        """Those with which any of this was done so often, exercises included."""
        done = self._both(lambda of: select(of.still).where(_did(of, actions, within))).subquery()
        often = select(done.c.still).where(done.c.still.is_not(None)).group_by(done.c.still)
        return set((await self._tx.execute(often.having(func.count() >= at_least))).scalars())

    async def of_stills(self, stills: Collection[str], actions: Collection[str], within: Window) -> ActPieces:
        """What was done with these, the oldest first for each of them."""
        for some in slices(sorted(stills)):
            async for acts in self._acts(actions, within, partial(_is_of, some)):
                yield acts

    async def analysts(self, probe_ids: Collection[str], within: Window) -> Mapping[str, str]:
        """By probe whoever attached its still; one that was not attached in that time is left out."""
        found: dict[str, str] = {}
        attached = (_ENTRY.action == ATTACH) & (_ENTRY.outcome != self._refused) & within.holds(_ENTRY.at)
        for some in slices(sorted(probe_ids)):
            query = select(_ENTRY.subject, _ENTRY.actor).where(attached & _ENTRY.subject.in_(some))
            found |= {row.subject: row.actor for row in await self._tx.execute(query)}
        return found

    def unopened(self, within: Window) -> ActPieces:
        """Approvals of requests that had not been opened, the oldest first."""
        return self._acts((APPROVE,), within, lambda of: ~func.coalesce(of.opened, false()))

    def lapses(self, within: Window) -> ActPieces:
        """Approvals that did not come in time, the oldest first."""
        return self._acts((LAPSE,), within, lambda _: true())

    async def _acts(
        self, actions: Collection[str], within: Window, which: Callable[[Columns], ColumnElement[bool]]
    ) -> ActPieces:
        def wanted(of: Columns) -> Select[Any]:
            columns = (of[name] for name in _TOLD)
            return select(*columns).where(_did(of, actions, within) & which(of) & ~_is_exercise(of))

        found = self._both(wanted).subquery()
        async for rows in pieces(self._tx, select(found).order_by(found.c.at, found.c.subject)):
            yield [StillAct._make(row) for row in rows]

    def _both(self, wanted: Callable[[Columns], Select[Any]]) -> CompoundSelect[Any]:
        """Of what is kept, and of the log behind it."""
        return union_all(wanted(_KEPT), wanted(self._rest.c))


async def reading(tx: Transaction, *, refused: str) -> StillActs:
    """refused: the outcome of refusals. To be asked in a snapshot."""
    return StillActs(tx, await log_marks.size(tx, _MARK), refused)


async def keep_on(tx: Transaction, *, refused: str, limit: int) -> None:
    """Keeps what at most so many entries say that have got their place.

    Of two transactions that do it at once the second waits, and goes on where the first has ended.
    """
    size = await log_marks.hold(tx, _MARK)
    end = min(await audit_tree.size(tx), size + limit)
    if end > size:
        new = (_ENTRY.position >= size) & (_ENTRY.position < end)
        names = [column.name for column in still_acts.columns]
        await tx.execute(insert(still_acts).from_select(names, _from_log(new, refused)))
        await log_marks.move(tx, _MARK, end)


async def is_behind(tx: Transaction, by: int) -> bool:
    """Whether more than so many entries that have their place are not kept yet."""
    return await audit_tree.size(tx) - await log_marks.size(tx, _MARK) > by


def _from_log(which: ColumnElement[bool], refused: str) -> Select[Any]:
    """Rows as of `still_acts`. The database takes the few fields out of each entry: none is fetched."""
    details = _ENTRY.entry["details"]
    return select(
        _ENTRY.position.label("position"),
        _ENTRY.at.label("at"),
        _ENTRY.actor.label("actor"),
        _ENTRY.action.label("action"),
        _ENTRY.subject.label("subject"),
        _ENTRY.entry["authority"]["incidentId"].as_string().label("incident_id"),
        details["originalSha256"].as_string().label("still"),
        details["cropSha256"].as_string().label("face"),
        details["edits"].as_string().label("edits"),
        details["opened"].as_boolean().label("opened"),
    ).where(which & _ENTRY.action.in_(padded(ACTIONS)) & (_ENTRY.outcome != refused))


def _is_of(stills: Sequence[str], of: Columns) -> ColumnElement[bool]:
    found: ColumnElement[bool] = of.still.in_(stills)
    return found


def _is_exercise(of: Columns) -> ColumnElement[bool]:
    return exists().where((incidents.c.incident_id == of.incident_id) & incidents.c.exercise)


def _did(of: Columns, actions: Collection[str], within: Window) -> ColumnElement[bool]:
    action: ColumnElement[str] = of.action
    return action.in_(padded(sorted(actions))) & within.holds(of.at)
