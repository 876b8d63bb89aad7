"""Wires the role consumer: incidents and threats from the broker to the floor, gallery records to the galleries."""

from rtcc_bridge.app.assembly import Assembly
from rtcc_bridge.app.galleries import booking_desk_for, removal_desk_for
from rtcc_bridge.app.incidents import incident_desk_for
from rtcc_bridge.consumers.forgetting import EventForgetter
from rtcc_bridge.consumers.gallery_records import GalleryRecordsHandler
from rtcc_bridge.consumers.incidents import IncidentsHandler
from rtcc_bridge.consumers.threats import ThreatsHandler
from rtcc_bridge.incidents.threat_desk import ThreatDesk
from rtcc_bridge.matching.modelpack import ModelPack


async def add_consumer(assembly: Assembly, pack: ModelPack | None) -> None:
    """pack: needed where `records.pictures_url` is set.

    Raises ConfigurationError when pictures of bookings could not be read, UnavailableError.
    """
    core = assembly.core
    kafka = core.settings.kafka
    desk = incident_desk_for(core)
    threats = ThreatDesk(desk, core.clock, lambda: core.policy.deferral.senders)
    forgetter = EventForgetter(core.database, core.clock, kafka.deduplicate_hours)
    assembly.add_part("event forgetter", forgetter.run)
    assembly.add_runner(
        "consumer",
        {
            kafka.topics.incidents: IncidentsHandler(core.database, desk, core.clock, kafka),
            kafka.topics.threats: ThreatsHandler(core.database, threats, core.clock, kafka),
        },
    )
    bookings = None
    if pack is not None and (pictures_url := core.settings.records.pictures_url) is not None:
        bookings = await assembly.stack.enter_async_context(booking_desk_for(core, pack, pictures_url))
    records = GalleryRecordsHandler(kafka, removal_desk_for(core, bookings), bookings)
    assembly.add_runner("records", {kafka.topics.gallery_records: records})
