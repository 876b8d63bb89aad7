"""The audit explorer: entries found, one read whole, its proof as a file. The desk behind it refuses and audits."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

from aiohttp import web
from pydantic import Field

from rtcc_bridge.audit.entries import REFUSED
from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.reports.audit_explorer import ENTRIES_AT_ONCE
from rtcc_bridge.storage.audit_search import EntryQuery
from rtcc_bridge.web.accounts import ACCOUNT
from rtcc_bridge.web.operations import JSON_TYPE, Answer, Handler, Operation, Parameter, WireModel, answer
from rtcc_bridge.web.oversight_words import KINDS, act_words, outcome_words
from rtcc_bridge.web.services import services_of
from rtcc_bridge.web.templating import page

DEFAULT_DAYS: Final = 7
MOST_DAYS: Final = 400
"""More than the longest window of the signs of misuse, from which this page is reached."""
_LONGEST: Final = 256


class AuditEntryView(WireModel):
    """An entry of the log."""

    entry_id: str
    position: int | None = Field(description="Its leaf in the tree, from 0; null while it waits for the sequencer.")
    leaf_hash: str = Field(description="SHA-256 over a zero byte and the canonical entry (RFC 9162).")
    entry: Mapping[str, Any]


class AuditEntries(WireModel):
    """Entries, the newest first, a page of them."""

    items: tuple[AuditEntryView, ...] = Field(max_length=ENTRIES_AT_ONCE)
    next: str | None = Field(description="To be sent as `behind` for the rest; null at the end.")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a query asks for. first, last: days in UTC, the last one whole."""

    first: date
    last: date
    kind: str
    actor: str
    about: str
    refused: bool
    behind: str | None

    @property
    def query(self) -> EntryQuery:
        return EntryQuery(
            since=datetime.combine(self.first, time(), UTC),
            before=datetime.combine(self.last + timedelta(days=1), time(), UTC),
            kind=self.kind,
            actors=(self.actor,) if self.actor else (),
            outcome=REFUSED if self.refused else "",
        )

    def address_behind(self, entry_id: str) -> str:
        """Of the page after this one."""
        asked = {
            "from": self.first.isoformat(),
            "until": self.last.isoformat(),
            "kind": self.kind,
            "actor": self.actor,
            "about": self.about,
            "refused": "true" if self.refused else "",
            "behind": entry_id,
        }
        return f"/oversight/audit?{urlencode({name: value for name, value in asked.items() if value})}"


def read_wanted(given: Mapping[str, str], today: date) -> Wanted:
    """The last week where nothing is said. Raises InvalidInputError."""
    last = _day(given, "until", today)
    first = _day(given, "from", last - timedelta(days=DEFAULT_DAYS))
    if not 0 <= (last - first).days < MOST_DAYS:
        raise InvalidInputError(f"Look at 1 to {MOST_DAYS} days: `from` does not come after `until`.", "fields")
    kind = given.get("kind", "")
    if kind and kind not in KINDS:
        raise InvalidInputError(f"A kind is one of {', '.join(KINDS)}.", "fields")
    texts = {name: given.get(name, "").strip() for name in ("actor", "about")}
    if any(len(text) > _LONGEST for text in texts.values()):
        raise InvalidInputError(f"Nothing in the log is longer than {_LONGEST} characters.", "fields")
    refused = given.get("refused") in {"true", "on"}
    return Wanted(first, last, kind, texts["actor"], texts["about"], refused, given.get("behind"))


async def audit_page(request: web.Request) -> web.Response:
    """`/oversight/audit`: each look is an entry itself, so it is loaded anew by the reader alone."""
    services = services_of(request)
    wanted = read_wanted(request.query, services.clock.now().astimezone(UTC).date())
    found = await services.reports.audit.search(request[ACCOUNT], wanted.query, wanted.about, wanted.behind)
    return page(
        request,
        "audit.html",
        feed_position=services.feed.position or 0,
        wanted=wanted,
        found=found,
        next_page=None if found.next is None else wanted.address_behind(found.next),
        kinds=KINDS,
        act_words=act_words,
        outcome_words=outcome_words,
    )


async def audit_entry_page(request: web.Request) -> web.Response:
    """`/oversight/audit/{entryId}`: one entry in full, and the way from it to a signed checkpoint."""
    services, entry_id = services_of(request), request.match_info["entryId"]
    found = await services.reports.audit.entry(request[ACCOUNT], entry_id)
    return page(
        request,
        "audit_entry.html",
        feed_position=services.feed.position or 0,
        one=found.record,
        proved=found,
        act_words=act_words,
        outcome_words=outcome_words,
    )


async def list_entries(request: web.Request) -> web.Response:
    services = services_of(request)
    wanted = read_wanted(request.query, services.clock.now().astimezone(UTC).date())
    found = await services.reports.audit.search(request[ACCOUNT], wanted.query, wanted.about, wanted.behind)
    items = tuple(
        AuditEntryView(entry_id=one.entry_id, position=one.position, leaf_hash=one.leaf_hash, entry=one.entry)
        for one in found.items
    )
    return answer(AuditEntries(items=items, next=found.next))


async def get_receipt(request: web.Request) -> web.Response:
    entry_id = request.match_info["entryId"]
    receipt = await services_of(request).reports.audit.receipt(request[ACCOUNT], entry_id)
    headers = {"Content-Disposition": f'attachment; filename="receipt-{entry_id}.json"'}
    text = json.dumps(receipt.as_json(), ensure_ascii=False, indent=2)
    return web.Response(text=text, content_type=JSON_TYPE, headers=headers)


def _day(given: Mapping[str, str], name: str, default: date) -> date:
    text = given.get(name, "")
    try:
        return date.fromisoformat(text) if text else default
    except ValueError as error:
        raise InvalidInputError(f"`{name}` is a day, YYYY-MM-DD.", "fields") from error


_DAY: Final = {"type": "string", "format": "date"}
_TEXT: Final = {"type": "string", "maxLength": _LONGEST}

AUDIT_PAGES: Final[tuple[tuple[str, str, Handler], ...]] = (
    ("GET", "/oversight/audit", audit_page),
    ("GET", "/oversight/audit/{entryId}", audit_entry_page),
)

OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/api/v1/audit",
        handler=list_entries,
        name="listAuditEntries",
        summary="Entries of the audit log, for administrators and auditors who examine nothing; each look is audited",
        tag="audit",
        parameters=(
            Parameter("from", "query", "The first day (UTC); a week before the last one if none is named.", _DAY),
            Parameter("until", "query", "The last day (UTC); today if none is named.", _DAY),
            Parameter("kind", "query", "The word with which the action begins.", {"type": "string", "enum": [*KINDS]}),
            Parameter("actor", "query", "The account that acted.", _TEXT),
            Parameter("about", "query", "What it was done to; a lead with its search and examinations.", _TEXT),
            Parameter("refused", "query", "Refused attempts alone.", {"type": "boolean"}),
            Parameter("behind", "query", "`next` of the page before.", _TEXT),
        ),
        answers=(Answer("The newest first.", AuditEntries),),
        problems=(HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.SERVICE_UNAVAILABLE),
    ),
    Operation(
        method="GET",
        path="/api/v1/audit/{entryId}/receipt",
        handler=get_receipt,
        name="getAuditReceipt",
        summary="The inclusion proof of one entry, which `rtcc-bridge audit verify` checks anywhere; audited",
        tag="audit",
        answers=(Answer("The receipt: entry, place, hashes, signed checkpoint."),),
        problems=(HTTPStatus.NOT_FOUND,),
    ),
)
