"""The figures of a gallery are those of its rows."""

from pathlib import Path

import pytest

from rtcc_bridge.errors import NotFoundError
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.sources import FolderSource
from rtcc_bridge.gallery.stats import every_gallery, gallery_stats
from tests.gallery_kit import ADMINISTRATOR, SOURCE_WORDS, GalleryKit


async def test_counts_of_a_gallery(kit: GalleryKit, pictures: Path) -> None:
    source = FolderSource(pictures, **SOURCE_WORDS)
    await kit.enroller().enroll(source, "city", GalleryKind.DEMO, account=ADMINISTRATOR)
    brief = FolderSource(pictures.parent / "brief", **{**SOURCE_WORDS, "retain_until": "2026-11-24"})
    (brief.root / "dan").mkdir(parents=True)
    (brief.root / "dan" / "1").write_text("dan-1")
    await kit.enroller().enroll(brief, "city", GalleryKind.DEMO, account=ADMINISTRATOR)
    await kit.expunger().expunge_subject("city", "ann", "court order 7", ADMINISTRATOR)
    kit.clock.advance(3 * 86_400)
    stats = await gallery_stats(kit.database, kit.clock, "city")
    assert (stats.gallery.version, stats.gallery.kind, stats.gallery.pack_name) == (3, "demo", "test-pack")
    counts = stats.counts
    assert (counts.subjects, counts.images, counts.images_with_picture, counts.images_removed) == (3, 3, 3, 2)
    assert (counts.segments, counts.segments_to_scrub) == (2, 0)
    assert (counts.removals, counts.removals_without_second_receipt) == (3, 0)  # ann and her two pictures
    assert counts.images_past_retention == 1
    assert counts.next_retention is not None
    assert counts.next_retention.isoformat() == "2026-11-25T00:00:00+00:00"
    assert counts.size_bytes > 5 * 16 * 4
    assert [gallery.name for gallery in await every_gallery(kit.database)] == ["city"]


async def test_an_unknown_gallery_is_named(kit: GalleryKit) -> None:
    with pytest.raises(NotFoundError, match="no gallery town"):
        await gallery_stats(kit.database, kit.clock, "town")
