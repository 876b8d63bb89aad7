"""The floor that the tour goes through: one night with something on every page of it, always the same."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from aiohttp import FormData
from sqlalchemy import update

from rtcc_bridge.cloud_event import rfc3339
from rtcc_bridge.gallery.enroll import Enroller
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.sent_enrolment import SentPictureEnroller
from rtcc_bridge.gallery.sources import FolderSource
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.people.signed_in import SignedIn, Voucher
from rtcc_bridge.policy.accounts import Account, Role
from rtcc_bridge.storage import tables
from tests.doubles import ManualClock
from tests.e2e.tour.painting import faces
from tests.gallery_kit import ADMINISTRATOR, PACK, SOURCE_WORDS, WordPortraits, word_templates
from tests.life_kit import FIRST, PEER, LifeKit, build_life
from tests.probe_kit import CLIP, Gallery, face_search, gallery_parts, record_of, search_handler
from tests.report_kit import log_searches, sign_log
from tests.unit.qualification.packs import paper_pack
from tests.website import FIELDS, Website, acting, picture_form, still_form

NIGHT: Final = datetime(2026, 11, 24, 3, 14, tzinfo=UTC)
"""When the pictures are taken: a quarter past ten in the evening, in New York."""
_BEFORE: Final = timedelta(hours=6)
REPORTED, PUBLISHED = "2026-10", "2026-09"
"""Whole months before that night: of the report that is looked at, and of the one that is kept as a paper. With a month
for each, neither is a report of what was reported before."""
_TAKEN_ON: Final = "2021-08-14"
_INCIDENTS: Final = (
    # id, type, priority, place, hours before the pictures
    ("26-118204", "HOMICIDE", 1, "Harbor Street 12", 6.4),
    ("26-118231", "ROBBERY", 2, "Mill Lane, corner of Third Avenue", 5.6),
    ("26-118240", "ASSAULT", 3, "Central Station, platform 4", 4.7),
    ("26-118252", "STABBING", 1, "Quarry Road 7", 1.9),
    ("26-118260", "CARJACK", 2, "Parking level 2, North Market", 1.1),
    ("26-118266", "SHOOT", 1, "Dock 9, warehouse", 0.4),
)
HOMICIDE, ROBBERY, ASSAULT, STABBING, CARJACKING, SHOOTING = (name for name, *_ in _INCIDENTS)
_SEARCHED: Final = ((HOMICIDE, 31), (ROBBERY, 44), (ASSAULT, 17), (SHOOTING, 9))
"""What the log has of each whole month: with a few searches everything would be left out."""


@dataclass(frozen=True, slots=True)
class Scenery:
    """The ids that this night gave to what the tour goes to."""

    clip: str
    probe: str
    waiting: str
    examined: str
    reviewed: str
    agreed: str
    released: str
    entry: str


class _TickingClock(ManualClock):
    """Tells each who asks a later time, by a millionth of a second: what happens in one moment keeps its order."""

    def now(self) -> datetime:
        self.advance(1e-6)
        return super().now()


def long_before() -> ManualClock:
    return _TickingClock(_middle_of(PUBLISHED))


async def set_up(site: Website, folder: Path) -> Scenery:
    """Lets the night happen on the site, whose clock is that of `long_before`. folder: where the site's files lie."""
    site.kit.workers.faces = faces()
    life, pack = build_life(site.kit), paper_pack(folder / "packs" / "agency")
    for month in (PUBLISHED, REPORTED):
        site.kit.clock.advance((_middle_of(month) - site.kit.clock.now()).total_seconds())
        await _month(site)
    site.kit.clock.advance((NIGHT - _BEFORE - site.kit.clock.now()).total_seconds())
    await _enrol(site, folder)
    for name, kind, priority, place, hours in _INCIDENTS:
        opened = NIGHT - timedelta(hours=hours)
        fields = {"incidentTypeCommonRegistryText": kind, "openedAt": rfc3339(opened), "location": {"text": place}}
        await site.report(name, incidentCommonPriorityNumber=priority, notes=["Caller is on the line"], **fields)
    released = await _searched(site, life, pack, HOMICIDE)
    await _agreed_on(site, life, released)
    await life.life.release.release(released, FIRST, ())
    agreed = await _searched(site, life, pack, ROBBERY)
    await _agreed_on(site, life, agreed)
    in_review = await _searched(site, life, pack, ASSAULT)
    await _taken(site, life, in_review)
    await life.conclude(in_review, (1,))
    await _until(site, 30)
    await site.alert(SHOOTING, headline="Armed person at the docks", minutes=75)
    await site.alert(
        CARJACKING, headline="Vehicle is driven at people", urgency="Expected", severity="Severe", minutes=140
    )
    imminent = await _searched(site, life, pack, SHOOTING, purpose="imminent_threat")
    await life.leads.acknowledge(imminent, FIRST)
    reviewed = await _review_of(site, imminent)
    await life.life.review.take(reviewed, PEER)
    await _until(site, 12)
    waiting = await _chosen(site, STABBING)
    probe = await _attached(site, CARJACKING)
    clip = await _clip(site, CARJACKING)
    await _sent_by_page(site)
    await _oversight(site)
    await _until(site, 0)
    await site.settle()
    found = await site.kit.rows(tables.audit_entries, action="lead.candidates")
    [entry] = [row["entry_id"] for row in found if row["entry"]["subject"] == released]
    return Scenery(clip, probe, waiting, imminent, reviewed, agreed, released, str(entry))


def _middle_of(month: str) -> datetime:
    return datetime.fromisoformat(f"{month}-15T12:00:00+00:00")


async def _month(site: Website) -> None:
    for incident, count in _SEARCHED:
        for result, share in (("candidates", 2), ("no_candidate", 3), ("rejected_quality", 6)):
            await log_searches(site.kit, count // share, incident=incident, result=result, gallery="city")


async def _until(site: Website, minutes_before: float) -> None:
    """Lets the time pass until so many minutes before the pictures."""
    await _pass(site, (NIGHT - timedelta(minutes=minutes_before) - site.kit.clock.now()) / timedelta(minutes=1))


async def _pass(site: Website, minutes: float) -> None:
    """Lets the time pass in which the broker, if there were one, took what was to be published."""
    table = tables.outbox
    async with site.kit.database.write() as tx:
        await tx.execute(update(table).where(table.c.published_at.is_(None)).values(published_at=site.kit.clock.now()))
    site.kit.clock.advance(60 * minutes)


async def _enrol(site: Website, folder: Path) -> None:
    """A gallery of few, one of whom has been removed again."""
    for number in range(1, 9):
        record = folder / "records" / f"R-{2000 + number}"
        record.mkdir(parents=True)
        (record / "1").write_text(record.name)
    enroller = Enroller(gallery_parts(site.kit), WordPortraits(), PACK, max_picture_bytes=1000, workers=1)
    source = FolderSource(folder / "records", **SOURCE_WORDS)
    await enroller.enroll(source, "city", GalleryKind.DEMO, account=ADMINISTRATOR)
    await site.post(
        "/galleries/city/expunge", "administrator", {"person": "R-2003", "reason": "court order of November 20"}
    )


async def _sent_by_page(site: Website) -> None:
    """Of three pictures one is enrolled, one shows two people, and one waits for a matcher."""
    for text in ("R-2009", "R-2009 somebody", "R-2010"):
        if text == "R-2010":
            await SentPictureEnroller(gallery_parts(site.kit), PACK, word_templates).enroll_some()
        form = picture_form(text, person=text[:6])
        address = "/api/v1/galleries/city/pictures"
        async with site.client.post(address, data=form, headers=acting("administrator")) as answer:
            assert answer.status == 201, await answer.text()


async def _attached(site: Website, incident_id: str, **changes: str) -> str:
    """A still of the incident's own. Returns the probe's id."""
    form = still_form({"requestor": "requestor", **changes}, f"a still of {incident_id}".encode())
    address = f"/api/v1/incidents/{incident_id}/probes"
    async with site.client.post(address, data=form, headers=acting("analyst")) as answer:
        assert answer.status == 201, await answer.text()
        return str((await answer.json())["probeId"])


async def _chosen(site: Website, incident_id: str, **changes: str) -> str:
    probe_id = await _attached(site, incident_id, **changes)
    await site.post(f"/probes/{probe_id}/face", "analyst", {"number": 1})
    return probe_id


async def _searched(
    site: Website, life: LifeKit, pack: ModelPack, incident_id: str, people: int = 3, **changes: str
) -> str:
    """A lead, approved unless its approval may follow. Returns its id."""
    await _pass(site, 7)
    probe_id = await _chosen(site, incident_id, **changes)
    await _pass(site, 4)
    if not changes:
        await site.post(f"/probes/{probe_id}/approve", "supervisor")
    found = [await life.enrol(f"{incident_id}/{number}", pictures=2) for number in range(people)]
    first_photos = tables.gallery_images.c.image_id.in_([one.best.image_id for one in found])
    async with site.kit.database.write() as tx:
        await tx.execute(update(tables.gallery_images).where(first_photos).values(taken_on=_TAKEN_ON))
    search = face_search(Gallery(finds=lambda _crop: found, model=(pack.name, pack.pack_hash)))
    async with search.batcher:
        [request] = [row for row in await site.kit.requests() if row["event"]["data"]["probeId"] == probe_id]
        await search_handler(site.kit, search).handle(record_of(request))
    [lead] = await site.kit.rows(tables.leads, probe_id=probe_id)
    return str(lead["lead_id"])


async def _taken(site: Website, life: LifeKit, lead_id: str) -> None:
    await _pass(site, 3)
    await life.leads.acknowledge(lead_id, FIRST)
    await _pass(site, 11)


async def _agreed_on(site: Website, life: LifeKit, lead_id: str) -> None:
    await _taken(site, life, lead_id)
    await life.conclude(lead_id, (1,))
    await _pass(site, 14)
    await life.review(lead_id, PEER, (1,))


async def _review_of(site: Website, lead_id: str) -> str:
    [row] = await site.kit.rows(tables.examinations, lead_id=lead_id, round=2)
    return str(row["examination_id"])


async def _clip(site: Website, incident_id: str) -> str:
    form = FormData(default_to_multipart=True)
    for name, value in FIELDS.items():
        form.add_field(name, value)
    form.add_field("clip", CLIP, filename="camera.mp4", content_type="video/mp4")
    address = f"/api/v1/incidents/{incident_id}/clips"
    async with site.client.post(address, data=form, headers=acting("analyst")) as answer:
        assert answer.status == 201, await answer.text()
        return str((await answer.json())["clipId"])


async def _oversight(site: Website) -> None:
    """Something for those who oversee: attempts that were refused, people who are signed in, a log that is signed."""
    for account, path in (("analyst", "/oversight"), ("floor", "/api/v1/probes"), ("requestor", "/people")):
        async with site.client.get(path, headers=acting(account)) as answer:
            assert answer.status == 403
    for person, role in (("e-1041", Role.ANALYST), ("e-1102", Role.SUPERVISOR)):
        signed_in = Account(person, frozenset({role}), login=f"{person}@example.org")
        await site.services.people.sessions.begin(SignedIn(voucher=Voucher.LOCAL, account=signed_in))
    await sign_log(site.kit)
