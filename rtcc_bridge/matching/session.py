"""Opens networks on ONNX Runtime: on the CPU, on CUDA, or on CUDA where there is one."""

import ctypes
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import Any, Final, TypeVar

import numpy as np

from rtcc_bridge.matching.errors import DeviceError, InferenceError, ModelPackError
from rtcc_bridge.matching.runtime import onnxruntime
from rtcc_bridge.matching.types import Float32Array

_Result = TypeVar("_Result")

_CUDA = "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"
_FATAL_ONLY = 4
"""What goes wrong is raised; ONNX Runtime's own lines on standard error would say it a second time."""

_NO_SPINNING = ("session.intra_op.allow_spinning", "0")
"""Threads sleep while they wait for one another. Else each keeps a core busy between two layers, and between two runs,
which others have a use for: docs/decisions/0029."""


_cuda_thread: Final = ThreadPoolExecutor(1, thread_name_prefix="cuda")
"""Starts with its first task. See `run_bound`."""


class Device(StrEnum):
    """Where networks run. AUTO takes CUDA when it works and the CPU when it does not."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Network:
    """One opened network with one float32 input. `run` blocks and may be called from several threads at once.

    A network whose file fixes the size of a batch is run as often as it takes, the last time filled up with zeros.
    """

    def __init__(self, session: Any) -> None:
        inputs = session.get_inputs()
        if len(inputs) != 1:
            raise ModelPackError(f"a network has {len(inputs)} inputs, but takes pictures and nothing else")
        self._session = session
        self._input: str = inputs[0].name
        batch = inputs[0].shape[0] if inputs[0].shape else None
        self._fixed_batch: int | None = batch if isinstance(batch, int) else None
        self._outputs: list[str] = [output.name for output in session.get_outputs()]

    @property
    def device(self) -> Device:
        """Where it really runs: CPU or CUDA."""
        return session_device(self._session)

    @property
    def output_names(self) -> tuple[str, ...]:
        return tuple(self._outputs)

    @property
    def takes_any_batch(self) -> bool:
        """Whether its file leaves the size of a batch open."""
        return self._fixed_batch is None

    def run_resident(self, values: Any) -> dict[str, Float32Array]:
        """As `run`, of an array that is on the network's device already (an `OrtValue`). Any batch has to be taken."""
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(self._input, values)
        for name in self._outputs:
            binding.bind_output(name, "cpu")
        try:
            run_bound(self._session, binding)
        except Exception as error:  # ONNX Runtime raises bare exceptions of many unrelated kinds
            raise InferenceError(f"the network failed on a batch of shape {values.shape()}: {error}") from error
        return dict(zip(self._outputs, binding.copy_outputs_to_cpu(), strict=True))

    def run(self, values: Float32Array) -> dict[str, Float32Array]:
        """All outputs by name for one batch. InferenceError when ONNX Runtime fails, for example out of memory."""
        if self._fixed_batch is None or len(values) == self._fixed_batch:
            return self._run_once(values)
        starts = range(0, max(1, len(values)), self._fixed_batch)
        parts = [self._run_filled(values[start : start + self._fixed_batch]) for start in starts]
        return {name: np.concatenate([part[name] for part in parts]) for name in self._outputs}

    def _run_filled(self, values: Float32Array) -> dict[str, Float32Array]:
        assert self._fixed_batch is not None
        filled = np.zeros((self._fixed_batch, *values.shape[1:]), np.float32)
        filled[: len(values)] = values
        return {name: output[: len(values)] for name, output in self._run_once(filled).items()}

    def _run_once(self, values: Float32Array) -> dict[str, Float32Array]:
        try:
            results = _in_its_thread(self._session, lambda: self._session.run(self._outputs, {self._input: values}))
        except Exception as error:  # ONNX Runtime raises bare exceptions of many unrelated kinds
            raise InferenceError(f"the network failed on a batch of shape {values.shape}: {error}") from error
        return dict(zip(self._outputs, results, strict=True))


def open_network(model: bytes, device: Device, threads: int) -> Network:
    """Open an ONNX model that takes pictures. Blocks. ModelPackError, DeviceError as `open_session`."""
    return Network(open_session(model, device, threads))


def open_session(model: bytes, device: Device, threads: int, *, allow_tf32: bool = False) -> Any:
    """An ONNX Runtime session. Blocks.

    model: the ONNX file's bytes; given as bytes so that it cannot pull other files in. threads: those of one run.
    allow_tf32: whether CUDA may round the factors of float32 products; off, CPU and CUDA agree to float32 rounding.
    DeviceError: CUDA was asked for and cannot be used. ModelPackError: the bytes are not a model that can be run.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    options.add_session_config_entry(*_NO_SPINNING)
    providers = _providers(device, allow_tf32=allow_tf32)
    try:
        session = onnxruntime.InferenceSession(model, options, providers=providers)
    except Exception as error:  # ONNX Runtime raises bare exceptions of many unrelated kinds
        raise ModelPackError(f"a network cannot be opened: {error}; take the pack from its source again") from error
    if device is Device.CUDA and session_device(session) is not Device.CUDA:
        raise DeviceError(
            "CUDA was asked for, but ONNX Runtime cannot use it here: check the driver with nvidia-smi, install the "
            "CUDA libraries with pip install 'rtcc-bridge[cuda]', or set the device to 'cpu' or 'auto'"
        )
    return session


def run_bound(session: Any, binding: Any) -> None:
    """Runs a session on what is bound. Blocks.

    On CUDA one thread makes all runs of the process: ONNX Runtime makes the plans of a shape, and its memory, once for
    each thread that runs a session, in the first run there. On an H100 that takes 0.2 to 0.3 s for a shape of the
    default pack, so a warm-up in another thread would be in vain.
    """
    _in_its_thread(session, lambda: session.run_with_iobinding(binding))


def _in_its_thread(session: Any, call: Callable[[], _Result]) -> _Result:
    return _cuda_thread.submit(call).result() if session_device(session) is Device.CUDA else call()


def expects_cuda(device: Device) -> bool:
    """Whether a network that was asked to run there should run on CUDA: it is asked for, or there is one to take."""
    return device is Device.CUDA or (device is Device.AUTO and _cuda_is_built_in() and _has_driver())


def session_device(session: Any) -> Device:
    """Where a session really runs: CPU or CUDA."""
    return Device.CUDA if _CUDA in session.get_providers() else Device.CPU


def _providers(device: Device, *, allow_tf32: bool) -> list[str | tuple[str, dict[str, str]]]:
    """What to offer to ONNX Runtime, which takes the first that works."""
    if not expects_cuda(device):
        return [_CPU]
    if not _cuda_is_built_in():
        raise DeviceError(
            "CUDA was asked for, but this installation's ONNX Runtime has no CUDA support: install onnxruntime-gpu, "
            "or set the device to 'cpu' or 'auto'"
        )
    # The CUDA libraries may come from pip packages, which the dynamic linker does not search by itself.
    onnxruntime.preload_dlls()
    return [(_CUDA, {"use_tf32": str(int(allow_tf32))}), _CPU]


def _cuda_is_built_in() -> bool:
    return _CUDA in onnxruntime.get_available_providers()


def _has_driver() -> bool:
    """Whether NVIDIA's driver is installed; without it ONNX Runtime would try, fail and say so at length each time."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True
