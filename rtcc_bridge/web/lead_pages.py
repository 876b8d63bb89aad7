"""What becomes of a lead after its examination: the page for those who release it, and those for its receivers."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from rtcc_bridge.leads.corroboration import LONGEST_EXTENSION_HOURS
from rtcc_bridge.leads.events import ReleasedCandidate
from rtcc_bridge.leads.lead import ENDED, Act, Outcome, ReviewState, permits
from rtcc_bridge.leads.parts import lead_of
from rtcc_bridge.leads.release import LIMITS, RELEASE_AT_MOST, ReceiptOfLead
from rtcc_bridge.leads.standing import Standing
from rtcc_bridge.policy.permissions import Deed, may
from rtcc_bridge.policy.policy_parts import Conclusion, EvidenceKind
from rtcc_bridge.storage import probes
from rtcc_bridge.web.accounts import ACCOUNT
from rtcc_bridge.web.cards import incident_card, lead_card
from rtcc_bridge.web.incidents import one_incident
from rtcc_bridge.web.life_words import (
    CONCLUSIONS,
    CONCLUSIONS_FOR_REQUESTORS,
    EVIDENCE,
    OUTCOMES,
    aids_in_words,
    letter,
)
from rtcc_bridge.web.operations import Handler
from rtcc_bridge.web.page_cards import named_incidents
from rtcc_bridge.web.services import WebServices, services_of
from rtcc_bridge.web.templating import page
from rtcc_bridge.web.views import lead_view


async def lead_page(request: web.Request) -> web.Response:
    """`/leads/{leadId}`: how the lead stands, its release, and taking it back."""
    services, account, lead_id = services_of(request), request[ACCOUNT], request.match_info["leadId"]
    position = services.feed.position or 0
    standing = await services.life.standing.of_lead(lead_id, account)
    lead = standing.lead
    facts = lead_of(lead)
    expires = permits(facts, Act.EXPIRE) and facts.outcome is Outcome.NONE
    card = incident_card(await one_incident(services, lead.incident_id))
    sees_receivers = may(account, Deed.SEE_RECEIVERS)
    async with services.database.read() as tx:
        probe = await probes.find(tx, lead.probe_id)
    return page(
        request,
        "lead.html",
        feed_position=position,
        card=lead_card(lead_view(lead), {card.key: card}),
        incident=card,
        data=lead_view(lead).data,
        requestor=None if probe is None else probe.requestor,
        standing=standing,
        agreed=_agreed(standing),
        at_most=min(RELEASE_AT_MOST, services.policy.review.release_at_most),
        is_open=lead.review_state in {ReviewState.UNREVIEWED, ReviewState.IN_REVIEW},
        is_released=lead.review_state == ReviewState.RELEASED,
        has_ended=lead.review_state in ENDED,
        expires=expires,
        receivers=await services.life.withdrawal.receivers(lead_id, account) if sees_receivers else (),
        may_extend=expires and permits(facts, Act.EXTEND) and may(account, Deed.EXTEND_LEAD),
        longest_extension=LONGEST_EXTENSION_HOURS,
        outcomes=OUTCOMES,
    )


def _agreed(standing: Standing) -> Sequence[Mapping[str, str]]:
    """The candidates that may be released, by the letters that the first examiner knows them by."""
    if standing.agreed is None:
        return ()
    listed = [one["candidateRef"] for one in standing.lead.data["candidates"]]
    return [
        {
            "ref": ref,
            "name": letter(place),
            "words": CONCLUSIONS[standing.agreed.supported[ref]],
            "aids": aids_in_words(standing.aids.get(ref, ())),
        }
        for place, ref in enumerate(listed)
        if ref in standing.agreed.supported
    ]


async def received_page(request: web.Request) -> web.Response:
    """`/released`: the leads that the account has received, as they stand now."""
    services = services_of(request)
    position = services.feed.position or 0
    found = await services.life.release.all_received(request[ACCOUNT])
    named = await named_incidents(services, {one.lead.incident_id for one in found}, {})
    return page(
        request,
        "received.html",
        feed_position=position,
        receipts=[(one, lead_card(lead_view(one.lead), named)) for one in found],
        ended=ENDED,
        outcomes=OUTCOMES,
    )


async def released_page(request: web.Request) -> web.Response:
    """`/released/{leadId}`: what was released, its limits, and the outcome; of one that was taken back only that."""
    services, account, lead_id = services_of(request), request[ACCOUNT], request.match_info["leadId"]
    position = services.feed.position or 0
    receipts = await services.life.release.all_received(account)
    receipt = next((one for one in receipts if one.lead.lead_id == lead_id), None)
    ended = receipt is not None and receipt.lead.review_state in ENDED
    shown = await (_taken_back(services, receipt) if receipt is not None and ended else _received(request, lead_id))
    return page(request, "released.html", feed_position=position, ended=ended, receipt=receipt, **shown)


async def _taken_back(services: WebServices, receipt: ReceiptOfLead) -> Mapping[str, Any]:
    lead = receipt.lead
    incident = incident_card(await one_incident(services, lead.incident_id))
    return {"card": lead_card(lead_view(lead), {incident.key: incident}), "incident": incident}


async def _received(request: web.Request, lead_id: str) -> Mapping[str, Any]:
    services, account = services_of(request), request[ACCOUNT]
    received = await services.life.release.received(lead_id, account)
    lead, findings = received.lead, received.release.findings
    incident = incident_card(await one_incident(services, lead.incident_id))
    counts = await services.life.pictures.released_counts(lead)
    candidates = [ReleasedCandidate.model_validate(one) for one in findings["candidates"]]
    released = {one.candidate_ref for one in candidates}
    data = lead_view(lead).data
    return {
        "card": lead_card(lead_view(lead), {incident.key: incident}),
        "incident": incident,
        "data": data,
        "candidates": [
            {
                "ref": one.candidate_ref,
                "words": CONCLUSIONS_FOR_REQUESTORS[one.conclusion],
                "pictures": counts.get(one.candidate_ref, 0),
                "dissent": [
                    CONCLUSIONS_FOR_REQUESTORS[Conclusion(other["conclusion"])]
                    for other in findings["dissent"]
                    if other["candidateRef"] == one.candidate_ref
                ],
            }
            for one in candidates
        ],
        "dissent_elsewhere": any(one["candidateRef"] not in released for one in findings["dissent"]),
        "limits": LIMITS,
        "may_report": may(account, Deed.REPORT_OUTCOME) and data.corroboration.state in {"none", "unresolved"},
        "outcomes": OUTCOMES,
        "evidence": {kind: EVIDENCE[kind] for kind in EvidenceKind if kind in _counted(services)},
    }


def _counted(services: WebServices) -> frozenset[EvidenceKind]:
    """The kinds that the policy in force counts."""
    return services.policy.corroboration.evidence_kinds


LEAD_PAGES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/leads/{leadId}", lead_page),
    ("GET", "/released", received_page),
    ("GET", "/released/{leadId}", released_page),
)
