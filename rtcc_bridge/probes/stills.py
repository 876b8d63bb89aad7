"""The sealed stills of probes: opened for a screen or for cutting a face out, never for anything else."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import structlog

from rtcc_bridge.errors import ConflictError, IntegrityError, NotFoundError, PolicyRefusalError
from rtcc_bridge.leads.examiners import require_not_blind
from rtcc_bridge.matching.edits import Edit
from rtcc_bridge.matching.types import Lane
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.policy.accounts import Account, same_person
from rtcc_bridge.policy.permissions import Deed, require_permission
from rtcc_bridge.probes.edits import edits_from_json, edits_to_json
from rtcc_bridge.probes.faces import bystanders, face_of_number, faces_from_json
from rtcc_bridge.probes.parts import ProbeParts
from rtcc_bridge.probes.picture_reader import PictureReader
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.probes.steps import record_act
from rtcc_bridge.storage import probe_openings, probes
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.objects import ObjectVault
from rtcc_bridge.storage.probes import ProbeRecord

PREVIEW_SIDE_PX: Final = 1600

_log = structlog.get_logger(__name__)


class StillViewer:
    """Shows stills to those who work on them."""

    def __init__(self, parts: ProbeParts, vault: ObjectVault, workers: PictureReader) -> None:
        self._parts = parts
        self._vault = vault
        self._workers = workers
        self._refusals = RefusalLog(parts.database, parts.audit, parts.metrics)

    async def preview(self, probe_id: str, account: Account, tried: Sequence[Edit] | None = None) -> bytes:
        """The still as a JPEG, upright and without metadata; once a face is chosen the others are masked (P04).

        tried: steps to look at in the place of the recorded ones, before a face is chosen; none of them: the original.
        Before, everybody in it is shown to the analyst who has to choose, and the still to nobody else. Each look is
        audited before it is had (P16, P23).

        Raises PolicyRefusalError, NotFoundError, ConflictError (steps tried when a face is chosen already),
        InvalidInputError (steps that cannot be done), BusyError, UnavailableError.
        """
        probe = await find_probe(self._parts.database, probe_id)
        async with self._watching(probe, account, "probe.preview"):
            require_permission(account, Deed.SEE_PROBE)
            await self._require_not_blind(account, probe)
            _require_masked(probe, account)
        if tried is not None and probe.chosen_face is not None:
            raise ConflictError("A face is chosen: the still is shown as it is searched.")
        details = {} if tried is None else {"tried": edits_to_json(tried)}
        await self._note(probe, account, "probe.preview", details)
        original, lane = await open_original(self._parts.database, self._vault, probe), Lane(probe.lane)
        edits = edits_from_json(probe.edits or ()) if tried is None else tuple(tried)
        if probe.chosen_face is None:  # only the analyst who chooses has come this far
            return (await self._workers.preview(original, PREVIEW_SIDE_PX, None, (), lane, edits)).jpeg
        faces = faces_from_json(probe.faces or ())
        chosen = face_of_number(faces, probe.chosen_face).face
        others = bystanders(faces, probe.chosen_face)
        return (await self._workers.preview(original, PREVIEW_SIDE_PX, chosen, others, lane, edits)).jpeg

    async def open(self, probe_id: str, account: Account) -> ProbeRecord:
        """What is known of the probe. Each look is audited before it is had, and who looked is kept (P22, P23, P27).

        Raises PolicyRefusalError, NotFoundError, UnavailableError.
        """
        probe = await find_probe(self._parts.database, probe_id)
        async with self._watching(probe, account, "probe.view"):
            require_permission(account, Deed.SEE_PROBE)
            await self._require_not_blind(account, probe)
        await self._note(probe, account, "probe.view", {})
        return probe

    async def _require_not_blind(self, account: Account, probe: ProbeRecord) -> None:
        async with self._parts.database.read() as tx:
            await require_not_blind(tx, account, probe)

    async def _note(self, probe: ProbeRecord, account: Account, action: str, details: Mapping[str, Any]) -> None:
        async with self._parts.database.write() as tx:
            await record_act(
                self._parts, tx, probe, actor=account.name, action=action, outcome="shown", details=details
            )
            await probe_openings.note(tx, probe.probe_id, account.name, self._parts.clock.now())

    def _watching(self, probe: ProbeRecord, account: Account, action: str) -> AbstractAsyncContextManager[None]:
        authority = {"purpose": probe.purpose}
        return self._refusals.watching(actor=account.name, action=action, subject=probe.probe_id, authority=authority)


def _require_masked(probe: ProbeRecord, account: Account) -> None:
    if probe.chosen_face is None and not same_person(account.name, probe.analyst):
        raise PolicyRefusalError(
            "P04",
            "Until a face is chosen only the analyst who chooses sees the still: the others in it are not masked. Open "
            "it again when the face is chosen.",
        )


async def find_probe(database: Database, probe_id: str) -> ProbeRecord:
    """Raises NotFoundError."""
    async with database.read() as tx:
        probe = await probes.find(tx, probe_id)
    if probe is None:
        raise NotFoundError("There is no such probe.")
    return probe


async def open_original(database: Database, vault: ObjectVault, probe: ProbeRecord) -> bytes:
    """The bytes of the still as they were uploaded.

    Raises NotFoundError when it was purged or is damaged, which is no reason to stop serving others, UnavailableError.
    """
    if probe.original_object is None:
        raise NotFoundError("The still of this probe is kept no longer.")
    async with database.read() as tx:
        key = await vault.key_of(tx, probe.original_object)
    try:
        return await vault.unseal(probe.original_object, key)
    except IntegrityError as error:
        _log.error("a still cannot be read", probe_id=probe.probe_id, error=str(error))
        raise NotFoundError("The stored still is damaged and cannot be read any more: attach it again.") from error


def observe_stages(metrics: Metrics, stage_seconds: Mapping[str, float]) -> None:
    for stage, seconds in stage_seconds.items():
        metrics.stage_seconds.labels(stage).observe(seconds)
