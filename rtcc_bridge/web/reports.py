"""Reports over HTTP. The desks behind it refuse and audit; nothing here is told to anybody else."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import Final

import structlog
from aiohttp import web
from pydantic import AwareDatetime, Field

from rtcc_bridge.errors import ConfigurationError, InvalidInputError, UnavailableError
from rtcc_bridge.probes.faces import MAX_REASON_CHARACTERS
from rtcc_bridge.reports import transparency_forms as forms
from rtcc_bridge.reports.discovery import MAX_NAME_CHARACTERS, HandedTo, PacketOrder
from rtcc_bridge.reports.misuse import MisuseReport
from rtcc_bridge.reports.misuse_signals import SignalKind
from rtcc_bridge.reports.pdf import pdf
from rtcc_bridge.reports.period import Period
from rtcc_bridge.reports.transparency import TransparencyReport
from rtcc_bridge.web.accounts import ACCOUNT
from rtcc_bridge.web.operations import JSON_TYPE, Answer, Body, Operation, Parameter, WireModel, answer, read_json
from rtcc_bridge.web.security_headers import INLINE_STYLE
from rtcc_bridge.web.services import services_of

ZIP_TYPE: Final = "application/zip"
_FORMATS: Final[Mapping[str, str]] = {
    "html": "text/html",
    "pdf": "application/pdf",
    "csv": "text/csv",
    "json": JSON_TYPE,
}

_log = structlog.get_logger(__name__)


class HandedToRequest(WireModel):
    """Whom a packet is handed to. Should the lead be taken back, whoever hands it over has to tell them (P19)."""

    office: str = Field(min_length=1, max_length=MAX_NAME_CHARACTERS, description="It stays in the audit log.")
    name: str = Field(
        min_length=1,
        max_length=MAX_NAME_CHARACTERS,
        description="Who, or the reference of their matter there. The audit log has a commitment to it.",
    )


class PacketRequest(WireModel):
    """Why a packet is wanted, and for whom."""

    reason: str = Field(min_length=1, max_length=MAX_REASON_CHARACTERS, description="It stays in the audit log.")
    handed_to: HandedToRequest
    disclosure_order: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="The approved order by which candidates are identified who were not released: "
        "`POST /api/v1/disclosure-orders`. It is good for one packet.",
    )


class AccessLogRequest(WireModel):
    """Whose record, and why."""

    gallery: str = Field(min_length=1, max_length=128)
    person: str = Field(min_length=1, max_length=256, description="The agency's own reference.")
    reason: str = Field(min_length=1, max_length=MAX_REASON_CHARACTERS, description="It stays in the audit log.")
    after: str | None = Field(default=None, pattern="^[0-9a-f]{64}$", description="`next` of the page before.")


class AccessView(WireModel):
    """One look at the record, or use of it."""

    at: AwareDatetime
    account: str
    action: str = Field(description="As the audit log has it.")
    words: str
    of: str = Field(description="The lead, review or gallery.")
    purpose: str = Field(description="Of the search; empty where it was none.")
    legal_basis: str
    audit_leaf: str


class AccessLogView(WireModel):
    """The oldest first, a page of them."""

    items: tuple[AccessView, ...]
    next: str | None = Field(description="To be sent as `after` for the rest; null at the end.")


class SignalView(WireModel):
    """One sign of misuse, which is no verdict."""

    kind: SignalKind
    accounts: tuple[str, ...]
    count: int
    first_at: AwareDatetime
    last_at: AwareDatetime
    references: tuple[str, ...]


class MisuseView(WireModel):
    """The signs of the policy's window, and what each kind means."""

    since: AwareDatetime
    until: AwareDatetime
    definitions: Mapping[SignalKind, str]
    off_shift_judged: bool = Field(description="Whether there is a roster by which off-shift use is told.")
    signals: tuple[SignalView, ...]


async def get_transparency(request: web.Request) -> web.Response:
    wanted = request.query.get("format", "html")
    if wanted not in _FORMATS:
        raise InvalidInputError(f"The format is one of {', '.join(_FORMATS)}.", "fields")
    first = request.query.get("from", "")
    period = Period.read(first, request.query.get("until", first))
    desk = services_of(request).reports.transparency
    overlapping = request.query.get("overlapping") == "true"
    made = await desk.make(request[ACCOUNT], period, overlapping=overlapping)
    if wanted == "html":
        request[INLINE_STYLE] = forms.style_source()
    return await _transparency(made, wanted)


async def make_packet(request: web.Request) -> web.Response:
    wanted = await read_json(request, PacketRequest)
    handed_to = HandedTo(wanted.handed_to.office, wanted.handed_to.name)
    order = PacketOrder(reason=wanted.reason, handed_to=handed_to, disclosure=wanted.disclosure_order)
    desk = services_of(request).reports.discovery
    with _set_up("The signing of packets"):
        packet = await desk.of_lead(request[ACCOUNT], request.match_info["leadId"], order)
    headers = {"Content-Disposition": f'attachment; filename="{packet.name}.zip"'}
    return web.Response(body=packet.data, content_type=ZIP_TYPE, headers=headers)


async def make_access_log(request: web.Request) -> web.Response:
    wanted = await read_json(request, AccessLogRequest)
    desk = services_of(request).reports.access_log
    found = await desk.make(request[ACCOUNT], wanted.gallery, wanted.person, wanted.reason, wanted.after)
    items = tuple(
        AccessView(
            at=one.at,
            account=one.account,
            action=one.action,
            words=one.words,
            of=one.subject,
            purpose=one.purpose,
            legal_basis=one.basis,
            audit_leaf=one.audit_leaf,
        )
        for one in found.items
    )
    return answer(AccessLogView(items=items, next=found.next))


async def misuse_report(request: web.Request) -> MisuseReport:
    """The signs, for whoever asks. Raises as the desk does; UnavailableError for a roster that is none."""
    with _set_up("The roster"):
        return await services_of(request).reports.misuse.look(request[ACCOUNT])


async def list_misuse(request: web.Request) -> web.Response:
    found = await misuse_report(request)
    signals = tuple(
        SignalView(
            kind=one.kind,
            accounts=one.accounts,
            count=one.count,
            first_at=one.first_at,
            last_at=one.last_at,
            references=one.references,
        )
        for one in found.signals
    )
    view = MisuseView(
        since=found.since,
        until=found.until,
        definitions=found.definitions,
        off_shift_judged=found.roster_covers is not None,
        signals=signals,
    )
    return answer(view)


async def _transparency(made: TransparencyReport, wanted: str) -> web.Response:
    name = f"transparency-{str(made.period).replace(' ', '-')}.{wanted}"
    headers = {} if wanted in {"html", "json"} else {"Content-Disposition": f'attachment; filename="{name}"'}
    if wanted == "json":
        return web.json_response(forms.as_json(made))
    page = forms.comma_separated(made) if wanted == "csv" else forms.page(made)
    with _set_up("The making of PDFs"):
        body = await asyncio.to_thread(pdf, page) if wanted == "pdf" else page.encode()
    charset = None if wanted == "pdf" else "utf-8"
    return web.Response(body=body, content_type=_FORMATS[wanted], charset=charset, headers=headers)


@contextmanager
def _set_up(what: str) -> Iterator[None]:
    """What operations have not set up is no error of the daemon's."""
    try:
        yield
    except ConfigurationError as error:
        _log.warning("a report cannot be made", error=str(error))
        raise UnavailableError(f"{what} is not set up on this server: tell operations.") from error


_MONTH: Final = {"type": "string", "pattern": "^20[0-9]{2}-(0[1-9]|1[0-2])$"}

OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/v1/reports/transparency",
        handler=get_transparency,
        name="getTransparencyReport",
        summary="Searches of whole months, small counts left out; each making is audited (P26)",
        tag="reports",
        parameters=(
            Parameter("from", "query", "The first month, YYYY-MM (UTC).", _MONTH),
            Parameter("until", "query", "The last month; the first one if none is named.", _MONTH),
            Parameter("format", "query", "html if none is named.", {"type": "string", "enum": list(_FORMATS)}),
            Parameter("overlapping", "query", "Although an earlier report shares months.", {"type": "boolean"}),
        ),
        answers=(Answer("The report.", media_type="text/html"),),
        problems=(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
    ),
    Operation(
        method="POST",
        path="/api/v1/leads/{leadId}/discovery-packet",
        handler=make_packet,
        name="makeDiscoveryPacket",
        summary="Everything of a lead in one signed ZIP, for somebody outside; each making is audited (P20)",
        tag="reports",
        body=Body(PacketRequest),
        answers=(Answer("The packet; its README.txt says how it is verified.", media_type=ZIP_TYPE),),
        problems=(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
    ),
    Operation(
        method="POST",
        path="/api/v1/reports/access-log",
        handler=make_access_log,
        name="makeAccessLog",
        summary="Who looked at a person's record, when and why; each making is audited",
        tag="reports",
        body=Body(AccessLogRequest),
        answers=(Answer("The looks, the oldest first.", AccessLogView),),
        problems=(HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
    ),
    Operation(
        method="GET",
        path="/api/v1/reports/misuse",
        handler=list_misuse,
        name="listMisuseSignals",
        summary="Signs of misuse, for the administrator alone; each look is audited (P27)",
        tag="reports",
        answers=(Answer("The signs.", MisuseView),),
        problems=(HTTPStatus.SERVICE_UNAVAILABLE,),
    ),
)
