"""The topics of a cluster are compared with what they should be, and altered where that can be done."""

import asyncio
from pathlib import Path

import pytest
import yaml
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from click.testing import CliRunner, Result

from rtcc_bridge.broker.arguments import client_arguments
from rtcc_bridge.broker.start_check import require_topics
from rtcc_bridge.broker.topics import _admin, _configs, apply_differences, compare_topics, create_topics
from rtcc_bridge.cli import main
from rtcc_bridge.errors import ConfigurationError
from rtcc_bridge.settings import KafkaSettings
from tests.integration.conftest import kafka_settings
from tests.integration.pipeline import until


async def test_topics_that_were_just_created_are_as_they_should_be(kafka: KafkaSettings) -> None:
    state = await compare_topics(kafka)
    assert (state.missing, state.differences, state.untold) == ((), (), ())


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
    state = await compare_topics(kafka, [kafka.topics.incidents])
    (difference,) = [each for each in state.differences if each.setting == "segment.ms"]
    assert difference.breaks
    assert "count twice" in difference.why


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
    file.write_text(yaml.safe_dump({"kafka": kafka.model_dump(mode="json", include={"bootstrap_servers", "topics"})}))
    checked = await _run("check", file)
    assert checked.exit_code == 1
    assert f"missing   {kafka.topics.incidents}: run `rtcc-bridge topics create`" in checked.output
    assert f"BREAKS    {kafka.topics.leads}: cleanup.policy is compact, should be delete" in checked.output
    created = await _run("create", file)
    assert created.exit_code == 1
    assert f"created   {kafka.topics.incidents}" in created.output


async def _run(command: str, file: Path) -> Result:
    arguments = ["topics", command, "--config", str(file)]
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
