"""A follower whose gallery Milvus keeps: it fills Milvus, holds ids alone, and finds nobody who was removed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.gallery.follower import GalleryFollower
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.sources import FolderSource
from rtcc_bridge.matching.snapshot import GallerySnapshot
from rtcc_bridge.matching.types import Int64Array
from rtcc_bridge.matching_settings import MatchingSettings
from rtcc_bridge.milvus.search import MilvusSearchIndex
from rtcc_bridge.milvus.templates import MilvusTemplates, collection_name
from tests.gallery_kit import ADMINISTRATOR, PACK, SOURCE_WORDS, GalleryKit, template_of
from tests.milvus_kit import milvus_settings, raw_client
from tests.vault_kit import stored_files


class Milvus(MilvusTemplates):
    """The real service, which can be away."""

    def __init__(self, file: Path) -> None:
        super().__init__(milvus_settings(file), "city", PACK)
        self.deletes = True
        self.opens = True

    def delete(self, image_ids: Int64Array) -> None:
        if not self.deletes:
            raise UnavailableError("Milvus is away")
        super().delete(image_ids)

    def open_index(self, snapshot: GallerySnapshot) -> MilvusSearchIndex:
        if not self.opens:
            raise UnavailableError("Milvus is away")
        return super().open_index(snapshot)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "milvus.db"


@pytest.fixture
async def enrolled(kit: GalleryKit, pictures: Path) -> GalleryKit:
    await enroll(kit, pictures)
    return kit


async def enroll(kit: GalleryKit, pictures: Path) -> None:
    source = FolderSource(pictures, **SOURCE_WORDS)
    await kit.enroller().enroll(source, "city", GalleryKind.DEMO, account=ADMINISTRATOR)


def follower_of(kit: GalleryKit, milvus: Milvus) -> GalleryFollower:
    settings = MatchingSettings(device="cpu")
    return GalleryFollower(kit.database, kit.vault, "city", PACK, settings, kit.metrics, kit.clock, milvus)


def people(follower: GalleryFollower, *words: str) -> list[int]:
    """How many people are found by the very template of each picture."""
    probes = np.stack([template_of(one) for one in words])
    return [len(found) for found in follower.current.index.search(probes, 5, 0.99)]


def ids_in(file: Path) -> Sequence[int]:
    with raw_client(file) as client:
        rows = client.query(collection_name("city", PACK), filter="id >= 0", output_fields=["id"], limit=100)
    return sorted(row["id"] for row in rows)


async def test_a_gallery_is_put_into_milvus_and_searched_there(enrolled: GalleryKit, file: Path) -> None:
    follower = follower_of(enrolled, Milvus(file))
    await follower.follow_once()
    assert people(follower, "ann-1", "bob-1", "nobody") == [1, 1, 0]
    snapshot = follower.current.snapshot
    assert (snapshot.image_count, snapshot.subject_count, snapshot.chunks) == (4, 3, ())
    assert len(ids_in(file)) == 4


async def test_additions_are_put_beside_what_is_there(enrolled: GalleryKit, pictures: Path, file: Path) -> None:
    follower = follower_of(enrolled, Milvus(file))
    await follower.follow_once()
    (pictures / "dan").mkdir()
    (pictures / "dan" / "1").write_text("dan-1")
    await enroll(enrolled, pictures)
    await follower.follow_once()
    assert people(follower, "dan-1", "ann-2") == [1, 1]
    assert len(ids_in(file)) == 5


async def test_p25_a_removed_person_is_dropped_at_once_and_deleted_when_milvus_takes_it(
    enrolled: GalleryKit, file: Path
) -> None:
    milvus = Milvus(file)
    follower = follower_of(enrolled, milvus)
    await follower.follow_once()
    milvus.deletes = False
    await enrolled.expunger().expunge_subject("city", "ann", "court order 7", ADMINISTRATOR)
    await follower.follow_once()
    assert people(follower, "ann-1", "ann-2", "bob-1") == [0, 0, 1]
    assert len(ids_in(file)) == 4, "it has not been deleted, and is found no more"
    milvus.deletes = True
    await follower.follow_once()
    assert len(ids_in(file)) == 2


async def test_p25_who_was_removed_while_nobody_followed_is_deleted_at_the_next_start(
    enrolled: GalleryKit, file: Path
) -> None:
    await follower_of(enrolled, Milvus(file)).follow_once()
    await enrolled.expunger().expunge_subject("city", "ann", "court order 7", ADMINISTRATOR)
    follower = follower_of(enrolled, Milvus(file))
    await follower.follow_once()
    assert people(follower, "ann-1", "bob-1") == [0, 1]
    assert len(ids_in(file)) == 2


async def test_p25_a_removal_that_cannot_be_followed_stops_the_search(enrolled: GalleryKit, file: Path) -> None:
    milvus = Milvus(file)
    follower = follower_of(enrolled, milvus)
    await follower.follow_once()
    milvus.opens = False
    await enrolled.expunger().expunge_subject("city", "ann", "court order 7", ADMINISTRATOR)
    enrolled.clock.advance(11)
    await follower.follow_once()
    with pytest.raises(UnavailableError, match="P25"):
        _ = follower.current


async def test_a_second_matcher_reads_no_segment_that_milvus_has(enrolled: GalleryKit, file: Path) -> None:
    await follower_of(enrolled, Milvus(file)).follow_once()
    for segment in stored_files(enrolled.folder / "gallery-segment"):
        segment.unlink()
    second = follower_of(enrolled, Milvus(file))
    await second.follow_once()
    assert people(second, "ann-1", "cat-1") == [1, 1]


async def test_what_was_deleted_behind_its_back_is_put_back_at_the_next_start(enrolled: GalleryKit, file: Path) -> None:
    await follower_of(enrolled, Milvus(file)).follow_once()
    before = ids_in(file)
    with raw_client(file) as client:
        client.delete(collection_name("city", PACK), ids=list(before[1:3]))
    follower = follower_of(enrolled, Milvus(file))
    await follower.follow_once()
    assert ids_in(file) == before
    assert people(follower, "ann-1", "ann-2", "bob-1", "cat-1") == [1, 1, 1, 1]


async def test_fewer_templates_than_the_gallery_has_are_not_searched(
    enrolled: GalleryKit, pictures: Path, file: Path
) -> None:
    follower = follower_of(enrolled, Milvus(file))
    await follower.follow_once()
    with raw_client(file) as client:
        client.delete(collection_name("city", PACK), ids=list(ids_in(file)))
    (pictures / "dan").mkdir()
    (pictures / "dan" / "1").write_text("dan-1")
    await enroll(enrolled, pictures)
    enrolled.clock.advance(11)
    await follower.follow_once()
    with pytest.raises(UnavailableError):
        _ = follower.current


async def test_a_template_of_another_segment_under_the_same_number_is_replaced(
    enrolled: GalleryKit, file: Path
) -> None:
    """As after a restored backup, whose next enrolments get numbers that Milvus knows."""
    milvus = Milvus(file)
    follower = follower_of(enrolled, milvus)
    await follower.follow_once()
    snapshot = follower.current.snapshot
    index = follower.current.index
    assert isinstance(index, MilvusSearchIndex)
    stale = index.templates_of(np.array([0, 0, 0, 0], np.int64))
    milvus.put("an older one", snapshot.image_ids, stale)
    again = follower_of(enrolled, Milvus(file))
    await again.follow_once()
    assert people(again, "ann-1", "ann-2", "bob-1", "cat-1") == [1, 1, 1, 1]


async def test_two_followers_of_one_collection_at_different_versions(enrolled: GalleryKit, file: Path) -> None:
    ahead, behind = follower_of(enrolled, Milvus(file)), follower_of(enrolled, Milvus(file))
    await ahead.follow_once()
    await behind.follow_once()
    await enrolled.expunger().expunge_subject("city", "bob", "court order 7", ADMINISTRATOR)
    await ahead.follow_once()
    assert people(ahead, "bob-1", "ann-1") == [0, 1]
    assert people(behind, "bob-1", "ann-1") == [0, 1], "it is not behind in what Milvus has deleted"
    await behind.follow_once()
    assert people(behind, "bob-1", "cat-1") == [0, 1]
