"""An independent reader of the lead topic.

Another Kafka client, another CloudEvents implementation and the published schemas: nothing is shared with the daemon.
"""

import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event
from confluent_kafka import Consumer, Message, TopicPartition
from jsonschema import Draft202012Validator

from rtcc_bridge.errors import BridgeError

Lead = dict[str, Any]
BROKER_SECONDS = 15.0


class WitnessError(BridgeError):
    """What stands on the topic is not what was promised."""


class LeadWitness:
    """Reads what comes to the lead topic from now on, in a thread of its own, and checks each event as it comes.

    It takes all partitions itself, without a consumer group, and waits for a broker that answers late. schemas maps an
    event type to the JSON Schema of the whole event. Making one blocks until the broker has told the partitions.
    """

    def __init__(self, bootstrap: str, topic: str, schemas: Mapping[str, Mapping[str, Any]]) -> None:
        self._validators = {kind: Draft202012Validator(schema) for kind, schema in schemas.items()}
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"witness-{secrets.token_hex(6)}",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 20,
            }
        )
        self._topic = topic
        self._changed = threading.Condition()
        self._events: list[Lead] = []
        self._sequences: dict[str, int] = {}
        self._problem: str | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._read, name="lead-witness", daemon=True)

    def __enter__(self) -> Self:
        self._consumer.assign([self._end_of(number) for number in self._partitions()])
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(timeout=10)
        self._consumer.close()

    def _partitions(self) -> list[int]:
        """Raises WitnessError when the topic is not there."""
        found = self._consumer.list_topics(self._topic, timeout=BROKER_SECONDS).topics[self._topic]
        if found.error is not None or not found.partitions:
            raise WitnessError(f"the topic {self._topic} cannot be read: {found.error}")
        return sorted(found.partitions)

    def _end_of(self, partition: int) -> TopicPartition:
        place = TopicPartition(self._topic, partition)
        _, end = self._consumer.get_watermark_offsets(place, timeout=BROKER_SECONDS)
        return TopicPartition(self._topic, partition, end)

    @property
    def count(self) -> int:
        """Events read and found good so far."""
        with self._changed:
            return len(self._events)

    def wait_for(self, wanted: Callable[[Lead], bool], timeout_seconds: float) -> Lead:
        """The first event that `wanted` accepts. Blocks; raises WitnessError on a bad event or when none comes."""
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            while True:
                if self._problem:
                    raise WitnessError(self._problem)
                if found := next((event for event in self._events if wanted(event)), None):
                    return found
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise WitnessError(f"no such event on {self._topic} within {timeout_seconds:g} s")
                self._changed.wait(remaining)

    def _read(self) -> None:
        while not self._stopping.is_set():
            message = self._consumer.poll(0.1)
            if message is None:
                continue
            if (failure := message.error()) is not None:
                if not failure.retriable():
                    self._fail(f"the consumer failed: {failure}")
                continue
            try:
                event = self._checked(message)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with the event is what the witness reports
                self._fail(f"event at offset {message.offset()} of {self._topic}: {error}")
                return
            if event is not None:
                with self._changed:
                    self._events.append(event)
                    self._changed.notify_all()

    def _checked(self, message: Message) -> Lead | None:
        """The event, or none when it is a repetition (delivery is at least once, with a stable id)."""
        value = message.value() or b""
        headers: dict[str, bytes] = dict(message.headers() or [])  # type: ignore[arg-type]  # a consumed header is bytes
        parsed = from_kafka_event(KafkaMessage(headers=headers, key=message.key(), value=value))
        event: Lead = json.loads(value)
        validator = self._validators.get(parsed.get_type())
        if validator is None:
            raise WitnessError(f"type {parsed.get_type()!r} has no published schema")
        validator.validate(event)
        data = event["data"]
        if (message.key() or b"").decode() != data["incidentId"]:
            raise WitnessError("the record's key is not the incident id")
        if event["id"] in {known["id"] for known in self._events}:
            return None
        expected = self._sequences.get(data["leadId"], 0) + 1
        if data["sequence"] != expected:
            raise WitnessError(f"sequence {data['sequence']} of a lead where {expected} was due")
        self._sequences[data["leadId"]] = expected
        return event

    def _fail(self, problem: str) -> None:
        with self._changed:
            self._problem = self._problem or problem
            self._changed.notify_all()
