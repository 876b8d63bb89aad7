"""The ONNX graph computes what the layers of the dlib file say, folding and zero-padded additions included."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from rtcc_bridge.matching.errors import ModelPackError
from rtcc_bridge.matching.types import Float32Array, Float64Array
from rtcc_bridge.modelpacks.dlib_dat import Affine, Relu, parse_network
from rtcc_bridge.modelpacks.dlib_onnx import fold_affine, write_recognizer
from tests.unit.modelpacks import dat_writer as dat
from tests.unit.modelpacks.reference_layers import convolved, mean_pooled, rectified

_SIZE = 19


def _parameters() -> list[Float32Array]:
    random = np.random.default_rng(2)
    shapes = [(4, 3, 3, 3), (4,), (4,), (4,), (6, 4, 3, 3), (6,), (6, 5)]
    return [random.normal(size=shape).astype(np.float32) for shape in shapes]


def _expected(chip: Float64Array) -> Float64Array:
    """convolution, affine, relu, then a residual block that halves the plane and grows from 4 to 6 channels."""
    first, first_bias, gain, offset, second, second_bias, head = (values.astype(np.float64) for values in _parameters())
    values = rectified(convolved(chip, first.transpose(2, 3, 1, 0), first_bias) * gain + offset)
    block = convolved(values, second.transpose(2, 3, 1, 0), second_bias, stride=2)
    shortcut = mean_pooled(values)
    rows, columns = max(block.shape[0], shortcut.shape[0]), max(block.shape[1], shortcut.shape[1])
    added = np.zeros((rows, columns, 6))
    added[: block.shape[0], : block.shape[1]] += block
    added[: shortcut.shape[0], : shortcut.shape[1], :4] += shortcut
    result: Float64Array = rectified(added).mean(axis=(0, 1)) @ head
    return result


def test_the_graph_computes_what_the_layers_say(tmp_path: Path) -> None:
    first, first_bias, gain, offset, second, second_bias, head = _parameters()
    layers = [
        dat.convolution(first, first_bias, stride=1, padding=0),
        dat.affine(gain, offset),
        dat.RELU,
        dat.TAG_OR_SKIP,
        dat.convolution(second, second_bias, stride=2, padding=0),
        dat.TAG_OR_SKIP,
        dat.TAG_OR_SKIP,
        dat.pool("avg", 2, 2),
        dat.ADD,
        dat.RELU,
        dat.pool("avg", 0, 1),
        dat.fully_connected(head),
    ]
    network = parse_network(dat.network(layers, _SIZE, (1, 2, 3)))
    assert write_recognizer(network, tmp_path / "net.onnx") == 5

    chips = np.random.default_rng(3).normal(size=(2, 3, _SIZE, _SIZE)).astype(np.float32)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    (descriptors,) = session.run(None, {"chips": chips})
    expected = [_expected(chip.transpose(1, 2, 0).astype(np.float64)) for chip in chips]
    np.testing.assert_allclose(descriptors, expected, rtol=1e-4, atol=1e-4)


def test_an_affine_layer_without_a_convolution_is_refused() -> None:
    one = np.ones(1, np.float32)
    with pytest.raises(ModelPackError, match="does not follow a convolution"):
        fold_affine((Relu(), Affine(one, one)))
