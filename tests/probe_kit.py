"""A probe desk with everything real around it but the picture workers and the model, for the tests that attack it."""

import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Table, insert, select, update

from rtcc_bridge.audit.commitments import Commitments
from rtcc_bridge.audit.entries import SYSTEM, AuditLog
from rtcc_bridge.audit.journal import AuditJournal
from rtcc_bridge.cloud_event import STRUCTURED_HEADERS
from rtcc_bridge.consumers.probes import SearchHandler
from rtcc_bridge.consumers.records import ConsumedRecord
from rtcc_bridge.errors import BridgeError
from rtcc_bridge.gallery.parts import GalleryParts
from rtcc_bridge.incidents.desk import IncidentDesk
from rtcc_bridge.leads.desk import LeadDesk
from rtcc_bridge.leads.parts import SearchFacts
from rtcc_bridge.matching.batcher import Batcher
from rtcc_bridge.matching.edits import Edit
from rtcc_bridge.matching.types import (
    Box,
    Candidate,
    DetectedFace,
    Estimate,
    FaceCrop,
    Lane,
    NumberedFace,
    Quality,
    QualityComponent,
    RgbImage,
    ScoredImage,
    Verdict,
)
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.policy.accounts import Account, Role
from rtcc_bridge.policy.authority_keys import AuthorityKeys
from rtcc_bridge.policy.authority_token import TokenSigner, TokenVerifier
from rtcc_bridge.policy.certificates import Certificate
from rtcc_bridge.policy.in_force import PolicyInForce
from rtcc_bridge.policy.opening import OpenedPolicy
from rtcc_bridge.policy.policy_file import Policy, load_policy
from rtcc_bridge.policy.policy_parts import CertificateKind
from rtcc_bridge.probes.approval import ApprovalDesk
from rtcc_bridge.probes.clip_end import ClipKeeper
from rtcc_bridge.probes.clip_messages import ClipFrame, ClipIndex, ClipPlace, ClipSheet, ClipStill
from rtcc_bridge.probes.clips import ClipDesk, ClipRules
from rtcc_bridge.probes.desk import ProbeDesk
from rtcc_bridge.probes.grounds import ProbeForm
from rtcc_bridge.probes.parts import ProbeParts
from rtcc_bridge.probes.picture_reader import PictureReader
from rtcc_bridge.probes.provisional import ProvisionalDesk
from rtcc_bridge.probes.reconciler import Reconciler
from rtcc_bridge.probes.refusals import RefusalLog
from rtcc_bridge.probes.search import FaceSearch, FoundCandidates, SearchedGallery, observe_batch, trace_batch
from rtcc_bridge.probes.worker_messages import CroppedFace, FoundFacesReport, Preview, SeenPortrait
from rtcc_bridge.probes.worker_pool import WorkerPool
from rtcc_bridge.publishing.outbox import Outbox
from rtcc_bridge.settings import LeadSettings, ObjectSettings
from rtcc_bridge.storage import probes, tables
from rtcc_bridge.storage.engine import Database, Transaction
from rtcc_bridge.storage.master_keys import LocalMasterKeys
from rtcc_bridge.storage.objects import ObjectVault
from rtcc_bridge.storage.probes import ProbeRecord
from rtcc_bridge.storage.store_marker import MARKER
from rtcc_bridge.topic_settings import TopicSettings
from tests.doubles import ManualClock
from tests.fixed_window import FixedWindow
from tests.gallery_kit import WordReader

POLICY_FILE = Path(__file__).resolve().parents[1] / "config" / "policy.yaml"
SENDER = "urn:rtcc-bridge:demo:watch-desk"

CERTIFIED = {kind.value: Certificate(datetime(2026, 11, 1, tzinfo=UTC)) for kind in CertificateKind}
ANALYST = Account("analyst", frozenset({Role.ANALYST}), CERTIFIED)
OTHER_ANALYST = Account("second-analyst", frozenset({Role.ANALYST}), CERTIFIED)
SUPERVISOR = Account("supervisor", frozenset({Role.SUPERVISOR}))
OTHER_SUPERVISOR = Account("second-supervisor", frozenset({Role.SUPERVISOR}))
FLOOR = Account("floor", frozenset({Role.FLOOR}))
ADMINISTRATOR = Account("administrator", frozenset({Role.ADMINISTRATOR}))

STILL = b"the bytes of a still " * 100
STILL_WIDTH, STILL_HEIGHT = 640, 480
CLIP = b"the bytes of a clip " * 100
CLIP_FRAMES = 30
FORM = ProbeForm(
    purpose="violent_offense",
    legal_basis="reasonable suspicion, section 12",
    requestor="requestor",
    case_number="26-000123",
    attested_original=True,
)


@cache
def policy() -> Policy:
    return load_policy(POLICY_FILE)


def policy_with(folder: Path, section: str, **fields: Any) -> Policy:
    """The example policy with other fields in one section."""
    document = yaml.safe_load(POLICY_FILE.read_text(encoding="utf-8"))
    document[section] |= fields
    file = folder / "policy.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    return load_policy(file)


@cache
def authority_keys() -> AuthorityKeys:
    """Those of a process with every role."""
    signer = TokenSigner(Ed25519PrivateKey.generate())
    return AuthorityKeys(signer, TokenVerifier((signer.public_key,)))


def gallery_parts(kit: "ProbeKit") -> GalleryParts:
    """What changes to galleries share, over the kit of a probe desk."""
    parts = kit.parts
    refusals = RefusalLog(parts.database, parts.audit, parts.metrics)
    topic = parts.topics.gallery
    return GalleryParts(parts.database, kit.vault, parts.audit, parts.outbox, parts.clock, topic, refusals)


def in_force(policy: Policy) -> PolicyInForce:
    """As in the demo, where a policy need not be signed."""
    return PolicyInForce(OpenedPolicy(policy, "the policy is not signed", None))


def form(**changes: Any) -> ProbeForm:
    return replace(FORM, **changes)


def face(number: int = 1, verdict: Verdict = Verdict.ACCEPTED, left: float = 10.0) -> NumberedFace:
    landmarks = np.array([[4, 5], [12, 5], [8, 9], [5, 13], [11, 13]], np.float32) + np.float32(left)
    component = QualityComponent("inter_eye_distance", 14.0, "px", verdict, "eyes 14 px apart: too small to compare")
    detected = DetectedFace(Box(left, 10.0, left + 60, 80.0), landmarks, 0.99)
    return NumberedFace(number, detected, Quality(20 if verdict is Verdict.REFUSED else 70, (component,)))


async def upload(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks or (STILL,):
        yield chunk


@dataclass
class PictureWorkers:
    """Stands in for the sandboxed workers: reports the faces that a test wants to be found, in a still of 640 x 480.

    `tests/integration/test_stand_ins.py` holds it to what `WorkerPool` does. Its crops are always `crop_pixels`, and
    their landmarks are still those of the whole picture.
    """

    faces: Sequence[NumberedFace] = field(default_factory=lambda: (face(),))
    error: Exception | None = None
    asked: int = 0
    inspected: list[bytes] = field(default_factory=list)
    cropped: list[tuple[bytes, DetectedFace, Sequence[DetectedFace]]] = field(default_factory=list)
    previewed: list[tuple[DetectedFace | None, Sequence[DetectedFace]]] = field(default_factory=list)
    lanes: list[Lane] = field(default_factory=list)
    edits: list[tuple[Edit, ...]] = field(default_factory=list)
    before_crop: Callable[[], Awaitable[None]] | None = None
    crop_pixels: RgbImage = field(default_factory=lambda: np.arange(8 * 6 * 3, dtype=np.uint8).reshape(8, 6, 3))
    sheets: list[tuple[ClipPlace, ...]] = field(default_factory=list)
    cut: list[tuple[bytes, ClipPlace]] = field(default_factory=list)

    async def inspect(
        self, chunks: AsyncIterator[bytes], lane: Lane = Lane.ROUTINE, edits: Sequence[Edit] = ()
    ) -> FoundFacesReport:
        self.asked += 1
        self.edits.append(tuple(edits))
        self.lanes.append(lane)
        data = b"".join([chunk async for chunk in chunks])
        self.inspected.append(data)
        if self.error is not None:
            raise self.error
        stages = {"decode": 0.01, "detect": 0.02, "quality": 0.001}
        return FoundFacesReport(STILL_WIDTH, STILL_HEIGHT, tuple(self.faces), stages)

    async def crop(
        self,
        data: bytes,
        chosen: DetectedFace,
        others: Sequence[DetectedFace],
        lane: Lane = Lane.ROUTINE,
        edits: Sequence[Edit] = (),
    ) -> CroppedFace:
        self.lanes.append(lane)
        self.edits.append(tuple(edits))
        self.cropped.append((data, chosen, others))
        if self.before_crop is not None:
            await self.before_crop()
        if self.error is not None:
            raise self.error
        return CroppedFace(FaceCrop(self.crop_pixels, chosen.landmarks), {"decode": 0.01, "crop": 0.001})

    async def portrait(self, data: bytes, *, aligned: bool = False) -> SeenPortrait:
        """A picture says what is on it, as `WordReader` reads it."""
        if self.error is not None:
            raise self.error
        return await WordReader().portrait(data, aligned=aligned)

    async def clip_index(self, chunks: AsyncIterator[bytes], lane: Lane = Lane.ROUTINE) -> ClipIndex:
        self.lanes.append(lane)
        assert [chunk async for chunk in chunks]
        if self.error is not None:
            raise self.error
        frames = tuple(ClipFrame(ClipPlace(n, round((n - 1) * 1000 / 30)), 10 * n) for n in range(1, CLIP_FRAMES + 1))
        return ClipIndex("mov", "h264", STILL_WIDTH, STILL_HEIGHT, 90, (1, 1), frames, 1, {"clip": 0.01})

    async def clip_sheet(
        self, chunks: AsyncIterator[bytes], places: Sequence[ClipPlace], side: int, lane: Lane = Lane.ROUTINE
    ) -> ClipSheet:
        assert [chunk async for chunk in chunks]
        if self.error is not None:
            raise self.error
        self.sheets.append(tuple(places))
        greys = [np.full((48, 64, 3), 2 * place.number, np.uint8) for place in places]
        jpeg = cv2.imencode(".jpg", np.concatenate(greys))[1].tobytes()
        return ClipSheet(jpeg, 64, 48 * len(places), {"clip": 0.01})

    async def clip_still(self, chunks: AsyncIterator[bytes], place: ClipPlace, lane: Lane = Lane.ROUTINE) -> ClipStill:
        self.cut.append((b"".join([chunk async for chunk in chunks]), place))
        if self.error is not None:
            raise self.error
        grey = np.full((STILL_HEIGHT, STILL_WIDTH, 3), 2 * place.number, np.uint8)
        return ClipStill(cv2.imencode(".png", grey)[1].tobytes(), STILL_WIDTH, STILL_HEIGHT, {"clip": 0.01})

    async def preview(
        self,
        data: bytes,
        side: int,
        chosen: DetectedFace | None = None,
        others: Sequence[DetectedFace] = (),
        lane: Lane = Lane.ROUTINE,
        edits: Sequence[Edit] = (),
    ) -> Preview:
        self.lanes.append(lane)
        self.edits.append(tuple(edits))
        self.previewed.append((chosen, others))
        if self.error is not None:
            raise self.error
        scale = min(1.0, side / STILL_WIDTH)
        width, height = round(STILL_WIDTH * scale), round(STILL_HEIGHT * scale)
        jpeg = cv2.imencode(".jpg", np.full((height, width, 3), 110, np.uint8))[1].tobytes()
        return Preview(jpeg, width, height, {"decode": 0.01, "preview": 0.001})


@dataclass
class Gallery:
    """Stands in for the model and the index behind a real batcher. `finds` answers each crop.

    error: what a search raises. closed: why the gallery may not be searched at all. model: name and hash of the pack.
    `tests/integration/test_stand_ins.py` holds it to what `GallerySearch` does.
    """

    kind: str = "demo"
    finds: Callable[[FaceCrop], Sequence[Candidate]] = lambda _crop: ()
    error: Exception | None = None
    closed: BridgeError | None = None
    model: tuple[str, str] = ("test", "a" * 64)
    seen: list[FaceCrop] = field(default_factory=list)

    @property
    def gallery_kind(self) -> str:
        if self.closed is not None:
            raise self.closed
        return self.kind

    def search_batch(self, crops: Sequence[FaceCrop]) -> list[FoundCandidates]:
        self.seen.extend(crops)
        if (problem := self.closed or self.error) is not None:
            raise problem
        facts = SearchFacts(
            gallery=self.kind,
            gallery_version=3,
            gallery_size=100,
            model_pack=self.model[0],
            model_hash=self.model[1],
            list_length=20,
            threshold=0.5,
            estimated_fpir=Estimate(0.05, 0.01, 0.1),
        )
        return [FoundCandidates(tuple(self.finds(crop)), facts) for crop in crops]


@dataclass
class ProbeKit:
    """The desks over one database, and ways to look at and to change the world behind them.

    workers: the stand-in, which nobody asks where a test brings real ones.
    """

    parts: ProbeParts
    vault: ObjectVault
    workers: PictureWorkers
    desk: ProbeDesk
    approvals: ApprovalDesk
    reconciler: Reconciler
    provisional: ProvisionalDesk
    clips: ClipDesk
    clip_keeper: ClipKeeper
    clock: ManualClock
    objects: Path

    @property
    def database(self) -> Database:
        return self.parts.database

    @property
    def metrics(self) -> Metrics:
        return self.parts.metrics

    async def incident(self, incident_id: str = "incident-1", **changes: Any) -> str:
        now = self.clock.now()
        values: dict[str, Any] = {
            "incident_id": incident_id,
            "incident_type": "HOMICIDE",
            "status": "open",
            "exercise": False,
            "last_update_at": now,
            "data": {},
            "versions": {},
            "created_at": now,
            "updated_at": now,
        }
        await self._insert(tables.incidents, values | changes)
        return incident_id

    async def set_incident(self, incident_id: str, **changes: Any) -> None:
        async with self.database.write() as tx:
            table = tables.incidents
            await tx.execute(update(table).where(table.c.incident_id == incident_id).values(changes))

    async def threat(self, incident_id: str = "incident-1", **changes: Any) -> str:
        now = self.clock.now()
        identifier = f"threat-{secrets.token_hex(4)}"
        values: dict[str, Any] = {
            "identifier": identifier,
            "incident_id": incident_id,
            "sender": SENDER,
            "sent_at": now,
            "message_type": "Alert",
            "event_id": identifier,
            "state": "active",
            "imminent": True,
            "exercise": False,
            "expires_at": now + timedelta(hours=2),
            "data": {},
            "created_at": now,
            "updated_at": now,
        }
        await self._insert(tables.threats, values | changes)
        await self._insert(tables.threat_incidents, {"identifier": identifier, "incident_id": incident_id})
        return identifier

    async def set_threat(self, identifier: str, **changes: Any) -> None:
        async with self.database.write() as tx:
            table = tables.threats
            await tx.execute(update(table).where(table.c.identifier == identifier).values(changes))

    async def attached(self, incident_id: str = "incident-1", **changes: Any) -> ProbeRecord:
        """A still with one face that can be chosen, on an incident that is made when it is not there."""
        if not await self.rows(tables.incidents, incident_id=incident_id):
            await self.incident(incident_id)
        return await self.desk.attach(incident_id, form(**changes), ANALYST, upload())

    async def chosen(self, incident_id: str = "incident-1") -> ProbeRecord:
        return await self.desk.choose_face((await self.attached(incident_id)).probe_id, 1, ANALYST)

    async def authorized(self, incident_id: str = "incident-1") -> ProbeRecord:
        return await self.desk.approve((await self.chosen(incident_id)).probe_id, SUPERVISOR)

    async def deferred(self, incident_id: str = "incident-1") -> ProbeRecord:
        """A probe whose approval may follow, since an imminent threat is active."""
        await self.incident(incident_id)
        await self.threat(incident_id)
        probe = await self.chosen(incident_id)
        assert probe.state == "authorized"
        return probe

    async def rows(self, table: Table, **where: Any) -> list[dict[str, Any]]:
        query = select(table)
        for name, value in where.items():
            query = query.where(table.c[name] == value)
        async with self.database.read() as tx:
            return [dict(row) for row in (await tx.execute(query)).mappings()]

    async def events(self, event_type: str) -> list[dict[str, Any]]:
        """The data of the outgoing events of that type, in the order of their writing."""
        found = await self.rows(tables.outbox, event_type=event_type)
        return [row["event"]["data"] for row in sorted(found, key=lambda row: int(row["id"]))]

    async def requests(self) -> list[dict[str, Any]]:
        return await self.rows(tables.outbox, event_type="rtcc-bridge.probe.search")

    async def audited(self, action: str) -> list[dict[str, Any]]:
        return await self.rows(tables.audit_entries, action=action)

    async def read(self, object_key: str) -> bytes:
        async with self.database.read() as tx:
            key = await self.vault.key_of(tx, object_key)
        return await self.vault.unseal(object_key, key)

    def object_files(self) -> list[Path]:
        return [path for path in self.objects.rglob("*") if path.is_file() and path.name not in {"ping", MARKER}]

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"rtcc_bridge_{name}", labels) or 0.0

    async def enrol(self, subject_ref: str, kind: str = "demo") -> Candidate:
        """A person with one living image, as a search would list them."""
        now: datetime = self.clock.now()
        if not await self.rows(tables.galleries, name=kind):
            gallery = {"name": kind, "kind": kind, "version": 1, "template_hash": "a" * 64, "pack_name": "test"}
            await self._insert(tables.galleries, gallery | {"template_length": 4, "created_at": now})
        subject = await self._insert(tables.subjects, {"gallery": kind, "subject_ref": subject_ref, "created_at": now})
        image = await self._insert(
            tables.gallery_images,
            {
                "gallery": kind,
                "subject_id": subject,
                "image_sha256": secrets.token_hex(32),
                "provenance": "test",
                "lawful_basis": "test",
                "retain_until": now + timedelta(days=1),
                "segment_id": "segment",
                "segment_row": 0,
                "added_version": 1,
            },
        )
        return Candidate(subject, ScoredImage(image, 0.9), ())

    async def _insert(self, table: Table, values: dict[str, Any]) -> Any:
        """Returns the first column of the row's primary key."""
        async with self.database.write() as tx:
            key = (await tx.execute(insert(table).values(values))).inserted_primary_key
        assert key is not None
        return key[0]


def build_kit(
    database: Database,
    vault: ObjectVault,
    clock: ManualClock,
    metrics: Metrics,
    objects: Path,
    *,
    training_gallery: str | None = None,
    workers: PictureReader | None = None,
    max_upload_bytes: int = 25_000_000,
    max_clip_bytes: int = 1_000_000,
    upload_timeout_seconds: float = 30.0,
    own_policy: Policy | None = None,
) -> ProbeKit:
    """workers: real ones, or a stand-in of the test's own, which then is the kit's. own_policy: not the example."""
    topics = TopicSettings()
    folder = objects.parent
    keys = LocalMasterKeys.load(ObjectSettings(master_key_file=folder / "master.key"), may_create=True)
    audit = AuditLog(clock, Commitments(database, keys, clock), AuditJournal(folder / "journal"))
    outbox = Outbox(clock)
    settings = LeadSettings()
    decides = in_force(own_policy or policy())
    leads = LeadDesk(database, outbox, audit, vault, topics, settings, metrics, clock, decides)
    parts = ProbeParts(database, clock, decides, audit, outbox, leads, metrics, topics, authority_keys())
    stand_in = workers if isinstance(workers, PictureWorkers) else PictureWorkers()
    desk = ProbeDesk(
        parts,
        vault,
        workers or stand_in,
        training_gallery=training_gallery,
        max_upload_bytes=max_upload_bytes,
        upload_timeout_seconds=upload_timeout_seconds,
    )
    provisional = ProvisionalDesk(parts, incident_desk(parts))
    reconciler = Reconciler(parts, settings, provisional)
    reader = workers if isinstance(workers, WorkerPool) else stand_in
    rules = ClipRules(max_clip_bytes, upload_timeout_seconds, keep_minutes=60)
    clips = ClipDesk(parts, vault, reader, desk, rules)
    keeper = ClipKeeper(parts, vault)
    approvals = ApprovalDesk(parts)
    return ProbeKit(parts, vault, stand_in, desk, approvals, reconciler, provisional, clips, keeper, clock, objects)


def incident_desk(parts: ProbeParts) -> IncidentDesk:
    """As the daemon wires it: probes and leads follow what becomes of an incident."""
    approvals = ApprovalDesk(parts)

    async def authority_ended(tx: Transaction, incident_id: str, reason: str) -> None:
        await approvals.withdraw_for_incident(tx, incident_id, reason)
        await parts.leads.withdraw_for_incident(tx, incident_id, reason, SYSTEM)

    async def incident_merged(tx: Transaction, incident_id: str, into: str) -> None:
        await probes.move_to_incident(tx, incident_id, into, at=parts.clock.now())
        await parts.leads.follow_merge(tx, incident_id, into)

    return IncidentDesk(parts.outbox, parts.clock, authority_ended, incident_merged)


def open_vault(folder: Path, clock: ManualClock) -> ObjectVault:
    settings = ObjectSettings(url=f"file://{folder / 'objects'}", master_key_file=folder / "master.key")
    return ObjectVault(settings, LocalMasterKeys.load(settings, may_create=True), clock)


def face_search(
    gallery: SearchedGallery, metrics: Metrics | None = None, *, batch_size: int = 8, wait_seconds: float = 0.001
) -> FaceSearch:
    """A search with a real batcher, observed where metrics are given; open `batcher` before use."""
    on_batch = None if metrics is None else partial(observe_batch, metrics)
    batcher: Batcher[FaceCrop, FoundCandidates] = Batcher(
        gallery.search_batch,
        policy=FixedWindow(batch_size, wait_seconds),
        queue_limit=8,
        on_batch=on_batch,
        around_batch=trace_batch,
    )
    return FaceSearch(gallery, batcher)


async def _works() -> None:
    """What a watched device says that works."""


def search_handler(
    kit: ProbeKit,
    actual: FaceSearch,
    training: FaceSearch | None = None,
    timeout_seconds: float = 30.0,
    device_works: Callable[[], Awaitable[None]] = _works,
    model_problem_at: Callable[[datetime], str] = lambda _now: "it is not signed",
    *,
    is_demo: bool = True,
) -> SearchHandler:
    return SearchHandler(
        kit.parts,
        kit.vault,
        actual,
        training,
        timeout_seconds=timeout_seconds,
        device_works=device_works,
        model_problem_at=model_problem_at,
        is_demo=is_demo,
    )


def record_of(row: dict[str, Any]) -> ConsumedRecord:
    """The record that the relay would publish for a row of the outbox."""
    return ConsumedRecord(
        topic=row["topic"],
        partition=0,
        offset=0,
        key=row["key"].encode(),
        value=json.dumps(row["event"]).encode(),
        headers=STRUCTURED_HEADERS,
        timestamp=row["created_at"],
    )


@pytest.fixture
async def kit(database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path) -> AsyncIterator[ProbeKit]:
    """Without a training gallery."""
    async with open_vault(tmp_path, clock) as vault:
        yield build_kit(database, vault, clock, metrics, tmp_path / "objects")


@pytest.fixture
async def training_kit(
    database: Database, clock: ManualClock, metrics: Metrics, tmp_path: Path
) -> AsyncIterator[ProbeKit]:
    """With a training gallery."""
    async with open_vault(tmp_path, clock) as vault:
        yield build_kit(database, vault, clock, metrics, tmp_path / "objects", training_gallery="training")
