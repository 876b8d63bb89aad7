"""The topics on the broker: creates what is missing, looks at what is there, alters what can be altered."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, TopicAlreadyExistsError, for_code
from tenacity import AsyncRetrying, RetryCallState, retry_if_result, stop_after_delay, wait_exponential

from rtcc_bridge.broker.arguments import client_arguments
from rtcc_bridge.broker.client import stop_within
from rtcc_bridge.broker.diagnosis import AccessCheck, outage_in_words
from rtcc_bridge.broker.topic_check import PARTITIONS, REPLICATION, Difference, FoundTopic, differences
from rtcc_bridge.broker.topic_plan import TopicPlan, topic_plans
from rtcc_bridge.errors import ConfigurationError, ConfigurationProblem, UnavailableError
from rtcc_bridge.settings import KafkaSettings

_LOOKING_SECONDS: Final = 4.0
_FIRST_PAUSE_SECONDS: Final = 0.05
_LONGEST_PAUSE_SECONDS: Final = 1.0

_SET_ON_THE_TOPIC: Final = 1
"""config_source of the DescribeConfigs API: the value was set on this topic, and is no default."""


@dataclass(frozen=True, slots=True)
class TopicReport:
    """What `create_topics` found and did."""

    created: tuple[str, ...]
    existing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TopicsState:
    """How the topics on the broker compare with what they should be.

    untold: topics whose settings the broker does not tell, or does not tell this client.
    """

    missing: tuple[str, ...]
    differences: tuple[Difference, ...]
    untold: tuple[str, ...]

    @property
    def breaks(self) -> bool:
        """Whether the promise of delivery does not hold."""
        return bool(self.missing) or any(difference.breaks for difference in self.differences)


@dataclass(frozen=True, slots=True)
class Alterations:
    """What `apply_differences` did, and what it could not."""

    done: tuple[Difference, ...]
    refused: tuple[tuple[Difference, str], ...]


def topic_names(kafka: KafkaSettings) -> tuple[str, ...]:
    """Every topic that the program reads or writes."""
    return tuple(plan.name for plan in topic_plans(kafka))


async def create_topics(kafka: KafkaSettings) -> TopicReport:
    """Creates the topics that are missing and leaves the others as they are.

    Raises UnavailableError when the broker does not answer within twice the request timeout, ConfigurationError when
    it refuses to create a topic.
    """
    async with _admin(kafka, "did not create the topics") as admin:
        existing = set(await admin.list_topics())
        created = await _create(admin, [plan for plan in topic_plans(kafka) if plan.name not in existing])
    return TopicReport(created, tuple(name for name in topic_names(kafka) if name not in created))


async def compare_topics(kafka: KafkaSettings, names: Iterable[str] | None = None) -> TopicsState:
    """Compares the topics (all, or those named) with what they should be. Changes nothing.

    Raises UnavailableError when the broker does not answer within twice the request timeout.
    """
    wanted = [plan for plan in topic_plans(kafka) if names is None or plan.name in set(names)]
    async with _admin(kafka, "did not describe the topics") as admin:
        # Only topics that are there may be described: a broker that creates topics by itself would make the others.
        existing = set(await admin.list_topics())
        found = await _describe(admin, [plan.name for plan in wanted if plan.name in existing])
    return TopicsState(
        missing=tuple(plan.name for plan in wanted if plan.name not in found),
        differences=tuple(
            difference for plan in wanted if plan.name in found for difference in differences(plan, found[plan.name])
        ),
        untold=tuple(name for name, topic in found.items() if topic.configs is None),
    )


async def compare_topics_when_told(kafka: KafkaSettings, names: Iterable[str] | None = None) -> TopicsState:
    """As `compare_topics`, looked at again for a few seconds while one is missing.

    A cluster that was just started, or on which a topic was just created, may tell of it late.
    """

    def is_incomplete(state: TopicsState) -> bool:
        return bool(state.missing)

    def last(state: RetryCallState) -> TopicsState:
        assert state.outcome is not None
        found: TopicsState = state.outcome.result()
        return found

    looking = AsyncRetrying(
        retry=retry_if_result(is_incomplete),
        stop=stop_after_delay(_LOOKING_SECONDS),
        wait=wait_exponential(multiplier=_FIRST_PAUSE_SECONDS, max=_LONGEST_PAUSE_SECONDS),
        retry_error_callback=last,
    )
    return await looking(compare_topics, kafka, names)


async def apply_differences(kafka: KafkaSettings, found: Sequence[Difference]) -> Alterations:
    """Alters what can be altered in a running cluster: settings, and partitions, which are only ever added.

    Raises UnavailableError when the broker does not answer within four times the request timeout.
    """
    done: list[Difference] = []
    refused: list[tuple[Difference, str]] = []
    async with _admin(kafka, "did not alter the topics", times=4) as admin:
        for steps in _steps(found):
            try:
                await _alter(admin, steps)
            except IncompatibleBrokerVersion:
                refused.extend((step, "the broker cannot alter topics") for step in steps)
            except KafkaError as error:
                refused.extend((step, str(error)) for step in steps)
            else:
                done.extend(steps)
    return Alterations(tuple(done), tuple(refused))


def _steps(found: Sequence[Difference]) -> Iterator[list[Difference]]:
    """What is altered together: all settings of a topic, since each call replaces them all."""
    apart = (PARTITIONS, REPLICATION)
    yield from ([difference] for difference in found if difference.setting in apart)
    settings = [difference for difference in found if difference.setting not in apart]
    for topic in dict.fromkeys(difference.topic for difference in settings):
        yield [difference for difference in settings if difference.topic == topic]


async def _alter(admin: AIOKafkaAdminClient, steps: Sequence[Difference]) -> None:
    first = steps[0]
    if first.setting == REPLICATION:
        raise KafkaError("copies are added by moving partitions: see kafka-reassign-partitions.sh")
    if first.setting == PARTITIONS:
        await admin.create_partitions({first.topic: NewPartitions(int(first.wanted))})
        return
    # What is set on the topic already has to be said again, or it would be gone.
    resource = ConfigResource(ConfigResourceType.TOPIC, first.topic)
    (answer,) = await admin.describe_configs([resource])
    own = {
        name: value
        for _code, _message, _kind, _topic, entries in answer.resources
        for name, value, _read_only, source, *_ in entries
        if source == _SET_ON_THE_TOPIC
    }
    altered = {**own, **{step.setting: step.wanted for step in steps}}
    (reply, *_) = await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, first.topic, configs=altered)])
    for code, message, *_ in reply.resources:
        if code:
            raise for_code(code)(message)


async def _describe(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, FoundTopic]:
    if not names:
        return {}
    topics: list[dict[str, Any]] = await admin.describe_topics(list(names))
    told = await _configs(admin, names)
    return {
        topic["topic"]: FoundTopic(
            topic["topic"],
            len(topic["partitions"]),
            min(len(partition["replicas"]) for partition in topic["partitions"]),
            told.get(topic["topic"]),
        )
        for topic in topics
        if topic["partitions"]
    }


async def _configs(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, Mapping[str, str]]:
    """The settings by topic; a topic that the broker, or its rights, do not tell about is left out."""
    try:
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    except IncompatibleBrokerVersion:
        return {}
    return {
        topic: {name: value for name, value, *_ in entries if value is not None}
        for answer in answers
        for code, _message, _kind, topic, entries in answer.resources
        if code == 0
    }


async def _create(admin: AIOKafkaAdminClient, plans: Sequence[TopicPlan]) -> tuple[str, ...]:
    if not plans:
        return ()
    answer = await admin.create_topics(
        [
            NewTopic(plan.name, plan.partitions, plan.replication_factor, topic_configs=dict(plan.configs))
            for plan in plans
        ]
    )
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


@asynccontextmanager
async def _admin(kafka: KafkaSettings, failed: str, times: int = 2) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client that is connected. Turns its errors into UnavailableError, with the cause where that can be found."""
    admin = AIOKafkaAdminClient(**client_arguments(kafka))
    try:
        async with asyncio.timeout(times * kafka.request_timeout_seconds):
            await admin.start()
            yield admin
    except (KafkaError, TimeoutError) as error:
        problem = await AccessCheck(kafka).problem()
        raise UnavailableError(problem or outage_in_words(kafka, f"the broker {failed}", error)) from error
    finally:
        await stop_within(admin.close(), kafka.request_timeout_seconds)
