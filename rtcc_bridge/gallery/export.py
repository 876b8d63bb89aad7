"""Writes down what a gallery holds: a manifest that an enrolment reads again, and the pictures when they are asked for.

Templates are not exported: another model pack cannot read them, and who has them can search. Pictures leave the sealed
store in the clear, so the folder is for its owner alone.
"""

import asyncio
import csv
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.errors import IntegrityError, InvalidInputError, NotFoundError
from rtcc_bridge.gallery.parts import GalleryParts
from rtcc_bridge.gallery.sources import ATTESTED, COLUMNS, TAKEN_ON
from rtcc_bridge.policy import rules
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.policy.rules import ExportOrderFacts
from rtcc_bridge.storage import galleries, gallery_upkeep
from rtcc_bridge.storage.galleries import GalleryImageRecord
from rtcc_bridge.storage.orders import EXPORT_ORDERS, ExportOrderRecord

MANIFEST: Final = "manifest.csv"
PICTURES: Final = "pictures"
EXPORT_COLUMNS: Final = (*COLUMNS, TAKEN_ON, "image_sha256", "quality_score", "added_version")
_EXPORT: Final = "gallery.exported"
_AT_ONCE: Final = 500

OnExported: TypeAlias = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ExportReceipt:
    """What was written. unreadable: pictures that could not be unsealed; `gallery verify` says why."""

    gallery: str
    version: int
    images: int
    pictures: int
    unreadable: int


class GalleryExport:
    """Exports galleries."""

    def __init__(self, parts: GalleryParts) -> None:
        self._parts = parts
        self._database = parts.database
        self._vault = parts.vault

    async def export(
        self,
        name: str,
        folder: Path,
        *,
        with_pictures: bool,
        account: Account,
        order_id: str | None,
        on_exported: OnExported,
    ) -> ExportReceipt:
        """Writes the images that are searched. Run again it leaves the pictures that are there already.

        order_id: what two people ordered, without which only a demo's is exported; it is good for one export, which
        may be interrupted and gone on with. Commits the audit entry before the first row is written. Raises
        PolicyRefusalError (P10; P30), NotFoundError, InvalidInputError when the folder cannot be written to,
        UnavailableError.
        """
        async with self._parts.watching(account, _EXPORT, f"gallery/{name}"):
            require_permission(account, Deed.EXPORT_GALLERY)
            version = await self._begin(name, folder, account, order_id, with_pictures=with_pictures)
        async with self._database.read() as tx:
            total = await gallery_upkeep.count_living(tx, name)
        try:
            await asyncio.to_thread(_make, folder, with_pictures)
            images, pictures, unreadable = await self._write(name, folder, with_pictures, total, on_exported)
        except OSError as error:
            raise InvalidInputError(f"{folder} cannot be written to: {error.strerror}") from error
        if order_id is not None:
            async with self._database.write() as tx:
                await EXPORT_ORDERS.use(tx, order_id, self._parts.clock.now())
        return ExportReceipt(name, version, images, pictures, unreadable)

    async def _begin(
        self, name: str, folder: Path, account: Account, order_id: str | None, *, with_pictures: bool
    ) -> int:
        """The gates and the entry; returns the gallery's version."""
        target = hashlib.sha256(os.fsencode(await asyncio.to_thread(folder.resolve))).hexdigest()
        async with self._database.write() as tx:
            gallery = await galleries.find(tx, name)
            if gallery is None:
                raise NotFoundError(
                    f"there is no gallery {name}: `rtcc-bridge gallery stats` lists those that there are"
                )
            order = None if order_id is None else await EXPORT_ORDERS.find(tx, order_id, lock=True)
            if order_id is not None and order is None:
                raise NotFoundError("there is no such order to export")
            rules.require_export_order(
                gallery=name,
                gallery_kind=gallery.kind,
                with_pictures=with_pictures,
                folder=target,
                order=None if order is None else _facts(order),
                now=self._parts.clock.now(),
            )
            authority = {}
            if order is not None:
                await EXPORT_ORDERS.begin(tx, order.order_id, target)
                authority = {"order": order.order_id, "askedBy": order.asked_by, "approvedBy": order.approved_by}
            await self._parts.audit.append(
                tx,
                actor=account.name,
                action=_EXPORT,
                subject=f"gallery/{name}",
                outcome="begun",
                authority=authority,
                details={"version": gallery.version, "withPictures": with_pictures},
            )
        return gallery.version

    async def _write(
        self, name: str, folder: Path, with_pictures: bool, total: int, on_exported: OnExported
    ) -> tuple[int, int, int]:
        images = pictures = unreadable = 0
        draft = folder / f"{MANIFEST}.part"
        with await asyncio.to_thread(_open_private, draft) as opened:
            rows = csv.writer(opened)
            rows.writerow(EXPORT_COLUMNS)
            after = -1
            while True:
                async with self._database.read() as tx:
                    some = await gallery_upkeep.living_after(tx, name, after, _AT_ONCE)
                    refs = await galleries.subject_refs(tx, {image.subject_id for image in some})
                if not some:
                    break
                after = some[-1].image_id
                for image in some:
                    written = with_pictures and await self._write_picture(folder, image)
                    pictures += written
                    unreadable += with_pictures and image.image_object is not None and not written
                    rows.writerow(_row(image, refs[image.subject_id], _file_of(image) if written else ""))
                images += len(some)
                on_exported(images, total)
        await asyncio.to_thread(draft.replace, folder / MANIFEST)
        return images, pictures, unreadable

    async def _write_picture(self, folder: Path, image: GalleryImageRecord) -> bool:
        if image.image_object is None:
            return False
        file = folder / _file_of(image)
        if await asyncio.to_thread(_holds, file, image.image_sha256):
            return True
        try:
            async with self._database.read() as tx:
                key = await self._vault.key_of(tx, image.image_object)
            data = await self._vault.unseal(image.image_object, key)
        except (IntegrityError, NotFoundError):
            return False
        await asyncio.to_thread(_write_private, file, data)
        return True


def _facts(order: ExportOrderRecord) -> ExportOrderFacts:
    return ExportOrderFacts(
        gallery=order.gallery,
        with_pictures=order.with_pictures,
        asked_by=order.asked_by,
        asked_at=order.asked_at,
        approved_by=order.approved_by,
        approved_at=order.approved_at,
        folder=order.folder,
        finished=order.finished_at is not None,
    )


def _row(image: GalleryImageRecord, ref: str, file: str) -> tuple[Any, ...]:
    """What is searched was attested when it came in, and whom the record system closed since is searched no more."""
    until = rfc3339(image.retain_until)
    words = (file, ref, image.provenance, image.lawful_basis, until, ATTESTED, image.taken_on or "")
    return (*words, image.image_sha256, image.quality_score, image.added_version)


def _file_of(image: GalleryImageRecord) -> str:
    return f"{PICTURES}/{image.image_sha256}"


def _make(folder: Path, with_pictures: bool) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if with_pictures:
        (folder / PICTURES).mkdir(mode=0o700, exist_ok=True)


def _open_private(path: Path) -> Any:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    return os.fdopen(descriptor, "w", encoding="utf-8", newline="")


def _write_private(path: Path, data: bytes) -> None:
    draft = path.with_suffix(".part")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as opened:
        opened.write(data)
    draft.replace(path)


def _holds(path: Path, sha256: str) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except OSError:
        return False
