"""Every address of the web and the deed that it takes (P10): the one table. What is not in it is refused to everybody.

A refusal is audited under the action of the row, on what the row's parameter names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from rtcc_bridge.policy.permissions import Deed
from rtcc_bridge.web.security_headers import STATIC_PREFIX


@dataclass(frozen=True, slots=True)
class Guard:
    """What an address takes. deed: None, where nobody has to be signed in. subject: a parameter of the path."""

    deed: Deed | None
    action: str
    subject: str | None = None


_OPEN: Final = {
    ("GET", STATIC_PREFIX): "static.read",
    ("GET", "/healthz"): "health.alive",
    ("GET", "/sign-in"): "session.sign_in",
    ("POST", "/sign-in"): "session.sign_in",
    ("GET", "/sign-in/provider"): "session.sign_in",
    ("GET", "/sign-in/callback"): "session.sign_in",
    ("POST", "/sign-in/back-channel-logout"): "session.provider_logout",
    ("POST", "/sign-out"): "session.sign_out",
    ("POST", "/demo/account"): "demo.account",
}
"""To sign in and out, what the pages look like, and that the process lives: none of it says anything about the floor.
The role switch is there in the demo alone."""

_LOOKS: Final = {
    ("GET", "/"): Guard(Deed.WATCH_FLOOR, "floor.view"),
    ("GET", "/incidents/{incidentId}"): Guard(Deed.WATCH_FLOOR, "incident.view", "incidentId"),
    ("GET", "/probes/{probeId}"): Guard(Deed.SEE_PROBE, "probe.view", "probeId"),
    ("GET", "/api/v1/incidents"): Guard(Deed.WATCH_FLOOR, "incident.list"),
    ("GET", "/api/v1/incidents/{incidentId}"): Guard(Deed.WATCH_FLOOR, "incident.view", "incidentId"),
    ("GET", "/api/v1/leads"): Guard(Deed.WATCH_FLOOR, "lead.list"),
    ("GET", "/api/v1/leads/{leadId}"): Guard(Deed.WATCH_FLOOR, "lead.view", "leadId"),
    ("GET", "/api/v1/feed"): Guard(Deed.WATCH_FLOOR, "feed.follow"),
    ("GET", "/api/v1/floor"): Guard(Deed.WATCH_FLOOR, "floor.view"),
    ("GET", "/api/v1/probes"): Guard(Deed.SEE_APPROVALS, "probe.queue"),
    ("GET", "/api/v1/probes/{probeId}"): Guard(Deed.SEE_PROBE, "probe.view", "probeId"),
    ("GET", "/api/v1/probes/{probeId}/image"): Guard(Deed.SEE_PROBE, "probe.preview", "probeId"),
    ("GET", "/api/v1/openapi.json"): Guard(Deed.READ_DOCUMENTS, "document.read"),
    ("GET", "/api/v1/schemas/{name}"): Guard(Deed.READ_DOCUMENTS, "document.read", "name"),
    ("GET", "/readyz"): Guard(Deed.SEE_HEALTH, "health.view"),
    ("GET", "/metrics"): Guard(Deed.SEE_HEALTH, "health.view"),
}

_ACTS: Final = {
    ("POST", "/api/v1/incidents/{incidentId}/probes"): Guard(Deed.ATTACH_STILL, "probe.attach", "incidentId"),
    ("POST", "/api/v1/probes/{probeId}/face"): Guard(Deed.CHOOSE_FACE, "probe.choose_face", "probeId"),
    ("POST", "/api/v1/probes/{probeId}/approve"): Guard(Deed.DECIDE_SEARCH, "probe.approve", "probeId"),
    ("POST", "/api/v1/probes/{probeId}/refuse"): Guard(Deed.DECIDE_SEARCH, "probe.refuse", "probeId"),
    ("POST", "/api/v1/leads/{leadId}/acknowledge"): Guard(Deed.ACKNOWLEDGE_LEAD, "lead.acknowledge", "leadId"),
}

GUARDS: Final[Mapping[tuple[str, str], Guard]] = MappingProxyType(
    {**{address: Guard(None, action) for address, action in _OPEN.items()}, **_LOOKS, **_ACTS}
)
"""By method and path, as `OPERATIONS` and `PAGES` write it."""
