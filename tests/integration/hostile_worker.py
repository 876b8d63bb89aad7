"""A picture worker whose "decoder" does what the upload says, behind the real start-up and sandbox. Tests start it.

Run as `python -I hostile_worker.py MAX_UPLOAD_BYTES MEMORY_BYTES [--without-seccomp] [--without-namespaces]`.
"""

import ctypes
import errno
import mmap
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rtcc_bridge.matching.errors import UnreadableImageError
from rtcc_bridge.matching.types import FaceCrop
from rtcc_bridge.probes.clip_messages import ClipAnswer, ClipRequest, ClipStill
from rtcc_bridge.probes.sandbox import SandboxLimits
from rtcc_bridge.probes.worker import run
from rtcc_bridge.probes.worker_messages import (
    CroppedFace,
    CropRequest,
    FoundFacesReport,
    InspectRequest,
    PortraitRequest,
    Preview,
    PreviewRequest,
    SeenPortrait,
)

ANSWER_DESCRIPTOR = 4
LIBC = ctypes.CDLL(None, use_errno=True)


def start_program() -> None:
    os.execv("/bin/true", ["true"])


def make_code() -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)


def trace_the_parent() -> None:
    if LIBC.ptrace(16, os.getppid(), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def raise_the_limits() -> None:
    import resource  # noqa: PLC0415

    try:
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except ValueError as error:
        raise PermissionError(errno.EPERM, str(error)) from error


def hang() -> None:
    while True:
        time.sleep(60)


def compute_for_ever() -> None:
    while True:
        pass


ATTACKS: dict[str, Callable[[], object]] = {
    "read a file": lambda: Path("/etc/passwd").read_bytes(),
    "write a file": lambda: Path("/tmp/rtcc-bridge-attack").write_bytes(b"x"),
    "list the root": lambda: list(Path("/").iterdir()),
    "open a socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
    "open a local socket": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
    "fork": os.fork,
    "start a program": start_program,
    "start a thread": lambda: threading.Thread(target=hang).start(),
    "make code": make_code,
    "kill the parent": lambda: os.kill(os.getppid(), signal.SIGKILL),
    "trace the parent": trace_the_parent,
    "raise the limits": raise_the_limits,
    "hang": hang,
    "compute for ever": compute_for_ever,
    "crash": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "exit": lambda: os._exit(0),
    "allocate": lambda: np.ones(10_000_000_000, np.uint8),
    "print": lambda: os.write(1, b"not an answer"),
    "speak garbage": lambda: os.write(ANSWER_DESCRIPTOR, b"\x00\x00\x00\x05\x00\x00\x00\x00[1,2]"),
    "announce 4 GB": lambda: os.write(ANSWER_DESCRIPTOR, b"\xff" * 8),
    "flood": lambda: [os.write(ANSWER_DESCRIPTOR, b"\xff" * 65_536) for _ in range(10_000)],
    "nest deeply": lambda: os.write(ANSWER_DESCRIPTOR, b"\x00\x00\xc3\x50\x00\x00\x00\x00" + b"[" * 50_000),
}


class HostileWork:
    """Does what the upload says; anything else is a picture as wide as its bytes (or megabytes) are many."""

    def __init__(self) -> None:
        os.write(1, b"a library that greets its users")
        self.left_open = os.open("/etc/passwd", os.O_RDONLY)

    def inspect(self, data: bytes, _request: InspectRequest) -> FoundFacesReport:
        attack = ATTACKS.get(data[:40].decode(errors="replace"))
        if attack is not None:
            try:
                attack()
            except OSError as error:
                raise UnreadableImageError("refused", errno.errorcode.get(error.errno or 0, "?")) from error
            raise UnreadableImageError("succeeded", "nothing stopped it")
        width = len(data) if len(data) < 1_000_000 else len(data) // 1_000_000
        return FoundFacesReport(width, 1, (), {"decode": 0.0})

    def portrait(self, data: bytes, request: PortraitRequest) -> SeenPortrait:
        seen = self.inspect(data, InspectRequest())
        return SeenPortrait(seen.width, seen.height, 0, 0, (), None, seen.stage_seconds)

    def crop(self, data: bytes, request: CropRequest) -> CroppedFace:
        width, height = int(request.chosen.box.width), int(request.chosen.box.height)
        pixels = np.full((height, width, 3), len(data) % 256, np.uint8)
        return CroppedFace(FaceCrop(pixels, request.chosen.landmarks), {})

    def preview(self, data: bytes, request: PreviewRequest) -> Preview:
        return Preview(b"\xff\xd8\xff" + data, request.max_side_px, 1, {})

    def clip(self, data: bytes, _request: ClipRequest) -> ClipAnswer:
        if data.decode(errors="replace") in ATTACKS:
            self.inspect(data, InspectRequest())
        return ClipStill(b"\x89PNG\r\n\x1a\n" + data, 1, 1, {})


def forbid_unshare() -> None:
    """What a container's own filter does by default: new namespaces are refused."""
    import pyseccomp  # noqa: PLC0415

    rules = pyseccomp.SyscallFilter(defaction=pyseccomp.ALLOW)
    rules.add_rule(pyseccomp.ERRNO(errno.EPERM), "unshare")
    rules.load()


def main(max_upload_bytes: str, memory_bytes: str, *options: str) -> int:
    if "--without-namespaces" in options:
        forbid_unshare()
    if "--without-seccomp" in options:
        sys.modules["pyseccomp"] = None  # type: ignore[assignment]
    return run(HostileWork, int(max_upload_bytes), SandboxLimits(int(memory_bytes), 600))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
