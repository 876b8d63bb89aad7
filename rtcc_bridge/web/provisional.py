"""Provisional incidents: opened by a supervisor while the feed is down (P01)."""

from http import HTTPStatus
from typing import Final

from aiohttp import web
from pydantic import AwareDatetime, Field

from rtcc_bridge.probes.provisional import ProvisionalForm
from rtcc_bridge.storage.provisional_incidents import ProvisionalIncident
from rtcc_bridge.web.accounts import ACCOUNT
from rtcc_bridge.web.operations import Answer, Body, Operation, WireModel, answer, read_json
from rtcc_bridge.web.services import services_of


class ProvisionalRequest(WireModel):
    """Why it cannot wait for the feed."""

    incident_type: str = Field(min_length=1, max_length=64, description="APCO common incident type code.")
    reason: str = Field(min_length=1, max_length=1024)


class ReconciliationRequest(WireModel):
    """Which incident of dispatch it is."""

    incident_id: str = Field(min_length=1, max_length=256)


class ProvisionalView(WireModel):
    """A provisional incident."""

    incident_id: str
    opened_by: str
    opened_at: AwareDatetime
    reconcile_by: AwareDatetime = Field(description="Without a reconciliation by then its leads are withdrawn.")
    reconciled_with: str | None
    withdrawn_at: AwareDatetime | None


class ProvisionalList(WireModel):
    """Those that wait for their reconciliation, the oldest first."""

    items: tuple[ProvisionalView, ...]


async def list_waiting(request: web.Request) -> web.Response:
    found = await services_of(request).provisional.waiting(request[ACCOUNT])
    return answer(ProvisionalList(items=tuple(map(_view, found))))


async def open_provisional(request: web.Request) -> web.Response:
    services, asked = services_of(request), await read_json(request, ProvisionalRequest)
    form = ProvisionalForm(asked.incident_type, asked.reason)
    return answer(_view(await services.provisional.open(form, request[ACCOUNT])), HTTPStatus.CREATED)


async def reconcile(request: web.Request) -> web.Response:
    services, asked = services_of(request), await read_json(request, ReconciliationRequest)
    incident_id = request.match_info["incidentId"]
    return answer(_view(await services.provisional.reconcile(incident_id, asked.incident_id, request[ACCOUNT])))


def _view(record: ProvisionalIncident) -> ProvisionalView:
    return ProvisionalView(
        incident_id=record.incident_id,
        opened_by=record.opened_by,
        opened_at=record.opened_at,
        reconcile_by=record.reconcile_by,
        reconciled_with=record.reconciled_with,
        withdrawn_at=record.withdrawn_at,
    )


_UNFIT: Final = HTTPStatus.UNPROCESSABLE_ENTITY

OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/v1/provisional-incidents",
        handler=list_waiting,
        name="listProvisionalIncidents",
        summary="Provisional incidents that wait for their reconciliation",
        tag="exceptions",
        answers=(Answer("The oldest first.", ProvisionalList),),
        problems=(HTTPStatus.FORBIDDEN,),
    ),
    Operation(
        method="POST",
        path="/api/v1/provisional-incidents",
        handler=open_provisional,
        name="openProvisionalIncident",
        summary="A supervisor opens an incident while the feed is down (P01)",
        tag="exceptions",
        body=Body(ProvisionalRequest),
        answers=(Answer("The incident.", ProvisionalView, status=HTTPStatus.CREATED),),
        problems=(HTTPStatus.FORBIDDEN, _UNFIT),
    ),
    Operation(
        method="POST",
        path="/api/v1/provisional-incidents/{incidentId}/reconcile",
        handler=reconcile,
        name="reconcileProvisionalIncident",
        summary="Says which incident of dispatch it is; its probes and leads go on there",
        tag="exceptions",
        body=Body(ReconciliationRequest),
        answers=(Answer("The provisional incident.", ProvisionalView),),
        problems=(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, _UNFIT),
    ),
)
