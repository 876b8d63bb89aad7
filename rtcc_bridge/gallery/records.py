"""What the record system says of people in the galleries: bookings, and orders that take somebody out for good.

The order in which they arrive does not matter. Whoever was sealed or expunged is kept out, known to a gallery or not,
so a booking that comes late, or again, finds the door closed; and a booking that came before is removed. Nothing has
to be remembered of an event for that: a repetition finds its effect. Of how long a picture may be kept the last word by
the events' own time counts, also when it came before the picture was there (`storage.retention_words`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final, TypeAlias

import structlog

from rtcc_bridge.audit.entries import SYSTEM
from rtcc_bridge.errors import ConflictError, RejectedError, UnavailableError
from rtcc_bridge.gallery.additions import GalleryAdditions
from rtcc_bridge.gallery.checked_rows import CheckedRow, dates_of, require_same
from rtcc_bridge.gallery.expunge import Expunger
from rtcc_bridge.gallery.identity import GalleryKind, PackIdentity, ref_digest, require_same_pack
from rtcc_bridge.gallery.parts import GalleryParts
from rtcc_bridge.gallery.picture_batch import PictureBatches
from rtcc_bridge.gallery.set_aside import Reason
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.storage import galleries, gallery_upkeep, retention_words
from rtcc_bridge.storage.galleries import GalleryRecord
from rtcc_bridge.storage.retention_words import RetentionSaid

ENROLLED: Final = "enrolled"

BookingOutcome: TypeAlias = Reason | RejectedError | None
"""None: the picture is enrolled. A Reason why it is left out is a result; RejectedError: the booking is in error."""

_log = structlog.get_logger(__name__)


class OrderKind(StrEnum):
    """What ends somebody's place in the galleries. Both have the same effect: a sealed record is not searched."""

    SEALED = "sealed"
    EXPUNGED = "expunged"


@dataclass(frozen=True, slots=True)
class RemovalOrder:
    """An order about a person, or about one picture (by its sha256). order: its number or basis, for the record."""

    kind: OrderKind
    subject_ref: str
    image_sha256: str | None
    order: str


@dataclass(frozen=True, slots=True)
class Booking:
    """One picture of a person. picture: its name in the store of pictures. said_at: when the record system said it.

    taken_on: when the picture was taken; None: it does not say.
    """

    subject_ref: str
    picture: str
    sha256: str
    provenance: str
    lawful_basis: str
    retain_until: datetime
    is_adult: bool
    said_at: datetime
    taken_on: date | None = None


class RemovalDesk:
    """Carries out orders, in every gallery."""

    def __init__(
        self,
        parts: GalleryParts,
        expunger: Expunger,
        gallery: str,
        open_gallery: Callable[[], Awaitable[GalleryRecord]] | None,
        metrics: Metrics,
    ) -> None:
        """gallery: the one that bookings go to. open_gallery: makes it; None where no bookings are taken."""
        self._parts = parts
        self._expunger = expunger
        self._gallery = gallery
        self._open_gallery = open_gallery
        self._metrics = metrics

    async def carry_out(self, orders: Sequence[RemovalOrder]) -> None:
        """Each order has its effect at the commit of its transaction; templates are left to the scrubber.

        So one segment is written anew once for many orders. May be called again for the same orders. Raises
        UnavailableError.
        """
        if not orders:
            return
        names = await self._names()
        for order in orders:
            reason = f"{order.kind}: {order.order}"
            for name in names:
                receipt = await self._expunger.keep_out(name, order.subject_ref, order.image_sha256, reason, SYSTEM)
                if receipt is not None and receipt.images_removed:
                    self._metrics.gallery_removals_total.labels(order.kind.value).inc(receipt.images_removed)

    async def _names(self) -> list[str]:
        """Every gallery. The one of the bookings has to be there, or nobody could be kept out of it."""
        names = await self._listed()
        if self._gallery in names:
            return names
        if self._open_gallery is None:
            raise UnavailableError(
                f"there is no gallery {self._gallery} to keep somebody out of: `rtcc-bridge gallery enroll` makes it"
            )
        await self._open_gallery()
        return await self._listed()

    async def _listed(self) -> list[str]:
        async with self._parts.database.read() as tx:
            return [record.name for record in await galleries.every(tx)]


class BookingDesk:
    """Enrols booked pictures."""

    def __init__(
        self,
        parts: GalleryParts,
        additions: GalleryAdditions,
        batches: PictureBatches,
        read_picture: Callable[[str], Awaitable[bytes]],
        pack: PackIdentity,
        gallery: str,
        kind: GalleryKind,
        metrics: Metrics,
    ) -> None:
        """kind: of the gallery, should the first booking make it."""
        self._parts = parts
        self._additions = additions
        self._batches = batches
        self._read_picture = read_picture
        self._pack = pack
        self._gallery = gallery
        self._kind = kind
        self._metrics = metrics

    async def book(self, bookings: Sequence[Booking]) -> list[BookingOutcome]:
        """Enrols those that may be, in one transaction; one outcome for each, in their order. May be called again.

        The record system's last word on how long an image may be kept counts (P06): it moves the date of one that is
        enrolled, and is kept of one that is not. Raises UnavailableError, also while the gallery is one of another
        model pack: nobody is lost by waiting.
        """
        if not bookings:
            return []
        gallery = await self.open_gallery()
        rows: dict[str, CheckedRow] = {}
        outcomes: list[BookingOutcome] = []
        now = self._parts.clock.now()
        await self._follow_retention([_retention_said(one, now) for one in bookings])
        for booking in bookings:
            outcome = _left_out(booking, now, rows)
            outcomes.append(outcome)
            if outcome is None:
                rows[booking.sha256] = _row(booking)

        async def read(row: CheckedRow) -> bytes:
            return await asyncio.to_thread(require_same, row, await self._read_picture(row.image))

        batch = await self._batches.read(gallery, rows, read)
        added = await self._batches.add(gallery, batch, SYSTEM)
        for place, booking in enumerate(bookings):
            if outcomes[place] is None and booking.sha256 in added.refused:
                outcomes[place] = added.refused[booking.sha256][0]
            elif outcomes[place] is None:
                outcomes[place] = batch.refused.get(booking.sha256)
            self._tell(outcomes[place])
        await self._additions.tell_dates(self._gallery, dates_of(rows.values()), SYSTEM)
        return outcomes

    async def _follow_retention(self, said: Sequence[RetentionSaid]) -> None:
        """Before the pictures, which by the last word may not come in at all."""
        async with self._parts.database.read() as tx:  # a repetition writes nothing
            found = await retention_words.news(tx, self._gallery, said)
        if not found.moved and not found.kept:
            return
        async with self._parts.database.write() as tx:
            await gallery_upkeep.hold(tx, self._gallery)  # or the same image could be enrolled meanwhile
            found = await retention_words.news(tx, self._gallery, said)
            await retention_words.take_in(tx, self._gallery, found)
            if moved := [one.subject_id for one in found.moved if one.is_other]:
                await self._parts.audit.append(
                    tx,
                    actor=SYSTEM,
                    action="gallery.retention_moved",
                    subject=f"gallery/{self._gallery}",
                    outcome="moved",
                    authority={},
                    details={"images": len(moved), "subjectIds": sorted(set(moved))},
                )

    async def open_gallery(self) -> GalleryRecord:
        """The gallery of the bookings, made when there is none. Raises UnavailableError."""
        try:
            async with self._parts.database.read() as tx:
                found = await galleries.find(tx, self._gallery)
            if found is None:
                return await self._additions.open_gallery(self._gallery, self._kind, SYSTEM)
            require_same_pack(found, self._pack)
        except ConflictError as error:
            raise UnavailableError(str(error)) from error
        return found

    def _tell(self, outcome: BookingOutcome) -> None:
        if isinstance(outcome, RejectedError):
            return  # it is counted as a dead letter
        word = ENROLLED if outcome is None else outcome.value
        self._metrics.gallery_bookings_total.labels(word).inc()
        if outcome not in {None, Reason.ALREADY_ENROLLED}:
            _log.warning("a booked picture is not enrolled", gallery=self._gallery, reason=word)


def _left_out(booking: Booking, now: datetime, rows: dict[str, CheckedRow]) -> Reason | None:
    if not booking.is_adult:
        return Reason.NOT_ADULT
    if booking.retain_until <= now:
        return Reason.RETENTION_PASSED
    earlier = rows.get(booking.sha256)
    if earlier is None:
        return None
    return Reason.ALREADY_ENROLLED if earlier.subject_ref == booking.subject_ref else Reason.DUPLICATE


def _retention_said(booking: Booking, now: datetime) -> RetentionSaid:
    """Who turns out not to have been an adult is kept no longer, also where the event's clock is ahead of ours."""
    until = booking.retain_until if booking.is_adult else min(booking.retain_until, booking.said_at, now)
    ref = booking.subject_ref
    return RetentionSaid(ref, ref_digest(ref), booking.sha256, until, booking.said_at)


def _row(booking: Booking) -> CheckedRow:
    return CheckedRow(
        image=booking.picture,
        sha256=booking.sha256,
        subject_ref=booking.subject_ref,
        provenance=booking.provenance,
        lawful_basis=booking.lawful_basis,
        retain_until=booking.retain_until,
        taken_on=booking.taken_on,
    )
