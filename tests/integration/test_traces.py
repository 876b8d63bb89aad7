"""A trace goes on through the database and over topics: incident, still, choice, approval, search, lead."""

import asyncio
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.contextvars import clear_contextvars, merge_contextvars
from structlog.testing import capture_logs

from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.cloud_event import STRUCTURED_HEADERS
from rtcc_bridge.consumers.dead_letters import DeadLetterWriter
from rtcc_bridge.consumers.finisher import Finisher
from rtcc_bridge.consumers.records import ConsumedRecord
from rtcc_bridge.errors import PolicyRefusalError, UnavailableError
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.simulate import incident_data, threat_data
from rtcc_bridge.storage import tables
from rtcc_bridge.telemetry import tracing
from rtcc_bridge.telemetry.trace_export import exporting_traces
from rtcc_bridge.telemetry.traceparent import span_id_of, trace_id_of
from rtcc_bridge.tracing_settings import TracingSettings
from tests.collector import Collector, Received, collecting
from tests.integration.pipeline import Desks, until
from tests.probe_kit import (
    ANALYST,
    SUPERVISOR,
    Gallery,
    ProbeKit,
    face_search,
    form,
    kit,
    record_of,
    search_handler,
    upload,
)

__all__ = ["kit"]

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
RECORDED = f"00-{TRACE}-{SPAN}-01"
KAFKA = KafkaSettings()
INCIDENTS, THREATS = KAFKA.topics.incidents, KAFKA.topics.threats


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as opened:
        yield opened


@pytest.fixture(autouse=True)
def _log_of_its_own() -> Iterator[None]:
    """A test takes up several works in one task."""
    yield
    clear_contextvars()


@pytest.fixture
def traced(collector: Collector) -> TracingSettings:
    return TracingSettings(endpoint=collector.endpoint)


def record(kit: ProbeKit, topic: str, event_type: str, data: dict[str, Any], **attributes: Any) -> ConsumedRecord:
    event = {"specversion": "1.0", "id": "1", "source": "urn:sender", "type": event_type, "data": data}
    value = json.dumps(event | attributes).encode()
    return ConsumedRecord(topic, 2, 7, None, value, STRUCTURED_HEADERS, kit.clock.now())


def incident_record(kit: ProbeKit, incident_id: str, event_id: str = "1", **attributes: Any) -> ConsumedRecord:
    data = incident_data(incident_id, "HOMICIDE", 1, kit.clock.now(), location="Test square")
    kind = attributes.pop("type", "rtcc.incident.reported")
    return record(kit, INCIDENTS, kind, data, id=event_id, **attributes)


async def take_in(kit: ProbeKit, *records: ConsumedRecord) -> list[Any]:
    (topic,) = {record.topic for record in records}
    handler: Any = Desks(kit.database, KAFKA).handlers[topic]
    outcomes: list[Any] = await handler.handle_batch(records)
    return outcomes


async def search_all(kit: ProbeKit, gallery: Gallery) -> None:
    search = face_search(gallery)
    async with search.batcher:
        handler = search_handler(kit, search)
        await asyncio.gather(*(handler.handle(record_of(row)) for row in await kit.requests()))


def is_child(child: Received, parent: Received) -> bool:
    return (child.trace_id, child.parent_id) == (parent.trace_id, parent.span_id)


async def test_one_trace_from_the_record_to_the_lead(
    kit: ProbeKit, collector: Collector, traced: TracingSettings
) -> None:
    person = await kit.enrol("somebody")
    async with exporting_traces(traced, ["web"]):
        assert await take_in(kit, incident_record(kit, "I-1", traceparent=RECORDED)) == [None]
        probe = await kit.desk.attach("I-1", form(), ANALYST, upload())
        await kit.desk.choose_face(probe.probe_id, 1, ANALYST)
        await kit.desk.approve(probe.probe_id, SUPERVISOR)
        await search_all(kit, Gallery(finds=lambda _crop: [person]))
        (lead,) = await kit.rows(tables.leads)
        await kit.parts.leads.acknowledge(lead["lead_id"], ANALYST)
    names = ["incident.event", "probe.attach", "probe.choose_face", "probe.approve", "probe.search", "persist"]
    way = [collector.one(name) for name in names]
    assert {span.trace_id for span in way} == {TRACE}
    assert way[0].parent_id == SPAN
    for parent, child in itertools.pairwise(way):
        assert is_child(child, parent), child.name
    assert is_child(collector.one("lead.acknowledge"), collector.one("persist"))
    assert [span.kind for span in way] == ["consumer", "server", "server", "server", "consumer", "internal"]
    assert collector.one("incident.event").facts == {
        "messaging.destination.name": INCIDENTS,
        "messaging.destination.partition.id": "2",
        "messaging.kafka.offset": 7,
        "rtcc_bridge.incident_id": "I-1",
    }
    assert {span.facts.get("rtcc_bridge.probe_id") for span in way[1:5]} == {probe.probe_id}
    assert collector.one("persist").facts == {"rtcc_bridge.lead_id": lead["lead_id"]}
    decided = {
        "floor.incident": "incident.event",
        "rtcc-bridge.probe.search": "probe.approve",
        "lead.candidates": "persist",
        "lead.acknowledged": "lead.acknowledge",
    }
    for event_type, name in decided.items():
        (row,) = await kit.rows(tables.outbox, event_type=event_type)
        assert row["event"]["traceparent"] == f"00-{TRACE}-{collector.one(name).span_id}-01", event_type


async def test_without_traces_nothing_of_them_is_kept_or_sent(kit: ProbeKit) -> None:
    await take_in(kit, incident_record(kit, "I-1", traceparent=RECORDED))
    await kit.authorized("I-1")
    await search_all(kit, Gallery())
    for table in (tables.incidents, tables.probes, tables.leads):
        assert [row["traceparent"] for row in await kit.rows(table)] == [None]
    assert all("traceparent" not in row["event"] for row in await kit.rows(tables.outbox))


@pytest.mark.parametrize("wrong", ["", "00-ab", 5, 1.5, [RECORDED], RECORDED.upper()])
async def test_a_malformed_trace_lets_the_event_have_its_effect(
    wrong: Any, kit: ProbeKit, collector: Collector, traced: TracingSettings
) -> None:
    async with exporting_traces(traced, ["consumer"]):
        assert await take_in(kit, incident_record(kit, "I-1", traceparent=wrong)) == [None]
    assert [row["incident_id"] for row in await kit.rows(tables.incidents)] == ["I-1"]
    assert collector.one("incident.event").parent_id == ""


async def test_each_record_of_a_batch_goes_on_its_own_trace(
    kit: ProbeKit, collector: Collector, traced: TracingSettings
) -> None:
    others = {f"I-{number}": f"00-{number:032x}-{SPAN}-01" for number in range(1, 4)}
    records = [incident_record(kit, name, name, traceparent=other) for name, other in others.items()]
    refused = incident_record(kit, "I-4", "I-4", type="unknown", traceparent=RECORDED)
    async with exporting_traces(traced, ["consumer"]):
        outcomes = await take_in(kit, *records, refused)
    assert [outcome is None for outcome in outcomes] == [True, True, True, False]
    spans = {span.facts["rtcc_bridge.incident_id"]: span for span in collector.named("incident.event")}
    assert {name: span.trace_id for name, span in spans.items()} == {
        name: trace_id_of(other) for name, other in others.items()
    }
    for row in await kit.rows(tables.incidents):
        span = spans[row["incident_id"]]
        assert row["traceparent"] == f"00-{span.trace_id}-{span.span_id}-01"


async def test_a_still_on_a_threat_goes_on_the_trace_of_the_threat(
    kit: ProbeKit, collector: Collector, traced: TracingSettings
) -> None:
    """Dispatch had reported the incident before, in a trace of its own."""
    data = threat_data("T-1", "Active shooter", kit.clock.now(), incident_ids=("I-1",))
    threat = record(kit, THREATS, "rtcc.threat.alert", data, id="alert", traceparent=RECORDED)
    async with exporting_traces(traced, ["consumer"]):
        await take_in(kit, incident_record(kit, "I-1", traceparent=f"00-{'a' * 32}-{SPAN}-01"))
        assert await take_in(kit, threat) == [None]
        await kit.desk.attach("I-1", form(purpose="imminent_threat"), ANALYST, upload())
    assert is_child(collector.one("probe.attach"), collector.one("threat.event"))
    assert collector.one("threat.event").trace_id == TRACE


async def test_a_batch_is_found_from_each_probe_in_it(
    kit: ProbeKit, collector: Collector, traced: TracingSettings
) -> None:
    async with exporting_traces(traced, ["matcher"]):
        for name in ("I-1", "I-2", "I-3"):
            await take_in(kit, incident_record(kit, name, name))
            await kit.authorized(name)
        search = face_search(Gallery(), batch_size=3, wait_seconds=60.0)
        async with search.batcher:
            handler = search_handler(kit, search)
            await asyncio.gather(*(handler.handle(record_of(row)) for row in await kit.requests()))
    batch = collector.one("batch")
    searches = collector.named("probe.search")
    assert len({span.trace_id for span in searches}) == 3
    assert set(batch.links) == {span.span_id for span in searches}
    assert batch.facts == {"rtcc_bridge.batch_size": 3}
    (first,) = [span for span in searches if is_child(batch, span)]
    assert [span.links for span in searches if span is not first] == [(batch.span_id,)] * 2


async def test_a_probe_that_is_not_recorded_is_in_a_batch_all_the_same(
    kit: ProbeKit, collector: Collector, traced: TracingSettings
) -> None:
    for name, ratio in (("I-1", 0.0), ("I-2", 1.0)):
        async with exporting_traces(traced.model_copy(update={"sample_ratio": ratio}), ["web"]):
            await take_in(kit, incident_record(kit, name, name, traceparent=f"00-{name[-1] * 32}-{SPAN}-01"))
            await kit.authorized(name)
    async with exporting_traces(traced, ["matcher"]):
        search = face_search(Gallery(), batch_size=2, wait_seconds=60.0)
        async with search.batcher:
            handler = search_handler(kit, search)
            await asyncio.gather(*(handler.handle(record_of(row)) for row in await kit.requests()))
    assert {span.trace_id for span in collector.spans} == {"2" * 32}
    assert collector.one("batch").facts == {"rtcc_bridge.batch_size": 2}
    assert len(await kit.rows(tables.leads)) == 2


async def test_a_refusal_is_a_result_and_says_no_more(
    kit: ProbeKit, collector: Collector, traced: TracingSettings
) -> None:
    async with exporting_traces(traced, ["web"]):
        await take_in(kit, incident_record(kit, "I-1"))
        probe = await kit.chosen("I-1")
        with pytest.raises(PolicyRefusalError):
            await kit.desk.approve(probe.probe_id, ANALYST)
    approval = collector.one("probe.approve")
    assert not approval.failed
    assert approval.facts["rtcc_bridge.refused"] == "policy"
    assert set(approval.facts) == {"rtcc_bridge.probe_id", "rtcc_bridge.incident_id", "rtcc_bridge.refused"}


async def test_when_traces_are_switched_off_no_place_of_before_goes_out(
    kit: ProbeKit, collector: Collector, traced: TracingSettings
) -> None:
    async with exporting_traces(traced, ["web"]):
        await take_in(kit, incident_record(kit, "I-1", traceparent=RECORDED))
        await kit.authorized("I-1")
    before = {row["id"] for row in await kit.rows(tables.outbox)}
    await search_all(kit, Gallery())
    after = [row["event"] for row in await kit.rows(tables.outbox) if row["id"] not in before]
    assert after
    assert all("traceparent" not in event for event in after)


async def test_a_search_that_is_requested_again_goes_on_the_probes_trace(
    kit: ProbeKit, collector: Collector, traced: TracingSettings
) -> None:
    async with exporting_traces(traced, ["relay"]):
        await take_in(kit, incident_record(kit, "I-1", traceparent=RECORDED))
        await kit.authorized("I-1")
        kit.clock.advance(31)
        assert await kit.reconciler.request_unanswered() == 1
    again = collector.one("probe.reconcile")
    assert is_child(again, collector.one("probe.approve"))
    _, row = sorted(await kit.requests(), key=lambda row: int(row["id"]))
    assert span_id_of(row["event"]["traceparent"]) == again.span_id


async def test_a_record_whose_handling_fails_is_told_with_its_trace_incident_and_probe(
    kit: ProbeKit, collector: Collector, traced: TracingSettings
) -> None:
    gallery = Gallery(closed=UnavailableError("the gallery's head was not confirmed"))
    search = face_search(gallery)
    letters = DeadLetterWriter(EventProducer(KAFKA), KAFKA.topics.dead_letters)
    finisher = Finisher(KAFKA, "matcher", letters, kit.metrics, kit.clock, lambda _topic: None)
    async with exporting_traces(traced, ["matcher"]), search.batcher:
        await take_in(kit, incident_record(kit, "I-1", traceparent=RECORDED))
        probe = await kit.authorized("I-1")
        (row,) = await kit.requests()
        with capture_logs([merge_contextvars]) as logged:
            finishing = asyncio.create_task(finisher.finish(search_handler(kit, search), record_of(row)))
            await until(lambda: any(line["event"] == "handling a record failed" for line in logged))
            gallery.closed = None
            await finishing
    line = next(line for line in logged if line["event"] == "handling a record failed")
    assert (line["trace_id"], line["incident_id"], line["probe_id"]) == (TRACE, "I-1", probe.probe_id)
    *failed, done = collector.named("probe.search")
    assert not done.failed
    assert {span.facts["error.type"] for span in failed} == {"UnavailableError"}


async def test_p16_leads_that_are_withdrawn_for_one_person_stay_in_their_own_traces(
    kit: ProbeKit, collector: Collector, traced: TracingSettings
) -> None:
    """Whoever reads the topic must not see that two leads listed the same person."""
    person = await kit.enrol("somebody")
    async with exporting_traces(traced, ["web"]):
        for name in ("I-1", "I-2"):
            await take_in(kit, incident_record(kit, name, name))
            await kit.authorized(name)
        await search_all(kit, Gallery(finds=lambda _crop: [person]))
        with tracing.span("an act on both"):
            async with kit.database.write() as tx:
                withdrawn = await kit.parts.leads.withdraw_for_subject(tx, person.subject_id, "order", "administrator")
    assert withdrawn == 2
    opened = {row["event"]["subject"]: row for row in await kit.rows(tables.outbox, event_type="lead.candidates")}
    ended = {row["event"]["subject"]: row for row in await kit.rows(tables.outbox, event_type="lead.withdrawn")}
    traces = {lead: trace_id_of(row["event"]["traceparent"]) for lead, row in ended.items()}
    assert traces == {lead: trace_id_of(row["event"]["traceparent"]) for lead, row in opened.items()}
    assert len(set(traces.values())) == 2
