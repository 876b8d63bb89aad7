"""A picture worker that is forked from the warm process is locked up as a real one is, reads the same, and ends as it
does: the tests that have such workers say as much as with real ones."""

import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from rtcc_bridge.demo.pictures import encode_png, portrait
from rtcc_bridge.errors import ConfigurationError
from rtcc_bridge.matching.modelpack import ModelPack
from rtcc_bridge.probes.worker_messages import FoundFacesReport, InspectRequest
from rtcc_bridge.probes.worker_process import WorkerLimits, WorkerLostError, WorkerProcess, worker_command
from tests.integration.pipeline import until
from tests.integration.workers import is_alive, status_of, upload
from tests.memory_scan import family
from tests.warm_workers.start import nursery, warm

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers run on Linux only")

LIMITS = WorkerLimits(memory_bytes=2_000_000_000, timeout_seconds=120.0, max_clip_bytes=1_000_000)
LOCKS = ("NoNewPrivs", "Seccomp", "CapEff", "CapPrm", "CapInh", "Uid", "Gid", "Threads")


@dataclass(frozen=True)
class Running:
    """process_id: of the worker itself, which the asking side knows by what stands in its place."""

    asked: WorkerProcess
    process_id: int


@asynccontextmanager
async def running(command: Sequence[str]) -> AsyncIterator[Running]:
    nursery()
    before = set(family(os.getpid()))
    worker = await WorkerProcess.start(command, LIMITS)
    try:
        (process_id,) = set(family(os.getpid())) - before - {worker.pid} or {worker.pid}
        yield Running(worker, process_id)
    finally:
        await worker.stop(1.0)


def locks(process_id: int) -> tuple[dict[str, str], list[list[str]], bool]:
    """What Linux says that the process may do, what it reaches, and whether it has this process's network."""
    status, process = status_of(process_id), Path("/proc", str(process_id))
    reached = [sorted(entry.name for entry in (process / name).iterdir()) for name in ("root", "fd")]
    has_network = (process / "ns/net").readlink() == Path("/proc/self/ns/net").readlink()
    return {name: status[name] for name in LOCKS}, reached, has_network


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can look into a process that hides its memory")
async def test_it_is_locked_up_as_a_real_one_is_and_reads_the_same(default_pack: ModelPack) -> None:
    command, picture = worker_command(default_pack.folder, None, LIMITS), encode_png(portrait())
    seen = []
    for one in (command, warm(command)):
        async with running(one) as worker:
            told = await worker.asked.ask(InspectRequest(()), upload(picture))
            assert isinstance(told, FoundFacesReport)
            faces = [(found.face.box, found.quality) for found in told.faces]
            seen.append((worker.asked.report, faces, locks(worker.process_id)))
    real, forked = seen
    assert forked == real
    assert real[0].seccomp


async def test_killed_it_is_gone(default_pack: ModelPack) -> None:
    async with running(warm(worker_command(default_pack.folder, None, LIMITS))) as worker:
        assert worker.process_id != worker.asked.pid
        worker.asked.kill()
        await until(lambda: not is_alive(worker.process_id))


async def test_who_is_gone_before_it_has_asked_takes_nobody_along(default_pack: ModelPack) -> None:
    """A worker that is killed while it starts does that."""
    for _ in range(3):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as gone:
            gone.connect(str(nursery()))
    async with running(warm(worker_command(default_pack.folder, None, LIMITS))) as worker:
        assert is_alive(worker.process_id)


async def test_its_end_is_known_by_its_signal(default_pack: ModelPack) -> None:
    async with running(warm(worker_command(default_pack.folder, None, LIMITS))) as worker:
        os.kill(worker.process_id, signal.SIGKILL)
        with pytest.raises(WorkerLostError, match="signal SIGKILL") as raised:
            await worker.asked.ask(InspectRequest(()), upload(encode_png(portrait())))
        assert raised.value.reason == "crashed"


async def test_one_that_refuses_to_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"refuses to start.*pack\.json"):
        await WorkerProcess.start(warm(worker_command(tmp_path, None, LIMITS)), LIMITS)
