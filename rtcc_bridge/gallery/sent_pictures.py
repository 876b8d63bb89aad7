"""Pictures that a signed-in person sends for a gallery: checked and looked at here, made templates of by a matcher.

The role web has the sandboxed workers that look at pictures and no key of templates; a matcher has the key, and looks
at no picture. So a picture waits, sealed, with the cut-out of its face, as the still of a search does.
"""

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final

from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.errors import InvalidInputError, NotFoundError
from rtcc_bridge.gallery.additions import GalleryAdditions
from rtcc_bridge.gallery.checked_rows import CheckedRow, check_words, dates_of
from rtcc_bridge.gallery.identity import PackIdentity, require_same_pack
from rtcc_bridge.gallery.parts import GalleryParts
from rtcc_bridge.gallery.portraits import Portrait, PortraitReader, read_portrait
from rtcc_bridge.gallery.set_aside import Reason, SetAsideError
from rtcc_bridge.gallery.sources import ATTESTED, SourceRow, is_text
from rtcc_bridge.policy import rules
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.probes.unsettled import UploadSealer, undo_seal
from rtcc_bridge.storage import galleries, gallery_upkeep, retention_words, sent_pictures
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.galleries import GalleryRecord
from rtcc_bridge.storage.objects import SealedObject
from rtcc_bridge.storage.sent_pictures import SentPictureRecord

SENT_KIND: Final = "sent-picture"
FACE_KIND: Final = "sent-face"
MOST_LISTED: Final = 30
SEND: Final = "gallery.send_picture"
WAITING: Final = "waiting"
LEFT_OUT: Final = "left_out"
_ANOTHERS: Final = "the same picture is enrolled under another reference, or waits to be: look which of them is right"
"""In the place of a detail that says which: nobody is told a reference for having a picture."""
_MOST_DETAIL: Final = 1024


@dataclass(frozen=True, slots=True)
class PictureWords:
    """What is stated beside a picture, as a manifest has it; nothing of it has been checked. taken_on may be empty.

    attested_adult: that the person was an adult, and that no order seals or expunges the record.
    """

    subject_ref: str
    provenance: str
    lawful_basis: str
    retain_until: str
    taken_on: str
    attested_adult: bool


class SentPictureDesk:
    """Where pictures are taken in."""

    def __init__(
        self,
        parts: GalleryParts,
        reader: PortraitReader,
        pack: PackIdentity,
        *,
        fed_gallery: str | None,
        max_upload_bytes: int,
        upload_timeout_seconds: float,
    ) -> None:
        """fed_gallery: the one that the record system's bookings go to, as far as this process's settings say."""
        self._parts = parts
        self._reader = reader
        self._pack = pack
        self._fed_gallery = fed_gallery
        self._additions = GalleryAdditions(parts, pack)
        self._sealer = UploadSealer(
            SENT_KIND, "picture", parts.database, parts.vault, max_upload_bytes, upload_timeout_seconds
        )

    async def require_open(self, gallery: GalleryRecord) -> None:
        """Raises PolicyRefusalError (P06) where no page adds to this gallery, ConflictError: made with another pack,
        UnavailableError.

        That bookings go to it is told by the settings, and by what came before: they may be those of another process.
        """
        follows = gallery.name == self._fed_gallery
        if not follows and gallery.kind != rules.LIVE_GALLERY:  # which is refused in any case, and may hold millions
            async with self._parts.database.read() as tx:
                follows = await retention_words.is_spoken_of(tx, gallery.name)
        rules.require_filled_by_page(gallery_kind=gallery.kind, follows_records=follows)
        require_same_pack(gallery, self._pack)

    async def take(
        self, account: Account, gallery: str, words: PictureWords, upload: AsyncIterator[bytes]
    ) -> SentPictureRecord:
        """Checks the words before a byte of the picture is read, then has a worker look at it. Commits.

        The picture then waits for its template, or is left out with the reason, which is a result. The same picture of
        the same person, sent again while it waits, is the one that waits.

        Raises PolicyRefusalError (P06, P10), NotFoundError (gallery), ConflictError (of another model pack),
        InvalidInputError (words that a manifest's row would be left out for, with that reason; too large, too slow),
        BusyError, UnavailableError, and what `upload` raises; nothing is kept then.
        """
        async with self._parts.watching(account, SEND, f"gallery/{gallery}"), AsyncExitStack() as undo:
            require_permission(account, Deed.ENROLL_PICTURES)
            async with self._parts.database.read() as tx:
                found = await _require_gallery(tx, gallery)
            await self.require_open(found)
            row = _checked(words, self._parts.clock.now())
            picture = await self._sealer.seal(upload, undo)
            row = replace(row, sha256=picture.sha256)
            try:
                async with self._parts.database.read() as tx:  # nobody looks at the picture of who was removed
                    await self._require_new(tx, found, row)
                portrait = await read_portrait(
                    self._reader, await self._parts.vault.unseal(picture.object_key, picture)
                )
            except SetAsideError as error:
                return await self._leave_out(account, gallery, row, error)
            pixels = await self._parts.vault.seal(FACE_KIND, portrait.crop.pixels.tobytes())
            undo_seal(undo, self._parts.database, self._parts.vault, pixels)
            try:
                return await self._enter(account, gallery, row, picture, _face(portrait, pixels), pixels)
            except SetAsideError as error:
                return await self._leave_out(account, gallery, row, error)

    async def newest(self, account: Account, gallery: str) -> Sequence[SentPictureRecord]:
        """What became of those that were sent, the newest first. Raises PolicyRefusalError (P10), UnavailableError."""
        async with self._parts.watching(account, SEND, f"gallery/{gallery}"):
            require_permission(account, Deed.ENROLL_PICTURES)
        async with self._parts.database.read() as tx:
            return await sent_pictures.newest(tx, gallery, MOST_LISTED)

    async def _require_new(self, tx: Transaction, gallery: GalleryRecord, row: CheckedRow) -> None:
        """Raises SetAsideError as an enrolment leaves out."""
        refused = await self._additions.screen(tx, gallery, {row.sha256: row.subject_ref})
        if row.sha256 in refused:
            raise SetAsideError(*refused[row.sha256])

    async def _enter(
        self,
        account: Account,
        gallery: str,
        row: CheckedRow,
        picture: SealedObject,
        face: Mapping[str, Any],
        pixels: SealedObject,
    ) -> SentPictureRecord:
        """Raises SetAsideError when the picture came in, or its person was removed, while it was looked at."""
        async with self._parts.database.write() as tx:
            await gallery_upkeep.hold(tx, gallery)
            await self._require_new(tx, await _require_gallery(tx, gallery), row)
            earlier = await sent_pictures.waiting_of(tx, gallery, row.sha256)
            if earlier is not None and words_of(earlier).subject_ref == row.subject_ref:
                return earlier
            if earlier is not None:
                raise SetAsideError(Reason.DUPLICATE, "the same picture waits to be enrolled")
            record = replace(
                self._record(account, gallery, row),
                words=_words(row),
                face=face,
                picture_object=picture.object_key,
                settled_at=None,
            )
            await self._parts.vault.record(tx, picture, pixels)
            await sent_pictures.add(tx, record)
            await note_picture(self._parts, tx, record, WAITING)
        return record

    async def _leave_out(
        self, account: Account, gallery: str, row: CheckedRow, why: SetAsideError
    ) -> SentPictureRecord:
        told = detail_of(why.reason, why.detail)
        record = replace(self._record(account, gallery, row), reason=why.reason.value, detail=told)
        async with self._parts.database.write() as tx:
            await sent_pictures.add(tx, record)
            await note_picture(self._parts, tx, record, LEFT_OUT)
        if why.reason is Reason.ALREADY_ENROLLED:
            await self._additions.tell_dates(gallery, dates_of([row]), account.name)
        return record

    def _record(self, account: Account, gallery: str, row: CheckedRow) -> SentPictureRecord:
        """Of a picture that is settled at this moment."""
        now = self._parts.clock.now()
        return SentPictureRecord(
            picture_id=secrets.token_urlsafe(16),
            gallery=gallery,
            image_sha256=row.sha256,
            sent_by=account.name,
            sent_at=now,
            settled_at=now,
        )


def words_of(record: SentPictureRecord) -> CheckedRow:
    """What was stated beside a picture that waits."""
    assert record.words is not None
    words = record.words
    return CheckedRow(
        image=record.picture_id,
        sha256=record.image_sha256,
        subject_ref=words["subjectRef"],
        provenance=words["provenance"],
        lawful_basis=words["lawfulBasis"],
        retain_until=datetime.fromisoformat(words["retainUntil"]),
        taken_on=None if words["takenOn"] is None else date.fromisoformat(words["takenOn"]),
    )


def detail_of(reason: Reason, detail: str) -> str:
    """What somebody who sent a picture is told of why it was left out: never whose else it is."""
    return _ANOTHERS if reason is Reason.DUPLICATE else detail[:_MOST_DETAIL]


async def note_picture(parts: GalleryParts, tx: Transaction, record: SentPictureRecord, outcome: str) -> None:
    """Writes the audit entry of what becomes of a picture. It names nobody on it."""
    await parts.audit.append(
        tx,
        actor=record.sent_by,
        action=SEND,
        subject=f"gallery/{record.gallery}",
        outcome=outcome,
        authority={},
        details={"pictureId": record.picture_id, **({} if record.reason is None else {"reason": record.reason})},
    )


async def _require_gallery(tx: Transaction, name: str) -> GalleryRecord:
    found = await galleries.find(tx, name)
    if found is None:
        raise NotFoundError("There is no gallery of this name.")
    return found


def _checked(words: PictureWords, now: datetime) -> CheckedRow:
    """Raises InvalidInputError, whose reason is that for which a manifest's row is left out."""
    attested = ATTESTED if words.attested_adult else ""
    texts = (words.subject_ref, words.provenance, words.lawful_basis, words.retain_until, attested, words.taken_on)
    problem = None if all(map(is_text, texts)) else (Reason.BAD_ROW, "a field holds control characters")
    try:
        return check_words(SourceRow("", *texts, problem), now)
    except SetAsideError as error:
        raise InvalidInputError(f"The picture cannot be enrolled: {error.detail}.", error.reason.value) from error


def _words(row: CheckedRow) -> Mapping[str, Any]:
    return {
        "subjectRef": row.subject_ref,
        "provenance": row.provenance,
        "lawfulBasis": row.lawful_basis,
        "retainUntil": rfc3339(row.retain_until),
        "takenOn": None if row.taken_on is None else row.taken_on.isoformat(),
    }


def _face(portrait: Portrait, pixels: SealedObject) -> Mapping[str, Any]:
    height, width, _ = portrait.crop.pixels.shape
    return {
        "object": pixels.object_key,
        "width": width,
        "height": height,
        "landmarks": portrait.crop.landmarks.tolist(),
        "quality": portrait.quality_score,
    }
