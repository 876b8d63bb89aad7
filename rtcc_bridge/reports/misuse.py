"""Signs of misuse (P27), for the administrator alone; how many there are is a metric, whose they are is not."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NoReturn

from rtcc_bridge.audit.entries import REFUSED, SYSTEM
from rtcc_bridge.errors import ConfigurationError, TransientError
from rtcc_bridge.leads import agreement, opinions, rounds
from rtcc_bridge.leads.examiners import require_never_examines
from rtcc_bridge.leads.proficiency import answers
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.periodic import periodically
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.policy.policy_parts import MisuseRule
from rtcc_bridge.reports.misuse_signals import DEFINITIONS, History, Signal, SignalKind, Trace, signals
from rtcc_bridge.reports.parts import ReportParts
from rtcc_bridge.reports.roster import Roster, read_roster
from rtcc_bridge.storage import examinations, report_rows
from rtcc_bridge.storage.engine import Transaction

ACTION: Final = "misuse.view"
_NO_EDITS: Final = "[]"
_NOT_KNOWN: Final = "not known"
_EVERY_SECONDS: Final = 900.0
_REVIEWS_AT_ONCE: Final = 200
_LOOK_BACK: Final = timedelta(days=30)
"""An analyst is known by the still that they attached, which lies before what came of it."""

_OF_PROBES: Final = frozenset({"probe.attach", "probe.edit", "probe.search", "probe.approve", "probe.approval_lapsed"})
_ON_SHIFT: Final = frozenset(
    {
        "probe.attach", "probe.edit", "probe.choose_face", "probe.view", "probe.preview", "probe.approve",
        "probe.refuse", "lead.acknowledged", "lead.released", "examination.view", "examination.picture",
        "examination.conclude", "review.take", "review.view",
    }
)  # fmt: skip
"""What examiners and supervisors do on a shift; a requestor's part has no hours."""


@dataclass(frozen=True, slots=True)
class MisuseReport:
    """What was found. definitions: the words for each kind, under the thresholds of the policy in force.

    roster_covers: the time for which off-shift use could be judged; None when there is no roster.
    """

    since: datetime
    until: datetime
    signals: Sequence[Signal]
    definitions: Mapping[SignalKind, str]
    roster_covers: tuple[datetime, datetime] | None


class MisuseDesk:
    """Where the signs are looked at."""

    def __init__(self, parts: ReportParts, roster_file: Path | None) -> None:
        self._parts = parts
        self._roster_file = roster_file

    async def look(self, account: Account) -> MisuseReport:
        """The signs in the window that the policy sets; each look is audited before it is had.

        They tell that a still was searched before, and what others do to a lead that is still examined (P12).

        Raises PolicyRefusalError (P10; P12: an analyst), ConfigurationError for a roster that is none,
        UnavailableError.
        """
        parts = self._parts
        async with parts.watching(account, ACTION, "misuse"):
            require_permission(account, Deed.SEE_MISUSE_SIGNALS)
            require_never_examines(account)
            async with parts.database.write() as tx:
                await parts.note(tx, account, ACTION, "misuse", "shown", {})
        return await self._find()

    async def count(self) -> Mapping[SignalKind, int]:
        """How many signs of each kind there are, and nothing else. Raises as `look` does, but for P10 and P12."""
        found = Counter(one.kind for one in (await self._find()).signals)
        return {kind: found[kind] for kind in SignalKind}

    async def _find(self) -> MisuseReport:
        parts, rule = self._parts, self._parts.policy.misuse
        until = parts.clock.now()
        since = until - timedelta(days=rule.window_days)
        roster = None if self._roster_file is None else await asyncio.to_thread(read_roster, self._roster_file)
        async with parts.database.for_long_statements() as patient, patient.snapshot() as tx:
            history = await read_history(tx, since, until, rule, roster)
        return _report(history, since, until)


class MisuseWatch:
    """Counts the signs now and then for the metric."""

    def __init__(self, desk: MisuseDesk, metrics: Metrics) -> None:
        self._desk = desk
        self._metrics = metrics

    async def run(self) -> NoReturn:
        """Until it is cancelled. An outage, or a roster that cannot be read, is left to the next time."""
        waits_out = (TransientError, ConfigurationError)
        await periodically("counting signs of misuse", self.tell, every_seconds=_EVERY_SECONDS, waits_out=waits_out)

    async def tell(self) -> None:
        for kind, count in (await self._desk.count()).items():
            self._metrics.misuse_signals.labels(kind).set(count)


async def read_history(
    tx: Transaction, since: datetime, until: datetime, rule: MisuseRule, roster: Roster | None
) -> History:
    """What happened from `since` to `until`. Exercises are left out, and so is what the policy refused.

    It is counted while it is read, a hundred entries at a time: the months of a busy centre fit in no memory that is
    spared for them. What stays is some hundred bytes for each still, and for each probe whose it is.
    """
    history = History(rule, roster)
    await _count_probes(tx, history, since, until)
    if roster is not None:
        await _count_acts(tx, history, since, until)
    await _count_reviews(tx, history, since, until)
    for one in await answers(tx):
        if one.filed_at is None or one.examiner is None or one.right is None:
            continue
        if since <= one.filed_at < until:
            history.answer(Trace(one.filed_at, one.examiner, one.case_id, flag=one.right))
    return history


async def _count_probes(tx: Transaction, history: History, since: datetime, until: datetime) -> None:
    known: dict[str, str] = {}

    def once(text: str) -> str:
        """The same object for the same text: most of them come again and again."""
        return known.setdefault(text, text)

    # By probe, for what somebody else did with an analyst's still. Read before: two entries of a moment have no order.
    async with aclosing(report_rows.actors(tx, "probe.attach", since - _LOOK_BACK, until)) as attached:
        analysts = {once(probe_id): once(actor) async for probe_id, actor in attached}
    chosen = report_rows.still_acts(tx, {"probe.choose_face"}, since - _LOOK_BACK, until, refused=REFUSED)
    async with aclosing(chosen):
        async for act in chosen:
            if act.face is not None:
                history.copies.add(once(str(act.still)), act.face)
    acts = report_rows.still_acts(tx, _OF_PROBES, since, until, refused=REFUSED)
    async with aclosing(acts):
        async for act in acts:
            probe_id, still = once(act.subject), once(str(act.still))
            match act.action:
                case "probe.search":
                    history.search(Trace(act.at, analysts.get(probe_id, _NOT_KNOWN), probe_id, still))
                case "probe.attach" | "probe.edit":
                    history.version(Trace(act.at, once(act.actor), probe_id, still, once(act.edits or _NO_EDITS)))
                case "probe.approve":
                    history.approval(Trace(act.at, once(act.actor), probe_id, flag=bool(act.opened)))
                case "probe.approval_lapsed":
                    history.lapse(Trace(act.at, analysts.get(probe_id, _NOT_KNOWN), probe_id))


async def _count_acts(tx: Transaction, history: History, since: datetime, until: datetime) -> None:
    async with aclosing(report_rows.acts(tx, _ON_SHIFT, since, until)) as entries:
        async for entry in entries:
            if entry.outcome != REFUSED and entry.actor != SYSTEM:
                history.act(Trace(entry.at, entry.actor, entry.subject))


async def _count_reviews(tx: Transaction, history: History, since: datetime, until: datetime) -> None:
    """Blind reviews of leads on which everybody has concluded: before, nothing is told of them (P12)."""
    reviews = await examinations.reviews_filed(tx, since, until)
    for start in range(0, len(reviews), _REVIEWS_AT_ONCE):
        some = [one for one in reviews[start : start + _REVIEWS_AT_ONCE] if not history.has_disagreed(one.examiner)]
        found = await opinions.concluded(tx, [one.lead_id for one in some])
        for review in some:
            verdicts = found.get(review.lead_id, {})
            if rounds.FIRST in verdicts and review.round in verdicts:
                differs = agreement.of_two(verdicts[rounds.FIRST], verdicts[review.round]) is None
                history.review(Trace(review.filed_at, review.examiner, review.lead_id, flag=differs))


def _report(history: History, since: datetime, until: datetime) -> MisuseReport:
    roster = history.roster
    return MisuseReport(
        since=since,
        until=until,
        signals=signals(history),
        definitions={definition.kind: definition.in_words(history.rule) for definition in DEFINITIONS},
        roster_covers=None if roster is None else (roster.covers_from, roster.covers_until),
    )
