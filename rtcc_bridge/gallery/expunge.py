"""Expungement: from the moment of its transaction nobody who was removed is in any new lead (P25)."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

import structlog

from rtcc_bridge.errors import BridgeError, ConflictError, InvalidInputError, NotFoundError, UnavailableError
from rtcc_bridge.gallery.head import put_head_notice
from rtcc_bridge.gallery.identity import normal_ref, ref_digest
from rtcc_bridge.gallery.parts import GalleryParts
from rtcc_bridge.gallery.receipts import ExpungeReceipt
from rtcc_bridge.gallery.scrub import SegmentScrubber
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.storage import galleries, retention_words
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.galleries import GalleryImageRecord, RemovalKind
from rtcc_bridge.storage.removals_ledger import Expungement

WithdrawForSubject: TypeAlias = Callable[[Transaction, int, str, str], Awaitable[int]]
"""(transaction, subject id, reason, actor) -> how many live leads were withdrawn."""

_EXPUNGE = "gallery.expunge"
_LONGEST_REASON = 256
_AGAIN = "carried out again after a restoration"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Order:
    """Who or what is to be removed: a subject with all images, or one image of it. subject_id: none, nobody known."""

    kind: RemovalKind
    digest: str
    subject_id: int | None
    images: Sequence[GalleryImageRecord]


class Expunger:
    """Removes subjects and images from galleries for ever."""

    def __init__(self, parts: GalleryParts, withdraw_for_subject: WithdrawForSubject) -> None:
        self._parts = parts
        self._withdraw_for_subject = withdraw_for_subject
        self._scrubber = SegmentScrubber(parts.database, parts.vault, parts.audit, parts.clock)

    async def expunge_subject(
        self, gallery: str, subject_ref: str, reason: str, account: Account, *, scrubs: bool = True
    ) -> ExpungeReceipt:
        """Removes a person with all images. Commits.

        Live leads with the person are withdrawn, the pictures' keys are destroyed, and neither the reference nor one
        of the pictures can be enrolled again. scrubs: what lies in sealed segments is taken out before this returns;
        without, it is left to the scrubber, for whoever does not hold the key of templates. Raises PolicyRefusalError
        (P10), NotFoundError when the gallery does not know the person, ConflictError when they were removed before,
        UnavailableError when the database does not answer: nothing was done then.
        """
        async with self._parts.watching(account, _EXPUNGE, f"gallery/{gallery}"):
            require_permission(account, Deed.EXPUNGE)
        ref = normal_ref(subject_ref)

        async def find(tx: Transaction) -> _Order:
            subject_id = await galleries.find_subject(tx, gallery, ref)
            if subject_id is None:
                raise NotFoundError(f"gallery {gallery} has no subject of this reference")
            images = await galleries.living_images(tx, gallery, subject_id=subject_id)
            return _Order(RemovalKind.SUBJECT, ref_digest(ref), subject_id, images)

        if not scrubs:
            receipt, images = await self._take_out(gallery, find, reason, account.name)
            await self._remove_pictures(gallery, images)
            return receipt
        return await self._expunge(gallery, find, reason, account.name)

    async def expunge_image(self, gallery: str, image_sha256: str, reason: str, account: Account) -> ExpungeReceipt:
        """Removes one image by the sha256 of its bytes; the person stays with the others. Otherwise as for a subject.

        Live leads with the person are withdrawn too, since the removed image may be why they are listed.
        """
        async with self._parts.watching(account, _EXPUNGE, f"gallery/{gallery}"):
            require_permission(account, Deed.EXPUNGE)

        async def find(tx: Transaction) -> _Order:
            images = await galleries.living_images(tx, gallery, image_sha256=image_sha256)
            if not images:
                raise NotFoundError(f"gallery {gallery} has no image with these bytes")
            return _Order(RemovalKind.IMAGE, image_sha256, images[0].subject_id, images)

        return await self._expunge(gallery, find, reason, account.name)

    async def keep_out(
        self, gallery: str, subject_ref: str, image_sha256: str | None, reason: str, actor: str
    ) -> ExpungeReceipt | None:
        """Carries out an order of the record system: as `expunge_subject`, or `expunge_image`, but commits in any case.

        Whoever the gallery does not know is kept out all the same, since the booking may come later or again. None when
        the order was in effect already. What lies in sealed segments is left to the scrubber. Raises NotFoundError when
        there is no such gallery, UnavailableError.
        """
        ref = normal_ref(subject_ref)

        async def find(tx: Transaction) -> _Order:
            subject_id = await galleries.find_subject(tx, gallery, ref)
            if image_sha256 is not None:
                images = await galleries.living_images(tx, gallery, image_sha256=image_sha256)
                shown = images[0].subject_id if images else None
                return _Order(RemovalKind.IMAGE, image_sha256, shown, images)
            found = [] if subject_id is None else await galleries.living_images(tx, gallery, subject_id=subject_id)
            return _Order(RemovalKind.SUBJECT, ref_digest(ref), subject_id, found)

        try:
            receipt, images = await self._take_out(gallery, find, reason, actor)
        except ConflictError:
            return None
        await self._remove_pictures(gallery, images)
        return receipt

    async def carry_out_again(self, entry: Expungement, actor: str) -> bool:
        """Carries an expungement of the removals ledger out on a database that a backup brought back. Commits.

        False when it was in effect already. What the backup does not know, since it came after it, is kept out all the
        same. Raises NotFoundError when the gallery itself is not in the backup, UnavailableError.
        """
        gallery, now = entry.gallery, self._parts.clock.now()
        removals = [(entry.kind, entry.digest), *((RemovalKind.IMAGE, sha) for sha in entry.images)]
        async with self._parts.database.write() as tx:
            if await galleries.find(tx, gallery) is None:
                raise NotFoundError(f"gallery {gallery}, from which somebody was expunged, is not in the backup")
            images = await _still_living(tx, gallery, removals)
            if not images and not [one for one in removals if not await _is_kept_out(tx, gallery, *one)]:
                return False
            version = await galleries.advance(tx, gallery)
            ids = [image.image_id for image in images]
            await galleries.remove_images(tx, ids, version=version, reason=_AGAIN)
            await _keep_out(tx, gallery, removals, _AGAIN, version, now)
            await self._parts.vault.destroy(tx, *_pictures(images))
            for subject_id in sorted({image.subject_id for image in images}):
                order = _Order(entry.kind, entry.digest, subject_id, images)
                withdrawn = await self._withdraw_for_subject(tx, subject_id, _AGAIN, actor)
                await self._append(tx, gallery, order, _AGAIN, version, withdrawn, actor)
            await put_head_notice(tx, self._parts.outbox, self._parts.head_topic, gallery, version)
        await self._remove_bytes(gallery, images)
        return True

    async def _note(self, gallery: str, order: _Order, now: datetime) -> None:
        """The last step before the commit: without the entry a restoration would bring the person back."""
        images = [image.image_sha256 for image in order.images]
        kind, digest = order.kind, order.digest
        await self._parts.vault.ledger.note_expunged(now, gallery=gallery, kind=kind, digest=digest, images=images)

    async def _expunge(
        self, gallery: str, find: Callable[[Transaction], Awaitable[_Order]], reason: str, actor: str
    ) -> ExpungeReceipt:
        receipt, images = await self._take_out(gallery, find, reason, actor)
        return replace(receipt, bytes_gone=await self._remove_bytes(gallery, images))

    async def _take_out(
        self, gallery: str, find: Callable[[Transaction], Awaitable[_Order]], reason: str, actor: str
    ) -> tuple[ExpungeReceipt, Sequence[GalleryImageRecord]]:
        """The transaction. Raises ConflictError, and commits nothing, when the same was removed before."""
        if not reason.strip() or len(reason) > _LONGEST_REASON:
            raise InvalidInputError(f"an expungement needs a reason of 1 to {_LONGEST_REASON} characters")
        now = self._parts.clock.now()
        async with self._parts.database.write() as tx:
            if await galleries.find(tx, gallery) is None:
                raise NotFoundError(
                    f"there is no gallery {gallery}: `rtcc-bridge gallery stats` lists those that there are; name one "
                    "with --gallery"
                )
            version = await galleries.advance(tx, gallery)
            order = await find(tx)
            await self._remove(tx, gallery, order, reason, version, now)
            withdrawn = 0
            if order.subject_id is not None:
                withdrawn = await self._withdraw_for_subject(tx, order.subject_id, reason, actor)
            leaf = await self._append(tx, gallery, order, reason, version, withdrawn, actor)
            await put_head_notice(tx, self._parts.outbox, self._parts.head_topic, gallery, version)
            await self._note(gallery, order, now)
        receipt = ExpungeReceipt(
            gallery=gallery,
            version=version,
            subject_id=order.subject_id,
            images_removed=len(order.images),
            leads_withdrawn=withdrawn,
            removed_at=now,
            audit_leaf=leaf,
            bytes_gone=False,
        )
        return receipt, order.images

    async def _remove(
        self, tx: Transaction, gallery: str, order: _Order, reason: str, version: int, now: datetime
    ) -> None:
        await galleries.remove_images(tx, [image.image_id for image in order.images], version=version, reason=reason)
        removals = [(order.kind, order.digest)]
        removals += [(RemovalKind.IMAGE, image.image_sha256) for image in order.images]
        added = await _keep_out(tx, gallery, removals, reason, version, now)
        if not added[0]:
            raise ConflictError(f"this {order.kind.value} was expunged from gallery {gallery} before")
        await self._parts.vault.destroy(tx, *_pictures(order.images))

    async def _append(
        self, tx: Transaction, gallery: str, order: _Order, reason: str, version: int, withdrawn: int, actor: str
    ) -> str:
        known = order.subject_id is not None
        return await self._parts.audit.append(
            tx,
            actor=actor,
            action="gallery.expunged",
            subject=f"gallery/{gallery}/subject/{order.subject_id}" if known else f"gallery/{gallery}",
            outcome="removed" if known else "kept_out",
            authority={},
            details={
                "kind": order.kind.value,
                "version": version,
                "images": len(order.images),
                "leadsWithdrawn": withdrawn,
                "reason": reason,
            },
        )

    async def _remove_pictures(self, gallery: str, images: Sequence[GalleryImageRecord]) -> None:
        """The removal has committed, and their keys are destroyed: bytes that stay behind are swept later."""
        try:
            await self._parts.vault.delete(*_pictures(images))
        except UnavailableError as error:
            _log.warning("expunged_bytes_wait", gallery=gallery, cause=str(error))

    async def _remove_bytes(self, gallery: str, images: Sequence[GalleryImageRecord]) -> bool:
        """The removal has committed and must not be reported as failed: what fails here waits for a scrubbing."""
        try:
            await self._parts.vault.delete(*_pictures(images))
            await self._scrubber.scrub(gallery)
            async with self._parts.database.read() as tx:
                return not await galleries.segments_to_scrub(tx, gallery)
        except BridgeError as error:
            _log.warning("expunged_bytes_wait", gallery=gallery, cause=str(error))
            return False


async def _keep_out(
    tx: Transaction, gallery: str, removals: Sequence[tuple[RemovalKind, str]], reason: str, version: int, at: datetime
) -> list[bool]:
    """Lets none of these be enrolled again; of each, once, whether it was not kept out already."""
    added: list[bool] = []
    for kind, digest in dict.fromkeys(removals):
        added.append(await galleries.add_removal(tx, gallery, kind, digest, reason=reason, version=version, at=at))
        await retention_words.forget(tx, gallery, kind, digest)
    return added


async def _still_living(
    tx: Transaction, gallery: str, removals: Sequence[tuple[RemovalKind, str]]
) -> list[GalleryImageRecord]:
    """The images that are searched although they, or the person on them, were removed."""
    found: dict[int, GalleryImageRecord] = {}
    for kind, digest in removals:
        if kind is RemovalKind.IMAGE:
            images = await galleries.living_images(tx, gallery, image_sha256=digest)
        else:
            subject_id = await _subject_with(tx, gallery, digest)
            images = [] if subject_id is None else await galleries.living_images(tx, gallery, subject_id=subject_id)
        found |= {image.image_id: image for image in images}
    return list(found.values())


async def _subject_with(tx: Transaction, gallery: str, digest: str) -> int | None:
    """A removal knows a person by the digest of the reference, so every reference is read: a restoration is rare."""
    async for subject_id, ref in galleries.references(tx, gallery):
        if ref_digest(ref) == digest:
            return subject_id
    return None


async def _is_kept_out(tx: Transaction, gallery: str, kind: RemovalKind, digest: str) -> bool:
    return bool(await galleries.removed_digests(tx, gallery, kind, (digest,)))


def _pictures(images: Sequence[GalleryImageRecord]) -> list[str]:
    return [image.image_object for image in images if image.image_object is not None]
