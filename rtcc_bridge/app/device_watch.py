"""Whether the device that templates are made on still works, and whether it is the one that was meant.

A batch that fails may have failed for a face's sake, so the network is tried on a grey chip, and each gallery is
searched for nobody. When that fails as well,
the process ends: what a GPU driver has lost comes back in a new process only, and one that stayed would take search
requests and answer none. The new one takes the GPU, or with `matching.device: auto` the CPU, and says so.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final, NoReturn

import structlog

from rtcc_bridge.matching.embed import Embedder
from rtcc_bridge.matching.errors import DeviceError, InferenceError
from rtcc_bridge.matching.session import Device, expects_cuda
from rtcc_bridge.metrics import Metrics

SECONDS_BETWEEN_CHECKS: Final = 5.0
CHECK_SECONDS: Final = 20.0
"""A grey chip takes milliseconds; a driver that hangs answers never."""

_log = structlog.get_logger(__name__)


class DeviceWatch:
    """`run` is a part of a process with the role matcher. Make it on the event loop."""

    def __init__(self, embedder: Embedder, asked: Device, metrics: Metrics) -> None:
        """asked: `matching.device`, where the galleries are searched as well."""
        self._embedder = embedder
        self._checks: list[Callable[[], None]] = [embedder.check]
        self._asked = asked
        self._loop = asyncio.get_running_loop()
        self._failed = asyncio.Event()
        for device in (Device.CPU, Device.CUDA):
            metrics.matcher_device.labels(device).set_function(partial(self._works_on, device))
        metrics.gpu_lost.set_function(lambda: self.gpu_lost)
        if self.gpu_lost:
            _log.error("there is a GPU, and the matcher works on the CPU: see nvidia-smi and the log before this")

    @property
    def gpu_lost(self) -> bool:
        """Whether the CPU does what a GPU should: ONNX Runtime falls back to it by itself, also while it runs."""
        return expects_cuda(self._asked) and self._works_on(Device.CPU)

    def also_check(self, check: Callable[[], None]) -> None:
        """Adds what else works on the device. check: blocks, and raises InferenceError when it does not."""
        self._checks.append(check)

    def batch_failed(self) -> None:
        """To be called, from any thread, when the model failed on a batch."""
        self._loop.call_soon_threadsafe(self._failed.set)

    async def run(self) -> NoReturn:
        """Raises DeviceError when the network does not even work on a grey chip, or a gallery cannot be searched."""
        while True:
            await self._failed.wait()
            self._failed.clear()
            try:
                async with asyncio.timeout(CHECK_SECONDS):
                    for check in tuple(self._checks):
                        await asyncio.to_thread(check)
            except (InferenceError, TimeoutError) as error:
                reason = str(error) or f"no answer within {CHECK_SECONDS:g} s"
                raise DeviceError(
                    f"nothing can be searched any more on the device {self._embedder.device}: {reason}. The process "
                    "ends, so that a new one takes the device again"
                ) from error
            _log.warning("a batch failed, and the device works: the fault lay in one of its faces")
            await asyncio.sleep(SECONDS_BETWEEN_CHECKS)

    def _works_on(self, device: Device) -> bool:
        return self._embedder.device is device
