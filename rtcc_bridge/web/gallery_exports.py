"""Orders to export a gallery, which two signed-in people give (P30). A command carries them out."""

from http import HTTPStatus
from typing import Final

from aiohttp import web
from pydantic import AwareDatetime, Field

from rtcc_bridge.gallery.export_orders import MOST_LISTED
from rtcc_bridge.storage.orders import ExportOrderRecord
from rtcc_bridge.web.accounts import ACCOUNT
from rtcc_bridge.web.operations import Answer, Body, Operation, WireModel, answer, read_json
from rtcc_bridge.web.services import services_of


class ExportOrderRequest(WireModel):
    """What is to leave, and why."""

    gallery: str = Field(min_length=1, max_length=128)
    with_pictures: bool = Field(default=False, description="The pictures too, in the clear.")
    reason: str = Field(min_length=1, max_length=1024)


class ExportOrderView(WireModel):
    """An order. It permits nothing before another person has approved it."""

    order_id: str = Field(description="What `rtcc-bridge gallery export --order` takes.")
    gallery: str
    with_pictures: bool
    reason: str
    asked_by: str
    asked_at: AwareDatetime
    approved_by: str | None
    approved_at: AwareDatetime | None
    finished_at: AwareDatetime | None = Field(description="When it was carried out: it is good for no other export.")


class ExportOrders(WireModel):
    """Orders, the newest first."""

    items: tuple[ExportOrderView, ...] = Field(max_length=MOST_LISTED)


async def ask_export(request: web.Request) -> web.Response:
    asked = await read_json(request, ExportOrderRequest)
    desk = services_of(request).export_orders
    order = await desk.ask(request[ACCOUNT], asked.gallery, asked.reason, with_pictures=asked.with_pictures)
    return answer(_view(order), HTTPStatus.CREATED)


async def approve_export(request: web.Request) -> web.Response:
    desk = services_of(request).export_orders
    return answer(_view(await desk.approve(request[ACCOUNT], request.match_info["orderId"])))


async def list_exports(request: web.Request) -> web.Response:
    found = await services_of(request).export_orders.every(request[ACCOUNT])
    return answer(ExportOrders(items=tuple(map(_view, found))))


def _view(record: ExportOrderRecord) -> ExportOrderView:
    return ExportOrderView(
        order_id=record.order_id,
        gallery=record.gallery,
        with_pictures=record.with_pictures,
        reason=record.reason,
        asked_by=record.asked_by,
        asked_at=record.asked_at,
        approved_by=record.approved_by,
        approved_at=record.approved_at,
        finished_at=record.finished_at,
    )


_UNFIT: Final = HTTPStatus.UNPROCESSABLE_ENTITY

OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/v1/galleries/exports",
        handler=list_exports,
        name="listGalleryExports",
        summary="Who asked for the export of a gallery, and who approved it; each look is audited",
        tag="galleries",
        answers=(Answer("The newest first.", ExportOrders),),
        problems=(HTTPStatus.FORBIDDEN,),
    ),
    Operation(
        method="POST",
        path="/api/v1/galleries/exports",
        handler=ask_export,
        name="askGalleryExport",
        summary="The first of two people asks for the export of a gallery (P30)",
        tag="galleries",
        body=Body(ExportOrderRequest),
        answers=(Answer("The order.", ExportOrderView, status=HTTPStatus.CREATED),),
        problems=(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, _UNFIT),
    ),
    Operation(
        method="POST",
        path="/api/v1/galleries/exports/{orderId}/approve",
        handler=approve_export,
        name="approveGalleryExport",
        summary="Another person approves it, within a day: then `rtcc-bridge gallery export --order` makes it, once",
        tag="galleries",
        answers=(Answer("The order, approved.", ExportOrderView),),
        problems=(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
    ),
)
