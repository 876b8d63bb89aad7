"""What the ledger makes of the offsets that a broker tells of (P19)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from rtcc_bridge.broker.client import EventProducer, RecordPlace
from rtcc_bridge.broker.reader_groups import Committed, ReaderGroups
from rtcc_bridge.broker.reading_rights import GroupPattern, Readers
from rtcc_bridge.leads.events import EVENT_DATA
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.publishing import reader_ledger, topic_readers, topic_rights
from rtcc_bridge.publishing.lead_offsets import ENDING_EVENTS, lead_event_offset
from rtcc_bridge.publishing.topic_lane import TopicLane
from rtcc_bridge.publishing.topic_readers import TopicReaderWatch, name_of, name_of_principal
from rtcc_bridge.publishing.topic_rights import TopicRightsWatch
from rtcc_bridge.settings import KafkaSettings, RelaySettings
from rtcc_bridge.storage import lead_event_offsets, outbox, tables, unacknowledged
from rtcc_bridge.storage import topic_readers as stored_readers
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.storage.lead_event_offsets import LeadEventOffset
from rtcc_bridge.storage.locks import UNCONTESTED
from rtcc_bridge.storage.topic_readers import Place
from rtcc_bridge.storage.unacknowledged import SystemBehind
from tests.doubles import ManualClock
from tests.lead_parts import LeadBench, lead_bench, probe_record

TOPIC = KafkaSettings().topics.leads


class Told:
    """What the broker would tell, in pages of this many groups."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.groups: dict[str, Committed] = {}
        monkeypatch.setattr(topic_readers, "reader_groups", self._ask)
        monkeypatch.setattr(topic_readers, "GROUPS_AT_ONCE", 1)
        monkeypatch.setattr(reader_ledger, "EVENTS_AT_ONCE", 2)
        self.rights: Readers | None = {}
        monkeypatch.setattr(topic_rights, "readers_by_right", self._ask_for_rights)

    async def _ask_for_rights(self, _kafka: KafkaSettings, topic: str) -> Readers | None:
        return self.rights if topic == TOPIC or self.rights is None else {}

    async def _ask(self, _kafka: KafkaSettings, _topics: object, after: str, most: int) -> ReaderGroups:
        behind = sorted(name for name in self.groups if name > after)
        found: Mapping[str, Committed] = {name: self.groups[name] for name in behind[:most]}
        return ReaderGroups(found, behind[most - 1] if len(behind) > most else None)


class Broker(EventProducer):
    """Its topic has one partition."""

    def __init__(self) -> None:
        self.end = 0
        self.before_it_answers: Callable[[], Awaitable[None]] | None = None

    async def send(self, topic: str, **_record: Any) -> RecordPlace:
        assert topic == TOPIC
        place, self.end = RecordPlace(0, self.end), self.end + 1
        happens, self.before_it_answers = self.before_it_answers, None
        if happens is not None:
            await happens()
        return place


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    return Told(monkeypatch)


@pytest.fixture
async def ledger(database: Database, tmp_path: Path, clock: ManualClock, metrics: Metrics) -> AsyncIterator["Ledger"]:
    async with lead_bench(database, tmp_path, clock, metrics) as bench:
        yield Ledger(bench)


class Ledger:
    """Leads, where their events lie, and who has read them."""

    def __init__(self, bench: LeadBench) -> None:
        self._bench = bench
        self.watch = TopicReaderWatch(bench.database, KafkaSettings(), bench.clock)
        self.rights = TopicRightsWatch(bench.database, KafkaSettings(), bench.clock)

    def pass_time(self) -> None:
        self._bench.clock.advance(60)

    async def lead(self) -> str:
        return (await self._bench.record(probe_record(self._bench.clock.now()), await self._bench.enroll(1))).lead_id

    async def lies(self, *events: tuple[int, str, bool], partition: int = 0) -> None:
        """Offset, lead and whether it ends it."""
        now = self._bench.clock.now()
        found = [
            LeadEventOffset(
                event_id=f"{partition}/{offset}/{now.isoformat()}", lead_id=lead_id, topic=TOPIC, partition=partition,
                offset=offset, ends=ends, published_at=now,
            )
            for offset, lead_id, ends in events
        ]  # fmt: skip
        async with self._bench.database.write() as tx:
            await lead_event_offsets.record(tx, found)

    def relay(self, broker: "Broker") -> TopicLane:
        """Publishes what waits for the topic, and notes where it lies."""
        bench = self._bench
        return TopicLane(TOPIC, bench.database, broker, bench.metrics, bench.clock, RelaySettings(), asyncio.Event())

    async def looked(self) -> set[tuple[str, str, bool]]:
        """Reader, lead and whether it knows of the end, after a look at all groups."""
        while await self.watch.look(UNCONTESTED):
            pass
        await self.rights.look(UNCONTESTED)
        async with self._bench.database.read() as tx:
            rows = (await tx.execute(tables.outside_receivers.select())).mappings().all()
        return {(row["name"], row["lead_id"], row["withdrawal_acknowledged_at"] is not None) for row in rows}

    async def behind(self) -> Sequence[SystemBehind]:
        await self.looked()
        async with self._bench.database.read() as tx:
            return await unacknowledged.systems_behind(tx, 10)


async def test_a_reader_has_what_lies_before_its_offset(ledger: Ledger, told: Told) -> None:
    first, second = await ledger.lead(), await ledger.lead()
    await ledger.lies((0, first, False), (1, second, False), (2, first, False), (3, first, True), (4, second, True))
    told.groups = {"one": {(TOPIC, 0): 1}, "two": {(TOPIC, 0): 4}, "none": {}}
    assert await ledger.looked() == {("one", first, False), ("two", first, True), ("two", second, False)}
    told.groups["one"] = {(TOPIC, 0): 5}
    assert await ledger.looked() == {
        ("one", first, True), ("one", second, True), ("two", first, True), ("two", second, False),
    }  # fmt: skip


async def test_partitions_are_told_apart(ledger: Ledger, told: Told) -> None:
    first, second = await ledger.lead(), await ledger.lead()
    await ledger.lies((0, first, False), partition=0)
    await ledger.lies((0, second, False), partition=1)
    told.groups = {"one": {(TOPIC, 1): 1}}
    assert await ledger.looked() == {("one", second, False)}


async def test_what_is_noted_as_published_after_it_was_read_is_not_missed(ledger: Ledger, told: Told) -> None:
    first, second = await ledger.lead(), await ledger.lead()
    await ledger.lies((0, first, False))
    told.groups = {"one": {(TOPIC, 0): 2}}
    assert await ledger.looked() == {("one", first, False)}
    await ledger.lies((1, second, False))
    assert await ledger.looked() == {("one", first, False), ("one", second, False)}


async def test_a_group_that_went_back_and_an_unknown_lead_change_nothing(ledger: Ledger, told: Told) -> None:
    """A restored database may not know a lead of which it has to publish the end."""
    lead_id = await ledger.lead()
    await ledger.lies((0, lead_id, False), (1, "not known here", True))
    told.groups = {"one": {(TOPIC, 0): 2}}
    assert await ledger.looked() == {("one", lead_id, False)}
    told.groups = {"one": {(TOPIC, 0): 1}}
    assert await ledger.looked() == {("one", lead_id, False)}


async def test_of_a_topic_that_was_made_anew_nothing_is_concluded_from_old_places(ledger: Ledger, told: Told) -> None:
    old, new = await ledger.lead(), await ledger.lead()
    await ledger.lies((0, new, False), (1, new, False), (7, old, True))
    told.groups = {"one": {(TOPIC, 0): 1}}
    assert await ledger.looked() == {("one", new, False)}
    ledger.pass_time()
    await ledger.lies((0, old, False))
    told.groups = {"one": {(TOPIC, 0): 8}, "two": {(TOPIC, 0): 1}}
    assert await ledger.looked() == {("one", new, False), ("one", old, False), ("two", old, False)}


async def test_a_topic_that_is_made_anew_during_a_look_is_read_from_its_beginning(
    ledger: Ledger, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, first, second = await ledger.lead(), await ledger.lead(), await ledger.lead()
    await ledger.lies((0, old, False), (7, old, False))
    told.groups = {"one": {(TOPIC, 0): 5}}
    await ledger.looked()
    ledger.pass_time()
    entered, anew = stored_readers.entered, [(0, first, False)]

    async def read_before(tx: Transaction, reader: str, topics: Collection[str]) -> Mapping[Place, int]:
        found = await entered(tx, reader, topics)
        if anew:
            await ledger.lies(anew.pop())
        return found

    monkeypatch.setattr(stored_readers, "entered", read_before)
    told.groups = {"one": {(TOPIC, 0): 8}}
    await ledger.looked()
    await ledger.lies((1, second, False))
    told.groups = {"one": {(TOPIC, 0): 2}}
    assert await ledger.looked() == {("one", old, False), ("one", first, False), ("one", second, False)}


async def test_a_relay_that_was_held_up_forgets_nothing_of_what_another_has_published_since(
    ledger: Ledger, told: Told
) -> None:
    """It looks as if the topic had begun anew: what it notes lies before what is noted already."""
    first, second = await ledger.lead(), ""
    broker = Broker()

    async def is_replaced() -> None:
        nonlocal second
        second = await ledger.lead()
        await ledger.relay(broker).publish_all()

    broker.before_it_answers = is_replaced
    await ledger.relay(broker).publish_all()
    assert broker.end == 3, "the first event twice"
    told.groups = {"one": {(TOPIC, 0): broker.end}}
    assert await ledger.looked() == {("one", first, False), ("one", second, False)}


FEED = GroupPattern("feed", is_prefix=True)
MAY_READ = "by right: User:feed"


async def test_whoever_may_read_has_all_that_was_published_and_knows_what_a_group_of_theirs_has_read(
    ledger: Ledger, told: Told
) -> None:
    """A system that reads and never commits stands in the ledger all the same."""
    first, second = await ledger.lead(), await ledger.lead()
    told.rights = {"User:feed": {FEED}, "User:rtcc-operator": set()}
    assert await ledger.looked() == set()
    await ledger.lies((0, first, False), (1, second, False), (2, first, True))
    await ledger.lies((0, second, False), partition=1)
    assert await ledger.looked() == {(MAY_READ, first, False), (MAY_READ, second, False)}
    await ledger.lies((3, second, True))
    assert [(one.system, one.leads) for one in await ledger.behind()] == [(MAY_READ, 2)]
    told.groups = {"a stranger": {(TOPIC, 0): 4}}
    assert (MAY_READ, first, False) in await ledger.looked()
    told.groups = {"feed-1": {(TOPIC, 0): 3}, "feed-2": {(TOPIC, 0): 1}}
    assert {one for one in await ledger.looked() if one[0] == MAY_READ} == {
        (MAY_READ, first, True), (MAY_READ, second, False),
    }  # fmt: skip
    told.groups = {"feed-1": {(TOPIC, 0): 4}}
    await ledger.looked()
    assert MAY_READ not in {one.system for one in await ledger.behind()}


async def test_who_gets_the_right_later_may_have_read_what_lies_there_already(ledger: Ledger, told: Told) -> None:
    old, new = await ledger.lead(), await ledger.lead()
    await ledger.lies((5, old, False), (6, old, False), (7, old, True))
    assert await ledger.looked() == set()
    told.rights = {"User:late": set()}
    assert await ledger.looked() == {("by right: User:late", old, False)}
    ledger.pass_time()
    await ledger.lies((0, new, False))  # of a topic that was made anew
    assert await ledger.looked() == {("by right: User:late", old, False), ("by right: User:late", new, False)}
    told.rights = {}
    await ledger.lies((1, await ledger.lead(), False))
    assert len(await ledger.looked()) == 2, "whose right was taken away has nothing new"


async def test_of_a_broker_without_rights_that_is_said_once(ledger: Ledger, told: Told) -> None:
    told.rights = None
    with capture_logs() as logs:
        await ledger.looked()
        await ledger.looked()
    assert [one["log_level"] for one in logs] == ["warning"]


def test_no_group_passes_for_somebody_who_may_read() -> None:
    assert name_of(name_of_principal("User:feed")) != name_of_principal("User:feed")
    assert len(name_of(name_of_principal("User:" + "f" * 300))) == 256


def test_a_long_name_keeps_its_beginning_and_is_told_from_others() -> None:
    assert name_of("g" * 256) == "g" * 256
    one, other = name_of("g" * 300), name_of("g" * 301)
    assert len(one) == 256
    assert one != other


async def test_only_events_of_leads_are_noted_and_those_that_end_them_are_known(
    ledger: Ledger, database: Database
) -> None:
    lead_id = await ledger.lead()
    async with database.read() as tx:
        [record] = await outbox.unpublished(tx, TOPIC, 10)
    found = lead_event_offset(record, RecordPlace(2, 5), record.created_at)
    assert found is not None
    assert (found.lead_id, found.topic, found.partition, found.offset, found.ends) == (lead_id, TOPIC, 2, 5, False)
    assert lead_event_offset(record, RecordPlace(2, None), record.created_at) is None
    assert EVENT_DATA.keys() >= ENDING_EVENTS
