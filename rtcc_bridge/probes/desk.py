"""Probe intake: a person attaches a still to an incident. Everything else about probes is reached from here too.

Every gate of the policy is asked here and not in the web page, in the transaction that acts on its answer. No
transaction is open while bytes travel, a picture is decoded or an object is written.
"""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any, Final

from rtcc_bridge.errors import ConflictError, InvalidInputError, NotFoundError
from rtcc_bridge.matching.edits import Edit
from rtcc_bridge.matching.types import Lane, NumberedFace
from rtcc_bridge.policy import rules
from rtcc_bridge.policy.accounts import Account
from rtcc_bridge.probes.approval import ApprovalDesk
from rtcc_bridge.probes.authority import authority_of
from rtcc_bridge.probes.case_notes import CaseNotesDesk
from rtcc_bridge.probes.choice import FaceChoice
from rtcc_bridge.probes.covering import OpenApproval, open_approvals, require_other_picture
from rtcc_bridge.probes.declarations import DeclarationDesk
from rtcc_bridge.probes.deferrals import DeferralDesk
from rtcc_bridge.probes.editing import StillEditor
from rtcc_bridge.probes.edits import edits_to_json
from rtcc_bridge.probes.faces import best_quality, faces_to_json, reason_text, too_poor
from rtcc_bridge.probes.grounds import Grounds, ProbeForm, require_intake_grounds, require_lengths
from rtcc_bridge.probes.parts import ProbeParts
from rtcc_bridge.probes.picture_reader import PictureReader
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.probes.state import Approval, ProbeState
from rtcc_bridge.probes.steps import names_of, record_act
from rtcc_bridge.probes.stills import StillViewer, find_probe, observe_stages
from rtcc_bridge.probes.unsettled import UploadSealer
from rtcc_bridge.probes.worker_messages import FoundFacesReport
from rtcc_bridge.storage import incidents, probes
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.objects import ObjectVault, SealedObject
from rtcc_bridge.storage.probes import ProbeRecord
from rtcc_bridge.telemetry.tracing import current_traceparent
from rtcc_bridge.telemetry.work import is_about, taken_up

ORIGINAL_KIND: Final = "probe-original"

_ANIMATED: Final = "animated"
"""The worker's word for a picture of several frames."""


@dataclass(frozen=True, slots=True)
class FrameCut:
    """The frame of a clip that a still is. provenance: which frame of which clip, for the record. on_entered: what
    happens to the clip, in the transaction that enters the still."""

    provenance: Mapping[str, Any]
    on_entered: Callable[[Transaction, ProbeRecord], Awaitable[None]]


class ProbeDesk:
    """Where stills are attached, faces chosen and searches decided on."""

    def __init__(
        self,
        parts: ProbeParts,
        vault: ObjectVault,
        workers: PictureReader,
        *,
        training_gallery: str | None,
        max_upload_bytes: int,
        upload_timeout_seconds: float,
    ) -> None:
        self._parts = parts
        self._vault = vault
        self._workers = workers
        self._stills = StillViewer(parts, vault, workers)
        self._editor = StillEditor(parts, vault, workers)
        self._choice = FaceChoice(parts, vault, workers)
        self._approvals = ApprovalDesk(parts)
        self.deferrals = DeferralDesk(parts)
        self.declarations = DeclarationDesk(parts)
        self.case_notes = CaseNotesDesk(parts)
        self._refusals = RefusalLog(parts.database, parts.audit, parts.metrics)
        self._training_gallery = training_gallery
        self._sealer = UploadSealer(
            ORIGINAL_KIND, "still", parts.database, vault, max_upload_bytes, upload_timeout_seconds
        )

    async def attach(
        self,
        incident_id: str,
        form: ProbeForm,
        analyst: Account,
        upload: AsyncIterator[bytes],
        cut: FrameCut | None = None,
    ) -> ProbeRecord:
        """Takes a still in: asks the gates before a byte of it is read, then seals the original and looks for faces.

        cut: of a still that is a frame of a clip. The probe comes back in state faces_found, or rejected_quality with
        its reason: a result, which has a lead.

        Raises PolicyRefusalError, NotFoundError (incident), ConflictError (broken merge), InvalidInputError (not a
        picture that is accepted, too large, too slow), BusyError, UnavailableError, and what `upload` raises; nothing
        is kept then.
        """
        require_lengths(incident_id, form)
        async with (
            self._refusals.watching(
                actor=analyst.name, action="probe.attach", subject=incident_id, authority={"purpose": form.purpose}
            ),
            AsyncExitStack() as undo,
        ):
            async with self._parts.database.read() as tx:
                grounds = await self.require_grounds(tx, incident_id, form, analyst)
            authority = grounds.authority
            with taken_up("probe.attach", authority.traceparent, incident_id=authority.incident_id):
                sealed = await self._sealer.seal(upload, undo)
                lane = rules.lane_of(imminent_threat=authority.imminent_threat)
                report = await self._look_at(sealed, lane, form.edits)
                names = names_of(case_number=grounds.case_number, requestor=form.requestor)
                await self._parts.audit.prepare(*names.values())
                async with self._parts.database.write() as tx:
                    # Asked again: the incident may have been cancelled while the upload was on its way.
                    await incidents.hold(tx, incident_id)
                    grounds = await self.require_grounds(tx, incident_id, form, analyst)
                    if grounds.same_person_as is not None:
                        await require_other_picture(tx, grounds.same_person_as, sealed.sha256)
                    await self._vault.record(tx, sealed)
                    probe = self._attached(incident_id, grounds, form, analyst, sealed, report)
                    probe = replace(probe, cut_from=None if cut is None else cut.provenance)
                    is_about(probe_id=probe.probe_id, incident_id=probe.incident_id, lane=probe.lane)
                    await self._enter(tx, probe, report.faces)
                    if cut is not None:
                        await cut.on_entered(tx, probe)
            undo.pop_all()
        observe_stages(self._parts.metrics, report.stage_seconds)
        return probe

    async def require_grounds(self, tx: Transaction, incident_id: str, form: ProbeForm, analyst: Account) -> Grounds:
        """Every gate before a still, or a clip that one is cut out of, is taken in; see `require_intake_grounds`."""
        return await require_intake_grounds(
            self._parts, tx, incident_id, form, analyst, training_gallery=self._training_gallery
        )

    async def lane_of(self, incident_id: str) -> Lane:
        """How urgent a still for this incident would be; one that `attach` refuses is not."""
        try:
            async with self._parts.database.read() as tx:
                authority = await authority_of(tx, incident_id, self._parts.policy, self._parts.clock.now())
        except (NotFoundError, ConflictError):
            return Lane.ROUTINE
        return rules.lane_of(imminent_threat=authority.imminent_threat)

    async def open_approvals(self, incident_id: str, analyst: str) -> Sequence[OpenApproval]:
        """The approvals that would cover a further still of the analyst of this name (P01), for themselves to know: so
        the look is not audited; see `covering.open_approvals`."""
        verifier = self._parts.authority_keys.verifier
        if verifier is None:
            return ()  # where no approval can be told for a real one (P30), none covers anything
        policy, now = self._parts.policy, self._parts.clock.now()
        async with self._parts.database.read() as tx:
            return await open_approvals(tx, incident_id, analyst, policy, verifier, now)

    async def edit(self, probe_id: str, edits: Sequence[Edit], account: Account) -> ProbeRecord:
        """The analyst edits the still; see `StillEditor.edit`."""
        return await self._editor.edit(probe_id, edits, account)

    async def choose_face(self, probe_id: str, number: int, account: Account) -> ProbeRecord:
        """The analyst chooses the one face that is searched; see `FaceChoice.choose`."""
        return await self._choice.choose(probe_id, number, account)

    async def approve(self, probe_id: str, account: Account) -> ProbeRecord:
        """A supervisor approves the search; see `ApprovalDesk.approve`."""
        return await self._approvals.approve(probe_id, account)

    async def refuse(self, probe_id: str, account: Account, reason: str) -> ProbeRecord:
        """A supervisor refuses the search; see `ApprovalDesk.refuse`."""
        return await self._approvals.refuse(probe_id, account, reason)

    async def find(self, probe_id: str) -> ProbeRecord:
        """Raises NotFoundError."""
        return await find_probe(self._parts.database, probe_id)

    async def open(self, probe_id: str, account: Account) -> ProbeRecord:
        """The probe for somebody who works on it; see `StillViewer.open`."""
        return await self._stills.open(probe_id, account)

    async def preview(self, probe_id: str, account: Account, tried: Sequence[Edit] | None = None) -> bytes:
        """The still as a JPEG for the screen; see `StillViewer.preview`."""
        return await self._stills.preview(probe_id, account, tried)

    async def _look_at(self, sealed: SealedObject, lane: Lane, edits: Sequence[Edit]) -> FoundFacesReport:
        """Lets a worker find the faces. The still is unsealed only when the worker is there, not while it waits."""

        async def still() -> AsyncIterator[bytes]:
            yield await self._vault.unseal(sealed.object_key, sealed)

        try:
            return await self._workers.inspect(still(), lane, edits)
        except InvalidInputError as error:
            rules.require_still(animated=error.reason == _ANIMATED)
            raise

    def _attached(
        self,
        incident_id: str,
        grounds: Grounds,
        form: ProbeForm,
        analyst: Account,
        sealed: SealedObject,
        report: FoundFacesReport,
    ) -> ProbeRecord:
        now = self._parts.clock.now()
        reasons = too_poor(report.faces)
        return ProbeRecord(
            probe_id=secrets.token_urlsafe(16),
            incident_id=grounds.authority.incident_id,
            named_incident_id=incident_id,
            state=ProbeState.REJECTED_QUALITY if reasons else ProbeState.FACES_FOUND,
            lane=rules.lane_of(imminent_threat=grounds.authority.imminent_threat),
            exercise=grounds.authority.incident.exercise,
            purpose=form.purpose,
            legal_basis=form.legal_basis.strip(),
            case_number=grounds.case_number,
            requestor=form.requestor.strip(),
            analyst=analyst.name,
            original_object=sealed.object_key,
            original_sha256=sealed.sha256,
            image_width=report.width,
            image_height=report.height,
            faces=faces_to_json(report.faces),
            approval=Approval.NONE,
            policy_hash=grounds.policy_hash,
            state_reason=reason_text(reasons),
            traceparent=current_traceparent(),
            warrant_or_exigency=grounds.warrant_or_exigency,
            same_person_as=grounds.same_person_as,
            edits=edits_to_json(form.edits) or None,
            created_at=now,
            updated_at=now,
        )

    async def _enter(self, tx: Transaction, probe: ProbeRecord, faces: Sequence[NumberedFace]) -> None:
        await probes.insert(tx, probe)
        cut_from = {} if probe.cut_from is None else {"cutFrom": dict(probe.cut_from)}
        await record_act(
            self._parts,
            tx,
            probe,
            actor=probe.analyst,
            action="probe.attach",
            outcome=probe.state,
            details={
                "faces": len(faces),
                "samePersonAs": probe.same_person_as,
                "edits": list(probe.edits or ()),
                **cut_from,
            },
        )
        if reasons := too_poor(faces):
            await self._parts.leads.record_rejected_quality(tx, probe, reasons, best_quality(faces))
