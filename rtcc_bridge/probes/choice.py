"""The analyst chooses the one face that is searched; what travels on is a cut-out of that face alone (P04)."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.errors import ConflictError, PolicyRefusalError
from rtcc_bridge.matching.types import Lane, NumberedFace
from rtcc_bridge.policy import rules
from rtcc_bridge.policy.accounts import Account, same_person
from rtcc_bridge.policy.certificates import REQUIRED_CERTIFICATES, expired_since
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.probes.authority import IncidentAuthority, authority_of, require_still_permitted
from rtcc_bridge.probes.faces import bystanders, face_of_number, faces_from_json, quality_to_json, reason_text, refusals
from rtcc_bridge.probes.parts import ProbeParts
from rtcc_bridge.probes.picture_reader import PictureReader
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.probes.search_request import requested_now, search_request
from rtcc_bridge.probes.state import Approval, ProbeState
from rtcc_bridge.probes.steps import take_step
from rtcc_bridge.probes.stills import find_probe, observe_stages, open_original
from rtcc_bridge.probes.unsettled import undo_seal
from rtcc_bridge.probes.worker_messages import CroppedFace
from rtcc_bridge.storage import probes
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.objects import ObjectVault, SealedObject
from rtcc_bridge.storage.probes import ProbeRecord
from rtcc_bridge.telemetry.work import taken_up

CROP_KIND: Final = "probe-crop"

_ACTION: Final = "probe.choose_face"


class FaceChoice:
    """Where a face is chosen and its search gets its authority."""

    def __init__(self, parts: ProbeParts, vault: ObjectVault, workers: PictureReader) -> None:
        self._parts = parts
        self._vault = vault
        self._workers = workers
        self._refusals = RefusalLog(parts.database, parts.audit, parts.metrics)

    async def choose(self, probe_id: str, number: int, account: Account) -> ProbeRecord:
        """Records the choice; only that face is cut out, and nothing is embedded before.

        A face that is too poor ends the probe as rejected_quality. Otherwise the search waits for its approval, or, for
        an imminent threat, has its authority now and the approval may follow (P14).

        Raises PolicyRefusalError, NotFoundError (probe, face or still), ConflictError (chosen already, or withdrawn),
        InvalidInputError (the worker failed on the picture), BusyError, UnavailableError.
        """
        probe = await find_probe(self._parts.database, probe_id)
        async with (
            self._refusals.watching(
                actor=account.name, action=_ACTION, subject=probe_id, authority={"purpose": probe.purpose}
            ),
            AsyncExitStack() as undo,
        ):
            _require_chooser(account, probe)
            if probe.state != ProbeState.FACES_FOUND:
                raise ConflictError(f"A face can be chosen only once, and this probe is {probe.state} already.")
            with taken_up(_ACTION, probe.traceparent, probe_id=probe_id, incident_id=probe.incident_id):
                return await self._choose(probe, number, account, undo)

    async def _choose(self, probe: ProbeRecord, number: int, account: Account, undo: AsyncExitStack) -> ProbeRecord:
        async with self._parts.database.read() as tx:
            authority = await self._require_permitted(tx, probe)
        lane = rules.lane_of(imminent_threat=authority.imminent_threat, earlier=Lane(probe.lane))
        faces = faces_from_json(probe.faces or ())
        chosen = face_of_number(faces, number)
        if reasons := refusals(chosen, named=len(faces) > 1):
            return await self._reject(probe, chosen, reasons, account)
        cropped, sealed = await self._cut_out(probe, chosen, faces, lane, undo)
        async with self._parts.database.write() as tx:
            updated = await self._authorize(tx, probe, chosen, cropped, sealed, account)
        undo.pop_all()
        observe_stages(self._parts.metrics, cropped.stage_seconds)
        return updated

    async def _require_permitted(self, tx: Transaction, probe: ProbeRecord) -> IncidentAuthority:
        authority = await authority_of(tx, probe.incident_id, self._parts.policy, self._parts.clock.now())
        require_still_permitted(self._parts.policy, probe, authority)
        return authority

    async def _reject(
        self, probe: ProbeRecord, chosen: NumberedFace, reasons: Sequence[str], account: Account
    ) -> ProbeRecord:
        changes = {
            "state": ProbeState.REJECTED_QUALITY,
            "chosen_face": chosen.number,
            "chosen_at": self._parts.clock.now(),
            "state_reason": reason_text(reasons),
        }
        async with self._parts.database.write() as tx:
            await self._require_permitted(tx, probe)
            updated = await take_step(
                self._parts, tx, probe, changes, actor=probe.analyst, action=_ACTION, details=self._marks(account)
            )
            await self._parts.leads.record_rejected_quality(tx, updated, reasons, quality_to_json(chosen.quality))
        return updated

    async def _cut_out(
        self,
        probe: ProbeRecord,
        chosen: NumberedFace,
        faces: Sequence[NumberedFace],
        lane: Lane,
        undo: AsyncExitStack,
    ) -> tuple[CroppedFace, SealedObject]:
        original = await open_original(self._parts.database, self._vault, probe)
        cropped = await self._workers.crop(original, chosen.face, bystanders(faces, chosen.number), lane)
        sealed = await self._vault.seal(CROP_KIND, cropped.crop.pixels.tobytes())
        undo_seal(undo, self._parts.database, self._vault, sealed)
        return cropped, sealed

    async def _authorize(
        self,
        tx: Transaction,
        probe: ProbeRecord,
        chosen: NumberedFace,
        cropped: CroppedFace,
        sealed: SealedObject,
        account: Account,
    ) -> ProbeRecord:
        """Records the choice, and asks for the search where an imminent threat lets the approval follow (P14)."""
        parts, now = self._parts, self._parts.clock.now()
        authority = await self._require_permitted(tx, probe)
        unapproved = await probes.count_unapproved_deferrals(tx, probe.analyst, (ProbeState.FACES_FOUND,))
        approve_by = rules.approval_deadline(
            parts.policy, imminent_threat=authority.imminent_threat, unapproved=unapproved, now=now
        )
        height, width = cropped.crop.pixels.shape[:2]
        changes: dict[str, Any] = {
            "incident_id": authority.incident_id,
            "state": ProbeState.AWAITING_APPROVAL if approve_by is None else ProbeState.AUTHORIZED,
            "lane": rules.lane_of(imminent_threat=authority.imminent_threat, earlier=Lane(probe.lane)),
            "chosen_face": chosen.number,
            "chosen_at": now,
            "crop_object": sealed.object_key,
            "crop_width": width,
            "crop_height": height,
            "crop_landmarks": cropped.crop.landmarks.tolist(),
            "approval": Approval.PENDING,
            "approve_by": approve_by,
            "policy_hash": parts.policy.hash,
        }
        if approve_by is not None:
            changes |= {"authority_at": now, **requested_now(now, probe.requests)}
        await self._vault.record(tx, sealed)
        details = {"faces": len(probe.faces or ()), "deferred": approve_by is not None, **self._marks(account)}
        updated = await take_step(parts, tx, probe, changes, actor=probe.analyst, action=_ACTION, details=details)
        if approve_by is not None:
            await parts.outbox.put(tx, search_request(updated, parts.topics))
        return updated

    def _marks(self, account: Account) -> dict[str, str]:
        """Work that was begun with certificates in date is finished without them, and the audit log says so (P10)."""
        since = expired_since(account.certificates, REQUIRED_CERTIFICATES, self._parts.clock.now())
        return {} if since is None else {"certificateExpiredSince": rfc3339(since)}


def _require_chooser(account: Account, probe: ProbeRecord) -> None:
    require_permission(account, Deed.CHOOSE_FACE)
    if not same_person(account.name, probe.analyst):
        raise PolicyRefusalError("P04", "Only the analyst who attached the still chooses the face in it.")
