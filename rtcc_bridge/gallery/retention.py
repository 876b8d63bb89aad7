"""Takes images out of the galleries when their retention date has passed (P06)."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final, NoReturn

import structlog

from rtcc_bridge.audit.entries import SYSTEM
from rtcc_bridge.errors import ConflictError, UnavailableError
from rtcc_bridge.gallery.expunge import WithdrawForSubject
from rtcc_bridge.gallery.head import put_head_notice
from rtcc_bridge.gallery.parts import GalleryParts
from rtcc_bridge.gallery.scrub import SegmentScrubber
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.periodic import periodically
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.retention.clock_watch import ClockWatch
from rtcc_bridge.storage import galleries, gallery_upkeep
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.galleries import GalleryImageRecord, RemovalKind
from rtcc_bridge.storage.locks import UNCONTESTED, SoleRight, Work, alone

REASON: Final = "its retention has ended"
WHY: Final = "retention"
IMAGES_AT_ONCE: Final = 256
"""In one transaction, which other writers of the gallery wait for."""
_EVERY_SECONDS: Final = 60.0
_EXPIRE: Final = "gallery.expire"

_log = structlog.get_logger(__name__)


class RetentionKeeper:
    """Removes images at their date. It has the effect of an expungement of each image, and leaves the same receipts."""

    def __init__(
        self,
        parts: GalleryParts,
        withdraw_for_subject: WithdrawForSubject,
        scrubber: SegmentScrubber | None,
        metrics: Metrics,
        watch: ClockWatch,
    ) -> None:
        """scrubber: None where templates may not be opened: then the scrubber of a matcher comes to them by itself."""
        self._parts = parts
        self._withdraw_for_subject = withdraw_for_subject
        self._scrubber = scrubber
        self._metrics = metrics
        self._watch = watch

    async def run(self) -> NoReturn:
        """Looks for images past their date every minute, until cancelled. An outage is left to the next time."""
        await periodically("removing images past their retention", self._look, every_seconds=_EVERY_SECONDS)

    async def _look(self) -> None:
        await alone(self._parts.database, Work.RETENTION, self.look)
        async with self._parts.database.read() as tx:
            left = await gallery_upkeep.count_past_retention(tx, now=self._parts.clock.now())
        self._metrics.images_past_retention.set(left)

    async def look(self, right: SoleRight = UNCONTESTED) -> int:
        """As `remove_all`, unless the clock cannot be believed. Raises UnavailableError."""
        async with self._parts.database.write() as tx:
            problem = await self._watch.problem(tx)
        if problem is not None:
            _log.error("no image is removed for its date", why=problem)
            return 0
        return await self.remove_all(right)

    async def expire(self, account: Account) -> int:
        """As `remove_all`, because somebody asks for it, which is entered. Raises PolicyRefusalError (P10),
        ConflictError when the clock is ahead of the database's, UnavailableError.
        """
        async with self._parts.watching(account, _EXPIRE, "galleries"):
            require_permission(account, Deed.EXPIRE_PICTURES)
        async with self._parts.database.write() as tx:
            await self._watch.require_no_other_time(tx)
            due = await gallery_upkeep.count_past_retention(tx, now=self._parts.clock.now())
            await self._parts.audit.append(
                tx,
                actor=account.name,
                action=_EXPIRE,
                subject="galleries",
                outcome="begun",
                authority={},
                details={"due": due},
            )
        return await self.remove_all()

    async def remove_all(self, right: SoleRight = UNCONTESTED) -> int:
        """As `remove`, of every gallery."""
        async with self._parts.database.read() as tx:
            names = [record.name for record in await galleries.every(tx)]
        return sum([await self.remove(name, right) for name in names])

    async def remove(self, gallery: str, right: SoleRight = UNCONTESTED) -> int:
        """Removes every image of the gallery whose date has passed; returns how many. Commits some at a time.

        Then, with a scrubber, their templates go from the sealed segments, each of which is written anew once. Raises
        UnavailableError.
        """
        removed = 0
        while some := await self._remove_some(gallery):
            removed += some
            await right.confirm()
        if removed:
            self._metrics.gallery_removals_total.labels(WHY).inc(removed)
            _log.info("images removed at the end of their retention", gallery=gallery, images=removed)
            if self._scrubber is not None:
                await self._scrubber.scrub(gallery, right)
        return removed

    async def _remove_some(self, gallery: str) -> int:
        now = self._parts.clock.now()
        async with self._parts.database.read() as tx:  # so that a gallery without any gets no new version
            if not await gallery_upkeep.past_retention(tx, gallery, now=now, limit=1):
                return 0
        due: Sequence[GalleryImageRecord] = ()
        with suppress(ConflictError):
            due = await self._take_out(gallery, now)
        try:
            await self._parts.vault.delete(*_pictures(due))
        except UnavailableError as error:
            _log.warning("bytes of removed pictures wait", gallery=gallery, error=str(error))
        return len(due)

    async def _take_out(self, gallery: str, now: datetime) -> Sequence[GalleryImageRecord]:
        """The transaction. Raises ConflictError, and commits nothing, when another process was faster."""
        async with self._parts.database.write() as tx:
            version = await galleries.advance(tx, gallery)
            due = await gallery_upkeep.past_retention(tx, gallery, now=now, limit=IMAGES_AT_ONCE)
            if not due:
                raise ConflictError(f"no image of gallery {gallery} is past its retention any more")
            digests = [image.image_sha256 for image in due]
            await galleries.remove_images(tx, [image.image_id for image in due], version=version, reason=REASON)
            await galleries.add_removals(
                tx, gallery, RemovalKind.IMAGE, digests, reason=REASON, version=version, at=now
            )
            withdrawn = await self._withdraw(tx, due)
            await self._tell(tx, gallery, due, version, withdrawn)
            await self._parts.vault.destroy(tx, *_pictures(due))
            await self._parts.vault.ledger.note_expunged(
                now, gallery=gallery, kind=RemovalKind.IMAGE, digest=digests[0], images=digests
            )
        return due

    async def _withdraw(self, tx: Transaction, due: Sequence[GalleryImageRecord]) -> int:
        """Live leads with the people, since the image may be why they are listed."""
        people = sorted({image.subject_id for image in due})
        return sum([await self._withdraw_for_subject(tx, subject_id, REASON, SYSTEM) for subject_id in people])

    async def _tell(
        self, tx: Transaction, gallery: str, due: Sequence[GalleryImageRecord], version: int, withdrawn: int
    ) -> None:
        await self._parts.audit.append(
            tx,
            actor=SYSTEM,
            action="gallery.retention_ended",
            subject=f"gallery/{gallery}",
            outcome="removed",
            authority={},
            details={
                "version": version,
                "images": len(due),
                "subjectIds": sorted({image.subject_id for image in due}),
                "leadsWithdrawn": withdrawn,
            },
        )
        await put_head_notice(tx, self._parts.outbox, self._parts.head_topic, gallery, version)


def _pictures(images: Sequence[GalleryImageRecord]) -> list[str]:
    return [image.image_object for image in images if image.image_object is not None]
