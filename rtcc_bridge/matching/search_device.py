"""Exact search with ONNX Runtime on an accelerator: an int8 scan there, a proof on the host."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import numpy as np

from rtcc_bridge.matching.errors import InferenceError
from rtcc_bridge.matching.int8_probes import Int8Probes
from rtcc_bridge.matching.runtime import onnxruntime
from rtcc_bridge.matching.search import SearchCounters, SearchTally, check_search
from rtcc_bridge.matching.search_int8 import Int8SearchIndex
from rtcc_bridge.matching.session import Device, open_session, session_device
from rtcc_bridge.matching.snapshot import GallerySnapshot, TemplateChunk
from rtcc_bridge.matching.types import BoolArray, Candidate, Float32Array, Float64Array, Int64Array

GROUP_ROWS: Final = 32
"""Rows whose largest score stands for them in the first selection, so that TopK sees a 32nd of the scores."""

_ALIGNMENT: Final = 32
"""CUDA's int8 products copy a matrix whose rows are no multiple of this many bytes: they are padded once instead."""

_SPARE_ROWS: Final = 206
"""Rows that the scan brings back beyond the list's length: those that lie within its error in an ordinary gallery."""

_PROBE_LIMIT: Final = 127

_BLOCK_ROWS: Final = 1_048_576
"""Rows from which on a block takes no further chunk: each run of the graph costs the same few kernels' starts."""


@dataclass(frozen=True, slots=True, eq=False)
class _Planes:
    """Some chunks' high planes and scales on the device, one under the other. rows: how many are no padding."""

    rows: int
    high: Any
    scales: Any


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """What one run of the graph scans. offset: its first row in the gallery."""

    offset: int
    planes: _Planes
    removed: Any


@dataclass(frozen=True, slots=True, eq=False)
class _Scan:
    """What a scan found for one probe: rows, and their scores. The scanned score of each other living row is at most
    `rest`; no row's exact score is further than `error` from its scanned one."""

    rows: Int64Array
    scores: Float64Array
    rest: float
    error: float


class DeviceSearchIndex:
    """Searches one snapshot exactly (`SearchIndex`).

    1. Scan. The graph `int8_scan.onnx` gives for each block the k rows of the largest scanned scores f, from the high
       planes, which are resident on the device; only those k rows come back.
    2. Rescore. Each row with f + e >= threshold gets its exact score on the host, e being the scan's error bound
       (`Int8Probes`), and the best row of each person, `limit` people at most, makes the list.
    3. Certify. Let b be the last listed score when the list is full, else the threshold: what a row needs in order to
       change anything. Rows left out have f <= c, the smallest score that came back. If c + e < b, no row left out can,
       and the list is the exact one.
    4. Widen. Otherwise (more rows lie within the error than came back) this probe is searched on the host, whose
       search needs no such luck.
    """

    def __init__(
        self,
        snapshot: GallerySnapshot,
        device: Device = Device.CPU,
        threads: int = 1,
        previous: "DeviceSearchIndex | None" = None,
    ) -> None:
        """Copies the high planes to the device, but for those that an index of an older version has there. Blocks.

        threads: of a search on the host. DeviceError: CUDA was asked for and cannot be used.
        """
        graph = files("rtcc_bridge.matching.graphs").joinpath("int8_scan.onnx").read_bytes()
        self._session: Any = open_session(graph, device, threads) if previous is None else previous._session
        self._device = session_device(self._session)
        self._snapshot = snapshot
        self._host = Int8SearchIndex(snapshot, threads)
        self._lists = self._host.lists
        self._living = snapshot.image_count
        self._planes: dict[tuple[TemplateChunk, ...], _Planes] = {}
        self._blocks = list(self._resident({} if previous is None else previous._planes))
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
        scans = self._scan(probes, limit + _SPARE_ROWS)
        return [self._prove(probe, scan, limit, threshold) for probe, scan in zip(probes, scans, strict=True)]

    def _resident(self, known: dict[tuple[TemplateChunk, ...], _Planes]) -> Iterator[_Block]:
        """The snapshot in blocks. A block of the same chunks as one that is known shares its planes."""
        offset = 0
        for chunks in _grouped(self._snapshot.chunks):
            planes = self._planes[chunks] = known[chunks] if chunks in known else self._uploaded(chunks)
            alive = self._snapshot.alive[offset : offset + planes.rows]
            removed = np.where(alive, 0, -np.inf).astype(np.float32)
            padded = np.pad(removed, (0, -planes.rows % GROUP_ROWS), constant_values=-np.inf)
            yield _Block(offset, planes, self._on_device(padded[:, None]))
            offset += planes.rows

    def _uploaded(self, chunks: tuple[TemplateChunk, ...]) -> _Planes:
        rows, length = sum(map(len, chunks)), self._snapshot.template_length
        high = np.zeros((rows + -rows % GROUP_ROWS, length + -length % _ALIGNMENT), np.int8)
        scales = np.zeros((len(high), 1), np.float32)
        high[:rows, :length] = np.concatenate([chunk.templates.high for chunk in chunks])
        scales[:rows, 0] = np.concatenate([chunk.templates.scales for chunk in chunks])
        return _Planes(rows, self._on_device(high), self._on_device(scales))

    def _on_device(self, values: Any) -> Any:
        return onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(values), self._device.value, 0)

    def _scan(self, probes: Float32Array, k: int) -> list[_Scan]:
        """The k best rows of each probe over all blocks."""
        whole = Int8Probes.of(probes, _PROBE_LIMIT)
        errors = np.max([whole.errors(chunk).max(axis=0) for chunk in self._snapshot.chunks], axis=0)
        padded = np.pad(whole.whole, ((0, 0), (0, -probes.shape[1] % _ALIGNMENT)))
        try:
            resident = self._on_device(padded.T)
            found = [self._scan_block(block, resident, k) for block in self._blocks]
        except Exception as error:  # ONNX Runtime raises bare exceptions of many unrelated kinds.
            raise InferenceError(f"the search failed on the device {self._device}: {error}") from error
        scores = np.concatenate([block_scores for block_scores, _ in found], axis=1).astype(np.float64)
        scores *= 256 * whole.steps[:, None]
        rows = np.concatenate([block_rows for _, block_rows in found], axis=1)
        return [_best(*one, k, k >= self._living) for one in zip(rows, scores, errors, strict=True)]

    def _scan_block(self, block: _Block, probes: Any, k: int) -> tuple[Float32Array, Int64Array]:
        """Scores in units of the probe's step and rows of the gallery, both (B, at most k), of one block."""
        rows = block.planes.rows
        groups = -(-rows // GROUP_ROWS)
        binding = self._session.io_binding()
        binding.bind_ortvalue_input("probes", probes)
        binding.bind_ortvalue_input("rows", block.planes.high)
        binding.bind_ortvalue_input("scales", block.planes.scales)
        binding.bind_ortvalue_input("removed", block.removed)
        binding.bind_cpu_input("group_count", np.array([min(k, groups)], np.int64))
        binding.bind_cpu_input("row_count", np.array([min(k, rows)], np.int64))
        for output in ("scores", "places", "groups"):
            binding.bind_output(output, "cpu")
        self._session.run_with_iobinding(binding)
        scores, places, chosen = binding.copy_outputs_to_cpu()
        group = np.take_along_axis(chosen, places // GROUP_ROWS, axis=1)
        return scores, group * GROUP_ROWS + places % GROUP_ROWS + block.offset

    def _prove(self, probe: Float32Array, scan: _Scan, limit: int, threshold: float) -> list[Candidate]:
        rows = scan.rows[scan.scores + scan.error >= threshold]
        scores = self._lists.exact_scores(rows, probe[None], np.zeros_like(rows))
        reached = scores >= threshold
        best, best_scores = self._lists.best_rows(rows[reached], scores[reached], limit)
        needed = float(best_scores[-1]) if len(best) == limit else threshold
        widened = scan.rest + scan.error >= needed
        self._tally.add(len(rows), widened)
        if widened:
            return self._host.search(probe[None], limit, threshold)[0]
        return self._lists.lists([(best, best_scores)], probe[None])[0]


def _grouped(chunks: Sequence[TemplateChunk]) -> Iterator[tuple[TemplateChunk, ...]]:
    group: list[TemplateChunk] = []
    for chunk in chunks:
        group.append(chunk)
        if sum(map(len, group)) >= _BLOCK_ROWS:
            yield tuple(group)
            group = []
    if group:
        yield tuple(group)


def _best(rows: Int64Array, scores: Float64Array, error: float, k: int, complete: bool) -> _Scan:
    """complete: whether k rows are all there are, so that nothing was left out."""
    best = np.argsort(-scores, kind="stable")[:k]
    living: BoolArray = scores[best] > -np.inf
    rest = -np.inf if complete else float(scores[best[-1]])
    # The device rounds each scanned score to float32, twice.
    return _Scan(rows[best[living]], scores[best[living]], rest, float(error) + 2.0**-20)
