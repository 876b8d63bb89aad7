"""Earlier searches of the same picture. The desk tells who may see them, and when (P12)."""

from http import HTTPStatus
from typing import Final

from aiohttp import web
from pydantic import AwareDatetime, Field

from rtcc_bridge.leads.earlier import EarlierSearch, SamePicture
from rtcc_bridge.web.accounts import ACCOUNT
from rtcc_bridge.web.operations import Answer, Operation, WireModel, answer
from rtcc_bridge.web.services import services_of
from rtcc_bridge.web.views import LeadView, lead_view


class EarlierSearchView(WireModel):
    """A search of the same picture."""

    probe_id: str
    incident_id: str
    same: SamePicture = Field(description="still: the same bytes; face: the same face, cut out of other bytes.")
    purpose: str
    state: str = Field(description="Of the probe: see getProbe.")
    attached_at: AwareDatetime
    lead: LeadView | None = Field(description="What came of it; null where it was never searched.")


class EarlierSearches(WireModel):
    """Searches of the same picture before this one, by its hash."""

    items: tuple[EarlierSearchView, ...]


async def list_earlier(request: web.Request) -> web.Response:
    found = await services_of(request).life.earlier.of_probe(request.match_info["probeId"], request[ACCOUNT])
    return answer(EarlierSearches(items=tuple(earlier_view(one) for one in found)))


def earlier_view(one: EarlierSearch) -> EarlierSearchView:
    return EarlierSearchView(
        probe_id=one.probe.probe_id,
        incident_id=one.probe.incident_id,
        same=one.same,
        purpose=one.probe.purpose,
        state=one.probe.state,
        attached_at=one.probe.created_at,
        lead=None if one.lead is None else lead_view(one.lead),
    )


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/v1/probes/{probeId}/earlier",
        handler=list_earlier,
        name="listEarlierSearches",
        summary="What came of the same picture before: for supervisors, and for examiners who have concluded (P12)",
        tag="probes",
        answers=(Answer("The oldest first; each look is audited.", EarlierSearches),),
        problems=(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND),
    ),
)
