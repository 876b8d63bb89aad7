"""Writes the graphs that exact search runs: rtcc_bridge/matching/graphs/int8_scores.onnx and int8_scan.onnx.

The files are committed so that searching needs no `onnx`; a test compares them with what this script makes.
"""

from pathlib import Path
from typing import TypeAlias

from onnx import ModelProto, NodeProto, TensorProto, checker, helper

from rtcc_bridge.matching.search_device import GROUP_ROWS

GRAPHS = Path(__file__).resolve().parents[1] / "rtcc_bridge" / "matching" / "graphs"

Value: TypeAlias = tuple[str, int, list[str | int]]


def build_scores() -> ModelProto:
    """scores int32 (n, B) = rows uint8 (n, D) @ probes int8 (D, B), the rows being 128 too large."""
    nodes = [helper.make_node("MatMulInteger", ["rows", "probes", "offset"], ["scores"])]
    offset = helper.make_tensor("offset", TensorProto.UINT8, [], [128])
    return _model(
        "int8_scores",
        nodes,
        [("rows", TensorProto.UINT8, ["n", "D"]), ("probes", TensorProto.INT8, ["D", "B"])],
        [("scores", TensorProto.INT32, ["n", "B"])],
        [offset],
    )


def build_scan() -> ModelProto:
    """The `row_count` best rows of a chunk for each probe, found in the `group_count` best groups of GROUP_ROWS rows.

    rows int8 (N, D), N a multiple of GROUP_ROWS; scales and removed float32 (N, 1), removed 0 or minus infinity;
    probes int8 (D, B); group_count, row_count int64 (1,). scores float32 (B, row_count); places int64 (B, row_count)
    within the chosen groups laid side by side; groups int64 (B, group_count).

    The k best rows lie in the k groups of the largest maxima: a group left out has a maximum m that is no larger than
    those of k groups, so that k rows score at least m.
    """
    nodes = [
        helper.make_node("MatMulInteger", ["rows", "probes"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["unscaled"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["unscaled", "scales"], ["scaled"]),
        helper.make_node("Add", ["scaled", "removed"], ["living"]),
        helper.make_node("Transpose", ["living"], ["by_probe"], perm=[1, 0]),
        helper.make_node("Reshape", ["by_probe", "grouped_shape"], ["grouped"]),
        helper.make_node("ReduceMax", ["grouped"], ["maxima"], axes=[2], keepdims=0),
        helper.make_node("TopK", ["maxima", "group_count"], ["group_maxima", "groups"], axis=-1, largest=1, sorted=0),
        helper.make_node("Unsqueeze", ["groups", "last_axis"], ["group_indices"]),
        helper.make_node("GatherND", ["grouped", "group_indices"], ["chosen"], batch_dims=1),
        helper.make_node("Reshape", ["chosen", "flat_shape"], ["flat"]),
        helper.make_node("TopK", ["flat", "row_count"], ["scores", "places"], axis=-1, largest=1, sorted=1),
    ]
    constants = [
        helper.make_tensor("grouped_shape", TensorProto.INT64, [3], [0, -1, GROUP_ROWS]),
        helper.make_tensor("flat_shape", TensorProto.INT64, [2], [0, -1]),
        helper.make_tensor("last_axis", TensorProto.INT64, [1], [-1]),
    ]
    inputs: list[Value] = [
        ("rows", TensorProto.INT8, ["N", "D"]),
        ("scales", TensorProto.FLOAT, ["N", 1]),
        ("removed", TensorProto.FLOAT, ["N", 1]),
        ("probes", TensorProto.INT8, ["D", "B"]),
        ("group_count", TensorProto.INT64, [1]),
        ("row_count", TensorProto.INT64, [1]),
    ]
    outputs: list[Value] = [
        ("scores", TensorProto.FLOAT, ["B", "k"]),
        ("places", TensorProto.INT64, ["B", "k"]),
        ("groups", TensorProto.INT64, ["B", "g"]),
    ]
    return _model("int8_scan", nodes, inputs, outputs, constants)


def _model(
    name: str, nodes: list[NodeProto], inputs: list[Value], outputs: list[Value], constants: list[TensorProto]
) -> ModelProto:
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model, full_check=True)
    return model


BUILDERS = {"int8_scores.onnx": build_scores, "int8_scan.onnx": build_scan}

if __name__ == "__main__":
    for file_name, build in BUILDERS.items():
        (GRAPHS / file_name).write_bytes(build().SerializeToString())
        print(f"wrote {GRAPHS / file_name}")
