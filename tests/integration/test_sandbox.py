"""What a picture that has taken its worker over can still do: nothing. Every attack is carried out for real."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from rtcc_bridge.errors import ConfigurationError, InvalidInputError
from rtcc_bridge.metrics import Metrics
from rtcc_bridge.probes.worker_messages import InspectRequest
from rtcc_bridge.probes.worker_pool import WorkerPool
from rtcc_bridge.probes.worker_process import WorkerLimits, WorkerProcess
from tests.integration.workers import LIMITS, as_ordinary_user, hostile_command, status_of, upload

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers run on Linux only")

BOTH, SECCOMP_ONLY, NAMESPACES_ONLY = (), ("--without-namespaces",), ("--without-seccomp",)


async def outcome(command: tuple[str, ...], attack: str) -> str:
    """How an attack ends: "refused", "succeeded", or the reason for which the worker was lost."""
    async with WorkerPool(command, LIMITS, Metrics()) as pool:
        with pytest.raises(InvalidInputError) as raised:
            await pool.inspect(upload(attack.encode()))
        assert (await pool.inspect(upload(b"12345"))).width == 5
    return raised.value.reason


async def start(*options: str) -> WorkerProcess:
    return await WorkerProcess.start(hostile_command(*options), LIMITS)


def namespaces_allowed() -> bool:
    if os.geteuid() == 0:
        return True
    switch = Path("/proc/sys/user/max_user_namespaces")
    return switch.exists() and int(switch.read_text()) > 0


def network_of(process: str) -> int:
    return Path(f"/proc/{process}/ns/net").stat().st_ino


def names_in(folder: str) -> list[str]:
    return sorted(entry.name for entry in Path(folder).iterdir())


def environment_of(process_id: int) -> bytes:
    return Path(f"/proc/{process_id}/environ").read_bytes()


needs_namespaces = pytest.mark.skipif(not namespaces_allowed(), reason="this machine allows no namespaces")

FILES = ("read a file", "write a file", "list the root")
PROCESSES = ("fork", "start a program", "kill the parent", "trace the parent", "raise the limits")
SOCKETS = ("open a socket", "open a local socket")


@pytest.mark.parametrize("options", [BOTH, SECCOMP_ONLY], ids=["both walls", "seccomp only"])
@pytest.mark.parametrize("attack", [*FILES, "make code", "raise the limits", "print"])
async def test_what_a_decoder_might_try_is_refused(options: tuple[str, ...], attack: str) -> None:
    assert await outcome(hostile_command(*options), attack) == "refused"


@pytest.mark.parametrize("options", [BOTH, SECCOMP_ONLY], ids=["both walls", "seccomp only"])
@pytest.mark.parametrize("attack", [*SOCKETS, "fork", "start a program", "start a thread"])
async def test_what_no_decoder_does_ends_the_worker(options: tuple[str, ...], attack: str) -> None:
    assert await outcome(hostile_command(*options), attack) == "decoder_crashed"


async def test_neither_the_parent_nor_another_process_can_be_reached() -> None:
    assert await outcome(hostile_command(*BOTH), "kill the parent") in {"refused", "decoder_crashed"}
    assert await outcome(hostile_command(*BOTH), "trace the parent") in {"refused", "decoder_crashed"}


@needs_namespaces
@pytest.mark.parametrize("attack", [*FILES, *SOCKETS, "fork", "start a program", "raise the limits"])
async def test_namespaces_and_limits_hold_without_a_filter(attack: str) -> None:
    assert await outcome(hostile_command(*NAMESPACES_ONLY), attack) == "refused"
    assert "rtcc-bridge-attack" not in names_in("/tmp")


async def test_a_forbidden_call_is_counted_apart() -> None:
    metrics = Metrics()
    async with WorkerPool(hostile_command(), LIMITS, metrics) as pool:
        with pytest.raises(InvalidInputError):
            await pool.inspect(upload(b"open a socket"))
    assert metrics.registry.get_sample_value("rtcc_bridge_worker_restarts_total", {"reason": "forbidden"}) == 1


async def test_a_worker_says_what_is_in_force() -> None:
    worker = await start()
    try:
        assert worker.report.seccomp
        status = status_of(worker.pid)
    finally:
        await worker.stop(1.0)
    assert status["Seccomp"] == "2"
    assert status["NoNewPrivs"] == "1"
    assert status["Threads"] == "1"
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == int(status["CapInh"], 16) == 0
    assert status["Uid"].split()[0] != "0"


@needs_namespaces
async def test_a_worker_has_a_network_and_a_root_of_its_own() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can look into a process that hides its memory")
    worker = await start()
    try:
        assert {"net", "mnt", "ipc", "uts"}.issubset(worker.report.namespaces)
        assert network_of(str(worker.pid)) != network_of("self")
        assert names_in(f"/proc/{worker.pid}/root/") == []
        assert names_in(f"/proc/{worker.pid}/fd") == ["0", "1", "2", "3", "4"]
    finally:
        await worker.stop(1.0)


async def test_the_environment_holds_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can look into a process that hides its memory")
    monkeypatch.setenv("RTCC_BRIDGE_OBJECTS__MASTER_KEY", "secret-of-the-test")
    worker = await start()
    try:
        environment = environment_of(worker.pid)
    finally:
        await worker.stop(1.0)
    assert b"ORT_DISABLE_TELEMETRY=1" in environment
    assert b"secret-of-the-test" not in environment
    assert b"RTCC_BRIDGE" not in environment


async def test_a_container_without_namespaces_is_served_by_the_filter_alone() -> None:
    worker = await start("--without-namespaces")
    try:
        assert worker.report.seccomp
        assert worker.report.namespaces == ()
        assert any("no namespaces" in note for note in worker.report.notes)
    finally:
        await worker.stop(1.0)


@needs_namespaces
async def test_without_libseccomp_the_namespaces_serve_and_it_is_said() -> None:
    worker = await start("--without-seccomp")
    try:
        assert not worker.report.seccomp
        assert any("libseccomp" in note for note in worker.report.notes)
    finally:
        await worker.stop(1.0)


async def test_with_neither_wall_the_worker_refuses_to_start_and_says_what_to_install() -> None:
    with pytest.raises(ConfigurationError, match="install libseccomp2"):
        await start("--without-seccomp", "--without-namespaces")


async def test_a_limit_below_the_memory_at_rest_names_the_setting() -> None:
    limits = WorkerLimits(memory_bytes=50_000_000)
    with pytest.raises(ConfigurationError, match=r"intake\.worker_memory_bytes"):
        await WorkerProcess.start(hostile_command(limits=limits), limits)


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")
@pytest.mark.parametrize("options", [BOTH, SECCOMP_ONLY, NAMESPACES_ONLY], ids=["both", "seccomp", "namespaces"])
async def test_an_ordinary_user_is_protected_as_well_as_root(options: tuple[str, ...]) -> None:
    command = as_ordinary_user(hostile_command(*options))
    worker = await WorkerProcess.start(command, LIMITS)
    try:
        assert worker.report.seccomp == (options != NAMESPACES_ONLY)
        assert ("net" in worker.report.namespaces) == (options != SECCOMP_ONLY)
        assert int(status_of(worker.pid)["CapEff"], 16) == 0
        assert await worker.ask(InspectRequest(), upload(b"123"))
    finally:
        await worker.stop(1.0)
    for attack in ("read a file", "write a file", "fork", "open a socket"):
        assert await outcome(command, attack) in {"refused", "decoder_crashed"}
