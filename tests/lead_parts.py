"""What tests of leads and of their way out are built from: a gallery, a probe, a search's outcome, a desk."""

import hashlib
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rtcc_bridge.audit.entries import AuditLog
from rtcc_bridge.incidents.incident import THREAT_TYPE, placeholder
from rtcc_bridge.leads.candidates import prepare_candidates
from rtcc_bridge.leads.desk import LeadDesk
from rtcc_bridge.leads.parts import SearchFacts, SearchOutcome
from rtcc_bridge.matching.types import Candidate, Estimate, ScoredImage
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.policy.accounts import Account, Role
from rtcc_bridge.publishing.outbox import Outbox
from rtcc_bridge.settings import LeadSettings, ObjectSettings
from rtcc_bridge.storage import galleries, incidents, probes
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.storage.galleries import GalleryRecord, NewImageRecord
from rtcc_bridge.storage.leads import LeadRecord
from rtcc_bridge.storage.objects import ObjectVault, SealedObject
from rtcc_bridge.storage.probes import ProbeRecord
from rtcc_bridge.topic_settings import TopicSettings
from tests.doubles import ManualClock
from tests.probe_kit import CERTIFIED, in_force, policy
from tests.vault_kit import master_keys

ANALYST = Account("the analyst", frozenset({Role.ANALYST}), CERTIFIED)
GALLERY = "booking"
HASH = "ab" * 32
THRESHOLD = 0.9
QUALITY = {"unifiedScore": 61, "verdict": "warned", "components": [], "sentences": ["the light comes from one side"]}
FACTS = SearchFacts(
    gallery=GALLERY,
    gallery_version=7,
    gallery_size=100_000,
    model_pack="default",
    model_hash=HASH,
    list_length=20,
    threshold=THRESHOLD,
    estimated_fpir=Estimate(0.05, 0.03, 0.08),
)


def probe_record(now: datetime, **changes: Any) -> ProbeRecord:
    """A probe with authority for a search, its approval granted."""
    values: dict[str, Any] = {
        "probe_id": secrets.token_urlsafe(16),
        "incident_id": "INC-1",
        "state": "authorized",
        "lane": "imminent",
        "exercise": False,
        "purpose": "imminent_threat",
        "legal_basis": "exigent circumstances",
        "case_number": "CASE-77",
        "requestor": "the requestor",
        "analyst": "the analyst",
        "approval": "granted",
        "policy_hash": HASH,
        "authority_at": now,
        "created_at": now,
        "updated_at": now,
    }
    return ProbeRecord(**{**values, **changes})


def pending(now: datetime, **changes: Any) -> ProbeRecord:
    """A probe whose approval was deferred (P14)."""
    return probe_record(now, approval="pending", approve_by=now + timedelta(minutes=60), **changes)


def outcome_of(candidates: Sequence[Candidate]) -> SearchOutcome:
    return SearchOutcome(candidates=prepare_candidates(candidates), facts=FACTS, quality=QUALITY)


def stranger(number: int) -> Candidate:
    """A candidate for tests without a database."""
    return Candidate(number, ScoredImage(10 * number, 0.99 - number / 1000), (ScoredImage(10 * number + 1, 0.91),))


@dataclass
class LeadBench:
    """A lead desk on a database with a gallery."""

    database: Database
    desk: LeadDesk
    outbox: Outbox
    vault: ObjectVault
    clock: ManualClock
    metrics: Metrics
    topics: TopicSettings

    async def enroll(self, count: int) -> list[Candidate]:
        """Enrolls persons with two images each, and returns them as a search would list them, best first."""
        async with self.database.write() as tx:
            refs = [secrets.token_hex(8) for _ in range(count)]
            subjects = await galleries.ensure_subjects(tx, GALLERY, refs, at=self.clock.now())
            images = [self._image(subjects[ref], place) for ref in refs for place in range(2)]
            await galleries.insert_images(tx, images)
            found = []
            for rank, ref in enumerate(refs):
                first, second = await galleries.living_images(tx, GALLERY, subject_id=subjects[ref])
                best = ScoredImage(first.image_id, 0.99 - rank / 1000)
                found.append(Candidate(subjects[ref], best, (ScoredImage(second.image_id, 0.91),)))
        return found

    async def remove(self, tx: Transaction, image_ids: Sequence[int]) -> None:
        version = await galleries.advance(tx, GALLERY)
        await galleries.remove_images(tx, image_ids, version=version, reason="test")

    async def record(self, probe: ProbeRecord, candidates: Sequence[Candidate]) -> LeadRecord:
        """Stores the probe and records a search with these candidates, as the matcher does."""
        outcome = outcome_of(candidates)
        sealed = await self.seal(outcome) if candidates else None
        async with self.database.write() as tx:
            if await probes.find(tx, probe.probe_id) is None:
                await self._store(tx, probe)
            return await self.desk.record_search(tx, probe, outcome, sealed)

    async def reject(self, probe: ProbeRecord) -> LeadRecord:
        async with self.database.write() as tx:
            await self._store(tx, probe)
            return await self.desk.record_rejected_quality(tx, probe, ["no face was found"], None)

    async def seal(self, outcome: SearchOutcome) -> SealedObject:
        return await self.vault.seal("candidates", outcome.candidates.sealed_payload)

    async def _store(self, tx: Transaction, probe: ProbeRecord) -> None:
        """With its incident, where that is new."""
        if await incidents.get(tx, probe.incident_id) is None:
            now = self.clock.now()
            incident = placeholder(probe.incident_id, THREAT_TYPE, exercise=probe.exercise, at=now, now=now)
            await incidents.add_all(tx, (incident,))
        await probes.insert(tx, probe)

    def _image(self, subject_id: int, place: int) -> NewImageRecord:
        return NewImageRecord(
            gallery=GALLERY,
            subject_id=subject_id,
            image_sha256=hashlib.sha256(f"{subject_id}/{place}".encode()).hexdigest(),
            image_object=None,
            provenance="booking",
            lawful_basis="arrest",
            retain_until=self.clock.now() + timedelta(days=365),
            taken_on=None,
            quality_score=80,
            segment_id="segment",
            segment_row=0,
            added_version=1,
        )


@asynccontextmanager
async def lead_bench(
    database: Database, folder: Path, clock: ManualClock, metrics: Metrics, topics: TopicSettings | None = None
) -> AsyncIterator[LeadBench]:
    """A desk on this database, with an object store in the folder."""
    topics = topics or TopicSettings()
    settings = ObjectSettings(url=f"file://{folder / 'objects'}")
    outbox = Outbox(clock)
    gallery = GalleryRecord(
        name=GALLERY,
        kind="demo",
        version=1,
        template_hash=HASH,
        pack_name="default",
        template_length=128,
        created_at=clock.now(),
    )
    async with database.write() as tx:
        await galleries.insert_if_new(tx, gallery)
    async with ObjectVault(settings, master_keys(), clock) as vault:
        audit, decides = AuditLog(clock), in_force(policy())
        desk = LeadDesk(database, outbox, audit, vault, topics, LeadSettings(), metrics, clock, decides)
        yield LeadBench(database, desk, outbox, vault, clock, metrics, topics)
