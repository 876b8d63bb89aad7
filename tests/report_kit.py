"""The desks of the reports over the kit of a probe desk, and an audit log whose entries are signed when a test asks."""

from functools import partial
from pathlib import Path
from typing import Any

from rtcc_bridge.audit.sequencer import Sequencer
from rtcc_bridge.audit.signing_key import SigningKeys
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.reports.access_log import AccessLogDesk
from rtcc_bridge.reports.activity import ActivityDesk
from rtcc_bridge.reports.audit_explorer import AuditExplorer
from rtcc_bridge.reports.desks import ReportDesks
from rtcc_bridge.reports.disclosure_orders import DisclosureOrderDesk
from rtcc_bridge.reports.discovery import DiscoveryDesk, HandedTo, PacketOrder
from rtcc_bridge.reports.figures import FiguresDesk
from rtcc_bridge.reports.misuse import MisuseDesk
from rtcc_bridge.reports.packet_archive import load_packet_key
from rtcc_bridge.reports.packet_sources import PacketSources
from rtcc_bridge.reports.parts import ReportParts
from rtcc_bridge.reports.policies import PolicyDesk
from rtcc_bridge.reports.transparency import TransparencyDesk
from tests.audit_kit import SEED, SETTINGS, TOPIC
from tests.probe_kit import ADMINISTRATOR, POLICY_FILE, SUPERVISOR, ProbeKit

COURT_ORDER = "order 26-7"
DEFENSE = HandedTo("public defender", "matter 26-118")


def report_parts(kit: ProbeKit) -> ReportParts:
    parts = kit.parts
    refusals = RefusalLog(parts.database, parts.audit, parts.metrics)
    return ReportParts(parts.database, parts.clock, parts.audit, refusals, parts.policy_in_force)


def report_desks(kit: ProbeKit, folder: Path, roster: Path | None = None) -> ReportDesks:
    """folder: where the key of packets is made, and where packs lie."""
    parts = report_parts(kit)
    sources = PacketSources(folder / "packs", POLICY_FILE, None)
    load_key = partial(load_packet_key, folder / "packet.key", may_create=True)
    return ReportDesks(
        TransparencyDesk(parts),
        DiscoveryDesk(parts, kit.vault, kit.workers, sources, load_key),
        DisclosureOrderDesk(parts),
        AccessLogDesk(parts),
        MisuseDesk(parts, roster),
        ActivityDesk(parts),
        AuditExplorer(parts),
        FiguresDesk(parts),
        PolicyDesk(parts),
    )


async def ordered(kit: ProbeKit, lead_id: str | None = None, *, case_number: str | None = None) -> PacketOrder:
    """A packet in which two people want everybody on the lists of the lead, or of the case, to be identified."""
    desk = DisclosureOrderDesk(report_parts(kit))
    order = await desk.ask(ADMINISTRATOR, COURT_ORDER, lead_id=lead_id, case_number=case_number)
    await desk.approve(SUPERVISOR, order.order_id)
    return PacketOrder(reason="motion of the defense", handed_to=DEFENSE, disclosure=order.order_id)


async def sign_log(kit: ProbeKit) -> None:
    """Every entry so far gets its place, and a checkpoint covers it."""
    parts = kit.parts
    sequencer = Sequencer(
        parts.database, parts.audit, parts.outbox, SigningKeys((SEED,)), SETTINGS, TOPIC, parts.metrics, parts.clock
    )
    await sequencer.sequence_all()
    assert await sequencer.sign() is not None


async def log_searches(kit: ProbeKit, count: int, **changes: Any) -> None:
    """So many searches as the log has them."""
    values = {"purpose": "violent_offense", "gallery": "live", "incident": "incident-1", "result": "candidates"}
    values |= changes
    async with kit.database.write() as tx:
        for number in range(count):
            await kit.parts.audit.append(
                tx,
                actor="analyst",
                action=f"lead.{values['result']}",
                subject=f"lead {values} {number}",
                outcome="unreviewed",
                authority={"policyHash": "0" * 64, "approval": "granted", "lane": "routine"},
                details={
                    "incidentId": values["incident"],
                    "probeId": f"probe {values} {number}",
                    "result": values["result"],
                    "search": {"gallery": values["gallery"]},
                    "purpose": values["purpose"],
                },
            )
