"""Galleries for those who answer for them: version, figures, provenance, enrolments and removals. Nobody is named."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from rtcc_bridge.errors import NotFoundError
from rtcc_bridge.gallery.parts import GalleryParts
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.storage import audit_search, galleries, gallery_figures, gallery_upkeep
from rtcc_bridge.storage.audit_entries import AuditEntryRecord
from rtcc_bridge.storage.audit_search import EntryQuery
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.galleries import GalleryRecord
from rtcc_bridge.storage.gallery_figures import Holdings, Removal, Source

ACTION: Final = "gallery.view"
MOST_LISTED: Final = 30
BATCHES_READ: Final = 500
SAME_RUN: Final = timedelta(minutes=10)
"""Batches of one account that are no further apart belong to one enrolment."""
GOING_ON: Final = timedelta(minutes=5)
"""An enrolment whose newest batch is no older is taken to be under way: a batch takes seconds, of the largest pictures
on one core minutes, and a crash tells nobody."""


@dataclass(frozen=True, slots=True)
class GalleryGlance:
    """A gallery, how many images are searched in it, and how many removals have no second receipt yet (P25)."""

    gallery: GalleryRecord
    images: int
    waiting: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentRun:
    """One enrolment as far as its batches tell, each of which is an entry of the audit log. is_partial: it began before
    the batches that were read. How many pictures are still to come only the command that enrols them knows."""

    actor: str
    began_at: datetime
    last_at: datetime
    batches: int
    images: int
    version: int
    is_going_on: bool
    is_partial: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryView:
    """One gallery whole. Each list begins with the newest, or most frequent, at most `MOST_LISTED` of it."""

    gallery: GalleryRecord
    holds: Holdings
    sources: Sequence[Source]
    enrolments: Sequence[EnrolmentRun]
    removals: Sequence[Removal]


class GalleryOverview:
    """Read-only."""

    def __init__(self, parts: GalleryParts) -> None:
        self._parts = parts

    async def every(self, account: Account) -> Sequence[GalleryGlance]:
        """By name. Raises PolicyRefusalError (P10), UnavailableError."""
        await self._require(account, "galleries")
        async with self._parts.database.read() as tx:
            return [await _glance(tx, record) for record in await galleries.every(tx)]

    async def one(self, account: Account, name: str) -> GalleryView:
        """Reads every row of the gallery, as one of the process's long statements.

        Raises PolicyRefusalError (P10), NotFoundError, BusyError, UnavailableError.
        """
        await self._require(account, f"gallery/{name}")
        now = self._parts.clock.now()
        async with self._parts.database.for_long_statements() as patient, patient.snapshot() as tx:
            record = await galleries.find(tx, name)
            if record is None:
                raise NotFoundError("There is no gallery of this name.")
            query = EntryQuery(
                since=record.created_at,
                before=now + timedelta(seconds=1),
                actions=("gallery.enrolled",),
                subjects=(f"gallery/{name}",),
            )
            batches = await audit_search.newest(tx, query, None, BATCHES_READ)
            holds, sources = await gallery_figures.contents(tx, name, now=now, most_sources=MOST_LISTED)
            return GalleryView(
                gallery=record,
                holds=holds,
                sources=sources,
                enrolments=runs(batches, now)[:MOST_LISTED],
                removals=await gallery_figures.removals(tx, name, MOST_LISTED),
            )

    async def _require(self, account: Account, subject: str) -> None:
        async with self._parts.watching(account, ACTION, subject):
            require_permission(account, Deed.SEE_GALLERIES)


async def _glance(tx: Transaction, record: GalleryRecord) -> GalleryGlance:
    images = await gallery_upkeep.count_living(tx, record.name)
    return GalleryGlance(record, images, await gallery_upkeep.unsettled_removals(tx, record.name))


def runs(batches: Sequence[AuditEntryRecord], now: datetime) -> Sequence[EnrolmentRun]:
    """The enrolments that these batches are of, both with the newest first. Pure."""
    grouped: list[list[AuditEntryRecord]] = []
    for one in batches:
        later = grouped[-1][-1] if grouped else None
        if later is not None and later.actor == one.actor and later.at - one.at <= SAME_RUN:
            grouped[-1].append(one)
        else:
            grouped.append([one])
    is_cut = len(batches) == BATCHES_READ
    return [_run(some, now, is_partial=is_cut and some is grouped[-1]) for some in grouped]


def _run(batches: Sequence[AuditEntryRecord], now: datetime, *, is_partial: bool) -> EnrolmentRun:
    newest, oldest = batches[0], batches[-1]
    return EnrolmentRun(
        actor=newest.actor,
        began_at=oldest.at,
        last_at=newest.at,
        batches=len(batches),
        images=sum(int(one.entry["details"]["images"]) for one in batches),
        version=max(int(one.entry["details"]["version"]) for one in batches),
        is_going_on=now - newest.at <= GOING_ON,
        is_partial=is_partial,
    )
