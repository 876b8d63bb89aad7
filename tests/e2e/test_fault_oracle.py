"""The judge of the fault runs sees each kind of loss, doubling, gap and invention, and nothing where all is well."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.e2e.faults.ledger import Evidence, LeadRow, Ledger, OutboxRow, SentEvent, TopicRecord
from tests.e2e.faults.oracle import Fault, judge

AT = "2030-01-01T00:00:00Z"
LATER = "2030-01-01T00:00:05Z"


def sent(number: int, *, at: str = AT, is_threat: bool = False, priority: int = 2) -> SentEvent:
    return SentEvent("rtcc.incidents", "urn:test", f"e{number}", "I-1", is_threat, at, "open", priority)


def row(event_id: str, event_type: str, topic: str | None, position: int, data: dict[str, Any]) -> OutboxRow:
    event = {"id": event_id, "type": event_type, "data": data}
    return OutboxRow(event_id, event_type, topic, on_feed=True, feed_position=position, is_done=True, event=event)


def floor(number: int, at: str, position: int) -> OutboxRow:
    return row(f"f{number}", "floor.incident", None, position, {"incidentId": "I-1", "lastUpdateTimeStamp": at})


def alert(position: int) -> OutboxRow:
    return row("f9", "floor.threat", None, position, {"incidentId": "I-1", "lastUpdateTimeStamp": LATER})


def lead(sequence: int, position: int, kind: str) -> OutboxRow:
    data = {"leadId": "L-1", "probeId": "P-1", "sequence": sequence, "auditLeaf": f"leaf{sequence}"}
    return row(f"l{sequence}", kind, "rtcc.leads", position, data)


def record(published: OutboxRow, offset: int) -> TopicRecord:
    assert published.topic is not None
    return TopicRecord(published.topic, 0, offset, published.event)


FIRST, SECOND = lead(1, 4, "lead.candidates"), lead(2, 5, "lead.acknowledged")
LEDGER = Ledger(
    events=[sent(1), sent(2, at=LATER, priority=4), sent(3, is_threat=True)],
    acknowledged={("urn:test", "e1"), ("urn:test", "e2"), ("urn:test", "e3")},
    probes={"P-1"},
)
WELL = Evidence(
    noted=(("urn:test", "e1"), ("urn:test", "e2"), ("urn:test", "e3")),
    incidents={
        "I-1": {
            "lastUpdateTimeStamp": LATER,
            "incidentStatusCommonRegistryText": "open",
            "incidentCommonPriorityNumber": 4,
        }
    },
    outbox=(floor(1, AT, 1), floor(2, LATER, 2), alert(3), FIRST, SECOND),
    authorized=frozenset({"P-1"}),
    leads=(LeadRow("L-1", "P-1", 2),),
    audit_leaves=frozenset({"leaf1", "leaf2"}),
    without_object=(),
    records=(record(FIRST, 0), record(FIRST, 1), record(SECOND, 2)),
    input_identities=frozenset({("urn:test", "e1"), ("urn:test", "e2"), ("urn:test", "e3")}),
    given_up=frozenset(),
)


def test_what_is_as_promised_has_no_finding() -> None:
    """A repetition on a topic is as promised: delivery is at least once, with a stable id."""
    assert judge(LEDGER, WELL) == []


def test_an_event_that_was_never_acknowledged_may_or_may_not_have_had_its_effect() -> None:
    unacknowledged = replace(LEDGER, events=[*LEDGER.events, replace(sent(4), incident_id="I-2")])
    assert judge(unacknowledged, WELL) == []


def without(position: int) -> tuple[OutboxRow, ...]:
    return tuple(kept for kept in WELL.outbox if kept.feed_position != position)


def changed(position: int, **changes: Any) -> tuple[OutboxRow, ...]:
    return tuple(replace(one, **changes) if one.feed_position == position else one for one in WELL.outbox)


SEEDED: dict[str, tuple[Callable[[], Evidence], Fault, str]] = {
    "the broker lost an event": (
        lambda: replace(WELL, input_identities=WELL.input_identities - {("urn:test", "e1")}),
        Fault.LOST,
        "the broker lost event e1",
    ),
    "an event had no effect": (lambda: replace(WELL, noted=WELL.noted[1:]), Fault.LOST, "event e1 is noted 0 times"),
    "an event is noted twice": (
        lambda: replace(WELL, noted=(*WELL.noted, WELL.noted[0])),
        Fault.DOUBLED,
        "event e1 is noted 2 times",
    ),
    "an event was invented": (
        lambda: replace(WELL, noted=(*WELL.noted, ("urn:test", "e9"))),
        Fault.WRONG,
        "event e9 is noted and was never sent",
    ),
    "an old state won": (
        lambda: replace(WELL, incidents={"I-1": WELL.incidents["I-1"] | {"lastUpdateTimeStamp": AT}}),
        Fault.WRONG,
        "incident I-1 shows",
    ),
    "an incident is not there": (lambda: replace(WELL, incidents={}), Fault.LOST, "incident I-1 is not there"),
    "the floor was not told": (
        lambda: replace(WELL, outbox=without(2)),
        Fault.LOST,
        f"incident I-1 at {LATER}: told 0 times",
    ),
    "the floor was told twice": (
        lambda: replace(WELL, outbox=(*WELL.outbox, floor(7, LATER, 6))),
        Fault.DOUBLED,
        f"incident I-1 at {LATER}: told 2 times",
    ),
    "the floor was not told of an alert": (
        lambda: replace(WELL, outbox=without(3)),
        Fault.LOST,
        "threats of I-1: told 0 times",
    ),
    "the floor was told what nobody reported": (
        lambda: replace(WELL, outbox=(*WELL.outbox, floor(7, "2031-01-01T00:00:00Z", 6))),
        Fault.WRONG,
        "incident I-1 at 2031-01-01T00:00:00Z: told 1 times",
    ),
    "a probe has no outcome": (lambda: replace(WELL, leads=()), Fault.LOST, "probe P-1 has 0 leads"),
    "a probe has two leads": (
        lambda: replace(WELL, leads=(*WELL.leads, LeadRow("L-2", "P-1", 0))),
        Fault.DOUBLED,
        "probe P-1 has 2 leads",
    ),
    "a probe has two outcomes on the topic": (
        lambda: replace(WELL, records=(*WELL.records, replace(record(FIRST, 3), event=FIRST.event | {"id": "l9"}))),
        Fault.DOUBLED,
        "probe P-1 has 2 outcomes on the topic",
    ),
    "an outcome is not on the topic": (
        lambda: replace(WELL, records=(record(SECOND, 2),)),
        Fault.LOST,
        "the outcome of probe P-1 is not on the topic",
    ),
    "a sequence has a gap": (
        lambda: replace(WELL, leads=(LeadRow("L-1", "P-1", 3),)),
        Fault.WRONG,
        "lead L-1 has the sequence [1, 2], not [1, 2, 3]",
    ),
    "a sequence is out of order": (
        lambda: replace(WELL, records=(record(SECOND, 0), record(FIRST, 1))),
        Fault.WRONG,
        "lead L-1 has the sequence [2, 1], not [1, 2]",
    ),
    "an event on the topic is not in the database": (
        lambda: replace(WELL, outbox=without(5)),
        Fault.WRONG,
        "event l2 is on rtcc.leads and not in the database",
    ),
    "an event on the topic says something else": (
        lambda: replace(WELL, outbox=changed(5, event=SECOND.event | {"subject": "x"})),
        Fault.WRONG,
        "event l2 on rtcc.leads is not what the database says",
    ),
    "an event was published nowhere": (
        lambda: replace(WELL, records=WELL.records[:2]),
        Fault.LOST,
        "event l2 is marked as published and is not on rtcc.leads",
    ),
    "an event was not marked": (
        lambda: replace(WELL, outbox=changed(5, is_done=False)),
        Fault.WRONG,
        "event l2 is on rtcc.leads and not marked",
    ),
    "a place of the feed is empty": (
        lambda: replace(WELL, outbox=changed(5, feed_position=6)),
        Fault.WRONG,
        "place 5 of the feed is empty",
    ),
    "a place of the feed is taken twice": (
        lambda: replace(WELL, outbox=changed(5, feed_position=4)),
        Fault.DOUBLED,
        "place 4 of the feed is taken 2 times",
    ),
    "an event has no place on the feed": (
        lambda: replace(WELL, outbox=changed(5, feed_position=None)),
        Fault.LOST,
        "event l2 has no place on the feed",
    ),
    "an act is not in the audit log": (
        lambda: replace(WELL, audit_leaves=frozenset({"leaf1"})),
        Fault.WRONG,
        "lead.acknowledged l2 cites no entry",
    ),
    "a key has no object": (
        lambda: replace(WELL, without_object=("probe-crop/x",)),
        Fault.LOST,
        "object probe-crop/x has a key",
    ),
}


@pytest.mark.parametrize("seeded", SEEDED)
def test_what_is_wrong_is_found(seeded: str) -> None:
    make, fault, what = SEEDED[seeded]
    assert any(finding.fault is fault and finding.what.startswith(what) for finding in judge(LEDGER, make()))


def test_a_replayed_dead_letter_need_not_be_told_any_more() -> None:
    given_up = replace(WELL, given_up=frozenset({("urn:test", "e1")}), outbox=(*without(1),))
    findings = [finding.what for finding in judge(LEDGER, given_up) if "told" in finding.what]
    assert findings == []
