"""Orders to identify everybody on a list for a court, which two signed-in people give (P17). One packet each."""

from http import HTTPStatus
from typing import Final

from aiohttp import web
from pydantic import AwareDatetime, Field

from rtcc_bridge.probes.faces import MAX_REASON_CHARACTERS
from rtcc_bridge.reports.disclosure_orders import MOST_LISTED
from rtcc_bridge.storage.orders import DisclosureOrderRecord
from rtcc_bridge.web.accounts import ACCOUNT
from rtcc_bridge.web.operations import Answer, Body, Operation, WireModel, answer, read_json
from rtcc_bridge.web.services import services_of


class DisclosureOrderRequest(WireModel):
    """Whose lists a court wants to have named: those of a lead, or of every lead that a case has by now."""

    lead_id: str | None = Field(default=None, min_length=1, max_length=64)
    case_number: str | None = Field(default=None, min_length=1, max_length=256)
    court_order: str = Field(
        min_length=1,
        max_length=MAX_REASON_CHARACTERS,
        description="Which order of which court. It stays in the audit log: name nobody.",
    )


class DisclosureOrderView(WireModel):
    """An order. It permits nothing before another person has approved it."""

    order_id: str = Field(description="What a packet takes as `disclosureOrder`, and the command as `--order`.")
    lead_ids: tuple[str, ...]
    court_order: str
    asked_by: str
    asked_at: AwareDatetime
    approved_by: str | None
    approved_at: AwareDatetime | None
    made_at: AwareDatetime | None = Field(description="When a packet was made by it: it is good for no other one.")


class DisclosureOrders(WireModel):
    """Orders, the newest first."""

    items: tuple[DisclosureOrderView, ...] = Field(max_length=MOST_LISTED)


async def ask_disclosure(request: web.Request) -> web.Response:
    asked = await read_json(request, DisclosureOrderRequest)
    desk = services_of(request).reports.disclosures
    order = await desk.ask(request[ACCOUNT], asked.court_order, lead_id=asked.lead_id, case_number=asked.case_number)
    return answer(_view(order), HTTPStatus.CREATED)


async def approve_disclosure(request: web.Request) -> web.Response:
    desk = services_of(request).reports.disclosures
    return answer(_view(await desk.approve(request[ACCOUNT], request.match_info["orderId"])))


async def list_disclosures(request: web.Request) -> web.Response:
    found = await services_of(request).reports.disclosures.every(request[ACCOUNT])
    return answer(DisclosureOrders(items=tuple(map(_view, found))))


def _view(record: DisclosureOrderRecord) -> DisclosureOrderView:
    return DisclosureOrderView(
        order_id=record.order_id,
        lead_ids=tuple(record.lead_ids),
        court_order=record.court_order,
        asked_by=record.asked_by,
        asked_at=record.asked_at,
        approved_by=record.approved_by,
        approved_at=record.approved_at,
        made_at=record.made_at,
    )


_UNFIT: Final = HTTPStatus.UNPROCESSABLE_ENTITY

OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/v1/disclosure-orders",
        handler=list_disclosures,
        name="listDisclosureOrders",
        summary="Who asked for everybody on a list to be identified, and who approved it; each look is audited",
        tag="reports",
        answers=(Answer("The newest first.", DisclosureOrders),),
        problems=(HTTPStatus.FORBIDDEN,),
    ),
    Operation(
        method="POST",
        path="/api/v1/disclosure-orders",
        handler=ask_disclosure,
        name="askDisclosure",
        summary="The first of two people asks, on a court's order, for everybody on a list to be identified (P17)",
        tag="reports",
        body=Body(DisclosureOrderRequest),
        answers=(Answer("The order.", DisclosureOrderView, status=HTTPStatus.CREATED),),
        problems=(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, _UNFIT),
    ),
    Operation(
        method="POST",
        path="/api/v1/disclosure-orders/{orderId}/approve",
        handler=approve_disclosure,
        name="approveDisclosure",
        summary="Another person approves it, within a day: then one discovery packet is made by it within a day",
        tag="reports",
        answers=(Answer("The order, approved.", DisclosureOrderView),),
        problems=(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
)
