"""The settings of a node: those of a careful production cluster, but quick to start and to notice a death."""

from collections.abc import Sequence

from tests.kafka_cluster.node import Node


def broker_properties(node: Node, nodes: Sequence[Node]) -> dict[str, str]:
    """Settings of one node of these. From three nodes on every record has three copies, two of them acknowledged."""
    replicas = min(3, len(nodes))
    in_sync = 2 if replicas == 3 else 1
    # Of several controllers each has the others in its storage; one alone needs none there, and its storage no tool.
    quorum = {"controller.quorum.bootstrap.servers": ",".join(each.controller for each in nodes)}
    if len(nodes) == 1:
        quorum = {"controller.quorum.voters": f"{node.number}@{node.controller}"}
    return {
        **quorum,
        "process.roles": "broker,controller",
        "listeners": f"INTERNAL://{node.internal},CONTROLLER://{node.controller}",
        "advertised.listeners": f"INTERNAL://{node.internal}",
        "listener.security.protocol.map": "INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "INTERNAL",
        "controller.listener.names": "CONTROLLER",
        "auto.create.topics.enable": "false",
        "default.replication.factor": str(replicas),
        "min.insync.replicas": str(in_sync),
        "offsets.topic.replication.factor": str(replicas),
        "offsets.topic.num.partitions": "3",
        "transaction.state.log.replication.factor": str(replicas),
        "transaction.state.log.min.isr": str(in_sync),
        "transaction.state.log.num.partitions": "3",
        "share.coordinator.state.topic.replication.factor": str(replicas),
        "share.coordinator.state.topic.min.isr": str(in_sync),
        "share.coordinator.state.topic.num.partitions": "3",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        "broker.heartbeat.interval.ms": "500",
        "broker.session.timeout.ms": "6000",
        "replica.lag.time.max.ms": "10000",
        "num.network.threads": "2",
        "num.io.threads": "2",
        "num.recovery.threads.per.data.dir": "1",
        "log.index.size.max.bytes": "1048576",
        "log.cleaner.dedupe.buffer.size": "16777216",
    }
