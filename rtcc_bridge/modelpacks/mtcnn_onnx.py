"""Writes the three MTCNN networks (Zhang et al. 2016, "Joint Face Detection and Alignment Using Multitask Cascaded
Convolutional Networks") as ONNX, from the weights of the `mtcnn` wheel.

The wheel's networks are channels-last; here they are channels-first, as ONNX Runtime runs them. Its fully connected
layers expect columns before rows (a trace of the original Caffe release), hence the transposition before Flatten.

The first layers see the most values, so they are written in a cheaper form that computes the same.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rtcc_bridge.matching.errors import ModelPackError
from rtcc_bridge.matching.types import Float32Array
from rtcc_bridge.modelpacks.onnx_graph import GraphWriter, Shape

REFINE_SIZE = 24
OUTPUT_SIZE = 48

_CHANNEL_BLOCK = 16
"""Channels that ONNX Runtime keeps side by side on processors with AVX-512; on those with AVX2 it is 8."""


class Layers:
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
        return self._convolved(value, self._next(), self._next(), output)

    def _convolved(self, value: str, weights: Float32Array, bias: Float32Array, output: str | None = None) -> str:
        inputs = [value, self.graph.constant(weights.transpose(3, 2, 0, 1)), self.graph.constant(bias)]
        return self.graph.add("Conv", inputs, output, kernel_shape=list(weights.shape[:2]))

    def prelu(self, value: str) -> str:
        slope = self._next()
        return self._bent(value, slope.reshape(-1, 1, 1) if slope.ndim > 1 else slope)

    def _bent(self, value: str, slope: Float32Array) -> str:
        """The PReLU of x with slope a: for slopes of at most 1 it is max(x, ax), in a fraction of the time."""
        if slope.max() > 1:
            return self.graph.add("PRelu", [value, self.graph.constant(slope)])
        return self.graph.add("Max", [value, self.graph.add("Mul", [value, self.graph.constant(slope)])])

    def prelu_in_place(self, value: str) -> str:
        """A PReLU before another layer of maps, for which ONNX Runtime does not leave its own order of channels.

        The PReLU of x is ax + (1 - a) max(x, 0). A multiplication of each channel counts as a convolution there, and
        the sum is taken in by one of them.
        """
        slope = self._next().reshape(-1, 1, 1)
        straight = self.graph.add("Mul", [value, self.graph.constant(slope)])
        positive = self.graph.add("Mul", [self.graph.add("Relu", [value]), self.graph.constant(1 - slope)])
        return self.graph.add("Add", [straight, positive])

    def max_pool(self, value: str, kernel: int, padding: str) -> str:
        return self.graph.add("MaxPool", [value], kernel_shape=[kernel, kernel], strides=[2, 2], auto_pad=padding)

    def pooled_convolution(self, value: str, kernel: int, padding: str) -> str:
        """Convolution, PReLU and max pooling with the PReLU last, where there are a quarter of the values.

        A slope of 0 or more keeps the order of values, so pooling first changes nothing. Under a negative slope a, the
        PReLU of x is max(x, ax): its maximum is that of x or that of ax, so both are convolved and pooled. Channels of
        zeros fill up what ONNX Runtime pools fastest, whole blocks.
        """
        weights, bias, slope = self._next(), self._next(), self._next().reshape(-1)
        falling, rising = np.flatnonzero(slope < 0), np.flatnonzero(slope >= 0)
        order = np.concatenate([falling, rising])
        spare = -(len(order) + len(falling)) % _CHANNEL_BLOCK
        zeros = np.zeros((*weights.shape[:-1], spare), np.float32)
        bank = np.concatenate([weights[..., order], weights[..., falling] * slope[falling], zeros], axis=-1)
        biases = np.concatenate([bias[order], bias[falling] * slope[falling], zeros[0, 0, 0]])
        pooled = self.max_pool(self._convolved(value, bank, biases), kernel, padding)
        parts = self.graph.split(pooled, [len(falling), len(rising), len(falling), *([spare] if spare else [])])
        highest = self.graph.add("Max", [parts[0], parts[2]])
        bent = self._bent(parts[1], slope[rising].reshape(-1, 1, 1))
        self._weights[0] = self._weights[0][:, :, order]
        return self.graph.add("Concat", [highest, bent], axis=1)

    def bent_heads(self, value: str) -> None:
        """A PReLU and the two 1 x 1 convolutions after it, offsets and classes, in one.

        The PReLU of x is ax + (1 - a) max(x, 0), and both terms can go through the convolution by themselves: that
        costs less than a PReLU by itself, for which ONNX Runtime leaves its own order of channels and comes back. Of
        two classes the softmax is the sigmoid of their difference.
        """
        slope = self._next().reshape(-1, 1)
        offsets, offset_bias, classes, class_bias = (self._next() for _ in range(4))
        weights = np.concatenate([offsets, classes[..., 1:] - classes[..., :1]], axis=-1)
        bias = np.concatenate([offset_bias, class_bias[1:] - class_bias[:1]])
        straight = self._convolved(value, weights * slope, bias)
        positive = self._convolved(self.graph.add("Relu", [value]), weights * (1 - slope), np.zeros_like(bias))
        joint = self.graph.add("Add", [straight, positive])
        _, score = self.graph.split(joint, [len(offset_bias), 1], ["offsets", "score"])
        self.graph.add("Sigmoid", [score], "probabilities")

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
    """Input `windows` float32 (N, 3, H, W); outputs `offsets` (N, 4, h, w) and `probabilities` (N, 1, h, w)."""
    layers = Layers("mtcnn_proposal", weights)
    value = layers.pooled_convolution("windows", 2, "SAME_UPPER")
    value = layers.prelu_in_place(layers.convolution(value))
    layers.bent_heads(layers.convolution(value))
    outputs: dict[str, Shape] = {"offsets": ["N", 4, "h", "w"], "probabilities": ["N", 1, "h", "w"]}
    layers.write(path, ["N", 3, "H", "W"], outputs)


def write_refine_network(weights: Sequence[Float32Array], path: Path) -> None:
    """Input `windows` float32 (N, 3, 24, 24); outputs `offsets` (N, 4) and `probabilities` (N, 2)."""
    layers = Layers("mtcnn_refine", weights)
    value = layers.pooled_convolution("windows", 3, "SAME_UPPER")
    value = layers.max_pool(layers.prelu_in_place(layers.convolution(value)), 3, "VALID")
    value = layers.prelu(layers.convolution(value))
    value = layers.prelu(layers.dense(layers.flatten(value)))
    layers.dense(value, "offsets")
    layers.graph.add("Softmax", [layers.dense(value)], "probabilities", axis=1)
    layers.write(path, ["N", 3, REFINE_SIZE, REFINE_SIZE], {"offsets": ["N", 4], "probabilities": ["N", 2]})


def write_output_network(weights: Sequence[Float32Array], path: Path) -> None:
    """Input `windows` float32 (N, 3, 48, 48); outputs `offsets` (N, 4), `landmarks` (N, 10), `probabilities` (N, 2).

    landmarks: five x, then five y, each as a share of the window.
    """
    layers = Layers("mtcnn_output", weights)
    value = layers.pooled_convolution("windows", 3, "SAME_UPPER")
    value = layers.max_pool(layers.prelu_in_place(layers.convolution(value)), 3, "VALID")
    value = layers.max_pool(layers.prelu_in_place(layers.convolution(value)), 2, "SAME_UPPER")
    value = layers.prelu(layers.convolution(value))
    value = layers.prelu(layers.dense(layers.flatten(value)))
    layers.dense(value, "offsets")
    layers.dense(value, "landmarks")
    layers.graph.add("Softmax", [layers.dense(value)], "probabilities", axis=1)
    outputs: dict[str, Shape] = {"offsets": ["N", 4], "landmarks": ["N", 10], "probabilities": ["N", 2]}
    layers.write(path, ["N", 3, OUTPUT_SIZE, OUTPUT_SIZE], outputs)
