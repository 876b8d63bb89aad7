"""The pages: rendered on the server, kept live by small scripts that follow the feed and load the page's parts anew."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from rtcc_bridge.errors import NotFoundError, PolicyRefusalError
from rtcc_bridge.incidents import board
from rtcc_bridge.matching.types import Lane
from rtcc_bridge.policy import rules
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS, Account, Role, same_person
from rtcc_bridge.policy.permissions import Deed, may
from rtcc_bridge.policy.policy_file import Policy
from rtcc_bridge.policy.purposes import Purpose
from rtcc_bridge.probes.authority import IncidentAuthority, authority_of
from rtcc_bridge.probes.state import DECIDABLE, Approval, ProbeState
from rtcc_bridge.storage import clips, incidents, leads, outbox, probes, refusal_overrides
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.probes import ProbeRecord
from rtcc_bridge.web.accounts import ACCOUNT, ACCOUNT_COOKIE
from rtcc_bridge.web.activity_pages import ACTIVITY_PAGES
from rtcc_bridge.web.approval_pages import APPROVAL_PAGES
from rtcc_bridge.web.audit_log import AUDIT_PAGES
from rtcc_bridge.web.bench_pages import BENCH_PAGES
from rtcc_bridge.web.board_pages import BOARD_PAGES
from rtcc_bridge.web.cards import incident_card, lead_card
from rtcc_bridge.web.clip_pages import CLIP_PAGES
from rtcc_bridge.web.galleries import GALLERY_PAGES
from rtcc_bridge.web.incidents import one_incident
from rtcc_bridge.web.lead_pages import LEAD_PAGES
from rtcc_bridge.web.operations import Handler
from rtcc_bridge.web.oversight_pages import OVERSIGHT_PAGES
from rtcc_bridge.web.page_cards import earlier_searches, shared_approval, taken_by
from rtcc_bridge.web.people import PEOPLE_PAGES
from rtcc_bridge.web.policies import POLICY_PAGES
from rtcc_bridge.web.probes import with_lead
from rtcc_bridge.web.route_deeds import GUARDS
from rtcc_bridge.web.services import WebServices, services_of
from rtcc_bridge.web.sign_in import local_path
from rtcc_bridge.web.templating import page
from rtcc_bridge.web.views import incident_view, lead_view
from rtcc_bridge.web.words import APPROVALS, PROBE_STATES, PURPOSES, edit_words

INCIDENT_LEADS: Final = 50


async def incident_page(request: web.Request) -> web.Response:
    """`/incidents/{id}`: what is known of it, its stills and leads, and the form to attach a still."""
    services, incident_id = services_of(request), request.match_info["incidentId"]
    account, now = request[ACCOUNT], services.clock.now()
    works_on_it = may(account, Deed.SEE_PROBE)
    async with services.database.read() as tx:
        position = await outbox.latest_position(tx)
        record = await incidents.get(tx, incident_id)
        if record is None:
            raise NotFoundError("This incident was not seen on the feed. It may not have arrived yet: try again.")
        view = incident_view(await board.incident_view(tx, record, now))
        stills = await probes.of_incidents(tx, {incident_id}) if works_on_it else ()
        waiting = await clips.open_of_incident(tx, incident_id, account.name) if works_on_it else ()
        found = await leads.newest(tx, INCIDENT_LEADS, incident_id=incident_id)
        followed = await incidents.resolve(tx, incident_id)
        known = followed is not None and followed.status != "merged"
        authority = await authority_of(tx, incident_id, services.policy, now) if known else None
        killing = None if authority is None else await _killing(tx, account, authority)
    card = incident_card(view)
    own = await taken_by(services, [lead.lead_id for lead in found], account)
    offer = _offer(services, authority)
    attaches = authority is not None and may(account, Deed.ATTACH_STILL)
    open_approvals = await services.probes.open_approvals(incident_id, account.name) if attaches else ()
    return page(
        request,
        "incident.html",
        feed_position=position,
        incident=card,
        merged_into=view.merged_into,
        has_case=bool(record.case_number),
        stills=tuple(reversed(stills)),
        clips=waiting,
        leads=tuple(lead_card(lead_view(lead), {card.key: card}, own) for lead in found),
        discloses=may(account, Deed.MAKE_DISCOVERY_PACKET) and Role.ANALYST not in account.roles,
        offer=offer,
        approvals=tuple(one for one in open_approvals if one.probe.purpose in offer.permitted),
        declared_until=None if authority is None else authority.declared_until,
        declared_hours=services.policy.deferral.declared_hours,
        declarable=_declarable(services.policy, account, authority),
        killing=killing,
        warrant_for=tuple(
            PURPOSES[purpose][0]
            for purpose in offer.permitted
            if purpose in services.policy.jurisdiction.warrant_or_exigency_for
        ),
        purposes=PURPOSES,
        states=PROBE_STATES,
        intake=services.settings.intake,
    )


async def notes_page(request: web.Request) -> web.Response:
    """`/incidents/{id}/notes`: what dispatch wrote, and the case number; each look is audited.

    It follows the feed, so that it leaves the screen when the session locks (P29), and is never loaded anew.
    """
    services = services_of(request)
    found = await services.probes.case_notes.open(request.match_info["incidentId"], request[ACCOUNT])
    return page(request, "notes.html", feed_position=services.feed.position or 0, found=found)


async def probe_page(request: web.Request) -> web.Response:
    """`/probes/{id}`: the still with its faces, the choice, the approval and what came of it."""
    services, probe_id = services_of(request), request.match_info["probeId"]
    position = services.feed.position or 0  # first: what changes after it comes again on the feed
    account = request[ACCOUNT]
    record = await services.probes.open(probe_id, account)
    view = await with_lead(services, record)
    card = incident_card(await one_incident(services, record.incident_id))
    own = () if view.lead is None else await taken_by(services, [view.lead.data.lead_id], account)
    state = ProbeState(view.state)
    may_decide = may(account, Deed.DECIDE_SEARCH) and _decidable(state, view.approval.state)
    return page(
        request,
        "probe.html",
        feed_position=position,
        probe=view,
        incident=card,
        lead=None if view.lead is None else lead_card(view.lead, {card.key: card}, own),
        state=state,
        state_words=PROBE_STATES[state],
        purged_at=record.purged_at,
        sees_still=view.chosen_face is not None or same_person(account.name, record.analyst),
        moving=state in {ProbeState.FACES_FOUND, ProbeState.AWAITING_APPROVAL, ProbeState.AUTHORIZED},
        approval=APPROVALS[Approval(view.approval.state)],
        purpose=PURPOSES[Purpose(view.purpose)],
        may_choose=may(account, Deed.CHOOSE_FACE) and same_person(account.name, record.analyst),
        may_decide=may_decide,
        has_lapsed=await _has_lapsed(services, record, account),
        edits=tuple(edit_words(step) for step in view.edits),
        earlier=await earlier_searches(services, probe_id, account) if may_decide else (),
        shared=await shared_approval(services, record),
        states=PROBE_STATES,
    )


async def switch_account(request: web.Request) -> web.Response:
    """The demo's role switch. It stays on a page of the floor, and goes from another's work to the board."""
    form = await request.post()
    name = form.get("account")
    if not isinstance(name, str) or name not in DEMO_ACCOUNTS:
        raise PolicyRefusalError("P10", f"There is no such account: use one of {', '.join(DEMO_ACCOUNTS)}.")
    back = local_path(form.get("back"))
    there = back if _is_of_the_floor(back) else "/"
    response = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": there})
    response.set_cookie(ACCOUNT_COOKIE, name, httponly=True, samesite="Strict", path="/")
    return response


def _is_of_the_floor(path: str) -> bool:
    """Whether the page is everybody's: the others are about a person's own work, which another is refused."""
    segments = urlsplit(path).path.split("/")
    for method, pattern, _ in PAGES:
        wanted = pattern.split("/")
        if len(wanted) == len(segments) and all(
            one.startswith("{") or one == given for one, given in zip(wanted, segments, strict=True)
        ):
            return GUARDS[method, pattern].deed is Deed.WATCH_FLOOR
    return False


def _declarable(policy: Policy, account: Account, authority: IncidentAuthority | None) -> bool:
    """Whether this person can declare the incident imminent (P14), which they have not done yet."""
    if authority is None or authority.declared_until is not None:
        return False
    try:
        rules.require_watch_commander(policy, account, authority.incident)
        rules.require_authority(authority.incident)
    except PolicyRefusalError:
        return False
    return True


async def _killing(tx: Transaction, account: Account, authority: IncidentAuthority) -> str | None:
    """What the account can do about a killing that was coded as a disturbance (P02): "attest" to it, "confirm" it, or
    "wait" for somebody who does. None: it is no such incident, or the account's part is none."""
    incident = authority.incident
    is_open = rules.is_recoded_killing(incident) and incident.status not in rules.AUTHORITY_ENDED
    if not is_open or incident.killing_attested or not may(account, Deed.CONFIRM_KILLING):
        return None
    found = await refusal_overrides.find(tx, authority.incident_id)
    if found is None:
        return "attest" if may(account, Deed.ATTEST_KILLING) else None
    return "wait" if same_person(account.name, found.attested_by) else "confirm"


async def _has_lapsed(services: WebServices, record: ProbeRecord, account: Account) -> bool:
    """Whether the analyst's own lapses are why the search waits although the threat is imminent (P14)."""
    waits = record.state == ProbeState.AWAITING_APPROVAL and record.lane == Lane.IMMINENT
    if not waits or not same_person(account.name, record.analyst):
        return False
    standing = await services.probes.deferrals.own(account.name)
    return standing is not None and standing.is_ended


def _decidable(state: ProbeState, approval: str) -> bool:
    return approval == Approval.PENDING and state in DECIDABLE


@dataclass(frozen=True, slots=True)
class Offer:
    """The purposes that the policy permits for an incident; where there is none, the refusal that says why."""

    permitted: tuple[Purpose, ...]
    refusal: PolicyRefusalError | None


def _offer(services: WebServices, authority: IncidentAuthority | None) -> Offer:
    """The desk asks again when a still arrives: this only spares a person the attempt."""
    if authority is None:
        return Offer((), None)
    incident = authority.incident
    try:
        rules.require_authority(incident)
        rules.require_unmixed(incident)
        rules.require_gallery_for(
            exercise=incident.exercise, training_gallery=services.settings.matching.training_gallery
        )
    except PolicyRefusalError as refusal:
        return Offer((), refusal)
    asked = {purpose: _refusal_of(services.policy, purpose, authority) for purpose in Purpose}
    permitted = tuple(purpose for purpose, refusal in asked.items() if refusal is None)
    if permitted:
        return Offer(permitted, None)
    if rules.refused_matter(incident) is not None:
        return Offer((), asked[Purpose.VIOLENT_OFFENSE])
    message = f"The policy permits no search for incidents of type {incident.incident_type}. "
    return Offer((), PolicyRefusalError("P02", message + "If dispatch corrects the type, try again."))


def _refusal_of(policy: Policy, purpose: Purpose, authority: IncidentAuthority) -> PolicyRefusalError | None:
    try:
        rules.require_permitted_purpose(policy, purpose, authority.incident, imminent_threat=authority.alerted)
    except PolicyRefusalError as refusal:
        return refusal
    return None


PAGES: Final[tuple[tuple[str, str, Handler], ...]] = (
    *BOARD_PAGES,
    ("GET", "/incidents/{incidentId}", incident_page),
    ("GET", "/incidents/{incidentId}/notes", notes_page),
    ("GET", "/probes/{probeId}", probe_page),
    *CLIP_PAGES,
    *APPROVAL_PAGES,
    *BENCH_PAGES,
    *LEAD_PAGES,
    *OVERSIGHT_PAGES,
    *AUDIT_PAGES,
    *POLICY_PAGES,
    *GALLERY_PAGES,
    *PEOPLE_PAGES,
    *ACTIVITY_PAGES,
)

ROLE_SWITCH: Final[tuple[str, str, Handler]] = ("POST", "/demo/account", switch_account)
"""There is no such address but in the demo."""
