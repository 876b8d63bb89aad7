"""What follows a release: the outcome, more time, withdrawal and who knows of it (P18, P19)."""

from http import HTTPStatus
from typing import Final

from aiohttp import web
from pydantic import AwareDatetime, Field

from rtcc_bridge.leads.corroboration import LONGEST_EXTENSION_HOURS, OutcomeReport
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


class ReceiverView(WireModel):
    """Somebody who has had the lead."""

    account: str
    received_at: AwareDatetime
    withdrawal_acknowledged_at: AwareDatetime | None


class ReceiverList(WireModel):
    """Everybody who has had the lead."""

    items: tuple[ReceiverView, ...]


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


async def list_receivers(request: web.Request) -> web.Response:
    found = await services_of(request).life.withdrawal.receivers(request.match_info["leadId"], request[ACCOUNT])
    items = tuple(
        ReceiverView(
            account=one.account,
            received_at=one.received_at,
            withdrawal_acknowledged_at=one.withdrawal_acknowledged_at,
        )
        for one in found
    )
    return answer(ReceiverList(items=items))


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
)
