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
    ("POST", "/wall/token"): "wall.open",
    ("POST", "/demo/account"): "demo.account",
}
"""To sign in and out, what the pages look like, and that the process lives: none of it says anything about the floor.
The role switch is there in the demo alone."""

_LOOKS: Final = {
    ("GET", "/"): Guard(Deed.WATCH_FLOOR, "floor.view"),
    ("GET", "/board/changes"): Guard(Deed.WATCH_FLOOR, "floor.view"),
    ("GET", "/wall"): Guard(Deed.WATCH_FLOOR, "floor.view"),
    ("GET", "/wall/feed"): Guard(Deed.WATCH_FLOOR, "feed.follow"),
    ("GET", "/wall/floor"): Guard(Deed.WATCH_FLOOR, "floor.view"),
    ("GET", "/incidents/{incidentId}"): Guard(Deed.WATCH_FLOOR, "incident.view", "incidentId"),
    ("GET", "/incidents/{incidentId}/notes"): Guard(Deed.SEE_NOTES, "incident.notes", "incidentId"),
    ("GET", "/probes/{probeId}"): Guard(Deed.SEE_PROBE, "probe.view", "probeId"),
    ("GET", "/clips/{clipId}"): Guard(Deed.ATTACH_STILL, "clip.view", "clipId"),
    ("GET", "/api/v1/incidents"): Guard(Deed.WATCH_FLOOR, "incident.list"),
    ("GET", "/api/v1/incidents/{incidentId}"): Guard(Deed.WATCH_FLOOR, "incident.view", "incidentId"),
    ("GET", "/api/v1/leads"): Guard(Deed.WATCH_FLOOR, "lead.list"),
    ("GET", "/api/v1/leads/{leadId}"): Guard(Deed.WATCH_FLOOR, "lead.view", "leadId"),
    ("GET", "/api/v1/feed"): Guard(Deed.WATCH_FLOOR, "feed.follow"),
    ("GET", "/api/v1/floor"): Guard(Deed.WATCH_FLOOR, "floor.view"),
    ("GET", "/api/v1/probes"): Guard(Deed.SEE_APPROVALS, "probe.queue"),
    ("GET", "/api/v1/probes/{probeId}"): Guard(Deed.SEE_PROBE, "probe.view", "probeId"),
    ("GET", "/api/v1/probes/{probeId}/state"): Guard(Deed.SEE_PROBE, "probe.state", "probeId"),
    ("GET", "/api/v1/probes/{probeId}/earlier"): Guard(Deed.SEE_EARLIER, "probe.earlier", "probeId"),
    ("GET", "/api/v1/probes/{probeId}/image"): Guard(Deed.SEE_PROBE, "probe.preview", "probeId"),
    ("GET", "/api/v1/clips/{clipId}"): Guard(Deed.ATTACH_STILL, "clip.view", "clipId"),
    ("GET", "/api/v1/clips/{clipId}/sheets/{number}"): Guard(Deed.ATTACH_STILL, "clip.view", "clipId"),
    ("GET", "/api/v1/clips/{clipId}/frames/{number}"): Guard(Deed.ATTACH_STILL, "clip.view", "clipId"),
    ("GET", "/api/v1/deferrals"): Guard(Deed.SEE_DEFERRALS, "deferral.view"),
    ("GET", "/api/v1/provisional-incidents"): Guard(Deed.OPEN_PROVISIONAL, "incident.view_provisional"),
    ("GET", "/api/v1/openapi.json"): Guard(Deed.READ_DOCUMENTS, "document.read"),
    ("GET", "/api/v1/schemas/{name}"): Guard(Deed.READ_DOCUMENTS, "document.read", "name"),
    ("GET", "/readyz"): Guard(Deed.SEE_HEALTH, "health.view"),
    ("GET", "/metrics"): Guard(Deed.SEE_HEALTH, "health.view"),
}

_ACTS: Final = {
    ("POST", "/api/v1/incidents/{incidentId}/probes"): Guard(Deed.ATTACH_STILL, "probe.attach", "incidentId"),
    ("POST", "/api/v1/incidents/{incidentId}/clips"): Guard(Deed.ATTACH_STILL, "clip.attach", "incidentId"),
    ("POST", "/api/v1/clips/{clipId}/still"): Guard(Deed.ATTACH_STILL, "clip.choose", "clipId"),
    ("POST", "/api/v1/probes/{probeId}/edits"): Guard(Deed.EDIT_STILL, "probe.edit", "probeId"),
    ("POST", "/api/v1/probes/{probeId}/face"): Guard(Deed.CHOOSE_FACE, "probe.choose_face", "probeId"),
    ("POST", "/api/v1/probes/{probeId}/approve"): Guard(Deed.DECIDE_SEARCH, "probe.approve", "probeId"),
    ("POST", "/api/v1/probes/{probeId}/refuse"): Guard(Deed.DECIDE_SEARCH, "probe.refuse", "probeId"),
    ("POST", "/api/v1/deferrals/{account}/lift"): Guard(Deed.LIFT_DEFERRAL, "deferral.lift", "account"),
    ("POST", "/api/v1/incidents/{incidentId}/imminent"): Guard(
        Deed.DECLARE_IMMINENT, "incident.declare_imminent", "incidentId"
    ),
    ("POST", "/api/v1/incidents/{incidentId}/killing"): Guard(
        Deed.ATTEST_KILLING, "incident.attest_killing", "incidentId"
    ),
    ("POST", "/api/v1/incidents/{incidentId}/killing/confirm"): Guard(
        Deed.CONFIRM_KILLING, "incident.confirm_killing", "incidentId"
    ),
    ("POST", "/api/v1/provisional-incidents"): Guard(Deed.OPEN_PROVISIONAL, "incident.open_provisional"),
    ("POST", "/api/v1/provisional-incidents/{incidentId}/reconcile"): Guard(
        Deed.OPEN_PROVISIONAL, "incident.reconcile", "incidentId"
    ),
}

_EXAMINED: Final = "/api/v1/leads/{leadId}/examination"
_REVIEW: Final = "/api/v1/reviews/{reviewId}"
_LEAD: Final = "/api/v1/leads/{leadId}"
_PICTURE: Final = "candidates/{candidateRef}/pictures/{number}"

_LIFE_PAGES: Final = {
    ("GET", "/approvals"): Guard(Deed.SEE_APPROVALS, "probe.queue"),
    ("GET", "/approvals/{probeId}"): Guard(Deed.SEE_APPROVALS, "probe.view", "probeId"),
    ("GET", "/examine/{leadId}"): Guard(Deed.EXAMINE_LEAD, "examination.view", "leadId"),
    ("GET", "/review"): Guard(Deed.REVIEW_LEAD, "review.queue"),
    ("GET", "/review/{reviewId}"): Guard(Deed.REVIEW_LEAD, "review.view", "reviewId"),
    ("GET", "/leads/{leadId}"): Guard(Deed.RELEASE_LEAD, "lead.standing", "leadId"),
    ("GET", "/released"): Guard(Deed.RECEIVE_LEAD, "lead.received"),
    ("GET", "/released/{leadId}"): Guard(Deed.RECEIVE_LEAD, "lead.receive", "leadId"),
    ("GET", "/oversight"): Guard(Deed.OVERSEE, "oversight.view"),
    ("GET", "/oversight/misuse"): Guard(Deed.SEE_MISUSE_SIGNALS, "misuse.view"),
    ("GET", "/oversight/audit"): Guard(Deed.SEE_AUDIT_LOG, "audit.view"),
    ("GET", "/oversight/audit/{entryId}"): Guard(Deed.SEE_AUDIT_LOG, "audit.view", "entryId"),
    ("GET", "/oversight/policy"): Guard(Deed.SEE_POLICY, "policy.view"),
    ("GET", "/gallery"): Guard(Deed.SEE_GALLERIES, "gallery.view"),
    ("GET", "/gallery/{gallery}"): Guard(Deed.SEE_GALLERIES, "gallery.view", "gallery"),
    ("GET", "/people"): Guard(Deed.SEE_PEOPLE, "people.view"),
    ("GET", "/activity"): Guard(Deed.SEE_OWN_ACTIVITY, "activity.view"),
}

_LEAD_LIFE: Final = {
    ("POST", f"{_LEAD}/acknowledge"): Guard(Deed.ACKNOWLEDGE_LEAD, "lead.acknowledge", "leadId"),
    ("GET", _EXAMINED): Guard(Deed.EXAMINE_LEAD, "examination.view", "leadId"),
    ("POST", _EXAMINED): Guard(Deed.EXAMINE_LEAD, "examination.keep", "leadId"),
    ("POST", f"{_EXAMINED}/aids"): Guard(Deed.EXAMINE_LEAD, "examination.aid", "leadId"),
    ("GET", f"{_EXAMINED}/still"): Guard(Deed.EXAMINE_LEAD, "examination.picture", "leadId"),
    ("GET", f"{_EXAMINED}/{_PICTURE}"): Guard(Deed.EXAMINE_LEAD, "examination.picture", "leadId"),
    ("POST", f"{_LEAD}/conclusions"): Guard(Deed.EXAMINE_LEAD, "examination.conclude", "leadId"),
    ("GET", "/api/v1/reviews"): Guard(Deed.REVIEW_LEAD, "review.queue"),
    ("POST", f"{_REVIEW}/take"): Guard(Deed.REVIEW_LEAD, "review.take", "reviewId"),
    ("GET", _REVIEW): Guard(Deed.REVIEW_LEAD, "review.view", "reviewId"),
    ("POST", f"{_REVIEW}/draft"): Guard(Deed.REVIEW_LEAD, "review.keep", "reviewId"),
    ("POST", f"{_REVIEW}/aids"): Guard(Deed.REVIEW_LEAD, "examination.aid", "reviewId"),
    ("POST", f"{_REVIEW}/opinion"): Guard(Deed.REVIEW_LEAD, "review.conclude", "reviewId"),
    ("GET", f"{_REVIEW}/still"): Guard(Deed.REVIEW_LEAD, "examination.picture", "reviewId"),
    ("GET", f"{_REVIEW}/{_PICTURE}"): Guard(Deed.REVIEW_LEAD, "examination.picture", "reviewId"),
    ("POST", f"{_LEAD}/release"): Guard(Deed.RELEASE_LEAD, "lead.release", "leadId"),
    ("GET", f"{_LEAD}/release"): Guard(Deed.RECEIVE_LEAD, "lead.receive", "leadId"),
    ("GET", f"{_LEAD}/release/{_PICTURE}"): Guard(Deed.RECEIVE_LEAD, "lead.picture", "leadId"),
    ("GET", "/api/v1/leads/received"): Guard(Deed.RECEIVE_LEAD, "lead.received"),
    ("POST", f"{_LEAD}/corroboration"): Guard(Deed.REPORT_OUTCOME, "lead.outcome", "leadId"),
    ("POST", f"{_LEAD}/extension"): Guard(Deed.EXTEND_LEAD, "lead.extend", "leadId"),
    ("POST", f"{_LEAD}/withdraw"): Guard(Deed.WITHDRAW_LEAD, "lead.withdraw", "leadId"),
    ("POST", f"{_LEAD}/withdrawal/acknowledge"): Guard(Deed.RECEIVE_LEAD, "lead.acknowledge_withdrawal", "leadId"),
    ("GET", f"{_LEAD}/receivers"): Guard(Deed.SEE_RECEIVERS, "lead.receivers", "leadId"),
    ("POST", f"{_LEAD}/receivers/{{receiverId}}/acknowledge"): Guard(
        Deed.ANSWER_FOR_RECEIVER, "lead.answer_for_receiver", "leadId"
    ),
    ("GET", "/api/v1/withdrawals/outstanding"): Guard(Deed.SEE_RECEIVERS, "lead.outstanding"),
    ("POST", "/api/v1/proficiency/cases"): Guard(Deed.SEED_CASES, "proficiency.seed"),
    ("GET", "/api/v1/proficiency/cases"): Guard(Deed.SEED_CASES, "proficiency.results"),
}

_OVERSIGHT: Final = {
    ("GET", "/api/v1/retention/due"): Guard(Deed.SEE_RETENTION, "retention.preview"),
    ("GET", "/api/v1/retention/purges"): Guard(Deed.SEE_RETENTION, "retention.receipts"),
    ("GET", "/api/v1/retention/holds"): Guard(Deed.SEE_RETENTION, "retention.holds"),
    ("POST", "/api/v1/retention/holds"): Guard(Deed.PLACE_HOLD, "retention.hold"),
    ("POST", "/api/v1/retention/holds/{holdId}/lift"): Guard(Deed.LIFT_HOLD, "retention.release_hold", "holdId"),
    ("POST", "/api/v1/retention/dispositions"): Guard(Deed.RECORD_DISPOSITION, "retention.disposition"),
    ("GET", "/api/v1/reports/transparency"): Guard(Deed.MAKE_TRANSPARENCY_REPORT, "report.transparency"),
    ("POST", f"{_LEAD}/discovery-packet"): Guard(Deed.MAKE_DISCOVERY_PACKET, "lead.discovery_packet", "leadId"),
    ("GET", "/api/v1/disclosure-orders"): Guard(Deed.SEE_DISCLOSURES, "lead.see_disclosures"),
    ("POST", "/api/v1/disclosure-orders"): Guard(Deed.ASK_DISCLOSURE, "lead.ask_disclosure"),
    ("POST", "/api/v1/disclosure-orders/{orderId}/approve"): Guard(
        Deed.APPROVE_DISCLOSURE, "lead.approve_disclosure", "orderId"
    ),
    ("POST", "/api/v1/reports/access-log"): Guard(Deed.MAKE_ACCESS_LOG, "record.access_log"),
    ("GET", "/api/v1/galleries"): Guard(Deed.SEE_GALLERIES, "gallery.view"),
    ("POST", "/api/v1/galleries/{gallery}/expunge"): Guard(Deed.EXPUNGE, "gallery.expunge", "gallery"),
    ("GET", "/api/v1/galleries/{gallery}/pictures"): Guard(Deed.ENROLL_PICTURES, "gallery.send_picture", "gallery"),
    ("POST", "/api/v1/galleries/{gallery}/pictures"): Guard(Deed.ENROLL_PICTURES, "gallery.send_picture", "gallery"),
    ("GET", "/api/v1/galleries/exports"): Guard(Deed.SEE_EXPORTS, "gallery.see_exports"),
    ("POST", "/api/v1/galleries/exports"): Guard(Deed.ASK_EXPORT, "gallery.ask_export"),
    ("POST", "/api/v1/galleries/exports/{orderId}/approve"): Guard(
        Deed.APPROVE_EXPORT, "gallery.approve_export", "orderId"
    ),
    ("GET", "/api/v1/audit"): Guard(Deed.SEE_AUDIT_LOG, "audit.view"),
    ("GET", "/api/v1/audit/{entryId}/receipt"): Guard(Deed.SEE_AUDIT_LOG, "audit.view", "entryId"),
    ("POST", "/api/v1/policy/compare"): Guard(Deed.SEE_POLICY, "policy.compare"),
    ("POST", "/api/v1/people/{person}/sign-out"): Guard(Deed.END_SESSIONS, "people.end_sessions", "person"),
    ("GET", "/api/v1/reports/misuse"): Guard(Deed.SEE_MISUSE_SIGNALS, "misuse.view"),
}

GUARDS: Final[Mapping[tuple[str, str], Guard]] = MappingProxyType(
    {
        **{address: Guard(None, action) for address, action in _OPEN.items()},
        **_LOOKS,
        **_ACTS,
        **_LIFE_PAGES,
        **_LEAD_LIFE,
        **_OVERSIGHT,
    }
)
"""By method and path, as `OPERATIONS` and `PAGES` write it."""
