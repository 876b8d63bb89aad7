"""Creates the topics that the settings name."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from rtcc_bridge.broker.client import client_arguments, stop_within
from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem, UnavailableError
from rtcc_bridge.settings import KafkaSettings

_DEAD_LETTER_BYTES: Final = 30_000_000
"""A dead letter holds a record of another topic and what went wrong with it, so it is larger than that."""


@dataclass(frozen=True, slots=True)
class TopicReport:
    """What `create_topics` found and did."""

    created: tuple[str, ...]
    existing: tuple[str, ...]


def topic_names(kafka: KafkaSettings) -> tuple[str, ...]:
    """Every topic that the program reads or writes."""
    names = kafka.topics
    return (
        names.incidents,
        names.threats,
        names.leads,
        names.leads_exercise,
        names.probes_imminent,
        names.probes_routine,
        names.gallery,
        names.dead_letters,
    )


async def create_topics(kafka: KafkaSettings) -> TopicReport:
    """Creates the topics that are missing and leaves the others as they are.

    Raises UnavailableError when the broker does not answer within twice the request timeout, ConfigurationError when
    it refuses to create a topic.
    """
    limit_seconds = 2 * kafka.request_timeout_seconds
    admin = AIOKafkaAdminClient(**client_arguments(kafka))
    try:
        async with asyncio.timeout(limit_seconds):
            await admin.start()
            existing = set(await admin.list_topics())
            missing = [name for name in topic_names(kafka) if name not in existing]
            created = await _create(admin, kafka, missing)
    except (KafkaError, TimeoutError) as error:
        raise UnavailableError(f"the broker did not create the topics: {error!r}") from error
    finally:
        await stop_within(admin.close(), kafka.request_timeout_seconds)
    return TopicReport(created, tuple(name for name in topic_names(kafka) if name not in created))


async def _create(admin: AIOKafkaAdminClient, kafka: KafkaSettings, names: list[str]) -> tuple[str, ...]:
    if not names:
        return ()
    answer = await admin.create_topics([_new_topic(name, kafka) for name in names])
    created: list[str] = []
    for name, code, *_ in answer.topic_errors:
        error = for_code(code)
        if code == 0:
            created.append(name)
        elif error is not TopicAlreadyExistsError:
            problem = ConfigurationProblem(
                "kafka.topics",
                f"the broker refused to create {name} ({error.__name__})",
                "Check partitions, replication_factor and the rights of this client",
            )
            raise ConfigurationError(problem)
    return tuple(created)


def _new_topic(name: str, kafka: KafkaSettings) -> NewTopic:
    config: Mapping[str, str] = {}
    if name == kafka.topics.dead_letters:
        config = {"max.message.bytes": str(_DEAD_LETTER_BYTES)}
    return NewTopic(name, kafka.topics.partitions, kafka.topics.replication_factor, topic_configs=dict(config))
