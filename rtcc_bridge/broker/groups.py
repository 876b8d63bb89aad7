"""The consumer groups of the daemon and what each reads: the one table for the wiring, the ACLs and backups."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from rtcc_bridge.settings import KafkaSettings

TopicsOfGroup: TypeAlias = Mapping[str, Sequence[str]]


def groups_of_roles(kafka: KafkaSettings) -> Mapping[str, TopicsOfGroup]:
    """For each role that consumes, its groups and the topics of each."""
    topics, prefix = kafka.topics, kafka.group_prefix
    return {
        "consumer": {
            f"{prefix}.consumer": (topics.incidents, topics.threats),
        },
        "matcher": {
            f"{prefix}.matcher.routine": (topics.probes_routine,),
            f"{prefix}.matcher.imminent": (topics.probes_imminent,),
            f"{prefix}.records": (topics.gallery_records,),  # who enrols has the key of templates (P30)
        },
    }


def consumed_topics(kafka: KafkaSettings) -> TopicsOfGroup:
    """For each group the topics that it reads."""
    return {group: topics for groups in groups_of_roles(kafka).values() for group, topics in groups.items()}
