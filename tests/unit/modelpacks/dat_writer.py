"""Writes dlib's serialisation format, the other way round from `rtcc_bridge.modelpacks.dlib_dat`."""

import math
import struct
from collections.abc import Sequence

import numpy as np

from rtcc_bridge.matching.types import Float32Array


def integer(value: int) -> bytes:
    magnitude = abs(value)
    count = max(1, (magnitude.bit_length() + 7) // 8)
    return bytes([count | (0x80 if value < 0 else 0)]) + magnitude.to_bytes(count, "little")


def real(value: float) -> bytes:
    mantissa, exponent = math.frexp(value)
    return integer(int(mantissa * 2**53)) + integer(exponent - 53)


def text(value: str) -> bytes:
    return integer(len(value)) + value.encode()


def numbers(*values: int) -> bytes:
    return b"".join(map(integer, values))


def shape(dimensions: Sequence[int]) -> bytes:
    return numbers(*(*dimensions, 1, 1, 1, 1)[:4])


def tensor(values: Float32Array) -> bytes:
    flat = values.reshape(-1)
    return integer(2) + shape([flat.size]) + struct.pack(f"<{flat.size}f", *flat)


def view(dimensions: Sequence[int]) -> bytes:
    return integer(1) + shape(dimensions)


MULTIPLIERS = b"".join(map(real, (1.0, 1.0, 1.0, 0.0)))


def convolution(weights: Float32Array, bias: Float32Array, stride: int, padding: int) -> bytes:
    filters, _, rows, columns = weights.shape
    parameters = tensor(np.concatenate([weights.reshape(-1), bias]))
    settings = numbers(filters, rows, columns, stride, stride, padding, padding)
    return text("con_4") + parameters + settings + view(weights.shape) + view([1, filters]) + MULTIPLIERS


def affine(gain: Float32Array, offset: Float32Array) -> bytes:
    views = view([1, gain.size]) + view([1, offset.size])
    return text("affine_") + tensor(np.concatenate([gain, offset])) + views + integer(0)


def pool(kind: str, kernel: int, stride: int) -> bytes:
    return text(f"{kind}_pool_2") + numbers(kernel, kernel, stride, stride, 0, 0)


def fully_connected(weights: Float32Array) -> bytes:
    inputs, outputs = weights.shape
    sizes = numbers(outputs, inputs)
    return text("fc_2") + sizes + tensor(weights) + view(weights.shape) + view([0]) + integer(1) + MULTIPLIERS


RELU = text("relu_")
ADD = text("add_prev_")
TAG_OR_SKIP = b""

_FLAGS = b"000"
_EMPTY_TENSOR = integer(2) + numbers(0, 0, 0, 0)


def network(layers: Sequence[bytes], input_size: int, means: Sequence[float]) -> bytes:
    """A whole file; `layers` in the order of computation."""
    versions = [3, *(1 if layer == TAG_OR_SKIP else 2 for layer in layers[1:])]
    head = integer(1) + text("loss_metric_2") + real(0.04) + real(0.6) + numbers(*reversed(versions))
    image = text("input_rgb_image_sized") + b"".join(map(real, means)) + numbers(input_size, input_size)
    first = layers[0] + _FLAGS + _EMPTY_TENSOR * 3 + integer(1)
    rest = (layer + _FLAGS + _EMPTY_TENSOR * 3 if layer else b"" for layer in layers[1:])
    return head + image + first + b"".join(rest)
