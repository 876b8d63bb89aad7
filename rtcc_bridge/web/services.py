"""What the web needs from the rest of the program. `app` fills it in; nothing here is built by the web itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from rtcc_bridge.clock import Clock
from rtcc_bridge.errors import IntegrityError
from rtcc_bridge.gallery.export_orders import ExportOrderDesk
from rtcc_bridge.gallery.expunge import Expunger
from rtcc_bridge.gallery.overview import GalleryOverview
from rtcc_bridge.gallery.sent_pictures import SentPictureDesk
from rtcc_bridge.leads.desk import LeadDesk
from rtcc_bridge.leads.life import LeadLife
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.people.desk import PeopleDesk
from rtcc_bridge.policy.in_force import PolicyInForce
from rtcc_bridge.policy.policy_file import Policy
from rtcc_bridge.probes.clips import ClipDesk
from rtcc_bridge.probes.desk import ProbeDesk
from rtcc_bridge.probes.provisional import ProvisionalDesk
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.reports.desks import ReportDesks
from rtcc_bridge.retention.desk import RetentionDesk
from rtcc_bridge.settings import Settings
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.web.feed_hub import FeedHub
from rtcc_bridge.web.health import ReadinessBoard


@dataclass(frozen=True, slots=True)
class WebServices:
    """The parts that the web calls.

    schemas: gives the published JSON Schemas by name, served under `/api/v1/schemas/`; may block.
    on_integrity_breach: told of an IntegrityError that surfaced in a request, so that the process can stop.
    """

    settings: Settings
    clock: Clock
    metrics: Metrics
    database: Database
    policy_in_force: PolicyInForce
    probes: ProbeDesk
    clips: ClipDesk
    provisional: ProvisionalDesk
    leads: LeadDesk
    life: LeadLife
    people: PeopleDesk
    retention: RetentionDesk
    reports: ReportDesks
    galleries: GalleryOverview
    expunger: Expunger
    export_orders: ExportOrderDesk
    sent_pictures: SentPictureDesk
    refusals: RefusalLog
    feed: FeedHub
    readiness: ReadinessBoard
    schemas: Callable[[], Mapping[str, Mapping[str, Any]]]
    on_integrity_breach: Callable[[IntegrityError], None]

    @property
    def policy(self) -> Policy:
        """The one in force at this moment."""
        return self.policy_in_force.current


SERVICES = web.AppKey("services", WebServices)


def services_of(request: web.Request) -> WebServices:
    return request.app[SERVICES]
