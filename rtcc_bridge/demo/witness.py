"""An independent reader of the lead topic.

Another Kafka client, another CloudEvents implementation and the published schemas: nothing is shared with the daemon.
"""

import json
import secrets
import threading
import time
from collections.abc import Callable, Collection, Mapping
from types import TracebackType
from typing import Any, Self

from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka_event
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from jsonschema import Draft202012Validator

from rtcc_bridge.errors import BridgeError

Lead = dict[str, Any]
BROKER_SECONDS = 15.0
_ASK_AGAIN_SECONDS = 0.1
_NOT_KNOWN_YET = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._UNKNOWN_TOPIC,
    }
)


class WitnessError(BridgeError):
    """What stands on the topic is not what was promised."""


class LeadWitness:
    """Reads what comes to the lead topic from now on, in a thread of its own, and checks each event as it comes.

    It takes all partitions itself, without a consumer group, and waits for a broker that answers late. schemas maps an
    event type to the JSON Schema of the whole event. Making one blocks until the broker has told the partitions.
    """

    def __init__(self, bootstrap: str, topic: str, schemas: Mapping[str, Mapping[str, Any]]) -> None:
        formats = Draft202012Validator.FORMAT_CHECKER
        self._validators = {
            kind: Draft202012Validator(schema, format_checker=formats) for kind, schema in schemas.items()
        }
        self._bootstrap = bootstrap
        self._consumer = self._connected()
        self._topic = topic
        self._changed = threading.Condition()
        self._events: list[Lead] = []
        self._awaited: set[str] = set()
        self._next: dict[int, int] = {}
        self._sequences: dict[str, int] = {}
        self._problem: str | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._read, name="lead-witness", daemon=True)

    def __enter__(self) -> Self:
        places = self._ends(self._consumer)
        self._next = {place.partition: place.offset for place in places}
        self._consumer.assign(places)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._fail("the witness was dismissed")  # nobody has to wait for what will not be read
        self._thread.join(timeout=10)
        self._consumer.close()

    def _connected(self) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                "group.id": f"witness-{secrets.token_hex(6)}",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 20,
            }
        )

    def _ends(self, consumer: Consumer) -> list[TopicPartition]:
        """Where each partition ends now. Raises WitnessError when the topic is not there.

        A topic that was just created is waited for: brokers acknowledge that before each of them knows of it.
        """
        give_up_at = time.monotonic() + BROKER_SECONDS
        while True:
            try:
                return self._ends_now(consumer)
            except KafkaException as error:
                if time.monotonic() > give_up_at or error.args[0].code() not in _NOT_KNOWN_YET:
                    raise WitnessError(f"the topic {self._topic} cannot be read: {error.args[0]}") from error
            time.sleep(_ASK_AGAIN_SECONDS)  # the client has no call that waits for a broker's knowledge of a topic

    def _ends_now(self, consumer: Consumer) -> list[TopicPartition]:
        """Raises KafkaException."""
        found = consumer.list_topics(self._topic, timeout=BROKER_SECONDS).topics[self._topic]
        if found.error is not None or not found.partitions:
            raise KafkaException(found.error or KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
        places = [TopicPartition(self._topic, number) for number in sorted(found.partitions)]
        for place in places:
            _, place.offset = consumer.get_watermark_offsets(place, timeout=BROKER_SECONDS)
        return places

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
                    self._awaited.add(found["id"])
                    return found
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise WitnessError(f"no such event on {self._topic} within {timeout_seconds:g} s")
                self._changed.wait(remaining)

    def require_nothing_else(self, also: Collection[str] = (), timeout_seconds: float = BROKER_SECONDS) -> int:
        """Reads to the topic's present end and returns how many events there were.

        also: types of events that may have come without being waited for. Blocks; raises WitnessError on a bad event
        in any partition, on one that nobody waited for, and when the end is not reached.
        """
        asking = self._connected()  # the other one is busy fetching in its thread
        try:
            ends = {place.partition: place.offset for place in self._ends(asking)}
        finally:
            asking.close()
        deadline = time.monotonic() + timeout_seconds
        with self._changed:
            while not self._problem and any(self._next.get(number, 0) < end for number, end in ends.items()):
                if (remaining := deadline - time.monotonic()) <= 0:
                    raise WitnessError(f"the end of {self._topic} was not reached within {timeout_seconds:g} s")
                self._changed.wait(remaining)
            if self._problem:
                raise WitnessError(self._problem)
            surplus = [
                event for event in self._events if event["id"] not in self._awaited and event["type"] not in also
            ]
            if surplus:
                told = ", ".join(f"{event['type']} of lead {event['data']['leadId']}" for event in surplus)
                raise WitnessError(f"events on {self._topic} that were not due: {told}")
            return len(self._events)

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
            partition, offset = message.partition(), message.offset()
            assert partition is not None, "a consumed message has one"
            assert offset is not None, "as above"
            with self._changed:
                if event is not None:
                    self._events.append(event)
                self._next[partition] = offset + 1
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
