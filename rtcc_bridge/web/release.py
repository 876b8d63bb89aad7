"""Release to the requestor, and what its receivers see (P17, P19). Every gate is asked by the desks."""

from http import HTTPStatus
from typing import Final

from aiohttp import web
from pydantic import AwareDatetime, Field

from rtcc_bridge.leads.events import OpaqueRef, ReleasedCandidate
from rtcc_bridge.leads.release import LIMITS, RELEASE_AT_MOST
from rtcc_bridge.policy.policy_parts import Conclusion
from rtcc_bridge.web.accounts import ACCOUNT
from rtcc_bridge.web.operations import Answer, Body, Operation, WireModel, answer, read_json
from rtcc_bridge.web.picture_answers import PICTURE_ANSWERS, PICTURE_PROBLEMS, jpeg, picture_number
from rtcc_bridge.web.services import services_of
from rtcc_bridge.web.views import LeadView, lead_view

_REFUSALS: Final = (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT)


class ReleaseRequest(WireModel):
    """Which candidates go to the requestor."""

    candidates: tuple[OpaqueRef, ...] = Field(
        default=(),
        max_length=1000,
        description=f"At most {RELEASE_AT_MOST} on which the examiners agree. None: all, where they are no more.",
    )


class DissentView(WireModel):
    """What an examiner who was overruled said of a candidate of the list."""

    candidate_ref: OpaqueRef
    conclusion: Conclusion


class ReceivedLeadView(WireModel):
    """A released lead, for its receivers."""

    lead: LeadView
    candidates: tuple[ReleasedCandidate, ...] = Field(max_length=RELEASE_AT_MOST)
    dissent: tuple[DissentView, ...] = Field(description="Where a third examiner had to decide.")
    limits: tuple[str, ...] = Field(description="What the method cannot do, to be read before anything is done.")


class ReceiptView(WireModel):
    """A lead that you have received, as it stands now."""

    lead: LeadView
    received_at: AwareDatetime
    outcome_asked_for_at: AwareDatetime | None = Field(description="When its outcome was last asked for.")
    withdrawal_acknowledged_at: AwareDatetime | None


class ReceiptList(WireModel):
    """The leads that you have received."""

    items: tuple[ReceiptView, ...]


async def release(request: web.Request) -> web.Response:
    wanted = await read_json(request, ReleaseRequest)
    desk = services_of(request).life.release
    return answer(lead_view(await desk.release(request.match_info["leadId"], request[ACCOUNT], wanted.candidates)))


async def get_release(request: web.Request) -> web.Response:
    received = await services_of(request).life.release.received(request.match_info["leadId"], request[ACCOUNT])
    findings = received.release.findings
    view = ReceivedLeadView(
        lead=lead_view(received.lead),
        candidates=tuple(map(ReleasedCandidate.model_validate, findings["candidates"])),
        dissent=tuple(map(DissentView.model_validate, findings["dissent"])),
        limits=LIMITS,
    )
    return answer(view)


async def get_picture(request: web.Request) -> web.Response:
    lead_id, ref = request.match_info["leadId"], request.match_info["candidateRef"]
    pictures = services_of(request).life.pictures
    return jpeg(await pictures.released_candidate(lead_id, request[ACCOUNT], ref, picture_number(request)))


async def list_received(request: web.Request) -> web.Response:
    found = await services_of(request).life.release.all_received(request[ACCOUNT])
    items = tuple(
        ReceiptView(
            lead=lead_view(one.lead),
            received_at=one.receiver.received_at,
            outcome_asked_for_at=one.asked_at,
            withdrawal_acknowledged_at=one.receiver.withdrawal_acknowledged_at,
        )
        for one in found
    )
    return answer(ReceiptList(items=items))


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/api/v1/leads/{leadId}/release",
        handler=release,
        name="releaseLead",
        summary="Release a lead to its requestor, once two examiners agree on it",
        tag="release",
        body=Body(ReleaseRequest),
        answers=(Answer("The lead, released.", LeadView),),
        problems=(*_REFUSALS, HTTPStatus.UNPROCESSABLE_ENTITY),
    ),
    Operation(
        method="GET",
        path="/api/v1/leads/{leadId}/release",
        handler=get_release,
        name="getRelease",
        summary="The released lead, for its requestor or a supervisor; who looks is one of its receivers",
        tag="release",
        answers=(Answer("What was released, the dissent and the limits of the method.", ReceivedLeadView),),
        problems=_REFUSALS,
    ),
    Operation(
        method="GET",
        path="/api/v1/leads/{leadId}/release/candidates/{candidateRef}/pictures/{number}",
        handler=get_picture,
        name="getReleasedPicture",
        summary="A picture of a released candidate; each look is audited",
        tag="release",
        answers=PICTURE_ANSWERS,
        problems=PICTURE_PROBLEMS,
    ),
    Operation(
        method="GET",
        path="/api/v1/leads/received",
        handler=list_received,
        name="listReceivedLeads",
        summary="The leads that you have received, as they stand now",
        tag="release",
        answers=(Answer("The newest first.", ReceiptList),),
        problems=(HTTPStatus.FORBIDDEN,),
    ),
)
