"""What a worker gives up before it sees its first upload: files, network, privileges, other processes, endless memory.

Two walls stand independently of each other: a seccomp filter, and namespaces with an empty root directory. Containers
usually forbid the second, small systems sometimes lack libseccomp for the first. One of them is enough, both are taken
where they can be had, and where neither can be had the worker does not start.
"""

import contextlib
import ctypes
import os
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rtcc_bridge.probes.seccomp import Loadable, SeccompUnavailableError, build_filter

NOBODY: Final = 65534

# Linux: include/uapi/linux/sched.h, mount.h, prctl.h, capability.h
CLONE_FLAGS: Final = {"mnt": 0x0002_0000, "uts": 0x0400_0000, "ipc": 0x0800_0000, "net": 0x4000_0000}
CLONE_NEWUSER: Final = 0x1000_0000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_REC, MS_PRIVATE = 1, 2, 4, 8, 32, 0x4000, 0x4_0000
MNT_DETACH: Final = 2
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 1, 4, 38, 47
PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
CAPABILITY_VERSION_3: Final = 0x2008_0522
SIGKILL: Final = 9


class SandboxUnavailableError(Exception):
    """This worker cannot be locked up. The message says what to install, to allow or to set."""


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What one worker may use in all: bytes of address space (libraries and models included), seconds of CPU time."""

    memory_bytes: int
    cpu_seconds: int


@dataclass(frozen=True, slots=True)
class SandboxReport:
    """What is in force in one worker, as it says itself when it starts."""

    seccomp: bool
    namespaces: tuple[str, ...]
    user_id: int
    notes: tuple[str, ...]
    """Why a wall is missing, in plain words; empty when both stand."""

    def for_log(self) -> dict[str, object]:
        return {
            "seccomp": self.seccomp,
            "namespaces": list(self.namespaces),
            "user_id": self.user_id,
            "notes": list(self.notes),
        }


def enter_sandbox(read_descriptor: int, write_descriptor: int, limits: SandboxLimits) -> SandboxReport:
    """Give up everything but the two pipes. There is no way back.

    Every other descriptor from 3 on is closed and no file can be opened later, so whatever is imported or read lazily
    has to be loaded before. Namespaces need a process with one thread; the filter covers all threads.

    Raises SandboxUnavailableError when neither a seccomp filter nor namespaces can be had, or the limits leave no room.
    """
    if sys.platform != "linux":
        raise SandboxUnavailableError("uploaded pictures are only opened on Linux, where a worker can be locked up")
    libc = ctypes.CDLL(None, use_errno=True)
    notes: list[str] = []
    _check_memory_at_rest(limits.memory_bytes)
    system_calls = _build_filter(read_descriptor, write_descriptor, notes)
    _close_other_descriptors(read_descriptor, write_descriptor)
    namespaces = _enter_namespaces(libc, notes)
    _drop_privileges(libc)
    _set_limits(limits, max(read_descriptor, write_descriptor))
    user_id = os.getuid()  # A question that the filter does not answer any more.
    seccomp = _load_filter(system_calls, notes)
    if not seccomp and not {"mnt", "net"}.issubset(namespaces):
        raise SandboxUnavailableError(
            "this machine allows neither a seccomp filter nor namespaces, so pictures cannot be opened safely: "
            f"install libseccomp2 (libseccomp) with pyseccomp, or allow user namespaces ({'; '.join(notes)})"
        )
    return SandboxReport(seccomp, namespaces, user_id, tuple(notes))


def _check_memory_at_rest(memory_bytes: int) -> None:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    at_rest = pages * resource.getpagesize()
    if at_rest >= memory_bytes:
        raise SandboxUnavailableError(
            f"a worker needs {at_rest} bytes of address space before the first picture, and may use {memory_bytes}: "
            "raise intake.worker_memory_bytes"
        )


def _build_filter(read_descriptor: int, write_descriptor: int, notes: list[str]) -> Loadable | None:
    try:
        return build_filter(read_descriptor, write_descriptor)
    except SeccompUnavailableError as error:
        notes.append(f"no seccomp filter: {error}")
        return None


def _load_filter(system_calls: Loadable | None, notes: list[str]) -> bool:
    if system_calls is None:
        return False
    try:
        system_calls.load()
    except OSError as error:
        notes.append(f"no seccomp filter: the kernel refuses it ({error})")
        return False
    return True


def _close_other_descriptors(*kept: int) -> None:
    # 0 to 2 point at /dev/null by now and stay, so that nothing else ever gets their numbers.
    for entry in os.listdir("/proc/self/fd"):  # noqa: PTH208  names only
        descriptor = int(entry)
        if descriptor > 2 and descriptor not in kept:
            # The one that lists the folder is closed already.
            with contextlib.suppress(OSError):
                os.close(descriptor)


def _enter_namespaces(libc: ctypes.CDLL, notes: list[str]) -> tuple[str, ...]:
    """Move into namespaces of our own; returns the names of those in force, "mnt" only with an empty root directory."""
    try:
        names = _unshare(libc)
    except OSError as error:
        notes.append(f"no namespaces: {error}")
        return ()
    try:
        _empty_the_root(libc)
    except OSError as error:
        notes.append(f"the files stay mounted: {error}")
        return tuple(name for name in names if name != "mnt")
    return names


def _unshare(libc: ctypes.CDLL) -> tuple[str, ...]:
    """Root with CAP_SYS_ADMIN needs no user namespace; everybody else tries one, root after becoming nobody first."""
    flags = sum(CLONE_FLAGS.values())
    if os.geteuid() == 0:
        try:
            _call(libc, "unshare", flags)
        except OSError:
            _become_nobody()
        else:
            return tuple(CLONE_FLAGS)
    _call(libc, "unshare", flags | CLONE_NEWUSER)
    return (*CLONE_FLAGS, "user")


def _empty_the_root(libc: ctypes.CDLL) -> None:
    """Make an empty, read-only tmpfs the root of this mount namespace and let go of the old one.

    /proc serves as the place to mount it on because it exists everywhere. pivot_root(".", ".") puts the old root on
    top of the new one, from where it is detached (pivot_root(2), "Notes").
    """
    harmless = MS_NOSUID | MS_NODEV | MS_NOEXEC
    _call(libc, "mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    _call(libc, "mount", b"none", b"/proc", b"tmpfs", harmless, b"size=4k,nr_inodes=1,mode=555")
    os.chdir("/proc")
    _call(libc, "pivot_root", b".", b".")
    _call(libc, "umount2", b".", MNT_DETACH)
    os.chdir("/")
    _call(libc, "mount", b"none", b"/", None, MS_REMOUNT | MS_RDONLY | harmless, None)


def _become_nobody() -> None:
    # A container's root without CAP_SETUID, or without this number in its map, keeps its own; it loses its
    # capabilities all the same.
    with contextlib.suppress(OSError):
        os.setgroups([])
    with contextlib.suppress(OSError):
        os.setresgid(NOBODY, NOBODY, NOBODY)
    with contextlib.suppress(OSError):
        os.setresuid(NOBODY, NOBODY, NOBODY)


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilityData(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def _drop_privileges(libc: ctypes.CDLL) -> None:
    """Become nobody when root, drop every capability, forbid gaining any, and hide this memory from other processes."""
    if os.getuid() == 0:
        _become_nobody()
    header = _CapabilityHeader(CAPABILITY_VERSION_3, 0)
    _call(libc, "prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    _call(libc, "capset", ctypes.byref(header), (_CapabilityData * 2)())
    _call(libc, "prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _call(libc, "prctl", PR_SET_DUMPABLE, 0, 0, 0, 0)
    # The kernel forgets this one when the user changes, so it comes last: no worker outlives a killed parent.
    _call(libc, "prctl", PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)


def _set_limits(limits: SandboxLimits, highest_descriptor: int) -> None:
    """Set the resource limits, soft and hard alike, never above what this process was given itself."""
    for kind, value in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_NOFILE, highest_descriptor + 1),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (bound, bound))


def _call(libc: ctypes.CDLL, name: str, *arguments: object) -> None:
    """Call a C function that returns 0; raises OSError with its errno otherwise."""
    # The kernel reads whole registers: an int argument of prctl or mount has to be widened.
    widened = [ctypes.c_ulong(argument) if isinstance(argument, int) else argument for argument in arguments]
    if getattr(libc, name)(*widened) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
