"""A flood of searches on a real broker: what is urgent overtakes it, and nothing of it is lost or piles up."""

import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.cloud_event import STRUCTURED_HEADERS
from rtcc_bridge.consumers.letter_box import list_dead_letters
from rtcc_bridge.matching.types import FaceCrop, Lane
from rtcc_bridge.probes.search import FaceSearch, FoundCandidates
from rtcc_bridge.settings import KafkaSettings
from rtcc_bridge.storage import tables
from tests.integration.pipeline import committed, running, until
from tests.probe_kit import SUPERVISOR, Gallery, ProbeKit, face_search, kit, record_of, search_handler

__all__ = ["kit"]

FLOOD = 40
WINDOW = 20
BATCH = 8
"""Searches in a batch of the kit's batcher, and as many may wait in each lane."""


@dataclass
class GatedGallery(Gallery):
    """Searches a batch for each permit."""

    permits: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    batches: int = 0

    def search_batch(self, crops: Sequence[FaceCrop]) -> list[FoundCandidates]:
        self.batches += 1
        self.permits.acquire(timeout=60)
        return super().search_batch(crops)


@asynccontextmanager
async def matcher(kafka: KafkaSettings, kit: ProbeKit, gallery: GatedGallery) -> AsyncIterator[FaceSearch]:
    """Both lanes over one batcher, as the daemon has them."""
    kafka = kafka.model_copy(update={"window": WINDOW, "poll_max_records": 5})
    search = face_search(gallery)
    async with search.batcher:
        handler = search_handler(replace(kit, parts=replace(kit.parts, topics=kafka.topics)), search)
        async with (
            running(kafka, {kafka.topics.probes_routine: handler}, group="routine"),
            running(kafka, {kafka.topics.probes_imminent: handler}, group="imminent"),
        ):
            try:
                yield search
            finally:
                gallery.permits.release(1000)


async def publish(kit: ProbeKit, producer: EventProducer, kafka: KafkaSettings) -> None:
    """Sends the search requests to their lanes, as the relay does, and takes them out of the outbox."""
    lanes = {
        kit.parts.topics.probes_routine: kafka.topics.probes_routine,
        kit.parts.topics.probes_imminent: kafka.topics.probes_imminent,
    }
    for row in await kit.requests():
        record = record_of(row)
        await producer.send(lanes[record.topic], key=record.key, value=record.value, headers=STRUCTURED_HEADERS)
    async with kit.database.write() as tx:
        await tx.execute(tables.outbox.delete())


async def leads_of(kit: ProbeKit, lane: str) -> int:
    return len(await kit.rows(tables.leads, lane=lane))


async def are_leads(kit: ProbeKit, lane: str, count: int) -> bool:
    return await leads_of(kit, lane) == count


async def are_committed(kafka: KafkaSettings, count: int) -> bool:
    return await committed(kafka, kafka.topics.probes_routine, "routine") == count


async def test_a_flood_of_routine_searches_does_not_hold_the_imminent_ones(
    kafka: KafkaSettings, producer: EventProducer, kit: ProbeKit
) -> None:
    gallery = GatedGallery()
    for _ in range(FLOOD):
        await kit.authorized()
    await publish(kit, producer, kafka)
    async with matcher(kafka, kit, gallery) as search:
        await until(lambda: gallery.batches == 1 and search.batcher.waiting(Lane.ROUTINE) == BATCH)
        await kit.incident("incident-2")
        await kit.threat("incident-2")
        for _ in range(2):  # no more may wait for a deferred approval
            await kit.chosen("incident-2")
        await publish(kit, producer, kafka)
        await until(lambda: search.batcher.waiting(Lane.IMMINENT) == 2)
        gallery.permits.release(2)  # the batch that runs already, and the next one
        await until(lambda: are_leads(kit, "imminent", 2))
        assert await leads_of(kit, "routine") <= 2 * BATCH - 2
        gallery.permits.release(1000)
        await until(lambda: are_leads(kit, "routine", FLOOD))
    assert await list_dead_letters(kafka) == []


async def test_a_matcher_that_is_full_holds_the_flood_at_the_broker_and_gives_nothing_up(
    kafka: KafkaSettings, producer: EventProducer, kit: ProbeKit
) -> None:
    gallery = GatedGallery()
    for _ in range(FLOOD):
        await kit.authorized()
    await publish(kit, producer, kafka)
    async with matcher(kafka, kit, gallery) as search:

        def refused_as_busy() -> float:
            return kit.count("searches_total", purpose="violent_offense", outcome="busy")

        await until(lambda: refused_as_busy() > kafka.handle_attempts * (WINDOW - 2 * BATCH))
        assert search.batcher.waiting(Lane.ROUTINE) == BATCH
        assert kit.count("probes_in_flight", lane="routine") <= WINDOW
        assert await committed(kafka, kafka.topics.probes_routine, "routine") == 0
        gallery.permits.release(1000)
        await until(lambda: are_leads(kit, "routine", FLOOD))
        await until(lambda: are_committed(kafka, FLOOD))
    assert await list_dead_letters(kafka) == []


async def test_a_poisoned_search_holds_nothing_of_its_partition(
    kafka: KafkaSettings, producer: EventProducer, kit: ProbeKit
) -> None:
    """Nothing can be cut out by its landmarks, and no try mends that."""
    gallery = GatedGallery()
    gallery.permits.release(1000)
    poisoned = await kit.chosen()
    async with kit.database.write() as tx:
        table = tables.probes
        await tx.execute(
            table.update().where(table.c.probe_id == poisoned.probe_id).values(crop_landmarks=[[0, 0]] * 5)
        )
    await kit.desk.approve(poisoned.probe_id, SUPERVISOR)
    for _ in range(10):
        await kit.authorized()
    await publish(kit, producer, kafka)
    async with matcher(kafka, kit, gallery):
        await until(lambda: are_leads(kit, "routine", 11))
        await until(lambda: are_committed(kafka, 11))
    assert await list_dead_letters(kafka) == []
    (rejected,) = await kit.events("lead.rejected_quality")
    assert rejected["probeId"] == poisoned.probe_id


async def test_a_search_whose_picture_the_store_does_not_give_holds_nothing_of_its_partition(
    kafka: KafkaSettings, producer: EventProducer, kit: ProbeKit
) -> None:
    gallery = GatedGallery()
    gallery.permits.release(1000)
    stuck = await kit.authorized()
    crop = kit.objects / str(stuck.crop_object)
    crop.unlink()
    crop.symlink_to(crop)  # opening it is an error of the file system, and that of no other object
    for _ in range(10):
        await kit.authorized()
    await publish(kit, producer, kafka)
    async with matcher(kafka, kit, gallery):
        await until(lambda: are_leads(kit, "routine", 10))
        await until(lambda: are_committed(kafka, 11))
    assert await list_dead_letters(kafka) == []
    assert [row["state"] for row in await kit.rows(tables.probes, probe_id=stuck.probe_id)] == ["authorized"]
