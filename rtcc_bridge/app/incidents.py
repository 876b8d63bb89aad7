"""Wires what applies changes of incidents: from dispatch, and from people while dispatch cannot be heard."""

from rtcc_bridge.app.foundation import Core
from rtcc_bridge.audit.entries import SYSTEM
from rtcc_bridge.incidents.desk import IncidentDesk
from rtcc_bridge.probes.approval import ApprovalDesk
from rtcc_bridge.probes.provisional import ProvisionalDesk
from rtcc_bridge.storage import probes
from rtcc_bridge.storage.engine import Transaction


def incident_desk_for(core: Core) -> IncidentDesk:
    """A desk whose probes and leads follow what becomes of an incident (P08)."""
    approvals = ApprovalDesk(core.probe_parts())

    async def authority_ended(tx: Transaction, incident_id: str, reason: str) -> None:
        await approvals.withdraw_for_incident(tx, incident_id, reason)
        await core.leads.withdraw_for_incident(tx, incident_id, reason, SYSTEM)

    async def incident_merged(tx: Transaction, incident_id: str, into: str) -> None:
        await probes.move_to_incident(tx, incident_id, into, at=core.clock.now())
        await core.leads.follow_merge(tx, incident_id, into)

    return IncidentDesk(core.outbox, core.clock, authority_ended, incident_merged)


def provisional_desk_for(core: Core) -> ProvisionalDesk:
    """Opens incidents while the feed is down."""
    return ProvisionalDesk(core.probe_parts(), incident_desk_for(core))
