"""The examiner's pages: the bench for a lead of one's own, the queue of blind reviews, and the bench for one of them.

What a review's page holds comes from the review alone, and says not even when it was opened: so it tells nothing of
the lead, of the first opinion, or of whether it is a seeded case (P12, P27).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from rtcc_bridge.leads.comparison import verdicts
from rtcc_bridge.leads.opinions import Worksheet
from rtcc_bridge.probes.faces import face_of_number, faces_from_json
from rtcc_bridge.storage import leads, probes
from rtcc_bridge.storage.leads import LeadRecord
from rtcc_bridge.storage.probes import ProbeRecord
from rtcc_bridge.web.accounts import ACCOUNT
from rtcc_bridge.web.cards import incident_card
from rtcc_bridge.web.incidents import one_incident
from rtcc_bridge.web.life_words import (
    AIDS,
    COMPONENTS,
    CONCLUSION_KEYS,
    CONCLUSIONS,
    FINDINGS,
    LIST_LIMITS,
    aids_in_words,
    letter,
)
from rtcc_bridge.web.operations import Handler
from rtcc_bridge.web.services import WebServices, services_of
from rtcc_bridge.web.templating import page
from rtcc_bridge.web.views import lead_view


@dataclass(frozen=True, slots=True)
class Bench:
    """Where the bench's script reads pictures, keeps drafts, notes the use of an aid, files the conclusion, and looks
    whether it still may."""

    kind: str
    subject: str
    pictures: str
    keep: str
    aids: str
    file: str
    watch: str


@dataclass(frozen=True, slots=True)
class OwnConclusion:
    """What the examiner said of a candidate. aids: in words; empty when none was used on them."""

    name: str
    words: str
    at_first_sight: bool
    aids: str


async def examine_page(request: web.Request) -> web.Response:
    """`/examine/{leadId}`: the list of a lead that the account has taken."""
    services, lead_id = services_of(request), request.match_info["leadId"]
    position = services.feed.position or 0
    sheet = await services.life.examination.view(lead_id, request[ACCOUNT])
    async with services.database.read() as tx:
        lead = await leads.find(tx, lead_id)
        probe = None if lead is None else await probes.find(tx, lead.probe_id)
    assert lead is not None  # the desk has just found it
    own, mine = f"/api/v1/leads/{quote(lead_id)}", f"/api/v1/leads/{quote(lead_id)}/examination"
    return await _bench(
        request,
        sheet,
        Bench("lead", lead_id, mine, mine, f"{mine}/aids", f"{own}/conclusions", own),
        feed_position=position,
        about=await _about(services, lead),
        face=None if probe is None else _face_of(probe),
    )


async def reviews_page(request: web.Request) -> web.Response:
    """`/review`: the blind reviews that the account has taken or may take."""
    services = services_of(request)
    position = services.feed.position or 0
    found = await services.life.review.queue(request[ACCOUNT])
    mine = [one for one in found if one.examiner is not None]
    return page(
        request,
        "reviews.html",
        feed_position=position,
        mine=mine,
        waiting=[one for one in found if one.examiner is None],
    )


async def review_page(request: web.Request) -> web.Response:
    """`/review/{reviewId}`: the list of a review that the account has taken, blind."""
    services, review_id = services_of(request), request.match_info["reviewId"]
    position = services.feed.position or 0
    sheet = await services.life.review.view(review_id, request[ACCOUNT])
    own = f"/api/v1/reviews/{quote(review_id)}"
    bench = Bench("review", review_id, own, f"{own}/draft", f"{own}/aids", f"{own}/opinion", "/api/v1/reviews")
    return await _bench(request, sheet, bench, feed_position=position, about=None, face=None)


async def _bench(request: web.Request, sheet: Worksheet, bench: Bench, **content: Any) -> web.Response:
    services, record = services_of(request), sheet.examination
    dates = await services.life.pictures.dates(record)
    candidates = [
        {"ref": ref, "name": letter(place), "takenOn": dates.get(ref, ())} for place, ref in enumerate(record.refs)
    ]
    return page(
        request,
        "bench.html",
        bench=bench,
        lane=record.lane,
        filed_at=record.filed_at,
        closed=record.closed_at is not None,
        candidates=candidates,
        opinion=sheet.opinion.model_dump(mode="json", by_alias=True),
        aids=AIDS,
        used=[one.model_dump(mode="json", by_alias=True) for one in sheet.aids],
        conclusions=_own_conclusions(sheet),
        components=COMPONENTS,
        findings=FINDINGS,
        scale={
            one: {"words": CONCLUSIONS[one], "key": CONCLUSION_KEYS[one]} for one in services.policy.conclusions.scale
        },
        limits=LIST_LIMITS,
        **content,
    )


def _own_conclusions(sheet: Worksheet) -> Sequence[OwnConclusion]:
    """Empty until it was filed."""
    if sheet.examination.filed_at is None:
        return ()
    given = verdicts(sheet.opinion)
    return [
        OwnConclusion(
            letter(place),
            CONCLUSIONS[given[ref]],
            ref in sheet.opinion.excluded,
            aids_in_words([one.aid for one in sheet.aids if one.candidate_ref == ref]),
        )
        for place, ref in enumerate(sheet.examination.refs)
    ]


async def _about(services: WebServices, lead: LeadRecord) -> Mapping[str, Any]:
    """What the first examiner, who knows the case, sees of it."""
    return {
        "incident": incident_card(await one_incident(services, lead.incident_id)),
        "probe_id": lead.probe_id,
        "exercise": lead.exercise,
        "search": lead_view(lead).data.search,
        "quality": lead_view(lead).data.probe_quality,
    }


def _face_of(probe: ProbeRecord) -> Mapping[str, float] | None:
    """Where the chosen face lies in the still, in fractions of its width and height: the picture opens there."""
    if probe.chosen_face is None or not probe.image_width or not probe.image_height:
        return None
    box = face_of_number(faces_from_json(probe.faces or ()), probe.chosen_face).face.box
    return {
        "left": box.left / probe.image_width,
        "top": box.top / probe.image_height,
        "right": box.right / probe.image_width,
        "bottom": box.bottom / probe.image_height,
    }


BENCH_PAGES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/examine/{leadId}", examine_page),
    ("GET", "/review", reviews_page),
    ("GET", "/review/{reviewId}", review_page),
)
