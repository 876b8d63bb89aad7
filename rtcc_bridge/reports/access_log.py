"""Who looked at a person's record in a gallery, when, and why: out of the audit log, which every look is entered in."""

import csv
import io
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rtcc_bridge.audit.entries import REFUSED
from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.errors import NotFoundError
from rtcc_bridge.leads.examiners import require_never_examines
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.reports.parts import ReportParts, stated
from rtcc_bridge.storage import examinations, galleries, leads, probes, proficiency_cases, releases, report_rows
from rtcc_bridge.storage.audit_entries import AuditEntryRecord
from rtcc_bridge.storage.engine import Transaction

ACTION: Final = "record.access_log"
_PICTURES: Final = frozenset({"examination.picture", "lead.picture"})
_AFTER_RELEASE: Final = frozenset({"lead.released", "lead.receive"})
_GALLERY_WIDE: Final = ("gallery.exported",)

WORDS: Final[Mapping[str, str]] = {
    "lead.candidates": "a search listed the person",
    "examination.view": "the list was opened by its first examiner",
    "review.take": "the list was taken by a blind reviewer",
    "review.view": "the list was opened by a blind reviewer",
    "examination.picture": "a picture of the person was looked at in an examination",
    "lead.released": "the person was released to the requestor",
    "lead.receive": "the released lead was opened",
    "lead.picture": "a picture of the person was looked at by a receiver of the lead",
    "lead.search_repeated": "the search was repeated, to show that it gives the same list",
    "lead.discovery_packet": "the lead was put into a discovery packet",
    "gallery.exported": "the gallery was exported",
    "gallery.expunged": "the person was expunged from the gallery",
    ACTION: "an access log of the record was made",
}
"""What counts as a look, or as a use, of a record. Whatever else is done to a lead shows nobody the person."""


@dataclass(frozen=True, slots=True)
class Access:
    """One look or use. purpose and basis: those of the search; empty where it was none, or is kept no longer.

    subject: the lead, review or gallery. audit_leaf: the hash of its entry in the log, which proves it.
    """

    at: datetime
    account: str
    action: str
    subject: str
    purpose: str
    basis: str
    audit_leaf: str

    @property
    def words(self) -> str:
        return WORDS[self.action]


@dataclass(frozen=True, slots=True)
class _Listing:
    """What of one lead, or of one seeded case, is about the person.

    ids: the lead and its examinations. refs: the references that stand for the person in any of them. still: whether a
    picture of the person stands for the unknown one.
    """

    ids: Collection[str]
    refs: Collection[str]
    released: bool
    purpose: str
    basis: str
    still: bool = False

    def shows(self, entry: AuditEntryRecord) -> bool:
        details = entry.entry["details"]
        if entry.action in _PICTURES:
            return (self.still and details.get("picture") == "still") or details.get("candidateRef") in self.refs
        return entry.action in WORDS and (self.released or entry.action not in _AFTER_RELEASE)


class AccessLogDesk:
    """Where access logs are made."""

    def __init__(self, parts: ReportParts) -> None:
        self._parts = parts

    async def make(self, account: Account, gallery: str, person: str, reason: str) -> Sequence[Access]:
        """Every look at the record of the person with this reference, the oldest first. That it was made is entered.

        Raises PolicyRefusalError (P10; P12: an analyst), NotFoundError, InvalidInputError (no reason),
        UnavailableError.
        """
        parts = self._parts
        async with parts.watching(account, ACTION, f"gallery/{gallery}"[:256]):
            require_permission(account, Deed.MAKE_ACCESS_LOG)
            require_never_examines(account)
            why = stated(reason, "why the log is made")
            async with parts.database.write() as tx:
                subject_id = await galleries.find_subject(tx, gallery, person)
                if subject_id is None:
                    raise NotFoundError("The gallery has, and had, nobody with this reference.")
                await parts.note(tx, account, ACTION, _record(gallery, subject_id), "made", {"reason": why})
        async with parts.database.for_long_statements() as patient, patient.snapshot() as tx:
            return await _accesses(tx, gallery, subject_id)


async def _accesses(tx: Transaction, gallery: str, subject_id: int) -> list[Access]:
    listings = [one async for one in _listings(tx, subject_id)]
    entries = await report_rows.about(tx, {one for listing in listings for one in listing.ids})
    found = [
        _access(entry, listing.purpose, listing.basis)
        for entry in entries
        for listing in listings
        if entry.outcome != REFUSED and entry.subject in listing.ids and listing.shows(entry)
    ]
    own = await report_rows.about(tx, {_record(gallery, subject_id)})
    found += [_access(entry, "", "") for entry in own if entry.action in WORDS and entry.outcome != REFUSED]
    since = await galleries.enrolled_at(tx, subject_id)
    async with aclosing(report_rows.acts(tx, _GALLERY_WIDE, since)) as exports:
        found += [_access(entry, "", "") async for entry in exports if entry.subject == f"gallery/{gallery}"]
    return sorted(found, key=lambda one: (one.at, one.audit_leaf))


async def _listings(tx: Transaction, subject_id: int) -> AsyncIterator[_Listing]:
    for lead, ref in await leads.listing(tx, subject_id):
        rounds = await examinations.of_lead(tx, lead.lead_id)
        own = {mine for one in rounds for mine, theirs in one.candidates if theirs == ref}
        release = await releases.find(tx, lead.lead_id)
        released = [] if release is None else [one["candidateRef"] for one in release.findings["candidates"]]
        probe = await probes.find(tx, lead.probe_id)
        yield _Listing(
            ids={lead.lead_id, *(one.examination_id for one in rounds)},
            refs={ref, *own},
            released=ref in released,
            purpose="" if probe is None else probe.purpose,
            basis="" if probe is None else probe.legal_basis,
        )
    images = await galleries.images_of(tx, subject_id)
    for review in await examinations.of_cases(tx):
        case = None if review.case_id is None else await proficiency_cases.find(tx, review.case_id)
        if case is None:
            continue
        refs = {str(one["ref"]) for one in case.candidates if not images.isdisjoint(one["imageIds"])}
        own = {mine for mine, theirs in review.candidates if theirs in refs}
        if own or case.probe_image in images:
            still = case.probe_image in images
            yield _Listing({review.examination_id}, own, released=False, purpose="proficiency", basis="", still=still)


def comma_separated(accesses: Iterable[Access]) -> str:
    """`at,account,what,of,purpose,legal basis,audit leaf`."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(("at", "account", "what", "of", "purpose", "legal basis", "audit leaf"))
    rows.writerows(_row(one) for one in accesses)
    return out.getvalue()


def _row(access: Access) -> tuple[str, ...]:
    words = (access.account, access.words, access.subject, access.purpose, access.basis, access.audit_leaf)
    return (rfc3339(access.at), *map(_as_text, words))


def _as_text(value: str) -> str:
    """What people have typed must not be a formula to a spreadsheet."""
    return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _record(gallery: str, subject_id: int) -> str:
    """As the log calls it: without the agency's own reference, which may be a name."""
    return f"gallery/{gallery}/subject/{subject_id}"


def _access(entry: AuditEntryRecord, purpose: str, basis: str) -> Access:
    return Access(entry.at, entry.actor, entry.action, entry.subject, purpose, basis, entry.leaf_hash)
