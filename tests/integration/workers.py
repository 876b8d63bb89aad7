"""Starts workers that do what the upload says, for the tests of the sandbox and of the pool."""

import io
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from PIL import Image

from rtcc_bridge.probes.worker_process import WorkerLimits

LIMITS = WorkerLimits(memory_bytes=2_000_000_000, timeout_seconds=20.0, stop_timeout_seconds=5.0)


def hostile_command(*options: str, limits: WorkerLimits = LIMITS) -> tuple[str, ...]:
    """The command line of `hostile_worker.py`."""
    script = Path(__file__).with_name("hostile_worker.py")
    return (sys.executable, "-I", str(script), str(limits.max_upload_bytes), str(limits.memory_bytes), *options)


def as_ordinary_user(command: tuple[str, ...]) -> tuple[str, ...]:
    """The command as the user nobody, who may read everything: a root account's interpreter may lie out of reach."""
    reading = [f"--{kind}-caps=-all,+dac_read_search" for kind in ("inh", "ambient")]
    return ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *reading, *command)


async def upload(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def is_in_process_table(process_id: int) -> bool:
    """Whether the process is there at all: one that nobody reaped still is."""
    return Path(f"/proc/{process_id}").exists()


def status_of(process_id: int) -> dict[str, str]:
    """What Linux says of a process, by name (proc(5))."""
    lines = Path(f"/proc/{process_id}/status").read_text(encoding="utf-8").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def is_alive(process_id: int) -> bool:
    """Whether the process still runs; an orphan that is dead may wait for its new parent to take notice."""
    try:
        return status_of(process_id)["State"][0] not in {"Z", "X"}
    except (FileNotFoundError, ProcessLookupError):
        return False


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    """The picture as a file of that kind."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()
