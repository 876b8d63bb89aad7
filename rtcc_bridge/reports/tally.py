"""Counts what the audit log says of one period, for the transparency report (P26). Pure: it is fed entry by entry.

What is counted is searches that returned in the period. Each is followed to what had become of it when the report was
made, and each table splits the same searches another way, so all of them add up to the same number.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from rtcc_bridge.audit.entries import REFUSED
from rtcc_bridge.leads.lead import LeadResult
from rtcc_bridge.policy.purposes import Purpose
from rtcc_bridge.reports.period import Period
from rtcc_bridge.storage.audit_entries import AuditEntryRecord
from rtcc_bridge.storage.report_rows import IncidentKind

SEARCHED: Final = ("lead.candidates", "lead.no_candidate")
TOO_POOR: Final = "lead.rejected_quality"
NOT_KNOWN: Final = "not known"


class Became(StrEnum):
    """What had become of a search."""

    NOBODY = "nobody_alike"
    INCONCLUSIVE = "inconclusive"
    CORROBORATED = "corroborated"
    REFUTED = "refuted"
    UNRESOLVED = "unresolved"
    RELEASED = "released_without_an_outcome_yet"
    EXAMINED = "still_examined"
    WITHDRAWN = "withdrawn_before_release"
    TAKEN_BACK = "taken_back_after_release"
    EXPIRED = "expired"


class Approved(StrEnum):
    """How a search came to its approval (P01, P14)."""

    BEFORE = "before_the_search"
    AFTER = "after_it_in_time"
    LAPSED = "not_in_time"
    REFUSED = "refused_after_it"
    OPEN = "still_awaited_or_withdrawn"


class Act(StrEnum):
    """What is counted by itself."""

    STILLS = "stills_attached"
    TOO_POOR = "stills_too_poor"
    REFUSED = "searches_refused"
    OVERRIDES = "overrides"
    DECLARED = "declared_imminent"
    PROVISIONAL = "provisional_incidents"
    UNRECONCILED = "provisional_incidents_not_reconciled"
    EXPUNGED = "expungements"
    PACKETS = "discovery_packets"
    EXERCISES = "exercise_searches"


_ACTS: Final[Mapping[str, Act]] = {
    "probe.attach": Act.STILLS,
    TOO_POOR: Act.TOO_POOR,
    "probe.refuse": Act.REFUSED,
    "incident.confirm_killing": Act.OVERRIDES,
    "incident.declare_imminent": Act.DECLARED,
    "incident.open_provisional": Act.PROVISIONAL,
    "incident.withdraw_provisional": Act.UNRECONCILED,
    "gallery.expunged": Act.EXPUNGED,
    "lead.discovery_packet": Act.PACKETS,
}
_BECAME: Final[Mapping[str, Became]] = {
    "lead.inconclusive": Became.INCONCLUSIVE,
    "lead.corroborated": Became.CORROBORATED,
    "lead.refuted": Became.REFUTED,
    "lead.unresolved": Became.UNRESOLVED,
    "lead.expired": Became.EXPIRED,
}
_APPROVED: Final[Mapping[str, Approved]] = {
    "probe.approve": Approved.AFTER,
    "probe.approval_lapsed": Approved.LAPSED,
    "probe.refuse": Approved.REFUSED,
}
_TAKEN_AWAY: Final = frozenset({"lead.withdrawn", "lead.approval_lapsed"})
FOLDED: Final = frozenset({*SEARCHED, *_ACTS, *_BECAME, *_APPROVED, *_TAKEN_AWAY, "lead.released"})
"""The actions whose entries are asked for."""


@dataclass
class Search:
    """One search that returned in the period, and what became of it since."""

    purpose: str
    gallery: str
    incident_id: str
    probe_id: str
    approved: Approved
    became: Became
    was_released: bool = False

    def decided(self, step: "Step") -> None:
        """What a supervisor, or the time, made of an approval that was to follow."""
        if self.approved is Approved.OPEN:
            self.approved = _APPROVED.get(step.action, self.approved)

    def went_on(self, step: "Step") -> None:
        """The next step of its lead."""
        if step.action in _TAKEN_AWAY:
            self.became = Became.TAKEN_BACK if self.was_released else Became.WITHDRAWN
        elif step.action == "lead.released":
            self.was_released = True
            self.became = Became.NOBODY if step.nobody else Became.RELEASED
        elif step.action in _BECAME and not (step.nobody and step.action == "lead.expired"):
            self.became = _BECAME[step.action]


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """A later step of a lead or a probe. Processes have clocks of their own, so a lead's steps go by their sequence."""

    sequence: int
    action: str
    nobody: bool


@dataclass
class Tally:
    """Feed it `acts(FOLDED, since the period's beginning, refused=REFUSED)`, then `finish` it.

    training: names of the galleries in which exercises are searched (P07), which the report only counts as a whole.
    """

    period: Period
    training: frozenset[str]
    searches: dict[str, Search] = field(default_factory=dict)
    acts: Counter[Act] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    _steps: dict[str, list[Step]] = field(default_factory=lambda: defaultdict(list))
    _acts_on: list[tuple[Act, str]] = field(default_factory=list)

    def add(self, record: AuditEntryRecord) -> None:
        """What a rule refused is an attempt. What a supervisor refused was done; in entries of earlier versions it has
        the same outcome."""
        within, rule = record.at < self.period.before, record.entry["details"].get("rule")
        if record.outcome == REFUSED and rule is not None:
            if within:
                self.refusals[str(rule)] += 1
        elif record.action in SEARCHED:
            if within:
                self._search(record)
        else:
            details = record.entry["details"]
            nobody = details.get("result") == LeadResult.NO_CANDIDATE
            self._steps[record.subject].append(Step(int(details.get("sequence", 0)), record.action, nobody))
            if within and (act := _ACTS.get(record.action)) is not None:
                self._count(act, record)

    def finish(self, kinds: Mapping[str, IncidentKind]) -> None:
        """Follows each search to its end. kinds: of `incident_ids`, which tells acts of exercises from actual ones."""
        for lead_id, search in self.searches.items():
            for step in self._steps.get(search.probe_id, ()):
                search.decided(step)
            for step in sorted(self._steps.get(lead_id, ())):
                search.went_on(step)
        for act, incident_id in self._acts_on:
            kind = kinds.get(incident_id)
            self.acts[act] += kind is None or not kind.exercise

    def _search(self, record: AuditEntryRecord) -> None:
        details, authority = record.entry["details"], record.entry["authority"]
        gallery = str((details.get("search") or {}).get("gallery", NOT_KNOWN))
        if gallery in self.training:
            self.acts[Act.EXERCISES] += 1
            return
        nobody = details["result"] == LeadResult.NO_CANDIDATE
        self.searches[record.subject] = Search(
            purpose=str(details.get("purpose", NOT_KNOWN)),
            gallery=gallery,
            incident_id=str(details["incidentId"]),
            probe_id=str(details["probeId"]),
            approved=Approved.OPEN if authority.get("approval") == "pending" else Approved.BEFORE,
            became=Became.NOBODY if nobody else Became.EXAMINED,
        )

    def _count(self, act: Act, record: AuditEntryRecord) -> None:
        incident_id = _incident_of(act, record)
        if incident_id is None:
            self.acts[act] += 1
        else:
            self._acts_on.append((act, incident_id))

    def incident_ids(self) -> set[str]:
        """The incidents whose kinds have to be known."""
        return {search.incident_id for search in self.searches.values()} | {one for _, one in self._acts_on}

    def by(self, row_of: Callable[[Search], str], always: tuple[str, ...] = ()) -> dict[str, int]:
        """The searches split in rows; `always`: rows that are there though they are 0."""
        counted = Counter(row_of(search) for search in self.searches.values())
        return {**dict.fromkeys(always, 0), **counted}

    def by_offense(self, kinds: Mapping[str, IncidentKind]) -> dict[str, int]:
        """By the type of incident that dispatch gives it by now."""

        def offense(search: Search) -> str:
            kind = kinds.get(search.incident_id)
            return NOT_KNOWN if kind is None else kind.incident_type

        return self.by(offense)


PURPOSES: Final = tuple(purpose.value for purpose in Purpose)


def _incident_of(act: Act, record: AuditEntryRecord) -> str | None:
    """Where the act may be one of an exercise; None where it cannot be, or it is the agency's act all the same."""
    entry: Mapping[str, Any] = record.entry
    if act in {Act.STILLS, Act.REFUSED}:
        found = entry["authority"].get("incidentId")
    elif act is Act.TOO_POOR:
        found = entry["details"].get("incidentId")
    else:
        return None
    return None if found is None else str(found)
