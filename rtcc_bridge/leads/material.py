"""What an examiner looks at: a still, and the pictures of each candidate. Of a lead, or of a seeded case."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rtcc_bridge.errors import NotFoundError
from rtcc_bridge.leads.lead import ENDED
from rtcc_bridge.matching.edits import Edit
from rtcc_bridge.matching.types import DetectedFace, Lane
from rtcc_bridge.probes.edits import edits_from_json
from rtcc_bridge.probes.faces import bystanders, face_of_number, faces_from_json
from rtcc_bridge.storage import galleries, leads, probes, proficiency_cases
from rtcc_bridge.storage.engine import Transaction
from rtcc_bridge.storage.examinations import ExaminationRecord
from rtcc_bridge.storage.galleries import LivingPicture
from rtcc_bridge.storage.leads import LeadRecord
from rtcc_bridge.storage.objects import ObjectVault


@dataclass(frozen=True, slots=True, eq=False)
class SealedPicture:
    """A picture to show. chosen: the one face of it that may be seen, the others being masked (P04).

    edits: what is done to the stored original first (P05); the faces lie in what comes of that.
    """

    object_key: str
    lane: Lane
    chosen: DetectedFace | None = None
    others: tuple[DetectedFace, ...] = ()
    edits: tuple[Edit, ...] = ()


async def has_ended(tx: Transaction, examination: ExaminationRecord) -> bool:
    """Whether its pictures are shown to nobody any more: it is needed no longer, or its lead was withdrawn or expired.

    What the examiner noted themselves stays theirs to read.
    """
    if examination.closed_at is not None:
        return True
    return examination.lead_id is not None and (await _lead(tx, examination)).review_state in ENDED


async def still_of(tx: Transaction, examination: ExaminationRecord) -> SealedPicture:
    """The unknown person. Raises NotFoundError when the picture is kept no longer."""
    lane = Lane(examination.lane)
    if examination.case_id is not None:
        case = await _case(tx, examination.case_id)
        found = await galleries.living_pictures(tx, [case.probe_image])
        if case.probe_image not in found:
            raise NotFoundError("The pictures of this review are kept no longer.")
        return SealedPicture(found[case.probe_image].object_key, lane)
    lead = await _lead(tx, examination)
    probe = await probes.find(tx, lead.probe_id)
    if probe is None or probe.original_object is None or probe.chosen_face is None:
        raise NotFoundError("The still of this lead is kept no longer.")
    faces = faces_from_json(probe.faces or ())
    chosen = face_of_number(faces, probe.chosen_face).face
    others, edits = bystanders(faces, probe.chosen_face), edits_from_json(probe.edits or ())
    return SealedPicture(probe.original_object, lane, chosen, others, edits)


async def pictures_of(
    tx: Transaction, vault: ObjectVault, examination: ExaminationRecord
) -> Mapping[str, Sequence[LivingPicture]]:
    """The sealed pictures of each candidate that are still in the gallery, by the examiner's own reference.

    In the order of their ids, which says nothing of how alike they are.
    """
    images: Mapping[str, Sequence[int]]
    if examination.case_id is not None:
        case = await _case(tx, examination.case_id)
        images = {one["ref"]: tuple(one["imageIds"]) for one in case.candidates}
    else:
        images = await images_of_lead(tx, vault, await _lead(tx, examination))
    found = await galleries.living_pictures(tx, {image for some in images.values() for image in some})
    return {
        own: tuple(found[image] for image in sorted(images.get(ref, ())) if image in found)
        for own, ref in examination.candidates
    }


async def images_of_lead(tx: Transaction, vault: ObjectVault, lead: LeadRecord) -> Mapping[str, Sequence[int]]:
    """The image ids of the lead's candidates, by its references; of those who are on the list at this moment (P25)."""
    if lead.candidates_object is None:
        return {}
    key = await vault.key_of(tx, lead.candidates_object)
    rows = json.loads(await vault.unseal(lead.candidates_object, key))["candidates"]
    listed = {row.candidate_ref for row in await leads.candidates_of(tx, lead.lead_id)}
    return {
        row["candidateRef"]: tuple(image["imageId"] for image in row["images"])
        for row in rows
        if row["candidateRef"] in listed
    }


async def _case(tx: Transaction, case_id: str) -> proficiency_cases.ProficiencyCaseRecord:
    case = await proficiency_cases.find(tx, case_id)
    if case is None:
        raise NotFoundError("There is no such review.")
    return case


async def _lead(tx: Transaction, examination: ExaminationRecord) -> LeadRecord:
    lead = None if examination.lead_id is None else await leads.find(tx, examination.lead_id)
    if lead is None:
        raise NotFoundError("There is no such lead.")
    return lead
