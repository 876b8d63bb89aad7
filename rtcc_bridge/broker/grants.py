"""What each role and each party around it may do on the broker: the one table that the ACLs are made from.

The web role has no row: it uses no Kafka, so it gets no user. A consumer's user cannot write leads, and the dispatch
system, which writes incidents, cannot read them. Beside the watch desk's user only the operator's, who puts records
back, may write threats: who can write that topic can ask for the imminent lane, so the list of senders in the policy is
checked behind this and does not replace it. The operator's user is the strongest: it belongs to people who run
commands, and no process keeps it.

Reading and writing a topic, and reading a group, include describing them. An idempotent producer needs no right on the
cluster since Apache Kafka 3.0.

Who reads the leads' topics is told by the offsets that consumer groups commit, and who may read them by the broker's
own list of rights (P19): the relay may describe every group, also one that should not be there, and the cluster, which
shows that list, and reads or changes none. Readers have groups of names that are known.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from rtcc_bridge.broker.groups import TopicsOfGroup, consumed_topics, groups_of_roles
from rtcc_bridge.broker.topics import topic_names
from rtcc_bridge.settings import KafkaSettings

TOPIC: Final = "topic"
GROUP: Final = "group"
CLUSTER: Final = "cluster"
OPERATOR: Final = "operator"
EVERY: Final = "*"

_READ: Final = ("Read", "DescribeConfigs")
"""DescribeConfigs is for the check of the topics at start."""
_THE_CLUSTER: Final = "kafka-cluster"
"""The only name that Kafka has for it."""
_WRITE: Final = ("Write", "DescribeConfigs")
_MANAGE: Final = ("Create", "Describe", "DescribeConfigs", "Alter", "AlterConfigs")


@dataclass(frozen=True, slots=True)
class Grant:
    """Operations that one party may do on one topic or consumer group, or on the cluster. A pattern that ends in * is
    a prefix, and * alone is every one."""

    party: str
    kind: str
    name: str
    operations: tuple[str, ...]


def grants(kafka: KafkaSettings) -> tuple[Grant, ...]:
    """The whole table: first the roles of `serve`, then the command line, then the parties outside."""
    return tuple(
        Grant(party, kind, name, operations)
        for party, rows in _table(kafka).items()
        for kind, name, operations in _merged(rows)
    )


def topics_of(kafka: KafkaSettings, roles: Iterable[str]) -> frozenset[str]:
    """The topics that processes with these roles read or write."""
    wanted = set(roles)
    return frozenset(grant.name for grant in grants(kafka) if grant.party in wanted and grant.kind == TOPIC)


PARTIES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "consumer": "serve --roles consumer",
        "matcher": "serve --roles matcher",
        "relay": "serve --roles relay",
        OPERATOR: "the command line: topics, dead-letters, backup, restore",
        "dispatch": "the dispatch system, which writes incidents",
        "watch-desk": "the watch desk, which writes threats",
        "record-system": "the record system, which writes gallery records",
        "feed": "the crime center's feed, which reads leads",
        "exercise-feed": "a training system, which reads the leads of exercises",
        "auditor": "the city's auditor, who keeps the signed heads of the audit log",
    }
)

_Row = tuple[str, str, tuple[str, ...]]


def _table(kafka: KafkaSettings) -> dict[str, tuple[_Row, ...]]:
    names = kafka.topics
    probes = (names.probes_imminent, names.probes_routine)
    inputs = (names.incidents, names.threats, names.gallery_records)
    letters: _Row = (TOPIC, names.dead_letters, _WRITE)
    return {
        **{role: (*_reads(groups), letters) for role, groups in groups_of_roles(kafka).items()},
        "relay": (
            *(
                (TOPIC, name, _WRITE)
                for name in (names.leads, names.leads_exercise, names.gallery, *probes, names.audit_checkpoints)
            ),
            (GROUP, EVERY, ("Describe",)),
            (CLUSTER, _THE_CLUSTER, ("Describe",)),
        ),
        OPERATOR: (
            *((TOPIC, name, _MANAGE) for name in topic_names(kafka)),
            # `dead-letters replay` writes each record back to its topic, and a mark beside the letter.
            (TOPIC, names.dead_letters, ("Read", "Write")),
            *((TOPIC, name, ("Write",)) for name in (*inputs, *probes)),
            # `restore` reads what was published after the backup, and sets the groups back to its offsets.
            *((TOPIC, name, ("Read",)) for name in (names.leads, names.leads_exercise, *inputs, *probes)),
            *((GROUP, name, ("Read",)) for name in consumed_topics(kafka)),
        ),
        "dispatch": ((TOPIC, names.incidents, ("Write",)),),
        "watch-desk": ((TOPIC, names.threats, ("Write",)),),
        "record-system": ((TOPIC, names.gallery_records, ("Write",)),),
        "feed": ((TOPIC, names.leads, ("Read",)), (GROUP, "rtcc-feed*", ("Read",))),
        "exercise-feed": ((TOPIC, names.leads_exercise, ("Read",)), (GROUP, "rtcc-exercise-feed*", ("Read",))),
        "auditor": ((TOPIC, names.audit_checkpoints, ("Read",)), (GROUP, "rtcc-auditor*", ("Read",))),
    }


def _reads(groups: TopicsOfGroup) -> Iterator[_Row]:
    for group, topics in groups.items():
        yield from ((TOPIC, topic, _READ) for topic in topics)
        yield (GROUP, group, ("Read",))


def _merged(rows: Iterable[_Row]) -> Iterator[_Row]:
    """Rows for the same thing become one."""
    operations: dict[tuple[str, str], dict[str, None]] = {}
    for kind, name, allowed in rows:
        operations.setdefault((kind, name), {}).update(dict.fromkeys(allowed))
    for (kind, name), merged in operations.items():
        yield kind, name, tuple(merged)
