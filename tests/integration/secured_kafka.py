"""Apache Kafka with TLS, users and rights for the tests of access, and settings for one of its users."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.topic_settings import TopicSettings
from tests.brokers import new_mark, unique_names
from tests.kafka_cluster.cluster import KafkaCluster
from tests.kafka_cluster.security import ClientSecurity


@contextmanager
def one_node(security: ClientSecurity) -> Iterator[KafkaCluster]:
    """For all tests of a file, which have topics of their own: a start takes six seconds of a core."""
    cluster = KafkaCluster(1, security=security)
    try:
        asyncio.run(cluster.start())
        yield cluster
    finally:
        asyncio.run(cluster.close())


def open_settings(cluster: KafkaCluster) -> KafkaSettings:
    """For the internal listener, where everything is allowed; with names of this test's own."""
    mark = new_mark()
    return KafkaSettings(
        bootstrap_servers=cluster.internal_addresses,
        group_prefix=f"test-{mark}",
        session_timeout_seconds=3,
        request_timeout_seconds=5,
        topics=TopicSettings.model_validate({**unique_names(mark), "partitions": 3}),
    )


def secured(cluster: KafkaCluster, based_on: KafkaSettings, **changes: Any) -> KafkaSettings:
    """The same topics by the listener for clients."""
    content = based_on.model_dump() | {
        "bootstrap_servers": cluster.addresses,
        "security_protocol": "SASL_SSL",
        "tls": {"ca_file": cluster.authority.ca_file},
    }
    return KafkaSettings.model_validate(content | changes)


def user(name: str, password: str, mechanism: str = "SCRAM-SHA-512") -> dict[str, str]:
    """The section kafka.sasl."""
    return {"mechanism": mechanism, "username": name, "password": password}


def private_file(file: Path, content: str) -> Path:
    """A file for its owner only."""
    file.write_text(content)
    file.chmod(0o600)
    return file
