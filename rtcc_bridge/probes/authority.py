"""What a probe's incident permits at this moment, read in the transaction that acts on it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from rtcc_bridge.errors import ConflictError, NotFoundError, PolicyRefusalError
from rtcc_bridge.incidents.incident import is_placeholder
from rtcc_bridge.policy import rules
from rtcc_bridge.policy.policy_file import Policy
from rtcc_bridge.policy.purposes import absolute_refusal
from rtcc_bridge.policy.rules import IncidentFacts, ThreatFacts
from rtcc_bridge.storage import (
    dispositions,
    imminent_declarations,
    incidents,
    provisional_incidents,
    refusal_overrides,
    threats,
)
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.incidents import IncidentRecord
from rtcc_bridge.storage.probes import ProbeRecord
from rtcc_bridge.storage.threats import ThreatRecord


@dataclass(frozen=True, slots=True)
class IncidentAuthority:
    """The incident that decides (where the named one was merged, the one that it ended up in) and what it permits.

    imminent_threat: what decides on lane and deferral (P14). alerted: that is so by an alert, and not by the watch
    commander's word alone, which widens no purpose. was_alerted: so it is, or was until its time was
    over. declared_by, declared_until: whose word that is, and its end, while it lasts. traceparent: the place in its
    trace of the newest event that told of it.
    """

    incident_id: str
    incident: IncidentFacts
    imminent_threat: bool
    alerted: bool
    was_alerted: bool
    declared_by: str | None
    declared_until: datetime | None
    traceparent: str | None


async def authority_of(tx: Transaction, incident_id: str, policy: Policy, now: datetime) -> IncidentAuthority:
    """Raises NotFoundError for an incident that was never seen on the feed (P01), ConflictError for a broken merge."""
    record = await _followed(tx, incident_id)
    merged = await incidents.merged_into(tx, (record.incident_id,))
    threatened = await threats.of_incidents(tx, (record.incident_id,), merged)
    alerts = [_threat_facts(threat) for threat in threatened[record.incident_id]]
    attested = await refusal_overrides.is_confirmed(tx, record.incident_id)
    provisional = await provisional_incidents.find(tx, record.incident_id)
    incident = replace(
        _facts(incident_id, record, await incidents.get_all(tx, merged)),
        killing_attested=attested,
        unreconciled=provisional is not None and provisional.is_overdue(now),
    )
    alerted = rules.has_imminent_threat(policy, incident, alerts, now)
    declaration = await imminent_declarations.find(tx, record.incident_id)
    until = None if declaration is None else declaration.ends_at
    declared = rules.is_declared_imminent(policy, incident, until, now)
    return IncidentAuthority(
        incident_id=record.incident_id,
        incident=incident,
        imminent_threat=alerted or declared,
        alerted=alerted,
        was_alerted=rules.had_imminent_threat(policy, incident, alerts),
        declared_by=declaration.declared_by if declaration is not None and declared else None,
        declared_until=until if declared else None,
        traceparent=record.traceparent,
    )


def require_still_permitted(policy: Policy, probe: ProbeRecord, authority: IncidentAuthority) -> None:
    """What was permitted when the still was attached still is, as the incident stands now.

    A threat that has expired since takes nothing away here: its expiry ends only the deferral (P08, P14).
    """
    rules.require_authority(authority.incident)
    rules.require_unmixed(authority.incident)
    threatened = authority.was_alerted
    purpose = rules.require_permitted_purpose(policy, probe.purpose, authority.incident, imminent_threat=threatened)
    rules.require_warrant(policy, purpose, probe.warrant_or_exigency)
    if authority.incident.exercise != probe.exercise:
        raise PolicyRefusalError(
            "P07",
            "Since the still was attached its incident has changed between exercise and actual event: attach it again.",
        )


def end_of(incident: IncidentFacts, *, exercise: bool) -> tuple[Literal["P02", "P07", "P08"], str] | None:
    """The rule and the reason for which the sweep withdraws the lead of a search for this incident (P02, P07, P08).

    exercise: whether the search was one. None: the lead goes on.
    """
    if incident.status in rules.AUTHORITY_ENDED:
        return "P08", f"the incident is {incident.status}"
    if (matter := rules.refused_matter(incident)) is not None:
        return "P02", f"no search is made in {matter}"
    if incident.exercise != exercise:
        kind = "an exercise" if incident.exercise else "an actual event"
        return "P07", f"the incident is {kind}, which was not known before"
    return None


def require_not_ended(probe: ProbeRecord, authority: IncidentAuthority) -> None:
    """That nothing has come of the incident which ends the search's lead.

    Raises PolicyRefusalError (P01, P02, P07, P08).
    """
    rules.require_reconciled(authority.incident)
    match end_of(authority.incident, exercise=probe.exercise):  # each by its name, for whoever takes checks out in turn
        case ("P08", reason):
            raise PolicyRefusalError("P08", _used_no_more(reason))
        case ("P02", reason):
            raise PolicyRefusalError("P02", _used_no_more(reason))
        case ("P07", reason):
            raise PolicyRefusalError("P07", _used_no_more(reason))


def _used_no_more(reason: str) -> str:
    return f"{reason[0].upper()}{reason[1:]}, so this lead may not be used any more."


async def require_open_case(tx: Transaction, case_number: str) -> None:
    """Asks for the case as it stands now. Raises PolicyRefusalError (P01)."""
    rules.require_open_case(disposed=await dispositions.is_disposed(tx, case_number))


async def _followed(tx: Transaction, incident_id: str) -> IncidentRecord:
    """The incident, or the one that it ended up in."""
    record = await incidents.resolve(tx, incident_id)
    if record is None:
        raise NotFoundError("This incident was not seen on the feed, and only one that was can be worked on (P01).")
    if record.status == "merged":
        raise ConflictError("This incident was merged into one that is not known yet: try again when it has arrived.")
    return record


def _facts(named_id: str, record: IncidentRecord, parts: Sequence[IncidentRecord]) -> IncidentFacts:
    """The incident is all that was merged into it: a merge is no way out of what one of its parts is refused for.

    That holds for stills that came with the merge as well as for those attached to the incident itself. An exercise
    that only an alert has told of counts where it is itself named: a drill's alert that names an actual incident by
    mistake would end its searches, and dispatch could not take that merge back.
    """
    return IncidentFacts(
        incident_type=record.incident_type,
        status=record.status,
        exercise=record.exercise,
        case_number=record.case_number,
        refused_types=frozenset(code for part in (record, *parts) for code in _refused_types(part)),
        exercise_merged_in=any(
            part.exercise and (part.incident_id == named_id or not is_placeholder(part)) for part in parts
        ),
    )


def _refused_types(record: IncidentRecord) -> Iterator[str]:
    for code in (record.refused_type, absolute_refusal(record.incident_type)):
        if code is not None:
            yield code


def _threat_facts(threat: ThreatRecord) -> ThreatFacts:
    return ThreatFacts(
        sender=threat.sender,
        imminent=threat.imminent,
        active=threat.state == "active",
        exercise=threat.exercise,
        expires_at=threat.expires_at,
    )
