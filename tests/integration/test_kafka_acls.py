"""Each role and each party works with exactly the rights that `topics acls` prints, on Apache Kafka."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from click.testing import CliRunner
from structlog.testing import capture_logs

from rtcc_bridge.app.foundation import upgrade_database
from rtcc_bridge.app.upkeep import open_backup, open_restore
from rtcc_bridge.broker.arguments import client_arguments
from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.broker.grants import PARTIES, grants, topics_of
from rtcc_bridge.broker.group_offsets import committed_offsets
from rtcc_bridge.broker.reader_groups import reader_groups
from rtcc_bridge.broker.reading import read_to_end
from rtcc_bridge.broker.reading_rights import GroupPattern, readers_by_right
from rtcc_bridge.broker.start_check import require_topics
from rtcc_bridge.broker.topics import compare_topics, create_topics
from rtcc_bridge.cli import main
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.commands.acl_text import as_commands, as_json
from rtcc_bridge.consumers.letter_box import LetterFilter, list_dead_letters
from rtcc_bridge.consumers.records import ConsumedRecord
from rtcc_bridge.consumers.replay import replay
from rtcc_bridge.errors import InvalidInputError, UnavailableError
from rtcc_bridge.settings import KafkaSettings
from tests.integration.guarded_kafka import PREFIX, GuardedKafka, rights_of, users_with_rights
from tests.integration.installation import Installation, destroy_database, silent
from tests.integration.pipeline import Recorder, running, unnoted, until
from tests.integration.secured_kafka import one_node
from tests.kafka_cluster.cluster import KafkaCluster

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    with one_node(users_with_rights()) as started:
        yield started


@pytest.fixture
def place(cluster: KafkaCluster) -> GuardedKafka:
    """Rights to topics and groups of this test's own, and to nothing that another test had."""
    guarded = GuardedKafka(cluster)
    guarded.grant()
    return guarded


async def test_everybody_can_do_their_work_and_nothing_else(place: GuardedKafka) -> None:
    topics = place.open.topics
    assert len((await create_topics(place.of("operator"))).created) == 10
    assert not (await compare_topics(place.of("operator"))).breaks

    allowed = {
        "consumer": {topics.dead_letters},
        "matcher": {topics.dead_letters},
        "relay": {
            topics.leads, topics.leads_exercise, topics.gallery, topics.probes_imminent, topics.probes_routine,
            topics.audit_checkpoints,
        },
        "operator": {
            topics.incidents, topics.threats, topics.gallery_records, topics.probes_imminent, topics.probes_routine,
            topics.dead_letters,
        },
        "dispatch": {topics.incidents},
        "watch-desk": {topics.threats},
        "record-system": {topics.gallery_records},
        "feed": set(),
        "exercise-feed": set(),
        "auditor": set(),
    }  # fmt: skip
    tried = (
        topics.incidents, topics.threats, topics.gallery_records, topics.leads, topics.leads_exercise,
        topics.probes_imminent, topics.probes_routine, topics.gallery, topics.dead_letters,
        topics.audit_checkpoints,
    )  # fmt: skip
    assert set(allowed) == set(PARTIES)
    for party, writable in allowed.items():
        async with EventProducer(place.of(party)) as producer:
            for topic in tried:
                assert await _writes(producer, topic) is (topic in writable), (party, topic)

    readable = {
        "operator": {topics.dead_letters, topics.leads, topics.leads_exercise, topics.incidents},
        "dispatch": set(), "watch-desk": set(), "record-system": set(), "relay": set(),
        "feed": {topics.leads}, "exercise-feed": {topics.leads_exercise},
        "auditor": {topics.audit_checkpoints},
    }  # fmt: skip
    for party, topics_read in readable.items():
        for topic in (
            topics.leads, topics.leads_exercise, topics.incidents, topics.dead_letters, topics.audit_checkpoints,
        ):  # fmt: skip
            assert await _reads(place.of(party), topic) is (topic in topics_read), (party, topic)

    for role, topic, group in (
        ("consumer", topics.incidents, "consumer"),
        ("consumer", topics.threats, "consumer"),
        ("matcher", topics.probes_routine, "matcher.routine"),
        ("matcher", topics.probes_imminent, "matcher.imminent"),
        ("matcher", topics.gallery_records, "records"),
    ):
        recorder = Recorder()
        async with running(place.of(role), {topic: recorder}, group=group) as runner:
            await until(lambda: recorder.handled and runner.ready)  # noqa: B023 - awaited before the next round

    async with running(place.of("consumer"), {topics.leads: Recorder()}) as runner:
        await until(lambda: f"this client may not see them: {topics.leads}." in (runner.not_ready_reason or ""))
    async with running(place.of("consumer"), {topics.incidents: Recorder()}, group="matcher.routine") as runner:
        await until(lambda: "let this client use the consumer group" in (runner.not_ready_reason or ""))
    async with running(place.of("consumer"), {topics.gallery_records: Recorder()}) as runner:  # P30
        unseen = f"this client may not see them: {topics.gallery_records}."
        await until(lambda: unseen in (runner.not_ready_reason or ""))


async def test_every_role_passes_the_check_of_the_topics_at_start(place: GuardedKafka) -> None:
    await create_topics(place.open)
    for role in ("consumer", "matcher", "relay"):
        with capture_logs() as logged:
            await require_topics(place.of(role), topics_of(place.open, {role}))
        assert not [entry for entry in logged if "the topics were not looked at" in entry["event"]], (role, logged)
        state = await compare_topics(place.of(role), topics_of(place.open, {role}))
        assert not state.untold, role


async def test_letters_are_written_by_the_roles_and_put_back_by_the_operator(place: GuardedKafka) -> None:
    await create_topics(place.open)
    topics, operator = place.open.topics, place.of("operator")
    for role, topic, group, sender in (
        ("consumer", topics.incidents, "consumer", "dispatch"),
        ("consumer", topics.threats, "consumer", "watch-desk"),
        ("matcher", topics.probes_routine, "matcher.routine", "relay"),
        ("matcher", topics.probes_imminent, "matcher.imminent", "relay"),
        ("matcher", topics.gallery_records, "records", "record-system"),
    ):
        recorder = Recorder()
        recorder.before = _refuse
        async with EventProducer(place.of(sender)) as producer:
            await producer.send(topic, key=b"k", value=b"bad")
        wanted = LetterFilter(topic)
        async with running(place.of(role), {topic: recorder}, group=group):
            await until(lambda: list_dead_letters(operator, wanted))  # noqa: B023 - awaited before the next round
            recorder.before = None
            assert len((await replay(operator, wanted, SystemClock(), unnoted)).letters) == 1
            await until(lambda: recorder.values == [b"bad"])  # noqa: B023 - as above
        (letter,) = await list_dead_letters(operator, wanted)
        assert letter.replayed_at is not None


async def test_backup_and_restoration_work_with_therights_of_the_operator(place: GuardedKafka, tmp_path: Path) -> None:
    operator = place.of("operator")
    await create_topics(operator)
    settings = Installation(tmp_path, f"sqlite+aiosqlite:///{tmp_path}/backed-up.sqlite3", operator).settings
    topics, group = place.open.topics, f"{place.open.group_prefix}.consumer"
    async with EventProducer(place.of("dispatch")) as producer, EventProducer(place.of("relay")) as relay:
        await producer.send(topics.incidents, key=b"k", value=b"v")
        await relay.send(topics.leads, key=b"k", value=b"{}")
    recorder = Recorder()
    async with running(place.of("consumer"), {topics.incidents: recorder, topics.threats: Recorder()}):
        await until(lambda: recorder.handled)
    noted = await committed_offsets(place.open, group, [topics.incidents])
    assert sum(noted[topics.incidents].values()) == 1

    await upgrade_database(settings.database)
    async with open_backup(settings, "operator") as backup:
        await backup.run(tmp_path / "backup", silent)
    async with EventProducer(place.of("dispatch")) as producer, EventProducer(place.of("relay")) as relay:
        await producer.send(topics.incidents, key=b"k", value=b"v")
        await relay.send(topics.leads_exercise, key=b"k", value=b"{}")
    async with running(place.of("consumer"), {topics.incidents: recorder, topics.threats: Recorder()}):
        await until(lambda: len(recorder.handled) == 2)
    await destroy_database(settings.database.url.get_secret_value(), tmp_path)
    async with open_restore(settings, tmp_path / "backup", "operator") as restoring:
        await restoring.run(silent)
    assert (await committed_offsets(place.open, group, [topics.incidents]))[topics.incidents] == {
        **dict.fromkeys(range(place.open.topics.partitions), 0), **noted[topics.incidents],
    }  # fmt: skip


def test_the_commands_name_every_right_once() -> None:
    kafka = KafkaSettings()
    lines = list(as_commands(grants(kafka), PREFIX, "broker:9093"))
    in_json = json.loads(as_json(grants(kafka), PREFIX))
    assert rights_of(lines) == in_json
    assert len({json.dumps(right, sort_keys=True) for right in in_json}) == len(in_json)
    assert "--group rtcc-feed --resource-pattern-type prefixed" in "\n".join(lines)
    said = CliRunner().invoke(main, ["topics", "acls", "--party", "dispatch"])
    assert said.exit_code == 0
    assert "--allow-principal User:rtcc-dispatch --operation=Write --topic rtcc.incidents" in said.output
    assert "rtcc.leads" not in said.output


async def _refuse(_record: ConsumedRecord) -> None:
    raise InvalidInputError("not today", "invalid_fields")


async def _writes(producer: EventProducer, topic: str) -> bool:
    try:
        await producer.send(topic, key=b"k", value=b"v")
    except UnavailableError as error:
        if "does not let this client write" not in str(error):
            raise
        return False
    return True


async def _reads(kafka: KafkaSettings, topic: str) -> bool:
    try:
        _ = [record async for record in read_to_end(kafka, topic)]
    except UnavailableError:
        return False
    return True


async def test_the_relay_alone_learns_who_reads_leads(place: GuardedKafka) -> None:
    """Of everybody, also of a group that no table knows; and nobody takes what it may not see for nobody."""
    await create_topics(place.open)
    topics = place.open.topics
    async with EventProducer(place.of("relay")) as producer:
        await producer.send(topics.leads, key=b"k", value=b"v")
    for settings, group in ((place.of("feed"), "rtcc-feed-1"), (place.open, "a stranger")):
        consumer = AIOKafkaConsumer(
            topics.leads, **client_arguments(settings), group_id=group, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            await consumer.getone()
            await consumer.commit()
        finally:
            await consumer.stop()
    found = await reader_groups(place.of("relay"), [topics.leads], "", 1000)
    assert found.found.keys() >= {"rtcc-feed-1", "a stranger"}
    for party in ("consumer", "feed"):
        with pytest.raises(UnavailableError, match="does not let this client use the consumer group"):
            await reader_groups(place.of(party), [topics.leads], "", 1000)
    own_alone = place.of("auditor").model_copy(update={"group_prefix": "rtcc-auditor"})  # by a right to that prefix
    with pytest.raises(UnavailableError, match="does not let this client use the consumer group"):
        await reader_groups(own_alone, [topics.audit_checkpoints], "", 1000)


async def test_who_may_read_leads_is_told_to_the_relay_with_their_groups(place: GuardedKafka) -> None:
    await create_topics(place.open)
    topics = place.open.topics
    told = await readers_by_right(place.of("relay"), topics.leads)
    feed = frozenset({GroupPattern("rtcc-feed", is_prefix=True)})
    assert told is not None
    assert told.keys() == {f"{PREFIX}feed", *place.open.operators}
    assert told[f"{PREFIX}feed"] == feed
    other = await readers_by_right(place.of("relay"), topics.leads_exercise)
    assert other is not None
    assert f"{PREFIX}feed" not in other
    for party in ("consumer", "feed"):
        with pytest.raises(UnavailableError, match="does not let this client use the cluster's list of rights"):
            await readers_by_right(place.of(party), topics.leads)
