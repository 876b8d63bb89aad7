"""The error bound of a scan in float16: it holds, and it is tight enough to be of use."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rtcc_bridge.matching.device_rows import DeviceMemory
from rtcc_bridge.matching.half_probes import PROBE_FACTOR, ROW_FACTOR, HalfProbes
from rtcc_bridge.matching.session import Device
from rtcc_bridge.matching.snapshot import TemplateChunk
from rtcc_bridge.matching.stored_templates import StoredTemplates, exact_scores
from tests.unit.matching.search_cases import normalised, random_templates
from tests.unit.matching.test_stored_templates import spread_templates

MEMORY = DeviceMemory(Device.CPU)


@given(seed=st.integers(0, 2**32 - 1), length=st.sampled_from([1, 2, 3, 64, 100, 512]))
@settings(max_examples=40, deadline=None)
def test_no_row_scores_further_from_its_scanned_score(seed: int, length: int) -> None:
    generator = np.random.default_rng(seed)
    for templates in (
        random_templates(generator, 50, length) * np.float32(1.0009),
        spread_templates(generator, 50, length),
        normalised(np.eye(50, length, dtype=np.float32) + np.float32(1e-6)),
    ):
        chunk = TemplateChunk.of(StoredTemplates.of(templates))
        probes = templates[:5]
        halves = HalfProbes.of(probes)
        rows = MEMORY.laid_out([chunk])[0].block.values.numpy()[:50, :length]
        products = (rows[:, None].astype(np.float32) * halves.values).astype(np.float64)
        scanned = products.sum(axis=2).astype(np.float16).astype(np.float64) / (ROW_FACTOR * PROBE_FACTOR)
        exact = np.stack([exact_scores(chunk.templates, probe) for probe in probes], axis=1)
        assert (np.abs(scanned - exact) <= halves.errors()).all()


def test_the_rows_on_the_device_are_the_nearest_halves_and_padding_is_zero() -> None:
    templates = [StoredTemplates.of(random_templates(np.random.default_rng(seed), 700, 12)) for seed in (1, 2)]
    (resident,) = MEMORY.laid_out([TemplateChunk.of(some) for some in templates])
    values = resident.block.values.numpy()[: resident.shape[0]]
    assert (resident.rows, values.shape) == (1400, (2048, 16))
    expected = np.concatenate([some.as_float32() for some in templates]) * np.float32(ROW_FACTOR)
    assert np.array_equal(values[:1400, :12], expected.astype(np.float16))
    assert not values[1400:].any()
    assert not values[:, 12:].any()


def test_the_bound_is_tight_enough_to_be_of_use() -> None:
    assert HalfProbes.of(random_templates(np.random.default_rng(6), 4, 512)).errors().max() < 0.004
