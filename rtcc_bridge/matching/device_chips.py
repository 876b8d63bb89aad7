"""Chips made into a network's input on the accelerator that the network runs on."""

from importlib.resources import files
from typing import Any

import numpy as np

from rtcc_bridge.matching.modelpack import RecognizerSpec
from rtcc_bridge.matching.runtime import onnxruntime
from rtcc_bridge.matching.session import Device, open_session, run_bound, session_device
from rtcc_bridge.matching.types import RgbImage


class DeviceChips:
    """Normalises, mirrors and arranges chips where the network runs: only their bytes travel.

    On an H100 the way of float32 numbers to the card took longer than the default pack's network itself, and making
    them on the host longer than both.
    """

    def __init__(self, spec: RecognizerSpec, device: Device) -> None:
        """DeviceError: CUDA was asked for and cannot be used. Blocks."""
        name = f"chips_{spec.layout.lower()}{'_mirrored' if spec.mirrored_average else ''}.onnx"
        graph = files("rtcc_bridge.matching.graphs").joinpath(name).read_bytes()
        self._session: Any = open_session(graph, device, 1)
        self._device = session_device(self._session).value
        order = [0, 1, 2] if spec.colour_order == "RGB" else [2, 1, 0]
        self._constants = {
            "order": self._put(np.array(order, np.int64)),
            "mean": self._put(np.array(spec.mean, np.float32)),
            "scale": self._put(np.array(spec.scale, np.float32)),
        }

    def _put(self, values: Any) -> Any:
        return onnxruntime.OrtValue.ortvalue_from_numpy(values, self._device, 0)

    def prepared(self, chips: RgbImage) -> Any:
        """The network's input float32 on the device, of chips uint8 (N, size, size, 3).

        N images in the spec's layout; where its spec averages with the mirror image, N mirrored ones after them.
        """
        binding = self._session.io_binding()
        binding.bind_cpu_input("chips", np.ascontiguousarray(chips))
        for name, value in self._constants.items():
            binding.bind_ortvalue_input(name, value)
        binding.bind_output("values", self._device)
        run_bound(self._session, binding)
        (values,) = binding.get_outputs()
        return values
