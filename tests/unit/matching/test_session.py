"""Networks are opened where they were asked to run, or refused with what to do."""

from pathlib import Path

import numpy as np
import pytest

from rtcc_bridge.matching.errors import DeviceError, InferenceError, ModelPackError
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.session import Device, open_network, open_session
from rtcc_bridge.modelpacks.onnx_graph import GraphWriter


def _refine_network(pack: ModelPack) -> bytes:
    return pack.read(pack.detector.files["refine"])


def test_a_network_runs_and_names_its_outputs(default_pack: ModelPack) -> None:
    network = open_network(_refine_network(default_pack), Device.CPU, threads=1)
    found = network.run(np.zeros((3, 3, 24, 24), np.float32))
    assert network.device is Device.CPU
    assert {name: values.shape for name, values in found.items()} == {"offsets": (3, 4), "probabilities": (3, 2)}


def test_auto_runs_somewhere(default_pack: ModelPack) -> None:
    network = open_network(_refine_network(default_pack), Device.AUTO, threads=1)
    assert network.device in {Device.CPU, Device.CUDA}
    network.run(np.zeros((1, 3, 24, 24), np.float32))


def test_cuda_is_there_or_the_error_says_what_to_do(default_pack: ModelPack) -> None:
    try:
        network = open_network(_refine_network(default_pack), Device.CUDA, threads=1)
    except DeviceError as error:
        assert "set the device to 'cpu' or 'auto'" in str(error)  # noqa: PT017 (it depends on the machine)
    else:
        assert network.device is Device.CUDA


def test_threads_that_wait_leave_their_core_to_others(default_pack: ModelPack) -> None:
    options = open_session(_refine_network(default_pack), Device.CPU, threads=2).get_session_options()
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_a_batch_that_does_not_fit_is_an_inference_error(default_pack: ModelPack) -> None:
    network = open_network(_refine_network(default_pack), Device.CPU, threads=1)
    with pytest.raises(InferenceError, match=r"batch of shape \(1, 3, 25, 25\)"):
        network.run(np.zeros((1, 3, 25, 25), np.float32))


@pytest.mark.parametrize("rows", [0, 1, 3, 4, 7, 8])
def test_a_network_with_a_fixed_batch_takes_any_number(tmp_path: Path, rows: int) -> None:
    """Many a recogniser's file says 1; here it is 4, so that batches have to be divided and filled up."""
    graph = GraphWriter("sums")
    graph.add("ReduceSum", ["x", graph.constant(np.array([1, 2, 3], np.int64))], "sum", keepdims=0)
    graph.write(tmp_path / "sums.onnx", {"x": (4, 3, 2, 2)}, {"sum": (4,)})
    network = open_network((tmp_path / "sums.onnx").read_bytes(), Device.CPU, threads=1)
    values = np.random.default_rng(1).random((rows, 3, 2, 2)).astype(np.float32)
    assert network.run(values)["sum"] == pytest.approx(values.sum(axis=(1, 2, 3)), rel=1e-6)


@pytest.mark.parametrize("model", [b"", b"not a model"])
def test_bytes_that_are_no_model_are_refused(model: bytes) -> None:
    with pytest.raises(ModelPackError, match="cannot be opened"):
        open_network(model, Device.CPU, threads=1)
