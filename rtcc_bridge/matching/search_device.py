"""Exact search with ONNX Runtime on an accelerator: a float16 scan there, a proof on the host."""

from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import numpy as np

from rtcc_bridge.matching.device_rows import GROUP_ROWS, PADDED_TO, DeviceMemory, ResidentRows, padded
from rtcc_bridge.matching.errors import InferenceError
from rtcc_bridge.matching.half_probes import PROBE_FACTOR, ROW_FACTOR, HalfProbes
from rtcc_bridge.matching.search import SearchCounters, SearchTally, check_search
from rtcc_bridge.matching.search_int8 import Int8SearchIndex
from rtcc_bridge.matching.session import Device, open_session, run_bound, session_device
from rtcc_bridge.matching.snapshot import GallerySnapshot
from rtcc_bridge.matching.types import Candidate, Float32Array, Float64Array, Int64Array

_SPARE_ROWS: Final = 78
"""Rows that the scan brings back beyond the list's length: those that lie within its error in an ordinary gallery."""

_WARM_DOUBLINGS: Final = 7
"""Shapes that are run once when an index is opened: batches of 1 to 64 probes."""

_WARM_LIMIT: Final = 50
"""The list's length in those runs."""

_WHOLE_ROWS: Final = 4096
"""Rows up to which all of a block come back. In a block of few, the zeros of its padding would take others' places."""


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """What a scan found for B probes: rows int64 (B, n), -1 where there is none, and their scores float64 (B, n).

    The scanned score of a row that is not among them is at most `rests` (B,); no row's exact score is further than
    `errors` (B,) from its scanned one.
    """

    rows: Int64Array
    scores: Float64Array
    rests: Float64Array
    errors: Float64Array


class DeviceSearchIndex:
    """Searches one snapshot exactly (`SearchIndex`).

    1. Scan. The graph `half_scan.onnx` gives for each block the k rows of the largest scanned scores f, from templates
       in float16 that are resident on the device; only those k rows come back. Removed rows are among them.
    2. Rescore. Where `limit` people have f - e >= a, or a is the threshold, rows with f + e < a are dropped, e being
       the error bound (`HalfProbes`), and so are removed ones. The others get their exact scores on the host and make
       the list.
    3. Certify. Let b be the last listed score when the list is full, else the threshold: what a row needs in order to
       change anything. Rows left out have f <= c, the smallest score that came back. If c + e < b, no row left out can,
       and the list is the exact one.
    4. Widen. Otherwise (more rows lie within the error than came back) this probe is searched on the host, whose
       search needs no such luck.

    The bound rests on what is known of the device's arithmetic. Each exact score is compared with the scanned one: a
    device that errs by more fails the search.
    """

    def __init__(
        self,
        snapshot: GallerySnapshot,
        device: Device = Device.CPU,
        threads: int = 1,
        previous: "DeviceSearchIndex | None" = None,
    ) -> None:
        """Copies the templates to the device, but for those that an index of an older version has there. Blocks.

        threads: of a search on the host. DeviceError: CUDA was asked for and cannot be used. InferenceError: the
        device failed, for example for want of memory.
        """
        graph = files("rtcc_bridge.matching.graphs").joinpath("half_scan.onnx").read_bytes()
        self._session: Any = open_session(graph, device, threads) if previous is None else previous._session
        self._memory: DeviceMemory = DeviceMemory(device) if previous is None else previous._memory
        self._device = session_device(self._session)
        self._snapshot = snapshot
        self._host = Int8SearchIndex(snapshot, threads)
        self._lists = self._host.lists
        self._living = snapshot.image_count
        try:
            older: tuple[ResidentRows, ...] = () if previous is None else previous._blocks
            self._blocks: tuple[ResidentRows, ...] = self._memory.laid_out(snapshot.chunks, older)
        except Exception as error:  # ONNX Runtime raises bare exceptions of many unrelated kinds.
            raise InferenceError(f"the gallery cannot be brought to the device {self._device}: {error}") from error
        self._tally = SearchTally()
        if previous is None and self._blocks:
            self._warm_up()

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
        scan = self.scan(probes, limit)
        owners, rows, scores = self._exact_rows(probes, scan, limit, threshold)
        best = self._lists.best_rows(owners, rows, scores, limit)
        widened = np.flatnonzero(scan.rests + scan.errors >= self._needed(best, len(probes), limit, threshold))
        self._tally.add(len(probes), len(rows), len(widened))
        lists = self._lists.lists(*best, probes)
        for probe, proved in zip(widened, self._host.search(probes[widened], limit, threshold), strict=True):
            lists[probe] = proved
        return lists

    def scan(self, probes: Float32Array, limit: int) -> Scan:
        """The device's part of a search: some more than `limit` of the best rows of each block for each probe."""
        halves, k = HalfProbes.of(probes), limit + _SPARE_ROWS
        try:
            resident = self._memory.put(padded(np.pad(halves.values, ((0, self._filled(len(probes))), (0, 0)))))
            found = [self._scan_block(block, resident, len(probes), k) for block in self._blocks]
        except Exception as error:  # ONNX Runtime raises bare exceptions of many unrelated kinds.
            raise InferenceError(f"the search failed on the device {self._device}: {error}") from error
        rows, scores, rests = [], [], []
        offset = 0
        for block, (block_scores, places) in zip(self._blocks, found, strict=True):
            wide = block_scores.astype(np.float64) / (ROW_FACTOR * PROBE_FACTOR)
            rows.append(np.where(places < block.rows, places + offset, -1))
            scores.append(wide)
            rests.append(np.full(len(probes), -np.inf) if block.rows <= _WHOLE_ROWS else wide[:, -1])
            offset += block.rows
        beside, found_scores = np.concatenate(rows, axis=1), np.concatenate(scores, axis=1)
        return Scan(beside, found_scores, np.max(rests, axis=0), halves.errors())

    def _filled(self, probes: int) -> int:
        """How many zeros fill a batch up to a power of two on CUDA, where each shape's first run takes long."""
        return (1 << (probes - 1).bit_length()) - probes if self._device is Device.CUDA else 0

    def _warm_up(self) -> None:
        """Runs each shape once, so that no search waits for its kernels and its memory."""
        probe = np.eye(1, self._snapshot.template_length, dtype=np.float32)
        for doubled in range(_WARM_DOUBLINGS if self._device is Device.CUDA else 0):
            self.scan(np.repeat(probe, 1 << doubled, axis=0), _WARM_LIMIT)

    def _scan_block(self, block: ResidentRows, resident: Any, probes: int, k: int) -> tuple[Any, Int64Array]:
        """Scores as the device has them and rows of the block, padding among them, both (B, k or all)."""
        wides = block.shape[0] // PADDED_TO
        k = block.shape[0] if block.rows <= _WHOLE_ROWS else k
        counts = {"wide_count": min(k, wides)}
        counts["group_count"] = min(k, GROUP_ROWS * counts["wide_count"])
        counts["row_count"] = min(k, GROUP_ROWS * counts["group_count"])
        binding = self._session.io_binding()
        binding.bind_ortvalue_input("probes", resident)
        binding.bind_input("rows", self._device.value, 0, np.float16, block.shape, block.address)
        for name, count in counts.items():
            binding.bind_cpu_input(name, np.array([count], np.int64))
        for output in ("places_scores", "places"):
            binding.bind_output(output, "cpu")
        run_bound(self._session, binding)
        scores, places = binding.copy_outputs_to_cpu()
        return scores[:probes], places[:probes]

    def _exact_rows(
        self, probes: Float32Array, scan: Scan, limit: int, threshold: float
    ) -> tuple[Int64Array, Int64Array, Float64Array]:
        """Of the rows that came back those that may be on a list: their probes, the rows, their exact scores; (n,)."""
        alive = (scan.rows >= 0) & self._snapshot.alive[scan.rows]
        scanned = np.where(alive, scan.scores, -np.inf)
        errors = scan.errors[:, None]
        floors = self._lists.scores_at(limit, scan.rows, scanned - errors)
        owners, columns = np.nonzero(alive & (scanned + errors >= np.maximum(floors, threshold)[:, None]))
        rows = scan.rows[owners, columns]
        scores = self._lists.exact_scores(rows, probes, owners)
        off = np.abs(scores - scanned[owners, columns])
        if not (off <= scan.errors[owners]).all():
            raise InferenceError(
                f"the device {self._device} errs by {off.max():.2g} in a score, more than its arithmetic allows "
                f"({scan.errors.max():.2g}): its answers cannot be trusted"
            )
        reached = scores >= threshold
        return owners[reached], rows[reached], scores[reached]

    def _needed(
        self, best: tuple[Int64Array, Int64Array, Float64Array], probes: int, limit: int, threshold: float
    ) -> Float64Array:
        """float64 (B,): what a row needs in order to change each probe's list."""
        owners, _, scores = best
        ends = np.searchsorted(owners, np.arange(probes), side="right")
        full = np.bincount(owners, minlength=probes) == limit
        needed = np.full(probes, threshold)
        needed[full] = scores[ends[full] - 1]
        return needed
