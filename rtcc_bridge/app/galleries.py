"""Wires what changes galleries: enrolment and expungement."""

from rtcc_bridge.app.foundation import Core
from rtcc_bridge.gallery.enroll import Enroller
from rtcc_bridge.gallery.expunge import Expunger
from rtcc_bridge.gallery.identity import PackIdentity
from rtcc_bridge.gallery.parts import GalleryParts
from rtcc_bridge.gallery.portraits import PortraitReader
from rtcc_bridge.matching.decode import DecodeLimits
from rtcc_bridge.matching.detect import open_detector
from rtcc_bridge.matching.embed import open_embedder
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.pipeline import FaceEmbedder, FaceFinder
from rtcc_bridge.matching.session import Device


def enroller_for(core: Core, pack: ModelPack) -> Enroller:
    """An enroller with the face work of the pack. Blocks while the networks are opened."""
    settings = core.settings
    finder = FaceFinder(
        open_detector(pack, Device.CPU, 1, settings.intake.min_face_px),
        DecodeLimits(settings.intake.max_upload_bytes, settings.intake.max_pixels),
        settings.intake.max_detection_pixels,
    )
    embedder = FaceEmbedder(open_embedder(pack, Device(settings.matching.device), 1))
    return Enroller(
        _parts(core),
        PortraitReader(finder, embedder),
        PackIdentity.of(pack),
        max_picture_bytes=settings.intake.max_upload_bytes,
        workers=settings.matching.threads,
    )


def expunger_for(core: Core) -> Expunger:
    """An expunger that withdraws the live leads with the person."""
    return Expunger(_parts(core), core.leads.withdraw_for_subject)


def _parts(core: Core) -> GalleryParts:
    topic = core.settings.kafka.topics.gallery
    return GalleryParts(core.database, core.vault, core.audit, core.outbox, core.clock, topic)
