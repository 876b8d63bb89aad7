"""Incidents and threats from the topics to the database and the floor, each effect once."""

import asyncio
import json
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from cloudevents.core.bindings.kafka import to_binary_event
from cloudevents.core.v1.event import CloudEvent as SdkEvent
from sqlalchemy import func, select

from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.cloud_event import CloudEvent, rfc3339
from rtcc_bridge.consumers.letter_box import list_dead_letters
from rtcc_bridge.incidents.board import open_incidents
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.simulate import incident_data, publish_incident, publish_threat, threat_data
from rtcc_bridge.storage import incidents, threats
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.incidents import IncidentRecord
from rtcc_bridge.storage.tables import input_events, outbox
from tests.integration.pipeline import Desks, committed, running, send_event, until
from tests.outages import Outages

NOW = SystemClock().now()


def data(incident_id: str, minutes: float = 0, **changes: Any) -> dict[str, Any]:
    moment = NOW + timedelta(minutes=minutes)
    return {**incident_data(incident_id, "SHOOT", 1, moment, location="Elm St"), **changes}


def alert(identifier: str, *incident_ids: str, minutes: float = 0, **changes: Any) -> dict[str, Any]:
    moment = NOW + timedelta(minutes=minutes)
    return {**threat_data(identifier, "Active shooter", moment, incident_ids=incident_ids), **changes}


def report(number: int) -> CloudEvent:
    return CloudEvent(
        id=f"e-{number}",
        source="urn:cad",
        type="rtcc.incident.reported",
        partitionkey=f"I-{number % 50}",
        data=data(f"I-{number}"),
    )


async def effects(database: Database) -> Counter[str]:
    """How often each incident was told to the floor."""
    async with database.read() as tx:
        rows = await tx.execute(select(outbox.c.event))
        return Counter(event["subject"] for (event,) in rows)


async def views(database: Database, incident_id: str) -> list[dict[str, Any]]:
    """What the floor was told of an incident, in order."""
    async with database.read() as tx:
        rows = await tx.execute(select(outbox.c.event).order_by(outbox.c.id))
        return [event["data"] for (event,) in rows if event["subject"] == incident_id]


async def stored(database: Database, incident_id: str) -> IncidentRecord:
    async with database.read() as tx:
        found = await incidents.get(tx, incident_id)
    assert found is not None
    return found


@asynccontextmanager
async def consuming(kafka: KafkaSettings, desks: Desks) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Consumes; yields what waits until so many records are committed. At the end there must be no dead letters."""

    async def reach(count: int) -> None:
        await until(lambda: _are_committed(kafka, count))

    async with running(kafka, desks.handlers):
        yield reach
    assert await list_dead_letters(kafka) == []


async def _are_committed(kafka: KafkaSettings, count: int) -> bool:
    topics = (kafka.topics.incidents, kafka.topics.threats)
    return sum([await committed(kafka, topic) for topic in topics]) == count


async def test_a_repeated_event_has_its_effect_once(
    kafka: KafkaSettings, producer: EventProducer, database: Database
) -> None:
    for _ in range(3):
        for number in range(10):
            await send_event(producer, kafka.topics.incidents, report(number))
    async with consuming(kafka, Desks(database, kafka)) as reach:
        await reach(30)
    assert await effects(database) == Counter({f"I-{number}": 1 for number in range(10)})


async def test_events_in_binary_mode_reach_the_floor_as_those_in_structured_mode_do(
    kafka: KafkaSettings, producer: EventProducer, database: Database
) -> None:
    """Written by the official SDK: the attributes are headers, the value is the data alone."""
    shooting, threat = data("I-1", caseNumber="26-1"), alert("T-1", "I-1")
    await send_binary(producer, kafka.topics.incidents, "rtcc.incident.reported", shooting)
    await send_binary(producer, kafka.topics.threats, "rtcc.threat.alert", threat)
    await publish_incident(producer, kafka.topics, "reported", data("I-2"))
    async with consuming(kafka, Desks(database, kafka)) as reach:
        await reach(3)
    assert (await stored(database, "I-1")).data == shooting
    (first, *_), (other,) = [await views(database, name) for name in ("I-1", "I-2")]
    assert first.keys() == other.keys()
    assert (await views(database, "I-1"))[-1]["imminent"]


async def send_binary(producer: EventProducer, topic: str, event_type: str, content: dict[str, Any]) -> None:
    attributes = {
        "specversion": "1.0",
        "id": event_type,
        "source": "urn:city:dispatch",
        "type": event_type,
        "time": NOW,
        "datacontenttype": "application/json",
        "partitionkey": "I-1",
    }
    message = to_binary_event(SdkEvent(attributes, content))
    assert message.headers["ce_type"] == event_type.encode()
    assert json.loads(message.value) == content
    await producer.send(topic, key=b"I-1", value=message.value, headers=tuple(message.headers.items()))


async def test_two_runners_and_a_rebalance_have_no_double_effects(
    kafka: KafkaSettings, producer: EventProducer, database: Database
) -> None:
    topic, count = kafka.topics.incidents, 240
    async with running(kafka, Desks(database, kafka).handlers):
        for number in range(count // 2):
            await send_event(producer, topic, report(number))
        async with running(kafka, Desks(database, kafka).handlers):
            for number in range(count // 2, count):
                await send_event(producer, topic, report(number))
            await until(lambda: _stored(database, count // 2))
        await until(lambda: _are_committed(kafka, count))
    assert await effects(database) == Counter({f"I-{number}": 1 for number in range(count)})


async def test_a_killed_process_loses_nothing_and_doubles_nothing(
    kafka: KafkaSettings, producer: EventProducer, database: Database, database_url: str
) -> None:
    """Killed twice in the midst of its work; whoever comes next goes on. One event a batch: so it takes a while."""
    kafka = kafka.model_copy(update={"window": 1})
    topic, count = kafka.topics.incidents, 200
    for number in range(count):
        await send_event(producer, topic, report(number))
    for target in (40, 100):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.integration.runner_process",
            kafka.model_dump_json(),
            database_url,
            cwd=Path(__file__).parents[2],
        )
        await until(lambda target=target: _stored(database, target))  # type: ignore[misc]  # a default binds the number
        process.kill()
        await process.wait()
    before = await committed(kafka, topic)
    assert before < count
    async with consuming(kafka, Desks(database, kafka)) as reach:
        await reach(count)
    assert await effects(database) == Counter({f"I-{number}": 1 for number in range(count)})
    async with database.read() as tx:
        assert (await tx.execute(select(func.count()).select_from(input_events))).scalar_one() == count


async def test_a_database_that_cannot_be_written_is_awaited(
    kafka: KafkaSettings, producer: EventProducer, database: Database, outages: Outages
) -> None:
    topic = kafka.topics.incidents
    async with running(kafka, Desks(database, kafka).handlers, metrics := Metrics()):
        async with outages.read_only():
            for number in range(5):
                await send_event(producer, topic, report(number))
            lag = ("rtcc_bridge_consumer_lag", "topic", topic)
            await until(lambda: _sum(metrics, *lag) == 5)
            assert await committed(kafka, topic) == 0
        await until(lambda: _are_committed(kafka, 5))
    assert await effects(database) == Counter({f"I-{number}": 1 for number in range(5)})
    assert await list_dead_letters(kafka) == []


async def test_the_newest_state_wins_in_any_order(
    kafka: KafkaSettings, producer: EventProducer, database: Database
) -> None:
    told = [
        ("reported", data("I-1", -30, agencyId="a")),
        ("updated", data("I-1", -20, incidentCommonPriorityNumber=3, unknownField={"kept": True})),
        ("closed", data("I-1", -10, incidentStatusCommonRegistryText="closed", caseNumber="26-1")),
    ]
    random.Random(5).shuffle(told)
    for what, content in told:
        await publish_incident(producer, kafka.topics, what, content)
    async with consuming(kafka, Desks(database, kafka)) as reach:
        await reach(3)
    found = await stored(database, "I-1")
    assert (found.status, found.case_number, found.last_update_at) == ("closed", "26-1", NOW - timedelta(minutes=10))
    assert found.data["unknownField"] == {"kept": True}
    assert (await views(database, "I-1"))[-1]["status"] == "closed"


async def test_an_update_of_an_unknown_incident_makes_it(
    kafka: KafkaSettings, producer: EventProducer, database: Database
) -> None:
    await publish_incident(producer, kafka.topics, "updated", data("I-1", agencyId="a"))
    async with consuming(kafka, Desks(database, kafka)) as reach:
        await reach(1)
    found = await stored(database, "I-1")
    assert (found.status, found.incident_type, found.agency_id) == ("open", "SHOOT", "a")
    assert await effects(database) == Counter({"I-1": 1})


async def test_P08_a_cancelled_incident_ends_the_authority_of_all_that_was_merged_into_it(
    kafka: KafkaSettings, producer: EventProducer, database: Database
) -> None:
    desks = Desks(database, kafka)
    await publish_incident(producer, kafka.topics, "updated", _merged("I-1", "I-2"))  # I-2 is not known yet
    async with consuming(kafka, desks) as reach:
        await reach(1)
        assert desks.merged == []
        await publish_incident(producer, kafka.topics, "reported", data("I-2"))
        await reach(2)
        assert desks.merged == [("I-1", "I-2")]
        await publish_incident(producer, kafka.topics, "closed", data("I-2", 1))
        await reach(3)
        assert desks.ended == []
        await publish_incident(producer, kafka.topics, "cancelled", data("I-2", 2))
        await reach(4)
        assert desks.ended == [("I-2", "the incident is cancelled"), ("I-1", "the incident is cancelled")]
        await publish_incident(producer, kafka.topics, "updated", _merged("I-3", "I-1"))
        await reach(5)
    assert desks.merged[-1] == ("I-3", "I-2")
    assert desks.ended[-1] == ("I-3", "the incident is cancelled")


async def test_merging_in_a_circle_is_refused(
    kafka: KafkaSettings, producer: EventProducer, database: Database
) -> None:
    desks = Desks(database, kafka)
    for incident_id, into in (("I-1", "I-2"), ("I-2", "I-3")):
        await publish_incident(producer, kafka.topics, "updated", _merged(incident_id, into))
    async with consuming(kafka, desks) as reach:
        await reach(2)
    await publish_incident(producer, kafka.topics, "updated", _merged("I-3", "I-1"))
    async with running(kafka, desks.handlers):
        await until(lambda: _are_committed(kafka, 3))
    (letter,) = await list_dead_letters(kafka)
    assert letter.provenance["reason"] == "conflict"
    async with database.read() as tx:
        assert await incidents.get(tx, "I-3") is None
        assert await incidents.merged_into(tx, ["I-3"]) == {"I-2": "I-3", "I-1": "I-3"}


async def test_an_imminent_threat_reaches_the_board_first(
    kafka: KafkaSettings, producer: EventProducer, database: Database
) -> None:
    for number in range(3):
        await publish_incident(producer, kafka.topics, "reported", data(f"I-{number}", -number))
    await publish_threat(producer, kafka.topics, "alert", alert("T-1", "I-2"))
    await publish_threat(producer, kafka.topics, "alert", alert("T-2", "I-1", sender="somebody@else.example"))
    async with consuming(kafka, Desks(database, kafka)) as reach:
        await reach(5)
    async with database.read() as tx:
        board = await open_incidents(tx, NOW, 10)
        later = await open_incidents(tx, NOW + timedelta(hours=2), 10)
    assert [(view["incidentId"], view["imminent"], len(view["threats"])) for view in board] == [
        ("I-2", True, 1),
        ("I-1", False, 1),
        ("I-0", False, 0),
    ]
    assert [(view["incidentId"], view["imminent"]) for view in later] == [
        ("I-0", False),
        ("I-1", False),
        ("I-2", False),
    ]
    assert (await views(database, "I-2"))[-1]["imminent"]


async def test_a_threat_that_names_no_incident_opens_its_own_and_a_cancel_ends_it(
    kafka: KafkaSettings, producer: EventProducer, database: Database
) -> None:
    desks = Desks(database, kafka)
    await publish_threat(producer, kafka.topics, "alert", alert("T-1"))
    async with consuming(kafka, desks) as reach:
        await reach(1)
        opened = await stored(database, "threat:T-1")
        assert (opened.status, opened.incident_type, opened.exercise) == ("open", "THREAT", False)
        await publish_threat(producer, kafka.topics, "update", alert("T-2", references=["T-1"], minutes=1))
        await publish_threat(producer, kafka.topics, "cancel", alert("T-3", references=["T-1", "T-2"], minutes=2))
        await reach(3)
    assert (await stored(database, "threat:T-1")).status == "cancelled"
    assert desks.ended == [("threat:T-1", "the incident is cancelled")]
    async with database.read() as tx:
        assert await incidents.count(tx) == 1
        assert await threats.of_incident(tx, "threat:T-1") == []
    assert not (await views(database, "threat:T-1"))[-1]["imminent"]


async def test_a_cancel_that_comes_before_its_alert_still_ends_it(
    kafka: KafkaSettings, producer: EventProducer, database: Database
) -> None:
    await publish_threat(producer, kafka.topics, "cancel", alert("T-2", references=["T-1"], minutes=1))
    async with consuming(kafka, Desks(database, kafka)) as reach:
        await reach(1)
        await publish_threat(producer, kafka.topics, "alert", alert("T-1"))
        await reach(2)
    assert (await stored(database, "threat:T-1")).status == "cancelled"
    async with database.read() as tx:
        assert await threats.of_incident(tx, "threat:T-1") == []


async def test_an_incident_that_a_threat_opened_goes_on_as_the_one_that_a_later_message_names(
    kafka: KafkaSettings, producer: EventProducer, database: Database
) -> None:
    desks = Desks(database, kafka)
    await publish_threat(producer, kafka.topics, "alert", alert("T-1"))
    await publish_incident(producer, kafka.topics, "reported", data("I-1"))
    async with consuming(kafka, desks) as reach:
        await reach(2)
        await publish_threat(producer, kafka.topics, "update", alert("T-2", "I-1", references=["T-1"], minutes=1))
        await reach(3)
    own = await stored(database, "threat:T-1")
    assert (own.status, own.merged_into) == ("merged", "I-1")
    assert desks.merged == [("threat:T-1", "I-1")]
    assert (await views(database, "I-1"))[-1]["imminent"]


async def test_a_threat_on_an_incident_that_is_merged_counts_for_the_one_that_goes_on(
    kafka: KafkaSettings, producer: EventProducer, database: Database
) -> None:
    await publish_incident(producer, kafka.topics, "reported", data("I-2"))
    await publish_incident(producer, kafka.topics, "updated", _merged("I-1", "I-2"))
    await publish_threat(producer, kafka.topics, "alert", alert("T-1", "I-1"))
    await publish_incident(producer, kafka.topics, "reported", data("I-3", 1))
    async with consuming(kafka, Desks(database, kafka)) as reach:
        await reach(4)
    async with database.read() as tx:
        (view,) = await open_incidents(tx, NOW, 1)
    assert (view["incidentId"], view["imminent"]) == ("I-2", True)


async def test_an_imminent_threat_stands_before_others_also_on_a_short_page(
    kafka: KafkaSettings, producer: EventProducer, database: Database
) -> None:
    for name, minutes in (("I-1", -9), ("I-2", -5), ("I-3", -1)):
        await publish_incident(producer, kafka.topics, "reported", data(name, minutes))
    await publish_threat(producer, kafka.topics, "alert", alert("T-1", "I-1"))
    await publish_threat(producer, kafka.topics, "alert", alert("T-2", "I-2", sender="urn:nobody-knows"))
    async with consuming(kafka, Desks(database, kafka)) as reach:
        await reach(5)
    async with database.read() as tx:
        assert [view["incidentId"] for view in await open_incidents(tx, NOW, 2)] == ["I-1", "I-2"]


async def test_dispatch_takes_over_an_incident_that_a_threat_named_first(
    kafka: KafkaSettings, producer: EventProducer, database: Database
) -> None:
    await publish_threat(producer, kafka.topics, "alert", alert("T-1", "I-1"))
    async with consuming(kafka, Desks(database, kafka)) as reach:
        await reach(1)
        assert (await stored(database, "I-1")).incident_type == "UNKNOWN"
        await publish_incident(producer, kafka.topics, "reported", data("I-1", -60))
        await reach(2)
    found = await stored(database, "I-1")
    assert (found.incident_type, found.last_update_at) == ("SHOOT", NOW - timedelta(minutes=60))
    assert (await views(database, "I-1"))[-1]["imminent"]


async def test_P07_what_is_not_actual_stays_an_exercise(
    kafka: KafkaSettings, producer: EventProducer, database: Database
) -> None:
    for status in ("Exercise", "Test", "System", "Draft"):
        await publish_threat(producer, kafka.topics, "alert", alert(f"T-{status}", status=status))
    await publish_threat(producer, kafka.topics, "alert", alert("T-1", "I-1"))
    await publish_threat(
        producer, kafka.topics, "cancel", alert("T-2", references=["T-1"], minutes=1, status="Exercise")
    )
    async with consuming(kafka, Desks(database, kafka)) as reach:
        await reach(6)
    async with database.read() as tx:
        board = {view["incidentId"]: view for view in await open_incidents(tx, NOW, 10)}
    flags = {name: (view["exercise"], view["imminent"]) for name, view in board.items()}
    assert flags == {
        "threat:T-Exercise": (True, False),
        "threat:T-Test": (True, False),
        "I-1": (False, True),
    }


async def test_P16_notes_stay_off_the_floor(kafka: KafkaSettings, producer: EventProducer, database: Database) -> None:
    content = data("I-1", notes=["a secret note"], caseNumber="CASE-7", caller={"name": "somebody"})
    await publish_incident(producer, kafka.topics, "reported", content)
    async with consuming(kafka, Desks(database, kafka)) as reach:
        await reach(1)
    assert (await stored(database, "I-1")).data["notes"] == ["a secret note"]
    told = str(await views(database, "I-1"))
    assert "secret" not in told
    assert "somebody" not in told
    assert "CASE-7" not in told


def _merged(incident_id: str, into: str) -> dict[str, Any]:
    return data(incident_id, incidentStatusCommonRegistryText="merged", mergedInto=into, openedAt=rfc3339(NOW))


async def _stored(database: Database, at_least: int) -> bool:
    async with database.read() as tx:
        return await incidents.count(tx) >= at_least


def _sum(metrics: Metrics, name: str, label: str, value: str) -> float:
    samples = [sample for family in metrics.registry.collect() for sample in family.samples]
    return sum(sample.value for sample in samples if sample.name == name and sample.labels.get(label) == value)
