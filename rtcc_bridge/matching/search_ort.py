"""Exact search with ONNX Runtime, on the CPU or on CUDA: a fast float32 scan, then a proof."""

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np

from rtcc_bridge.matching.errors import InferenceError
from rtcc_bridge.matching.runtime import onnxruntime
from rtcc_bridge.matching.search import (
    CandidateLists,
    SearchCounters,
    SearchTally,
    check_search,
    exact_scores,
    float32_error_bound,
    row_blocks,
)
from rtcc_bridge.matching.session import Device, open_session, session_device
from rtcc_bridge.matching.snapshot import GallerySnapshot
from rtcc_bridge.matching.types import Candidate, Float32Array, Float64Array, Int64Array

BLOCK_ROWS = 65_536
"""Rows per run of the graph: bounds the score matrix (16 MiB for 64 probes); larger blocks measured no faster."""

_SPARE_ROWS = 14
"""Rows that the scan brings back beyond the list's length, so that a few people's several photos need no widening."""

_BELOW_EVERY_SCORE = -2.0
"""No two templates score as low; removed rows score minus infinity."""


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """Rows of the gallery, resident on the device. removed: float32 (n,), 0 or minus infinity, added to the scores."""

    rows: slice
    templates: Any
    removed: Any


@dataclass(frozen=True, slots=True, eq=False)
class _Scan:
    """What the float32 scan found for one probe. Every living row that is not among `rows` scored at most `rest`."""

    rows: Int64Array
    rest: float


class OrtSearchIndex:
    """Searches one snapshot exactly (`SearchIndex`).

    1. Scan. The graph `topk_scan.onnx` gives for each block the k rows of the largest float32 scores f. Rows left out
       have f <= c, the smallest score kept. A float32 score lies within e of the true one (`float32_error_bound`), so
       their true scores are at most c + e.
    2. Rescore. Rows with f < threshold - e cannot reach the threshold; the others get their true score, and the best
       row of each person, `limit` people at most, makes the list.
    3. Certify. Let b be the last listed score when the list is full, else the threshold: what a row needs in order to
       change anything. If c + e < b, no row left out can, and the list is the exact one.
    4. Widen. Otherwise (more than k photos near the top belong to few people, or more than k scores lie within the
       error) all living rows with f >= b - e are rescored. Since b can only rise with more rows, every row of the true
       list is among them, so one widening always suffices.

    Comparing a float32 score with a float64 bound rounds the bound to float32 first; since the score is a float32
    number itself, that can let a row more in but never one out.
    """

    def __init__(
        self,
        snapshot: GallerySnapshot,
        device: Device = Device.CPU,
        threads: int = 1,
        block_rows: int = BLOCK_ROWS,
    ) -> None:
        """Copies the templates to the device when it is CUDA; on the CPU they are shared with the snapshot. Blocks.

        threads: of one run of the scan. DeviceError: CUDA was asked for and cannot be used.
        """
        graph = files("rtcc_bridge.matching.graphs").joinpath("topk_scan.onnx").read_bytes()
        self._session = open_session(graph, device, threads, allow_tf32=False)
        self._device = session_device(self._session)
        self._snapshot = snapshot
        self._lists = CandidateLists(snapshot)
        self._error = float32_error_bound(snapshot.template_length)
        self._living = snapshot.image_count
        self._blocks = [self._resident(rows) for rows in row_blocks(len(snapshot.templates), block_rows)]
        self._tally = SearchTally()

    @property
    def snapshot(self) -> GallerySnapshot:
        return self._snapshot

    @property
    def device(self) -> Device:
        """Where the scan really runs: CPU or CUDA."""
        return self._device

    @property
    def counters(self) -> SearchCounters:
        return self._tally.total

    def search(self, probes: Float32Array, limit: int, threshold: float) -> list[list[Candidate]]:
        """As `SearchIndex.search` promises."""
        check_search(self._snapshot, probes, limit, threshold)
        if not len(probes) or not self._living:
            return [[] for _ in probes]
        threshold = max(threshold, _BELOW_EVERY_SCORE)
        scans = self._scan(np.ascontiguousarray(probes), limit + _SPARE_ROWS, threshold)
        return [self._prove(probe, scan, limit, threshold) for probe, scan in zip(probes, scans, strict=True)]

    def _resident(self, rows: slice) -> _Block:
        removed = np.where(self._snapshot.alive[rows], 0, -np.inf).astype(np.float32)
        return _Block(rows, self._on_device(self._snapshot.templates[rows]), self._on_device(removed))

    def _on_device(self, values: Float32Array) -> Any:
        return onnxruntime.OrtValue.ortvalue_from_numpy(values, self._device.value, 0)

    def _scan(self, probes: Float32Array, k: int, threshold: float) -> list[_Scan]:
        """The k best rows of each probe over all blocks, without those that are surely below the threshold."""
        try:
            resident = self._on_device(probes)
            found = [self._scan_block(block, resident, k) for block in self._blocks]
        except Exception as error:  # ONNX Runtime raises bare exceptions of many unrelated kinds.
            raise InferenceError(f"the search failed on the device {self._device}: {error}") from error
        scores = np.concatenate([block_scores for block_scores, _ in found], axis=1)
        rows = np.concatenate([block_rows for _, block_rows in found], axis=1)
        scans = []
        for probe_scores, probe_rows in zip(scores, rows, strict=True):
            best = np.argsort(-probe_scores, kind="stable")[:k]
            kept = best[probe_scores[best] >= threshold - self._error]
            rest = -np.inf if k >= self._living else float(probe_scores[best[-1]])
            scans.append(_Scan(probe_rows[kept], rest))
        return scans

    def _scan_block(self, block: _Block, probes: Any, k: int) -> tuple[Float32Array, Int64Array]:
        """Scores float32 and rows int64, both (B, at most k), of one block."""
        binding = self._session.io_binding()
        binding.bind_ortvalue_input("probes", probes)
        binding.bind_ortvalue_input("templates", block.templates)
        binding.bind_ortvalue_input("removed", block.removed)
        binding.bind_cpu_input("k", np.array([min(k, block.rows.stop - block.rows.start)], np.int64))
        binding.bind_output("scores", "cpu")
        binding.bind_output("rows", "cpu")
        self._session.run_with_iobinding(binding)
        scores, rows = binding.copy_outputs_to_cpu()
        return scores, rows + block.rows.start

    def _prove(self, probe: Float32Array, scan: _Scan, limit: int, threshold: float) -> list[Candidate]:
        rows, scores = self._rescore(scan.rows, probe, limit, threshold)
        survivors = len(scan.rows)
        needed = float(scores[-1]) if len(rows) == limit else threshold
        widened = scan.rest + self._error >= needed
        if widened:
            wider = self._rows_from(probe, needed - self._error)
            survivors += len(wider)
            rows, scores = self._rescore(wider, probe, limit, threshold)
        self._tally.add(survivors, widened)
        return self._lists.candidates(rows, scores, probe)

    def _rescore(
        self, rows: Int64Array, probe: Float32Array, limit: int, threshold: float
    ) -> tuple[Int64Array, Float64Array]:
        """The best row of each person at or above the threshold, in the order of the list, and the true scores."""
        scores = exact_scores(self._snapshot.templates[rows], probe)
        reached = scores >= threshold
        return self._lists.best_rows(rows[reached], scores[reached], limit)

    def _rows_from(self, probe: Float32Array, floor: float) -> Int64Array:
        """All living rows whose float32 score reaches `floor`. Runs on the host, where the templates are anyway."""
        templates, alive = self._snapshot.templates, self._snapshot.alive
        found = [
            np.flatnonzero((templates[block.rows] @ probe >= floor) & alive[block.rows]) + block.rows.start
            for block in self._blocks
        ]
        return np.concatenate(found)
