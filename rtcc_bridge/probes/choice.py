"""The analyst chooses the one face that is searched; what travels on is a cut-out of that face alone (P04)."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

from rtcc_bridge.errors import ConflictError, PolicyRefusalError
from rtcc_bridge.matching.types import Lane, NumberedFace
from rtcc_bridge.policy import rules
from rtcc_bridge.policy.accounts import Account, same_person
from rtcc_bridge.policy.certificates import marks
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.policy.policy_file import Policy
from rtcc_bridge.probes.authority import (
    IncidentAuthority,
    authority_of,
    require_open_case,
    require_still_permitted,
)
from rtcc_bridge.probes.covering import still_covering
from rtcc_bridge.probes.edits import edits_from_json
from rtcc_bridge.probes.faces import bystanders, face_of_number, faces_from_json, quality_to_json, reason_text, refusals
from rtcc_bridge.probes.parts import ProbeParts
from rtcc_bridge.probes.picture_reader import PictureReader
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.probes.search_request import requested_now
from rtcc_bridge.probes.state import Approval, ProbeState
from rtcc_bridge.probes.steps import request_search, take_step
from rtcc_bridge.probes.stills import find_probe, observe_stages, open_original
from rtcc_bridge.probes.unsettled import undo_seal
from rtcc_bridge.probes.worker_messages import CroppedFace
from rtcc_bridge.storage import deferral_lifts, probes
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
        an imminent threat, has its authority now and the approval may follow (P14); so has one that the approval of an
        earlier still of the same person covers (P01).

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
            authority = await self._require_permitted(tx, probe, self._parts.policy)
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

    async def _require_permitted(self, tx: Transaction, probe: ProbeRecord, policy: Policy) -> IncidentAuthority:
        now = self._parts.clock.now()
        self._parts.policy_in_force.require_in_date(now)
        authority = await authority_of(tx, probe.attached_to, policy, now)
        require_still_permitted(policy, probe, authority)
        await require_open_case(tx, probe.case_number)
        rules.require_declared_by_another(probe.analyst, authority.declared_by)
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
            await self._require_permitted(tx, probe, self._parts.policy)
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
        original, edits = (
            await open_original(self._parts.database, self._vault, probe),
            edits_from_json(probe.edits or ()),
        )
        cropped = await self._workers.crop(original, chosen.face, bystanders(faces, chosen.number), lane, edits)
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
        """Records the choice, and asks for the search where an approval covers it (P01) or may follow it (P14)."""
        parts, policy, now = self._parts, self._parts.policy, self._parts.clock.now()
        authority = await self._require_permitted(tx, probe, policy)
        verifier = parts.authority_keys.require_verifier()
        first = await still_covering(tx, probe, sealed.sha256, policy, verifier, now)
        unapproved = await probes.count_unapproved_deferrals(
            tx,
            probe.analyst,
            (ProbeState.FACES_FOUND,),
            lifted_at=await deferral_lifts.last_of(tx, probe.analyst),
        )
        await _require_unedited(tx, probe)
        approve_by = rules.approval_deadline(
            policy, imminent_threat=authority.imminent_threat, unapproved=unapproved, now=now
        )
        if first is not None:
            approve_by = None  # nothing is left to follow
        has_authority = first is not None or approve_by is not None
        height, width = cropped.crop.pixels.shape[:2]
        changes: dict[str, Any] = {
            "incident_id": authority.incident_id,
            "state": ProbeState.AUTHORIZED if has_authority else ProbeState.AWAITING_APPROVAL,
            "lane": rules.lane_of(imminent_threat=authority.imminent_threat, earlier=Lane(probe.lane)),
            "chosen_face": chosen.number,
            "chosen_at": now,
            "crop_object": sealed.object_key,
            "crop_width": width,
            "crop_height": height,
            "crop_landmarks": cropped.crop.landmarks.tolist(),
            "crop_sha256": sealed.sha256,
            "approval": Approval.PENDING,
            "approve_by": approve_by,
            "policy_hash": policy.hash,
        }
        if first is not None:
            changes |= {
                "approval": Approval.GRANTED,
                "approved_by": first.approved_by,
                "approved_at": first.approved_at,
            }
        if has_authority:
            changes |= {"authority_at": now, **requested_now(now, probe.requests)}
        await self._vault.record(tx, sealed)
        details = {
            "faces": len(probe.faces or ()),
            "deferred": approve_by is not None,
            "coveredBy": None if first is None else first.probe_id,
            **self._marks(account),
        }
        updated = await take_step(parts, tx, probe, changes, actor=probe.analyst, action=_ACTION, details=details)
        if has_authority:
            await request_search(parts, tx, updated)
        return updated

    def _marks(self, account: Account) -> dict[str, str]:
        """Work that was begun with certificates in date is finished without them, and the audit log says so (P10)."""
        return marks(account.certificates, self._parts.policy.certificates, self._parts.clock.now())


async def _require_unedited(tx: Transaction, probe: ProbeRecord) -> None:
    """The face was cut out of the picture as the row still says. Every row that may be chosen in is held by now."""
    current = await probes.find(tx, probe.probe_id)
    if current is None or current.edits != probe.edits:
        raise ConflictError("The still was edited meanwhile: look at its faces again.")


def _require_chooser(account: Account, probe: ProbeRecord) -> None:
    require_permission(account, Deed.CHOOSE_FACE)
    if not same_person(account.name, probe.analyst):
        raise PolicyRefusalError(
            "P04", "Only the analyst who attached the still chooses the face in it: have them choose it."
        )
