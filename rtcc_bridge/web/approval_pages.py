"""The supervisor's pages: the searches that wait, and the whole of one on one screen. The desks decide who may."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from rtcc_bridge.policy.accounts import same_person
from rtcc_bridge.policy.permissions import Deed, may
from rtcc_bridge.policy.purposes import Purpose
from rtcc_bridge.probes.state import DECIDABLE, Approval, ProbeState
from rtcc_bridge.web.accounts import ACCOUNT
from rtcc_bridge.web.cards import incident_card, lead_card
from rtcc_bridge.web.incidents import one_incident
from rtcc_bridge.web.operations import Handler
from rtcc_bridge.web.page_cards import earlier_searches, named_incidents, shared_approval
from rtcc_bridge.web.probes import approval_queue, with_lead
from rtcc_bridge.web.services import WebServices, services_of
from rtcc_bridge.web.templating import page
from rtcc_bridge.web.views import WaitingProbe
from rtcc_bridge.web.words import APPROVALS, PROBE_STATES, PURPOSES


async def approvals_page(request: web.Request) -> web.Response:
    """`/approvals`: the queue. Nothing is opened unasked, since who has opened a request is kept (P27)."""
    return await _page(request, None)


async def approval_page(request: web.Request) -> web.Response:
    """`/approvals/{probeId}`: one request beside the queue. It stays the one that is shown, whatever arrives."""
    return await _page(request, request.match_info["probeId"])


async def _page(request: web.Request, probe_id: str | None) -> web.Response:
    services = services_of(request)
    position = services.feed.position or 0  # first: what changes after it comes again on the feed
    shown = None if probe_id is None else await _shown(request, services, probe_id)
    waiting = urgent_first((await approval_queue(services)).items)
    others = [one for one in waiting if one.probe_id != probe_id]
    return page(
        request,
        "approvals.html",
        feed_position=position,
        waiting=waiting,
        following=others[0] if others else None,
        named=await named_incidents(services, {one.incident_id for one in waiting}, {}),
        purposes=PURPOSES,
        states=PROBE_STATES,
        shown=shown,
    )


def urgent_first(waiting: Sequence[WaitingProbe]) -> Sequence[WaitingProbe]:
    """Those that lapse by themselves first, the soonest of them on top; then the longest waiting."""
    return sorted(waiting, key=lambda one: (one.approve_by is None, one.approve_by or one.created_at, one.probe_id))


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether there is something to decide. obstacle: why this account may not approve, in words."""

    is_open: bool
    obstacle: str | None


async def _shown(request: web.Request, services: WebServices, probe_id: str) -> dict[str, Any]:
    account = request[ACCOUNT]
    record = await services.probes.open(probe_id, account)
    view = await with_lead(services, record)
    card = incident_card(await one_incident(services, record.incident_id))
    state = ProbeState(view.state)
    is_open = may(account, Deed.DECIDE_SEARCH) and view.approval.state == Approval.PENDING and state in DECIDABLE
    has_part = any(same_person(account.name, name) for name in (record.analyst, record.requestor))
    obstacle = "You are its analyst or its requestor: somebody else has to approve it (P01)." if has_part else None
    return {
        "probe": view,
        "purged_at": record.purged_at,
        "incident": card,
        "notes": (await services.probes.case_notes.open(record.incident_id, account)).notes if is_open else (),
        "state": state,
        "state_words": PROBE_STATES[state],
        "approval": APPROVALS[Approval(view.approval.state)],
        "purpose": PURPOSES[Purpose(view.purpose)],
        "face": next((face for face in view.faces if face.number == view.chosen_face), None),
        "lead": None if view.lead is None else lead_card(view.lead, {card.key: card}),
        "earlier": await earlier_searches(services, probe_id, account),
        "shared": await shared_approval(services, record),
        "decision": Decision(is_open, obstacle),
    }


APPROVAL_PAGES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/approvals", approvals_page),
    ("GET", "/approvals/{probeId}", approval_page),
)
