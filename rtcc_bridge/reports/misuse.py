"""Signs of misuse (P27), for the administrator alone; how many there are is a metric, whose they are is not."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
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
from rtcc_bridge.storage import examinations, report_rows, still_acts
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.examinations import FiledReview
from rtcc_bridge.storage.still_acts import ATTACH, EDIT, SEARCH, StillAct, Window

ACTION: Final = "misuse.view"
_NO_EDITS: Final = "[]"
_NOT_KNOWN: Final = "not known"
_EVERY_SECONDS: Final = 900.0
_REVIEWS_AT_ONCE: Final = 200
_FEW_ENTRIES: Final = 10_000
"""So many are read within a second."""
_LOOK_BACK: Final = timedelta(days=30)
"""An analyst is known by the still that they attached, which lies before what came of it."""

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
        async with self._reading(is_long=roster is not None) as tx:
            history = await read_history(tx, since, until, rule, roster)
        return _report(history, since, until)

    @asynccontextmanager
    async def _reading(self, *, is_long: bool) -> AsyncIterator[Transaction]:
        """A snapshot, with time for long statements where one may be needed: also while much is not kept apart yet."""
        database = self._parts.database
        async with database.read() as tx:
            is_long = is_long or await still_acts.is_behind(tx, _FEW_ENTRIES)
        async with AsyncExitStack() as stack:
            reader = await stack.enter_async_context(database.for_long_statements()) if is_long else database
            yield await stack.enter_async_context(reader.snapshot())


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

    The database finds what may be a sign: a still that came several times, an approval without a look. The rest of a
    busy centre's months is not fetched. With a roster each act is, since nearly each may be off shift; it is counted
    while it is read.
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
    window, before_too = Window(since, until), Window(since - _LOOK_BACK, until)
    told, rule = await still_acts.reading(tx, refused=REFUSED), history.rule
    stills: set[str] = set()
    for still, face in await told.copies(before_too):
        history.copies.add(still, face)
        stills.add(still)
    stills |= await told.stills((SEARCH,), window, at_least=rule.same_still_searches)
    stills |= await told.stills((ATTACH, EDIT), window, at_least=rule.versions_of_a_still)
    for acts in (told.of_stills(stills, (SEARCH, ATTACH, EDIT), window), told.lapses(window)):
        async with aclosing(acts):
            async for some in acts:
                # By probe, for what somebody else did with an analyst's still.
                analysts = await told.analysts({act.subject for act in some}, before_too)
                for act in some:
                    _count_of_still(history, act, analysts.get(act.subject, _NOT_KNOWN))
    async with aclosing(told.unopened(window)) as unopened:
        async for some in unopened:
            for act in some:
                history.approval(Trace(act.at, act.actor, act.subject, flag=False))


def _count_of_still(history: History, act: StillAct, analyst: str) -> None:
    by_analyst = Trace(act.at, analyst, act.subject, str(act.still))
    match act.action:
        case still_acts.SEARCH:
            history.search(by_analyst)
        case still_acts.LAPSE:
            history.lapse(by_analyst)
        case _:
            history.version(Trace(act.at, act.actor, act.subject, str(act.still), act.edits or _NO_EDITS))


async def _count_acts(tx: Transaction, history: History, since: datetime, until: datetime) -> None:
    async with aclosing(report_rows.moments(tx, _ON_SHIFT, since, until, refused=REFUSED)) as moments:
        async for at, actor, subject in moments:
            if actor != SYSTEM:
                history.act(Trace(at, actor, subject))


async def _count_reviews(tx: Transaction, history: History, since: datetime, until: datetime) -> None:
    """Blind reviews of leads on which everybody has concluded: before, nothing is told of them (P12)."""
    least = history.rule.reviews_without_disagreement
    busy = await examinations.reviewers(tx, since, until, at_least=least)
    # Nobody can make a sign who has disagreed once; where two have, a third examiner was asked.
    first = [one for one in await examinations.first_before_third(tx, since, until) if one.examiner in busy]
    await _compare(tx, history, first, differing_only=True)
    for examiner in busy:
        last = None
        while not history.has_disagreed(examiner):
            reviews = await examinations.reviews_of(tx, examiner, since, until, last, _REVIEWS_AT_ONCE)
            if not reviews:
                break
            await _compare(tx, history, reviews)
            last = reviews[-1]


async def _compare(
    tx: Transaction, history: History, reviews: Sequence[FiledReview], *, differing_only: bool = False
) -> None:
    found = await opinions.concluded(tx, [one.lead_id for one in reviews])
    for review in reviews:
        verdicts = found.get(review.lead_id, {})
        if rounds.FIRST in verdicts and review.round in verdicts:
            differs = agreement.of_two(verdicts[rounds.FIRST], verdicts[review.round]) is None
            if differs or not differing_only:
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
