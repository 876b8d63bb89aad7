"""Pictures on their way into a gallery, a batch at a time: looked at and sealed first, then added in one transaction.

The two halves are apart so that the next batches can be read while one is added.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np

from rtcc_bridge.errors import RejectedError
from rtcc_bridge.gallery.additions import Added, GalleryAdditions, NewImage
from rtcc_bridge.gallery.checked_rows import CheckedRow
from rtcc_bridge.gallery.parts import GalleryParts
from rtcc_bridge.gallery.portraits import Portrait, Portraits
from rtcc_bridge.gallery.set_aside import Reason, SetAsideError
from rtcc_bridge.matching.errors import InferenceError
from rtcc_bridge.matching.types import Float32Array
from rtcc_bridge.storage.galleries import GalleryRecord
from rtcc_bridge.storage.objects import SMALL_BYTES, SealedObject
from rtcc_bridge.turns import limited

PICTURE_KIND: Final = "gallery-picture"
_SEALED_AT_ONCE: Final = 16

ReadPicture: TypeAlias = Callable[[CheckedRow], Awaitable[bytes]]
"""The bytes of a row's picture, and no others: SetAsideError (`require_same`). RejectedError, UnavailableError."""


@dataclass(frozen=True, slots=True, eq=False)
class SeenPicture:
    """A picture with one usable face."""

    row: CheckedRow
    portrait: Portrait
    picture: SealedObject


@dataclass(slots=True)
class PictureBatch:
    """What was read and is not in the gallery yet. The others by the sha256 of their bytes.

    unsealed: pictures with one usable face that wait to be sealed together, with their bytes. refused: rows that ask
    for what does not exist, which is an error of whoever wrote the row.
    """

    seen: list[SeenPicture] = field(default_factory=list)
    unsealed: list[tuple[CheckedRow, Portrait, bytes]] = field(default_factory=list)
    left_out: dict[str, tuple[Reason, str]] = field(default_factory=dict)
    refused: dict[str, RejectedError] = field(default_factory=dict)


class PictureBatches:
    """Reads and adds batches."""

    def __init__(self, parts: GalleryParts, portraits: Portraits, additions: GalleryAdditions, at_once: int) -> None:
        """at_once: pictures that are worked on at the same time."""
        self._parts = parts
        self._portraits = portraits
        self._additions = additions
        self._turns = asyncio.Semaphore(at_once)

    async def read(
        self, gallery: GalleryRecord, rows: Mapping[str, CheckedRow], read_picture: ReadPicture
    ) -> PictureBatch:
        """Looks at the pictures of these rows (by sha256) that may be added, and seals those that show one face.

        Small ones are sealed some at a time, the last of them by `add`. When it fails for good, or is cancelled,
        nothing sealed is left behind.
        """
        async with self._parts.database.read() as tx:
            refs = {sha256: row.subject_ref for sha256, row in rows.items()}
            batch = PictureBatch(left_out=dict(await self._additions.screen(tx, gallery, refs)))

        async def see(row: CheckedRow) -> None:
            try:
                data = await read_picture(row)
                portrait = await self._portraits.read(data)
            except SetAsideError as error:
                batch.left_out[row.sha256] = (error.reason, error.detail)
            except RejectedError as error:
                batch.refused[row.sha256] = error
            else:
                await self._seal_with_others(batch, row, portrait, data)

        try:
            await limited(self._turns, see, [row for sha256, row in rows.items() if sha256 not in batch.left_out])
        except BaseException:
            await self.discard(batch)
            raise
        return batch

    async def add(self, gallery: GalleryRecord, batch: PictureBatch, actor: str) -> Added:
        """Makes the templates and adds the pictures. Commits once. Pictures that are not added are discarded.

        `refused` of the result tells of all that was left out.
        """
        try:
            await self._seal_waiting(batch)
            seen, templates = await self._templates(batch)
        except BaseException:
            await self.discard(batch)
            raise
        if not seen:
            return Added(gallery.version, 0, batch.left_out)
        added = await self._additions.add(gallery, [_new_image(one) for one in seen], templates, actor)
        return Added(added.version, added.images, {**batch.left_out, **added.refused})

    async def discard(self, batch: PictureBatch) -> None:
        """Takes back what was sealed."""
        await self._parts.vault.discard(*(one.picture for one in batch.seen))

    async def _seal_with_others(self, batch: PictureBatch, row: CheckedRow, portrait: Portrait, data: bytes) -> None:
        """Seals a picture, a small one once it has enough company: a visit to the disk costs more than to seal one."""
        if len(data) > SMALL_BYTES:
            batch.seen.append(SeenPicture(row, portrait, await self._parts.vault.seal(PICTURE_KIND, data)))
            return
        batch.unsealed.append((row, portrait, data))
        waiting_bytes = sum(len(waiting) for _, _, waiting in batch.unsealed)
        if len(batch.unsealed) >= _SEALED_AT_ONCE or waiting_bytes >= SMALL_BYTES:
            await self._seal_waiting(batch)

    async def _seal_waiting(self, batch: PictureBatch) -> None:
        waiting, batch.unsealed = batch.unsealed, []
        sealed = await self._parts.vault.seal_together(PICTURE_KIND, [data for _, _, data in waiting])
        batch.seen += [SeenPicture(*one[:2], picture) for one, picture in zip(waiting, sealed, strict=True)]

    async def _templates(self, batch: PictureBatch) -> tuple[list[SeenPicture], Float32Array]:
        """The pictures with their templates. Where the model fails on the batch, each is tried by itself."""
        if not batch.seen:
            return [], np.empty((0, 0), np.float32)
        portraits = [one.portrait for one in batch.seen]
        try:
            return batch.seen, await self._portraits.templates(portraits)
        except (InferenceError, ValueError):
            pass
        kept: list[tuple[SeenPicture, Float32Array]] = []
        for one in batch.seen:
            try:
                kept.append((one, await self._portraits.templates([one.portrait])))
            except InferenceError as error:
                batch.left_out[one.row.sha256] = (Reason.MODEL_FAILED, str(error))
            except ValueError as error:
                batch.left_out[one.row.sha256] = (Reason.POOR_QUALITY, str(error))
        dropped = [one.picture for one in batch.seen if one.row.sha256 in batch.left_out]
        await self._parts.vault.discard(*dropped)
        batch.seen = [one for one, _ in kept]
        templates = [rows for _, rows in kept]
        return batch.seen, np.concatenate(templates) if templates else np.empty((0, 0), np.float32)


def _new_image(seen: SeenPicture) -> NewImage:
    return NewImage(
        subject_ref=seen.row.subject_ref,
        sha256=seen.row.sha256,
        picture=seen.picture,
        provenance=seen.row.provenance,
        lawful_basis=seen.row.lawful_basis,
        retain_until=seen.row.retain_until,
        quality_score=seen.portrait.quality_score,
        taken_on=seen.row.taken_on,
    )
