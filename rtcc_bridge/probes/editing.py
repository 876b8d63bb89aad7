"""The analyst edits a still before a face is chosen (P05): the steps are recorded, the original stays as it came."""

from collections.abc import AsyncIterator, Sequence

from rtcc_bridge.errors import ConflictError, InvalidInputError, PolicyRefusalError
from rtcc_bridge.matching.edits import Edit
from rtcc_bridge.matching.types import Lane
from rtcc_bridge.policy.accounts import Account, same_person
from rtcc_bridge.policy.certificates import marks
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.probes.authority import authority_of, require_still_permitted
from rtcc_bridge.probes.edits import edits_to_json
from rtcc_bridge.probes.faces import faces_to_json, reason_text, too_poor
from rtcc_bridge.probes.parts import ProbeParts
from rtcc_bridge.probes.picture_reader import PictureReader
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.probes.state import ProbeState
from rtcc_bridge.probes.steps import take_step
from rtcc_bridge.probes.stills import find_probe, observe_stages, open_original
from rtcc_bridge.probes.worker_messages import FoundFacesReport
from rtcc_bridge.storage import probes
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.objects import ObjectVault
from rtcc_bridge.storage.probes import ProbeRecord

_ACTION = "probe.edit"


class StillEditor:
    """Where stills are edited."""

    def __init__(self, parts: ProbeParts, vault: ObjectVault, workers: PictureReader) -> None:
        self._parts = parts
        self._vault = vault
        self._workers = workers
        self._refusals = RefusalLog(parts.database, parts.audit, parts.metrics)

    async def edit(self, probe_id: str, edits: Sequence[Edit], account: Account) -> ProbeRecord:
        """Puts these steps in the place of the earlier ones; none at all brings the original back.

        The faces are looked for anew in the edited picture. Raises PolicyRefusalError, NotFoundError, ConflictError
        (a face was chosen already), InvalidInputError (a step that cannot be done, or after which no face is good
        enough: the still stays as it was), BusyError, UnavailableError.
        """
        probe = await find_probe(self._parts.database, probe_id)
        async with self._refusals.watching(
            actor=account.name, action=_ACTION, subject=probe_id, authority={"purpose": probe.purpose}
        ):
            _require_editor(account, probe)
            _require_unchosen(probe)
            async with self._parts.database.read() as tx:
                await self._require_permitted(tx, probe)
            original = await open_original(self._parts.database, self._vault, probe)
            report = await self._workers.inspect(_whole(original), Lane(probe.lane), edits)
            if reasons := too_poor(report.faces):
                raise InvalidInputError(f"After these edits nothing can be searched: {reason_text(reasons)}", "edits")
            async with self._parts.database.write() as tx:
                updated = await self._record(tx, probe_id, edits, report, account)
        observe_stages(self._parts.metrics, report.stage_seconds)
        return updated

    async def _record(
        self, tx: Transaction, probe_id: str, edits: Sequence[Edit], report: FoundFacesReport, account: Account
    ) -> ProbeRecord:
        probe = await probes.find(tx, probe_id, lock=True)
        assert probe is not None, "probes are never deleted"
        _require_unchosen(probe)
        await self._require_permitted(tx, probe)
        steps = edits_to_json(edits)
        changes = {
            "edits": steps or None,
            "faces": faces_to_json(report.faces),
            "image_width": report.width,
            "image_height": report.height,
        }
        held = marks(account.certificates, self._parts.policy.certificates, self._parts.clock.now())
        details = {"edits": steps, "faces": len(report.faces), **held}
        return await take_step(self._parts, tx, probe, changes, actor=account.name, action=_ACTION, details=details)

    async def _require_permitted(self, tx: Transaction, probe: ProbeRecord) -> None:
        policy = self._parts.policy
        authority = await authority_of(tx, probe.attached_to, policy, self._parts.clock.now())
        require_still_permitted(policy, probe, authority)


def _require_editor(account: Account, probe: ProbeRecord) -> None:
    require_permission(account, Deed.EDIT_STILL)
    if not same_person(account.name, probe.analyst):
        raise PolicyRefusalError("P05", "Only the analyst who attached the still edits it.")


def _require_unchosen(probe: ProbeRecord) -> None:
    if probe.state != ProbeState.FACES_FOUND:
        raise ConflictError(f"A still can be edited until a face is chosen, and this probe is {probe.state} already.")


async def _whole(data: bytes) -> AsyncIterator[bytes]:
    yield data
