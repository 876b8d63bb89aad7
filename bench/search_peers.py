"""What a search is measured against. None of these proves anything, nor knows of people: they give the best rows."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeAlias

import faiss
import numpy as np
from onnx import TensorProto, helper
from usearch.compiled import MetricKind
from usearch.index import search

from rtcc_bridge.matching.int8_kernels import fastest_kernel
from rtcc_bridge.matching.int8_probes import Int8Probes
from rtcc_bridge.matching.session import Device, open_session
from rtcc_bridge.matching.snapshot import GallerySnapshot
from rtcc_bridge.matching.types import Float32Array, Int8Array

Peer: TypeAlias = Callable[[Float32Array, int], object]
"""Takes probes float32 (B, D) and the list's length."""


def faiss_flat(snapshot: GallerySnapshot, threads: int) -> Peer:
    index = faiss.IndexFlatIP(snapshot.template_length)
    for chunk in snapshot.chunks:
        index.add(chunk.templates.as_float32())

    def run(probes: Float32Array, limit: int) -> object:
        faiss.omp_set_num_threads(threads)
        return index.search(probes, limit)

    return run


def usearch_exact(snapshot: GallerySnapshot, threads: int) -> Peer:
    rows = all_rows(snapshot)
    return lambda probes, limit: search(rows, probes, limit, MetricKind.IP, exact=True, threads=threads)


def numpy_product(snapshot: GallerySnapshot, _threads: int) -> Peer:
    """What one would write without any of this."""
    rows = all_rows(snapshot)

    def run(probes: Float32Array, limit: int) -> object:
        scores = probes @ rows.T
        best = np.argpartition(scores, -limit, axis=1)[:, -limit:]
        return np.take_along_axis(scores, best, axis=1)

    return run


def onnxruntime_topk(snapshot: GallerySnapshot, threads: int) -> Peer:
    """A float32 product and TopK in one graph, block by block."""
    session = open_session(_topk_graph(), Device.CPU, threads)
    blocks = [chunk.templates.as_float32() for chunk in snapshot.chunks]

    def run(probes: Float32Array, limit: int) -> object:
        k = np.array([limit], np.int64)
        return [session.run(None, {"probes": probes, "rows": rows, "k": k}) for rows in blocks]

    return run


def _topk_graph() -> bytes:
    nodes = [
        helper.make_node("Gemm", ["probes", "rows"], ["all"], transB=1),
        helper.make_node("TopK", ["all", "k"], ["scores", "places"], axis=-1),
    ]
    inputs = [
        helper.make_tensor_value_info("probes", TensorProto.FLOAT, ["B", "D"]),
        helper.make_tensor_value_info("rows", TensorProto.FLOAT, ["N", "D"]),
        helper.make_tensor_value_info("k", TensorProto.INT64, [1]),
    ]
    outputs = [
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["B", "k"]),
        helper.make_tensor_value_info("places", TensorProto.INT64, ["B", "k"]),
    ]
    graph = helper.make_graph(nodes, "topk", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def all_rows(snapshot: GallerySnapshot) -> Float32Array:
    rows = np.empty((snapshot.row_count, snapshot.template_length), np.float32)
    for chunk, start in zip(snapshot.chunks, snapshot.chunk_starts.tolist(), strict=False):
        rows[start : start + len(chunk)] = chunk.templates.as_float32()
    return rows


def bare_product(planes: Sequence[Int8Array], probes: Float32Array, threads: int) -> None:
    """The int8 product of all rows with the probes, by the same kernel, thrown away as it comes."""
    kernel = fastest_kernel(len(probes), probes.shape[1])
    prepared = kernel.prepared(Int8Probes.of(probes, kernel.probe_limit).whole)
    rows_at_once = max(1024, 524_288 // len(probes))
    pieces = [plane[start : start + rows_at_once] for plane in planes for start in range(0, len(plane), rows_at_once)]
    with ThreadPoolExecutor(threads) as executor:
        for _ in executor.map(partial(kernel.scores, prepared=prepared), pieces):
            pass


PEERS: dict[str, Callable[[GallerySnapshot, int], Peer]] = {
    "faiss": faiss_flat,
    "usearch": usearch_exact,
    "onnxruntime": onnxruntime_topk,
    "numpy": numpy_product,
}
