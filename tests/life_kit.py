"""What tests of a lead's life are built from: the desks, and opinions that are complete."""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, update

from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.leads.comparison import ComparedCandidate, Component, ComponentFinding, Finding, Opinion
from rtcc_bridge.leads.desk import LeadDesk
from rtcc_bridge.leads.examiners import Examiners
from rtcc_bridge.leads.life import LeadLife
from rtcc_bridge.leads.life_parts import LifeParts
from rtcc_bridge.matching.types import Candidate, ScoredImage
from rtcc_bridge.people.known import KnownExaminers
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS, Account
from rtcc_bridge.policy.opening import OpenedPolicy
from rtcc_bridge.policy.policy_parts import Conclusion
from rtcc_bridge.probes.parts import ProbeParts
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.storage import tables
from rtcc_bridge.storage.objects import ObjectVault
from tests.lead_parts import LeadBench
from tests.policy_kit import put_in_force
from tests.probe_kit import Gallery, ProbeKit, face_search, in_force, policy, record_of, search_handler

FIRST = DEMO_ACCOUNTS["analyst"]
PEER = DEMO_ACCOUNTS["reviewer"]
THIRD = DEMO_ACCOUNTS["examiner"]
REQUESTOR = DEMO_ACCOUNTS["requestor"]
SUPERVISOR = DEMO_ACCOUNTS["supervisor"]
ADMINISTRATOR = DEMO_ACCOUNTS["administrator"]
AUDITOR = DEMO_ACCOUNTS["auditor"]
FLOOR = DEMO_ACCOUNTS["floor"]


def life_parts(parts: ProbeParts, vault: ObjectVault, examiners: Examiners | None = None) -> LifeParts:
    """examiners: who may be asked to be the third; as in the demo where none are given."""
    refusals = RefusalLog(parts.database, parts.audit, parts.metrics)
    return LifeParts(
        parts.database,
        parts.clock,
        parts.audit,
        vault,
        parts.leads,
        parts.metrics,
        refusals,
        examiners or KnownExaminers(parts.clock, parts.policy_in_force, DEMO_ACCOUNTS.values()),
        parts.policy_in_force,
    )


def bench_parts(bench: LeadBench) -> LifeParts:
    """The same on a bench that knows leads alone."""
    audit = AuditLog(bench.clock)
    refusals = RefusalLog(bench.database, audit, bench.metrics)
    decides = in_force(policy())
    return LifeParts(
        bench.database,
        bench.clock,
        audit,
        bench.vault,
        bench.desk,
        bench.metrics,
        refusals,
        KnownExaminers(bench.clock, decides, DEMO_ACCOUNTS.values()),
        decides,
    )


def compared(ref: str, conclusion: Conclusion, note: str = "") -> ComparedCandidate:
    """The full form: some parts similar, some different, most of them not to be seen."""
    seen = {Component.NOSE: Finding.SIMILAR, Component.EARS: Finding.DIFFERENT}
    findings = tuple(
        ComponentFinding(component=component, finding=seen.get(component, Finding.NOT_VISIBLE))
        for component in Component
    )
    return ComparedCandidate(candidate_ref=ref, findings=findings, conclusion=conclusion, note=note)


def opinion(
    listed: Iterable[str],
    *,
    support: Collection[str] = (),
    inconclusive: Collection[str] = (),
    level: Conclusion = Conclusion.SUPPORT,
    note: str = "",
) -> Opinion:
    """A complete opinion on the list: these are supported, those inconclusive, all others excluded at first sight."""
    forms = [compared(ref, level, note) for ref in support]
    forms += [compared(ref, Conclusion.INCONCLUSIVE, note) for ref in inconclusive]
    kept = {*support, *inconclusive}
    return Opinion(excluded=tuple(ref for ref in listed if ref not in kept), compared=tuple(forms))


@dataclass
class LifeKit:
    """The desks of a lead's life over one database, behind the probe desk."""

    kit: ProbeKit
    parts: LifeParts
    life: LeadLife

    @property
    def leads(self) -> LeadDesk:
        return self.kit.parts.leads

    async def enrol(self, subject_ref: str, pictures: int = 1) -> Candidate:
        """A person with sealed pictures, as a search would list them; of the first nobody knows when it was taken."""
        kit = self.kit
        first = await kit.enrol(subject_ref)
        found = [first.best.image_id]
        [row] = await kit.rows(tables.gallery_images, image_id=found[0])
        for number in range(1, pictures):
            values = {name: value for name, value in row.items() if name != "image_id"}
            digest = hashlib.sha256(f"{subject_ref}/{number}".encode()).hexdigest()
            values |= {"image_sha256": digest, "taken_on": "2019-05-30"}
            async with kit.database.write() as tx:
                key = (await tx.execute(insert(tables.gallery_images).values(values))).inserted_primary_key
            assert key is not None
            found.append(key[0])
        for image_id in found:
            sealed = await kit.vault.seal("gallery-image", f"picture {image_id} of {subject_ref}".encode())
            async with kit.database.write() as tx:
                await kit.vault.record(tx, sealed)
                table = tables.gallery_images
                where = table.c.image_id == image_id
                await tx.execute(update(table).where(where).values(image_object=sealed.object_key))
        others = tuple(ScoredImage(image_id, 0.8) for image_id in found[1:])
        return Candidate(first.subject_id, ScoredImage(found[0], 0.9), others)

    async def lead(
        self,
        people: int = 3,
        *,
        imminent: bool = False,
        incident_id: str = "incident-1",
        listed: Sequence[Candidate] = (),
    ) -> str:
        """A search that listed so many people, or these; returns its lead's id."""
        probe = await (self.kit.deferred(incident_id) if imminent else self.kit.authorized(incident_id))
        return await self.search(probe.probe_id, people, listed)

    async def search(self, probe_id: str, people: int = 3, listed: Sequence[Candidate] = ()) -> str:
        """The same of a probe that has authority."""
        found = listed or [await self.enrol(f"{probe_id}/{number}", pictures=2) for number in range(people)]
        search = face_search(Gallery(finds=lambda _crop: found))
        async with search.batcher:
            handler = search_handler(self.kit, search)
            for row in await self.kit.requests():
                await handler.handle(record_of(row))
        [lead] = await self.kit.rows(tables.leads, probe_id=probe_id)
        return str(lead["lead_id"])

    async def taken(self, people: int = 3, *, imminent: bool = False) -> str:
        """A lead that the first analyst has acknowledged."""
        lead_id = await self.lead(people, imminent=imminent)
        await self.leads.acknowledge(lead_id, FIRST)
        return lead_id

    async def listed(self, lead_id: str) -> list[str]:
        """The lead's references in the order of the first examination."""
        [row] = await self.kit.rows(tables.examinations, lead_id=lead_id, round=1)
        return [ref for _, ref in row["candidates"]]

    async def conclude(self, lead_id: str, supported: Collection[int] = (), inconclusive: Collection[int] = ()) -> None:
        """The first examiner concludes; the numbers are places in `listed`."""
        listed = await self.listed(lead_id)
        support, unclear = [listed[place] for place in supported], [listed[place] for place in inconclusive]
        await self.life.examination.conclude(lead_id, FIRST, opinion(listed, support=support, inconclusive=unclear))

    async def review(
        self,
        lead_id: str,
        account: Account,
        supported: Collection[int] = (),
        inconclusive: Collection[int] = (),
        level: Conclusion = Conclusion.SUPPORT,
    ) -> str:
        """The newest review of the lead is taken and concluded; the numbers are places in `listed`. Returns its id."""
        rows = await self.kit.rows(tables.examinations, lead_id=lead_id)
        newest = max(rows, key=lambda row: int(row["round"]))
        review_id, own = str(newest["examination_id"]), {ref: mine for mine, ref in newest["candidates"]}
        listed = await self.listed(lead_id)
        await self.life.review.take(review_id, account)
        given = opinion(
            own.values(),
            support=[own[listed[place]] for place in supported],
            inconclusive=[own[listed[place]] for place in inconclusive],
            level=level,
        )
        await self.life.review.conclude(review_id, account, given)
        return review_id

    async def agreed(self, supported: Collection[int] = (0,), people: int = 3, *, imminent: bool = False) -> str:
        """A lead on which both examiners support the same candidates."""
        lead_id = await self.taken(people, imminent=imminent)
        await self.conclude(lead_id, supported)
        await self.review(lead_id, PEER, supported)
        return lead_id

    async def released(self, supported: Collection[int] = (0,), people: int = 3) -> str:
        lead_id = await self.agreed(supported, people)
        await self.life.release.release(lead_id, FIRST, ())
        return lead_id

    async def state(self, lead_id: str) -> str:
        [row] = await self.kit.rows(tables.leads, lead_id=lead_id)
        return str(row["review_state"])

    async def types(self, lead_id: str) -> list[str]:
        """The types of the lead's events on its topic, in the order of their writing."""
        rows = await self.kit.rows(tables.outbox)
        return [
            row["event_type"]
            for row in sorted(rows, key=lambda row: int(row["id"]))
            if row["topic"] == "rtcc.leads" and row["event"]["data"]["leadId"] == lead_id
        ]


def build_life(kit: ProbeKit, examiners: Examiners | None = None) -> LifeKit:
    """examiners: as in `life_parts`."""
    parts = life_parts(kit.parts, kit.vault, examiners)
    return LifeKit(kit, parts, LeadLife(parts, kit.workers))


async def under(life: LifeKit, **parts: Any) -> None:
    """Puts the demo's policy into force with other values in these parts of it."""
    changed = {name: type(getattr(policy(), name)).model_validate(values) for name, values in parts.items()}
    await put_in_force(life.kit, OpenedPolicy(policy().model_copy(update=changed), "the policy is not signed", None))
