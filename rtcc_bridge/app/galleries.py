"""Wires what changes galleries: enrolment, the record system's bookings and orders, retention, expungement."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

from rtcc_bridge.app.foundation import Core
from rtcc_bridge.app.picture_worker import picture_worker
from rtcc_bridge.app.retention import clock_watch
from rtcc_bridge.gallery.additions import GalleryAdditions
from rtcc_bridge.gallery.compact import SegmentCompactor
from rtcc_bridge.gallery.enroll import BESIDE_FACE_WORK, Enroller
from rtcc_bridge.gallery.export import GalleryExport
from rtcc_bridge.gallery.export_orders import ExportOrderDesk
from rtcc_bridge.gallery.expunge import Expunger
from rtcc_bridge.gallery.follower import GalleryFollower
from rtcc_bridge.gallery.identity import GalleryKind, PackIdentity
from rtcc_bridge.gallery.parts import GalleryParts
from rtcc_bridge.gallery.picture_batch import PictureBatches
from rtcc_bridge.gallery.portraits import PortraitReader, SandboxedPortraits
from rtcc_bridge.gallery.records import BookingDesk, RemovalDesk
from rtcc_bridge.gallery.retention import RetentionKeeper
from rtcc_bridge.gallery.scrub import SegmentScrubber
from rtcc_bridge.gallery.sent_enrolment import SentPictureEnroller
from rtcc_bridge.gallery.sent_pictures import SentPictureDesk
from rtcc_bridge.gallery.verify import GalleryVerifier
from rtcc_bridge.matching.embed import open_embedder
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.pipeline import FaceEmbedder
from rtcc_bridge.matching.search_index import open_index
from rtcc_bridge.matching.session import Device
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.probes.repeat import SearchRepeater
from rtcc_bridge.probes.worker_pool import WorkerPool
from rtcc_bridge.settings import Settings
from rtcc_bridge.storage.picture_store import PictureStore

_JOBS_PER_WORKER: Final = 2_000
"""Pictures. They are the agency's own, so a worker need not be replaced as soon as one that reads what anybody sends;
starting one takes as long as ten pictures."""

_FACES_A_RUN: Final = 16
"""Few enough that the last pictures of an enrolment keep all processors busy, enough for the network to be at its best:
docs/gallery.md."""

_FACES_BESIDE_SEARCHES: Final = 4
"""So many faces of bookings go through the network in one run: a search that comes meanwhile waits for no more."""


@asynccontextmanager
async def enroller_for(core: Core, pack: ModelPack) -> AsyncIterator[Enroller]:
    """An enroller with the face work of the pack, in `matching.threads` picture workers of its own.

    Raises ConfigurationError when a worker refuses to start, UnavailableError when one does not become ready.
    """
    settings = core.settings
    workers = settings.matching.threads
    async with portraits_for(core, pack, workers) as portraits:
        yield Enroller(
            gallery_parts(core),
            portraits,
            PackIdentity.of(pack),
            max_picture_bytes=settings.intake.max_upload_bytes,
            workers=workers,
        )


@asynccontextmanager
async def portraits_for(core: Core, pack: ModelPack, workers: int) -> AsyncIterator[SandboxedPortraits]:
    """Reads portraits in so many workers, with a network of its own. Raises as `enroller_for` does.

    On the processor no more pictures are looked at and runs of the network made at a time than there are workers.
    """
    device = Device(core.settings.matching.device)
    opened = await asyncio.to_thread(open_embedder, pack, device, 1)
    on_processor = opened.device is not Device.CUDA
    most_faces = _FACES_A_RUN if on_processor else None
    async with _portrait_workers(core, pack, workers) as pool:
        yield SandboxedPortraits(pool, FaceEmbedder(opened), most_faces, at_once=workers, takes_turns=on_processor)


@asynccontextmanager
async def _portrait_workers(core: Core, pack: ModelPack, workers: int) -> AsyncIterator[WorkerPool]:
    settings = core.settings
    intake = settings.intake.model_copy(update={"workers": workers, "jobs_per_worker": _JOBS_PER_WORKER})
    command, limits = picture_worker(settings.model_copy(update={"intake": intake}), pack.folder)
    async with WorkerPool(command, replace(limits, max_waiting=workers + BESIDE_FACE_WORK), core.metrics) as pool:
        yield pool


@asynccontextmanager
async def booking_desk_for(
    core: Core, pack: ModelPack, pictures_url: str, embedder: FaceEmbedder
) -> AsyncIterator[BookingDesk]:
    """A desk with one picture worker. embedder: shared with searches, which may not wait long for it.

    Raises as `enroller_for` does, ConfigurationError for an address that is none.
    """
    settings = core.settings
    store = PictureStore(pictures_url, settings.objects.timeout_seconds, settings.intake.max_upload_bytes)
    parts, identity = gallery_parts(core), PackIdentity.of(pack)
    additions = GalleryAdditions(parts, identity)
    async with _portrait_workers(core, pack, 1) as pool:
        portraits = SandboxedPortraits(pool, embedder, _FACES_BESIDE_SEARCHES)
        yield BookingDesk(
            parts,
            additions,
            PictureBatches(parts, portraits, additions, 2),
            store.read,
            identity,
            settings.matching.gallery,
            kind_here(settings),
            core.metrics,
        )


def kind_here(settings: Settings) -> GalleryKind:
    """What a gallery for actual events is: outside the demo that of a demo is not searched (P28)."""
    return GalleryKind.DEMO if settings.profile == "demo" else GalleryKind.LIVE


def sent_picture_desk_for(core: Core, reader: PortraitReader, pack: ModelPack) -> SentPictureDesk:
    """Where pages send pictures; `reader` looks at them."""
    settings = core.settings
    return SentPictureDesk(
        gallery_parts(core),
        reader,
        PackIdentity.of(pack),
        fed_gallery=None if settings.records.pictures_url is None else settings.matching.gallery,
        max_upload_bytes=settings.intake.max_upload_bytes,
        upload_timeout_seconds=settings.web.upload_timeout_seconds,
    )


def sent_picture_enroller_for(core: Core, embedder: FaceEmbedder, pack: ModelPack) -> SentPictureEnroller:
    """Enrols what pages have sent."""
    return SentPictureEnroller(gallery_parts(core), PackIdentity.of(pack), embedder.templates)


def removal_desk_for(core: Core, bookings: BookingDesk | None) -> RemovalDesk:
    """Carries out the record system's orders."""
    opening = None if bookings is None else bookings.open_gallery
    return RemovalDesk(gallery_parts(core), expunger_for(core), core.settings.matching.gallery, opening, core.metrics)


async def search_repeater_for(core: Core, pack: ModelPack, gallery: str) -> SearchRepeater:
    """Repeats searches of this gallery, on the processor."""
    settings = core.settings.matching
    opened = await asyncio.to_thread(open_embedder, pack, Device.CPU, settings.threads)
    identity = PackIdentity.of(pack)
    follower = GalleryFollower(core.database, core.vault, gallery, identity, settings, core.metrics, core.clock)
    return SearchRepeater(
        gallery_parts(core),
        follower,
        FaceEmbedder(opened),
        pack,
        lambda snapshot: open_index(snapshot, Device.CPU, settings.threads),
    )


def expunger_for(core: Core) -> Expunger:
    """An expunger that withdraws the live leads with the person."""
    return Expunger(gallery_parts(core), core.leads.withdraw_for_subject)


def verifier_for(core: Core) -> GalleryVerifier:
    """Looks whether galleries are what was sealed."""
    return GalleryVerifier(core.database, core.vault)


def export_for(core: Core) -> GalleryExport:
    """Writes down what galleries hold."""
    return GalleryExport(gallery_parts(core))


def export_orders_for(core: Core) -> ExportOrderDesk:
    """Where exports are asked for and approved."""
    return ExportOrderDesk(gallery_parts(core))


def scrubber_for(core: Core) -> SegmentScrubber:
    """Takes what was removed out of the sealed segments."""
    return SegmentScrubber(core.database, core.vault, core.audit, core.clock)


def compactor_for(core: Core) -> SegmentCompactor:
    """Merges small segments."""
    return SegmentCompactor(core.database, core.vault, core.audit, core.clock)


def retention_keeper_for(core: Core) -> RetentionKeeper:
    """Removes images at the end of their retention with their templates, and withdraws the live leads with their
    people.
    """
    return _retention_keeper(core, scrubber_for(core))


def retention_timer_for(core: Core) -> RetentionKeeper:
    """The same for the role relay, which opens no template (P30): those are left to the matchers."""
    return _retention_keeper(core, None)


def _retention_keeper(core: Core, scrubber: SegmentScrubber | None) -> RetentionKeeper:
    """An image that is past its date does not stay a day longer because the daemon was off."""
    watch = clock_watch(core, "gallery", waits_after_silence=False)
    return RetentionKeeper(gallery_parts(core), core.leads.withdraw_for_subject, scrubber, core.metrics, watch)


def gallery_parts(core: Core) -> GalleryParts:
    """What changes to galleries share."""
    topic = core.settings.kafka.topics.gallery
    refusals = RefusalLog(core.database, core.audit, core.metrics)
    return GalleryParts(core.database, core.vault, core.audit, core.outbox, core.clock, topic, refusals)
