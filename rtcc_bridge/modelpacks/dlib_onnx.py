"""Writes a parsed dlib network as ONNX.

Affine layers are folded into the convolution before them (in float64, rounded once), so that the graph is plain
Conv/Relu/Pool/Pad/Add, which every execution provider runs on its fast path.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rtcc_bridge.matching.errors import ModelPackError
from rtcc_bridge.modelpacks.dlib_dat import (
    AddTagged,
    Affine,
    Convolution,
    DlibNetwork,
    FullyConnected,
    Layer,
    Pool,
    Relu,
    TagOrSkip,
)
from rtcc_bridge.modelpacks.onnx_graph import GraphWriter


@dataclass(frozen=True, slots=True)
class _Value:
    """A tensor in the graph: its name and its shape (channels, rows, columns)."""

    name: str
    shape: tuple[int, int, int]


def fold_affine(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """The same network with each convolution and the affine layer after it made one convolution."""
    folded: list[Layer] = []
    for layer in layers:
        previous = folded[-1] if folded else None
        if not isinstance(layer, Affine):
            folded.append(layer)
        elif isinstance(previous, Convolution):
            folded[-1] = _fold(previous, layer)
        else:
            raise ModelPackError("dlib model: an affine layer does not follow a convolution")
    return tuple(folded)


def _fold(convolution: Convolution, affine: Affine) -> Convolution:
    gain = affine.gain.astype(np.float64)
    weights = convolution.weights * gain[:, None, None, None]
    bias = convolution.bias * gain + affine.offset
    return Convolution(weights.astype(np.float32), bias.astype(np.float32), convolution.stride, convolution.padding)


def write_recognizer(network: DlibNetwork, path: Path) -> int:
    """Write the network as ONNX; returns the length of its descriptor.

    Input `chips`: float32 (N, 3, size, size), normalised as dlib does, (pixel - channel mean) / 256.
    Output `descriptors`: float32 (N, length), not normalised.
    """
    writer = _NetworkWriter(network)
    length = writer.write_layers(fold_affine(network.layers))
    size = network.input_size
    writer.graph.write(path, {"chips": ["N", 3, size, size]}, {"descriptors": ["N", length]})
    return length


class _NetworkWriter:
    def __init__(self, network: DlibNetwork) -> None:
        self.graph = GraphWriter("dlib_face_recognition_resnet_model_v1")
        self._value = _Value("chips", (3, network.input_size, network.input_size))
        self._tagged: _Value | None = None
        self._waiting: _Value | None = None

    def write_layers(self, layers: tuple[Layer, ...]) -> int:
        *body, head = layers
        if not isinstance(head, FullyConnected):
            raise ModelPackError("dlib model: the last layer is not fully connected")
        for position, layer in enumerate(body):
            after_tag = position > 0 and isinstance(body[position - 1], TagOrSkip)
            self._write_layer(layer, is_skip=after_tag)
        self.graph.add("MatMul", [self._value.name, self.graph.constant(head.weights)], "descriptors")
        return int(head.weights.shape[1])

    def _write_layer(self, layer: Layer, *, is_skip: bool) -> None:
        match layer:
            case Convolution():
                self._write_convolution(layer)
            case Relu():
                self._value = _Value(self.graph.add("Relu", [self._value.name]), self._value.shape)
            case Pool():
                self._write_pool(layer)
            case TagOrSkip():
                self._write_tag(is_skip=is_skip)
            case AddTagged():
                self._write_addition()
            case _:
                raise ModelPackError(f"dlib model: a layer of kind {type(layer).__name__} is in an unexpected place")

    def _write_convolution(self, layer: Convolution) -> None:
        filters, _, *kernel = layer.weights.shape
        name = self.graph.add(
            "Conv",
            [self._value.name, self.graph.constant(layer.weights), self.graph.constant(layer.bias)],
            kernel_shape=kernel,
            strides=layer.stride,
            pads=layer.padding * 2,
        )
        self._value = _Value(name, self._shape_after((kernel[0], kernel[1]), layer.stride, layer.padding, filters))

    def _write_pool(self, layer: Pool) -> None:
        channels = self._value.shape[0]
        if layer.kernel == (0, 0):
            name = self.graph.add("ReduceMean", [self._value.name], axes=[2, 3], keepdims=0)
            self._value = _Value(name, (channels, 1, 1))
            return
        operator = "MaxPool" if layer.kind == "max" else "AveragePool"
        name = self.graph.add(
            operator, [self._value.name], kernel_shape=layer.kernel, strides=layer.stride, pads=layer.padding * 2
        )
        self._value = _Value(name, self._shape_after(layer.kernel, layer.stride, layer.padding, channels))

    def _shape_after(
        self, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int], channels: int
    ) -> tuple[int, int, int]:
        """Output sizes are rounded down, in dlib as in ONNX."""
        _, rows, columns = self._value.shape
        return (
            channels,
            (rows + 2 * padding[0] - kernel[0]) // stride[0] + 1,
            (columns + 2 * padding[1] - kernel[1]) // stride[1] + 1,
        )

    def _write_tag(self, *, is_skip: bool) -> None:
        """A skip goes back to the earlier tag while the newest one, the block's output, waits to be added."""
        if not is_skip:
            self._waiting, self._tagged = self._tagged, self._value
            return
        if self._waiting is None:
            raise ModelPackError("dlib model: a skip has no tag to go back to")
        self._value = self._waiting

    def _write_addition(self) -> None:
        if self._tagged is None:
            raise ModelPackError("dlib model: an addition has no tagged tensor")
        left, right = self._value.shape, self._tagged.shape
        target = (max(left[0], right[0]), max(left[1], right[1]), max(left[2], right[2]))
        name = self.graph.add("Add", [self._extend(self._value, target), self._extend(self._tagged, target)])
        self._value = _Value(name, target)

    def _extend(self, value: _Value, target: tuple[int, int, int]) -> str:
        if value.shape == target:
            return value.name
        growth = [wanted - present for wanted, present in zip(target, value.shape, strict=True)]
        pads = self.graph.constant(np.array([0, 0, 0, 0, 0, *growth], np.int64))
        return self.graph.add("Pad", [value.name, pads], mode="constant")
