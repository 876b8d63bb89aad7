"""Judges what was found against what was sent: the delivery promise, rule by rule. Pure: no input, no output."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tests.e2e.faults.ledger import Evidence, Ledger, OutboxRow, TopicRecord, digest_of

OUTCOMES: Final = frozenset({"lead.candidates", "lead.no_candidate", "lead.inconclusive", "lead.rejected_quality"})
"""The first event of a lead, which says what the search of its probe came to."""


class Fault(StrEnum):
    """What can be wrong with one event, probe or lead."""

    LOST = "lost"
    DOUBLED = "doubled"
    WRONG = "wrong"
    """A gap, something invented, or a state that is not the newest."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as promised. `what` names it, so that one that stays is counted once."""

    fault: Fault
    what: str


Rule = Callable[[Ledger, Evidence], Iterator[Finding]]


def judge(ledger: Ledger, evidence: Evidence) -> list[Finding]:
    """All that is not as promised; empty when everything is."""
    return [finding for rule in RULES for finding in rule(ledger, evidence)]


def _topics_keep_what_they_acknowledged(ledger: Ledger, evidence: Evidence) -> Iterator[Finding]:
    for event in ledger.effective:
        if event.identity not in evidence.input_identities:
            yield Finding(Fault.LOST, f"the broker lost event {event.event_id}, which it had acknowledged")


def _every_event_is_noted_once(ledger: Ledger, evidence: Evidence) -> Iterator[Finding]:
    noted = Counter(evidence.noted)
    for event in ledger.effective:
        if noted[event.identity] != 1:
            fault = Fault.DOUBLED if noted[event.identity] else Fault.LOST
            yield Finding(fault, f"event {event.event_id} is noted {noted[event.identity]} times")
    known = {event.identity for event in ledger.events}
    for identity in noted.keys() - known:
        yield Finding(Fault.WRONG, f"event {identity[1]} is noted and was never sent")


def _incidents_show_their_newest_state(ledger: Ledger, evidence: Evidence) -> Iterator[Finding]:
    for incident_id, event in ledger.newest_states().items():
        data = evidence.incidents.get(incident_id)
        if data is None:
            yield Finding(Fault.LOST, f"incident {incident_id} is not there")
            continue
        shown = (
            data.get("lastUpdateTimeStamp"),
            data.get("incidentStatusCommonRegistryText"),
            data.get("incidentCommonPriorityNumber"),
        )
        if shown != (event.at, event.status, event.priority):
            yield Finding(Fault.WRONG, f"incident {incident_id} shows {shown}, not the state of {event.at}")


def _each_change_is_told_to_the_floor_once(ledger: Ledger, evidence: Evidence) -> Iterator[Finding]:
    told: Counter[str] = Counter()
    for row in evidence.outbox:
        if row.event_type == "floor.incident":
            told[f"incident {row.data['incidentId']} at {row.data['lastUpdateTimeStamp']}"] += 1
        elif row.event_type == "floor.threat":
            told[f"threats of {row.data['incidentId']}"] += 1
    due: Counter[str] = Counter()
    for event in ledger.effective:
        what = f"threats of {event.incident_id}" if event.is_threat else f"incident {event.incident_id} at {event.at}"
        due[what] += 1
    for what in due.keys() | told.keys():
        if told[what] < due[what]:
            yield Finding(Fault.LOST, f"{what}: told {told[what]} times to the floor, {due[what]} are due")
        elif told[what] > due[what]:
            fault = Fault.DOUBLED if due[what] else Fault.WRONG
            yield Finding(fault, f"{what}: told {told[what]} times to the floor, {due[what]} are due")


def _exactly_the_poison_is_given_up(ledger: Ledger, evidence: Evidence) -> Iterator[Finding]:
    """A crash between a letter and the offset commit leaves the letter twice, which is no second effect."""
    for marker in ledger.poison - {letter.marker for letter in evidence.letters}:
        yield Finding(Fault.LOST, f"{marker} is not among the dead letters")
    for letter in evidence.letters:
        if letter.marker not in ledger.poison and letter.identity not in ledger.refused_requests:
            yield Finding(Fault.WRONG, f"{letter.marker or letter.identity} is a dead letter without a reason")


def _every_probe_has_one_outcome(ledger: Ledger, evidence: Evidence) -> Iterator[Finding]:
    """But for a search that lost its authority before it ran, which only the end of its incident can do here."""
    leads = Counter(lead.probe_id for lead in evidence.leads)
    taken_away = {probe.probe_id: probe.incident_id for probe in evidence.probes if probe.is_taken_away}
    for probe_id in ledger.probes | {probe.probe_id for probe in evidence.probes}:
        if leads[probe_id] > 1:
            yield Finding(Fault.DOUBLED, f"probe {probe_id} has {leads[probe_id]} leads")
        elif not leads[probe_id] and probe_id not in taken_away:
            yield Finding(Fault.LOST, f"probe {probe_id} has 0 leads")
    for probe_id, incident_id in taken_away.items():
        if incident_id not in ledger.cancelled:
            yield Finding(Fault.LOST, f"probe {probe_id} was taken away, and its incident goes on")
    published: dict[str, set[str]] = defaultdict(set)
    for record in evidence.records:
        if record.event["type"] in OUTCOMES:
            published[record.event["data"]["probeId"]].add(record.event["id"])
    for probe_id, events in published.items():
        if len(events) > 1:
            yield Finding(Fault.DOUBLED, f"probe {probe_id} has {len(events)} outcomes on the topic")
    for probe_id in leads.keys() - published.keys():
        yield Finding(Fault.LOST, f"the outcome of probe {probe_id} is not on the topic")


def _leads_have_no_gaps(_ledger: Ledger, evidence: Evidence) -> Iterator[Finding]:
    """In the order of the topic, repetitions left out, each lead counts 1, 2, 3 … up to what the database says."""
    sequences: dict[str, list[int]] = defaultdict(list)
    seen: set[str] = set()
    for record in evidence.records:
        if not record.event["type"].startswith("lead.") or record.event["id"] in seen:
            continue
        seen.add(record.event["id"])
        sequences[record.event["data"]["leadId"]].append(record.event["data"]["sequence"])
    newest = {lead.lead_id: lead.sequence for lead in evidence.leads}
    for lead_id in sequences.keys() | newest.keys():
        due = list(range(1, newest.get(lead_id, 0) + 1))
        if sequences[lead_id] != due:
            yield Finding(Fault.WRONG, f"lead {lead_id} has the sequence {sequences[lead_id]}, not {due}")


def _leads_end_with_their_incident(ledger: Ledger, evidence: Evidence) -> Iterator[Finding]:
    newest: dict[str, tuple[int, str]] = {}
    for record in evidence.records:
        if record.event["type"].startswith("lead."):
            told = record.event["data"]["sequence"], record.event["type"]
            newest[record.event["data"]["leadId"]] = max(told, newest.get(record.event["data"]["leadId"], told))
    for lead in evidence.leads:
        is_due = lead.incident_id in ledger.cancelled
        if (lead.review_state == "withdrawn") is not is_due:
            incident = "was cancelled" if is_due else "goes on"
            yield Finding(Fault.WRONG, f"lead {lead.lead_id} is {lead.review_state}, and its incident {incident}")
        _, last = newest.get(lead.lead_id, (0, "nothing"))
        if (last == "lead.withdrawn") is not is_due:
            yield Finding(Fault.WRONG, f"the last that the topic says of lead {lead.lead_id} is {last}")


def _topics_and_database_agree(_ledger: Ledger, evidence: Evidence) -> Iterator[Finding]:
    rows = {row.event_id: row for row in evidence.outbox if row.topic is not None}
    records: dict[str, TopicRecord] = {}
    for record in evidence.records:
        event_id = record.event["id"]
        row = rows.get(event_id)
        if row is None or row.topic != record.topic:
            yield Finding(Fault.WRONG, f"event {event_id} is on {record.topic} and not in the database")
        elif row.event != record.event:
            yield Finding(Fault.WRONG, f"event {event_id} on {record.topic} is not what the database says")
        records[event_id] = record
    for event_id, row in rows.items():
        if event_id not in records:
            said = "is marked as published" if row.is_done else "was never published"
            yield Finding(Fault.LOST, f"event {event_id} {said} and is not on {row.topic}")
        elif not row.is_done:
            yield Finding(Fault.WRONG, f"event {event_id} is on {row.topic} and not marked as published")


def _the_feed_has_no_gaps(_ledger: Ledger, evidence: Evidence) -> Iterator[Finding]:
    on_feed: list[OutboxRow] = [row for row in evidence.outbox if row.on_feed]
    for row in on_feed:
        if row.feed_position is None:
            yield Finding(Fault.LOST, f"event {row.event_id} has no place on the feed")
    places = Counter(row.feed_position for row in on_feed if row.feed_position is not None)
    for place, count in places.items():
        if count > 1:
            yield Finding(Fault.DOUBLED, f"place {place} of the feed is taken {count} times")
    for missing in set(range(1, max(places, default=0) + 1)) - places.keys():
        yield Finding(Fault.WRONG, f"place {missing} of the feed is empty")


def _the_feed_is_heard_whole(_ledger: Ledger, evidence: Evidence) -> Iterator[Finding]:
    """A client of the feed hears every place from its first one on, in their order, once, and as it was written."""
    rows = {row.feed_position: row for row in evidence.outbox if row.on_feed and row.feed_position is not None}
    digests = {place: digest_of(row.event) for place, row in rows.items()}
    following = evidence.heard[0].place if evidence.heard else 1
    for heard in evidence.heard:
        if heard.place < following:
            yield Finding(Fault.DOUBLED, f"place {heard.place} of the feed was heard again")
        for missed in range(following, heard.place):
            yield Finding(Fault.LOST, f"place {missed} of the feed was not heard")
        if heard.digest != digests.get(heard.place):
            yield Finding(Fault.WRONG, f"what was heard at place {heard.place} of the feed is not in the database")
        following = max(following, heard.place + 1)
    for missed in range(following, max(rows, default=0) + 1):
        yield Finding(Fault.LOST, f"place {missed} of the feed was not heard")


def _acts_are_in_the_audit_log(_ledger: Ledger, evidence: Evidence) -> Iterator[Finding]:
    for row in evidence.outbox:
        if row.event_type.startswith("lead.") and row.data["auditLeaf"] not in evidence.audit_leaves:
            yield Finding(Fault.WRONG, f"{row.event_type} {row.event_id} cites no entry of the audit log")


def _keys_have_their_objects(_ledger: Ledger, evidence: Evidence) -> Iterator[Finding]:
    for object_key in evidence.without_object:
        yield Finding(Fault.LOST, f"object {object_key} has a key and is not in the store")


RULES: Final[tuple[Rule, ...]] = (
    _topics_keep_what_they_acknowledged,
    _every_event_is_noted_once,
    _incidents_show_their_newest_state,
    _each_change_is_told_to_the_floor_once,
    _exactly_the_poison_is_given_up,
    _every_probe_has_one_outcome,
    _leads_have_no_gaps,
    _leads_end_with_their_incident,
    _topics_and_database_agree,
    _the_feed_has_no_gaps,
    _the_feed_is_heard_whole,
    _acts_are_in_the_audit_log,
    _keys_have_their_objects,
)
