"""Leads, as they were published, and their acknowledgement."""

from collections.abc import Collection
from http import HTTPStatus
from typing import Final

from aiohttp import web

from rtcc_bridge.errors import NotFoundError
from rtcc_bridge.storage import leads, outbox
from rtcc_bridge.storage.leads import LeadRecord
from rtcc_bridge.web.accounts import ACCOUNT
from rtcc_bridge.web.operations import Answer, Operation, Parameter, answer, query_number
from rtcc_bridge.web.services import WebServices, services_of
from rtcc_bridge.web.views import LeadList, LeadView, lead_view

PAGE: Final = 50
LARGEST_PAGE: Final = 200


async def newest_leads(
    services: WebServices, limit: int, incident_id: str | None = None, states: Collection[str] | None = None
) -> LeadList:
    """The newest leads of actual events (P07), or of one incident; in one of these states. Raises UnavailableError."""
    async with services.database.read() as tx:
        position = await outbox.latest_position(tx)
        exercise = False if incident_id is None else None
        found = await leads.newest(tx, limit, incident_id=incident_id, exercise=exercise, states=states)
    return LeadList(items=tuple(lead_view(record) for record in found), feed_position=position)


async def list_leads(request: web.Request) -> web.Response:
    limit = query_number(request, "limit", PAGE, least=1, most=LARGEST_PAGE)
    return answer(await newest_leads(services_of(request), limit, request.query.get("incidentId")))


async def find_lead(request: web.Request) -> LeadRecord:
    """The lead that the address names. Raises NotFoundError."""
    async with services_of(request).database.read() as tx:
        record = await leads.find(tx, request.match_info["leadId"])
    if record is None:
        raise NotFoundError("There is no such lead.")
    return record


async def get_lead(request: web.Request) -> web.Response:
    return answer(lead_view(await find_lead(request)))


async def acknowledge(request: web.Request) -> web.Response:
    record = await services_of(request).leads.acknowledge(request.match_info["leadId"], request[ACCOUNT])
    return answer(lead_view(record))


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/v1/leads",
        handler=list_leads,
        name="listLeads",
        summary="The newest leads",
        tag="leads",
        parameters=(
            Parameter("limit", "query", "Most items.", {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE}),
            Parameter(
                "incidentId", "query", "Only leads of this incident, those of exercises too.", {"type": "string"}
            ),
        ),
        answers=(Answer("The newest first.", LeadList),),
        problems=(HTTPStatus.UNPROCESSABLE_ENTITY,),
    ),
    Operation(
        method="GET",
        path="/api/v1/leads/{leadId}",
        handler=get_lead,
        name="getLead",
        summary="One lead",
        tag="leads",
        answers=(Answer("The lead.", LeadView),),
        problems=(HTTPStatus.NOT_FOUND,),
    ),
    Operation(
        method="POST",
        path="/api/v1/leads/{leadId}/acknowledge",
        handler=acknowledge,
        name="acknowledgeLead",
        summary="An analyst takes responsibility for the lead",
        tag="leads",
        answers=(Answer("The lead, taken.", LeadView),),
        problems=(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
)
