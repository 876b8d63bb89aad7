"""Clips: an analyst sends one, looks at its frames, and chooses the one that becomes the still (P03).

A clip is a means to a still and is kept no longer than that takes: sealed like a still, seen by nobody but the analyst
who sent it, and destroyed when a frame was chosen in which a face can be searched, or at its time. Its hash stays on
record, with the frame, so that the still can be cut out of the department's own copy again. No face is looked for in
it.
"""

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from rtcc_bridge.errors import (
    ConflictError,
    IntegrityError,
    NotFoundError,
    PolicyRefusalError,
    UnavailableError,
)
from rtcc_bridge.matching.types import Lane
from rtcc_bridge.policy import rules
from rtcc_bridge.policy.accounts import Account, same_person
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.probes.clip_end import destroy_clip, note_clip
from rtcc_bridge.probes.clip_messages import ClipIndex, ClipPlace
from rtcc_bridge.probes.desk import FrameCut, ProbeDesk
from rtcc_bridge.probes.grounds import Grounds, ProbeForm, require_lengths
from rtcc_bridge.probes.parts import ProbeParts
from rtcc_bridge.probes.picture_reader import ClipReader
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.probes.state import ProbeState
from rtcc_bridge.probes.unsettled import UploadSealer
from rtcc_bridge.storage import clips
from rtcc_bridge.storage.clips import ClipRecord
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.objects import ObjectVault, SealedObject
from rtcc_bridge.storage.probes import ProbeRecord
from rtcc_bridge.telemetry.work import taken_up

CLIP_KIND: Final = "clip"
SHEET_FRAMES: Final = 12
"""Frames that are looked at together: one request serves as many steps."""
SHEET_SIDE_PX: Final = 480
FRAME_SIDE_PX: Final = 1600
MOST_OPEN: Final = 5
"""Clips that one analyst may have waiting."""

_GONE: Final = "This clip is kept no longer: send it again."


@dataclass(frozen=True, slots=True)
class ClipRules:
    """How large a clip may be, how long it may take to arrive, and how long it is kept."""

    max_bytes: int = 100_000_000
    upload_timeout_seconds: float = 120.0
    keep_minutes: int = 60


class ClipDesk:
    """Where clips are sent, looked at, and a frame is chosen."""

    def __init__(
        self,
        parts: ProbeParts,
        vault: ObjectVault,
        workers: ClipReader,
        probes: ProbeDesk,
        clip_rules: ClipRules,
    ) -> None:
        self._parts = parts
        self._vault = vault
        self._workers = workers
        self._probes = probes
        self._rules = clip_rules
        self._refusals = RefusalLog(parts.database, parts.audit, parts.metrics)
        self._sealer = UploadSealer(
            CLIP_KIND, "clip", parts.database, vault, clip_rules.max_bytes, clip_rules.upload_timeout_seconds
        )

    async def attach(
        self, incident_id: str, form: ProbeForm, analyst: Account, upload: AsyncIterator[bytes]
    ) -> ClipRecord:
        """Takes a clip in: asks every gate of a still before a byte of it is read, seals it, finds its frames. Commits.

        Raises PolicyRefusalError, NotFoundError (incident), ConflictError (broken merge, too many clips waiting),
        InvalidInputError (not a clip that is read, too large, too long, too slow; the message says what to do),
        BusyError, UnavailableError, and what `upload` raises; nothing is kept then.
        """
        require_lengths(incident_id, form)
        async with (
            self._refusals.watching(
                actor=analyst.name, action="clip.attach", subject=incident_id, authority={"purpose": form.purpose}
            ),
            AsyncExitStack() as undo,
        ):
            async with self._parts.database.read() as tx:
                grounds = await self._probes.require_grounds(tx, incident_id, form, analyst)
                await _require_room(tx, analyst)
            authority = grounds.authority
            lane = rules.lane_of(imminent_threat=authority.imminent_threat)
            with taken_up("clip.attach", authority.traceparent, incident_id=authority.incident_id):
                sealed = await self._sealer.seal(upload, undo)
                index = await self._workers.clip_index(self._arrived(sealed), lane)
                async with self._parts.database.write() as tx:
                    grounds = await self._probes.require_grounds(tx, incident_id, form, analyst)
                    await _require_room(tx, analyst)
                    await self._vault.record(tx, sealed)
                    clip = self._attached(incident_id, grounds, form, analyst, sealed, index, lane)
                    await clips.add(tx, clip)
                    details = {**clip.facts, "bytes": clip.size_bytes, "frames": len(index.frames)}
                    await note_clip(self._parts, tx, clip, analyst.name, "clip.attach", "kept", details)
            undo.pop_all()
        return clip

    async def open(self, clip_id: str, account: Account) -> ClipRecord:
        """What is known of the clip, also of one that has ended. Each look is audited before it is had (P22, P23).

        Raises PolicyRefusalError (P04, P10), NotFoundError, UnavailableError.
        """
        clip = await self._looked_for(clip_id, account)
        await self._note_look(clip, account, {})
        return clip

    async def sheet(self, clip_id: str, number: int, account: Account) -> bytes:
        """Sheet `number`, from 1: so many frames of those that can be chosen, small, one below the other, as a JPEG.

        Each look is audited before it is had. Raises PolicyRefusalError, NotFoundError, InvalidInputError, BusyError,
        UnavailableError.
        """
        clip = await self._looked_for(clip_id, account)
        start = (number - 1) * SHEET_FRAMES
        places = places_of(clip)[start : start + SHEET_FRAMES]
        if not places:
            raise NotFoundError("The clip has no such sheet.")
        await self._note_look(clip, account, {"sheet": number})
        return (await self._workers.clip_sheet(self._stored(clip), places, SHEET_SIDE_PX, Lane(clip.lane))).jpeg

    async def frame(self, clip_id: str, number: int, account: Account) -> bytes:
        """The frame of that number for the screen, as a JPEG. Audited, and raises, as `sheet`."""
        clip = await self._looked_for(clip_id, account)
        place = _place_of(clip, number)
        await self._note_look(clip, account, {"frame": number})
        return (await self._workers.clip_sheet(self._stored(clip), [place], FRAME_SIDE_PX, Lane(clip.lane))).jpeg

    async def choose(self, clip_id: str, number: int, account: Account) -> ProbeRecord:
        """Makes this frame the still, as if it had been attached with what was stated beside the clip. Commits.

        Every gate is asked again. The clip is destroyed in the same transaction, unless no face in the frame can be
        searched: then another may be chosen until its time. Raises as `ProbeDesk.attach` does, ConflictError when a
        frame was chosen already.
        """
        async with self._refusals.watching(actor=account.name, action="clip.choose", subject=clip_id, authority={}):
            clip = await self._own(clip_id, account)
        if clip.ended_at is not None and clip.probe_id is not None:
            raise ConflictError("A frame of this clip was chosen already: look at its still.")
        place = _place_of(clip, number)

        async def still() -> AsyncIterator[bytes]:
            """Read only once the gates have been asked."""
            yield (await self._workers.clip_still(self._stored(clip), place, Lane(clip.lane))).png

        async def entered(tx: Transaction, probe: ProbeRecord) -> None:
            await self._entered(tx, clip, probe, account)

        cut = FrameCut(provenance(clip, place), entered)
        probe = await self._probes.attach(_named_incident(clip), _form_of(clip), account, still(), cut)
        if probe.state == ProbeState.FACES_FOUND and clip.clip_object is not None:
            with suppress(UnavailableError):  # without a key nobody can read them; the sweep takes them later
                await self._vault.delete(clip.clip_object)
        return probe

    async def _entered(self, tx: Transaction, before: ClipRecord, probe: ProbeRecord, account: Account) -> None:
        clip = await clips.find(tx, before.clip_id, lock=True)
        if clip is None or clip.ended_at is not None:
            raise ConflictError("This clip has ended meanwhile: look at it again.")
        await clips.note_still(tx, clip.clip_id, probe.probe_id)
        if probe.state == ProbeState.FACES_FOUND:
            await destroy_clip(self._parts, self._vault, tx, clip, actor=account.name, outcome="chosen")

    async def _looked_for(self, clip_id: str, account: Account) -> ClipRecord:
        async with self._refusals.watching(actor=account.name, action="clip.view", subject=clip_id, authority={}):
            return await self._own(clip_id, account)

    async def _note_look(self, clip: ClipRecord, account: Account, details: Mapping[str, int]) -> None:
        async with self._parts.database.write() as tx:
            await note_clip(self._parts, tx, clip, account.name, "clip.view", "shown", details)

    async def _own(self, clip_id: str, account: Account) -> ClipRecord:
        require_permission(account, Deed.ATTACH_STILL)
        async with self._parts.database.read() as tx:
            clip = await clips.find(tx, clip_id)
        if clip is None:
            raise NotFoundError("There is no such clip.")
        if not same_person(account.name, clip.analyst):
            raise PolicyRefusalError(
                "P04",
                "Only the analyst who sent the clip sees its frames: the people in them are not masked. The frame that "
                "is chosen comes to the incident as a still.",
            )
        return clip

    async def _arrived(self, sealed: SealedObject) -> AsyncIterator[bytes]:
        yield await self._vault.unseal(sealed.object_key, sealed)

    async def _stored(self, clip: ClipRecord) -> AsyncIterator[bytes]:
        """The clip, unsealed only when a worker is there: what waits for one takes no memory."""
        if clip.clip_object is None:
            raise NotFoundError(_GONE)
        async with self._parts.database.read() as tx:
            key = await self._vault.key_of(tx, clip.clip_object)
        try:
            yield await self._vault.unseal(clip.clip_object, key)
        except IntegrityError as error:
            raise NotFoundError("The stored clip is damaged and cannot be read any more: send it again.") from error

    def _attached(
        self,
        incident_id: str,
        grounds: Grounds,
        form: ProbeForm,
        analyst: Account,
        sealed: SealedObject,
        index: ClipIndex,
        lane: Lane,
    ) -> ClipRecord:
        now = self._parts.clock.now()
        return ClipRecord(
            clip_id=secrets.token_urlsafe(16),
            incident_id=grounds.authority.incident_id,
            analyst=analyst.name,
            purpose=form.purpose,
            lane=lane,
            form={**_form_to_json(form), "incidentId": incident_id},
            clip_object=sealed.object_key,
            clip_sha256=sealed.sha256,
            size_bytes=sealed.size_bytes,
            facts=_facts(index),
            frames=[[one.place.number, one.place.milliseconds, one.sharpness] for one in index.frames],
            created_at=now,
            expires_at=now + timedelta(minutes=self._rules.keep_minutes),
        )


def places_of(clip: ClipRecord) -> Sequence[ClipPlace]:
    """The frames that can be chosen, in their order. Raises NotFoundError when the clip has ended."""
    if clip.frames is None:
        raise NotFoundError(_GONE)
    return [ClipPlace(number, milliseconds) for number, milliseconds, _ in clip.frames]


def provenance(clip: ClipRecord, place: ClipPlace) -> dict[str, Any]:
    """Which frame of which clip a still is, and what was done to stand it upright: enough to cut it out again."""
    return {
        "clipId": clip.clip_id,
        "clipSha256": clip.clip_sha256,
        "container": clip.facts["container"],
        "codec": clip.facts["codec"],
        "frame": place.number,
        "milliseconds": place.milliseconds,
        "rotation": clip.facts["rotation"],
        "pixelAspect": list(clip.facts["pixelAspect"]),
    }


def _place_of(clip: ClipRecord, number: int) -> ClipPlace:
    for place in places_of(clip):
        if place.number == number:
            return place
    raise NotFoundError(f"The clip has no frame {number} that can be chosen.")


def _facts(index: ClipIndex) -> dict[str, Any]:
    return {
        "container": index.container,
        "codec": index.codec,
        "width": index.width,
        "height": index.height,
        "rotation": index.rotation,
        "pixelAspect": list(index.pixel_aspect),
        "damaged": index.damaged,
    }


def _form_to_json(form: ProbeForm) -> dict[str, Any]:
    return {
        "purpose": form.purpose,
        "legalBasis": form.legal_basis,
        "requestor": form.requestor,
        "caseNumber": form.case_number,
        "attestedOriginal": form.attested_original,
        "warrantOrExigency": form.warrant_or_exigency,
        "samePersonAs": form.same_person_as,
    }


def _form_of(clip: ClipRecord) -> ProbeForm:
    form: Mapping[str, Any] | None = clip.form
    if form is None:
        raise NotFoundError(_GONE)
    return ProbeForm(
        purpose=form["purpose"],
        legal_basis=form["legalBasis"],
        requestor=form["requestor"],
        case_number=form["caseNumber"],
        attested_original=form["attestedOriginal"],
        warrant_or_exigency=form["warrantOrExigency"],
        same_person_as=form["samePersonAs"],
    )


def _named_incident(clip: ClipRecord) -> str:
    """The incident that the clip was attached to, and a still of it will be; as far as that was kept."""
    named: str = (clip.form or {}).get("incidentId", clip.incident_id)
    return named


async def _require_room(tx: Transaction, analyst: Account) -> None:
    if await clips.count_open(tx, analyst.name) >= MOST_OPEN:
        raise ConflictError(
            f"{MOST_OPEN} clips of yours wait for a frame to be chosen: choose one of theirs, or wait until their time "
            "is over."
        )
