"""The figures of oversight, of the last days: searches by purpose, refusals by rule, reviews. For those who oversee.

Counted like the transparency report, out of the audit log, but exact and up to this moment: so it is not for the
public, which gets the report (P26).
"""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from statistics import quantiles
from typing import Final

from rtcc_bridge.audit.entries import REFUSED
from rtcc_bridge.leads import rounds
from rtcc_bridge.leads.examiners import require_never_examines
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.policy.rules import TRAINING_GALLERY
from rtcc_bridge.reports.parts import ReportParts
from rtcc_bridge.reports.tally import NOT_KNOWN, PURPOSES, SEARCHED
from rtcc_bridge.storage import act_counts, examinations, galleries
from rtcc_bridge.storage.act_counts import ActCount
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.examinations import ReviewTimes

ACTION: Final = "oversight.figures"
_FEW_ENTRIES: Final = 10_000
"""So many are counted within a second."""


@dataclass(frozen=True, slots=True)
class ReviewFigures:
    """Blind reviews by a peer, of leads on which nobody has to conclude any more (P12).

    differing: how many of them needed a third examiner. median, ninth_decile: minutes from opening to filing in which
    half of them, and nine in ten, were done; None without any.
    """

    filed: int
    differing: int
    median: float | None
    ninth_decile: float | None


@dataclass(frozen=True, slots=True)
class DayFigures:
    """One day (UTC)."""

    day: date
    searches: int
    refusals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of a time that ends now. Exercises do not count. days: each day of it, the oldest first."""

    since: datetime
    until: datetime
    by_purpose: Mapping[str, int]
    by_rule: Mapping[str, int]
    days: Sequence[DayFigures]
    reviews: ReviewFigures

    @property
    def searches(self) -> int:
        return sum(self.by_purpose.values())

    @property
    def refusals(self) -> int:
        return sum(self.by_rule.values())


class FiguresDesk:
    """Where the figures are counted. Each look is audited."""

    def __init__(self, parts: ReportParts) -> None:
        self._parts = parts

    async def look(self, account: Account, days: int) -> Figures:
        """Of today and so many days before it. Commits the entry of the look.

        Raises PolicyRefusalError (P10; P12: an analyst), BusyError, UnavailableError.
        """
        parts = self._parts
        async with parts.watching(account, ACTION, "oversight"):
            require_permission(account, Deed.SEE_FIGURES)
            require_never_examines(account)
        async with parts.database.write() as tx:
            await parts.note(tx, account, ACTION, "oversight", "shown", {"days": days})
        now = parts.clock.now()
        every_day = _days_until(now, days)
        since = _begin(every_day[0])
        async with self._reading() as tx:
            training = {one.name for one in await galleries.every(tx) if one.kind == TRAINING_GALLERY}
            count = FigureCount(frozenset(training))
            acts = await act_counts.of_days(tx, SEARCHED, every_day, refused=REFUSED)
            for day in every_day:
                count.add(day, acts.get(day, ()))
            until = now + timedelta(seconds=1)
            reviews = await examinations.concluded_review_times(tx, rounds.PEER, since, until)
        return count.figures(since, now, reviews)

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Transaction]:
        """A snapshot. With time for long statements only while most of the log is not counted: a connection of its own
        takes longer than the figures do."""
        database = self._parts.database
        async with database.read() as tx:
            is_behind = await act_counts.is_behind(tx, _FEW_ENTRIES)
        async with AsyncExitStack() as stack:
            reader = await stack.enter_async_context(database.for_long_statements()) if is_behind else database
            yield await stack.enter_async_context(reader.snapshot())


@dataclass
class FigureCount:
    """Pure: it is fed day by day. training: names of the galleries in which exercises are searched (P07).

    What was refused without a rule, a supervisor refused (in entries of earlier versions): no search, and no attempt
    that a rule stopped.
    """

    training: frozenset[str]
    purposes: Counter[str] = field(default_factory=Counter)
    rules: Counter[str] = field(default_factory=Counter)
    days: list[DayFigures] = field(default_factory=list)

    def add(self, day: date, acts: Iterable[ActCount]) -> None:
        searches = refusals = 0
        for one in acts:
            if one.is_refused:
                if one.rule is not None:
                    self.rules[one.rule] += one.count
                    refusals += one.count
            elif one.gallery not in self.training:
                self.purposes[one.purpose or NOT_KNOWN] += one.count
                searches += one.count
        self.days.append(DayFigures(day, searches, refusals))

    def figures(self, since: datetime, until: datetime, reviews: ReviewTimes) -> Figures:
        return Figures(
            since=since,
            until=until,
            by_purpose={**dict.fromkeys(PURPOSES, 0), **self.purposes},
            by_rule=dict(sorted(self.rules.items(), key=lambda one: (-one[1], one[0]))),
            days=self.days,
            reviews=_reviews(reviews),
        )


def _days_until(now: datetime, days: int) -> Sequence[date]:
    """Today (UTC) and so many days before it, the oldest first."""
    today = now.astimezone(UTC).date()
    return [today - timedelta(days=ago) for ago in range(days, -1, -1)]


def _begin(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _reviews(peers: ReviewTimes) -> ReviewFigures:
    lasted = peers.lasted
    deciles = quantiles(lasted, n=10, method="inclusive") if len(lasted) > 1 else list(lasted) * 9
    return ReviewFigures(
        filed=len(lasted),
        differing=peers.thirds,
        median=_minutes(deciles[4]) if deciles else None,
        ninth_decile=_minutes(deciles[8]) if deciles else None,
    )


def _minutes(microseconds: float) -> float:
    return round(microseconds / 60_000_000, 1)
