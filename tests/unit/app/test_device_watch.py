"""A face that breaks a batch costs that batch; a device that is lost ends the process, and the metrics say so."""

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rtcc_bridge.app import device_watch
from rtcc_bridge.app.device_watch import DeviceWatch
from rtcc_bridge.errors import UnavailableError
from rtcc_bridge.matching.embed import Embedder
from rtcc_bridge.matching.errors import DeviceError, InferenceError
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.matching.session import Device, Network, open_session
from rtcc_bridge.metrics import Metrics

WAIT_SECONDS = 20.0


class Session:
    """A real session of ONNX Runtime in front of a device that can be lost, as one that CUDA's errors stick to."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.providers: Sequence[str] = ("CUDAExecutionProvider", "CPUExecutionProvider")
        self.runs = 0
        self.is_lost = False

    def get_inputs(self) -> Any:
        return self._session.get_inputs()

    def get_outputs(self) -> Any:
        return self._session.get_outputs()

    def get_providers(self) -> Sequence[str]:
        return self.providers

    def run(self, outputs: Any, values: Any) -> Any:
        self.runs += 1
        if self.is_lost:
            raise RuntimeError("CUDA failure 719: unspecified launch failure")
        return self._session.run(outputs, values)


@pytest.fixture(scope="module")
def network(default_pack: ModelPack) -> Any:
    return open_session(default_pack.read(default_pack.recognizer.file), Device.CPU, 1)


@pytest.fixture
def session(network: Any) -> Session:
    return Session(network)


@pytest.fixture
def embedder(session: Session, default_pack: ModelPack) -> Embedder:
    return Embedder(Network(session), default_pack.recognizer)


def told(metrics: Metrics) -> dict[str, float | None]:
    value = metrics.registry.get_sample_value
    found = {device: value("rtcc_bridge_matcher_device", {"device": device}) for device in ("cpu", "cuda")}
    return found | {"lost": value("rtcc_bridge_gpu_lost")}


async def test_a_device_that_is_lost_ends_the_process(session: Session, embedder: Embedder) -> None:
    watch = DeviceWatch(embedder, Device.AUTO, Metrics())
    running = asyncio.create_task(watch.run())
    session.is_lost = True
    await asyncio.to_thread(watch.batch_failed)
    async with asyncio.timeout(WAIT_SECONDS):
        with pytest.raises(DeviceError, match=r"any more on the device cuda.*CUDA failure 719.*a new one takes"):
            await running


async def test_who_waits_for_the_verdict_on_a_lost_device_is_told_and_so_is_who_comes_later(
    session: Session, embedder: Embedder
) -> None:
    watch = DeviceWatch(embedder, Device.AUTO, Metrics())
    session.is_lost = True
    waiting = [asyncio.create_task(watch.works()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    async with asyncio.timeout(WAIT_SECONDS):
        with pytest.raises(DeviceError):
            await watch.run()
        for one in (*waiting[1:], watch.works()):
            with pytest.raises(UnavailableError, match="the matcher ends"):
                await one


async def test_the_verdict_on_a_device_that_works_is_of_a_check_that_came_after_the_failure(
    embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_watch, "SECONDS_BETWEEN_CHECKS", 0)
    watch, begun, may_end = DeviceWatch(embedder, Device.AUTO, Metrics()), threading.Event(), threading.Semaphore(0)

    def waits() -> None:
        begun.set()
        may_end.acquire(timeout=WAIT_SECONDS)

    watch.also_check(waits)
    running = asyncio.create_task(watch.run())
    async with asyncio.timeout(WAIT_SECONDS):
        first = asyncio.create_task(watch.works())
        await asyncio.to_thread(begun.wait, WAIT_SECONDS)
        second = asyncio.create_task(watch.works())
        await asyncio.sleep(0)
        may_end.release()
        await first
        assert not second.done()
        may_end.release()
        await second
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_driver_that_hangs_keeps_none_of_the_threads_that_others_need(
    embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which are few: the loop's own, which here has one."""
    monkeypatch.setattr(device_watch, "CHECK_SECONDS", 0.2)
    pool = ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(pool)
    watch, ends = DeviceWatch(embedder, Device.AUTO, Metrics()), threading.Event()
    watch.also_check(lambda: assert_ended(ends))
    watch.batch_failed()
    async with asyncio.timeout(WAIT_SECONDS):
        with pytest.raises(DeviceError, match="no answer within"):
            await watch.run()
        assert await asyncio.to_thread(lambda: "free") == "free"
    (hanging,) = [thread for thread in threading.enumerate() if thread.name == "device check"]
    assert hanging.daemon, "the process may end meanwhile"
    ends.set()
    await asyncio.to_thread(hanging.join, WAIT_SECONDS)


def assert_ended(ends: threading.Event) -> None:
    assert ends.wait(WAIT_SECONDS)


async def test_a_gallery_that_cannot_be_searched_ends_the_process(embedder: Embedder) -> None:
    def fails() -> None:
        raise InferenceError("the search failed on the device cuda: out of memory")

    watch = DeviceWatch(embedder, Device.AUTO, Metrics())
    watch.also_check(fails)
    running = asyncio.create_task(watch.run())
    watch.batch_failed()
    async with asyncio.timeout(WAIT_SECONDS):
        with pytest.raises(DeviceError, match="out of memory"):
            await running


async def test_a_face_that_breaks_a_batch_ends_nothing(
    session: Session, embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_watch, "SECONDS_BETWEEN_CHECKS", 0)
    watch = DeviceWatch(embedder, Device.AUTO, Metrics())
    running = asyncio.create_task(watch.run())
    for checks in (1, 2):
        await asyncio.to_thread(watch.batch_failed)
        async with asyncio.timeout(WAIT_SECONDS):
            while session.runs < checks:  # noqa: ASYNC110 - the session runs in a thread
                await asyncio.sleep(0.01)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_device_that_does_not_answer_counts_as_lost(
    embedder: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_watch, "CHECK_SECONDS", 0.0)
    watch = DeviceWatch(embedder, Device.AUTO, Metrics())
    watch.batch_failed()
    async with asyncio.timeout(WAIT_SECONDS):
        with pytest.raises(DeviceError, match="no answer within 0 s"):
            await watch.run()


@pytest.mark.parametrize(
    ("asked", "there_is_one", "expected", "lost"),
    [
        ("auto", True, False, 1), ("auto", False, False, 0), ("cpu", True, False, 0), ("cuda", False, False, 1),
        ("auto", False, True, 1),
    ],
)  # fmt: skip
async def test_a_fall_back_to_the_cpu_is_told_where_there_is_or_should_be_a_gpu(
    asked: str,
    there_is_one: bool,
    expected: bool,
    lost: int,
    session: Session,
    embedder: Embedder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rtcc_bridge.matching.session._cuda_is_built_in", lambda: there_is_one)
    monkeypatch.setattr("rtcc_bridge.matching.session._has_driver", lambda: there_is_one)
    metrics = Metrics()
    DeviceWatch(embedder, Device(asked), metrics, expects_gpu=expected)
    assert told(metrics) == {"cuda": 1, "cpu": 0, "lost": 0}
    session.providers = ("CPUExecutionProvider",)  # as ONNX Runtime does by itself while it runs
    assert told(metrics) == {"cuda": 0, "cpu": 1, "lost": lost}


def test_the_check_is_a_run_of_the_network(session: Session, embedder: Embedder) -> None:
    embedder.check()
    assert session.runs == 1
