"""Whom the broker lets read a topic, by its own list of rights, and in which consumer groups each of them commits."""

import asyncio
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import IncompatibleBrokerVersion, KafkaError, SecurityDisabled, for_code
from aiokafka.protocol.admin import DescribeAclsRequest

from rtcc_bridge.broker.arguments import client_arguments
from rtcc_bridge.broker.client import stop_within
from rtcc_bridge.broker.diagnosis import AccessCheck, outage_in_words, refused_right
from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.settings import KafkaSettings

# Apache Kafka: clients/src/main/java/org/apache/kafka/common/{acl/AclOperation,acl/AclPermissionType,
# resource/PatternType,resource/ResourceType}.java.
_ANY: Final = 1
_TOPIC: Final = 2
_GROUP: Final = 3
_ALLOW: Final = 3
_MATCHING: Final = 2
_PREFIXED: Final = 4
_READING: Final = frozenset({2, 3})
"""Every operation, or READ."""
_EVERY_GROUP: Final = "*"


@dataclass(frozen=True, slots=True)
class GroupPattern:
    """Groups that a principal may read in: the one of this name, or all that begin with it."""

    name: str
    is_prefix: bool

    def fits(self, group: str) -> bool:
        return group.startswith(self.name) if self.is_prefix else group == self.name


Readers = Mapping[str, Collection[GroupPattern]]
"""By principal ("User:name") its groups. One that may read in every group has none here: it cannot be told by them."""


@dataclass(frozen=True, slots=True)
class _Right:
    name: str
    pattern: int
    principal: str
    operation: int


async def readers_by_right(kafka: KafkaSettings, topic: str) -> Readers | None:
    """Everybody with a right to read the topic, a denial that stands against it left out of account.

    None where the broker keeps no list of rights, or has nothing on it for this topic: then whoever reaches it reads.
    It does not tell of its own super users. Raises UnavailableError when it does not answer within four times the
    request timeout, or does not let this client read the list.
    """
    arguments = client_arguments(kafka)
    client = AIOKafkaClient(**arguments)
    try:
        async with asyncio.timeout(4 * kafka.request_timeout_seconds):
            await client.bootstrap()
            rights = await _rights(client, _TOPIC, topic, _MATCHING)
            groups = [one for one in await _rights(client, _GROUP, None, _ANY) if one.operation in _READING]
    except (SecurityDisabled, IncompatibleBrokerVersion):
        return None
    except (KafkaError, TimeoutError, NotImplementedError) as error:  # the last: in no version that both know
        problem = await AccessCheck(kafka).problem()
        said = refused_right(error) or outage_in_words(kafka, "the broker did not tell who may read a topic", error)
        raise UnavailableError(problem or said) from error
    finally:
        await stop_within(client.close(), kafka.request_timeout_seconds)
    if not rights:  # as the embedded broker answers; the relay's own right to write would be there
        return None
    return {
        principal: frozenset(
            GroupPattern(one.name, one.pattern == _PREFIXED)
            for one in groups
            if one.principal == principal and one.name not in {"", _EVERY_GROUP}
        )
        for principal in {one.principal for one in rights if one.operation in _READING}
    }


async def _rights(client: AIOKafkaClient, kind: int, name: str | None, pattern: int) -> list[_Right]:
    """What is allowed there. Raises KafkaError."""
    request = DescribeAclsRequest(kind, name, pattern, None, None, _ANY, _ALLOW)
    response = await client.send(client.get_random_node(), request)
    if response.error_code:
        raise for_code(response.error_code)("list of rights")
    return list(_allowed(response.resources))


def _allowed(resources: list[tuple[int, str, int, list[tuple[str, str, int, int]]]]) -> Iterator[_Right]:
    for _kind, name, pattern, rights in resources:
        for principal, _host, operation, permission in rights:
            if permission == _ALLOW:
                yield _Right(name, pattern, principal, operation)
