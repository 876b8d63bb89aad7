"""Writes the three MTCNN networks (Zhang et al. 2016, "Joint Face Detection and Alignment Using Multitask Cascaded
Convolutional Networks") as ONNX, from the weights of the `mtcnn` wheel.

The wheel's networks are channels-last; here they are channels-first, as ONNX Runtime runs them. Its fully connected
layers expect columns before rows (a trace of the original Caffe release), hence the transposition before Flatten.
"""

from collections.abc import Sequence
from pathlib import Path

from rtcc_bridge.matching.errors import ModelPackError
from rtcc_bridge.matching.types import Float32Array
from rtcc_bridge.modelpacks.onnx_graph import GraphWriter, Shape

REFINE_SIZE = 24
OUTPUT_SIZE = 48


class _Layers:
    """Takes the weights off their list as the layers are written, so that too few or too many is noticed."""

    def __init__(self, name: str, weights: Sequence[Float32Array]) -> None:
        self._name = name
        self.graph = GraphWriter(name)
        self._weights = list(weights)

    def _next(self) -> Float32Array:
        if not self._weights:
            raise ModelPackError(f"mtcnn weights: {self._name} has too few arrays")
        return self._weights.pop(0)

    def convolution(self, value: str, output: str | None = None) -> str:
        weights, bias = self._next(), self._next()
        inputs = [value, self.graph.constant(weights.transpose(3, 2, 0, 1)), self.graph.constant(bias)]
        return self.graph.add("Conv", inputs, output, kernel_shape=list(weights.shape[:2]))

    def prelu(self, value: str) -> str:
        slope = self._next()
        per_channel = slope.reshape(-1, 1, 1) if slope.ndim > 1 else slope
        return self.graph.add("PRelu", [value, self.graph.constant(per_channel)])

    def max_pool(self, value: str, kernel: int, padding: str) -> str:
        return self.graph.add("MaxPool", [value], kernel_shape=[kernel, kernel], strides=[2, 2], auto_pad=padding)

    def dense(self, value: str, output: str | None = None) -> str:
        inputs = [value, self.graph.constant(self._next()), self.graph.constant(self._next())]
        return self.graph.add("Gemm", inputs, output)

    def flatten(self, value: str) -> str:
        return self.graph.add("Flatten", [self.graph.add("Transpose", [value], perm=[0, 3, 2, 1])])

    def write(self, path: Path, input_shape: Shape, outputs: dict[str, Shape]) -> None:
        if self._weights:
            raise ModelPackError(f"mtcnn weights: {self._name} has {len(self._weights)} arrays too many")
        self.graph.write(path, {"windows": input_shape}, outputs)


def write_proposal_network(weights: Sequence[Float32Array], path: Path) -> None:
    """Input `windows` float32 (N, 3, H, W); outputs `offsets` (N, 4, h, w) and `probabilities` (N, 2, h, w)."""
    layers = _Layers("mtcnn_proposal", weights)
    value = layers.max_pool(layers.prelu(layers.convolution("windows")), 2, "SAME_UPPER")
    value = layers.prelu(layers.convolution(value))
    value = layers.prelu(layers.convolution(value))
    layers.convolution(value, "offsets")
    layers.graph.add("Softmax", [layers.convolution(value)], "probabilities", axis=1)
    outputs: dict[str, Shape] = {"offsets": ["N", 4, "h", "w"], "probabilities": ["N", 2, "h", "w"]}
    layers.write(path, ["N", 3, "H", "W"], outputs)


def write_refine_network(weights: Sequence[Float32Array], path: Path) -> None:
    """Input `windows` float32 (N, 3, 24, 24); outputs `offsets` (N, 4) and `probabilities` (N, 2)."""
    layers = _Layers("mtcnn_refine", weights)
    value = layers.max_pool(layers.prelu(layers.convolution("windows")), 3, "SAME_UPPER")
    value = layers.max_pool(layers.prelu(layers.convolution(value)), 3, "VALID")
    value = layers.prelu(layers.convolution(value))
    value = layers.prelu(layers.dense(layers.flatten(value)))
    layers.dense(value, "offsets")
    layers.graph.add("Softmax", [layers.dense(value)], "probabilities", axis=1)
    layers.write(path, ["N", 3, REFINE_SIZE, REFINE_SIZE], {"offsets": ["N", 4], "probabilities": ["N", 2]})


def write_output_network(weights: Sequence[Float32Array], path: Path) -> None:
    """Input `windows` float32 (N, 3, 48, 48); outputs `offsets` (N, 4), `landmarks` (N, 10), `probabilities` (N, 2).

    landmarks: five x, then five y, each as a share of the window.
    """
    layers = _Layers("mtcnn_output", weights)
    value = layers.max_pool(layers.prelu(layers.convolution("windows")), 3, "SAME_UPPER")
    value = layers.max_pool(layers.prelu(layers.convolution(value)), 3, "VALID")
    value = layers.max_pool(layers.prelu(layers.convolution(value)), 2, "SAME_UPPER")
    value = layers.prelu(layers.convolution(value))
    value = layers.prelu(layers.dense(layers.flatten(value)))
    layers.dense(value, "offsets")
    layers.dense(value, "landmarks")
    layers.graph.add("Softmax", [layers.dense(value)], "probabilities", axis=1)
    outputs: dict[str, Shape] = {"offsets": ["N", 4], "landmarks": ["N", 10], "probabilities": ["N", 2]}
    layers.write(path, ["N", 3, OUTPUT_SIZE, OUTPUT_SIZE], outputs)
