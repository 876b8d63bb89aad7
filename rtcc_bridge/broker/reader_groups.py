"""Which consumer groups of others have committed offsets on a topic: who reads it, and how far they have come."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError, for_code

from rtcc_bridge.broker.arguments import client_arguments
from rtcc_bridge.broker.client import stop_within
from rtcc_bridge.broker.diagnosis import AccessCheck, outage_in_words, refused_right
from rtcc_bridge.broker.groups import consumed_topics
from rtcc_bridge.broker.partitions import partitions_told
from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.settings import KafkaSettings

Committed: TypeAlias = Mapping[tuple[str, int], int]
"""By topic and partition the offset at which a group goes on."""


@dataclass(frozen=True, slots=True)
class ReaderGroups:
    """The groups that were asked about. last: the name of the last one; None when there are none after it."""

    found: Mapping[str, Committed]
    last: str | None


async def reader_groups(kafka: KafkaSettings, topics: Sequence[str], after: str, most: int) -> ReaderGroups:
    """Groups with offsets on these topics, this program's own left out: at most `most` of all groups are asked about.

    after: they are asked in the order of their names, from behind this one on. Raises UnavailableError when a topic is
    not there, or the broker does not answer within four times the request timeout, or does not let this client describe
    every group: it would tell of those that it may, as if there were no others.
    """
    own = consumed_topics(kafka)
    admin = AIOKafkaAdminClient(**client_arguments(kafka))
    try:
        async with asyncio.timeout(4 * kafka.request_timeout_seconds):
            await admin.start()
            names = sorted({str(name) for name, *_ in await admin.list_consumer_groups()} - own.keys())
            try:
                await _require_right(admin, kafka)
            except GroupCoordinatorNotAvailableError:
                if names:
                    raise
                return ReaderGroups({}, None)  # of a cluster that has had no group yet
            behind = [name for name in names if name > after]
            asked = behind[:most]
            partitions = await partitions_told(admin, topics)
            found = {name: await _offsets(admin, name, partitions) for name in asked}
    except (KafkaError, TimeoutError) as error:
        problem = await AccessCheck(kafka).problem()
        said = refused_right(error) or outage_in_words(kafka, "the broker did not tell who reads a topic", error)
        raise UnavailableError(problem or said) from error
    finally:
        await stop_within(admin.close(), kafka.request_timeout_seconds)
    reading = {name: offsets for name, offsets in found.items() if offsets}
    return ReaderGroups(reading, asked[-1] if len(behind) > most else None)


async def _require_right(admin: AIOKafkaAdminClient, kafka: KafkaSettings) -> None:
    """A broker leaves out what a client may not see, and says nothing of it. Raises KafkaError.

    So it is asked about a group by a name that only a right to every group includes, and none to this program's own by
    their prefix. That there is none is no error.
    """
    name = f"readers-check.{kafka.group_prefix}"
    for response in await admin.describe_consumer_groups([name]):
        for error_code, *_ in response.groups:
            if error_code:
                raise for_code(error_code)(name)


async def _offsets(admin: AIOKafkaAdminClient, group: str, partitions: list[TopicPartition]) -> Committed:
    """Of named partitions: not every broker answers the question for all that there are."""
    committed = await admin.list_consumer_group_offsets(group, partitions=partitions)
    return {(tp.topic, tp.partition): at.offset for tp, at in committed.items() if at.offset > 0}
