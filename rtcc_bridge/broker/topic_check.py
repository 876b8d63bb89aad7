"""Compares a topic as it is with the topic as it should be. Pure: asks no broker."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from rtcc_bridge.broker.topic_plan import COMPACT, DELETE, TopicPlan

PARTITIONS: Final = "partitions"
REPLICATION: Final = "replication factor"
CLEANUP: Final = "cleanup.policy"
_FOREVER: Final = -1


@dataclass(frozen=True, slots=True)
class FoundTopic:
    """A topic as the broker describes it. configs: None when the broker does not tell them."""

    name: str
    partitions: int
    replication_factor: int
    configs: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting of one topic that is not as it should be. breaks: the promise of delivery does not hold with it."""

    topic: str
    setting: str
    found: str
    wanted: str
    breaks: bool
    why: str


def differences(plan: TopicPlan, found: FoundTopic) -> tuple[Difference, ...]:
    """What is not as it should be. A setting that the broker does not tell is not compared."""
    return tuple(_found(plan, found))


def _found(plan: TopicPlan, found: FoundTopic) -> Iterator[Difference]:
    def differs(setting: str, is_now: object, wanted: object, why: str, *, breaks: bool) -> Difference:
        return Difference(plan.name, setting, str(is_now), str(wanted), breaks, why)

    if found.partitions < plan.partitions:
        why = "fewer processes can share the work"
        yield differs(PARTITIONS, found.partitions, plan.partitions, why, breaks=False)
    if found.replication_factor < plan.replication_factor:
        why = "a record that was acknowledged can be lost with a broker"
        yield differs(REPLICATION, found.replication_factor, plan.replication_factor, why, breaks=True)
    configs = found.configs or {}
    if (policy := configs.get(CLEANUP)) is not None and policy != plan.cleanup:
        tears = plan.cleanup == DELETE and COMPACT in policy
        why = "compaction takes events away that are still needed" if tears else "old notices pile up"
        yield differs(CLEANUP, policy, plan.cleanup, why, breaks=tears)
    if (in_sync := _number(configs, "min.insync.replicas")) is not None:
        yield from _in_sync(plan, found, in_sync)
    if configs.get("unclean.leader.election.enable", "false") != "false":
        why = "a copy that is behind may become the leader, and records that were acknowledged are gone"
        yield differs("unclean.leader.election.enable", "true", "false", why, breaks=True)
    if plan.retention_ms is not None:
        yield from _retention(plan, configs)
    wanted_bytes, bytes_now = int(plan.configs.get("max.message.bytes", "0")), _number(configs, "max.message.bytes")
    if bytes_now is not None and bytes_now < wanted_bytes:
        why = "records of the size that the settings allow are refused"
        yield differs("max.message.bytes", bytes_now, wanted_bytes, why, breaks=False)
    wanted_type, type_now = plan.configs["message.timestamp.type"], configs.get("message.timestamp.type")
    if type_now is not None and type_now != wanted_type and wanted_type == "LogAppendTime":
        why = "how long records stay depends on the senders' clocks"
        yield differs("message.timestamp.type", type_now, wanted_type, why, breaks=False)


def _in_sync(plan: TopicPlan, found: FoundTopic, in_sync: int) -> Iterator[Difference]:
    wanted = plan.configs["min.insync.replicas"]
    if in_sync > found.replication_factor:
        why = f"nothing can be written: there are {found.replication_factor} copies only"
        yield Difference(plan.name, "min.insync.replicas", str(in_sync), wanted, breaks=True, why=why)
    elif in_sync < int(wanted):
        why = "a record that was acknowledged can be lost with a broker"
        yield Difference(plan.name, "min.insync.replicas", str(in_sync), wanted, breaks=True, why=why)


def _retention(plan: TopicPlan, configs: Mapping[str, str]) -> Iterator[Difference]:
    assert plan.retention_ms is not None
    retention, wanted = _number(configs, "retention.ms"), str(plan.retention_ms)
    if retention is not None and retention != _FOREVER and retention < plan.retention_ms:
        why = "what is not read within that time is lost" if plan.is_only_copy else "less time to catch up"
        yield Difference(plan.name, "retention.ms", str(retention), wanted, plan.is_only_copy, why)
    if plan.longest_life_ms is not None:
        yield from _life(plan, configs, plan.longest_life_ms)
    size = _number(configs, "retention.bytes")
    if size is not None and size != _FOREVER:
        why = "a busy day takes records away before their time"
        yield Difference(plan.name, "retention.bytes", str(size), "-1", plan.is_only_copy, why)


def _life(plan: TopicPlan, configs: Mapping[str, str], longest_ms: int) -> Iterator[Difference]:
    """A record stays for the retention, and then until its segment, which began up to segment.ms before, has aged."""
    assert plan.retention_ms is not None
    why = "a record can stay longer than events are remembered (kafka.deduplicate_hours), and count twice"
    retention, segment = _number(configs, "retention.ms"), _number(configs, "segment.ms") or 0
    planned_segment = int(plan.configs["segment.ms"])
    if retention is not None and (retention == _FOREVER or retention + min(segment, planned_segment) > longest_ms):
        wanted = str(plan.retention_ms)
        yield Difference(plan.name, "retention.ms", str(retention), wanted, breaks=True, why=why)
        retention = plan.retention_ms
    if retention is not None and segment > planned_segment and retention + segment > longest_ms:
        yield Difference(plan.name, "segment.ms", str(segment), str(planned_segment), breaks=True, why=why)


def _number(configs: Mapping[str, str], name: str) -> int | None:
    try:
        return int(configs[name])
    except (KeyError, ValueError):
        return None
