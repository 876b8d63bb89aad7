"""What each topic has to be like: partitions, copies, how long it keeps what.

| topic | kept | why |
|---|---|---|
| incidents, threats | by age, `input_retention_hours` | every update counts, so never compacted; longer than events are remembered would let one have its effect twice, so segments are short and the broker's clock is the one that counts |
| gallery records | by age, `input_retention_hours` | each order counts; one that is read again, however late, finds its effect |
| leads, exercises | by age, `leads_retention_days` | a lead's events are ordered by a sequence without gaps, which compaction would tear |
| search requests | by age, `probe_retention_hours` | a request without an outcome is made again |
| gallery | compacted | each gallery's newest head is all that a reader needs |
| audit checkpoints | by age, `checkpoint_retention_days` | whoever holds an older head can prove that the log was not rewritten |
| dead letters | by age, `dead_letter_retention_days` | time to look at them and to replay them |
"""  # noqa: E501 - a table's row is one line

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from rtcc_bridge.settings import KafkaSettings

DELETE: Final = "delete"
COMPACT: Final = "compact"

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
_DEAD_LETTER_BYTES: Final = 30_000_000
"""A dead letter holds a record of another topic and what went wrong with it, so it is larger than that."""
_DEFAULT_BATCH_BYTES: Final = 1_048_588
"""The broker's own default for a batch of records."""
_BATCH_OVERHEAD_BYTES: Final = 64 * 1024
"""Key, headers and framing around the largest value."""


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """One topic as it should be.

    retention_ms: for topics kept by age. longest_life_ms: a record that is older than this may not be left, None when
    any age is safe. is_only_copy: a record that retention takes away early is made good by nobody.
    """

    name: str
    partitions: int
    replication_factor: int
    cleanup: str
    retention_ms: int | None
    longest_life_ms: int | None
    is_only_copy: bool
    configs: Mapping[str, str]
    """All that `topics create` sets, by the broker's names."""


def topic_plans(kafka: KafkaSettings) -> tuple[TopicPlan, ...]:
    """Every topic that the program reads or writes."""
    names = kafka.topics
    received = partial(
        _by_age,
        kafka,
        retention_ms=int(names.input_retention_hours * _HOUR_MS),
        segment_ms=int(names.input_segment_hours * _HOUR_MS),
        is_only_copy=True,
        max_bytes=max(_DEFAULT_BATCH_BYTES, kafka.max_record_bytes + _BATCH_OVERHEAD_BYTES),
        timestamps="LogAppendTime",
    )
    remembered = partial(received, longest_life_ms=int(kafka.deduplicate_hours * _HOUR_MS))
    leads = partial(_by_age, kafka, retention_ms=int(names.leads_retention_days * _DAY_MS), is_only_copy=True)
    probes = partial(_by_age, kafka, retention_ms=int(names.probe_retention_hours * _HOUR_MS))
    checkpoints = partial(_by_age, kafka, retention_ms=int(names.checkpoint_retention_days * _DAY_MS))
    letters = partial(
        _by_age,
        kafka,
        retention_ms=int(names.dead_letter_retention_days * _DAY_MS),
        is_only_copy=True,
        max_bytes=_DEAD_LETTER_BYTES,
    )
    return (
        remembered(names.incidents),
        remembered(names.threats),
        received(names.gallery_records),
        leads(names.leads),
        leads(names.leads_exercise),
        probes(names.probes_imminent),
        probes(names.probes_routine),
        _compacted(kafka, names.gallery),
        letters(names.dead_letters),
        checkpoints(names.audit_checkpoints),
    )


def _by_age(
    kafka: KafkaSettings,
    name: str,
    *,
    retention_ms: int,
    segment_ms: int | None = None,
    longest_life_ms: int | None = None,
    is_only_copy: bool = False,
    max_bytes: int = _DEFAULT_BATCH_BYTES,
    timestamps: str = "CreateTime",
) -> TopicPlan:
    configs = {
        "cleanup.policy": DELETE,
        "retention.ms": str(retention_ms),
        "retention.bytes": "-1",
        "max.message.bytes": str(max_bytes),
        "message.timestamp.type": timestamps,
    }
    if segment_ms is not None:
        configs["segment.ms"] = str(segment_ms)
    return _plan(kafka, name, DELETE, retention_ms, longest_life_ms, configs, is_only_copy=is_only_copy)


def _compacted(kafka: KafkaSettings, name: str) -> TopicPlan:
    configs = {"cleanup.policy": COMPACT, "message.timestamp.type": "CreateTime"}
    return _plan(kafka, name, COMPACT, None, None, configs, is_only_copy=False)


def _plan(
    kafka: KafkaSettings,
    name: str,
    cleanup: str,
    retention_ms: int | None,
    longest_life_ms: int | None,
    configs: Mapping[str, str],
    *,
    is_only_copy: bool,
) -> TopicPlan:
    topics = kafka.topics
    everywhere = {
        "min.insync.replicas": str(topics.min_insync_replicas),
        "unclean.leader.election.enable": "false",
        "compression.type": "producer",
    }
    return TopicPlan(
        name,
        topics.partitions,
        topics.replication_factor,
        cleanup,
        retention_ms,
        longest_life_ms,
        is_only_copy,
        {**configs, **everywhere},
    )
