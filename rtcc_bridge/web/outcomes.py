"""What follows a release: the outcome, more time, withdrawal and who knows of it (P18, P19)."""

from http import HTTPStatus
from typing import Final

from aiohttp import web
from pydantic import AwareDatetime, Field

from rtcc_bridge.leads.corroboration import LONGEST_EXTENSION_HOURS, OutcomeReport
from rtcc_bridge.leads.ledger import Receiver, ReceiverKind
from rtcc_bridge.leads.withdrawal import MOST_OUTSTANDING
from rtcc_bridge.web.accounts import ACCOUNT
from rtcc_bridge.web.leads import find_lead
from rtcc_bridge.web.operations import Answer, Body, Operation, WireModel, answer, read_json
from rtcc_bridge.web.services import services_of
from rtcc_bridge.web.views import LeadView, lead_view

_REFUSALS: Final = (
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.CONFLICT,
    HTTPStatus.UNPROCESSABLE_ENTITY,
)


class ReasonRequest(WireModel):
    """Why."""

    reason: str = Field(min_length=1, max_length=1024, description="It stays in the audit log.")


class ExtensionRequest(WireModel):
    """How much longer, and why."""

    hours: int = Field(ge=1, le=LONGEST_EXTENSION_HOURS, description="From now on.")
    reason: str = Field(min_length=1, max_length=1024, description="It stays in the audit log.")


class TellingRequest(WireModel):
    """That a receiver outside was told of a withdrawal."""

    told_at: AwareDatetime = Field(description="After the lead ended, and before now.")
    how: str = Field(min_length=1, max_length=1024, description="How they were told. It stays in the audit log.")


class ReceiverView(WireModel):
    """Somebody who has had the lead."""

    kind: ReceiverKind = Field(description="How they came by it: signed in, handed a packet, by the topic.")
    account: str | None = Field(description="Of somebody who signed in.")
    receiver_id: str | None = Field(description="Of everybody else: by it they are answered for.")
    office: str | None
    name: str | None = Field(description="Of the receiver there, or the reference of their matter; a system's group.")
    handed_over_by: str | None
    received_at: AwareDatetime
    withdrawal_acknowledged_at: AwareDatetime | None
    acknowledged_by: str | None = Field(description="Who said of somebody outside that they were told.")
    told_at: AwareDatetime | None
    told_how: str | None


class ReceiverList(WireModel):
    """Everybody who has had the lead."""

    items: tuple[ReceiverView, ...]


class UnconfirmedView(WireModel):
    """Somebody who has had a lead that ended, and has not acknowledged that."""

    lead_id: str
    ended_at: AwareDatetime
    receiver: ReceiverView


class SystemView(WireModel):
    """A system that has had leads that ended, and has not read on its topic that they have."""

    system: str = Field(description="Its consumer group, or `by right: ` and its user at the broker.")
    leads: int
    since: AwareDatetime = Field(description="When the first of them ended.")


class OutstandingView(WireModel):
    """Who has not acknowledged that a lead has ended, the longest waited for first."""

    items: tuple[UnconfirmedView, ...] = Field(max_length=MOST_OUTSTANDING)
    systems: tuple[SystemView, ...] = Field(max_length=MOST_OUTSTANDING)


async def report_outcome(request: web.Request) -> web.Response:
    report = await read_json(request, OutcomeReport)
    desk = services_of(request).life.corroboration
    return answer(lead_view(await desk.report(request.match_info["leadId"], request[ACCOUNT], report)))


async def extend(request: web.Request) -> web.Response:
    wanted = await read_json(request, ExtensionRequest)
    desk = services_of(request).life.corroboration
    record = await desk.extend(request.match_info["leadId"], request[ACCOUNT], wanted.hours, wanted.reason)
    return answer(lead_view(record))


async def withdraw(request: web.Request) -> web.Response:
    stated = await read_json(request, ReasonRequest)
    desk = services_of(request).life.withdrawal
    return answer(lead_view(await desk.withdraw(request.match_info["leadId"], request[ACCOUNT], stated.reason)))


async def acknowledge_withdrawal(request: web.Request) -> web.Response:
    await services_of(request).life.withdrawal.acknowledge(request.match_info["leadId"], request[ACCOUNT])
    return answer(lead_view(await find_lead(request)))


async def answer_for_receiver(request: web.Request) -> web.Response:
    told = await read_json(request, TellingRequest)
    lead_id, receiver_id = request.match_info["leadId"], request.match_info["receiverId"]
    desk = services_of(request).life.withdrawal
    await desk.answer_for(lead_id, receiver_id, request[ACCOUNT], told.told_at, told.how)
    return answer(lead_view(await find_lead(request)))


async def list_receivers(request: web.Request) -> web.Response:
    found = await services_of(request).life.withdrawal.receivers(request.match_info["leadId"], request[ACCOUNT])
    return answer(ReceiverList(items=tuple(map(_receiver, found))))


async def list_outstanding(request: web.Request) -> web.Response:
    found = await services_of(request).life.withdrawal.outstanding(request[ACCOUNT])
    items = tuple(
        UnconfirmedView(lead_id=one.receiver.lead_id, ended_at=one.ended_at, receiver=_receiver(one.receiver))
        for one in found.people
    )
    systems = tuple(SystemView(system=one.system, leads=one.leads, since=one.since) for one in found.systems)
    return answer(OutstandingView(items=items, systems=systems))


def _receiver(one: Receiver) -> ReceiverView:
    return ReceiverView(
        kind=one.kind,
        account=one.account,
        receiver_id=one.receiver_id,
        office=one.office,
        name=one.name,
        handed_over_by=one.handed_over_by,
        received_at=one.received_at,
        withdrawal_acknowledged_at=one.withdrawal_acknowledged_at,
        acknowledged_by=one.acknowledged_by,
        told_at=one.told_at,
        told_how=one.told_how,
    )


OPERATIONS: Final = (
    Operation(
        method="POST",
        path="/api/v1/leads/{leadId}/corroboration",
        handler=report_outcome,
        name="reportOutcome",
        summary="The requestor reports what independent evidence said",
        tag="outcome",
        body=Body(OutcomeReport),
        answers=(Answer("The lead.", LeadView),),
        problems=_REFUSALS,
    ),
    Operation(
        method="POST",
        path="/api/v1/leads/{leadId}/extension",
        handler=extend,
        name="extendLead",
        summary="A supervisor gives a lead more time for its outcome",
        tag="outcome",
        body=Body(ExtensionRequest),
        answers=(Answer("The lead.", LeadView),),
        problems=_REFUSALS,
    ),
    Operation(
        method="POST",
        path="/api/v1/leads/{leadId}/withdraw",
        handler=withdraw,
        name="withdrawLead",
        summary="Take a lead back, at any time, with a reason",
        tag="outcome",
        body=Body(ReasonRequest),
        answers=(Answer("The lead, withdrawn.", LeadView),),
        problems=_REFUSALS,
    ),
    Operation(
        method="POST",
        path="/api/v1/leads/{leadId}/withdrawal/acknowledge",
        handler=acknowledge_withdrawal,
        name="acknowledgeWithdrawal",
        summary="A receiver confirms that the lead is not to be used any more",
        tag="outcome",
        answers=(Answer("The lead.", LeadView),),
        problems=_REFUSALS[:3],
    ),
    Operation(
        method="GET",
        path="/api/v1/leads/{leadId}/receivers",
        handler=list_receivers,
        name="listReceivers",
        summary="Everybody who has had a lead, and who knows of its end",
        tag="outcome",
        answers=(Answer("The first one first.", ReceiverList),),
        problems=_REFUSALS[:2],
    ),
    Operation(
        method="POST",
        path="/api/v1/leads/{leadId}/receivers/{receiverId}/acknowledge",
        handler=answer_for_receiver,
        name="answerForReceiver",
        summary="Whoever handed a lead over, or an administrator, says that its receiver was told of the withdrawal",
        tag="outcome",
        body=Body(TellingRequest),
        answers=(Answer("The lead.", LeadView),),
        problems=_REFUSALS,
    ),
    Operation(
        method="GET",
        path="/api/v1/withdrawals/outstanding",
        handler=list_outstanding,
        name="listOutstandingAcknowledgements",
        summary="Who has had a lead that ended and has not acknowledged that; each look is audited",
        tag="outcome",
        answers=(Answer("The longest waited for first.", OutstandingView),),
        problems=(HTTPStatus.FORBIDDEN,),
    ),
)
