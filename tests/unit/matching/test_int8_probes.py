"""The error bound of a scan in int8: it holds, and it is tight enough to be of use."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcc_bridge.matching.int8_kernels import Int8Kernel, NumkongPacked, NumkongPairs, OrtKernel
from rtcc_bridge.matching.int8_probes import Int8Probes
from rtcc_bridge.matching.int8_rows import prefetching_kernels
from rtcc_bridge.matching.snapshot import TemplateChunk
from rtcc_bridge.matching.stored_templates import StoredTemplates, exact_scores
from rtcc_bridge.matching.types import Float64Array, WholeScores
from tests.unit.matching.search_cases import normalised, random_templates
from tests.unit.matching.test_stored_templates import spread_templates

KERNELS: list[Int8Kernel] = [OrtKernel(), NumkongPairs(), NumkongPacked(), *prefetching_kernels()]


@pytest.mark.parametrize("finer", [False, True], ids=["one plane", "two planes"])
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
@given(seed=st.integers(0, 2**32 - 1), length=st.sampled_from([1, 2, 3, 64, 100, 512]))
@settings(max_examples=40, deadline=None)
def test_no_row_scores_further_from_its_scanned_score(kernel: Int8Kernel, finer: bool, seed: int, length: int) -> None:
    generator = np.random.default_rng(seed)
    for templates in (
        random_templates(generator, 50, length) * np.float32(1.0009),
        spread_templates(generator, 50, length),
        normalised(np.eye(50, length, dtype=np.float32) + np.float32(1e-6)),
    ):
        chunk = TemplateChunk.of(StoredTemplates.of(templates))
        probes = templates[:5]
        whole = Int8Probes.of(probes, kernel.probe_limit, finer=finer)
        products = kernel.scores(chunk.templates.high, kernel.prepared(whole.whole))
        assert np.array_equal(products, chunk.templates.high.astype(int) @ whole.whole.T.astype(int))
        exact = np.stack([exact_scores(chunk.templates, probe) for probe in probes], axis=1)
        assert (np.abs(scanned(whole, products, chunk) - exact) <= whole.errors(chunk)).all()


def scanned(probes: Int8Probes, products: WholeScores, chunk: TemplateChunk) -> Float64Array:
    out = np.empty((len(chunk), len(probes)), np.float32)
    probes.scale(products, chunk.templates.scales, out, np.empty_like(out))
    return out * probes.units


@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.name)
def test_a_kernel_is_exact_at_the_limits_of_its_numbers(kernel: Int8Kernel) -> None:
    limit = kernel.probe_limit
    rows = np.array([[127] * 512, [-127] * 512, [127, -127] * 256], np.int8)
    probes = np.array([[limit] * 512, [-limit] * 512, [limit, -limit] * 256], np.int8)
    expected = rows.astype(int) @ probes.T.astype(int)
    assert np.array_equal(kernel.scores(rows, kernel.prepared(probes)), expected)


def test_the_bound_is_tight_enough_to_be_of_use_and_a_finer_plane_halves_it() -> None:
    generator = np.random.default_rng(6)
    chunk = TemplateChunk.of(StoredTemplates.of(random_templates(generator, 2000, 512)))
    probes = random_templates(generator, 4, 512)
    errors = Int8Probes.of(probes, 127).errors(chunk)
    assert errors.max() < 0.02
    assert (Int8Probes.of(probes, 127, finer=True).errors(chunk) < 0.6 * errors).all()
