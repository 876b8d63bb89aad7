"""P06: an image whose retention date has passed is removed, with the receipts of an expungement."""

import asyncio
from pathlib import Path

import pytest

from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.gallery import retention
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.set_aside import Reason
from rtcc_bridge.gallery.sources import FolderSource
from rtcc_bridge.storage import galleries
from rtcc_bridge.storage.galleries import RemovalKind
from rtcc_bridge.storage.removals_ledger import Expungement
from rtcc_bridge.storage.tables import audit_entries, gallery_removals
from tests.gallery_kit import ADMINISTRATOR, SOURCE_WORDS, GalleryKit
from tests.integration.pipeline import until

DAY = 86_400.0


async def enroll(kit: GalleryKit, pictures: Path, until_day: str) -> dict[Reason, int]:
    source = FolderSource(pictures, **{**SOURCE_WORDS, "retain_until": until_day})
    receipt = await kit.enroller().enroll(source, "city", GalleryKind.DEMO, account=ADMINISTRATOR)
    return dict(receipt.set_aside)


@pytest.fixture
async def brief(kit: GalleryKit, pictures: Path) -> GalleryKit:
    """Ann's two pictures, bob's and cat's may be kept until the end of the day; dan's for years."""
    await enroll(kit, pictures, "2026-11-23")
    (pictures.parent / "long" / "dan").mkdir(parents=True)
    (pictures.parent / "long" / "dan" / "1").write_text("dan-1")
    await enroll(kit, pictures.parent / "long", "2030-12-31")
    return kit


async def living(kit: GalleryKit) -> int:
    async with kit.database.read() as tx:
        return len(await galleries.living_images(tx, "city"))


async def test_the_live_leads_with_the_people_are_withdrawn_and_receipts_are_left(brief: GalleryKit) -> None:
    brief.withdrawals.count = 1
    brief.clock.advance(DAY)
    await brief.retention_keeper().remove_all()
    people = {subject_id for subject_id, _, _ in brief.withdrawals.asked}
    assert len(people) == 3
    async with brief.database.read() as tx:
        rows = (await tx.execute(gallery_removals.select())).all()
        entries = {row.action: row.entry for row in await tx.execute(audit_entries.select())}
    assert {row.kind for row in rows} == {RemovalKind.IMAGE}
    assert all(row.bytes_gone_at == brief.clock.now() for row in rows)
    first, second = entries["gallery.retention_ended"], entries["gallery.bytes_gone"]
    assert (first["details"]["images"], first["details"]["leadsWithdrawn"]) == (4, 3)
    assert set(first["details"]["subjectIds"]) == people
    assert (second["details"]["version"], second["details"]["seconds"]) == (3, 0)
    ledger = [entry async for entry in brief.vault.ledger.entries()]
    (removed,) = [entry for entry in ledger if isinstance(entry, Expungement)]
    assert len(set(removed.images)) == 4, "a restoration removes them again"


async def test_the_same_picture_does_not_come_back_with_another_date(brief: GalleryKit, pictures: Path) -> None:
    brief.clock.advance(DAY)
    await brief.retention_keeper().remove_all()
    assert await enroll(brief, pictures, "2030-12-31") == {Reason.REMOVED: 4}


async def test_a_clock_that_leaps_ahead_removes_nothing_for_a_day(brief: GalleryKit) -> None:
    keeper = brief.retention_keeper()
    await keeper.look()
    brief.clock.advance(DAY)
    for _ in range(2):  # a process that has just been started knows of it too
        assert await keeper.look() == 0
        brief.counted += DAY / 2
        brief.clock.advance(DAY / 2)
        keeper = brief.retention_keeper()
    assert await keeper.look() == 4
    assert await living(brief) == 1


async def test_the_task_tries_again_after_an_outage(brief: GalleryKit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_EVERY_SECONDS", 0.01)
    brief.clock.advance(DAY)
    keeper = brief.retention_keeper()
    outages = 0

    async def away(*_: object) -> int:
        nonlocal outages
        outages += 1
        raise UnavailableError("away")

    with monkeypatch.context() as patched:
        patched.setattr(keeper, "_withdraw", away)
        running = asyncio.create_task(keeper.run())
        await until(lambda: outages > 1)
        assert await living(brief) == 5, "nothing is removed by halves"
    value = brief.metrics.registry.get_sample_value
    await until(lambda: value("rtcc_bridge_gallery_removals_total", {"why": "retention"}) == 4)
    await until(lambda: value("rtcc_bridge_images_past_retention") == 0)
    running.cancel()
    await asyncio.wait([running])
    assert await living(brief) == 1
