"""The pool under bad pictures, bad uploads, impatient callers and shutdown, with real processes."""

import asyncio
import dataclasses
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from rtcc_bridge.errors import BusyError, ConfigurationError, InvalidInputError, UnavailableError
from rtcc_bridge.matching.types import Box, DetectedFace, Lane
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.probes.worker_messages import FoundFacesReport
from rtcc_bridge.probes.worker_pool import WorkerPool
from rtcc_bridge.probes.worker_process import WorkerLimits
from tests.integration.workers import LIMITS, hostile_command, is_alive, is_in_process_table, upload

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers run on Linux only")

IMPATIENT = dataclasses.replace(LIMITS, timeout_seconds=1.0)
MEGABYTE = b"x" * 1_000_000


def open_pool(limits: WorkerLimits = LIMITS, *options: str) -> WorkerPool:
    return WorkerPool(hostile_command(*options, limits=limits), limits, Metrics())


async def inspect(pool: WorkerPool, *parts: bytes) -> FoundFacesReport:
    return await pool.inspect(upload(*parts))


async def reason_of(pool: WorkerPool, attack: bytes) -> str:
    with pytest.raises(InvalidInputError) as raised:
        await inspect(pool, attack)
    return raised.value.reason


async def assert_works(pool: WorkerPool) -> None:
    assert (await inspect(pool, b"12", b"", b"345")).width == 5


async def no_process_is_left(*process_ids: int) -> None:
    async with asyncio.timeout(10):
        while any(is_in_process_table(process_id) for process_id in process_ids):  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # Linux tells nobody but the parent that a process is gone.


class Gate:
    """An upload that stops half-way until it is told to go on."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def chunks(self) -> AsyncIterator[bytes]:
        yield b"12"
        self.reached.set()
        await self.open.wait()
        yield b"345"


async def test_pictures_that_take_several_steps_share_one_worker() -> None:
    """Whoever asks at the instant in which the worker was given to another caller waits for it, and is not refused."""
    async with open_pool() as pool:

        async def two_steps() -> None:
            await assert_works(pool)
            await assert_works(pool)

        await asyncio.gather(*(two_steps() for _ in range(3)))


@pytest.mark.parametrize(
    ("attack", "reason"),
    [
        (b"crash", "decoder_crashed"),
        (b"abort", "decoder_crashed"),
        (b"exit", "decoder_crashed"),
        (b"allocate", "decode_memory"),
        (b"speak garbage", "decoder_crashed"),
        (b"announce 4 GB", "decoder_crashed"),
        (b"flood", "decoder_crashed"),
        (b"nest deeply", "decoder_crashed"),
    ],
)
async def test_a_worker_that_fails_is_replaced_and_the_next_picture_works(attack: bytes, reason: str) -> None:
    async with open_pool() as pool:
        (first,) = pool.process_ids
        assert await reason_of(pool, attack) == reason
        assert pool.ready
        await assert_works(pool)
        assert pool.process_ids != (first,)
        await no_process_is_left(first)


@pytest.mark.parametrize("attack", [b"hang", b"compute for ever"])
async def test_a_decoder_that_hangs_is_killed_at_the_limit(attack: bytes) -> None:
    async with open_pool(IMPATIENT) as pool:
        (first,) = pool.process_ids
        assert await reason_of(pool, attack) == "decode_timeout"
        await no_process_is_left(first)
        await assert_works(pool)


@pytest.mark.parametrize(
    ("attack", "reason", "words"),
    [
        (b"crash", "decoder_crashed", "the clip made the decoder fail"),
        (b"open a socket", "decoder_crashed", "the clip made the decoder fail"),
        (b"speak garbage", "decoder_crashed", "the clip made the decoder fail"),
        (b"hang", "decode_timeout", "the clip took too long to read"),
    ],
)
async def test_a_clip_that_ends_its_worker_harms_neither_its_neighbour_nor_the_next(
    attack: bytes, reason: str, words: str
) -> None:
    limits = dataclasses.replace(LIMITS, workers=2, max_clip_bytes=1000, clip_timeout_seconds=1.0)
    gate = Gate()
    async with open_pool(limits) as pool, asyncio.TaskGroup() as group:
        neighbour = group.create_task(pool.inspect(gate.chunks()))
        await gate.reached.wait()
        with pytest.raises(InvalidInputError, match=words) as raised:
            await pool.clip_index(upload(attack))
        assert raised.value.reason == reason
        gate.open.set()
        await neighbour
        await assert_works(pool)


async def test_a_picture_of_the_largest_size_passes_and_one_byte_more_does_not() -> None:
    async with open_pool() as pool:
        before = pool.process_ids
        assert (await inspect(pool, *[MEGABYTE] * 25)).width == 25
        with pytest.raises(InvalidInputError, match="larger than 25 MB") as raised:
            await inspect(pool, *[MEGABYTE] * 25, b"x")
        assert raised.value.reason == "too_large"
        await assert_works(pool)
        assert pool.process_ids == before


async def test_an_upload_that_breaks_off_costs_no_worker_and_its_error_is_the_callers() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield MEGABYTE
        raise ConnectionResetError("the client went away")

    async with open_pool() as pool:
        before = pool.process_ids
        with pytest.raises(ConnectionResetError, match="went away"):
            await pool.inspect(broken())
        await assert_works(pool)
        assert pool.process_ids == before


async def test_an_upload_that_stops_half_way_is_given_up_at_its_limit() -> None:
    gate = Gate()
    async with open_pool(dataclasses.replace(LIMITS, upload_timeout_seconds=1.0)) as pool:
        before = pool.process_ids
        with pytest.raises(InvalidInputError) as raised:
            await pool.inspect(gate.chunks())
        assert raised.value.reason == "upload_timeout"
        await assert_works(pool)
        assert pool.process_ids == before


async def test_a_full_queue_says_when_to_come_back() -> None:
    gate = Gate()
    limits = dataclasses.replace(LIMITS, max_waiting=1)
    async with open_pool(limits) as pool, asyncio.TaskGroup() as group:
        slow = group.create_task(pool.inspect(gate.chunks()))
        await gate.reached.wait()
        patient = group.create_task(inspect(pool, b"1234"))
        await asyncio.sleep(0)
        with pytest.raises(BusyError) as raised:
            await inspect(pool, b"12")
        assert raised.value.retry_after_seconds > 0
        gate.open.set()
        assert (await slow).width == 5
        assert (await patient).width == 4


async def test_who_waits_for_an_imminent_threat_gets_the_next_worker_however_many_wait() -> None:
    async with open_pool(dataclasses.replace(LIMITS, max_waiting=2)) as pool:
        gate, served = Gate(), list[str]()

        async def wait(name: str, lane: Lane) -> None:
            await pool.inspect(upload(b"12345"), lane)
            served.append(name)

        async with asyncio.TaskGroup() as callers:
            callers.create_task(pool.inspect(gate.chunks()))
            await gate.reached.wait()
            for name in ("first", "second"):
                callers.create_task(wait(name, Lane.ROUTINE))
            await asyncio.sleep(0)  # they queue up
            with pytest.raises(BusyError):
                await pool.inspect(upload(b"12345"), Lane.ROUTINE)
            callers.create_task(wait("urgent", Lane.IMMINENT))
            await asyncio.sleep(0)  # it queues up
            gate.open.set()
        assert served == ["urgent", "first", "second"]


async def test_who_waits_too_long_is_told_so() -> None:
    gate = Gate()
    async with open_pool(dataclasses.replace(LIMITS, wait_timeout_seconds=0.1)) as pool:
        slow = asyncio.create_task(pool.inspect(gate.chunks()))
        await gate.reached.wait()
        with pytest.raises(BusyError):
            await inspect(pool, b"12")
        gate.open.set()
        assert (await slow).width == 5
        await assert_works(pool)


async def test_a_cancelled_caller_takes_its_worker_along_and_the_next_one_works() -> None:
    async with open_pool() as pool:
        (first,) = pool.process_ids
        caller = asyncio.create_task(inspect(pool, b"hang"))
        await asyncio.sleep(0.2)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        await assert_works(pool)
        await no_process_is_left(first)


async def test_a_caller_cancelled_while_it_waits_costs_nothing() -> None:
    gate = Gate()
    async with open_pool() as pool:
        before = pool.process_ids
        slow = asyncio.create_task(pool.inspect(gate.chunks()))
        await gate.reached.wait()
        waiting = asyncio.create_task(inspect(pool, b"12"))
        await asyncio.sleep(0)
        waiting.cancel()
        gate.open.set()
        assert (await slow).width == 5
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await assert_works(pool)
        assert pool.process_ids == before


async def test_a_caller_cancelled_at_the_moment_of_its_turn_gives_the_worker_back() -> None:
    gate = Gate()
    async with open_pool() as pool:

        async def hand_over_and_cancel() -> None:
            await pool.inspect(gate.chunks())
            assert waiting.cancel()

        handing_over = asyncio.create_task(hand_over_and_cancel())
        await gate.reached.wait()
        waiting = asyncio.create_task(inspect(pool, b"12"))
        await asyncio.sleep(0)
        gate.open.set()
        await handing_over
        with pytest.raises(asyncio.CancelledError):
            await waiting
        async with asyncio.timeout(20):
            await assert_works(pool)


async def test_a_worker_is_replaced_after_its_number_of_jobs() -> None:
    async with open_pool(dataclasses.replace(LIMITS, jobs_per_worker=2)) as pool:
        (first,) = pool.process_ids
        await assert_works(pool)
        assert pool.process_ids == (first,)
        await assert_works(pool)
        assert pool.ready
        await assert_works(pool)
        assert pool.process_ids != (first,)
        await no_process_is_left(first)


async def test_a_worker_that_has_read_a_picture_is_replaced_when_it_rests() -> None:
    """What it has read goes with it (P24). One that has read nothing stays."""
    async with open_pool(dataclasses.replace(LIMITS, rest_seconds=0.05)) as pool:
        (first,) = pool.process_ids
        await assert_works(pool)
        await no_process_is_left(first)
        async with asyncio.timeout(20):
            while not pool.process_ids:  # noqa: ASYNC110 - a worker says by itself that it is there
                await asyncio.sleep(0.01)
        (second,) = pool.process_ids
        await asyncio.sleep(0.2)
        assert pool.process_ids == (second,)
        await assert_works(pool)


async def test_a_worker_that_died_while_idle_is_noticed() -> None:
    async with open_pool() as pool:
        (first,) = pool.process_ids
        (worker,) = pool._slots._idle
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(10):
            while not worker.ended:  # noqa: ASYNC110 - the event loop is told by a thread of its own
                await asyncio.sleep(0.01)
        await assert_works(pool)


_CANNOT_START = """
import pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
if (folder / "first").exists():
    (folder / "second").touch()
    while not (folder / "enough").exists():
        time.sleep(0.01)
(folder / "first").touch()
sys.exit("out of memory")
"""


async def test_while_workers_cannot_start_one_more_try_is_not_ready_and_each_is_counted(tmp_path: Path) -> None:
    metrics = Metrics()
    limits = dataclasses.replace(LIMITS, start_attempts=1, restart_pause_seconds=0.0)
    async with WorkerPool(hostile_command(limits=limits), limits, metrics) as pool:
        working = pool._slots._command
        pool._slots._command = (sys.executable, "-I", "-c", _CANNOT_START, str(tmp_path))
        await reason_of(pool, b"crash")
        async with asyncio.timeout(20):
            while not (tmp_path / "second").exists():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert not pool.ready
        assert "out of memory" in pool.problem
        with pytest.raises(UnavailableError, match="out of memory"):
            await inspect(pool, b"12")
        assert metrics.registry.get_sample_value("rtcc_bridge_worker_restarts_total", {"reason": "start"}) == 1
        pool._slots._command = working
        (tmp_path / "enough").touch()
        async with asyncio.timeout(20):
            while pool.problem:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await assert_works(pool)
        assert metrics.registry.get_sample_value("rtcc_bridge_worker_restarts_total", {"reason": "start"}) == 2


async def test_several_workers_work_at_the_same_time() -> None:
    gates = [Gate(), Gate()]
    async with open_pool(dataclasses.replace(LIMITS, workers=2)) as pool, asyncio.TaskGroup() as group:
        slow = [group.create_task(pool.inspect(gate.chunks())) for gate in gates]
        for gate in gates:
            await gate.reached.wait()
        for gate in gates:
            gate.open.set()
        assert [(await task).width for task in slow] == [5, 5]


async def test_closing_leaves_no_process_whatever_they_do() -> None:
    gate = Gate()
    limits = dataclasses.replace(LIMITS, workers=3)
    async with open_pool(limits) as pool:
        processes = pool.process_ids
        hanging = asyncio.create_task(inspect(pool, b"hang"))
        uploading = asyncio.create_task(pool.inspect(gate.chunks()))
        await gate.reached.wait()
        assert all(is_in_process_table(process) for process in processes)
    assert len(processes) == 3
    assert not any(is_in_process_table(process) for process in processes)
    for task in (hanging, uploading):
        with pytest.raises(UnavailableError, match="shutting down"):
            await task
    assert not pool.ready
    with pytest.raises(UnavailableError):
        await inspect(pool, b"12")


async def test_closing_refuses_who_waits() -> None:
    gate = Gate()
    async with open_pool() as pool:
        uploading = asyncio.create_task(pool.inspect(gate.chunks()))
        await gate.reached.wait()
        waiting = asyncio.create_task(inspect(pool, b"12"))
        await asyncio.sleep(0)
    for task in (uploading, waiting):
        with pytest.raises(UnavailableError):
            await task


async def test_a_command_that_is_no_worker_is_given_up_after_a_few_attempts() -> None:
    limits = dataclasses.replace(LIMITS, start_attempts=2)
    with pytest.raises(UnavailableError, match=r"before it was ready .*exit code 3.*: no pictures today"):
        async with WorkerPool(
            (sys.executable, "-I", "-c", "import sys; print('no pictures today', file=sys.stderr); sys.exit(3)"),
            limits,
            Metrics(),
        ):
            pytest.fail("the pool opened")


async def test_a_command_that_does_not_exist_is_said_plainly() -> None:
    limits = dataclasses.replace(LIMITS, start_attempts=1)
    with pytest.raises(UnavailableError, match="cannot be started"):
        async with WorkerPool(("/nonexistent/python",), limits, Metrics()):
            pytest.fail("the pool opened")


async def test_a_worker_that_says_nothing_is_given_up() -> None:
    limits = dataclasses.replace(LIMITS, start_attempts=1, start_timeout_seconds=0.2)
    with pytest.raises(UnavailableError, match=r"not ready after 0\.2 seconds"):
        async with WorkerPool((sys.executable, "-I", "-c", "import time; time.sleep(60)"), limits, Metrics()):
            pytest.fail("the pool opened")


async def test_a_refusal_to_start_is_a_matter_for_the_operator() -> None:
    with pytest.raises(ConfigurationError, match="libseccomp2"):
        async with open_pool(LIMITS, "--without-seccomp", "--without-namespaces"):
            pytest.fail("the pool opened")


async def test_crop_and_preview_come_back_as_sent() -> None:
    landmarks = np.arange(10, dtype=np.float32).reshape(5, 2)
    face = DetectedFace(Box(0.0, 0.0, 40.0, 30.0), landmarks, 0.9)
    async with open_pool() as pool:
        cropped = await pool.crop(b"1234567", face, [face])
        assert cropped.crop.pixels.shape == (30, 40, 3)
        assert np.all(cropped.crop.pixels == 7)
        assert np.array_equal(cropped.crop.landmarks, landmarks)
        preview = await pool.preview(b"picture", 640)
        assert preview.jpeg == b"\xff\xd8\xffpicture"
        assert preview.width == 640


PARENT = """
import asyncio
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.probes.worker_pool import WorkerPool
from tests.integration.workers import LIMITS, hostile_command, upload

async def main():
    async with WorkerPool(hostile_command(), LIMITS, Metrics()) as pool:
        (process_id,) = pool.process_ids
        job = asyncio.create_task(pool.inspect(upload(b"compute for ever")))
        await asyncio.sleep(0.1)
        print("worker", process_id, flush=True)
        await job

asyncio.run(main())
"""


async def test_a_worker_does_not_outlive_a_parent_that_is_killed() -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert parent.stdout is not None
    line = b""
    async with asyncio.timeout(30):
        while not line.startswith(b"worker "):
            line = await parent.stdout.readline()
            assert line, "the parent ended"
    worker = int(line.split()[1])
    assert is_alive(worker)
    parent.kill()
    await parent.communicate()
    try:
        async with asyncio.timeout(10):
            while is_alive(worker):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    finally:
        if is_alive(worker):
            os.kill(worker, signal.SIGKILL)
