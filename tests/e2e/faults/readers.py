"""Independent readers: another Kafka client and plain SQL. Nothing of the daemon's code or metrics is used."""

import asyncio
import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import asyncpg
from asyncpg.connect_utils import SessionAttribute
from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from tests.e2e.faults.ledger import (
    MARKER_PREFIX,
    Evidence,
    HeardEvent,
    LeadRow,
    Letter,
    OutboxRow,
    ProbeRow,
    TopicRecord,
)

INPUT_TOPICS: Final = ("rtcc.incidents", "rtcc.threats")
OUTPUT_TOPICS: Final = (
    "rtcc.leads",
    "rtcc.leads.exercise",
    "rtcc-bridge.probes.imminent",
    "rtcc-bridge.probes.routine",
    "rtcc-bridge.gallery",
    "rtcc.audit.checkpoints",
)
DEAD_LETTERS: Final = "rtcc-bridge.dead-letters"
SEARCH_REQUEST: Final = "rtcc-bridge.probe.search"
TOPICS_OF_GROUP: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "rtcc-bridge.consumer": INPUT_TOPICS,
        "rtcc-bridge.matcher.imminent": ("rtcc-bridge.probes.imminent",),
        "rtcc-bridge.matcher.routine": ("rtcc-bridge.probes.routine",),
    }
)
"""The consumer groups of the deployment, and what each of them reads."""

_BROKER_SECONDS: Final = 20.0
_PASSING: Final = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError._TRANSPORT,
        KafkaError._TIMED_OUT,
        KafkaError._ALL_BROKERS_DOWN,
    }
)
"""Codes of errors that a change of leaders brings about. `KafkaError.retriable` speaks of transactions alone."""

_MARKER: Final = re.compile(MARKER_PREFIX.encode() + rb"[0-9a-f]{16}")


class BrokerReader:
    """Reads topics from their beginning, and how far the consumer groups are. Blocks."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap

    def records(self, topic: str) -> Iterator[Message]:
        """Every record that is on the topic now, each partition in its order. Raises KafkaException."""
        consumer = self._consumer()
        try:
            ends = self._ends(consumer, topic)
            consumer.assign([TopicPartition(topic, number, 0) for number in ends])
            left = {number for number, end in ends.items() if end > 0}
            while left:
                message = consumer.poll(_BROKER_SECONDS)
                if message is None:
                    raise TimeoutError(f"{topic} cannot be read to its end")
                if (error := message.error()) is not None:
                    if error.code() in _PASSING:
                        continue
                    raise KafkaException(error)
                if message.partition() in left:
                    yield message
                place = consumer.position([TopicPartition(topic, number) for number in left])
                left -= {one.partition for one in place if one.offset >= ends[one.partition]}
        finally:
            consumer.close()

    def dead_letters(self) -> list[Letter]:
        """The notes that the program leaves there of what it has replayed have no value, and are passed over."""
        return [_letter(message) for message in self.records(DEAD_LETTERS) if message.value()]

    def lag(self) -> int:
        """How many records the groups have not committed yet. A group that committed nothing lags from the start."""
        # A new one each time: one that knew the brokers before they died may wait for its old connections.
        admin = AdminClient({"bootstrap.servers": self._bootstrap, "log_level": 0, "socket.timeout.ms": 5000})
        consumer = self._consumer()
        try:
            total = 0
            for group, topics in TOPICS_OF_GROUP.items():
                asked = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])
                answer = asked[group].result(timeout=_BROKER_SECONDS)
                places = answer.topic_partitions or []
                committed = {(place.topic, place.partition): max(0, place.offset) for place in places}
                for topic in topics:
                    ends = self._ends(consumer, topic)
                    total += sum(end - min(end, committed.get((topic, number), 0)) for number, end in ends.items())
            return total
        finally:
            consumer.close()

    def _consumer(self) -> Consumer:
        return Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                "group.id": "independent-reader",
                "enable.auto.commit": False,
                "isolation.level": "read_uncommitted",
                "log_level": 0,
                "fetch.wait.max.ms": 50,
            }
        )

    def _ends(self, consumer: Consumer, topic: str) -> dict[int, int]:
        """Asks again while a partition's leader changes, as a client does."""
        late = time.monotonic() + _BROKER_SECONDS
        while True:
            found = consumer.list_topics(topic, timeout=_BROKER_SECONDS).topics[topic]
            try:
                if found.error is not None:
                    raise KafkaException(found.error)
                return {number: self._end(consumer, topic, number) for number in found.partitions}
            except KafkaException as error:
                if error.args[0].code() not in _PASSING or time.monotonic() > late:
                    raise

    def _end(self, consumer: Consumer, topic: str, number: int) -> int:
        end: int = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=_BROKER_SECONDS)[1]
        return end


class DatabaseReader:
    """Plain SQL on a connection of its own for each question."""

    def __init__(self, hosts: Sequence[str]) -> None:
        """hosts: host:port of the servers, of which the one that takes writes is asked."""
        self._hosts = [(host, int(port)) for host, _, port in (address.partition(":") for address in hosts)]

    async def fetch(self, query: str) -> list[asyncpg.Record]:
        connection = await self._connect()
        try:
            found: list[asyncpg.Record] = await connection.fetch(query)
            return found
        finally:
            await connection.close()

    async def number(self, query: str) -> int:
        return int((await self.fetch(query))[0][0])

    async def _connect(self) -> Any:
        """Raises ConnectionError when none of the servers takes writes at this moment."""
        last: Exception | None = None
        for host, port in self._hosts:
            try:
                return await asyncpg.connect(
                    host=host, port=port, user="rtcc", database="postgres", timeout=5, command_timeout=20,
                    target_session_attrs=SessionAttribute.read_write,
                )  # fmt: skip
            except (
                OSError,
                asyncpg.PostgresError,
                asyncpg.InterfaceError,
                asyncpg.TargetServerAttributeNotMatched,  # a standby, or a server that is still recovering
            ) as error:
                last = error
        raise ConnectionError(f"no database server takes writes: {last!r}") from last


async def gather_evidence(
    broker: BrokerReader, database: DatabaseReader, objects: Path, heard: Sequence[HeardEvent]
) -> Evidence:
    """Reads everything. Call it when nothing moves any more. heard: by a client of the live feed."""
    fetch = database.fetch
    records, identities = await asyncio.to_thread(_read_topics, broker)
    keys = [row["object_key"] for row in await fetch("SELECT object_key FROM object_keys")]
    return Evidence(
        noted=tuple(
            (row["source"], row["event_id"]) for row in await fetch("SELECT source, event_id FROM input_events")
        ),
        incidents={
            row["incident_id"]: json.loads(row["data"])
            for row in await fetch("SELECT incident_id, data FROM incidents")
        },
        outbox=tuple(map(_outbox_row, await fetch("SELECT * FROM outbox ORDER BY id"))),
        probes=tuple(
            ProbeRow(**row)
            for row in await fetch("SELECT probe_id, incident_id, state FROM probes WHERE authority_at IS NOT NULL")
        ),
        leads=tuple(
            LeadRow(**row)
            for row in await fetch("SELECT lead_id, probe_id, incident_id, sequence, review_state FROM leads")
        ),
        audit_leaves=frozenset(row["leaf_hash"] for row in await fetch("SELECT leaf_hash FROM audit_entries")),
        without_object=tuple(key for key in keys if not (objects / key).is_file()),
        records=tuple(records),
        input_identities=frozenset(identities),
        letters=tuple(await asyncio.to_thread(broker.dead_letters)),
        heard=tuple(heard),
    )


def _read_topics(broker: BrokerReader) -> tuple[list[TopicRecord], set[tuple[str, str]]]:
    records = [
        TopicRecord(topic, message.partition() or 0, message.offset() or 0, _event(message))
        for topic in OUTPUT_TOPICS
        for message in broker.records(topic)
    ]
    identities: set[tuple[str, str]] = set()
    for topic in INPUT_TOPICS:
        for message in broker.records(topic):
            if not _MARKER.search(message.value() or b""):
                identities.add(_identity(_event(message)))
    return records, identities


def _letter(message: Message) -> Letter:
    marker = _MARKER.search(message.value() or b"")
    if marker is not None:
        return Letter(marker=marker[0].decode())
    event = _event(message)
    return Letter(identity=_identity(event), event_type=event["type"])


def _identity(event: dict[str, Any]) -> tuple[str, str]:
    return event["source"], event["id"]


def _event(message: Message) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(message.value() or b"null")
    return event


def _outbox_row(row: asyncpg.Record) -> OutboxRow:
    return OutboxRow(
        event_id=row["event_id"],
        event_type=row["event_type"],
        topic=row["topic"],
        on_feed=row["on_feed"],
        feed_position=row["feed_position"],
        is_done=row["published_at"] is not None,
        event=json.loads(row["event"]),
    )
