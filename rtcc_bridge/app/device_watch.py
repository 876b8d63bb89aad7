"""Whether the device that templates are made on still works, and whether it is the one that was meant.

A batch that fails may have failed for a face's sake, so the network is tried on a grey chip, and each gallery is
searched for nobody. When that fails as well,
the process ends: what a GPU driver has lost comes back in a new process only, and one that stayed would take search
requests and answer none. The new one takes the GPU, or with `matching.device: auto` the CPU, and says so.

Until that is known a request that failed is kept (`works`): on a device that fails fast, many requests fail within the
moment that the check takes. Given up, each would wait until the reconciler requests it again; kept, they are delivered
to another matcher, or to the new process, as soon as this one has ended.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, NoReturn

import structlog

from rtcc_bridge.errors import UnavailableError
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

    def __init__(self, embedder: Embedder, asked: Device, metrics: Metrics, *, expects_gpu: bool = False) -> None:
        """asked: `matching.device`, where the galleries are searched as well. expects_gpu: the setting."""
        self._embedder = embedder
        self._expects_gpu = expects_gpu
        self._checks: list[Callable[[], None]] = [embedder.check]
        self._asked = asked
        self._loop = asyncio.get_running_loop()
        self._failed = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []
        self._is_lost = False
        for device in (Device.CPU, Device.CUDA):
            metrics.matcher_device.labels(device).set_function(partial(self._works_on, device))
        metrics.gpu_lost.set_function(lambda: self.gpu_lost)
        if self.gpu_lost:
            _log.error(
                "there should be a GPU, and the matcher works on the CPU: see nvidia-smi and the log before this"
            )

    @property
    def gpu_lost(self) -> bool:
        """Whether the CPU does what a GPU should: ONNX Runtime falls back to it by itself, also while it runs."""
        return (self._expects_gpu or expects_cuda(self._asked)) and self._works_on(Device.CPU)

    def also_check(self, check: Callable[[], None]) -> None:
        """Adds what else works on the device. check: blocks, and raises InferenceError when it does not."""
        self._checks.append(check)

    def batch_failed(self) -> None:
        """To be called, from any thread, when the model failed on a batch."""
        self._loop.call_soon_threadsafe(self._failed.set)

    async def works(self) -> None:
        """Returns when a check that begins after this call has found that the device works.

        Raises UnavailableError when it does not, and the process ends.
        """
        if self._is_lost:
            raise UnavailableError("the device is lost, and the matcher ends")
        verdict = self._loop.create_future()
        self._waiting.append(verdict)
        self._failed.set()
        await verdict

    async def run(self) -> NoReturn:
        """Raises DeviceError when the network does not even work on a grey chip, or a gallery cannot be searched."""
        while True:
            await self._failed.wait()
            self._failed.clear()
            waiting, self._waiting = self._waiting, []
            try:
                async with asyncio.timeout(CHECK_SECONDS):
                    for check in tuple(self._checks):
                        await _in_a_thread_of_its_own(check)
            except (InferenceError, TimeoutError) as error:
                self._is_lost = True
                _settle([*waiting, *self._waiting], UnavailableError("the device is lost, and the matcher ends"))
                reason = str(error) or f"no answer within {CHECK_SECONDS:g} s"
                raise DeviceError(
                    f"nothing can be searched any more on the device {self._embedder.device}: {reason}. The process "
                    "ends, so that a new one takes the device again"
                ) from error
            _settle(waiting, None)
            _log.warning("a batch failed, and the device works: the fault lay in one of its faces")
            await asyncio.sleep(SECONDS_BETWEEN_CHECKS)

    def _works_on(self, device: Device) -> bool:
        return self._embedder.device is device


def _settle(waiting: list[asyncio.Future[None]], error: Exception | None) -> None:
    for verdict in waiting:
        if verdict.done():  # whoever waited was cancelled
            continue
        if error is None:
            verdict.set_result(None)
        else:
            verdict.set_exception(error)


async def _in_a_thread_of_its_own(check: Callable[[], None]) -> None:
    """Raises what the check raises. A driver that hangs keeps this thread, which ends with the process, and none of
    those that others wait for: the loop's own threads open files and stores."""
    loop = asyncio.get_running_loop()
    checked: asyncio.Future[None] = loop.create_future()

    def run() -> None:
        error: Exception | None = None
        try:
            check()
        except Exception as raised:  # noqa: BLE001 - it is raised on the loop
            error = raised
        with suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(_settle, [checked], error)

    threading.Thread(target=run, name="device check", daemon=True).start()
    await checked
