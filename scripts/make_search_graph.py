"""Writes the graph that exact search runs: rtcc_bridge/matching/graphs/topk_scan.onnx.

The file is committed so that searching needs no `onnx`; a test compares it with what this script makes.
"""

from pathlib import Path

from onnx import ModelProto, TensorProto, checker, helper

GRAPH = Path(__file__).resolve().parents[1] / "rtcc_bridge" / "matching" / "graphs" / "topk_scan.onnx"


def build() -> ModelProto:
    """scores, rows = TopK(probes @ templates.T + removed, k): the k largest of each probe's row.

    probes float32 (B, D), templates float32 (N, D), removed float32 (N,), k int64 (1,) with 1 <= k <= N;
    scores float32 (B, k), rows int64 (B, k). Gemm with a transposed second factor reads the templates as they lie.
    """
    nodes = [
        helper.make_node("Gemm", ["probes", "templates", "removed"], ["all_scores"], transB=1),
        helper.make_node("TopK", ["all_scores", "k"], ["scores", "rows"], axis=-1, largest=1, sorted=1),
    ]
    inputs = [
        helper.make_tensor_value_info("probes", TensorProto.FLOAT, ["B", "D"]),
        helper.make_tensor_value_info("templates", TensorProto.FLOAT, ["N", "D"]),
        helper.make_tensor_value_info("removed", TensorProto.FLOAT, ["N"]),
        helper.make_tensor_value_info("k", TensorProto.INT64, [1]),
    ]
    outputs = [
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["B", "k"]),
        helper.make_tensor_value_info("rows", TensorProto.INT64, ["B", "k"]),
    ]
    graph = helper.make_graph(nodes, "topk_scan", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    return model


if __name__ == "__main__":
    GRAPH.write_bytes(build().SerializeToString())
    print(f"wrote {GRAPH}")
