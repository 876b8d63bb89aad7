"""Writes the graphs that matching runs besides the networks to rtcc_bridge/matching/graphs.

The files are committed so that matching needs no `onnx`; a test compares them with what this script makes.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

from onnx import ModelProto, NodeProto, TensorProto, checker, helper

from rtcc_bridge.matching.device_rows import GROUP_ROWS

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


def build_rows() -> ModelProto:
    """rows float16 (n, D) = fl16(scales * (256 high + low)): high, low int8 (n, D), scales float32 (n, 1)."""
    nodes = [
        helper.make_node("Cast", ["high"], ["wide_high"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["low"], ["wide_low"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["wide_high", "step"], ["shifted"]),
        helper.make_node("Add", ["shifted", "wide_low"], ["whole"]),
        helper.make_node("Mul", ["whole", "scales"], ["values"]),
        helper.make_node("Cast", ["values"], ["rows"], to=TensorProto.FLOAT16),
    ]
    return _model(
        "half_rows",
        nodes,
        [
            ("high", TensorProto.INT8, ["n", "D"]),
            ("low", TensorProto.INT8, ["n", "D"]),
            ("scales", TensorProto.FLOAT, ["n", 1]),
        ],
        [("rows", TensorProto.FLOAT16, ["n", "D"])],
        [helper.make_tensor("step", TensorProto.FLOAT, [], [256.0])],
    )


def build_scan() -> ModelProto:
    """The `row_count` best rows of a block for each probe, their largest scores being found in two selections before.

    probes float16 (B, D); rows float16 (N, D), N a multiple of GROUP_ROWS^2; wide_count, group_count, row_count int64
    (1,), each at most GROUP_ROWS times the one before. places_scores float16 (B, row_count), falling; places int64 (B,
    row_count): their rows.

    Groups are of GROUP_ROWS rows, wide groups of GROUP_ROWS groups. The k best rows lie in the k groups of the largest
    maxima: a group left out has a maximum that is no larger than those of k groups, so that k rows score at least as
    much. So it is with groups and wide groups.
    """
    nodes = [
        helper.make_node("Gemm", ["probes", "rows"], ["by_row"], transB=1),
        helper.make_node("Unsqueeze", ["by_row", "channel"], ["line"]),
        helper.make_node("MaxPool", ["line"], ["line_of_groups"], kernel_shape=[GROUP_ROWS], strides=[GROUP_ROWS]),
        helper.make_node(
            "MaxPool", ["line_of_groups"], ["line_of_wides"], kernel_shape=[GROUP_ROWS], strides=[GROUP_ROWS]
        ),
        helper.make_node("Squeeze", ["line_of_wides", "channel"], ["by_wide"]),
        helper.make_node("TopK", ["by_wide", "wide_count"], ["wide_maxima", "wides"], axis=-1, largest=1, sorted=0),
        *_chosen("line_of_groups", "wides", "group_count", "groups", ordered=0),
        *_chosen("by_row", "groups", "row_count", "places", ordered=1),
    ]
    constants = [
        helper.make_tensor("channel", TensorProto.INT64, [1], [1]),
        helper.make_tensor("grouped_shape", TensorProto.INT64, [3], [0, -1, GROUP_ROWS]),
        helper.make_tensor("flat_shape", TensorProto.INT64, [2], [0, -1]),
        helper.make_tensor("last_axis", TensorProto.INT64, [1], [-1]),
        helper.make_tensor("size", TensorProto.INT64, [], [GROUP_ROWS]),
    ]
    inputs: list[Value] = [
        ("probes", TensorProto.FLOAT16, ["B", "D"]),
        ("rows", TensorProto.FLOAT16, ["N", "D"]),
        ("wide_count", TensorProto.INT64, [1]),
        ("group_count", TensorProto.INT64, [1]),
        ("row_count", TensorProto.INT64, [1]),
    ]
    outputs: list[Value] = [
        ("places_scores", TensorProto.FLOAT16, ["B", "k"]),
        ("places", TensorProto.INT64, ["B", "k"]),
    ]
    return _model("half_scan", nodes, inputs, outputs, constants)


def _chosen(values: str, chosen: str, count: str, places: str, ordered: int) -> list[NodeProto]:
    """`places` int64 (B, count): where the largest of `values` are, which lie in the `chosen` groups int64 (B, g)."""
    return [
        helper.make_node("Reshape", [values, "grouped_shape"], [f"{places}_all"]),
        helper.make_node("Unsqueeze", [chosen, "last_axis"], [f"{places}_indices"]),
        helper.make_node("GatherND", [f"{places}_all", f"{places}_indices"], [f"{places}_some"], batch_dims=1),
        helper.make_node("Reshape", [f"{places}_some", "flat_shape"], [f"{places}_flat"]),
        helper.make_node(
            "TopK",
            [f"{places}_flat", count],
            [f"{places}_scores", f"{places}_found"],
            axis=-1,
            largest=1,
            sorted=ordered,
        ),
        helper.make_node("Div", [f"{places}_found", "size"], [f"{places}_order"]),
        helper.make_node("GatherElements", [chosen, f"{places}_order"], [f"{places}_owner"], axis=1),
        helper.make_node("Mul", [f"{places}_owner", "size"], [f"{places}_start"]),
        helper.make_node("Mod", [f"{places}_found", "size"], [f"{places}_offset"]),
        helper.make_node("Add", [f"{places}_start", f"{places}_offset"], [places]),
    ]


def build_chips(layout: str, *, mirrored: bool) -> ModelProto:
    """values float32 = (chips[..., order] - mean) * scale of chips uint8 (n, H, W, 3), in this layout.

    order int64 (3,): the channels as the network wants them; mean, scale float32 (3,), in its order. mirrored: n images
    more, those of the chips seen in a mirror.
    """
    images = "both" if mirrored else "normal"
    nodes = [
        helper.make_node("Gather", ["chips", "order"], ["ordered"], axis=3),
        helper.make_node("Cast", ["ordered"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["wide", "mean"], ["centred"]),
        helper.make_node("Mul", ["centred", "scale"], ["normal"]),
    ]
    if mirrored:
        nodes += [
            helper.make_node("Slice", ["normal", "last", "before", "across", "backwards"], ["mirror_images"]),
            helper.make_node("Concat", ["normal", "mirror_images"], ["both"], axis=0),
        ]
    arranged = [0, 3, 1, 2] if layout == "NCHW" else [0, 1, 2, 3]
    nodes.append(helper.make_node("Transpose", [images], ["values"], perm=arranged))
    constants = {"last": -1, "before": -(2**31), "across": 2, "backwards": -1} if mirrored else {}
    return _model(
        "chips",
        nodes,
        [
            ("chips", TensorProto.UINT8, ["n", "H", "W", 3]),
            ("order", TensorProto.INT64, [3]),
            ("mean", TensorProto.FLOAT, [3]),
            ("scale", TensorProto.FLOAT, [3]),
        ],
        [("values", TensorProto.FLOAT, ["m", "a", "b", "c"])],
        [helper.make_tensor(name, TensorProto.INT64, [1], [value]) for name, value in constants.items()],
    )


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


BUILDERS: dict[str, Callable[[], ModelProto]] = {
    "int8_scores.onnx": build_scores,
    "half_rows.onnx": build_rows,
    "half_scan.onnx": build_scan,
    "chips_nchw.onnx": partial(build_chips, "NCHW", mirrored=False),
    "chips_nchw_mirrored.onnx": partial(build_chips, "NCHW", mirrored=True),
    "chips_nhwc.onnx": partial(build_chips, "NHWC", mirrored=False),
    "chips_nhwc_mirrored.onnx": partial(build_chips, "NHWC", mirrored=True),
}

if __name__ == "__main__":
    for file_name, build in BUILDERS.items():
        (GRAPHS / file_name).write_bytes(build().SerializeToString())
        print(f"wrote {GRAPHS / file_name}")
