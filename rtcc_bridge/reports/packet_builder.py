"""Fills a packet with the files of its leads: pictures, opinions, proofs, the model and the policy."""

import asyncio
import io
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from PIL import Image

from rtcc_bridge.audit.canonical import canonical_json
from rtcc_bridge.audit.proofs import ProofReader, read_state
from rtcc_bridge.errors import IntegrityError, InvalidInputError, NotFoundError
from rtcc_bridge.matching.errors import ModelPackError
from rtcc_bridge.matching.types import FaceCrop, Lane
from rtcc_bridge.probes.edits import edits_from_json
from rtcc_bridge.probes.faces import bystanders, face_of_number, faces_from_json
from rtcc_bridge.probes.picture_reader import PictureReader
from rtcc_bridge.probes.stills import PREVIEW_SIDE_PX, open_original
from rtcc_bridge.probes.stored_crop import open_crop
from rtcc_bridge.reports.packet_facts import lead_facts, opinion_name, picture_name
from rtcc_bridge.reports.packet_pages import page, parts_of, plain_text
from rtcc_bridge.reports.packet_sources import PacketSources, model_files
from rtcc_bridge.reports.whole_lead import ConsideredCandidate, WholeLead
from rtcc_bridge.storage.engine import Database
from rtcc_bridge.storage.objects import ObjectVault
from rtcc_bridge.storage.probes import ProbeRecord

STILL: Final = "pictures/still.jpg"
FACE: Final = "pictures/face-searched.png"
_GONE: Final = (NotFoundError, IntegrityError, InvalidInputError)
"""Why a picture cannot be had any more: purged, damaged, or one that no worker reads."""


@dataclass
class Contents:
    """Files by their path in the packet or in a lead's folder, and what could not be put there, in sentences."""

    files: dict[str, bytes] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def add_folder(self, folder: str, other: "Contents") -> None:
        self.files |= {f"{folder}/{path}": data for path, data in other.files.items()}
        self.missing += [f"{folder}: {sentence}" for sentence in other.missing]


class PacketBuilder:
    """Adds leads to a packet, one folder each."""

    def __init__(
        self,
        database: Database,
        vault: ObjectVault,
        workers: PictureReader,
        sources: PacketSources,
        policies: Sequence[Path],
        made_at: datetime,
    ) -> None:
        """policies: kept policy files, beside the one in place."""
        self._database = database
        self._vault = vault
        self._workers = workers
        self._sources = sources
        self._policies = policies
        self._made_at = made_at
        self._proofs = ProofReader(database)
        self.contents = Contents()

    async def add_lead(self, folder: str, whole: WholeLead) -> dict[str, Any]:
        """Adds the lead's files; returns its facts. Raises BusyError, UnavailableError, ConfigurationError."""
        own, facts = Contents(), lead_facts(whole)
        facts["still"]["files"] = await self._add_still(own, whole.probe)
        for row, candidate in zip(facts["candidates"], whole.candidates, strict=True):
            row["pictures"] = await self._add_pictures(own, candidate, Lane(whole.lead.lane))
        if whole.lead.candidates_object is not None and not whole.candidates:
            own.missing.append("the list of candidates is kept no longer")
        for round_, record in whole.opinions.items():
            if record.nonce is not None:
                own.files[opinion_name(round_)] = canonical_json({"nonce": record.nonce, "opinion": record.opinion})
        facts["model"] = await self._add_model(own, whole)
        await self._add_policy(own, str(facts["policyHash"]))
        await self._add_proofs(own, whole)
        facts["missing"] = list(own.missing)
        title, parts = f"Lead {whole.lead.lead_id}", parts_of(facts, own.missing)
        own.files["packet.html"] = page(title, self._made_at, parts).encode()
        own.files["packet.txt"] = plain_text(title, self._made_at, parts).encode()
        own.files["facts.json"] = as_json(facts)
        self.contents.add_folder(folder, own)
        return facts

    async def add_log_key(self) -> None:
        """The public key of the audit log, as far as this database knows it."""
        try:
            key = (await read_state(self._database)).public_key
        except NotFoundError:
            return
        self.contents.files["audit/public-key.txt"] = f"{key}\n".encode()

    async def _add_still(self, own: Contents, probe: ProbeRecord) -> list[str]:
        """The masked still and the pixels that were searched; returns those that could be had.

        Where no face was chosen nobody can be masked, so the still is left out (P04).
        """
        found = []
        if probe.chosen_face is None:
            own.missing.append("no face was chosen, and everybody in the still would be shown: its sha256 is told")
        else:
            try:
                own.files[STILL] = await self._still(probe, probe.chosen_face)
                found.append(STILL)
            except _GONE:
                own.missing.append("the still is kept no longer, or cannot be read; its sha256 is told")
        if probe.crop_object is not None:
            try:
                crop = await open_crop(self._database, self._vault, probe)
                own.files[FACE] = await asyncio.to_thread(_png, crop)
                found.append(FACE)
            except _GONE:
                own.missing.append("the face that was searched is kept no longer, or cannot be read")
        return found

    async def _still(self, probe: ProbeRecord, number: int) -> bytes:
        original = await open_original(self._database, self._vault, probe)
        faces, edits = faces_from_json(probe.faces or ()), edits_from_json(probe.edits or ())
        chosen, others = face_of_number(faces, number).face, bystanders(faces, number)
        shown = await self._workers.preview(original, PREVIEW_SIDE_PX, chosen, others, Lane(probe.lane), edits)
        return shown.jpeg

    async def _add_pictures(self, own: Contents, candidate: ConsideredCandidate, lane: Lane) -> list[str]:
        found = []
        for place, stored in enumerate(candidate.pictures, start=1):
            object_key, name = stored.object_key, picture_name(candidate, place)
            try:
                async with self._database.read() as tx:
                    key = await self._vault.key_of(tx, object_key)
                picture = await self._vault.unseal(object_key, key)
                own.files[name] = (await self._workers.preview(picture, PREVIEW_SIDE_PX, None, (), lane)).jpeg
                found.append(name)
            except _GONE:
                own.missing.append(f"a picture of candidate {candidate.number} is kept no longer, or cannot be read")
        return found

    async def _add_model(self, own: Contents, whole: WholeLead) -> dict[str, Any] | None:
        """What the search was made with; None when nothing was searched, or the pack is not here any more."""
        search = whole.lead.data.get("search")
        if search is None:
            return None
        pack = await asyncio.to_thread(self._sources.model, search["modelHash"])
        if pack is not None:
            with suppress(ModelPackError, OSError):  # it was removed at this moment
                files, said = await asyncio.to_thread(model_files, pack)
                own.files |= files
                return said
        own.missing.append(f"the model pack {search['modelPack']} is not installed here any more; its hash is told")
        return None

    async def _add_policy(self, own: Contents, hashed: str) -> None:
        files = await asyncio.to_thread(self._sources.policy, hashed, self._policies)
        if not files:
            own.missing.append(
                f"the policy with the sha256 {hashed} is not the one in place: name the file that was kept"
            )
        own.files |= files

    async def _add_proofs(self, own: Contents, whole: WholeLead) -> None:
        names = {whole.probe.probe_id: "search", whole.lead.lead_id: "lead"}
        names |= {one.examination_id: f"round-{one.round}" for one in whole.examinations}
        names |= {one: f"handed-over-{number}" for number, one in enumerate(whole.handed_over, 1)}
        proved = 0
        for subject, name in names.items():
            try:
                receipt = await self._proofs.of_subject(subject)
            except NotFoundError:
                continue
            own.files[f"audit/{name}.json"] = as_json(receipt.as_json())
            proved += len(receipt.entries)
        if proved < len(whole.entries):
            own.missing.append(
                f"{len(whole.entries) - proved} of {len(whole.entries)} entries of the audit log are not covered by a "
                "signed checkpoint yet: make the packet again in some minutes"
            )


def as_json(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=2).encode() + b"\n"


def _png(crop: FaceCrop) -> bytes:
    """Without loss, since these are the very pixels."""
    out = io.BytesIO()
    Image.fromarray(crop.pixels).save(out, "PNG")
    return out.getvalue()
