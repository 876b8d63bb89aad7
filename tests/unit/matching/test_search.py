"""The contract of every search index: the exact answer, for any gallery."""

import math
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from rtcc_bridge.matching.errors import DeviceError, TemplateError
from rtcc_bridge.matching.int8_kernels import NumkongPacked, NumkongPairs, OrtKernel
from rtcc_bridge.matching.search import SearchIndex
from rtcc_bridge.matching.search_device import DeviceSearchIndex
from rtcc_bridge.matching.search_index import open_index
from rtcc_bridge.matching.search_int8 import Int8SearchIndex
from rtcc_bridge.matching.session import Device
from rtcc_bridge.matching.snapshot import GallerySnapshot
from rtcc_bridge.matching.stored_templates import StoredTemplates
from rtcc_bridge.matching.types import Float32Array
from tests.milvus_kit import filled_index
from tests.unit.matching.search_cases import (
    Case,
    cases,
    normalised,
    our_tiles,
    prefetching_kernel,
    random_templates,
    snapshot_of,
    truth,
)

IndexFactory = Callable[[GallerySnapshot], SearchIndex]

INDEXES: dict[str, IndexFactory] = {
    "int8 on onnxruntime": lambda snapshot: Int8SearchIndex(snapshot, 1, OrtKernel()),
    "int8 on numkong's pairs, two threads": lambda snapshot: Int8SearchIndex(snapshot, 2, NumkongPairs()),
    "int8 on numkong, packed, three threads": lambda snapshot: Int8SearchIndex(snapshot, 3, NumkongPacked()),
    "int8 on our own kernel, two threads": lambda snapshot: Int8SearchIndex(snapshot, 2, prefetching_kernel()),
    "int8 on our own tiles, two threads": lambda snapshot: Int8SearchIndex(snapshot, 2, our_tiles()),
    "the device's scan, run on the cpu": DeviceSearchIndex,
    "the device's scan of a later version": lambda snapshot: DeviceSearchIndex(
        snapshot, previous=DeviceSearchIndex(snapshot.without(snapshot.version, snapshot.image_ids[::3]))
    ),
    "onnxruntime on cuda": lambda snapshot: open_index(snapshot, Device.CUDA),
}
"""Another index joins the contract by a line here."""

MILVUS = "milvus"


@pytest.fixture(params=[*INDEXES, MILVUS])
def make_index(request: pytest.FixtureRequest, milvus_file: Path) -> IndexFactory:
    return partial(filled_index, milvus_file) if request.param == MILVUS else local_index(request.param)


@pytest.fixture(params=list(INDEXES))
def make_local_index(request: pytest.FixtureRequest) -> IndexFactory:
    return local_index(request.param)


def local_index(name: str) -> IndexFactory:
    if name.endswith("cuda") and not cuda_works():
        pytest.skip("no CUDA device here")
    return INDEXES[name]


@pytest.fixture(scope="module")
def milvus_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all tests: starting Milvus Lite takes longer than most searches of it."""
    return tmp_path_factory.mktemp("milvus") / "lite.db"


@cache
def cuda_works() -> bool:
    try:
        open_index(snapshot_of(normalised(np.eye(2, dtype=np.float32))), Device.CUDA)
    except DeviceError:
        return False
    return True


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(20_240_601)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=cases())
def test_any_search_gives_the_truth(make_local_index: IndexFactory, case: Case) -> None:
    found = make_local_index(case.snapshot).search(case.probes, case.limit, case.threshold)
    assert found == truth(case.snapshot, case.probes, case.limit, case.threshold)


@settings(max_examples=40, deadline=None)  # each makes a collection, which takes as long as twenty searches
@given(case=cases())
def test_any_search_of_milvus_gives_the_truth(milvus_file: Path, case: Case) -> None:
    found = filled_index(milvus_file, case.snapshot).search(case.probes, case.limit, case.threshold)
    assert found == truth(case.snapshot, case.probes, case.limit, case.threshold)


def test_a_larger_gallery_gives_the_truth(make_index: IndexFactory, generator: np.random.Generator) -> None:
    centres = random_templates(generator, 40, 128)[generator.integers(0, 40, 3000)]
    templates = normalised(centres + np.float32(0.02) * generator.standard_normal((3000, 128)).astype(np.float32))
    snapshot = snapshot_of(templates, [int(subject) for subject in generator.integers(0, 900, 3000)])
    probes = np.concatenate([templates[:5], random_templates(generator, 5, 128)])
    assert make_index(snapshot).search(probes, 50, 0.5) == truth(snapshot, probes, 50, 0.5)


@pytest.mark.parametrize("first", ["one person's", "removed", "the best", "the worst"])
def test_a_gallery_whose_first_rows_are_unlike_the_rest(
    make_index: IndexFactory, generator: np.random.Generator, first: str
) -> None:
    probes = random_templates(generator, 2, 16)
    rest = random_templates(generator, 4000, 16)
    noise = generator.standard_normal((5000, 16)).astype(np.float32)
    start = {"the best": probes[:1] + np.float32(0.1) * noise, "the worst": np.float32(0.1) * noise - probes[:1]}
    templates = np.concatenate([normalised(start.get(first, noise)), rest])
    subjects = [0] * 5000 if first == "one person's" else list(range(5000))
    snapshot = snapshot_of(templates, [*subjects, *range(5000, 9000)])
    if first == "removed":
        snapshot = snapshot.without(2, snapshot.image_ids[:4990])
    assert make_index(snapshot).search(probes, 20, -1.0) == truth(snapshot, probes, 20, -1.0)


@pytest.mark.parametrize("removed", [slice(0, None, 3), slice(1, None, 5)], ids=["every third", "every fifth"])
def test_a_gallery_that_begins_with_the_best_rows_in_their_order_some_of_them_removed(
    make_index: IndexFactory, generator: np.random.Generator, removed: slice
) -> None:
    probes = random_templates(generator, 2, 16)
    templates = random_templates(generator, 3000, 16)
    snapshot = snapshot_of(templates[np.argsort(-templates @ probes[0])])
    snapshot = snapshot.without(2, snapshot.image_ids[removed])
    assert make_index(snapshot).search(probes, 5, -1.0) == truth(snapshot, probes, 5, -1.0)


def test_near_ties_that_only_both_planes_tell_apart(make_index: IndexFactory, generator: np.random.Generator) -> None:
    templates = np.repeat(random_templates(generator, 1, 128), 500, axis=0)
    for row, column in enumerate(generator.integers(0, 128, 500)):
        templates[row, column] += 4e-5
    snapshot = snapshot_of(normalised(templates))
    probes = random_templates(generator, 3, 128)
    assert make_index(snapshot).search(probes, 10, -1.0) == truth(snapshot, probes, 10, -1.0)


def test_more_near_ties_than_are_kept_are_scored_on_the_way(
    make_index: IndexFactory, generator: np.random.Generator
) -> None:
    templates = np.repeat(random_templates(generator, 3, 8), 9_000, axis=0)
    snapshot = snapshot_of(templates[generator.permutation(27_000)]).without(2, np.arange(100, 160))
    probes = templates[::9_000].copy()
    index = make_index(snapshot)
    assert index.search(probes, 10, -1.0) == truth(snapshot, probes, 10, -1.0)
    assert index.counters.widenings == 3


def test_ties_are_ordered_by_image_id(make_index: IndexFactory) -> None:
    one = np.array([[0.6, 0.8]], np.float32)
    image_ids = np.array([30, 10, 40, 20], np.int64)
    stored = StoredTemplates.of(np.repeat(one, 4, axis=0))
    snapshot = GallerySnapshot.build("test", 1, [stored], image_ids, np.array([1, 2, 2, 3], np.int64))
    (found,) = make_index(snapshot).search(one, 2, 0.5)
    assert [candidate.subject_id for candidate in found] == [2, 3]
    assert [image.image_id for image in found[0].others] == [40]


def test_many_photos_of_one_person_do_not_push_others_off_the_list(
    make_index: IndexFactory, generator: np.random.Generator
) -> None:
    probe = random_templates(generator, 1, 16)
    same = normalised(probe + np.float32(0.01) * generator.standard_normal((300, 16)).astype(np.float32))
    snapshot = snapshot_of(np.concatenate([same, random_templates(generator, 50, 16)]), [0] * 300 + list(range(1, 51)))
    index = make_index(snapshot)
    (found,) = index.search(probe, 10, -1.0)
    assert [found] == truth(snapshot, probe, 10, -1.0)
    assert len(found) == 10
    assert len(found[0].others) == 299


def test_the_others_are_listed_below_the_threshold_too(make_index: IndexFactory) -> None:
    templates = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    (found,) = make_index(snapshot_of(templates, [7, 7])).search(templates[:1], 5, 0.9)
    assert [(image.image_id, image.similarity_score) for image in found[0].others] == [(101, 0.0)]


def test_a_removed_image_is_in_no_list(make_index: IndexFactory) -> None:
    templates = np.array([[1.0, 0.0], [0.8, 0.6], [0.6, 0.8]], np.float32)
    snapshot = snapshot_of(templates, [1, 1, 2]).without(2, np.array([100], np.int64))
    (found,) = make_index(snapshot).search(templates[:1], 5, 0.0)
    assert [(candidate.subject_id, candidate.best.image_id, candidate.others) for candidate in found] == [
        (1, 101, ()),
        (2, 102, ()),
    ]


def test_an_empty_gallery_gives_empty_lists(make_index: IndexFactory) -> None:
    index = make_index(snapshot_of(np.empty((0, 4), np.float32)))
    assert index.search(np.eye(4, dtype=np.float32)[:3], 5, 0.0) == [[], [], []]


def test_a_gallery_with_everyone_removed_gives_empty_lists(make_index: IndexFactory) -> None:
    snapshot = snapshot_of(np.eye(4, dtype=np.float32)).without(2, np.arange(100, 104))
    assert make_index(snapshot).search(np.eye(4, dtype=np.float32)[:1], 5, -1.0) == [[]]


def test_no_probes_give_no_lists(make_index: IndexFactory) -> None:
    assert make_index(snapshot_of(np.eye(4, dtype=np.float32))).search(np.empty((0, 4), np.float32), 5, 0.0) == []


def test_probes_that_do_not_lie_contiguously(make_index: IndexFactory, generator: np.random.Generator) -> None:
    snapshot = snapshot_of(random_templates(generator, 20, 8))
    probes = np.asfortranarray(random_templates(generator, 4, 8))
    assert make_index(snapshot).search(probes, 5, -1.0) == truth(snapshot, probes, 5, -1.0)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_list_length_below_one_is_refused(make_index: IndexFactory, limit: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        make_index(snapshot_of(np.eye(4, dtype=np.float32))).search(np.eye(4, dtype=np.float32), limit, 0.0)


def test_a_threshold_that_is_no_number_is_refused(make_index: IndexFactory) -> None:
    with pytest.raises(ValueError, match="not a number"):
        make_index(snapshot_of(np.eye(4, dtype=np.float32))).search(np.eye(4, dtype=np.float32), 5, math.nan)


@pytest.mark.parametrize(
    "probe",
    [
        np.array([[1, 0, 0]], np.float32),
        np.array([[1, 0, 0, math.nan]], np.float32),
        np.array([[1, 0, 0, math.inf]], np.float32),
        np.array([[0, 0, 0, 0]], np.float32),
        np.array([[1, 1, 0, 0]], np.float32),
        np.array([1, 0, 0, 0], np.float32),
    ],
    ids=["short", "nan", "infinite", "zero", "long", "not a batch"],
)
def test_a_bad_probe_is_refused(make_index: IndexFactory, probe: Float32Array) -> None:
    with pytest.raises(TemplateError):
        make_index(snapshot_of(np.eye(4, dtype=np.float32))).search(probe, 5, 0.0)


def test_counters_add_up(make_index: IndexFactory, generator: np.random.Generator) -> None:
    templates = random_templates(generator, 200, 64)
    index = make_index(snapshot_of(templates))
    index.search(templates[:3], 5, 0.99)
    index.search(templates[3:5], 5, 0.99)
    counters = index.counters
    assert (counters.probes, counters.survivors, counters.widenings) == (5, 5, 0)


def test_the_snapshot_is_named(make_index: IndexFactory) -> None:
    snapshot = snapshot_of(np.eye(4, dtype=np.float32))
    assert make_index(snapshot).snapshot is snapshot


def test_the_cpu_index_says_where_it_runs() -> None:
    assert DeviceSearchIndex(snapshot_of(np.eye(4, dtype=np.float32))).device is Device.CPU
