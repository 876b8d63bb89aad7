"""Pictures for examiners and receivers: opened for a screen, each look audited before it is had (P16, P23)."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import structlog

from rtcc_bridge.errors import ConflictError, IntegrityError, NotFoundError
from rtcc_bridge.leads.examination import ExaminationDesk
from rtcc_bridge.leads.examiners import require_examiner
from rtcc_bridge.leads.life_parts import LifeParts
from rtcc_bridge.leads.material import SealedPicture, has_ended, images_of_lead, pictures_of, still_of
from rtcc_bridge.leads.release import ReleaseDesk
from rtcc_bridge.leads.review import ReviewDesk
from rtcc_bridge.matching.types import Lane
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.policy.permissions import Deed
from rtcc_bridge.probes.picture_reader import PictureReader
from rtcc_bridge.probes.stills import PREVIEW_SIDE_PX
from rtcc_bridge.storage import galleries
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.examinations import ExaminationRecord
from rtcc_bridge.storage.galleries import LivingPicture
from rtcc_bridge.storage.leads import LeadRecord

_GONE: Final = "This picture is kept no longer."

_log = structlog.get_logger(__name__)


class PictureViewer:
    """Shows the two pictures of a comparison. Every call returns a JPEG, upright and without metadata.

    Every call raises as the desk that the list belongs to does, ConflictError when the lead has ended, NotFoundError
    when there is no such picture, BusyError and UnavailableError.
    """

    def __init__(
        self,
        parts: LifeParts,
        workers: PictureReader,
        examination: ExaminationDesk,
        review: ReviewDesk,
        release: ReleaseDesk,
    ) -> None:
        self._parts = parts
        self._workers = workers
        self._examination = examination
        self._review = review
        self._release = release

    async def examined_still(self, lead_id: str, account: Account) -> bytes:
        return await self._still(lead_id, account, Deed.EXAMINE_LEAD, self._examination.own)

    async def examined_candidate(self, lead_id: str, account: Account, ref: str, number: int) -> bytes:
        return await self._candidate(lead_id, account, Deed.EXAMINE_LEAD, self._examination.own, ref, number)

    async def reviewed_still(self, review_id: str, account: Account) -> bytes:
        return await self._still(review_id, account, Deed.REVIEW_LEAD, self._review.own)

    async def reviewed_candidate(self, review_id: str, account: Account, ref: str, number: int) -> bytes:
        return await self._candidate(review_id, account, Deed.REVIEW_LEAD, self._review.own, ref, number)

    async def released_candidate(self, lead_id: str, account: Account, ref: str, number: int) -> bytes:
        """A picture of a candidate that was released, for its receivers."""
        received = await self._release.received(lead_id, account)
        if ref not in {one["candidateRef"] for one in received.release.findings["candidates"]}:
            raise NotFoundError("This candidate was not released.")
        async with self._parts.database.write() as tx:
            images = (await images_of_lead(tx, self._parts.vault, received.lead)).get(ref, ())
            found = await galleries.living_pictures(tx, images)
            picture = _numbered([found[image] for image in sorted(found)], number, Lane(received.lead.lane))
            details = {"candidateRef": ref, "picture": number}
            await self._parts.note(tx, account, "lead.picture", lead_id, "shown", details)
        return await self._jpeg(picture)

    async def dates(self, examination: ExaminationRecord) -> Mapping[str, Sequence[str | None]]:
        """When each picture of each candidate was taken, as far as that is known, by the examiner's own reference.

        One for each picture that can be looked at, in the order of their numbers: so it says how many there are, too.
        """
        async with self._parts.database.read() as tx:
            if await has_ended(tx, examination):
                return {}
            found = await pictures_of(tx, self._parts.vault, examination)
        return {ref: [picture.taken_on for picture in pictures] for ref, pictures in found.items()}

    async def released_counts(self, lead: LeadRecord) -> Mapping[str, int]:
        """How many pictures there are of each candidate of a released lead, by the lead's references."""
        async with self._parts.database.read() as tx:
            images = await images_of_lead(tx, self._parts.vault, lead)
            found = await galleries.living_pictures(tx, {image for some in images.values() for image in some})
        return {ref: sum(image in found for image in some) for ref, some in images.items()}

    async def _still(self, subject: str, account: Account, deed: Deed, own: "_Own") -> bytes:
        async def find(tx: Transaction, examination: ExaminationRecord) -> SealedPicture:
            return await still_of(tx, examination)

        return await self._show(subject, account, deed, own, find, {"picture": "still"})

    async def _candidate(self, subject: str, account: Account, deed: Deed, own: "_Own", ref: str, number: int) -> bytes:
        async def find(tx: Transaction, examination: ExaminationRecord) -> SealedPicture:
            found = await pictures_of(tx, self._parts.vault, examination)
            return _numbered(found.get(ref, ()), number, Lane(examination.lane))

        return await self._show(subject, account, deed, own, find, {"candidateRef": ref, "picture": number})

    async def _show(
        self,
        subject: str,
        account: Account,
        deed: Deed,
        own: "_Own",
        find: Callable[[Transaction, ExaminationRecord], Awaitable[SealedPicture]],
        details: Mapping[str, str | int],
    ) -> bytes:
        action = "examination.picture"
        async with self._parts.watching(account, action, subject):
            require_examiner(account, deed)
            async with self._parts.database.write() as tx:
                examination = await own(tx, subject, account)
                if await has_ended(tx, examination):
                    raise ConflictError("The lead has ended: its pictures are shown to nobody any more.")
                picture = await find(tx, examination)
                await self._parts.note(tx, account, action, examination.examination_id, "shown", details)
        return await self._jpeg(picture)

    async def _jpeg(self, picture: SealedPicture) -> bytes:
        async with self._parts.database.read() as tx:
            key = await self._parts.vault.key_of(tx, picture.object_key)
        try:
            data = await self._parts.vault.unseal(picture.object_key, key)
        except IntegrityError as error:
            _log.error("a picture cannot be read", object_key=picture.object_key, error=str(error))
            raise NotFoundError("The stored picture is damaged and cannot be read any more.") from error
        masks, lane = (picture.chosen, picture.others), picture.lane
        shown = await self._workers.preview(data, PREVIEW_SIDE_PX, *masks, lane, picture.edits)
        return shown.jpeg


_Own = Callable[[Transaction, str, Account], Awaitable[ExaminationRecord]]
"""The examination that a lead's or a review's id means, for its own examiner; raises for everybody else."""


def _numbered(pictures: Sequence[LivingPicture], number: int, lane: Lane) -> SealedPicture:
    """From 1. Raises NotFoundError."""
    if not 1 <= number <= len(pictures):
        raise NotFoundError(_GONE)
    return SealedPicture(pictures[number - 1].object_key, lane)
