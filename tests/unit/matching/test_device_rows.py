"""A gallery that grows on the device: only what is new is written, and older versions keep their rows."""

import numpy as np
import pytest

from rtcc_bridge.matching.device_rows import DeviceMemory, ResidentRows
from rtcc_bridge.matching.search_device import DeviceSearchIndex
from rtcc_bridge.matching.session import Device
from rtcc_bridge.matching.snapshot import GallerySnapshot
from rtcc_bridge.matching.stored_templates import StoredTemplates
from tests.unit.matching.search_cases import random_templates, snapshot_of, truth

GENERATOR = np.random.default_rng(20_240_602)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows each write brought to the device."""
    counts: list[int] = []
    convert = DeviceMemory._convert

    def counting(self: DeviceMemory, templates: StoredTemplates, place: int) -> int:
        counts.append(len(templates))
        return convert(self, templates, place)

    monkeypatch.setattr(DeviceMemory, "_convert", counting)
    return counts


def grown(snapshot: GallerySnapshot, rows: int) -> GallerySnapshot:
    ids = np.arange(rows, dtype=np.int64) + snapshot.row_count + 10_000
    stored = StoredTemplates.of(random_templates(GENERATOR, rows, snapshot.template_length))
    return snapshot.appended(snapshot.version + 1, [stored], ids, ids)


def assert_exact(index: DeviceSearchIndex) -> None:
    probes = random_templates(GENERATOR, 3, index.snapshot.template_length)
    probes[0] = index.snapshot.templates_of(np.array([index.snapshot.row_count - 1])).as_float32()[0]
    assert index.search(probes, 10, -1.0) == truth(index.snapshot, probes, 10, -1.0)


def values_of(resident: ResidentRows) -> np.ndarray:
    return np.asarray(resident.block.values.numpy()[: resident.rows])


def test_versions_that_grow_share_the_memory_and_each_gives_its_own_lists(written: list[int]) -> None:
    index = DeviceSearchIndex(snapshot_of(random_templates(GENERATOR, 5000, 16)))
    versions = [index]
    for rows in (1, 700, 1500):
        written.clear()
        index = DeviceSearchIndex(grown(index.snapshot, rows), previous=index)
        versions.append(index)
        assert index._blocks[0].block is versions[0]._blocks[0].block
    assert written == [2201, 991], "the chunk that grew is written as a whole, and its padding; the first one is not"
    for version in versions:
        assert_exact(version)


def test_removing_writes_nothing(written: list[int]) -> None:
    index = DeviceSearchIndex(snapshot_of(random_templates(GENERATOR, 5000, 16)))
    written.clear()
    fewer = DeviceSearchIndex(index.snapshot.without(2, index.snapshot.image_ids[::2]), previous=index)
    assert written == []
    assert_exact(fewer)
    assert_exact(index)


def test_what_has_no_room_goes_to_a_block_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtcc_bridge.matching.device_rows._SPARE_ROWS", 0)
    index = DeviceSearchIndex(snapshot_of(random_templates(GENERATOR, 5000, 16)))
    larger = DeviceSearchIndex(grown(index.snapshot, 3000), previous=index)
    assert [resident.rows for resident in larger._blocks] == [8000]
    assert_exact(larger)
    assert_exact(index)


def test_two_successors_of_one_version_do_not_write_over_each_other() -> None:
    index = DeviceSearchIndex(snapshot_of(random_templates(GENERATOR, 5000, 16)))
    first, second = (DeviceSearchIndex(grown(index.snapshot, 2000), previous=index) for _ in range(2))
    assert first._blocks[0].block is not second._blocks[-1].block
    for version in (index, first, second):
        assert_exact(version)


def test_another_gallery_shares_nothing() -> None:
    index = DeviceSearchIndex(snapshot_of(random_templates(GENERATOR, 5000, 16)))
    before = values_of(index._blocks[0]).copy()
    other = DeviceSearchIndex(snapshot_of(random_templates(GENERATOR, 6000, 16)), previous=index)
    assert np.array_equal(values_of(index._blocks[0]), before)
    assert_exact(other)


def test_a_large_gallery_lies_in_several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtcc_bridge.matching.device_rows._MOST_ROWS", 6000)
    parts = [StoredTemplates.of(random_templates(GENERATOR, 4500, 16)) for _ in range(3)]
    ids = np.arange(13_500, dtype=np.int64)
    snapshot = GallerySnapshot.build("test", 1, parts, ids, ids)
    index = DeviceSearchIndex(snapshot, Device.CPU)
    assert sum(resident.rows for resident in index._blocks) == 13_500
    assert_exact(index)
