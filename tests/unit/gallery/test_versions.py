"""A search can be repeated in the version that it names, and it is told how much of that is gone."""

from pathlib import Path

import pytest

from rtcc_bridge.errors import NotFoundError, UnavailableError
from rtcc_bridge.gallery.follower import GalleryFollower
from rtcc_bridge.gallery.identity import GalleryKind
from rtcc_bridge.gallery.sources import FolderSource
from rtcc_bridge.gallery.versions import PastVersion, past_version
from rtcc_bridge.matching.search_index import open_index
from rtcc_bridge.storage import galleries
from tests.gallery_kit import ADMINISTRATOR, SOURCE_WORDS, GalleryKit, template_of


@pytest.fixture
async def lived(kit: GalleryKit, pictures: Path) -> GalleryKit:
    """1: ann (two pictures), bob, cat. 2: dan. 3: without bob. 4: eve."""
    await _enroll(kit, pictures)
    await _add(kit, pictures, "dan")
    await kit.expunger().expunge_subject("city", "bob", "court order 7", ADMINISTRATOR)
    await _add(kit, pictures, "eve")
    return kit


async def _add(kit: GalleryKit, pictures: Path, name: str) -> None:
    (pictures / name).mkdir()
    (pictures / name / "1").write_text(f"{name}-1")
    await _enroll(kit, pictures)


async def _enroll(kit: GalleryKit, pictures: Path) -> None:
    source = FolderSource(pictures, **SOURCE_WORDS)
    await kit.enroller().enroll(source, "city", GalleryKind.DEMO, account=ADMINISTRATOR)


async def found(kit: GalleryKit, past: PastVersion) -> list[str]:
    index = open_index(past.snapshot)
    names: list[str] = []
    for name in ("ann", "bob", "cat", "dan", "eve"):
        (candidates,) = index.search(template_of(f"{name}-1")[None], 1, 0.99)
        async with kit.database.read() as tx:
            names += (await galleries.subject_refs(tx, [one.subject_id for one in candidates])).values()
    return names


async def at(kit: GalleryKit, follower: GalleryFollower, version: int) -> PastVersion:
    return await past_version(kit.database, follower.current.snapshot, version)


async def test_each_version_is_searched_as_it_was_without_what_is_gone(lived: GalleryKit) -> None:
    follower = lived.follower()
    await follower.follow_once()
    expected = {
        1: (["ann", "cat"], 1),  # bob is gone
        2: (["ann", "cat", "dan"], 1),
        3: (["ann", "cat", "dan"], 0),
        4: (["ann", "cat", "dan", "eve"], 0),
    }
    for version, (names, removed) in expected.items():
        past = await at(lived, follower, version)
        assert (past.snapshot.version, past.removed_since) == (version, removed)
        assert await found(lived, past) == names


async def test_it_is_the_same_after_segments_were_merged(lived: GalleryKit) -> None:
    async with lived.database.read() as tx:
        segments = await galleries.segments(tx, "city", after=-1, up_to=4)
    assert await lived.compactor()._merge("city", segments)
    follower = lived.follower()
    await follower.follow_once()
    past = await at(lived, follower, 2)
    assert (await found(lived, past), past.removed_since) == (["ann", "cat", "dan"], 1)


async def test_a_version_that_never_was_and_a_gallery_that_moves_on_are_said(lived: GalleryKit, pictures: Path) -> None:
    follower = lived.follower()
    await follower.follow_once()
    for version in (0, 5):
        with pytest.raises(NotFoundError, match=f"no version {version}"):
            await at(lived, follower, version)
    await _add(lived, pictures, "fay")
    with pytest.raises(UnavailableError, match="try again"):
        await at(lived, follower, 2)
