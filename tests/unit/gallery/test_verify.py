"""Verification finds what is wrong with a gallery, and says what does without it and what to restore."""

import hashlib
from pathlib import Path

import pytest

from rtcc_bridge.errors import NotFoundError
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.sources import FolderSource
from rtcc_bridge.gallery.verify import GalleryVerifier, VerifyReport
from rtcc_bridge.storage import galleries, object_keys
from rtcc_bridge.storage.tables import galleries as gallery_table
from rtcc_bridge.storage.tables import gallery_images, gallery_segments
from tests.gallery_kit import ADMINISTRATOR, SOURCE_WORDS, GalleryKit
from tests.vault_kit import stored_files


@pytest.fixture
async def enrolled(kit: GalleryKit, pictures: Path) -> GalleryKit:
    """Two versions with a segment each: four pictures, and one more."""
    await _enroll(kit, pictures)
    (pictures / "dan").mkdir()
    (pictures / "dan" / "1").write_text("dan-1")
    await _enroll(kit, pictures)
    return kit


async def _enroll(kit: GalleryKit, pictures: Path) -> None:
    source = FolderSource(pictures, **SOURCE_WORDS)
    await kit.enroller().enroll(source, "city", GalleryKind.DEMO, account=ADMINISTRATOR)


async def verify(kit: GalleryKit, *, pictures: bool = True) -> VerifyReport:
    verifier = GalleryVerifier(kit.database, kit.vault)
    return await verifier.verify("city", with_pictures=pictures, on_checked=lambda *_: None)


async def second_segment(kit: GalleryKit) -> Path:
    async with kit.database.read() as tx:
        _, second = await galleries.segments(tx, "city", after=0, up_to=2)
    return kit.folder / second.object_key


async def test_a_sound_gallery_has_no_fault(enrolled: GalleryKit) -> None:
    report = await verify(enrolled)
    assert (report.version, report.segments, report.templates, report.pictures, report.findings) == (2, 2, 5, 5, [])
    assert (await verify(enrolled, pictures=False)).pictures == 0
    await enrolled.expunger().expunge_subject("city", "ann", "court order 7", ADMINISTRATOR)
    report = await verify(enrolled)
    assert (report.templates, report.pictures, report.findings) == (3, 3, [])


async def test_a_truncated_segment_names_the_version_before_it_and_the_file_to_restore(enrolled: GalleryKit) -> None:
    file = await second_segment(enrolled)
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    (finding,) = (await verify(enrolled)).findings
    assert "version 1 and earlier ones do without it" in finding.lower()
    assert f"objects/gallery-segment/{file.name}" in finding
    assert "(1 images)" in finding
    file.unlink()
    (finding,) = (await verify(enrolled)).findings
    assert "not in the object store" in finding
    file.write_bytes(whole)  # what the finding says to do
    assert (await verify(enrolled)).findings == []


async def test_every_other_fault_is_found(enrolled: GalleryKit) -> None:
    async with enrolled.database.read() as tx:
        images = await galleries.living_images(tx, "city")
    picture = images[0].image_object
    assert picture is not None
    file = enrolled.folder / picture
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    (finding,) = (await verify(enrolled)).findings
    assert f"objects/{picture}" in finding
    file.write_bytes(whole)

    async def finding_after(**changes: object) -> str:
        """Of the first image, changed in the database and set right again."""
        row = gallery_images.c.image_id == images[0].image_id
        before = {name: getattr(images[0], name) for name in changes}
        async with enrolled.database.write() as tx:
            await tx.execute(gallery_images.update().where(row).values(changes))
        findings = (await verify(enrolled)).findings
        async with enrolled.database.write() as tx:
            await tx.execute(gallery_images.update().where(row).values(before))
        return " ".join(findings)

    assert "not the one that was enrolled" in await finding_after(image_sha256=hashlib.sha256(b"x").hexdigest())
    assert "one row" in await finding_after(segment_row=images[1].segment_row)
    assert "one row" in await finding_after(segment_row=99)
    assert "1 images have no segment" in await finding_after(segment_id="gone")
    assert (await verify(enrolled)).findings == []


async def test_a_head_behind_its_rows_and_a_template_that_should_be_gone_are_found(enrolled: GalleryKit) -> None:
    async with enrolled.database.write() as tx:
        await tx.execute(gallery_table.update().values(version=1))
    assert "version 2" in (await verify(enrolled)).findings[0]
    async with enrolled.database.write() as tx:
        await tx.execute(gallery_table.update().values(version=2))
        first = gallery_images.c.added_version == 1
        await tx.execute(gallery_images.update().where(first).values(removed_version=2))
        await tx.execute(gallery_segments.update().values(scrubbed_version=2))
    (finding,) = (await verify(enrolled, pictures=False)).findings
    assert "template of a removed image" in finding


async def test_a_destroyed_key_is_a_fault(enrolled: GalleryKit) -> None:
    file = await second_segment(enrolled)
    async with enrolled.database.write() as tx:
        await object_keys.remove(tx, [f"gallery-segment/{file.name}"])
    (finding,) = (await verify(enrolled)).findings
    assert "destroyed" in finding


async def test_a_segment_that_is_scrubbed_meanwhile_is_read_anew(
    enrolled: GalleryKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    unseal = enrolled.vault.unseal

    async def overtaken(*arguments: object) -> bytes:
        monkeypatch.undo()
        await enrolled.expunger().expunge_subject("city", "ann", "court order 7", ADMINISTRATOR)
        return await unseal(*arguments)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(enrolled.vault, "unseal", overtaken)
    report = await verify(enrolled)
    assert (report.templates, report.pictures, report.findings) == (3, 3, [])
    assert len(stored_files(enrolled.folder)) == 5


async def test_an_unknown_gallery_is_named(kit: GalleryKit) -> None:
    with pytest.raises(NotFoundError, match="no gallery city"):
        await verify(kit)
