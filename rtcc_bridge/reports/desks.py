"""The desks where reports are made, as the web and the commands get them."""

from dataclasses import dataclass

from rtcc_bridge.reports.access_log import AccessLogDesk
from rtcc_bridge.reports.activity import ActivityDesk
from rtcc_bridge.reports.audit_explorer import AuditExplorer
from rtcc_bridge.reports.disclosure_orders import DisclosureOrderDesk
from rtcc_bridge.reports.discovery import DiscoveryDesk
from rtcc_bridge.reports.figures import FiguresDesk
from rtcc_bridge.reports.misuse import MisuseDesk
from rtcc_bridge.reports.policies import PolicyDesk
from rtcc_bridge.reports.transparency import TransparencyDesk


@dataclass(frozen=True, slots=True)
class ReportDesks:
    """One for each kind of report."""

    transparency: TransparencyDesk
    discovery: DiscoveryDesk
    disclosures: DisclosureOrderDesk
    access_log: AccessLogDesk
    misuse: MisuseDesk
    activity: ActivityDesk
    audit: AuditExplorer
    figures: FiguresDesk
    policies: PolicyDesk
