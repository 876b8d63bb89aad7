"""The layers of a small network in plain NumPy, channels last, to compare ONNX graphs with."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from rtcc_bridge.matching.types import Float64Array


def convolved(values: Float64Array, weights: Float64Array, bias: Float64Array, stride: int = 1) -> Float64Array:
    """values (H, W, C), weights (kh, kw, C, F): no padding."""
    windows = sliding_window_view(values, weights.shape[:2], axis=(0, 1))[::stride, ::stride]
    result: Float64Array = np.einsum("hwcij,ijcf->hwf", windows, weights) + bias
    return result


def rectified(values: Float64Array, slope: Float64Array | float = 0.0) -> Float64Array:
    return np.where(values > 0, values, values * slope)


def max_pooled(values: Float64Array, kernel: int, *, padded: bool) -> Float64Array:
    """Stride 2. padded: TensorFlow's "same", which adds at the end first."""
    if padded:
        sizes = [max((-(-size // 2) - 1) * 2 + kernel - size, 0) for size in values.shape[:2]]
        pads = [(size // 2, size - size // 2) for size in sizes]
        values = np.pad(values, [*pads, (0, 0)], constant_values=-np.inf)
    result: Float64Array = sliding_window_view(values, (kernel, kernel), axis=(0, 1))[::2, ::2].max(axis=(3, 4))
    return result


def mean_pooled(values: Float64Array) -> Float64Array:
    """2 x 2 at a stride of 2; an odd last row or column is left out."""
    result: Float64Array = sliding_window_view(values, (2, 2), axis=(0, 1))[::2, ::2].mean(axis=(3, 4))
    return result


def softmaxed(values: Float64Array) -> Float64Array:
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    result: Float64Array = powers / powers.sum(axis=-1, keepdims=True)
    return result
