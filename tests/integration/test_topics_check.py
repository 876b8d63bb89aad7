"""The topics of a cluster are compared with what they should be, and altered where that can be done."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from click.testing import CliRunner, Result
from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # the module does not list what it exports
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from rtcc_bridge.broker.arguments import client_arguments
from rtcc_bridge.broker.start_check import require_topics
from rtcc_bridge.broker.topics import (
    _admin,
    _configs,
    apply_differences,
    compare_topics,
    create_topics,
    topic_names,
)
from rtcc_bridge.cli import main
from rtcc_bridge.errors import ConfigurationError
from rtcc_bridge.settings import KafkaSettings
from tests.brokers import KAFKA
from tests.command_kit import entries_of, own_folder
from tests.integration.conftest import kafka_settings
from tests.integration.pipeline import until
from tests.kafka_cluster.cluster import KafkaCluster

IN_SYNC = "min.insync.replicas"
Copies = dict[str, tuple[int, str | None]]
"""By topic: the copies of the partition that has the fewest, and how many of them have to hold a record."""


async def test_topics_that_were_just_created_are_as_they_should_be(kafka: KafkaSettings) -> None:
    await until(lambda: _are_known(kafka))
    assert (await compare_topics(kafka)).differences == ()


@pytest.mark.kafka
async def test_the_created_topics_keep_what_they_should_for_as_long_as_they_should(kafka: KafkaSettings) -> None:
    """Told by another client, in numbers: the plan cannot agree with itself here."""
    topics = kafka.topics
    await until(lambda: _are_known(kafka))
    own = await asyncio.to_thread(_own_settings, kafka)
    everywhere = {"min.insync.replicas": "1"}
    week, half_a_day, day = str(7 * 86_400_000), str(12 * 3_600_000), str(86_400_000)
    received = {"retention.ms": week, "segment.ms": half_a_day, "message.timestamp.type": "LogAppendTime"}
    for name, wanted in {
        topics.incidents: received,
        topics.threats: received,
        topics.leads: {"retention.ms": str(90 * 86_400_000)},
        topics.leads_exercise: {"retention.ms": str(90 * 86_400_000)},
        topics.probes_imminent: {"retention.ms": day},
        topics.probes_routine: {"retention.ms": day},
        topics.audit_checkpoints: {"retention.ms": str(365 * 86_400_000)},
        topics.dead_letters: {"retention.ms": str(30 * 86_400_000), "max.message.bytes": "30000000"},
    }.items():
        expected = {**everywhere, "cleanup.policy": "delete", "retention.bytes": "-1", **wanted}
        assert {setting: own[name][setting] for setting in expected} == expected, name
    assert own[topics.gallery]["cleanup.policy"] == "compact"


async def test_a_missing_topic_is_named_and_stops_the_start(broker: str) -> None:
    kafka = kafka_settings(broker)
    state = await compare_topics(kafka)
    assert kafka.topics.threats in state.missing
    assert state.breaks
    with pytest.raises(ConfigurationError, match=rf"{kafka.topics.threats}.*is missing.*rtcc-bridge topics create"):
        await require_topics(kafka, [kafka.topics.threats])


@pytest.mark.kafka
async def test_what_breaks_the_promise_is_found_and_put_right(broker: str) -> None:
    kafka = kafka_settings(broker)
    topics = kafka.topics
    await _create(kafka, topics.incidents, 1, {"cleanup.policy": "compact", "flush.messages": "7"})
    await _create(kafka, topics.threats, 3, {"retention.ms": "-1"})
    await _create(kafka, topics.leads, 3, {"retention.ms": "60000", "retention.bytes": "1000000"})
    await create_topics(kafka)
    await until(lambda: _are_known(kafka))
    state = await compare_topics(kafka)
    found = {(each.topic, each.setting): each.breaks for each in state.differences}
    assert found[topics.incidents, "partitions"] is False
    assert found[topics.incidents, "cleanup.policy"] is True
    assert found[topics.threats, "retention.ms"] is True
    assert found[topics.leads, "retention.ms"] is True
    assert found[topics.leads, "retention.bytes"] is True
    with pytest.raises(ConfigurationError, match="compaction takes events away"):
        await require_topics(kafka, [topics.incidents])

    altered = await apply_differences(kafka, state.differences)
    assert altered.refused == ()
    assert len(altered.done) == len(state.differences)

    async def is_right() -> bool:
        return not (await compare_topics(kafka)).differences

    await until(is_right)
    assert (await _config(kafka, topics.incidents))["flush.messages"] == "7"


@pytest.mark.kafka
async def test_segments_that_outlive_the_memory_of_events_are_found(broker: str) -> None:
    kafka = kafka_settings(broker)
    week = str(7 * 24 * 3_600_000)
    await _create(kafka, kafka.topics.incidents, 3, {"retention.ms": week, "segment.ms": week})

    async def segments() -> list[str]:
        """Why; the broker may not tell yet how a topic was made a moment ago."""
        state = await compare_topics(kafka, [kafka.topics.incidents])
        return [each.why for each in state.differences if each.setting == "segment.ms" and each.breaks]

    await until(segments)
    (why,) = await segments()
    assert "count twice" in why


@pytest.mark.tansu
async def test_a_broker_that_cannot_alter_says_so(broker: str) -> None:
    kafka = kafka_settings(broker)
    await _create(kafka, kafka.topics.incidents, 1, {"cleanup.policy": "compact"})
    state = await compare_topics(kafka, [kafka.topics.incidents])
    altered = await apply_differences(kafka, state.differences)
    assert altered.done == ()
    assert {reason for _, reason in altered.refused} == {"the broker cannot alter topics"}


async def test_the_command_exits_with_one_when_the_promise_is_broken(broker: str, tmp_path: Path) -> None:
    kafka = kafka_settings(broker)
    await _create(kafka, kafka.topics.leads, 3, {"cleanup.policy": "compact"})
    file = tmp_path / "settings.yaml"
    told = kafka.model_dump(mode="json", include={"bootstrap_servers", "topics"})
    file.write_text(yaml.safe_dump({"kafka": told, **own_folder(tmp_path)}))
    checked = await _run("check", file)
    assert checked.exit_code == 1
    assert f"missing   {kafka.topics.incidents}: run `rtcc-bridge topics create`" in checked.output
    assert f"BREAKS    {kafka.topics.leads}: cleanup.policy is compact, should be delete" in checked.output
    created = await _run("create", file)
    assert created.exit_code == 1
    assert f"created   {kafka.topics.incidents}" in created.output
    assert entries_of(tmp_path) == [], "nothing that was there is another now"
    await _run("check", file, "--apply")
    [entry] = entries_of(tmp_path)
    assert (entry["actor"], entry["action"]) == ("administrator", "topic.alter")
    policy = {"topic": kafka.topics.leads, "setting": "cleanup.policy", "found": "compact", "wanted": "delete"}
    assert policy in entry["details"]["changes"]


@pytest.mark.kafka
async def test_on_three_nodes_two_hold_a_record_that_was_acknowledged_although_the_cluster_is_content_with_one(
    tmp_path: Path,
) -> None:
    """Every answer is waited for: any node may be asked, and one may know what another does not know yet."""
    async with KafkaCluster(3, folder=tmp_path / "kafka", settings={"min.insync.replicas": "1"}) as cluster:
        kafka = kafka_settings(cluster.bootstrap, KAFKA)
        topics = kafka.topics.model_copy(update={"replication_factor": 3, "min_insync_replicas": 2})
        kafka = kafka.model_copy(update={"bootstrap_servers": cluster.addresses, "topics": topics})
        file = tmp_path / "settings.yaml"
        told = kafka.model_dump(mode="json", include={"bootstrap_servers", "topics"})
        file.write_text(yaml.safe_dump({"kafka": told, **own_folder(tmp_path)}))
        durable: Copies = dict.fromkeys(topic_names(kafka), (3, "2"))
        why = "a record that was acknowledged can be lost with a broker"
        sentence = f"BREAKS    {topics.leads}: {IN_SYNC} is 1, should be 2: {why}\n"

        async def are(copies: Copies) -> bool:
            with suppress(KafkaException):
                return await asyncio.to_thread(_copies, kafka) == copies
            return False

        async def check_says(code: int, output: str, *options: str) -> bool:
            checked = await _run("check", file, *options)
            return (checked.exit_code, checked.output) == (code, output)

        created = await _run("create", file)
        assert created.exit_code == 0, created.output
        await until(lambda: are(durable))
        await asyncio.to_thread(_leave_to_the_cluster, kafka, topics.leads, IN_SYNC)
        await until(lambda: are(durable | {topics.leads: (3, "1")}))
        await until(lambda: check_says(1, sentence))
        await until(lambda: check_says(0, f"{sentence}altered   {topics.leads}: {IN_SYNC} is 2\n", "--apply"))
        await until(lambda: are(durable))


async def _are_known(kafka: KafkaSettings) -> bool:
    """A broker may not tell yet of topics that it has just taken."""
    state = await compare_topics(kafka)
    return (state.missing, state.untold) == ((), ())


def _own_settings(kafka: KafkaSettings) -> dict[str, dict[str, str | None]]:
    admin = AdminClient({"bootstrap.servers": ",".join(kafka.bootstrap_servers)})
    answers = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name) for name in topic_names(kafka)])
    return {
        resource.name: {name: entry.value for name, entry in answer.result(10).items()}
        for resource, answer in answers.items()
    }


def _copies(kafka: KafkaSettings) -> Copies:
    """Told by another client."""
    admin = AdminClient({"bootstrap.servers": ",".join(kafka.bootstrap_servers)})
    topics, own = admin.list_topics(timeout=10).topics, _own_settings(kafka)
    return {
        name: (min(len(partition.replicas) for partition in topics[name].partitions.values()), settings[IN_SYNC])
        for name, settings in own.items()
        if name in topics and topics[name].partitions
    }


def _leave_to_the_cluster(kafka: KafkaSettings, topic: str, setting: str) -> None:
    """The topic has no value of its own any more, as when somebody else has created it."""
    entry = ConfigEntry(setting, "", incremental_operation=AlterConfigOpType.DELETE)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin = AdminClient({"bootstrap.servers": ",".join(kafka.bootstrap_servers)})
    (answer,) = admin.incremental_alter_configs([resource]).values()
    answer.result(10)


async def _run(command: str, file: Path, *options: str) -> Result:
    arguments = ["topics", command, "--config", str(file), *options]
    return await asyncio.to_thread(CliRunner().invoke, main, arguments)


async def _create(kafka: KafkaSettings, name: str, partitions: int, configs: dict[str, str]) -> None:
    admin = AIOKafkaAdminClient(**client_arguments(kafka))
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=configs)])
    finally:
        await admin.close()


async def _config(kafka: KafkaSettings, name: str) -> dict[str, str]:
    async with _admin(kafka, "did not answer") as admin:
        return dict((await _configs(admin, [name]))[name])
