"""Who looked at a person's record in a gallery, when, and why: out of the audit log, which every look is entered in."""

import csv
import io
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rtcc_bridge.audit.entries import REFUSED
from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.errors import InvalidInputError, NotFoundError
from rtcc_bridge.leads.examiners import require_never_examines
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.probes.reasons import stated_words
from rtcc_bridge.reports.parts import ReportParts
from rtcc_bridge.storage import audit_entries, galleries, record_looks
from rtcc_bridge.storage.audit_entries import AuditEntryRecord
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.record_looks import RecordLook, RecordQuery

ACTION: Final = "record.access_log"
MADE: Final = "made"
CONTINUED: Final = "continued"
"""The outcome of asking for a later page, which is no use of the record by itself."""
NOBODY: Final = "nobody_of_that_reference"
"""The outcome of asking for somebody whom the gallery never had: that it was asked is entered too (P22)."""
ENTRIES_AT_ONCE: Final = 1000

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
class AccessPage:
    """A part of the log. next: what to ask for the rest with; None at the end."""

    items: Sequence[Access]
    next: str | None


class AccessLogDesk:
    """Where access logs are made."""

    def __init__(self, parts: ReportParts) -> None:
        self._parts = parts

    async def make(
        self, account: Account, gallery: str, person: str, reason: str, after: str | None = None
    ) -> AccessPage:
        """Looks at the record of the person with this reference, the oldest first; a page of them, since somebody may
        be on very many lists. That it was asked for is entered, whether there is such a person or not.

        after: `next` of the page before. Raises PolicyRefusalError (P10; P12: an analyst), NotFoundError,
        InvalidInputError (no reason, no such page), BusyError, UnavailableError.
        """
        parts = self._parts
        async with parts.watching(account, ACTION, f"gallery/{gallery}"):
            require_permission(account, Deed.MAKE_ACCESS_LOG)
            require_never_examines(account)
            why = stated_words(reason, "why the log is made")
            subject_id, place = await self._enter(account, gallery, person, why, after)
        if subject_id is None:
            raise NotFoundError("The gallery has, and had, nobody with this reference.")
        query = RecordQuery(
            gallery=gallery,
            subject_id=subject_id,
            record=_record(gallery, subject_id),
            actions=WORDS.keys(),
            gallery_wide=_GALLERY_WIDE,
            but_outcome=REFUSED,
        )
        async with parts.database.for_long_statements() as patient, patient.snapshot() as tx:
            images = await galleries.images_of(tx, subject_id)
            looks = await record_looks.page(tx, query, place, ENTRIES_AT_ONCE)
        last = looks[-1].entry.leaf_hash if len(looks) == ENTRIES_AT_ONCE else None
        return AccessPage([_access(look) for look in looks if _shows(look, images)], last)

    async def _enter(
        self, account: Account, gallery: str, person: str, why: str, after: str | None
    ) -> tuple[int | None, tuple[datetime, str] | None]:
        """The person's id, and where the page begins. Commits. The reference stands in no entry: it may be a name."""
        async with self._parts.database.write() as tx:
            place = None if after is None else await _place(tx, after)
            subject_id = await galleries.find_subject(tx, gallery, person)
            details = {"reason": why} if after is None else {"reason": why, "after": after}
            if subject_id is None:
                subject, outcome = f"gallery/{gallery}", NOBODY
            else:
                subject, outcome = _record(gallery, subject_id), MADE if after is None else CONTINUED
            await self._parts.note(tx, account, ACTION, subject, outcome, details)
        return subject_id, place


async def _place(tx: Transaction, leaf_hash: str) -> tuple[datetime, str]:
    found = await audit_entries.by_leaf_hash(tx, leaf_hash)
    if found is None:
        raise InvalidInputError("There is no such page: take the `next` of the one before.", "fields")
    return found.at, found.entry_id


def _shows(look: RecordLook, images: Collection[int]) -> bool:
    """Whether the entry is a look at the person, or a use of their record."""
    entry = look.entry
    if look.candidate_ref is None and look.case_candidates is None:
        return entry.outcome != CONTINUED
    refs = frozenset(_refs(look, images))
    still = look.probe_image is not None and look.probe_image in images
    if entry.action in _PICTURES:
        details = entry.entry["details"]
        return (still and details.get("picture") == "still") or details.get("candidateRef") in refs
    if look.case_candidates is not None:
        return bool(refs) or still
    released = [] if look.findings is None else [one["candidateRef"] for one in look.findings["candidates"]]
    return entry.action not in _AFTER_RELEASE or look.candidate_ref in released


def _refs(look: RecordLook, images: Collection[int]) -> Iterator[str]:
    """What stands for the person in the lead, the case or this examination of it."""
    if look.candidate_ref is not None:
        meant = {look.candidate_ref}
        yield look.candidate_ref
    else:
        listed = look.case_candidates or ()
        meant = {str(one["ref"]) for one in listed if any(image in images for image in one["imageIds"])}
    yield from (own for own, ref in look.candidates or () if ref in meant)


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


def _access(look: RecordLook) -> Access:
    entry: AuditEntryRecord = look.entry
    purpose, basis = look.purpose or "", look.legal_basis or ""
    return Access(entry.at, entry.actor, entry.action, entry.subject, purpose, basis, entry.leaf_hash)
