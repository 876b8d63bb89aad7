"""Reads the order of a lead's sealed list: for measuring only, on this machine, with the demo's own master key."""

import json

from rtcc_bridge.app.foundation import Core
from rtcc_bridge.gallery.identity import normal_ref
from rtcc_bridge.storage import galleries, leads


async def first_reference(core: Core, lead_id: str) -> str | None:
    """The subject reference on rank 1, or none for an empty list. The feed and the API never tell it."""
    async with core.database.read() as tx:
        lead = await leads.find(tx, lead_id)
        if lead is None or lead.candidates_object is None:
            return None
        key = await core.vault.key_of(tx, lead.candidates_object)
    candidates = json.loads(await core.vault.unseal(lead.candidates_object, key))["candidates"]
    first = min(candidates, key=lambda candidate: int(candidate["rank"]))
    async with core.database.read() as tx:
        references = await galleries.subject_refs(tx, {first["subjectId"]})
    return references[first["subjectId"]]


async def is_enrolled(core: Core, gallery: str, reference: str) -> bool:
    """Whether the person has an image in the gallery: a picture with several faces, for example, is left out."""
    async with core.database.read() as tx:
        subject = await galleries.find_subject(tx, gallery, normal_ref(reference))
        return subject is not None and bool(await galleries.living_images(tx, gallery, subject_id=subject))
