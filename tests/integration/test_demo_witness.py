"""The demo's independent consumer finds what is wrong with an event, on a real broker."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.cloud_event import STRUCTURED_HEADERS
from rtcc_bridge.demo.witness import LeadWitness, WitnessError
from rtcc_bridge.leads.schemas import lead_schemas
from rtcc_bridge.settings import KafkaSettings
from tests.unit.leads.event_examples import event_of

Event = dict[str, Any]


def wrong_constant(event: Event) -> None:
    event["data"]["positiveIdentification"] = True


def with_a_score(event: Event) -> None:
    event["data"]["candidates"][0]["similarityScore"] = 0.97


def without_id(event: Event) -> None:
    del event["id"]


def unknown_type(event: Event) -> None:
    event["type"] = "lead.matched"


def gap(event: Event) -> None:
    event["data"]["sequence"] = 2


def no_time(event: Event) -> None:
    event["data"]["expiresAt"] = "next year"


def other_key(event: Event) -> None:
    event["data"]["incidentId"] = event["partitionkey"] = "INC-OTHER"


async def publish(producer: EventProducer, topic: str, event: Event) -> None:
    await producer.send(topic, key=b"INC-1", value=json.dumps(event).encode(), headers=STRUCTURED_HEADERS)


@pytest.fixture
def witness(kafka: KafkaSettings) -> Iterator[LeadWitness]:
    with LeadWitness(kafka.bootstrap_servers[0], kafka.topics.leads, lead_schemas()) as watching:
        yield watching


async def test_a_good_event_is_seen_once_though_it_came_twice(
    kafka: KafkaSettings, producer: EventProducer, witness: LeadWitness
) -> None:
    first, second = event_of("lead.candidates"), event_of("lead.acknowledged")
    second["id"] = "e-2"
    for event in (first, first, second):
        await publish(producer, kafka.topics.leads, event)
    event = await asyncio.to_thread(witness.wait_for, lambda event: event["type"] == "lead.acknowledged", 30)
    assert event == second
    assert witness.count == 2


def sent_for_later(kind: str) -> Event:
    event = event_of(kind)
    event["id"] = f"of-{kind}"
    return event


async def test_the_closing_check_counts_what_was_due(
    kafka: KafkaSettings, producer: EventProducer, witness: LeadWitness
) -> None:
    candidates, acknowledged = sent_for_later("lead.candidates"), sent_for_later("lead.acknowledged")
    for event in (candidates, acknowledged):
        await publish(producer, kafka.topics.leads, event)
    await asyncio.to_thread(witness.wait_for, lambda event: event["id"] == candidates["id"], 30)
    with pytest.raises(WitnessError, match=r"not due: lead\.acknowledged of lead"):
        await asyncio.to_thread(witness.require_nothing_else)
    assert await asyncio.to_thread(witness.require_nothing_else, ["lead.acknowledged"]) == 2
    await asyncio.to_thread(witness.wait_for, lambda event: event["id"] == acknowledged["id"], 30)
    assert await asyncio.to_thread(witness.require_nothing_else) == 2


async def test_the_closing_check_finds_a_bad_event_after_the_last_wait(
    kafka: KafkaSettings, producer: EventProducer, witness: LeadWitness
) -> None:
    good, bad = sent_for_later("lead.candidates"), sent_for_later("lead.acknowledged")
    await publish(producer, kafka.topics.leads, good)
    await asyncio.to_thread(witness.wait_for, lambda event: event["id"] == good["id"], 30)
    wrong_constant(bad)
    await publish(producer, kafka.topics.leads, bad)
    with pytest.raises(WitnessError, match="event at offset 1"):
        await asyncio.to_thread(witness.require_nothing_else)


@pytest.mark.once
@pytest.mark.parametrize("spoil", [wrong_constant, with_a_score, without_id, unknown_type, gap, no_time, other_key])
async def test_a_spoiled_event_is_found(
    spoil: Callable[[Event], None], kafka: KafkaSettings, producer: EventProducer, witness: LeadWitness
) -> None:
    event = event_of("lead.candidates")
    spoil(event)
    await publish(producer, kafka.topics.leads, event)
    with pytest.raises(WitnessError, match="event at offset 0"):
        await asyncio.to_thread(witness.wait_for, lambda _: False, 30)
