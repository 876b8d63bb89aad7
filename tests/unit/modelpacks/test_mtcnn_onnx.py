"""The three ONNX graphs compute what the wheel's channels-last networks compute."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from rtcc_bridge.matching.errors import ModelPackError
from rtcc_bridge.matching.types import Float32Array, Float64Array
from rtcc_bridge.modelpacks.mtcnn_onnx import write_output_network, write_proposal_network, write_refine_network
from tests.unit.modelpacks.reference_layers import convolved, max_pooled, rectified, softmaxed

_PROPOSAL = [(3, 3, 3, 10), (10,), (1, 1, 10), (3, 3, 10, 16), (16,), (1, 1, 16), (3, 3, 16, 32), (32,), (1, 1, 32),
             (1, 1, 32, 4), (4,), (1, 1, 32, 2), (2,)]  # fmt: skip
_REFINE = [(3, 3, 3, 28), (28,), (1, 1, 28), (3, 3, 28, 48), (48,), (1, 1, 48), (2, 2, 48, 64), (64,), (1, 1, 64),
           (576, 128), (128,), (128,), (128, 4), (4,), (128, 2), (2,)]  # fmt: skip
_OUTPUT = [(3, 3, 3, 32), (32,), (1, 1, 32), (3, 3, 32, 64), (64,), (1, 1, 64), (3, 3, 64, 64), (64,), (1, 1, 64),
           (2, 2, 64, 128), (128,), (1, 1, 128), (1152, 256), (256,), (256,), (256, 4), (4,), (256, 10), (10,),
           (256, 2), (2,)]  # fmt: skip


def _weights(shapes: list[tuple[int, ...]]) -> list[Float32Array]:
    random = np.random.default_rng(4)
    return [(random.normal(size=shape) / np.sqrt(np.prod(shape[:-1]) or 1)).astype(np.float32) for shape in shapes]


def _run(path: Path, windows: Float32Array) -> dict[str, Float32Array]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"windows": windows}), strict=True))


def _windows(height: int, width: int) -> Float32Array:
    return np.random.default_rng(5).normal(size=(1, 3, height, width)).astype(np.float32)


def _feature_layers(
    values: Float64Array, weights: list[Float64Array], pools: list[tuple[int, bool] | None]
) -> Float64Array:
    for kernel_and_padding in pools:
        kernel, bias, slope = (weights.pop(0) for _ in range(3))
        values = rectified(convolved(values, kernel, bias), slope)
        if kernel_and_padding is not None:
            values = max_pooled(values, kernel_and_padding[0], padded=kernel_and_padding[1])
    return values


def _dense_layers(values: Float64Array, weights: list[Float64Array]) -> list[Float64Array]:
    """The wheel puts columns before rows, flattens, and applies one hidden layer and the heads."""
    flat = values.transpose(1, 0, 2).reshape(-1)
    kernel, bias, slope = (weights.pop(0) for _ in range(3))
    hidden = rectified(flat @ kernel + bias, slope)
    return [hidden @ weights[index] + weights[index + 1] for index in range(0, len(weights), 2)]


@pytest.mark.parametrize(("height", "width"), [(12, 12), (25, 40)])
def test_the_proposal_network(tmp_path: Path, height: int, width: int) -> None:
    weights = _weights(_PROPOSAL)
    write_proposal_network(weights, tmp_path / "net.onnx")
    windows = _windows(height, width)
    found = _run(tmp_path / "net.onnx", windows)

    wide = [values.astype(np.float64) for values in weights]
    features = _feature_layers(windows[0].transpose(1, 2, 0).astype(np.float64), wide, [(2, True), None, None])
    offsets = convolved(features, wide[0], wide[1])
    faces = softmaxed(convolved(features, wide[2], wide[3]))[..., 1:]
    np.testing.assert_allclose(found["offsets"][0].transpose(1, 2, 0), offsets, atol=1e-4)
    np.testing.assert_allclose(found["probabilities"][0].transpose(1, 2, 0), faces, atol=1e-4)


def test_the_refine_network(tmp_path: Path) -> None:
    weights = _weights(_REFINE)
    write_refine_network(weights, tmp_path / "net.onnx")
    windows = _windows(24, 24)
    found = _run(tmp_path / "net.onnx", windows)

    wide = [values.astype(np.float64) for values in weights]
    features = _feature_layers(windows[0].transpose(1, 2, 0).astype(np.float64), wide, [(3, True), (3, False), None])
    offsets, classes = _dense_layers(features, wide)
    np.testing.assert_allclose(found["offsets"][0], offsets, atol=1e-4)
    np.testing.assert_allclose(found["probabilities"][0], softmaxed(classes), atol=1e-4)


def test_the_output_network(tmp_path: Path) -> None:
    weights = _weights(_OUTPUT)
    write_output_network(weights, tmp_path / "net.onnx")
    windows = _windows(48, 48)
    found = _run(tmp_path / "net.onnx", windows)

    wide = [values.astype(np.float64) for values in weights]
    pools = [(3, True), (3, False), (2, True), None]
    features = _feature_layers(windows[0].transpose(1, 2, 0).astype(np.float64), wide, pools)
    offsets, landmarks, classes = _dense_layers(features, wide)
    np.testing.assert_allclose(found["offsets"][0], offsets, atol=1e-4)
    np.testing.assert_allclose(found["landmarks"][0], landmarks, atol=1e-4)
    np.testing.assert_allclose(found["probabilities"][0], softmaxed(classes), atol=1e-4)


def test_too_few_or_too_many_arrays_are_noticed(tmp_path: Path) -> None:
    weights = _weights(_PROPOSAL)
    with pytest.raises(ModelPackError, match="too few"):
        write_proposal_network(weights[:-1], tmp_path / "net.onnx")
    with pytest.raises(ModelPackError, match="1 arrays too many"):
        write_proposal_network([*weights, weights[0]], tmp_path / "net.onnx")
