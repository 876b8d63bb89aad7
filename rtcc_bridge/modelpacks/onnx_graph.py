"""A thin writer of ONNX graphs: nodes in order, constants by value, names made here."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

_OPSET = 13
_IR_VERSION = 8
"""Old enough for every ONNX Runtime that the program supports, and fixed so that a rebuild gives the same bytes."""

Shape = Sequence[int | str]


class GraphWriter:
    """Collects nodes and constants, then writes a checked model. The same calls give the same bytes."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, values: npt.NDArray[Any]) -> str:
        """Store an array of float32 (or int64, for shapes and padding) and return its name."""
        name = f"c{len(self._constants)}"
        kept = values if values.dtype == np.int64 else values.astype(np.float32)
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(kept), name))
        return name

    def add(self, operator: str, inputs: Sequence[str], output: str | None = None, **attributes: Any) -> str:
        """Append a node and return the name of its one output."""
        name = output or f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def split(self, value: str, lengths: Sequence[int], outputs: Sequence[str] = ()) -> list[str]:
        """Append a node that parts channels-first maps into parts of so many channels, and return the parts' names."""
        names = list(outputs) or [f"t{len(self._nodes)}_{part}" for part in range(len(lengths))]
        sizes = self.constant(np.array(lengths, np.int64))
        self._nodes.append(helper.make_node("Split", [value, sizes], names, axis=1))
        return names

    def write(self, path: Path, inputs: Mapping[str, Shape], outputs: Mapping[str, Shape]) -> None:
        graph = helper.make_graph(
            self._nodes,
            self._name,
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in inputs.items()],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape)) for name, shape in outputs.items()],
            self._constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="rtcc-bridge")
        model.ir_version = _IR_VERSION
        onnx.checker.check_model(model)
        path.write_bytes(model.SerializeToString(deterministic=True))
