"""The transparency report (P26): how often, for what and with which outcome searches were made. For everybody."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import quantiles
from typing import Final

from rtcc_bridge.audit.entries import REFUSED
from rtcc_bridge.errors import InvalidInputError, PolicyRefusalError
from rtcc_bridge.leads import rounds
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.policy.rules import TRAINING_GALLERY
from rtcc_bridge.reports.parts import ReportParts
from rtcc_bridge.reports.period import Period
from rtcc_bridge.reports.suppression import SMALLEST_SHOWN, Shown, gathered, shown, table
from rtcc_bridge.reports.tally import FOLDED, PURPOSES, Act, Approved, Became, Tally
from rtcc_bridge.storage import examinations, galleries, report_rows
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.report_rows import IncidentKind

ACTION: Final = "report.transparency"
MADE: Final = "made"
PRELIMINARY: Final = "preliminary"


@dataclass(frozen=True, slots=True)
class Times:
    """How long something took, in minutes: half of them, and nine in ten, took no longer. None: too few to tell."""

    median: float | None
    ninth_decile: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransparencyReport:
    """What is published. tables: by key; those of searches add up to the same number. overlapping: earlier reports that
    could be subtracted from this one. made_before: when this very period was reported already, the first time first:
    what had become of its searches then may have changed. is_preliminary: its period is not over, and it is not for
    the public.
    """

    period: Period
    made_at: datetime
    is_preliminary: bool
    overlapping: tuple[Period, ...]
    made_before: tuple[datetime, ...]
    policy_title: str
    policy_hash: str
    tables: Mapping[str, Shown]
    acts: Mapping[Act, int | None]
    review_times: Times

    @property
    def searches(self) -> int | None:
        return self.tables["purpose"].total

    @property
    def is_empty(self) -> bool:
        """Whether nothing at all happened, which is a report too."""
        return not any(self.acts.values()) and all(one.total == 0 for one in self.tables.values())


class TransparencyDesk:
    """Where the report is made."""

    def __init__(self, parts: ReportParts) -> None:
        self._parts = parts

    async def make(self, account: Account, period: Period, *, overlapping: bool = False) -> TransparencyReport:
        """Counts the period; that it was counted is entered in the audit log first.

        overlapping: makes it although an earlier report shares months with it, which it then names. Raises
        PolicyRefusalError (P10; P26: it could be subtracted from an earlier one), InvalidInputError for a period that
        is still to come, UnavailableError.
        """
        parts = self._parts
        async with parts.watching(account, ACTION, "report"):
            require_permission(account, Deed.MAKE_TRANSPARENCY_REPORT)
            now = parts.clock.now()
            if period.since > now:
                raise InvalidInputError("This period is still to come: there is nothing to report on.", "fields")
            is_preliminary = not period.is_over(now)
            async with parts.database.write() as tx:
                published = await _published(tx)
                earlier = period.overlapping(one for one, _ in published)
                made_before = tuple(at for one, at in published if one == period)
                if earlier and not overlapping and not is_preliminary:
                    raise PolicyRefusalError(
                        "P26",
                        "An earlier report shares months with this one, and one subtracted from the other gives small "
                        f"counts away ({', '.join(map(str, earlier))}): make it over the same months or over others, "
                        "or say that it is to be made all the same.",
                    )
                details = {"first": period.first, "last": period.last, "overlapping": [str(one) for one in earlier]}
                outcome = PRELIMINARY if is_preliminary else MADE
                await parts.note(tx, account, ACTION, "report", outcome, details)
        async with parts.database.for_long_statements() as patient, patient.snapshot() as tx:
            return await self._count(tx, period, now, is_preliminary, earlier, made_before)

    async def _count(
        self,
        tx: Transaction,
        period: Period,
        now: datetime,
        is_preliminary: bool,
        earlier: tuple[Period, ...],
        made_before: tuple[datetime, ...],
    ) -> TransparencyReport:
        training = {one.name for one in await galleries.every(tx) if one.kind == TRAINING_GALLERY}
        tally = Tally(period, frozenset(training))
        async with aclosing(report_rows.acts(tx, FOLDED, period.since, refused=REFUSED)) as entries:
            async for entry in entries:
                tally.add(entry)
        kinds = await report_rows.incident_kinds(tx, tally.incident_ids())
        tally.finish(kinds)
        reviews, times = await _reviews(tx, period)
        return TransparencyReport(
            period=period,
            made_at=now,
            is_preliminary=is_preliminary,
            overlapping=earlier,
            made_before=made_before,
            policy_title=self._parts.policy.title,
            policy_hash=self._parts.policy.hash,
            tables=_tables(tally, kinds, reviews),
            acts={act: shown(tally.acts[act]) for act in Act},
            review_times=times,
        )


def _tables(tally: Tally, kinds: Mapping[str, IncidentKind], reviews: Mapping[str, int]) -> dict[str, Shown]:
    became, approved = tuple(one.value for one in Became), tuple(one.value for one in Approved)
    return {
        "purpose": table(tally.by(lambda search: search.purpose, PURPOSES)),
        "offense": table(gathered(tally.by_offense(kinds))),
        "gallery": table(tally.by(lambda search: search.gallery)),
        "outcome": table(tally.by(lambda search: search.became.value, became)),
        "approval": table(tally.by(lambda search: search.approved.value, approved)),
        "refusals": table(gathered(tally.refusals)),
        "reviews": table(reviews),
    }


async def _published(tx: Transaction) -> list[tuple[Period, datetime]]:
    """The periods of all reports that may be in the world, and when each was made; the oldest first."""
    beginning = datetime.fromisoformat("2000-01-01T00:00:00+00:00")
    async with aclosing(report_rows.acts(tx, (ACTION,), beginning)) as entries:
        return [
            (Period(entry.entry["details"]["first"], entry.entry["details"]["last"]), entry.at)
            async for entry in entries
            if entry.outcome == MADE
        ]


async def _reviews(tx: Transaction, period: Period) -> tuple[dict[str, int], Times]:
    """Of the leads whose blind review was filed in the period: which needed a third examiner, and how long it took."""
    filed = await examinations.reviews_filed(tx, period.since, period.before)
    peers = [one for one in filed if one.round == rounds.PEER]
    thirds = sum(one.has_third for one in peers)
    counts = {"no_third_examiner": len(peers) - thirds, "third_examiner": thirds}
    return counts, _times([(one.filed_at - one.opened_at).total_seconds() for one in filed])


def _times(seconds: Sequence[float]) -> Times:
    if len(seconds) < SMALLEST_SHOWN:
        return Times(None, None)
    deciles = quantiles(seconds, n=10, method="inclusive")
    minutes = timedelta(minutes=1).total_seconds()
    return Times(round(deciles[4] / minutes, 1), round(deciles[8] / minutes, 1))
