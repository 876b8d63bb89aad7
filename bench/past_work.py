"""What a database holds after months of work, for `bench.pages`: searches, leads, reviews and entries of the log as one
real search has left them, many times over, and a gallery. Rows are copied: to make them by the desks would take hours.
"""

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

from sqlalchemy import Table, insert, select

from rtcc_bridge.audit.entries import REFUSED, record_of
from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.leads import rounds
from rtcc_bridge.reports.act_counter import ActCounter
from rtcc_bridge.storage import audit_tree, tables
from rtcc_bridge.storage.engine import Transaction
from tests.life_kit import opinion
from tests.website import Website

DAYS: Final = 90
GALLERY: Final = "demo"
_ROWS_AT_ONCE: Final = 5_000
_STATES: Final = ("expired", "withdrawn", "released", "inconclusive", "in_review")
_REVIEWED: Final = 3
"""One search in so many got a blind review by a peer, and one in so many attempts was refused."""
_REVIEWERS: Final = 8
_DIFFERING: Final = 25
"""Every so many reviews of a peer come to something else than the first examination."""
_TAKEN_BACK: Final = 2
"""Every so many withdrawn leads had been released before."""
_UNCONFIRMED: Final = 1100
"""About every so many searches one of them is not confirmed yet."""
_LISTED: Final = 6
_PHOTOS: Final = 2
_SOURCES: Final = (("Booking desk, county jail", "booking"), ("State repository", "statute 12-4"), ("Court", "order 3"))

Row = dict[str, Any]


async def fill(on: Website, searches: int, images: int) -> None:
    """So many searches evenly over the last months, and so many images in the gallery. At least one search is there."""
    now = on.kit.clock.now()
    async with on.kit.database.write() as tx:
        probe, lead = await _one(tx, tables.probes), await _one(tx, tables.leads)
        acts = await _acts_of_one(tx, probe["probe_id"], lead["lead_id"])
        times = [now - timedelta(days=DAYS) * (number + 1) / (searches + 1) for number in range(searches)]
        await _add(tx, tables.probes, (_probe(probe, number, at) for number, at in enumerate(times)))
        await _add(tx, tables.leads, (_lead(lead, number, at) for number, at in enumerate(times)))
        await _add(tx, tables.lead_receivers, _receivers(times))
        for number in (rounds.FIRST, rounds.PEER, rounds.THIRD):
            examined = [one for one in range(0, searches, _REVIEWED) if number < rounds.THIRD or _two_differ(one)]
            await _add(tx, tables.examinations, (_examination(one, number, times[one]) for one in examined))
            await _add(tx, tables.opinions, (_opinion(one, number, times[one]) for one in examined))
        first = await audit_tree.size(tx)
        await _add(tx, tables.audit_entries, _entries(acts, times, first))
        await _add(tx, tables.subjects, _subjects(images // _PHOTOS, now))
        of_gallery = select(tables.subjects.c.subject_id).where(tables.subjects.c.gallery == GALLERY)
        people = list((await tx.execute(of_gallery)).scalars())
        await _add(tx, tables.gallery_images, _images(await _one(tx, tables.gallery_images), images, people, now))
    await ActCounter(on.kit.database).count_all()


async def _one(tx: Transaction, table: Table) -> Row:
    return dict((await tx.execute(select(table).limit(1))).mappings().one())


async def _acts_of_one(tx: Transaction, *subjects: str) -> list[Mapping[str, Any]]:
    """The entries about one search and its lead, in the order in which they came about."""
    table = tables.audit_entries.c
    found = select(table.entry).where(table.subject.in_(subjects)).order_by(table.at, table.entry_id)
    return list((await tx.execute(found)).scalars())


async def _add(tx: Transaction, table: Table, rows: Iterable[Row]) -> None:
    left = iter(rows)
    while some := list(islice(left, _ROWS_AT_ONCE)):
        await tx.execute(insert(table), some)


def _id(number: int) -> str:
    return f"past-search-{number:08}"


def _probe(like: Row, number: int, at: datetime) -> Row:
    own = {"probe_id": _id(number), "state": "searched", "approval": "granted", "original_sha256": f"{number:064}"}
    times = dict.fromkeys(("created_at", "updated_at", "chosen_at", "authority_at"), at)
    return {**like, **own, **times, "crop_sha256": f"{number:064x}", "case_number": f"case-{number}"}


def _lead(like: Row, number: int, at: datetime) -> Row:
    own = {"lead_id": _id(number), "probe_id": _id(number), "review_state": _STATES[number % len(_STATES)]}
    said = {"leadId": own["lead_id"], "probeId": own["probe_id"], "reviewState": own["review_state"]}
    return {**like, **own, "created_at": at, "updated_at": at, "data": {**like["data"], **said}}


def _receivers(times: Sequence[datetime]) -> Iterator[Row]:
    """Of each lead that is or was released one. Of those that were taken back after it nearly all have confirmed it."""
    for number, at in enumerate(times):
        state = _STATES[number % len(_STATES)]
        if state == "released" or (state == "withdrawn" and number // len(_STATES) % _TAKEN_BACK == 0):
            knows = state == "withdrawn" and number % _UNCONFIRMED != 1
            yield {
                "lead_id": _id(number),
                "account": "requestor",
                "received_at": at,
                "withdrawal_acknowledged_at": at if knows else None,
            }


def _two_differ(search: int) -> bool:
    return search // _REVIEWED // _REVIEWERS % _DIFFERING == _DIFFERING // 2


def _refs(search: int, number: int) -> list[tuple[str, str]]:
    """The list's candidates: the examiner's own references, and the lead's."""
    return [(f"{_id(search)}-{place}-{number}", f"{_id(search)}-{place}") for place in range(_LISTED)]


def _examination(search: int, number: int, at: datetime) -> Row:
    """By one of some people, who files it within half an hour."""
    examiner = "analyst" if number == rounds.FIRST else f"reviewer-{(search // _REVIEWED + number) % _REVIEWERS}"
    return {
        "examination_id": f"{_id(search)}-{number}",
        "lead_id": _id(search),
        "round": number,
        "lane": "routine",
        "candidates": _refs(search, number),
        "examiner": examiner,
        "opened_at": at,
        "taken_at": at,
        "filed_at": at + timedelta(seconds=60 + search % 1800),
    }


def _opinion(search: int, number: int, at: datetime) -> Row:
    """That the first of the list may be the person; where two differ, the peer supports nobody."""
    own = [ref for ref, _ in _refs(search, number)]
    supports_nobody = number == rounds.PEER and _two_differ(search)
    said = opinion(own, support=() if supports_nobody else own[:1])
    return {
        "examination_id": f"{_id(search)}-{number}",
        "opinion": said.model_dump(mode="json", by_alias=True),
        "nonce": "0" * 64,
        "updated_at": at,
    }


def _entries(acts: list[Mapping[str, Any]], times: list[datetime], first: int) -> Iterator[Row]:
    """For each search what was done for it, what it returned, its approval and somebody's look; some refusals between
    them. All have their places."""
    place = first
    for number, at in enumerate(times):
        own = [_of_search(act, number) for act in acts]
        opened = {**own[0]["details"], "opened": True}
        approved = {**own[0], "actor": "supervisor", "action": "probe.approve", "details": opened}
        own += [approved, {**own[-1], "action": "examination.view"}]
        if number % _REVIEWED == 0:
            own.append(
                {**own[-1], "outcome": REFUSED, "action": "probe.attach", "details": {"rule": f"P0{number % 9}"}}
            )
        for act in own:
            record = record_of({**act, "entryId": secrets.token_urlsafe(16), "at": rfc3339(at)}, at)
            yield {
                **{column.name: getattr(record, column.name) for column in tables.audit_entries.c},
                "position": place,
            }
            place += 1


def _of_search(act: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The act as that of another search, with another still and another face."""
    hashes = {"originalSha256": f"{number:064}", "cropSha256": f"{number:064x}"}
    details = {key: hashes.get(key, value) for key, value in act["details"].items()}
    return {**act, "subject": _id(number), "details": details}


def _subjects(count: int, now: datetime) -> Iterator[Row]:
    for number in range(count):
        yield {"gallery": GALLERY, "subject_ref": f"booking {number}", "created_at": now}


def _images(like: Row, count: int, people: list[int], now: datetime) -> Iterator[Row]:
    del like["image_id"]
    for number in range(count):
        provenance, basis = _SOURCES[number % len(_SOURCES)]
        yield {
            **like,
            "subject_id": people[number % len(people)],
            "image_sha256": f"{number:064x}",
            "image_object": None if number % 5 else f"gallery/{number:032x}",
            "provenance": provenance,
            "lawful_basis": basis,
            "retain_until": now + timedelta(days=30 + number % 1000),
            "segment_row": number,
        }
