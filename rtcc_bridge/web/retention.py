"""What is kept, held and purged (P24). Every gate is asked by the desks."""

from datetime import date, timedelta
from http import HTTPStatus
from typing import Final

from aiohttp import web
from pydantic import AwareDatetime, Field

from rtcc_bridge.retention.dispositions import Disposition
from rtcc_bridge.retention.holds import HoldOrder
from rtcc_bridge.retention.overview import MOST_LISTED, KeptSearch
from rtcc_bridge.retention.schedule import Kept
from rtcc_bridge.storage.legal_holds import LegalHoldRecord
from rtcc_bridge.storage.purges import PurgeRecord
from rtcc_bridge.web.accounts import ACCOUNT
from rtcc_bridge.web.operations import Answer, Body, Operation, Parameter, WireModel, answer, query_number, read_json
from rtcc_bridge.web.outcomes import ReasonRequest
from rtcc_bridge.web.services import services_of

_MOST_DAYS: Final = 36_600


class DueSearch(WireModel):
    """A search that is due, or that a legal hold keeps from it."""

    probe_id: str
    lead_id: str | None
    ended_as: str = Field(description="The outcome whose period counts; `released` is held for the case.")
    ended_at: AwareDatetime
    due_at: AwareDatetime
    kept: Kept | None = Field(description="Why it is still kept; none: it goes at the next purge.")


class RetentionPreview(WireModel):
    """What will have been purged by then if nothing else happens."""

    until: AwareDatetime
    searches_kept: int
    searches_due: int
    items: tuple[DueSearch, ...] = Field(max_length=MOST_LISTED)


class HoldRequest(WireModel):
    """What is to be held: one of the three, and why."""

    case_number: str | None = Field(default=None, max_length=256, description="With what is attached to it later.")
    probe_id: str | None = Field(default=None, max_length=64)
    lead_id: str | None = Field(default=None, max_length=64)
    reason: str = Field(min_length=1, max_length=1024)


class HoldView(WireModel):
    """A legal hold."""

    hold_id: str
    case_number: str | None
    probe_id: str | None
    reason: str
    placed_by: str
    placed_at: AwareDatetime
    lifted_by: str | None
    lifted_at: AwareDatetime | None


class Holds(WireModel):
    """Legal holds, the newest first."""

    items: tuple[HoldView, ...]


class DispositionRequest(WireModel):
    """How a case was disposed of."""

    case_number: str = Field(min_length=1, max_length=256)
    disposition: Disposition
    disposed_on: date


class DispositionView(WireModel):
    """What was recorded."""

    disposition: Disposition
    disposed_on: date
    recorded_at: AwareDatetime


class DestroyedObject(WireModel):
    """A sealed object whose key was destroyed."""

    object: str
    sha256: str | None = Field(description="Of its sealed bytes, as a backup lists them; none: they were gone before.")


class PurgeView(WireModel):
    """A purge. `audit_leaf` is what its proof is asked for with (`rtcc-bridge retention receipts`)."""

    probe_id: str
    lead_id: str | None
    ended_as: str
    ended_at: AwareDatetime
    due_at: AwareDatetime
    purged_at: AwareDatetime
    objects: tuple[DestroyedObject, ...]
    audit_leaf: str
    bytes_gone_at: AwareDatetime | None


class Purges(WireModel):
    """Purges, the newest first."""

    items: tuple[PurgeView, ...]


async def preview(request: web.Request) -> web.Response:
    services = services_of(request)
    days = query_number(request, "days", 0, least=0, most=_MOST_DAYS)
    until = services.clock.now() + timedelta(days=days)
    found = await services.retention.overview.preview(request[ACCOUNT], until)
    items = tuple(_due_view(one) for one in found.listed)
    return answer(RetentionPreview(until=until, searches_kept=found.kept, searches_due=found.due, items=items))


async def place_hold(request: web.Request) -> web.Response:
    wanted = await read_json(request, HoldRequest)
    order = HoldOrder(case_number=wanted.case_number, probe_id=wanted.probe_id, lead_id=wanted.lead_id)
    placed = await services_of(request).retention.holds.place(request[ACCOUNT], order, wanted.reason)
    return answer(_hold_view(placed), HTTPStatus.CREATED)


async def lift_hold(request: web.Request) -> web.Response:
    stated = await read_json(request, ReasonRequest)
    desk = services_of(request).retention.holds
    return answer(_hold_view(await desk.lift(request[ACCOUNT], request.match_info["holdId"], stated.reason)))


async def list_holds(request: web.Request) -> web.Response:
    found = await services_of(request).retention.holds.every(request[ACCOUNT], standing_only=False)
    return answer(Holds(items=tuple(_hold_view(one) for one in found)))


async def record_disposition(request: web.Request) -> web.Response:
    wanted = await read_json(request, DispositionRequest)
    desk = services_of(request).retention.dispositions
    made = await desk.record(request[ACCOUNT], wanted.case_number, wanted.disposition, wanted.disposed_on)
    view = DispositionView(
        disposition=Disposition(made.disposition),
        disposed_on=date.fromisoformat(made.disposed_on),
        recorded_at=made.recorded_at,
    )
    return answer(view, HTTPStatus.CREATED)


async def list_purges(request: web.Request) -> web.Response:
    found = await services_of(request).retention.overview.receipts(request[ACCOUNT])
    return answer(Purges(items=tuple(_purge_view(one) for one in found)))


def _due_view(one: KeptSearch) -> DueSearch:
    standing = one.standing
    assert standing.outcome is not None
    assert standing.ended_at is not None
    assert standing.due_at is not None
    return DueSearch(
        probe_id=one.probe_id,
        lead_id=one.lead_id,
        ended_as=standing.outcome,
        ended_at=standing.ended_at,
        due_at=standing.due_at,
        kept=standing.kept,
    )


def _hold_view(record: LegalHoldRecord) -> HoldView:
    return HoldView(
        hold_id=record.hold_id,
        case_number=record.case_number,
        probe_id=record.probe_id,
        reason=record.reason,
        placed_by=record.placed_by,
        placed_at=record.placed_at,
        lifted_by=record.lifted_by,
        lifted_at=record.lifted_at,
    )


def _purge_view(record: PurgeRecord) -> PurgeView:
    return PurgeView(
        probe_id=record.probe_id,
        lead_id=record.lead_id,
        ended_as=record.outcome,
        ended_at=record.ended_at,
        due_at=record.due_at,
        purged_at=record.purged_at,
        objects=tuple(DestroyedObject.model_validate(one) for one in record.objects),
        audit_leaf=record.audit_leaf,
        bytes_gone_at=record.bytes_gone_at,
    )


OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/v1/retention/due",
        handler=preview,
        name="previewPurge",
        summary="What is due to be purged, or will be in some days, and what a legal hold keeps; changes nothing",
        tag="retention",
        parameters=(
            Parameter(
                "days",
                "query",
                "Look so many days ahead.",
                {"type": "integer", "minimum": 0, "maximum": _MOST_DAYS, "default": 0},
            ),
        ),
        answers=(Answer("The soonest first.", RetentionPreview),),
        problems=(HTTPStatus.FORBIDDEN, HTTPStatus.UNPROCESSABLE_ENTITY),
    ),
    Operation(
        method="GET",
        path="/api/v1/retention/purges",
        handler=list_purges,
        name="listPurges",
        summary="What was purged, with the digests of what was destroyed and the audit leaf of each receipt",
        tag="retention",
        answers=(Answer("The newest first.", Purges),),
        problems=(HTTPStatus.FORBIDDEN,),
    ),
    Operation(
        method="GET",
        path="/api/v1/retention/holds",
        handler=list_holds,
        name="listHolds",
        summary="Legal holds, those that were lifted too; each look is audited",
        tag="retention",
        answers=(Answer("The newest first.", Holds),),
        problems=(HTTPStatus.FORBIDDEN,),
    ),
    Operation(
        method="POST",
        path="/api/v1/retention/holds",
        handler=place_hold,
        name="placeHold",
        summary="Hold a case or one search: nothing of it is purged until the hold is lifted",
        tag="retention",
        body=Body(HoldRequest),
        answers=(Answer("The hold.", HoldView, status=HTTPStatus.CREATED),),
        problems=(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY),
    ),
    Operation(
        method="POST",
        path="/api/v1/retention/holds/{holdId}/lift",
        handler=lift_hold,
        name="liftHold",
        summary="The administrator lifts a legal hold",
        tag="retention",
        body=Body(ReasonRequest),
        answers=(Answer("The hold, lifted.", HoldView),),
        problems=(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY),
    ),
    Operation(
        method="POST",
        path="/api/v1/retention/dispositions",
        handler=record_disposition,
        name="recordDisposition",
        summary="Record how a case was disposed of: what was released of it is kept until then, and some time longer",
        tag="retention",
        body=Body(DispositionRequest),
        answers=(Answer("What was recorded.", DispositionView, status=HTTPStatus.CREATED),),
        problems=(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY),
    ),
)
