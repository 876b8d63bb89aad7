"""Signs of misuse (P27), for the administrator alone; how many there are is a metric, whose they are is not."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

import structlog

from rtcc_bridge.audit.canonical import canonical_json
from rtcc_bridge.audit.entries import REFUSED, SYSTEM
from rtcc_bridge.errors import ConfigurationError, TransientError
from rtcc_bridge.leads import agreement, opinions, rounds
from rtcc_bridge.leads.proficiency import answers
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.policy.policy_parts import MisuseRule
from rtcc_bridge.reports.misuse_signals import DEFINITIONS, History, Signal, SignalKind, Trace, same_stills, signals
from rtcc_bridge.reports.parts import ReportParts
from rtcc_bridge.reports.roster import Roster, read_roster
from rtcc_bridge.storage import examinations, report_rows
from rtcc_bridge.storage.engine import Transaction

ACTION: Final = "misuse.view"
_EVERY_SECONDS: Final = 900.0
_LOOK_BACK: Final = timedelta(days=30)
"""An analyst is known by the still that they attached, which lies before what came of it."""

_OF_PROBES: Final = frozenset(
    {"probe.attach", "probe.edit", "probe.choose_face", "probe.search", "probe.approve", "probe.approval_lapsed"}
)
_ON_SHIFT: Final = frozenset(
    {
        "probe.attach", "probe.edit", "probe.choose_face", "probe.view", "probe.preview", "probe.approve",
        "probe.refuse", "lead.acknowledged", "lead.released", "examination.view", "examination.picture",
        "examination.conclude", "review.take", "review.view",
    }
)  # fmt: skip
"""What examiners and supervisors do on a shift; a requestor's part has no hours."""

_log = structlog.get_logger(__name__)


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

        Raises PolicyRefusalError (P10), ConfigurationError for a roster that is none, UnavailableError.
        """
        parts = self._parts
        async with parts.watching(account, ACTION, "misuse"):
            require_permission(account, Deed.SEE_MISUSE_SIGNALS)
            async with parts.database.write() as tx:
                await parts.note(tx, account, ACTION, "misuse", "shown", {})
        return await self._find()

    async def count(self) -> Mapping[SignalKind, int]:
        """How many signs of each kind there are, and nothing else. Raises as `look` does, but for P10."""
        found = Counter(one.kind for one in (await self._find()).signals)
        return {kind: found[kind] for kind in SignalKind}

    async def _find(self) -> MisuseReport:
        parts, rule = self._parts, self._parts.policy.misuse
        until = parts.clock.now()
        since = until - timedelta(days=rule.window_days)
        roster = None if self._roster_file is None else await asyncio.to_thread(read_roster, self._roster_file)
        async with parts.database.for_long_statements() as patient, patient.snapshot() as tx:
            history = await read_history(tx, since, until, roster)
        return _report(history, rule, since, until)


class MisuseWatch:
    """Counts the signs now and then for the metric."""

    def __init__(self, desk: MisuseDesk, metrics: Metrics) -> None:
        self._desk = desk
        self._metrics = metrics

    async def run(self) -> NoReturn:
        """Until it is cancelled. An outage, or a roster that cannot be read, is left to the next time."""
        while True:
            try:
                await self.tell()
            except (TransientError, ConfigurationError) as error:
                _log.warning("signs of misuse are not counted", error=str(error))
            await asyncio.sleep(_EVERY_SECONDS)

    async def tell(self) -> None:
        for kind, count in (await self._desk.count()).items():
            self._metrics.misuse_signals.labels(kind).set(count)


async def read_history(tx: Transaction, since: datetime, until: datetime, roster: Roster | None) -> History:
    """What happened from `since` to `until`. Exercises are left out, and so is what the policy refused."""
    acts = await _without_exercises(tx, [act async for act in _of_probes(tx, since - _LOOK_BACK, until)])
    analysts = {act.subject: act.actor for act in acts if act.action == "probe.attach"}
    stills = same_stills((act.still, act.face) for act in acts)
    acts = [act for act in acts if act.at >= since]
    return History(
        searches=[_deed(one, stills, analysts) for one in acts if one.action == "probe.search"],
        versions=[_deed(one, stills) for one in acts if one.action in {"probe.attach", "probe.edit"}],
        approvals=[_deed(one, stills) for one in acts if one.action == "probe.approve"],
        lapses=[_deed(one, stills, analysts) for one in acts if one.action == "probe.approval_lapsed"],
        acts=[] if roster is None else await _acts(tx, since, until),
        reviews=await _reviews(tx, since, until),
        answers=[
            Trace(one.filed_at, one.examiner, one.case_id, flag=one.right)
            for one in await answers(tx)
            if one.filed_at is not None and one.examiner is not None and one.right is not None
            and since <= one.filed_at < until
        ],
        roster=roster,
    )  # fmt: skip


class _Act(NamedTuple):
    """What counts here of an entry, which is many times as large: there are months of them in memory at once.

    still, face: the sha256 of an original's bytes, and of the pixels of a face that was cut out of it, if one was.
    """

    at: datetime
    actor: str
    action: str
    subject: str
    incident_id: str
    still: str
    face: str | None
    version: str
    opened: bool


async def _of_probes(tx: Transaction, since: datetime, until: datetime) -> AsyncIterator[_Act]:
    known: dict[str, str] = {}

    def once(text: str) -> str:
        """The same object for the same text: most of them come again and again."""
        return known.setdefault(text, text)

    async with aclosing(report_rows.acts(tx, _OF_PROBES, since, until)) as entries:
        async for entry in entries:
            if entry.outcome == REFUSED:
                continue
            details = entry.entry["details"]
            yield _Act(
                at=entry.at,
                actor=once(entry.actor),
                action=once(entry.action),
                subject=once(entry.subject),
                incident_id=once(str(entry.entry["authority"].get("incidentId", ""))),
                still=once(str(details.get("originalSha256"))),
                face=details.get("cropSha256"),
                version=once(canonical_json(list(details.get("edits") or ())).decode()),
                opened=bool(details.get("opened", False)),
            )


async def _without_exercises(tx: Transaction, acts: Sequence[_Act]) -> list[_Act]:
    kinds = await report_rows.incident_kinds(tx, {act.incident_id for act in acts})
    exercises = {incident_id for incident_id, kind in kinds.items() if kind.exercise}
    return [act for act in acts if act.incident_id not in exercises]


async def _acts(tx: Transaction, since: datetime, until: datetime) -> list[Trace]:
    async with aclosing(report_rows.acts(tx, _ON_SHIFT, since, until)) as entries:
        return [
            Trace(entry.at, entry.actor, entry.subject)
            async for entry in entries
            if entry.outcome != REFUSED and entry.actor != SYSTEM
        ]


async def _reviews(tx: Transaction, since: datetime, until: datetime) -> list[Trace]:
    """Blind reviews of leads on which everybody has concluded: before, nothing is told of them (P12)."""
    found = []
    for review in await examinations.reviews_filed(tx, since, until):
        verdicts = await opinions.concluded(tx, review.lead_id)
        if rounds.FIRST in verdicts and review.round in verdicts:
            differs = agreement.of_two(verdicts[rounds.FIRST], verdicts[review.round]) is None
            found.append(Trace(review.filed_at, review.examiner, review.lead_id, flag=differs))
    return found


def _deed(act: _Act, stills: Mapping[str, str], analysts: Mapping[str, str] | None = None) -> Trace:
    """stills: by the hash of an original. analysts: by probe, for what somebody else did with an analyst's still."""
    return Trace(
        at=act.at,
        account=act.actor if analysts is None else analysts.get(act.subject, "not known"),
        reference=act.subject,
        still=stills[act.still],
        version=act.version,
        flag=act.opened,
    )


def _report(history: History, rule: MisuseRule, since: datetime, until: datetime) -> MisuseReport:
    roster = history.roster
    return MisuseReport(
        since=since,
        until=until,
        signals=signals(history, rule),
        definitions={definition.kind: definition.in_words(rule) for definition in DEFINITIONS},
        roster_covers=None if roster is None else (roster.covers_from, roster.covers_until),
    )
