"""What tests of galleries have in common."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.gallery.compact import SegmentCompactor
from rtcc_bridge.gallery.enroll import Enroller
from rtcc_bridge.gallery.expunge import Expunger
from rtcc_bridge.gallery.follower import GalleryFollower
from rtcc_bridge.gallery.identity import PackIdentity
from rtcc_bridge.gallery.parts import GalleryParts
from rtcc_bridge.gallery.portraits import Portrait, Portraits
from rtcc_bridge.gallery.retention import RetentionKeeper
from rtcc_bridge.gallery.scrub import SegmentScrubber
from rtcc_bridge.gallery.sent_enrolment import SentPictureEnroller
from rtcc_bridge.gallery.sent_pictures import PictureWords, SentPictureDesk
from rtcc_bridge.gallery.set_aside import Reason, SetAsideError
from rtcc_bridge.matching.stored_templates import StoredTemplates
from rtcc_bridge.matching.types import FaceCrop, Float32Array
from rtcc_bridge.matching_settings import MatchingSettings
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.probes.worker_messages import SeenPortrait
from rtcc_bridge.publishing.outbox import Outbox
from rtcc_bridge.retention.clock_watch import ClockWatch
from rtcc_bridge.settings import Settings
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.storage.objects import ObjectVault
from tests.doubles import ManualClock
from tests.vault_kit import open_vault

ADMINISTRATOR = DEMO_ACCOUNTS["administrator"]
PACK = PackIdentity("test-pack", "ab" * 32, 16, calibrated=True)
SENT_WORDS = PictureWords(
    subject_ref="ann",
    provenance="booking desk",
    lawful_basis="statute 12",
    retain_until="2030-12-31",
    taken_on="",
    attested_adult=True,
)
SOURCE_WORDS = {
    "provenance": "booking desk",
    "lawful_basis": "statute 12",
    "retain_until": "2030-12-31",
    "attested_adult": "true",
}


def template_of(seed: int | str) -> Float32Array:
    """A template float32 (16,) of length 1 that depends on the seed alone."""
    digest = hashlib.sha256(str(seed).encode()).digest()
    values = np.random.default_rng(list(digest)).standard_normal(PACK.template_length)
    return (values / np.linalg.norm(values)).astype(np.float32)


def stored_template_of(seed: int | str) -> Float32Array:
    """The same as it is read back from a segment."""
    return np.asarray(StoredTemplates.of(template_of(seed)[None]).as_float32()[0])


def templates_of(seeds: Sequence[int | str]) -> Float32Array:
    return np.stack([template_of(seed) for seed in seeds])


class WordPortraits:
    """Reads "pictures" that say what is on them: one word for each face, or `poor` for one that is too poor."""

    def __init__(self) -> None:
        self.read_pictures: list[bytes] = []

    async def read(self, data: bytes) -> Portrait:
        self.read_pictures.append(data)
        words = data.decode().split()
        if not words:
            raise SetAsideError(Reason.NO_FACE, "no face was found")
        if len(words) > 1:
            raise SetAsideError(Reason.SEVERAL_FACES, f"{len(words)} faces were found")
        if words[0] == "poor":
            raise SetAsideError(Reason.POOR_QUALITY, "too blurred")
        pixels = np.frombuffer(words[0].encode(), np.uint8).reshape(1, -1, 1)
        return Portrait(FaceCrop(np.repeat(pixels, 3, axis=2), np.zeros((5, 2), np.float32)), 80)

    async def templates(self, portraits: Sequence[Portrait]) -> Float32Array:
        return word_templates([portrait.crop for portrait in portraits])


class WordReader:
    """Stands in for the workers that look at pictures, which say what is on them as for `WordPortraits`."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.aligned: list[bool] = []

    async def portrait(self, data: bytes, /, *, aligned: bool = False) -> SeenPortrait:
        self.seen.append(data)
        self.aligned.append(aligned)
        words = data.decode().split()
        crop = None
        if len(words) == 1 and words[0] != "poor":
            pixels = np.frombuffer(words[0].encode(), np.uint8).reshape(1, -1, 1)
            crop = FaceCrop(np.repeat(pixels, 3, axis=2), np.arange(10, dtype=np.float32).reshape(5, 2))
        sentences = ("Too blurred to compare.",) if crop is None else ()
        return SeenPortrait(64, 64, len(words), 80, sentences, crop, {})


def word_templates(crops: Sequence[FaceCrop]) -> Float32Array:
    """What stands in for the model: the template of the word that a crop says."""
    return templates_of([crop.pixels[0, :, 0].tobytes().decode() for crop in crops])


@dataclass
class Withdrawals:
    """Records whose leads were asked to be withdrawn."""

    asked: list[tuple[int, str, str]] = field(default_factory=list)
    count: int = 0

    async def __call__(self, tx: Transaction, subject_id: int, reason: str, actor: str) -> int:
        self.asked.append((subject_id, reason, actor))
        return self.count


@dataclass
class GalleryKit:
    """A gallery's parts, wired to one database, one object folder and one clock.

    counted: seconds on the clock that only counts.
    """

    database: Database
    vault: ObjectVault
    folder: Path
    clock: ManualClock
    metrics: Metrics
    withdrawals: Withdrawals = field(default_factory=Withdrawals)
    counted: float = 0.0

    def parts(self) -> GalleryParts:
        topic = Settings().kafka.topics.gallery
        audit, outbox = AuditLog(self.clock), Outbox(self.clock)
        refusals = RefusalLog(self.database, audit, self.metrics)
        return GalleryParts(self.database, self.vault, audit, outbox, self.clock, topic, refusals)

    def enroller(self, portraits: Portraits | None = None, pack: PackIdentity = PACK) -> Enroller:
        settings = Settings()
        return Enroller(
            self.parts(),
            portraits or WordPortraits(),
            pack,
            max_picture_bytes=settings.intake.max_upload_bytes,
            workers=settings.matching.threads,
        )

    def sent_pictures(self, reader: WordReader | None = None, fed_gallery: str | None = None) -> SentPictureDesk:
        return SentPictureDesk(
            self.parts(),
            reader or WordReader(),
            PACK,
            fed_gallery=fed_gallery,
            max_upload_bytes=1000,
            upload_timeout_seconds=30.0,
        )

    def sent_enroller(self) -> SentPictureEnroller:
        return SentPictureEnroller(self.parts(), PACK, word_templates)

    def expunger(self) -> Expunger:
        return Expunger(self.parts(), self.withdrawals)

    def scrubber(self) -> SegmentScrubber:
        return SegmentScrubber(self.database, self.vault, self.parts().audit, self.clock)

    def compactor(self) -> SegmentCompactor:
        return SegmentCompactor(self.database, self.vault, self.parts().audit, self.clock)

    def retention_keeper(self) -> RetentionKeeper:
        watch = ClockWatch(self.clock, "gallery", None, waits_after_silence=False, monotonic=lambda: self.counted)
        return RetentionKeeper(self.parts(), self.withdrawals, self.scrubber(), self.metrics, watch)

    def follower(self, pack: PackIdentity = PACK) -> GalleryFollower:
        settings = MatchingSettings(device="cpu")
        return GalleryFollower(self.database, self.vault, "city", pack, settings, self.metrics, self.clock)


@asynccontextmanager
async def open_kit(database: Database, folder: Path, clock: ManualClock, metrics: Metrics) -> AsyncIterator[GalleryKit]:
    async with open_vault(folder, clock) as vault:
        yield GalleryKit(database, vault, folder, clock, metrics)
