"""Makes templates of the pictures that were sent on a page, and enrols them. A matcher does it: it has the model, and
the key of templates. No picture is decoded here: each comes with the cut-out of its face."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from itertools import groupby
from typing import Final, NoReturn

import structlog

from rtcc_bridge.errors import IntegrityError, NotFoundError, UnavailableError
from rtcc_bridge.gallery.additions import Added, GalleryAdditions
from rtcc_bridge.gallery.checked_rows import CheckedRow, require_same
from rtcc_bridge.gallery.identity import PackIdentity
from rtcc_bridge.gallery.parts import GalleryParts
from rtcc_bridge.gallery.picture_batch import PictureBatches
from rtcc_bridge.gallery.portraits import Portrait
from rtcc_bridge.gallery.sent_pictures import LEFT_OUT, detail_of, note_picture, words_of
from rtcc_bridge.gallery.set_aside import Reason, SetAsideError
from rtcc_bridge.matching.types import FaceCrop, Float32Array
from rtcc_bridge.periodic import periodically
from rtcc_bridge.probes.stored_crop import crop_of
from rtcc_bridge.storage import galleries, sent_pictures
from rtcc_bridge.storage.locks import SoleRight, Work, alone
from rtcc_bridge.storage.sent_pictures import SentPictureRecord

KEPT_FOR: Final = timedelta(days=7)
"""How long it is known what became of a picture."""
_AT_ONCE: Final = 64
_EVERY_SECONDS: Final = 1.0
_READ_AT_ONCE: Final = 4
_ENROLLED: Final = {Reason.ALREADY_ENROLLED, Reason.DUPLICATE}
_DAMAGED: Final = "what was stored of it is damaged: send it again"

_log = structlog.get_logger(__name__)

MakeTemplates = Callable[[Sequence[FaceCrop]], Float32Array]
"""Templates float32 (N, D), each of length 1. Blocks. Raises as `Portraits.templates` does."""


class SentPictureEnroller:
    """Enrols what waits. One process at a time; one that was stopped, and goes on beside the next, does no harm."""

    def __init__(self, parts: GalleryParts, pack: PackIdentity, make_templates: MakeTemplates) -> None:
        self._parts = parts
        self._pack = pack
        self._make_templates = make_templates
        self._additions = GalleryAdditions(parts, pack)

    async def run(self) -> NoReturn:
        """Looks each second until cancelled. An outage is left to the next time."""
        await periodically("enrolling pictures that were sent", self._look, every_seconds=_EVERY_SECONDS)

    async def _look(self) -> None:
        if await self._waiting():
            await alone(self._parts.database, Work.SENT_PICTURES, self._enroll_all)

    async def _enroll_all(self, right: SoleRight) -> None:
        while await self.enroll_some():
            await right.confirm()

    async def enroll_some(self) -> int:
        """Enrols the oldest that wait, or says why not; returns how many. Commits. Raises TransientError."""
        found = await self._waiting()
        by_sender = sorted(found, key=lambda one: (one.gallery, one.sent_by))
        for (gallery, sent_by), some in groupby(by_sender, key=lambda one: (one.gallery, one.sent_by)):
            await self._enroll(gallery, sent_by, {one.image_sha256: one for one in some})
        return len(found)

    async def _waiting(self) -> Sequence[SentPictureRecord]:
        async with self._parts.database.read() as tx:
            return await sent_pictures.waiting(tx, self._pack.template_hash, _AT_ONCE)

    async def _enroll(self, gallery: str, sent_by: str, sent: Mapping[str, SentPictureRecord]) -> None:
        async with self._parts.database.read() as tx:
            record = await galleries.find(tx, gallery)
        assert record is not None

        async def read_picture(row: CheckedRow) -> bytes:
            picture = sent[row.sha256].picture_object
            assert picture is not None
            return await asyncio.to_thread(require_same, row, await _unsealed(self._parts, picture))

        faces = _SentFaces(self._parts, self._make_templates, sent)
        batches = PictureBatches(self._parts, faces, self._additions, _READ_AT_ONCE)
        batch = await batches.read(record, {one: words_of(given) for one, given in sent.items()}, read_picture)
        added = await batches.add(record, batch, sent_by)
        await self._settle(gallery, sent, added)

    async def _settle(self, gallery: str, sent: Mapping[str, SentPictureRecord], added: Added) -> None:
        """Those that turn out to be enrolled under the same reference were so by a run that could not say so."""
        now, version = self._parts.clock.now(), added.version
        objects = [key for one in sent.values() for key in _objects(one)]
        async with self._parts.database.write() as tx:
            known = await galleries.known_images(tx, gallery, added.refused.keys())
            theirs = {one for one in known if known[one].subject_ref == words_of(sent[one]).subject_ref}
            left_out = {one: why for one, why in added.refused.items() if why[0] not in _ENROLLED or one not in theirs}
            await self._parts.vault.destroy(tx, *objects)
            enrolled = [one.picture_id for sha256, one in sent.items() if sha256 not in left_out]
            await sent_pictures.settle(tx, enrolled, at=now, version=version)
            for sha256, (reason, detail) in left_out.items():
                one = sent[sha256]
                told = detail_of(reason, detail)
                if await sent_pictures.settle(tx, [one.picture_id], at=now, reason=reason.value, detail=told):
                    await note_picture(self._parts, tx, replace(one, reason=reason.value), LEFT_OUT)
            await sent_pictures.forget(tx, settled_before=now - KEPT_FOR)
        with suppress(UnavailableError):  # without a key nobody can read them; the sweep takes them later
            await self._parts.vault.delete(*objects)


class _SentFaces:
    """The faces of pictures that wait, by the sha256 of these."""

    def __init__(
        self, parts: GalleryParts, make_templates: MakeTemplates, sent: Mapping[str, SentPictureRecord]
    ) -> None:
        self._parts = parts
        self._make_templates = make_templates
        self._sent = sent

    async def read(self, data: bytes) -> Portrait:
        """Raises SetAsideError, UnavailableError."""
        record = self._sent[hashlib.sha256(data).hexdigest()]
        assert record.face is not None
        face = record.face
        pixels = await _unsealed(self._parts, face["object"])
        try:
            crop = crop_of(pixels, face["width"], face["height"], face["landmarks"], f"picture {record.picture_id}")
        except IntegrityError as error:
            raise SetAsideError(Reason.UNREADABLE, _DAMAGED) from error
        return Portrait(crop, face["quality"])

    async def templates(self, portraits: Sequence[Portrait]) -> Float32Array:
        """As `Portraits.templates` says."""
        return await asyncio.to_thread(self._make_templates, [portrait.crop for portrait in portraits])


async def _unsealed(parts: GalleryParts, object_key: str) -> bytes:
    """Raises SetAsideError when it is damaged or gone, UnavailableError."""
    try:
        async with parts.database.read() as tx:
            key = await parts.vault.key_of(tx, object_key)
        return await parts.vault.unseal(object_key, key)
    except (IntegrityError, NotFoundError) as error:
        _log.error("a picture that was sent cannot be read", error=str(error))
        raise SetAsideError(Reason.UNREADABLE, _DAMAGED) from error


def _objects(record: SentPictureRecord) -> list[str]:
    assert record.face is not None
    assert record.picture_object is not None
    return [record.picture_object, record.face["object"]]
