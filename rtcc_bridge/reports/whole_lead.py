"""Everything that is known of one search and its lead, gathered for a court (P20)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rtcc_bridge.errors import NotFoundError, PolicyRefusalError
from rtcc_bridge.leads import ledger
from rtcc_bridge.leads.lead import LeadResult, ReviewState
from rtcc_bridge.leads.ledger import Receiver
from rtcc_bridge.storage import corroborations, examinations, galleries, leads, opinions, probes, releases, report_rows
from rtcc_bridge.storage.audit_entries import AuditEntryRecord
from rtcc_bridge.storage.corroborations import CorroborationRecord
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.storage.examinations import ExaminationRecord
from rtcc_bridge.storage.galleries import LivingPicture
from rtcc_bridge.storage.leads import LeadRecord
from rtcc_bridge.storage.object_keys import ObjectKeyRecord
from rtcc_bridge.storage.objects import ObjectVault
from rtcc_bridge.storage.opinions import OpinionRecord
from rtcc_bridge.storage.probes import ProbeRecord
from rtcc_bridge.storage.releases import ReleaseRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsideredCandidate:
    """One person of the list, by rank. The number stands for them in the whole packet.

    image_ids: the pictures that were compared, the best first. person: the agency's own reference, and pictures the
    sealed ones, each with the day on which it was taken, only of whom the packet identifies. removed: whether the
    person has been removed from the gallery since: then nothing but the place on the list is told.
    """

    number: int
    candidate_ref: str
    similarity_score: float
    image_ids: tuple[int, ...]
    removed: bool
    released: bool
    person: str | None
    pictures: tuple[LivingPicture, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeLead:
    """The rows of one lead. entries: what the audit log says of its probe, of itself and of its examinations.

    handed_over: the ids of third examinations that somebody had before another one got them (P12).
    """

    probe: ProbeRecord
    lead: LeadRecord
    candidates: Sequence[ConsideredCandidate]
    examinations: Sequence[ExaminationRecord]
    handed_over: Sequence[str]
    opinions: Mapping[int, OpinionRecord]
    release: ReleaseRecord | None
    receivers: Sequence[Receiver]
    outcomes: Sequence[CorroborationRecord]
    entries: Sequence[AuditEntryRecord]

    @property
    def subjects(self) -> tuple[str, ...]:
        """What the audit log calls it and its parts."""
        of_examinations = (one.examination_id for one in self.examinations)
        return (self.probe.probe_id, self.lead.lead_id, *of_examinations, *self.handed_over)


async def find_lead(database: Database, lead_id: str) -> LeadRecord:
    """Raises NotFoundError."""
    async with database.read() as tx:
        lead = await leads.find(tx, lead_id)
    if lead is None:
        raise NotFoundError("There is no such lead.")
    return lead


async def searches_of_case(tx: Transaction, case_number: str) -> Sequence[tuple[ProbeRecord, LeadRecord | None]]:
    """Every still of the case with its lead, the oldest first."""
    return [(probe, await leads.of_probe(tx, probe.probe_id)) for probe in await probes.of_case(tx, case_number)]


def require_concluded(lead: LeadRecord) -> None:
    """P12: nobody reads an opinion before all who have to conclude have done so. Raises PolicyRefusalError."""
    under_examination = {ReviewState.UNREVIEWED, ReviewState.IN_REVIEW}
    if lead.result == LeadResult.CANDIDATES and lead.review_state in under_examination:
        raise PolicyRefusalError(
            "P12",
            "The examiners have not concluded on this lead, and a packet would tell what they may not know of each "
            "other: ask for it when all of them have.",
        )


async def gather(database: Database, vault: ObjectVault, lead_id: str, *, identify_all: bool) -> WholeLead:
    """Reads one moment of the database. Raises NotFoundError, PolicyRefusalError as above, UnavailableError."""
    lead = await find_lead(database, lead_id)
    async with database.read() as tx:
        key = None if lead.candidates_object is None else await _key_if_kept(tx, vault, lead.candidates_object)
    listed: list[dict[str, Any]] = []
    if lead.candidates_object is not None and key is not None:
        listed = json.loads(await vault.unseal(lead.candidates_object, key))["candidates"]
    async with database.snapshot() as tx:
        found = await leads.find(tx, lead_id)
        probe = await probes.find(tx, lead.probe_id)
        if found is None or probe is None:
            raise NotFoundError("The search of this lead is kept no longer.")
        require_concluded(found)
        rounds = await examinations.of_lead(tx, lead_id)
        release = await releases.find(tx, lead_id)
        handed_over = [examination_id for examination_id, _ in await examinations.handed_over(tx, lead_id)]
        subjects = {probe.probe_id, lead_id, *(one.examination_id for one in rounds), *handed_over}
        return WholeLead(
            probe=probe,
            lead=found,
            candidates=await _candidates(tx, found, listed, release, identify_all=identify_all),
            examinations=rounds,
            handed_over=handed_over,
            opinions=await opinions.filed_of_lead(tx, lead_id),
            release=release,
            receivers=await ledger.everybody(tx, lead_id),
            outcomes=await corroborations.of_lead(tx, lead_id),
            entries=await report_rows.about(tx, subjects),
        )


async def _key_if_kept(tx: Transaction, vault: ObjectVault, object_key: str) -> ObjectKeyRecord | None:
    try:
        return await vault.key_of(tx, object_key)
    except NotFoundError:
        return None


async def _candidates(
    tx: Transaction,
    lead: LeadRecord,
    listed: Sequence[Mapping[str, Any]],
    release: ReleaseRecord | None,
    *,
    identify_all: bool,
) -> list[ConsideredCandidate]:
    there = {one.candidate_ref: one.subject_id for one in await leads.candidates_of(tx, lead.lead_id)}
    released = set() if release is None else {one["candidateRef"] for one in release.findings["candidates"]}
    images = {image["imageId"] for row in listed for image in row["images"]}
    living = await galleries.living_pictures(tx, images)
    persons = await galleries.subject_refs(tx, set(there.values()))
    alive = await galleries.searched_images(tx, images)
    found = []
    for row in sorted(listed, key=lambda row: int(row["rank"])):
        ref, own = row["candidateRef"], tuple(image["imageId"] for image in row["images"])
        removed = ref not in there or alive.isdisjoint(own)
        identified = not removed and (identify_all or ref in released)
        found.append(
            ConsideredCandidate(
                number=int(row["rank"]),
                candidate_ref=ref,
                similarity_score=float(row["similarityScore"]),
                image_ids=own,
                removed=removed,
                released=ref in released,
                person=persons.get(there[ref]) if identified else None,
                pictures=tuple(living[image] for image in own if image in living) if identified else (),
            )
        )
    return found
