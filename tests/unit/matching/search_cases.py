"""Galleries for the search contract, easy and nasty ones, and the plain truth that every index is held to."""

import platform
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import strategies as st

from rtcc_bridge.matching.int8_rows import LIBRARY, Instructions, PrefetchingKernel, prefetching_kernels
from rtcc_bridge.matching.int8_tiles import TiledKernel, tiled_kernel
from rtcc_bridge.matching.snapshot import GallerySnapshot
from rtcc_bridge.matching.stored_templates import StoredTemplates
from rtcc_bridge.matching.types import Candidate, Float32Array, Float64Array, Int8Array, Int64Array, ScoredImage
from tests.tools import is_missing


@dataclass(frozen=True)
class Case:
    """One search: what is looked for in what."""

    kind: str
    snapshot: GallerySnapshot
    probes: Float32Array
    limit: int
    threshold: float


def truth(snapshot: GallerySnapshot, probes: Float32Array, limit: int, threshold: float) -> list[list[Candidate]]:
    """Every score in float64, every person, sorted. Slow and obvious on purpose."""
    lists = []
    for probe in probes:
        scores = _scores(snapshot, probe)
        people: dict[int, list[ScoredImage]] = {}
        for row in np.flatnonzero(snapshot.alive):
            image = ScoredImage(int(snapshot.image_ids[row]), float(scores[row]))
            people.setdefault(int(snapshot.subject_ids[row]), []).append(image)
        candidates = []
        for subject_id, images in people.items():
            best, *others = sorted(images, key=_place)
            if best.similarity_score >= threshold:
                candidates.append(Candidate(subject_id, best, tuple(others)))
        lists.append(sorted(candidates, key=lambda candidate: _place(candidate.best))[:limit])
    return lists


def _scores(snapshot: GallerySnapshot, probe: Float32Array) -> Float64Array:
    stored = snapshot.templates_of(np.arange(snapshot.row_count))
    whole = 256.0 * stored.high + stored.low
    return np.asarray((whole * probe.astype(np.float64)).sum(axis=1) * stored.scales)


def _place(image: ScoredImage) -> tuple[float, int]:
    return (-image.similarity_score, image.image_id)


def normalised(rows: Float32Array) -> Float32Array:
    return np.asarray(rows / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True), np.float32)


def snapshot_of(templates: Float32Array, subject_ids: list[int] | None = None) -> GallerySnapshot:
    """A gallery with image ids 100, 101, ... and, unless said otherwise, one person per image."""
    rows = len(templates)
    subjects = np.arange(rows) if subject_ids is None else np.array(subject_ids)
    return GallerySnapshot.build(
        "test", 1, [StoredTemplates.of(templates)], np.arange(100, 100 + rows), subjects.astype(np.int64)
    )


def random_templates(generator: np.random.Generator, rows: int, length: int) -> Float32Array:
    return normalised(generator.standard_normal((rows, length)).astype(np.float32) + np.float32(1e-3))


def _templates(kind: str, generator: np.random.Generator, rows: int, length: int) -> Float32Array:
    base = random_templates(generator, max(rows, 1), length)
    if kind == "random" or not rows:
        return base[:rows]
    if kind == "duplicates":
        return base[generator.integers(0, max(1, rows // 4), rows)]
    if kind == "all equal":
        return np.repeat(base[:1], rows, axis=0)
    if kind == "clusters":
        centres = base[generator.integers(0, max(1, rows // 10), rows)]
        return normalised(centres + np.float32(0.01) * generator.standard_normal((rows, length)).astype(np.float32))
    # Near ties: rows that differ by some steps of their stored form, far less than what int8 tells apart.
    near = np.repeat(base[:1], rows, axis=0)
    for row in near:
        for column in generator.integers(0, length, 3):
            row[column] += generator.integers(-3, 4) * np.abs(row).max() / 32_639
    return normalised(near)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    kind = draw(st.sampled_from(["random", "duplicates", "all equal", "clusters", "near ties"]))
    rows = draw(st.one_of(st.integers(0, 3), st.integers(4, 200)))
    length = draw(st.sampled_from([1, 2, 8, 128, 129, 300]))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    templates = _templates(kind, generator, rows, length)
    people = draw(st.sampled_from([1, 2, max(1, rows // 3), max(1, rows)]))
    snapshot = GallerySnapshot.build(
        "test",
        1,
        [StoredTemplates.of(part) for part in np.array_split(templates, draw(st.integers(1, 4)))],
        generator.permutation(1000)[:rows],
        generator.integers(-3, people, rows),
    )
    removed = draw(st.sampled_from([0.0, 0.1, 0.9, 1.0]))
    snapshot = snapshot.without(2, snapshot.image_ids[generator.random(rows) < removed])
    probes = random_templates(generator, draw(st.integers(0, 4)), length)
    if rows and len(probes):
        probes[0] = templates[generator.integers(rows)]
    return Case(kind, snapshot, probes, draw(st.integers(1, 60)), _threshold(draw, snapshot, probes))


def _threshold(draw: st.DrawFn, snapshot: GallerySnapshot, probes: Float32Array) -> float:
    """Also one that is exactly some row's score, which then has to be in the list."""
    choices = [-np.inf, -1.0, 0.3, 0.9, 1.1, np.inf]
    if snapshot.row_count and len(probes):
        choices.append(float(draw(st.sampled_from(_scores(snapshot, probes[0]).tolist()))))
    return draw(st.sampled_from(choices))


def products(rows: Int8Array, planes: Int8Array) -> Int64Array:
    """What a kernel is held to, int64 (n, planes)."""
    found: Int64Array = rows.astype(np.int64) @ planes.astype(np.int64).T
    return found


def prefetching_kernel(instructions: Instructions | None = None) -> PrefetchingKernel:
    """The one with these instructions, or the best; leaves the test out where this processor has none.

    Where it could have been built and was not, `is_missing` decides.
    """
    _require_library()
    found = prefetching_kernels()
    if instructions is not None:
        found = tuple(one for one in found if one.instructions is instructions)
    if not found:
        pytest.skip(f"this processor has no {instructions.name if instructions else 'AVX2'}")
    return found[-1]


def our_tiles() -> TiledKernel:
    """The kernel for many probes; leaves the test out where this processor has none, as `prefetching_kernel` does."""
    _require_library()
    found = tiled_kernel()
    if found is None:
        pytest.skip(f"this processor has no {Instructions.AVX512_VNNI.name}")
    return found


def _require_library() -> None:
    if platform.machine() == "x86_64" and not LIBRARY.exists():
        is_missing(f"no {LIBRARY.name}: install a C compiler (Debian: gcc libc6-dev), then python -m scripts.int8_rows")
