"""What of a topic breaks the promise of delivery, what only differs, and the sentence that says so."""

from collections.abc import Mapping

import pytest

from rtcc_bridge.broker.topic_check import Difference, FoundTopic, differences
from rtcc_bridge.broker.topic_plan import TopicPlan, topic_plans
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.topic_settings import TopicSettings

HOUR_MS = 3_600_000
KAFKA = KafkaSettings(topics=TopicSettings(replication_factor=3, min_insync_replicas=2))
INCIDENTS, PROBES, GALLERY = (
    next(plan for plan in topic_plans(KAFKA) if plan.name == name)
    for name in (KAFKA.topics.incidents, KAFKA.topics.probes_routine, KAFKA.topics.gallery)
)
LOST_WITH_A_BROKER = "a record that was acknowledged can be lost with a broker"
COUNTS_TWICE = "a record can stay longer than events are remembered (kafka.deduplicate_hours), and count twice"


def as_planned(
    plan: TopicPlan,
    configs: Mapping[str, str | int] | None = None,
    *,
    partitions: int | None = None,
    copies: int | None = None,
) -> FoundTopic:
    """The topic as `topics create` makes it, but for these."""
    return FoundTopic(
        plan.name,
        plan.partitions if partitions is None else partitions,
        plan.replication_factor if copies is None else copies,
        {**plan.configs, **{name: str(value) for name, value in (configs or {}).items()}},
    )


def breaks(plan: TopicPlan, setting: str, found: str, wanted: str, why: str) -> Difference:
    return Difference(plan.name, setting, found, wanted, breaks=True, why=why)


def differs(plan: TopicPlan, setting: str, found: str, wanted: str, why: str) -> Difference:
    return Difference(plan.name, setting, found, wanted, breaks=False, why=why)


@pytest.mark.parametrize("topics", [TopicSettings(), KAFKA.topics])
def test_what_was_planned_differs_in_nothing(topics: TopicSettings) -> None:
    for plan in topic_plans(KafkaSettings(topics=topics)):
        assert differences(plan, as_planned(plan)) == ()


def test_with_fewer_partitions_the_work_is_shared_by_fewer_and_nothing_is_lost() -> None:
    (found,) = differences(INCIDENTS, as_planned(INCIDENTS, partitions=5))
    assert found == differs(INCIDENTS, "partitions", "5", "6", "fewer processes can share the work")
    assert differences(INCIDENTS, as_planned(INCIDENTS, partitions=7)) == ()


def test_a_copy_too_few_breaks_the_promise() -> None:
    (found,) = differences(INCIDENTS, as_planned(INCIDENTS, copies=2))
    assert found == breaks(INCIDENTS, "replication factor", "2", "3", LOST_WITH_A_BROKER)
    assert differences(INCIDENTS, as_planned(INCIDENTS, copies=4)) == ()


def test_a_record_that_one_copy_alone_may_acknowledge_breaks_the_promise() -> None:
    (found,) = differences(INCIDENTS, as_planned(INCIDENTS, {"min.insync.replicas": 1}))
    assert found == breaks(INCIDENTS, "min.insync.replicas", "1", "2", LOST_WITH_A_BROKER)


def test_more_copies_than_planned_may_have_to_acknowledge_but_no_more_than_there_are() -> None:
    assert differences(INCIDENTS, as_planned(INCIDENTS, {"min.insync.replicas": 3})) == ()
    (found,) = differences(INCIDENTS, as_planned(INCIDENTS, {"min.insync.replicas": 4}))
    why = "nothing can be written: there are 3 copies only"
    assert found == breaks(INCIDENTS, "min.insync.replicas", "4", "2", why)


def test_of_one_copy_both_are_told_that_it_is_one_and_that_nothing_can_be_written() -> None:
    """As on a cluster whose topics have one copy, and that asks for two: what is wanted would not help by itself."""
    assert differences(INCIDENTS, as_planned(INCIDENTS, copies=1)) == (
        breaks(INCIDENTS, "replication factor", "1", "3", LOST_WITH_A_BROKER),
        breaks(INCIDENTS, "min.insync.replicas", "2", "2", "nothing can be written: there are 1 copies only"),
    )


def test_a_copy_that_is_behind_may_not_become_the_leader() -> None:
    setting = "unclean.leader.election.enable"
    (found,) = differences(INCIDENTS, as_planned(INCIDENTS, {setting: "true"}))
    why = "a copy that is behind may become the leader, and records that were acknowledged are gone"
    assert found == breaks(INCIDENTS, setting, "true", "false", why)


@pytest.mark.parametrize("policy", ["compact", "compact,delete", "delete,compact"])
def test_compaction_breaks_a_topic_of_which_every_event_counts(policy: str) -> None:
    (found,) = differences(INCIDENTS, as_planned(INCIDENTS, {"cleanup.policy": policy}))
    why = "compaction takes events away that are still needed"
    assert found == breaks(INCIDENTS, "cleanup.policy", policy, "delete", why)


def test_without_compaction_the_notices_of_a_gallery_only_pile_up() -> None:
    (found,) = differences(GALLERY, as_planned(GALLERY, {"cleanup.policy": "delete"}))
    assert found == differs(GALLERY, "cleanup.policy", "delete", "compact", "old notices pile up")


def test_a_short_retention_breaks_what_nobody_makes_good() -> None:
    week = str(168 * HOUR_MS)
    (found,) = differences(INCIDENTS, as_planned(INCIDENTS, {"retention.ms": 168 * HOUR_MS - 1}))
    why = "what is not read within that time is lost"
    assert found == breaks(INCIDENTS, "retention.ms", str(168 * HOUR_MS - 1), week, why)
    (found,) = differences(PROBES, as_planned(PROBES, {"retention.ms": 1}))
    assert found == differs(PROBES, "retention.ms", "1", str(24 * HOUR_MS), "less time to catch up")


def test_a_limit_of_bytes_breaks_what_nobody_makes_good() -> None:
    why = "a busy day takes records away before their time"
    (found,) = differences(INCIDENTS, as_planned(INCIDENTS, {"retention.bytes": 10**12}))
    assert found == breaks(INCIDENTS, "retention.bytes", str(10**12), "-1", why)
    (found,) = differences(PROBES, as_planned(PROBES, {"retention.bytes": 10**12}))
    assert found == differs(PROBES, "retention.bytes", str(10**12), "-1", why)


@pytest.mark.parametrize("retention", [-1, 180 * HOUR_MS + 1])
def test_an_event_that_stays_longer_than_it_is_remembered_breaks_the_promise(retention: int) -> None:
    """Events are remembered for 192 hours, and the oldest of a segment waits 12 more for the newest."""
    (found,) = differences(INCIDENTS, as_planned(INCIDENTS, {"retention.ms": retention}))
    assert found == breaks(INCIDENTS, "retention.ms", str(retention), str(168 * HOUR_MS), COUNTS_TWICE)


def test_an_event_may_stay_for_as_long_as_it_is_remembered() -> None:
    assert differences(INCIDENTS, as_planned(INCIDENTS, {"retention.ms": 180 * HOUR_MS})) == ()
    assert differences(INCIDENTS, as_planned(INCIDENTS, {"segment.ms": 24 * HOUR_MS})) == ()
    assert differences(PROBES, as_planned(PROBES, {"retention.ms": -1})) == ()


def test_long_segments_keep_events_for_longer_than_they_are_remembered() -> None:
    wanted = str(12 * HOUR_MS)
    (found,) = differences(INCIDENTS, as_planned(INCIDENTS, {"segment.ms": 24 * HOUR_MS + 1}))
    assert found == breaks(INCIDENTS, "segment.ms", str(24 * HOUR_MS + 1), wanted, COUNTS_TWICE)
    both = differences(INCIDENTS, as_planned(INCIDENTS, {"retention.ms": -1, "segment.ms": 168 * HOUR_MS}))
    assert both == (
        breaks(INCIDENTS, "retention.ms", "-1", str(168 * HOUR_MS), COUNTS_TWICE),
        breaks(INCIDENTS, "segment.ms", str(168 * HOUR_MS), wanted, COUNTS_TWICE),
    )


def test_records_that_are_refused_and_clocks_of_senders_only_differ() -> None:
    limit = INCIDENTS.configs["max.message.bytes"]
    configs: dict[str, str | int] = {"max.message.bytes": int(limit) - 1, "message.timestamp.type": "CreateTime"}
    assert differences(INCIDENTS, as_planned(INCIDENTS, configs)) == (
        differs(
            INCIDENTS,
            "max.message.bytes",
            str(int(limit) - 1),
            limit,
            "records of the size that the settings allow are refused",
        ),
        differs(
            INCIDENTS,
            "message.timestamp.type",
            "CreateTime",
            "LogAppendTime",
            "how long records stay depends on the senders' clocks",
        ),
    )
    assert differences(INCIDENTS, as_planned(INCIDENTS, {"max.message.bytes": int(limit) + 1})) == ()
    assert differences(PROBES, as_planned(PROBES, {"message.timestamp.type": "LogAppendTime"})) == ()


@pytest.mark.parametrize("configs", [None, {}, {"min.insync.replicas": "", "retention.ms": "for long"}])
def test_what_the_broker_does_not_tell_is_not_compared(configs: Mapping[str, str] | None) -> None:
    found = FoundTopic(INCIDENTS.name, 1, 1, configs)
    assert [each.setting for each in differences(INCIDENTS, found)] == ["partitions", "replication factor"]
