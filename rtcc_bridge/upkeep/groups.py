"""The consumer groups of the daemon and what each reads."""

from collections.abc import Mapping, Sequence

from rtcc_bridge.settings import KafkaSettings


def consumed_topics(kafka: KafkaSettings) -> Mapping[str, Sequence[str]]:
    """For each group the topics that it reads."""
    topics, prefix = kafka.topics, kafka.group_prefix
    return {
        f"{prefix}.consumer": (topics.incidents, topics.threats),
        f"{prefix}.matcher.routine": (topics.probes_routine,),
        f"{prefix}.matcher.imminent": (topics.probes_imminent,),
    }
