"""Incidents, as the floor sees them."""

from collections.abc import Collection
from http import HTTPStatus
from typing import Final

from aiohttp import web

from rtcc_bridge.errors import NotFoundError
from rtcc_bridge.incidents import board
from rtcc_bridge.storage import incidents, outbox
from rtcc_bridge.storage.incidents import NO_FILTER, BoardFilter
from rtcc_bridge.web.operations import Answer, Operation, Parameter, answer, query_number
from rtcc_bridge.web.services import WebServices, services_of
from rtcc_bridge.web.views import IncidentList, IncidentView, incident_view

PAGE: Final = 200
LARGEST_PAGE: Final = 500
FURTHEST_OFFSET: Final = 1_000_000


async def open_incidents(services: WebServices, limit: int, offset: int, only: BoardFilter = NO_FILTER) -> IncidentList:
    """A page of the board. Raises UnavailableError."""
    now = services.clock.now()
    async with services.database.read() as tx:
        position = await outbox.latest_position(tx)  # first: what changes after it comes again on the feed
        found = await board.open_incidents(tx, now, limit, offset, only)
        total = await incidents.count_open(tx, now, only)
    items = tuple(incident_view(view) for view in found)
    return IncidentList(items=items, total=total, offset=offset, feed_position=position)


async def open_among(
    services: WebServices, incident_ids: Collection[str], only: BoardFilter = NO_FILTER
) -> IncidentList:
    """Those of these incidents that belong on the board; `total` is of all that do. Raises UnavailableError."""
    now = services.clock.now()
    async with services.database.read() as tx:
        position = await outbox.latest_position(tx)
        found = await board.open_among(tx, incident_ids, now, only)
        total = await incidents.count_open(tx, now, only)
    return IncidentList(items=tuple(map(incident_view, found)), total=total, offset=0, feed_position=position)


async def one_incident(services: WebServices, incident_id: str) -> IncidentView:
    """Raises NotFoundError for an incident that was never on the feed, UnavailableError."""
    async with services.database.read() as tx:
        record = await incidents.get(tx, incident_id)
        if record is None:
            raise NotFoundError("This incident was not seen on the feed.")
        return incident_view(await board.incident_view(tx, record, services.clock.now()))


async def list_incidents(request: web.Request) -> web.Response:
    limit = query_number(request, "limit", PAGE, least=1, most=LARGEST_PAGE)
    offset = query_number(request, "offset", 0, least=0, most=FURTHEST_OFFSET)
    return answer(await open_incidents(services_of(request), limit, offset))


async def get_incident(request: web.Request) -> web.Response:
    return answer(await one_incident(services_of(request), request.match_info["incidentId"]))


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/v1/incidents",
        handler=list_incidents,
        name="listIncidents",
        summary="Open incidents: those under threat first, then by priority, the newest first",
        tag="incidents",
        parameters=(
            Parameter("limit", "query", "Most items.", {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE}),
            Parameter("offset", "query", "Items to leave out from the start.", {"type": "integer", "minimum": 0}),
        ),
        answers=(Answer("A page of them.", IncidentList),),
        problems=(HTTPStatus.UNPROCESSABLE_ENTITY,),
    ),
    Operation(
        method="GET",
        path="/api/v1/incidents/{incidentId}",
        handler=get_incident,
        name="getIncident",
        summary="One incident",
        tag="incidents",
        answers=(Answer("The incident, whatever its status.", IncidentView),),
        problems=(HTTPStatus.NOT_FOUND,),
    ),
)
