"""Apache Kafka on which each role and each party has a user of its own, with exactly the rights of `topics acls`."""

import argparse
import shlex
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from rtcc_bridge.broker.grants import PARTIES, grants
from rtcc_bridge.commands.acl_text import as_commands
from rtcc_bridge.settings import KafkaSettings
from tests.integration.secured_kafka import open_settings, secured, user
from tests.kafka_cluster.cluster import KafkaCluster
from tests.kafka_cluster.security import ADMIN, ClientSecurity

PREFIX = "User:rtcc-"


class GuardedKafka:
    """A cluster with one user for each party, and the rights of the table."""

    def __init__(self, cluster: KafkaCluster) -> None:
        self.cluster = cluster
        self.open = open_settings(cluster)

    def of(self, party: str) -> KafkaSettings:
        return secured(self.cluster, self.open, sasl=user(f"rtcc-{party}", f"secret-{party}"))

    def grant(self) -> None:
        """Gives the rights that the command prints, with a client that is not this program's."""
        names = {
            "READ": AclOperation.READ, "WRITE": AclOperation.WRITE, "CREATE": AclOperation.CREATE,
            "DESCRIBE": AclOperation.DESCRIBE, "DESCRIBECONFIGS": AclOperation.DESCRIBE_CONFIGS,
            "ALTER": AclOperation.ALTER, "ALTERCONFIGS": AclOperation.ALTER_CONFIGS,
        }  # fmt: skip
        kinds = {"TOPIC": ResourceType.TOPIC, "GROUP": ResourceType.GROUP, "CLUSTER": ResourceType.BROKER}
        bindings = [
            AclBinding(
                kinds[right["resourceType"]], right["resourceName"], ResourcePatternType[right["patternType"]],
                right["principal"], right["host"], names[right["operation"].upper()], AclPermissionType.ALLOW,
            )
            for right in rights_of(as_commands(grants(self.open), PREFIX, self.cluster.internal_addresses[0]))
        ]  # fmt: skip
        admin = AdminClient({"bootstrap.servers": ",".join(self.cluster.internal_addresses)})
        for done in admin.create_acls(bindings).values():
            done.result(20)


def users_with_rights() -> ClientSecurity:
    """TLS, and a user for each party, who may do only what is granted."""
    users = {ADMIN: "secret-admin"} | {f"rtcc-{party}": f"secret-{party}" for party in PARTIES}
    return ClientSecurity("SASL_SSL", users, acls=True)


@asynccontextmanager
async def guarded_kafka() -> AsyncIterator[GuardedKafka]:
    """One node with TLS, SCRAM and the rights; the topics are not made yet."""
    async with KafkaCluster(1, security=users_with_rights()) as cluster:
        made = GuardedKafka(cluster)
        made.grant()
        yield made


def rights_of(lines: Iterable[str]) -> list[dict[str, str]]:
    """The single rights that lines with kafka-acls.sh give."""
    parser = argparse.ArgumentParser()
    for option in ("--bootstrap-server", "--command-config", "--allow-principal", "--topic", "--group"):
        parser.add_argument(option)
    parser.add_argument("--cluster", action="store_true")
    parser.add_argument("--resource-pattern-type", default="literal")
    parser.add_argument("--add", action="store_true", required=True)
    parser.add_argument("--operation", action="append", required=True)
    rights = []
    for line in lines:
        program, *words = shlex.split(line, comments=True) or [""]
        if not program:
            continue
        assert program == "kafka-acls.sh"
        said = parser.parse_args(words)
        kind = "CLUSTER" if said.cluster else "TOPIC" if said.topic else "GROUP"
        rights += [
            {
                "principal": said.allow_principal,
                "host": "*",
                "resourceType": kind,
                "resourceName": said.topic or said.group or "kafka-cluster",
                "patternType": said.resource_pattern_type.upper(),
                "operation": operation,
                "permissionType": "ALLOW",
            }
            for operation in said.operation
        ]
    return rights
