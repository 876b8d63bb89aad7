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

from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.errors import IntegrityError, InvalidInputError, NotFoundError
from rtcc_bridge.gallery.sources import COLUMNS
from rtcc_bridge.policy import rules
from rtcc_bridge.storage import galleries, gallery_upkeep
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.galleries import GalleryImageRecord
from rtcc_bridge.storage.objects import ObjectVault

MANIFEST: Final = "manifest.csv"
PICTURES: Final = "pictures"
EXPORT_COLUMNS: Final = (*COLUMNS, "image_sha256", "quality_score", "added_version")
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

    def __init__(self, database: Database, vault: ObjectVault, audit: AuditLog) -> None:
        self._database = database
        self._vault = vault
        self._audit = audit

    async def export(
        self,
        name: str,
        folder: Path,
        *,
        with_pictures: bool,
        actor: str,
        approved_by: str | None,
        on_exported: OnExported,
    ) -> ExportReceipt:
        """Writes the images that are searched. Run again it leaves the pictures that are there already.

        Commits the audit entry before the first row is written. Raises PolicyRefusalError (P30) when a live gallery is
        exported by one person alone, NotFoundError, InvalidInputError when the folder cannot be written to,
        UnavailableError.
        """
        async with self._database.write() as tx:
            gallery = await galleries.find(tx, name)
            if gallery is None:
                raise NotFoundError(
                    f"there is no gallery {name}: `rtcc-bridge gallery stats` lists those that there are"
                )
            rules.require_second_person(gallery_kind=gallery.kind, actor=actor, approved_by=approved_by)
            await self._audit.append(
                tx,
                actor=actor,
                action="gallery.exported",
                subject=f"gallery/{name}",
                outcome="begun",
                authority={} if approved_by is None else {"approvedBy": approved_by},
                details={"version": gallery.version, "withPictures": with_pictures},
            )
        async with self._database.read() as tx:
            total = await gallery_upkeep.count_living(tx, name)
        try:
            await asyncio.to_thread(_make, folder, with_pictures)
            images, pictures, unreadable = await self._write(name, folder, with_pictures, total, on_exported)
        except OSError as error:
            raise InvalidInputError(f"{folder} cannot be written to: {error.strerror}") from error
        return ExportReceipt(name, gallery.version, images, pictures, unreadable)

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


def _row(image: GalleryImageRecord, ref: str, file: str) -> tuple[Any, ...]:
    until = rfc3339(image.retain_until)
    words = (file, ref, image.provenance, image.lawful_basis, until)
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
