"""Past searches, judged by two policies: what a new one would have refused or allowed.

Incidents and alerts count as they stand in the database now. What hangs on the order of events (how many deferrals an
analyst had open, P14) or on a model (P28) is not judged again, and neither is what no policy can change.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import ConflictError, NotFoundError, PolicyRefusalError
from rtcc_bridge.policy import rules
from rtcc_bridge.policy.policy_file import Policy
from rtcc_bridge.policy.purposes import Purpose
from rtcc_bridge.policy.rules import IncidentFacts
from rtcc_bridge.probes.authority import authority_of
from rtcc_bridge.storage import audit_entries, incidents, leads, probes, threats
from rtcc_bridge.storage.audit_entries import AuditEntryRecord
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.storage.probes import ProbeRecord

_AT_ONCE: Final = 200
_JUDGED_RULES: Final = frozenset({"P02", "P09"})
"""Rules that read the policy and whose refused attempts left enough in the audit log to be judged again."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One that the two policies decide differently. rule, reason: of the refusal, by whichever of the two refuses.

    kind: search, or attempt. reference: the probe's id, or that of the audit entry of the refused attempt.
    """

    kind: str
    reference: str
    rule: str
    reason: str


@dataclass(slots=True)
class ReplayReport:
    """What was found. unknown: those whose incident is not there, so that neither policy can be asked."""

    searches: int = 0
    attempts: int = 0
    alike: int = 0
    unknown: int = 0
    refused_by_new: list[Judged] = field(default_factory=list)
    allowed_by_new: list[Judged] = field(default_factory=list)

    def add(self, kind: str, reference: str, old: PolicyRefusalError | None, new: PolicyRefusalError | None) -> None:
        """old, new: why the policy refuses; None when it allows."""
        if old is None and new is not None:
            self.refused_by_new.append(Judged(kind, reference, new.rule, str(new)))
        elif old is not None and new is None:
            self.allowed_by_new.append(Judged(kind, reference, old.rule, str(old)))
        else:
            self.alike += 1


@dataclass(frozen=True, slots=True)
class _Past:
    """What was so when somebody asked. senders: of the alerts that were imminent then."""

    purpose: str
    incident: IncidentFacts
    senders: frozenset[str]

    def imminent_by(self, policy: Policy) -> bool:
        return not self.incident.exercise and not self.senders.isdisjoint(policy.deferral.senders)

    def permitted_by(self, policy: Policy) -> Purpose:
        """Raises PolicyRefusalError (P02)."""
        imminent = self.imminent_by(policy)
        return rules.require_permitted_purpose(policy, self.purpose, self.incident, imminent_threat=imminent)


class PolicyReplay:
    """Reads the past searches and changes nothing."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def judge(self, old: Policy, new: Policy) -> ReplayReport:
        """Every search, and every attempt that P02 or P09 refused. Raises UnavailableError."""
        report = ReplayReport()
        last: ProbeRecord | None = None
        while found := await self._searches(old, new, last, report):
            last = found[-1]
        refused: AuditEntryRecord | None = None
        while entries := await self._attempts(old, new, refused, report):
            refused = entries[-1]
        return report

    async def _searches(
        self, old: Policy, new: Policy, after: ProbeRecord | None, report: ReplayReport
    ) -> Sequence[ProbeRecord]:
        async with self._database.read() as tx:
            found = await probes.page(tx, after, _AT_ONCE)
            searched = await leads.recorded_at(tx, [probe.probe_id for probe in found])
            for probe in found:
                report.searches += 1
                past = await self._past(tx, probe.attached_to, probe.purpose, probe.created_at, new)
                if past is None:
                    report.unknown += 1
                    continue
                at = searched.get(probe.probe_id)
                report.add("search", probe.probe_id, _of_search(old, probe, past, at), _of_search(new, probe, past, at))
        return found

    async def _attempts(
        self, old: Policy, new: Policy, after: AuditEntryRecord | None, report: ReplayReport
    ) -> Sequence[AuditEntryRecord]:
        async with self._database.read() as tx:
            found = await audit_entries.page(tx, "probe.attach", "refused", after, _AT_ONCE)
            for entry in found:
                rule, purpose = _refused_by(entry.entry)
                if rule not in _JUDGED_RULES:
                    continue
                report.attempts += 1
                past = await self._past(tx, entry.subject, purpose, entry.at, new)
                if past is None:
                    report.unknown += 1
                    continue
                report.add("attempt", entry.entry_id, _of_attempt(old, rule, past), _of_attempt(new, rule, past))
        return found

    async def _past(
        self, tx: Transaction, incident_id: str, purpose: str, at: datetime, policy: Policy
    ) -> _Past | None:
        """policy: either one, since who sent alerts is asked for the moment of the search, not for this one."""
        try:
            authority = await authority_of(tx, incident_id, policy, self._clock.now())
        except (NotFoundError, ConflictError):
            return None
        merged = await incidents.merged_into(tx, (authority.incident_id,))
        senders = await threats.imminent_senders(tx, {authority.incident_id, *merged}, at)
        return _Past(purpose, authority.incident, frozenset(senders))


def _of_search(
    policy: Policy, probe: ProbeRecord, past: _Past, searched_at: datetime | None
) -> PolicyRefusalError | None:
    try:
        purpose = past.permitted_by(policy)
        rules.require_warrant(policy, purpose, probe.warrant_or_exigency)
        _require_deferral(policy, probe, past)
        _require_fresh_approval(policy, probe, searched_at)
    except PolicyRefusalError as refusal:
        return refusal
    return None


def _of_attempt(policy: Policy, rule: str, past: _Past) -> PolicyRefusalError | None:
    """By the rule that refused it: what the others would have said of the form is not known any more."""
    try:
        if rule == "P02":
            past.permitted_by(policy)
        else:
            rules.require_warrant(policy, Purpose(past.purpose), None)  # P02 was asked before, and did not refuse
    except PolicyRefusalError as refusal:
        return refusal
    return None


def _require_deferral(policy: Policy, probe: ProbeRecord, past: _Past) -> None:
    if probe.approve_by is None or probe.chosen_at is None:
        return
    if not past.imminent_by(policy):
        raise PolicyRefusalError("P14", "The approval would have had to come before the search.")
    in_time = probe.chosen_at + timedelta(minutes=policy.deferral.approve_within_minutes)
    if probe.approved_at is not None and probe.approved_at >= in_time:
        raise PolicyRefusalError("P14", "The approval that followed came later than it may.")


def _require_fresh_approval(policy: Policy, probe: ProbeRecord, searched_at: datetime | None) -> None:
    if probe.approved_at is None or searched_at is None:
        return
    if not rules.approval_holds(policy, probe.approved_at, searched_at):
        raise PolicyRefusalError("P01", "The approval was too old when the search ran.")


def _refused_by(entry: Mapping[str, Any]) -> tuple[str, str]:
    """The rule that refused the attempt, and the purpose that was given."""
    return str(entry["details"].get("rule")), str(entry["authority"].get("purpose"))
