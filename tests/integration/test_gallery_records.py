"""The record system's events through the broker and the runner: what it books is searched, what it orders is gone."""

from pathlib import Path

from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.storage.engine import Database
from tests.doubles import ManualClock
from tests.gallery_kit import open_kit, template_of
from tests.integration.pipeline import committed, read_all, running, send_event, until
from tests.records_kit import RecordSystem, booking_desk, people, records_handler, removal


async def test_bookings_and_orders_reach_the_gallery_and_a_bad_record_the_dead_letters(
    kafka: KafkaSettings, database: Database, tmp_path: Path, clock: ManualClock, metrics: Metrics
) -> None:
    (tmp_path / "store").mkdir()
    records, topic = RecordSystem(tmp_path / "store"), kafka.topics.gallery_records
    async with open_kit(database, tmp_path / "objects", clock, metrics) as kit, EventProducer(kafka) as producer:
        handler = records_handler(kit, booking_desk(kit, records.store), kafka)
        early = removal("eve")
        sent = [early, *(records.booked(name, f"{name}-1") for name in ("ann", "bob", "eve")), removal("bob"), early]
        for event in sent:
            await send_event(producer, topic, event)
        await producer.send(topic, key=b"ann", value=b"no event")
        async with running(kafka, {topic: handler}, metrics, group="records"):
            await until(lambda: _is_committed(kafka, topic, len(sent) + 1))
        assert await people(kit) == {"ann": 1}
        assert len(await read_all(kafka, kafka.topics.dead_letters)) == 1
        follower = kit.follower()
        await follower.follow_once()
        found = [
            follower.current.index.search(template_of(f"{name}-1")[None], 1, 0.99)[0] for name in ("ann", "bob", "eve")
        ]
        assert [len(candidates) for candidates in found] == [1, 0, 0]


async def _is_committed(kafka: KafkaSettings, topic: str, count: int) -> bool:
    return await committed(kafka, topic, "records") == count
