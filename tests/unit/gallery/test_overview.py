"""What is told of a gallery: provenance, enrolments, removals with both receipts. Nobody is named."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from rtcc_bridge.audit.entries import record_of
from rtcc_bridge.errors import NotFoundError, PolicyRefusalError
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.overview import GOING_ON, SAME_RUN, GalleryOverview, runs
from rtcc_bridge.gallery.sources import FolderSource
from rtcc_bridge.policy.accounts import DEMO_ACCOUNTS
from rtcc_bridge.storage.audit_entries import AuditEntryRecord
from tests.gallery_kit import ADMINISTRATOR, SOURCE_WORDS, GalleryKit

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def batch(minutes_ago: float, version: int, actor: str = "administrator", images: int = 64) -> AuditEntryRecord:
    entry = {
        "entryId": f"e-{version}",
        "actor": actor,
        "action": "gallery.enrolled",
        "subject": "gallery/city",
        "outcome": "enrolled",
        "details": {"version": version, "images": images},
    }
    return record_of(entry, NOON - timedelta(minutes=minutes_ago))


def test_batches_that_follow_each_other_are_one_enrolment() -> None:
    apart = SAME_RUN.total_seconds() / 60
    newest_first = [batch(0.5, 9), batch(1, 8, images=3), batch(1.5, 7, "system"), batch(30, 6), batch(30 + apart, 5)]
    found = runs(newest_first, NOON)
    assert [(one.actor, one.batches, one.images, one.version, one.is_going_on) for one in found] == [
        ("administrator", 2, 67, 9, True),
        ("system", 1, 64, 7, True),
        ("administrator", 2, 128, 6, False),
    ]
    assert found[2].began_at == NOON - timedelta(minutes=30 + apart)
    assert not any(one.is_partial for one in found)


def test_an_enrolment_whose_last_batch_is_old_is_not_going_on() -> None:
    minutes = GOING_ON.total_seconds() / 60
    assert [one.is_going_on for one in runs([batch(minutes + 0.1, 1)], NOON)] == [False]


def test_what_began_before_the_batches_that_were_read_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtcc_bridge.gallery.overview.BATCHES_READ", 3)
    found = runs([batch(1, 5), batch(60, 4), batch(61, 3)], NOON)
    assert [one.is_partial for one in found] == [False, True]


async def test_a_gallery_whole_without_a_name(kit: GalleryKit, pictures: Path) -> None:
    source = FolderSource(pictures, **SOURCE_WORDS)
    await kit.enroller().enroll(source, "city", GalleryKind.DEMO, account=ADMINISTRATOR)
    (pictures.parent / "court" / "dan").mkdir(parents=True)
    (pictures.parent / "court" / "dan" / "1").write_text("dan-1")
    words = {**SOURCE_WORDS, "provenance": "court", "lawful_basis": "order 3", "retain_until": "2027-01-31"}
    other = FolderSource(pictures.parent / "court", **words)
    await kit.enroller().enroll(other, "city", GalleryKind.DEMO, account=ADMINISTRATOR)
    overview = GalleryOverview(kit.parts())
    before = await overview.one(ADMINISTRATOR, "city")
    assert [(one.provenance, one.images, one.people) for one in before.sources] == [
        ("booking desk", 4, 3),
        ("court", 1, 1),
    ]
    assert before.sources[1].last_retention.isoformat() == "2027-02-01T00:00:00+00:00"
    assert [(one.images, one.version) for one in before.enrolments] == [(5, 2)]
    assert before.removals == []

    receipt = await kit.expunger().expunge_subject("city", "ann", "court order 7", ADMINISTRATOR, scrubs=False)
    assert (receipt.images_removed, receipt.bytes_gone) == (2, False)
    after = await overview.one(ADMINISTRATOR, "city")
    assert (after.holds.people, after.holds.images, after.holds.with_picture, after.holds.removed) == (3, 3, 3, 2)
    assert (after.holds.segments, after.holds.waiting, after.holds.past_retention) == (2, 1, 0)
    assert after.holds.next_retention == before.sources[1].last_retention
    [removal] = after.removals
    assert (removal.version, removal.people, removal.images, removal.reason) == (3, 1, 2, "court order 7")
    assert removal.bytes_gone_at is None
    [glance] = await overview.every(ADMINISTRATOR)
    assert (glance.gallery.version, glance.images, glance.waiting) == (3, 3, 1)

    kit.clock.advance(40)
    await kit.scrubber().scrub("city")
    [removal] = (await overview.one(ADMINISTRATOR, "city")).removals
    assert removal.bytes_gone_at == kit.clock.now()
    assert [one.waiting for one in await overview.every(ADMINISTRATOR)] == [0]
    assert "ann" not in repr(await overview.one(ADMINISTRATOR, "city"))


async def test_who_may_not_is_refused_and_what_is_not_there_is_not_found(kit: GalleryKit) -> None:
    overview = GalleryOverview(kit.parts())
    with pytest.raises(PolicyRefusalError, match="Only an account with the role administrator or auditor"):
        await overview.one(DEMO_ACCOUNTS["analyst"], "city")
    with pytest.raises(NotFoundError):
        await overview.one(ADMINISTRATOR, "city")
