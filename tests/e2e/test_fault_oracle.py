"""The judge of the fault runs sees each kind of loss, doubling, gap and invention, and nothing where all is well."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.e2e.faults.ledger import (
    Evidence,
    HeardEvent,
    LeadRow,
    Ledger,
    Letter,
    OutboxRow,
    ProbeRow,
    SentEvent,
    TopicRecord,
    digest_of,
)
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


def lead(sequence: int, position: int, kind: str, number: int = 1) -> OutboxRow:
    leaf = f"leaf{position}"
    data = {"leadId": f"L-{number}", "probeId": f"P-{number}", "sequence": sequence, "auditLeaf": leaf}
    return row(f"l{position}", kind, "rtcc.leads", position, data)


def record(published: OutboxRow, offset: int) -> TopicRecord:
    assert published.topic is not None
    return TopicRecord(published.topic, 0, offset, published.event)


def hear(*told: OutboxRow) -> tuple[HeardEvent, ...]:
    return tuple(HeardEvent(each.feed_position or 0, digest_of(each.event)) for each in told)


FIRST, SECOND = lead(1, 4, "lead.candidates"), lead(2, 5, "lead.acknowledged")
OTHER, WITHDRAWN = lead(1, 6, "lead.no_candidate", 2), lead(2, 7, "lead.withdrawn", 2)
OUTBOX = (floor(1, AT, 1), floor(2, LATER, 2), alert(3), FIRST, SECOND, OTHER, WITHDRAWN)
POISON = f"poison-{7:016x}"
LEDGER = Ledger(
    events=[sent(1), sent(2, at=LATER, priority=4), sent(3, is_threat=True)],
    acknowledged={("urn:test", "e1"), ("urn:test", "e2"), ("urn:test", "e3")},
    probes={"P-1", "P-2", "P-3"},
    cancelled={"I-2"},
    poison={POISON},
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
    outbox=OUTBOX,
    probes=(
        ProbeRow("P-1", "I-1", "searched"),
        ProbeRow("P-2", "I-2", "withdrawn"),
        ProbeRow("P-3", "I-2", "withdrawn"),
    ),
    leads=(LeadRow("L-1", "P-1", "I-1", 2, "unreviewed"), LeadRow("L-2", "P-2", "I-2", 2, "withdrawn")),
    audit_leaves=frozenset({"leaf4", "leaf5", "leaf6", "leaf7"}),
    without_object=(),
    records=(record(FIRST, 0), record(FIRST, 1), record(SECOND, 2), record(OTHER, 3), record(WITHDRAWN, 4)),
    input_identities=frozenset({("urn:test", "e1"), ("urn:test", "e2"), ("urn:test", "e3")}),
    letters=(Letter(marker=POISON), Letter(marker=POISON)),
    heard=hear(*OUTBOX[2:]),
)


def test_what_is_as_promised_has_no_finding() -> None:
    """A repetition on a topic is as promised: delivery is at least once, with a stable id. So is a second letter of one
    record, a feed that is heard from its third place on, and no outcome of a probe whose incident was cancelled."""
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
        lambda: replace(WELL, outbox=(*WELL.outbox, floor(7, LATER, 8))),
        Fault.DOUBLED,
        f"incident I-1 at {LATER}: told 2 times",
    ),
    "the floor was not told of an alert": (
        lambda: replace(WELL, outbox=without(3)),
        Fault.LOST,
        "threats of I-1: told 0 times",
    ),
    "the floor was told what nobody reported": (
        lambda: replace(WELL, outbox=(*WELL.outbox, floor(7, "2031-01-01T00:00:00Z", 8))),
        Fault.WRONG,
        "incident I-1 at 2031-01-01T00:00:00Z: told 1 times",
    ),
    "a probe has no outcome": (lambda: replace(WELL, leads=WELL.leads[1:]), Fault.LOST, "probe P-1 has 0 leads"),
    "a probe has two leads": (
        lambda: replace(WELL, leads=(*WELL.leads, LeadRow("L-9", "P-1", "I-1", 0, "unreviewed"))),
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
        lambda: replace(WELL, leads=(replace(WELL.leads[0], sequence=3),)),
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
        "event l5 is on rtcc.leads and not in the database",
    ),
    "an event on the topic says something else": (
        lambda: replace(WELL, outbox=changed(5, event=SECOND.event | {"subject": "x"})),
        Fault.WRONG,
        "event l5 on rtcc.leads is not what the database says",
    ),
    "an event was published nowhere": (
        lambda: replace(WELL, records=WELL.records[:2]),
        Fault.LOST,
        "event l5 is marked as published and is not on rtcc.leads",
    ),
    "an event was not marked": (
        lambda: replace(WELL, outbox=changed(5, is_done=False)),
        Fault.WRONG,
        "event l5 is on rtcc.leads and not marked",
    ),
    "a place of the feed is empty": (
        lambda: replace(WELL, outbox=changed(5, feed_position=9)),
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
        "event l5 has no place on the feed",
    ),
    "an act is not in the audit log": (
        lambda: replace(WELL, audit_leaves=frozenset({"leaf4"})),
        Fault.WRONG,
        "lead.acknowledged l5 cites no entry",
    ),
    "a poisoned record is not given up": (
        lambda: replace(WELL, letters=()),
        Fault.LOST,
        f"{POISON} is not among the dead letters",
    ),
    "a good event is given up": (
        lambda: replace(WELL, letters=(*WELL.letters, Letter(identity=("urn:test", "e1")))),
        Fault.WRONG,
        "('urn:test', 'e1') is a dead letter without a reason",
    ),
    "a poisoned record had its effect": (
        lambda: replace(WELL, noted=(*WELL.noted, ("urn:test", POISON))),
        Fault.WRONG,
        f"event {POISON} is noted and was never sent",
    ),
    "a probe is taken away from an incident that goes on": (
        lambda: replace(WELL, probes=(replace(WELL.probes[0], state="withdrawn"), *WELL.probes[1:])),
        Fault.LOST,
        "probe P-1 was taken away",
    ),
    "a probe that went on has no outcome": (
        lambda: replace(WELL, probes=(*WELL.probes[:2], replace(WELL.probes[2], state="authorized"))),
        Fault.LOST,
        "probe P-3 has 0 leads",
    ),
    "a lead outlives its incident": (
        lambda: replace(WELL, leads=(WELL.leads[0], replace(WELL.leads[1], review_state="unreviewed"))),
        Fault.WRONG,
        "lead L-2 is unreviewed, and its incident was cancelled",
    ),
    "the topic does not say that a lead is withdrawn": (
        lambda: replace(WELL, records=WELL.records[:-1]),
        Fault.WRONG,
        "the last that the topic says of lead L-2 is lead.no_candidate",
    ),
    "a lead is withdrawn without a reason": (
        lambda: replace(WELL, leads=(replace(WELL.leads[0], review_state="withdrawn"), WELL.leads[1])),
        Fault.WRONG,
        "lead L-1 is withdrawn, and its incident goes on",
    ),
    "the feed left a place out": (
        lambda: replace(WELL, heard=hear(*OUTBOX[2:4], *OUTBOX[5:])),
        Fault.LOST,
        "place 5 of the feed was not heard",
    ),
    "the feed ended early": (
        lambda: replace(WELL, heard=hear(*OUTBOX[2:6])),
        Fault.LOST,
        "place 7 of the feed was not heard",
    ),
    "nobody heard the feed": (lambda: replace(WELL, heard=()), Fault.LOST, "place 1 of the feed was not heard"),
    "the feed repeated a place": (
        lambda: replace(WELL, heard=hear(*OUTBOX[2:], OUTBOX[4])),
        Fault.DOUBLED,
        "place 5 of the feed was heard again",
    ),
    "the feed said something else": (
        lambda: replace(WELL, heard=(HeardEvent(3, b"?"), *WELL.heard[1:])),
        Fault.WRONG,
        "what was heard at place 3 of the feed is not in the database",
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


def test_a_request_that_was_refused_for_a_wrong_clock_may_stay_a_dead_letter() -> None:
    letters = (*WELL.letters, Letter(identity=("urn:test", "s1")))
    refused = replace(LEDGER, refused_requests={("urn:test", "s1")})
    assert not list(judge(refused, replace(WELL, letters=letters)))
