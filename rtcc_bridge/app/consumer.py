"""Wires the role consumer: incidents and threats from the broker to the floor."""

from rtcc_bridge.app.assembly import Assembly
from rtcc_bridge.app.incidents import incident_desk_for
from rtcc_bridge.consumers.forgetting import EventForgetter
from rtcc_bridge.consumers.incidents import IncidentsHandler
from rtcc_bridge.consumers.threats import ThreatsHandler
from rtcc_bridge.incidents.threat_desk import ThreatDesk


def add_consumer(assembly: Assembly) -> None:
    """Adds what follows dispatch and the watch desk."""
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
