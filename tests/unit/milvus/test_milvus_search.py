"""What the contract in tests/unit/matching/test_search.py does not ask: a Milvus that is not what it should be."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.matching.errors import InferenceError
from rtcc_bridge.matching.snapshot import GallerySnapshot
from rtcc_bridge.matching.types import Float32Array, Int64Array
from rtcc_bridge.milvus.client import Collection, Nearest
from rtcc_bridge.milvus.search import MilvusSearchIndex
from tests.milvus_kit import filled_index
from tests.unit.matching.search_cases import random_templates, snapshot_of, truth


class Altered(Collection):
    """Answers as the collection that it is made of, but for what a test sets."""

    def __init__(self, real: Collection) -> None:
        self.real = real
        self.added = 0.0
        self.asked: list[int] = []
        self.alters_templates = False

    def nearest(self, probes: Float32Array, k: int, between: tuple[int, int] | None = None) -> list[Nearest]:
        self.asked.append(k)
        return [Nearest(one.ids, one.scores + self.added) for one in self.real.nearest(probes, k, between)]

    def read(self, ids: Int64Array) -> tuple[Float32Array, Float32Array]:
        scales, values = self.real.read(ids)
        return scales, values * np.float32(1.001) if self.alters_templates else values


@dataclass(frozen=True)
class Gallery:
    """A gallery of three hundred people in Milvus, of which the index knows ids alone."""

    snapshot: GallerySnapshot
    probes: Float32Array
    milvus: Altered
    index: MilvusSearchIndex


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[GallerySnapshot, Float32Array, Collection]:
    templates = random_templates(np.random.default_rng(8), 300, 32)
    snapshot = snapshot_of(templates)
    index = filled_index(tmp_path_factory.mktemp("milvus") / "lite.db", snapshot)
    return snapshot, templates[:3].copy(), index.collection


@pytest.fixture
def gallery(filled: tuple[GallerySnapshot, Float32Array, Collection]) -> Gallery:
    snapshot, probes, collection = filled
    milvus = Altered(collection)
    return Gallery(snapshot, probes, milvus, MilvusSearchIndex(replace(snapshot, chunks=()), milvus, 1024))


def test_a_search_needs_ids_alone(gallery: Gallery) -> None:
    found = gallery.index.search(gallery.probes, 5, 0.2)
    assert found == truth(gallery.snapshot, gallery.probes, 5, 0.2)
    assert gallery.milvus.asked == [211], "all probes in one call"


@pytest.mark.parametrize("added", [1e-3, -1e-3, float("nan")])
def test_scores_that_are_not_of_float32_fail_the_search(gallery: Gallery, added: float) -> None:
    gallery.milvus.added = added
    with pytest.raises(InferenceError, match="does not compare what was stored"):
        gallery.index.search(gallery.probes, 5, -1.0)


def test_templates_that_were_not_stored_fail_the_search(gallery: Gallery) -> None:
    gallery.milvus.alters_templates = True
    with pytest.raises(InferenceError, match="not given to it"):
        gallery.index.search(gallery.probes, 5, 0.2)


def test_rows_that_the_snapshot_does_not_have_are_on_no_list_and_push_nobody_off_it(gallery: Gallery) -> None:
    """Such as those that a matcher ahead of this one has put there, two hundred and fifty of the best."""
    gone = gallery.index.search(gallery.probes[:1], 250, -1.0)[0]
    images = np.array([candidate.best.image_id for candidate in gone], np.int64)
    later = GallerySnapshot.of_ids("test", 1, 32, *_without(gallery.snapshot, images))
    found = MilvusSearchIndex(later, gallery.milvus, 1024).search(gallery.probes[:1], 20, -1.0)
    assert found == truth(gallery.snapshot.without(2, images), gallery.probes[:1], 20, -1.0)


@pytest.mark.parametrize("threshold", [-1.0, 0.2])
def test_an_answer_that_proves_nothing_is_asked_for_in_halves(gallery: Gallery, threshold: float) -> None:
    """As where thousands tie for the end of the list: here sixteen rows are the most that Milvus gives."""
    index = MilvusSearchIndex(gallery.index.snapshot, gallery.milvus, 16)
    found = index.search(gallery.probes, 20, threshold)
    assert found == truth(gallery.snapshot, gallery.probes, 20, threshold)
    assert set(gallery.milvus.asked) == {16}
    assert index.counters.widenings == 3


def test_all_that_are_equal_are_asked_for_in_halves_and_listed_by_id(tmp_path: Path) -> None:
    snapshot = snapshot_of(np.repeat(random_templates(np.random.default_rng(3), 1, 8), 200, axis=0))
    probe = snapshot.templates_of(np.array([0])).as_float32()
    collection = filled_index(tmp_path / "lite.db", snapshot).collection
    found = MilvusSearchIndex(snapshot, collection, 16).search(probe, 20, 0.5)
    assert found == truth(snapshot, probe, 20, 0.5)


def test_a_template_that_was_deleted_meanwhile_is_no_answer(gallery: Gallery) -> None:
    with pytest.raises(UnavailableError, match="no template of image 12345"):
        gallery.milvus.real.read(np.array([100, 12345], np.int64))


def _without(snapshot: GallerySnapshot, images: Int64Array) -> tuple[Int64Array, Int64Array]:
    kept = ~np.isin(snapshot.image_ids, images)
    return snapshot.image_ids[kept], snapshot.subject_ids[kept]
