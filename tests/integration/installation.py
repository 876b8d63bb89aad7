"""A whole installation for tests of backup and restoration: one database, one object store, one broker."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import text

from rtcc_bridge.app.foundation import Core
from rtcc_bridge.app.galleries import expunger_for, gallery_parts
from rtcc_bridge.broker.client import EventProducer
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.gallery.enroll import Enroller
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.receipts import ExpungeReceipt
from rtcc_bridge.gallery.segments import SegmentHeader, decode_segment
from rtcc_bridge.gallery.sources import FolderSource
from rtcc_bridge.matching.types import Candidate, Float32Array, ScoredImage
from rtcc_bridge.publishing.relay import Relay
from rtcc_bridge.settings import (
    DatabaseSettings,
    KafkaSettings,
    ObjectSettings,
    PolicySettings,
    RelaySettings,
    Settings,
)
from rtcc_bridge.simulate import incident_data, publish_incident
from rtcc_bridge.storage import galleries, probes
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.leads import LeadRecord
from rtcc_bridge.storage.outbox import backlog
from rtcc_bridge.storage.probes import ProbeRecord
from tests.gallery_kit import ADMINISTRATOR, PACK, SOURCE_WORDS, WordPortraits
from tests.integration.pipeline import Desks, committed, running, until
from tests.lead_parts import outcome_of

GALLERY = "city"
POLICY = Path(__file__).resolve().parents[2] / "config/policy.yaml"


@dataclass(frozen=True)
class Installation:
    """Settings that lead to one installation. What it holds is in the database, the store and the topics."""

    folder: Path
    database_url: str
    kafka: KafkaSettings

    @property
    def settings(self) -> Settings:
        return Settings(
            kafka=self.kafka,
            database=DatabaseSettings(url=SecretStr(self.database_url)),
            objects=ObjectSettings(url=self.objects.as_uri(), master_key_file=self.folder / "master.key"),
            policy=PolicySettings(file=POLICY),
        )

    @property
    def objects(self) -> Path:
        return self.folder / "objects"

    async def destroy_database(self) -> None:
        await destroy_database(self.database_url, self.folder)

    async def report(self, producer: EventProducer, *incident_ids: str) -> None:
        for incident_id in incident_ids:
            data = incident_data(incident_id, "SHOOT", 1, SystemClock().now(), location="Elm St")
            await publish_incident(producer, self.kafka.topics, "reported", data)

    async def consume(self, core: Core, records: int) -> None:
        """Handles what is on the topic of incidents, until so many records are committed."""
        async with running(self.kafka, Desks(core.database, self.kafka).handlers):
            await until(lambda: self._has_committed(records))

    async def _has_committed(self, records: int) -> bool:
        return await committed(self.kafka, self.kafka.topics.incidents) == records


async def destroy_database(url: str, folder: Path) -> None:
    """As if its disk were lost: what is there afterwards is an empty database. folder: where a file lies."""
    if url.startswith("sqlite"):
        for file in await asyncio.to_thread(lambda: list(folder.glob("*.sqlite3*"))):
            file.unlink()
        return
    database = Database(DatabaseSettings(url=SecretStr(url)))
    async with database.write() as tx:
        await tx.execute(text("DROP SCHEMA public CASCADE"))
        await tx.execute(text("CREATE SCHEMA public"))
    await database.close()


async def enroll(core: Core, people: Path, **pictures: Sequence[str]) -> None:
    """Enrols people by name, with pictures that say what is on them."""
    for name, words in pictures.items():
        (people / name).mkdir(parents=True)
        for word in words:
            (people / name / f"{word}.jpg").write_text(word)
    enroller = Enroller(gallery_parts(core), WordPortraits(), PACK, max_picture_bytes=1_000_000, workers=1)
    await enroller.enroll(FolderSource(people, **SOURCE_WORDS), GALLERY, GalleryKind.DEMO, account=ADMINISTRATOR)


async def expunge(core: Core, name: str) -> ExpungeReceipt:
    return await expunger_for(core).expunge_subject(GALLERY, name, "court order 7", ADMINISTRATOR)


async def picture_of(core: Core, name: str) -> str:
    """The sealed object of a person's one picture."""
    async with core.database.read() as tx:
        subject_id = await galleries.find_subject(tx, GALLERY, name)
        (image,) = await galleries.living_images(tx, GALLERY, subject_id=subject_id)
    assert image.image_object is not None
    return image.image_object


async def living(core: Core) -> set[str]:
    """The references of everybody who can be found."""
    async with core.database.read() as tx:
        images = await galleries.living_images(tx, GALLERY)
        return set((await galleries.subject_refs(tx, {image.subject_id for image in images})).values())


async def templates(core: Core) -> Float32Array:
    """Every row of the gallery's one segment."""
    async with core.database.read() as tx:
        (segment,) = await galleries.segments(tx, GALLERY, after=0, up_to=10**9)
        key = await core.vault.key_of(tx, segment.object_key)
    header = SegmentHeader(GALLERY, segment.segment_id, PACK.template_hash, segment.rows, PACK.template_length)
    return decode_segment(header, await core.vault.unseal(segment.object_key, key)).as_float32()


async def record_lead(core: Core, probe: ProbeRecord, *names: str) -> LeadRecord:
    """Records a search that found these people, as the matcher does."""
    found: list[Candidate] = []
    async with core.database.read() as tx:
        for rank, name in enumerate(names):
            subject_id = await galleries.find_subject(tx, GALLERY, name)
            assert subject_id is not None
            images = await galleries.living_images(tx, GALLERY, subject_id=subject_id)
            found.append(Candidate(subject_id, ScoredImage(images[0].image_id, 0.99 - rank / 1000), ()))
    outcome = outcome_of(found)
    sealed = await core.vault.seal("candidates", outcome.candidates.sealed_payload) if found else None
    async with core.database.write() as tx:
        if await probes.find(tx, probe.probe_id) is None:
            await probes.insert(tx, probe)
        return await core.leads.record_search(tx, probe, outcome, sealed)


async def publish(core: Core) -> None:
    """Lets the relay publish everything that has committed."""
    async with EventProducer(core.settings.kafka) as producer:
        relay = Relay(core.database, producer, RelaySettings(idle_seconds=0.05), core.metrics, core.clock)
        running_relay = asyncio.create_task(relay.run())

        async def is_empty() -> bool:
            async with core.database.read() as tx:
                return await backlog(tx) == 0

        await until(is_empty)
        relay.stop()
        await running_relay


def silent(*_progress: Any) -> None:
    """No progress is shown."""
