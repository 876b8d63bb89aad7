"""Wires the role matcher: search requests from the broker to leads, and all that opens or seals a template (P30)."""

import asyncio
from collections.abc import Callable
from functools import partial

import structlog

from rtcc_bridge.app.assembly import Assembly
from rtcc_bridge.app.device_watch import DeviceWatch
from rtcc_bridge.app.face_memory import FaceMemory
from rtcc_bridge.app.foundation import Core
from rtcc_bridge.app.galleries import (
    booking_desk_for,
    compactor_for,
    removal_desk_for,
    scrubber_for,
    sent_picture_enroller_for,
)
from rtcc_bridge.app.template_keys import require_other_key
from rtcc_bridge.app.template_service import template_service_for
from rtcc_bridge.consumers.gallery_records import GalleryRecordsHandler
from rtcc_bridge.consumers.probes import SearchHandler
from rtcc_bridge.errors import BridgeError
from rtcc_bridge.gallery.follower import GalleryFollower
from rtcc_bridge.gallery.identity import PackIdentity
from rtcc_bridge.matching.batch_policy import AdaptiveBatches
from rtcc_bridge.matching.batcher import Batcher, BatchReport
from rtcc_bridge.matching.calibration import Calibration
from rtcc_bridge.matching.embed import open_embedder
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.pipeline import FaceEmbedder
from rtcc_bridge.matching.session import Device
from rtcc_bridge.modelpacks.installed import require_calibration
from rtcc_bridge.policy.policy_file import Policy
from rtcc_bridge.probes.search import FaceSearch, GallerySearch, observe_batch, trace_batch
from rtcc_bridge.qualification.in_force import QualificationInForce
from rtcc_bridge.storage.key_rotation import KeyRotation
from rtcc_bridge.storage.master_keys import EarlierKeys
from rtcc_bridge.storage.object_keys import Kinds

_log = structlog.get_logger(__name__)


async def add_matcher(assembly: Assembly, pack: ModelPack) -> None:
    """Raises ConfigurationError when the pack has no calibration, a key cannot be read (for P28, or P30) or pictures of
    bookings could not be, UnavailableError when their worker does not become ready.
    """
    core = assembly.core
    core.authority_keys.require_verifier()
    await require_other_key(core.settings, core.gallery_keys, core.master_keys)
    await warn_of_earlier_wrapping(core)
    settings = core.settings.matching
    calibration = await asyncio.to_thread(require_calibration, pack)
    qualification = await QualificationInForce.open(pack, settings.evaluation_key_file, core.policy)
    core.policy_in_force.derive(qualification.prepare)
    opened = await asyncio.to_thread(open_embedder, pack, Device(settings.device), settings.threads)
    embedder = FaceEmbedder(opened, assembly.on_stage)
    watch = DeviceWatch(opened, Device(settings.device), core.metrics, expects_gpu=settings.expects_gpu)
    assembly.add_part("device", watch.run)
    searches = {
        name: await _add_gallery(assembly, name, embedder, pack, calibration, watch)
        for name in dict.fromkeys(filter(None, (settings.gallery, settings.training_gallery)))
    }
    training = searches[settings.training_gallery] if settings.training_gallery else None
    handler = SearchHandler(
        core.probe_parts(),
        core.vault,
        searches[settings.gallery],
        training,
        timeout_seconds=settings.request_timeout_seconds,
        device_works=watch.works,
        model_problem_at=qualification.problem_at,
        is_demo=core.settings.profile == "demo",
    )
    assembly.readiness["evaluation"] = handler.evaluation_problem
    await _add_gallery_work(assembly, FaceEmbedder(opened), pack)
    topics = core.settings.kafka.topics
    for lane, topic in (("routine", topics.probes_routine), ("imminent", topics.probes_imminent)):
        assembly.add_runner(f"matcher.{lane}", {topic: handler})


async def warn_of_earlier_wrapping(core: Core) -> None:
    """Logs a warning while templates are wrapped by a master key that other roles have (P30)."""
    if core.gallery_keys is None:
        return
    keys = EarlierKeys(core.gallery_keys, core.master_keys)
    if left := (await KeyRotation(core.database, keys, Kinds.GALLERY).counts()).left:
        remedy = "rtcc-bridge keys rotate --gallery --no-new-key"
        _log.warning("templates are still wrapped by an earlier master key", segments=left, remedy=remedy)


async def _add_gallery_work(assembly: Assembly, embedder: FaceEmbedder, pack: ModelPack) -> None:
    """What changes galleries beside the searches. Of the upkeep one process of all does each kind at a time."""
    core = assembly.core
    assembly.add_part("sent pictures", sent_picture_enroller_for(core, embedder, pack).run)
    assembly.add_part("segment scrubber", scrubber_for(core).run)
    assembly.add_part("segment compactor", compactor_for(core).run)
    bookings = None
    if (pictures_url := core.settings.records.pictures_url) is not None:
        bookings = await assembly.stack.enter_async_context(booking_desk_for(core, pack, pictures_url, embedder))
    kafka = core.settings.kafka
    records = GalleryRecordsHandler(kafka, removal_desk_for(core, bookings), bookings)
    assembly.add_runner("records", {kafka.topics.gallery_records: records})


async def _add_gallery(
    assembly: Assembly,
    name: str,
    embedder: FaceEmbedder,
    pack: ModelPack,
    calibration: Calibration,
    watch: DeviceWatch,
) -> FaceSearch:
    core = assembly.core
    settings = core.settings.matching
    identity = PackIdentity.of(pack)
    service = template_service_for(settings.milvus, name, identity)
    follower = GalleryFollower(core.database, core.vault, name, identity, settings, core.metrics, core.clock, service)
    assembly.add_part(f"gallery {name}", follower.run)

    def list_length(policy: Policy) -> int:
        return min(settings.list_length, policy.candidates.most_listed)

    async def prepare(policy: Policy) -> Callable[[], None]:
        return partial(search.list_at_most, list_length(policy))

    search = GallerySearch(
        embedder,
        follower,
        pack,
        calibration,
        list_length=list_length(core.policy),
        target_fpir=settings.target_fpir,
        on_stage=assembly.on_stage,
        on_failure=watch.batch_failed,
    )
    watch.also_check(search.check)
    core.policy_in_force.derive(prepare)
    memory = FaceMemory(FaceEmbedder(embedder.network), lambda: follower.current.index)

    def on_batch(report: BatchReport) -> None:
        memory.batch_began(report)
        observe_batch(core.metrics, report)

    batcher = await assembly.stack.enter_async_context(
        Batcher(
            search.search_batch,
            policy=AdaptiveBatches(settings.batch_size, settings.batch_deadline_seconds),
            queue_limit=settings.queue_size,
            batch_timeout_seconds=settings.request_timeout_seconds,  # nobody waits for it any longer
            on_batch=on_batch,
            around_batch=trace_batch,
        )
    )
    assembly.add_part(f"batches of {name}", batcher.wait, batcher.close)
    assembly.add_part(f"memory of {name}", partial(memory.run, batcher.aside))

    async def ready() -> str | None:
        if not batcher.is_open:
            return "searches are not worked on any more: see the log"
        try:
            _ = follower.current
        except BridgeError as error:
            return str(error)
        return None

    assembly.readiness[f"gallery {name}"] = ready
    return FaceSearch(search, batcher)
