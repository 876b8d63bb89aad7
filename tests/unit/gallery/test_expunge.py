"""P25: a removed person is out at the transaction, stays out, and the bytes go."""

import asyncio
import hashlib
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from rtcc_bridge.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.scrub import SegmentScrubber
from rtcc_bridge.gallery.segments import SegmentHeader, decode_segment
from rtcc_bridge.gallery.set_aside import Reason
from rtcc_bridge.gallery.sources import FolderSource
from rtcc_bridge.matching.types import Float32Array
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.storage import galleries
from rtcc_bridge.storage.galleries import GalleryRecord, SegmentRecord
from rtcc_bridge.storage.objects import ObjectVault
from rtcc_bridge.storage.tables import audit_entries, object_keys, outbox
from tests.gallery_kit import ADMINISTRATOR, PACK, SOURCE_WORDS, GalleryKit, stored_template_of
from tests.integration.pipeline import until
from tests.vault_kit import stored_files

ORDER = ("court order 7", ADMINISTRATOR)


async def enroll(kit: GalleryKit, pictures: Path) -> dict[Reason, int]:
    source = FolderSource(pictures, **SOURCE_WORDS)
    receipt = await kit.enroller().enroll(source, "city", GalleryKind.DEMO, account=ADMINISTRATOR)
    return dict(receipt.set_aside)


@pytest.fixture
async def enrolled(kit: GalleryKit, pictures: Path) -> GalleryKit:
    await enroll(kit, pictures)
    return kit


async def _not_now(*_: object) -> int:
    raise UnavailableError("later")


async def segment_rows(kit: GalleryKit) -> tuple[SegmentRecord, Float32Array]:
    async with kit.database.read() as tx:
        (segment,) = await galleries.segments(tx, "city", after=0, up_to=1)
        key = await kit.vault.key_of(tx, segment.object_key)
    header = SegmentHeader("city", segment.segment_id, PACK.template_hash, segment.rows, PACK.template_length)
    return segment, decode_segment(header, await kit.vault.unseal(segment.object_key, key)).as_float32()


async def living(kit: GalleryKit) -> dict[str, int]:
    """sha256 -> image id of the images that are searched."""
    async with kit.database.read() as tx:
        return {image.image_sha256: image.image_id for image in await galleries.living_images(tx, "city")}


async def test_p25_a_removed_subject_is_out_of_every_later_version(enrolled: GalleryKit) -> None:
    async with enrolled.database.read() as tx:
        ann = await galleries.find_subject(tx, "city", "ann")
        assert ann is not None
        removed = {image.image_id for image in await galleries.living_images(tx, "city", subject_id=ann)}
    receipt = await enrolled.expunger().expunge_subject("city", "ann", *ORDER)
    assert (receipt.version, receipt.subject_id, receipt.images_removed, receipt.bytes_gone) == (2, ann, 2, True)
    assert receipt.removed_at == enrolled.clock.now()
    everybody = set((await living(enrolled)).values()) | removed
    async with enrolled.database.read() as tx:
        assert await galleries.alive_image_ids(tx, everybody) == everybody - removed
        (segment,) = await galleries.segments(tx, "city", after=0, up_to=2)
        before = await galleries.placements(tx, segment.segment_id, up_to=1)
        after = await galleries.placements(tx, segment.segment_id, up_to=2)
        assert set(await galleries.removed_image_ids(tx, "city", after=1, up_to=2)) == removed
    assert (len(before), len(after)) == (4, 2)


async def test_p25_pictures_and_templates_are_gone_and_the_others_are_not(enrolled: GalleryKit) -> None:
    segment, rows = await segment_rows(enrolled)
    await enrolled.expunger().expunge_subject("city", "ann", *ORDER)
    after, scrubbed = await segment_rows(enrolled)
    assert after.object_key != segment.object_key
    gone = (scrubbed == 0).all(axis=1)
    assert gone.sum() == 2
    assert (scrubbed[~gone] == rows[~gone]).all()
    assert not any((scrubbed == stored_template_of(word)).all(axis=1).any() for word in ("ann-1", "ann-2"))
    files = {f"{path.parent.name}/{path.name}" for path in stored_files(enrolled.folder)}
    async with enrolled.database.read() as tx:
        keys = set((await tx.execute(object_keys.select())).scalars())
    assert len(files) == 3  # bob's and cat's picture and the new segment
    assert files == keys


async def test_leads_are_withdrawn_audited_and_announced_in_the_same_transaction(enrolled: GalleryKit) -> None:
    enrolled.withdrawals.count = 3
    receipt = await enrolled.expunger().expunge_subject("city", "ann", *ORDER)
    assert enrolled.withdrawals.asked == [(receipt.subject_id, "court order 7", "administrator")]
    assert receipt.leads_withdrawn == 3
    async with enrolled.database.read() as tx:
        query = audit_entries.select().where(audit_entries.c.leaf_hash == receipt.audit_leaf)
        entry = (await tx.execute(query)).one().entry
        notices = [row.event["data"]["version"] for row in await tx.execute(outbox.select().order_by(outbox.c.id))]
        actions = list((await tx.execute(audit_entries.select())).scalars().all())
    assert entry["action"] == "gallery.expunged"
    assert entry["details"]["leadsWithdrawn"] == 3
    assert "ann" not in str(entry)
    assert notices == [1, 2]
    assert len(actions) == 5  # created, enrolled, expunged, scrubbed, bytes gone


async def test_when_leads_cannot_be_withdrawn_nothing_is_done(enrolled: GalleryKit) -> None:
    async def unable(*_: object) -> int:
        raise UnavailableError("no")

    expunger = enrolled.expunger()
    expunger._withdraw_for_subject = unable
    with pytest.raises(UnavailableError):
        await expunger.expunge_subject("city", "ann", *ORDER)
    assert len(await living(enrolled)) == 4
    async with enrolled.database.read() as tx:
        head = await galleries.find(tx, "city")
    assert head is not None
    assert head.version == 1
    assert (await enrolled.expunger().expunge_subject("city", "ann", *ORDER)).images_removed == 2


async def test_p25_a_store_that_fails_delays_the_bytes_and_not_the_removal(
    enrolled: GalleryKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreachable(*_: object) -> None:
        raise UnavailableError("the object store does not answer")

    monkeypatch.setattr(ObjectVault, "seal", unreachable)
    receipt = await enrolled.expunger().expunge_subject("city", "ann", *ORDER)
    assert (receipt.images_removed, receipt.bytes_gone) == (2, False)
    assert len(await living(enrolled)) == 2
    monkeypatch.undo()
    scrubber = enrolled.scrubber()
    assert await scrubber.scrub_all() == 1
    assert await scrubber.scrub_all() == 0
    _, rows = await segment_rows(enrolled)
    assert (rows == 0).all(axis=1).sum() == 2


async def test_a_segment_that_is_missing_is_said_and_one_that_was_scrubbed_meanwhile_is_not(
    enrolled: GalleryKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtcc_bridge.gallery.scrub._log", structlog.get_logger("scrub"))
    before, _ = await segment_rows(enrolled)
    file = enrolled.folder / before.object_key
    content = file.read_bytes()
    file.unlink()
    with capture_logs() as logs:
        receipt = await enrolled.expunger().expunge_subject("city", "ann", *ORDER)
    assert not receipt.bytes_gone
    (line,) = [line for line in logs if line["log_level"] == "warning"]
    assert line["segment"] == before.segment_id
    file.write_bytes(content)
    scrubber = enrolled.scrubber()
    scrub = scrubber._scrub

    async def overtaken(*arguments: object) -> bool:
        monkeypatch.setattr(scrubber, "_scrub", scrub)
        assert await scrubber.scrub("city") == 1
        return await scrub(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(scrubber, "_scrub", overtaken)
    with capture_logs() as logs:
        assert await scrubber.scrub("city") == 0
    assert logs == []


async def test_a_damaged_segment_keeps_nobody_from_the_others_and_does_not_end_the_scrubber(
    enrolled: GalleryKit, pictures: Path, metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two galleries; the segment of the first one is damaged, and both have a removed template in theirs."""
    monkeypatch.setattr("rtcc_bridge.gallery.scrub._EVERY_SECONDS", 0.01)
    source = FolderSource(pictures, **SOURCE_WORDS)
    await enrolled.enroller().enroll(source, "town", GalleryKind.DEMO, account=ADMINISTRATOR)
    segment, _ = await segment_rows(enrolled)
    file = enrolled.folder / segment.object_key
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with monkeypatch.context() as patched:
        patched.setattr(SegmentScrubber, "scrub", _not_now)
        for gallery in ("city", "town"):
            assert not (await enrolled.expunger().expunge_subject(gallery, "ann", *ORDER)).bytes_gone
    scrubber = enrolled.scrubber()

    def waiting() -> float | None:
        return metrics.registry.get_sample_value("rtcc_bridge_segments_to_scrub")

    metrics.segments_to_scrub.set(2)
    running = asyncio.create_task(scrubber.run(metrics))
    await until(lambda: running.done() or waiting() == 1)
    file.write_bytes(content)
    await until(lambda: running.done() or waiting() == 0)
    assert not running.done()
    running.cancel()
    await asyncio.wait([running])  # before the database closes under it


async def test_two_scrubbings_at_once_lose_nothing(enrolled: GalleryKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second sees the segment as it was; what the first wrote must win."""
    monkeypatch.setattr(SegmentScrubber, "scrub", _not_now)
    await enrolled.expunger().expunge_subject("city", "ann", *ORDER)
    monkeypatch.undo()
    scrubber = enrolled.scrubber()
    async with enrolled.database.read() as tx:
        gallery = await galleries.find(tx, "city")
        (waiting,) = await galleries.segments_to_scrub(tx, "city")
    assert isinstance(gallery, GalleryRecord)
    replace = scrubber._replace

    async def overtaken(*arguments: object) -> None:
        monkeypatch.undo()
        assert await scrubber.scrub("city") == 1
        await replace(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(scrubber, "_replace", overtaken)
    assert not await scrubber._scrub(gallery, waiting)
    after, rows = await segment_rows(enrolled)
    assert (rows == 0).all(axis=1).sum() == 2
    assert after.object_key != waiting.object_key
    assert len(stored_files(enrolled.folder)) == 3


async def test_one_image_can_be_removed_and_the_person_stays(enrolled: GalleryKit, pictures: Path) -> None:
    digest = hashlib.sha256(b"ann-1").hexdigest()
    receipt = await enrolled.expunger().expunge_image("city", digest, *ORDER)
    assert (receipt.images_removed, len(enrolled.withdrawals.asked)) == (1, 1)
    assert digest not in await living(enrolled)
    assert len(await living(enrolled)) == 3
    assert await enroll(enrolled, pictures) == {Reason.REMOVED: 1}
    assert (await enrolled.expunger().expunge_subject("city", "ann", *ORDER)).images_removed == 1


async def test_what_cannot_be_expunged_is_said_and_changes_nothing(enrolled: GalleryKit) -> None:
    expunger = enrolled.expunger()
    with pytest.raises(NotFoundError, match="no subject"):
        await expunger.expunge_subject("city", "nobody", *ORDER)
    with pytest.raises(NotFoundError, match="no gallery"):
        await expunger.expunge_subject("town", "ann", *ORDER)
    with pytest.raises(NotFoundError, match="no image"):
        await expunger.expunge_image("city", "00" * 32, *ORDER)
    with pytest.raises(InvalidInputError, match="reason"):
        await expunger.expunge_subject("city", "ann", " ", ADMINISTRATOR)
    await expunger.expunge_subject("city", "ann", *ORDER)
    with pytest.raises(ConflictError, match="before"):
        await expunger.expunge_subject("city", "ann", *ORDER)
    async with enrolled.database.read() as tx:
        head = await galleries.find(tx, "city")
    assert head is not None
    assert head.version == 2
