"""Where servers of the tests run: on loopback, or on a host of its own: a network namespace with an address."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

LOOPBACK: Final = "127.0.0.1"
_CLONE_NEWNET: Final = 0x40000000
"""Linux: include/uapi/linux/sched.h."""


@dataclass(frozen=True, slots=True)
class Host:
    """An address, and the namespace (as `ip netns` names it) if it is not the one that the tests run in."""

    address: str = LOOPBACK
    namespace: str | None = None

    @contextmanager
    def entered(self) -> Iterator[None]:
        """What the calling thread starts and opens meanwhile is on this host. Nothing may be awaited in it."""
        if self.namespace is None:
            yield
            return
        before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        try:
            enter_namespace(self.namespace)
            try:
                yield
            finally:
                _set_namespace(before)
        finally:
            os.close(before)


def enter_namespace(name: str) -> None:
    """Moves the calling thread into a network namespace that `ip netns add` has made. Raises OSError."""
    file = os.open(Path("/run/netns") / name, os.O_RDONLY)
    try:
        _set_namespace(file)
    finally:
        os.close(file)


def ip(*arguments: str) -> None:
    """Runs `ip` (Debian: iproute2). Raises RuntimeError with what it said when it fails."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")


def why_no_hosts() -> str | None:
    """Why no host can be made here; None when one can."""
    if shutil.which("ip") is None:
        return "there is no `ip` (Debian: iproute2)"
    if os.geteuid() != 0:
        return "network namespaces take root"
    name = f"rtcc-{os.getpid()}-trial"
    try:
        ip("netns", "add", name)
        try:
            ip("-n", name, "link", "add", "near", "type", "veth", "peer", "name", "far")
            ip("-n", name, "link", "add", "joined", "type", "bridge")
        finally:
            ip("netns", "del", name)
    except RuntimeError as error:
        return str(error)
    return None


def _set_namespace(file: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(file, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "the network namespace cannot be entered")
