"""Records that cannot be processed: kept as they came, with their provenance, and put back when wanted."""

import asyncio
import hashlib
import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from sqlalchemy import text
from structlog.testing import capture_logs

from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.broker.client import EventProducer, RecordPlace
from rtcc_bridge.cli import main
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.cloud_event import STRUCTURED_HEADERS, CloudEvent, serialize
from rtcc_bridge.commands.console import EXIT_REJECTED
from rtcc_bridge.consumers.attempts import Failure
from rtcc_bridge.consumers.dead_letters import DeadLetter, DeadLetterWriter
from rtcc_bridge.consumers.letter_box import LetterFilter, LetterPlace, count_dead_letters, list_dead_letters
from rtcc_bridge.consumers.letter_desk import LetterDesk
from rtcc_bridge.consumers.records import ConsumedRecord
from rtcc_bridge.consumers.replay import Replay, find_letters, replay
from rtcc_bridge.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError
from rtcc_bridge.incidents.board import open_incidents
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.simulate import incident_data, publish_incident, publish_threat, threat_data
from rtcc_bridge.storage import incidents, threats
from rtcc_bridge.storage.engine import Database
from tests import audit_kit
from tests.command_kit import entries_of, own_folder
from tests.integration.pipeline import Desks, Recorder, committed, read_all, running, send_values, unnoted, until

NOW = SystemClock().now()


def enveloped(**changes: Any) -> bytes:
    event = serialize(CloudEvent(id="1", source="urn:cad", type="rtcc.incident.reported", data=_incident()))
    return json.dumps(json.loads(event) | changes).encode()


def _incident(**changes: Any) -> dict[str, Any]:
    return {**incident_data("I-1", "SHOOT", 1, NOW, location="Elm St"), **changes}


BAD: dict[str, tuple[bytes, str]] = {
    "not JSON": (b"hello", "not_json"),
    "not UTF-8": (b"\xff\xfe", "not_json"),
    "a name twice": (b'{"id": 1, "id": 2}', "not_json"),
    "nested too deep": (b"[" * 5000 + b"]" * 5000, "not_json"),
    "not a CloudEvent": (b'{"incidentId": "I-1"}', "not_cloud_event"),
    "another version": (enveloped(specversion="0.3"), "not_cloud_event"),
    "an unknown type": (enveloped(type="rtcc.incident.exploded"), "unknown_type"),
    "an unknown status": (enveloped(data=_incident(incidentStatusCommonRegistryText="10-4")), "unknown_status"),
    "a missing field": (enveloped(data={"incidentId": "I-1"}), "invalid_fields"),
    "a wrong field": (enveloped(data=_incident(incidentCommonPriorityNumber=99)), "invalid_fields"),
    "data that is no object": (enveloped(data="text"), "invalid_fields"),
    "a merge into itself": (
        enveloped(data=_incident(incidentStatusCommonRegistryText="merged", mergedInto="I-1")),
        "conflict",
    ),
    "the far future": (enveloped(data=_incident(lastUpdateTimeStamp="2999-01-01T00:00:00Z")), "from_the_future"),
    "two megabytes": (enveloped(data=_incident(filler="x" * 2_000_000)), "too_large"),
}


async def test_bad_records_become_letters_with_provenance_and_the_good_ones_go_on(
    kafka: KafkaSettings, producer: EventProducer, database: Database
) -> None:
    topic = kafka.topics.incidents
    for name, (value, _) in BAD.items():
        await producer.send(topic, key=name.encode(), value=value, headers=[*STRUCTURED_HEADERS, ("x-mark", b"\xff")])
    await publish_incident(producer, kafka.topics, "reported", _incident(incidentId="I-good"))
    metrics = Metrics()
    async with running(kafka, Desks(database, kafka).handlers, metrics):
        await until(lambda: _is_committed(kafka, topic, len(BAD) + 1))
    assert _counted(metrics, "events_total", topic=topic, outcome="handled") == 1
    assert _counted(metrics, "events_total", topic=topic, outcome="dead_letter") == len(BAD)
    for reason, times in Counter(reason for _, reason in BAD.values()).items():
        assert _counted(metrics, "dead_letters_total", topic=topic, reason=reason) == times
    letters = {(letter.key or b"").decode(): letter for letter in await list_dead_letters(kafka)}
    assert {name: letter.provenance["reason"] for name, letter in letters.items()} == {
        name: reason for name, (_, reason) in BAD.items()
    }
    for name, letter in letters.items():
        _check_provenance(letter, kafka)
        assert letter.value == BAD[name][0]
        assert letter.original_headers == (*STRUCTURED_HEADERS, ("x-mark", b"\xff"))
    places = {(letter.provenance["partition"], letter.provenance["offset"]) for letter in letters.values()}
    assert len(places) == len(BAD)
    async with database.read() as tx:
        assert await incidents.get(tx, "I-good") is not None
        assert await incidents.count(tx) == 1


async def test_bad_threats_become_letters_while_good_ones_and_incidents_go_on(
    kafka: KafkaSettings, producer: EventProducer, database: Database
) -> None:
    topics, metrics = kafka.topics, Metrics()
    bad = {
        b"not JSON": (b"hello", "not_json"),
        b"an unknown type": (enveloped(type="rtcc.threat.exploded"), "unknown_type"),
        b"a missing field": (enveloped(type="rtcc.threat.alert", data={"identifier": "T-1"}), "invalid_fields"),
    }
    async with running(kafka, Desks(database, kafka).handlers, metrics):
        for key, (value, _) in bad.items():
            await producer.send(topics.threats, key=key, value=value, headers=STRUCTURED_HEADERS)
        await publish_incident(producer, topics, "reported", _incident(incidentId="I-good"))
        alert = threat_data("T-good", "Active shooter", NOW, incident_ids=("I-good",))
        await publish_threat(producer, topics, "alert", alert)
        await until(lambda: _is_committed(kafka, topics.threats, len(bad) + 1))
        await until(lambda: _is_committed(kafka, topics.incidents, 1))
    letters = await list_dead_letters(kafka)
    told = {letter.key: (letter.value, letter.provenance["reason"]) for letter in letters}
    assert told == bad
    assert {letter.provenance["topic"] for letter in letters} == {topics.threats}
    assert _counted(metrics, "events_total", topic=topics.threats, outcome="dead_letter") == len(bad)
    assert not _counted(metrics, "events_total", topic=topics.incidents, outcome="dead_letter")
    async with database.read() as tx:
        (view,) = await open_incidents(tx, NOW, 10)
    assert (view["incidentId"], view["imminent"]) == ("I-good", True)


def _counted(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"rtcc_bridge_{name}", labels)


def _check_provenance(letter: DeadLetter, kafka: KafkaSettings) -> None:
    told = letter.provenance
    assert told["topic"] == kafka.topics.incidents
    assert told["group"] == f"{kafka.group_prefix}.consumer"
    assert told["error-class"] in {"InvalidInputError", "ConflictError"}
    assert told["message"]
    assert told["attempts"] == "1"
    assert told["first-failure"] <= told["last-failure"]
    assert told["timestamp"].endswith("Z")


async def test_a_letter_is_acknowledged_before_its_record_is_committed(
    kafka: KafkaSettings, producer: EventProducer
) -> None:
    """While letters cannot be written nothing may be committed."""
    topic = kafka.topics.incidents
    recorder = Recorder()
    refused = asyncio.Event()

    async def refuse(record: ConsumedRecord) -> None:
        refused.set()
        raise InvalidInputError("never")

    recorder.before = refuse
    written: list[bytes | None] = []
    is_away = True

    class Letters(DeadLetterWriter):
        async def put(self, record: ConsumedRecord, failure: Failure, group: str) -> bool:
            if is_away:
                raise UnavailableError("the broker does not take it")
            written.append(record.value)
            return await super().put(record, failure, group)

    await send_values(producer, topic, [b"a", b"b"])
    letters = Letters(producer, kafka.topics.dead_letters)
    async with running(kafka, {topic: recorder}, letters=letters):
        await refused.wait()
        await asyncio.sleep(0.5)  # long enough for a commit that must not come
        assert await committed(kafka, topic) == 0
        is_away = False
        await until(lambda: _is_committed(kafka, topic, 2))
    assert sorted(value or b"" for value in written) == [b"a", b"b"]
    assert len(await list_dead_letters(kafka)) == 2


async def test_a_defect_is_tried_to_the_limit_and_then_a_letter(kafka: KafkaSettings, producer: EventProducer) -> None:
    topic = kafka.topics.incidents
    recorder = Recorder()

    async def defect(record: ConsumedRecord) -> None:
        raise ZeroDivisionError("a defect")

    recorder.before = defect
    await send_values(producer, topic, [b"a"])
    async with running(kafka, {topic: recorder}):
        await until(lambda: _is_committed(kafka, topic, 1))
    (letter,) = await list_dead_letters(kafka)
    assert (letter.provenance["reason"], letter.provenance["error-class"]) == ("failed", "ZeroDivisionError")
    assert letter.provenance["attempts"] == str(kafka.handle_attempts)


async def test_what_a_database_quotes_is_in_no_log_and_no_letter(
    kafka: KafkaSettings, producer: EventProducer, database: Database
) -> None:
    """Each statement fails with the name in the driver's text, on PostgreSQL at least."""
    topic, recorder = kafka.topics.incidents, Recorder()
    statements = {
        b"twice": "INSERT INTO residents (name) VALUES ('Jane Roe')",
        b"no number": "INSERT INTO numbers (number) VALUES (CAST(CAST('Jane Roe' AS TEXT) AS INTEGER))",
    }
    async with database.write() as tx:
        await tx.execute(text("CREATE TABLE residents (name TEXT PRIMARY KEY)"))
        await tx.execute(text("CREATE TABLE numbers (number INTEGER CHECK (number > 0))"))
        await tx.execute(text(statements[b"twice"]))

    async def fail(record: ConsumedRecord) -> None:
        async with database.write() as tx:
            await tx.execute(text(statements[record.value or b""]))

    recorder.before = fail
    await send_values(producer, topic, list(statements))
    with capture_logs() as logs:
        async with running(kafka, {topic: recorder}):
            await until(lambda: _is_committed(kafka, topic, 2))
    told = [letter.provenance["message"] for letter in await list_dead_letters(kafka)]
    assert len(told) == 2
    assert any("constraint" in message.lower() for message in told)
    failures = [line for line in logs if line["event"] == "handling a record failed"]
    assert all("in fail" in line["frames"] for line in failures)
    assert not any("exc_info" in line for line in failures)
    for message in [*told, *map(str, logs)]:
        assert "Jane Roe" not in message


async def test_a_record_that_no_letter_can_hold_is_counted_and_the_others_go_on(
    kafka: KafkaSettings, producer: EventProducer
) -> None:
    class NoTopic(EventProducer):
        """Refuses every letter, as a topic with a very low `max.message.bytes` does."""

        async def send(self, topic: str, **rest: Any) -> RecordPlace:
            raise InvalidInputError("too large", "too_large")

    topic = kafka.topics.incidents
    recorder, metrics = Recorder(), Metrics()

    async def refuse(record: ConsumedRecord) -> None:
        if record.value == b"bad":
            raise InvalidInputError("never")

    recorder.before = refuse
    await send_values(producer, topic, [b"bad", b"good"])
    async with NoTopic(kafka) as small:
        letters = DeadLetterWriter(small, kafka.topics.dead_letters)
        async with running(kafka, {topic: recorder}, metrics, letters=letters):
            await until(lambda: _is_committed(kafka, topic, 2))
    assert recorder.values == [b"good"]
    assert _counted(metrics, "dead_letters_total", topic=topic, reason="letter_too_large") == 1


async def test_an_id_that_is_used_again_for_something_else_is_a_letter(
    kafka: KafkaSettings, producer: EventProducer, database: Database
) -> None:
    """All of one key: the first one is the one that counts."""
    topic, cancelled = kafka.topics.incidents, _incident(incidentStatusCommonRegistryText="cancelled")
    for value in (enveloped(), enveloped(), enveloped(data=cancelled)):
        await producer.send(topic, key=b"I-1", value=value, headers=STRUCTURED_HEADERS)
    async with running(kafka, Desks(database, kafka).handlers):
        await until(lambda: _is_committed(kafka, topic, 3))
    (letter,) = await list_dead_letters(kafka)
    assert letter.provenance["reason"] == "identity_reused"
    assert json.loads(letter.value or b"")["data"] == cancelled


async def test_a_value_that_the_topic_cannot_hold_is_told_and_not_lost(kafka: KafkaSettings) -> None:
    class SmallBroker(EventProducer):
        """Refuses large values, as a topic with a low `max.message.bytes` does."""

        async def send(self, topic: str, *, value: bytes | None, **rest: Any) -> RecordPlace:
            if value is not None and len(value) > 100:
                raise InvalidInputError("too large", "too_large")
            return await super().send(topic, value=value, **rest)

    value = b"x" * 500
    record = ConsumedRecord(kafka.topics.incidents, 1, 42, b"k", value, (), NOW)
    async with SmallBroker(kafka) as producer:
        failure = Failure(InvalidInputError("no"), "invalid", 1, NOW, NOW)
        await DeadLetterWriter(producer, kafka.topics.dead_letters).put(record, failure, "group")
    (letter,) = await list_dead_letters(kafka)
    assert not letter.is_whole
    assert letter.provenance["value-bytes"] == "500"
    assert letter.provenance["value-sha256"] == hashlib.sha256(value).hexdigest()
    assert (letter.source_topic, letter.source_partition, letter.provenance["offset"]) == (record.topic, 1, "42")
    with pytest.raises(ConflictError, match="without its value"):
        await replay(kafka, at(LetterPlace.of(letter)), SystemClock(), unnoted)


async def test_a_replay_puts_the_record_back_and_no_old_state_wins(
    kafka: KafkaSettings, producer: EventProducer, database: Database
) -> None:
    """An update with a site's own code is refused, a newer one closes the incident, then the mapping is corrected."""
    topic = kafka.topics.incidents
    old = _incident(incidentStatusCommonRegistryText="EN ROUTE", beat="7")
    await publish_incident(producer, kafka.topics, "updated", old)
    later = _incident(lastUpdateTimeStamp=SystemClock().now().isoformat(), incidentStatusCommonRegistryText="closed")
    await publish_incident(producer, kafka.topics, "closed", {**later, "incidentCommonPriorityNumber": 5})
    async with running(kafka, Desks(database, kafka).handlers):
        await until(lambda: _is_committed(kafka, topic, 2))
    (letter,) = await list_dead_letters(kafka, LetterFilter(source_topic=topic))
    assert letter.provenance["reason"] == "unknown_status"

    corrected = kafka.model_copy(update={"incident_status_mapping": {"EN ROUTE": "open"}})
    (put_back,) = (await replay(corrected, at(LetterPlace.of(letter)), SystemClock(), unnoted)).letters
    assert put_back == replace(letter, value=None)
    async with running(corrected, Desks(database, corrected).handlers):
        await until(lambda: _is_committed(kafka, topic, 3))
    async with database.read() as tx:
        incident = await incidents.get(tx, "I-1")
    assert incident is not None
    assert (incident.status, incident.priority) == ("closed", 5)
    assert incident.data["beat"] == "7", "what only the old event named is known now"
    (marked,) = await list_dead_letters(kafka, limit=10)
    assert replace(marked, replayed_at=None) == letter
    assert marked.replayed_at is not None


async def test_only_letters_that_are_there_and_ours_can_be_replayed(
    kafka: KafkaSettings, producer: EventProducer
) -> None:
    headers = [("dlq-topic", b"somebody.elses"), ("dlq-partition", b"0")]
    await producer.send(kafka.topics.dead_letters, key=None, value=b"x", headers=headers, partition=0)
    with pytest.raises(NotFoundError, match="0:7"):
        await replay(kafka, at(LetterPlace(0, 7)), SystemClock(), unnoted)
    with pytest.raises(ConflictError, match="no topic that this program consumes"):
        await replay(kafka, at(LetterPlace(0, 0)), SystemClock(), unnoted)


async def test_what_anybody_wrote_to_the_dead_letters_holds_up_no_other_letter(
    kafka: KafkaSettings, producer: EventProducer, tmp_path: Path
) -> None:
    topic = kafka.topics.incidents
    own = {"dlq-topic": topic.encode(), "dlq-partition": b"0"}
    letters: dict[bytes, dict[str, bytes]] = {
        b"numbers": {**own, "dlq-partition": b"9" * 5000},
        b"partition": {**own, "dlq-partition": b"9999"},
        b"stranger": {**own, "dlq-topic": b"somebody.elses"},
        b"long ago": {**own, "dlq-timestamp": b"0001-01-01T00:00:00+00:00"},
        b"to come": {
            **own,
            "dlq-topic": kafka.topics.probes_routine.encode(),
            "dlq-timestamp": b"9999-12-31T00:00:00Z",
        },
        b"good": own,
    }
    for value, headers in letters.items():
        await producer.send(kafka.topics.dead_letters, key=b"k", value=value, headers=list(headers.items()))
    mark = [("dlq-replayed", b"9" * 5000 + b":1")]
    await producer.send(kafka.topics.dead_letters, key=b"k", value=None, headers=mark)
    file = tmp_path / "settings.yaml"
    include = {"bootstrap_servers", "topics", "enable_idempotence"}
    file.write_text(yaml.safe_dump({"kafka": kafka.model_dump(mode="json", include=include), **own_folder(tmp_path)}))

    async def run(*arguments: str) -> Result:
        command = ["dead-letters", *arguments, "--config", str(file)]
        return await asyncio.to_thread(CliRunner().invoke, main, command)

    assert (await run("list")).exit_code == 0
    assert (await run("count")).exit_code == 0
    forged = await run("replay", "--all")
    assert forged.exit_code == 1
    assert "cannot be compared: its record is not on" in forged.output
    assert await read_all(kafka, topic) == []
    replayed = await run("replay", "--all", "--unverified")
    assert replayed.exit_code == 1
    assert "names a partition that" in replayed.output
    assert "names no topic that this program consumes" in replayed.output
    put_back = [record.value for name in (topic, kafka.topics.probes_routine) for record in await read_all(kafka, name)]
    assert sorted(put_back) == [b"good", b"long ago", b"numbers", b"to come"]
    assert {letter.value for letter in await list_dead_letters(kafka, LetterFilter(replayed=False))} == {
        b"partition",
        b"stranger",
    }
    place = str(LetterPlace.of((await list_dead_letters(kafka))[0]))
    assert (await run("inspect", place, "--payload")).exit_code == 0
    assert (await run("inspect", "0:77")).exit_code == EXIT_REJECTED
    assert (await run("replay", "--all")).exit_code == 1, "what is left is left again"
    left, put, looked = entries_of(tmp_path)
    assert (left["details"]["unverified"], put["details"]["unverified"]) == (False, True)
    assert (put["actor"], put["action"], put["from"]["way"]) == ("administrator", "letter.replay", "command")
    assert put["details"]["topics"] == {topic: 3, kafka.topics.probes_routine: 1}
    assert (put["details"]["letters"], len(set(put["details"]["places"]))) == (4, 4)
    assert (looked["action"], looked["details"]) == ("letter.inspect", {"place": place, "value": True})
    assert looked["subject"] == put["subject"] == f"topic/{kafka.topics.dead_letters}"


async def test_p23_letters_whose_replay_cannot_be_entered_stay_where_they_are(
    kafka: KafkaSettings, producer: EventProducer, database: Database
) -> None:
    headers = [("dlq-topic", kafka.topics.incidents.encode())]
    await producer.send(kafka.topics.dead_letters, key=b"k", value=b"x", headers=headers, partition=0)
    desk = LetterDesk(kafka, database, AuditLog(SystemClock()), SystemClock(), "administrator")
    async with audit_kit.full(database):
        with pytest.raises(Exception, match=r"full|extend"):
            await desk.replay(LetterFilter())
        with pytest.raises(Exception, match=r"full|extend"):
            await desk.inspect(LetterPlace(0, 0), with_value=True)
    assert await read_all(kafka, kafka.topics.incidents) == []
    assert len((await desk.replay(LetterFilter(), unverified=True)).letters) == 1
    assert [record.value for record in await read_all(kafka, kafka.topics.incidents)] == [b"x"]


@pytest.mark.kafka
async def test_a_record_that_its_topic_refuses_is_left_and_the_others_are_put_back(
    kafka: KafkaSettings, producer: EventProducer
) -> None:
    headers = [("dlq-topic", kafka.topics.incidents.encode())]
    for value in (b"x" * 8_000_000, b"small"):
        await producer.send(kafka.topics.dead_letters, key=b"k", value=value, headers=headers)
    done = await replay(kafka, LetterFilter(), SystemClock(), unnoted, unverified=True)
    ((large, why),) = done.left
    assert (large.size_bytes, "too large" in why) == (8_000_000, True)
    assert [letter.size_bytes for letter in done.letters] == [5]
    assert [record.value for record in await read_all(kafka, kafka.topics.incidents)] == [b"small"]


async def test_the_newest_letters_are_listed(kafka: KafkaSettings, producer: EventProducer) -> None:
    for number in range(6):
        headers = [("dlq-topic", b"a" if number % 2 else b"b")]
        await producer.send(kafka.topics.dead_letters, key=None, value=b"%d" % number, headers=headers, partition=0)
    assert [letter.value for letter in await list_dead_letters(kafka, limit=2)] == [b"4", b"5"]
    assert [letter.value for letter in await list_dead_letters(kafka, LetterFilter(source_topic="a"))] == [
        b"1",
        b"3",
        b"5",
    ]


def at(*places: LetterPlace) -> LetterFilter:
    return LetterFilter(places=frozenset(places))


async def put_letter(
    producer: EventProducer, kafka: KafkaSettings, value: bytes, reason: str = "invalid", hours_ago: float = 0
) -> None:
    moment = NOW - timedelta(hours=hours_ago)
    record = ConsumedRecord(kafka.topics.incidents, 1, 42, b"k", value, (("x-own", b"1"),), moment)
    failure = Failure(InvalidInputError("no", reason), reason, 1, moment, moment)
    await DeadLetterWriter(producer, kafka.topics.dead_letters).put(record, failure, "group")


async def test_letters_are_found_by_reason_and_time_the_newest_last(
    kafka: KafkaSettings, producer: EventProducer
) -> None:
    await put_letter(producer, kafka, b"new", "too_large", hours_ago=1)
    await put_letter(producer, kafka, b"old", hours_ago=30)
    await put_letter(producer, kafka, b"middle", hours_ago=10)

    async def values(**wanted: Any) -> list[bytes | None]:
        return [letter.value for letter in await list_dead_letters(kafka, LetterFilter(**wanted))]

    assert await values() == [b"old", b"middle", b"new"]
    assert await values(reason="invalid") == [b"old", b"middle"]
    assert await values(since=NOW - timedelta(hours=24)) == [b"middle", b"new"]
    assert await values(since=NOW - timedelta(hours=24), until=NOW - timedelta(hours=5)) == [b"middle"]
    (small,) = await list_dead_letters(kafka, LetterFilter(reason="too_large"), with_values=False)
    assert (small.value, small.size_bytes) == (None, 3)


async def test_a_second_replay_says_that_it_is_one_and_each_is_counted(
    kafka: KafkaSettings, producer: EventProducer
) -> None:
    for number in range(3):
        await put_letter(producer, kafka, b"%d" % number)
    (letter, *_) = await list_dead_letters(kafka)
    one = at(LetterPlace.of(letter))
    await replay(kafka, one, SystemClock(), unnoted, unverified=True)
    with pytest.raises(ConflictError, match="--again"):
        await replay(kafka, one, SystemClock(), unnoted, unverified=True)
    assert (
        len((await replay(kafka, LetterFilter(reason="invalid"), SystemClock(), unnoted, unverified=True)).letters) == 2
    )
    assert await replay(kafka, LetterFilter(reason="invalid"), SystemClock(), unnoted, unverified=True) == Replay(
        (), ()
    )
    assert len((await replay(kafka, one, SystemClock(), unnoted, again=True, unverified=True)).letters) == 1
    assert await list_dead_letters(kafka, LetterFilter(replayed=False)) == []
    (count,) = await count_dead_letters(kafka)
    assert (count.source_topic, count.reason, count.letters, count.replayed) == (
        kafka.topics.incidents,
        "invalid",
        3,
        3,
    )
    assert len(await read_all(kafka, kafka.topics.incidents)) == 4


async def test_a_replayed_record_says_where_it_came_from_and_is_the_same_otherwise(
    kafka: KafkaSettings, producer: EventProducer
) -> None:
    value = enveloped()
    await put_letter(producer, kafka, value, hours_ago=3)
    assert len((await find_letters(kafka, LetterFilter())).letters) == 1
    assert await read_all(kafka, kafka.topics.incidents) == []
    await replay(kafka, LetterFilter(), SystemClock(), unnoted, unverified=True)
    (record,) = await read_all(kafka, kafka.topics.incidents)
    headers = dict(record.headers)
    (letter,) = await list_dead_letters(kafka)
    assert (record.key, record.value, record.partition) == (b"k", value, 1)
    assert headers["x-own"] == b"1"
    assert headers["replay-origin"] == f"{kafka.topics.incidents}:1:42".encode()
    assert headers["replay-timestamp"].decode() == letter.provenance["timestamp"]
    assert headers["replay-of"].decode() == f"{kafka.topics.dead_letters}:{LetterPlace.of(letter)}"
    assert set(headers) == {"x-own", "replay-origin", "replay-timestamp", "replay-of", "replayed-at"}


async def test_a_letter_that_is_not_the_record_at_its_place_is_left(
    kafka: KafkaSettings, producer: EventProducer
) -> None:
    """Whoever may write letters is not given an operator's right to write incidents."""
    topic, place = kafka.topics.incidents, LetterPlace(0, 0)
    await producer.send(topic, key=b"k", value=b"what dispatch said", headers=[("x-own", b"1")], partition=0)
    told = [("dlq-topic", topic.encode()), ("dlq-partition", b"0"), ("dlq-offset", b"0")]
    for value, headers in (
        (b"what somebody says", [("x-own", b"1"), *told]),
        (b"what dispatch said", told),
        (b"what dispatch said", [("x-own", b"1"), *told]),
    ):
        await producer.send(kafka.topics.dead_letters, key=b"k", value=value, headers=headers, partition=0)
    done = await replay(kafka, LetterFilter(), SystemClock(), unnoted, unverified=True)
    assert [LetterPlace.of(letter) for letter in done.letters] == [replace(place, offset=2)]
    assert ["is not what lies on" in why for _, why in done.left] == [True, True]
    assert [record.value for record in await read_all(kafka, topic)] == [b"what dispatch said"] * 2


async def test_an_alert_that_is_replayed_after_its_cancel_does_not_come_alive(
    kafka: KafkaSettings, producer: EventProducer, database: Database
) -> None:
    """The alert was refused for a type that was not mapped then; its cancel came in meanwhile."""
    topic, sent = kafka.topics.threats, SystemClock().now() - timedelta(minutes=5)
    alert = threat_data("T-1", "SHOOT", sent)
    cancel = {**threat_data("T-2", "SHOOT", sent + timedelta(minutes=1)), "msgType": "Cancel"}
    cancel["references"] = ["T-1"]
    site = CloudEvent(id="a", source="urn:site", type="site.alert", data=alert)
    ended = CloudEvent(id="c", source="urn:site", type="rtcc.threat.cancel", data=cancel)
    for event in (site, ended):
        await producer.send(topic, key=b"T", value=serialize(event), headers=STRUCTURED_HEADERS)
    async with running(kafka, Desks(database, kafka).handlers):
        await until(lambda: _is_committed(kafka, topic, 2))
    corrected = kafka.model_copy(update={"type_mapping": {"site.alert": "rtcc.threat.alert"}})
    assert len((await replay(corrected, LetterFilter(source_topic=topic), SystemClock(), unnoted)).letters) == 1
    async with running(corrected, Desks(database, corrected).handlers):
        await until(lambda: _is_committed(kafka, topic, 3))
    async with database.read() as tx:
        (known,) = await threats.get_all(tx, ["T-1"])
        assert known.record.state == "cancelled"
        opened = await incidents.get(tx, "threat:T-1")
        assert opened is None or opened.status == "cancelled"


async def _is_committed(kafka: KafkaSettings, topic: str, offset: int) -> bool:
    return await committed(kafka, topic) == offset
