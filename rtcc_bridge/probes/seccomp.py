"""The system-call filter of the workers that open uploaded pictures (Linux seccomp-BPF through libseccomp).

It is an allow-list. What a decoder or a library may try without harm is answered with EPERM, so that it falls back to
something else; what only hostile code would try ends the process at once, so that it gets no second attempt.
"""

import errno
from typing import Final, Protocol, cast

PROT_EXEC: Final = 0x4
MAP_SHARED: Final = 0x1

ALLOWED: Final = (
    "brk",
    "clock_getres",
    "clock_gettime",
    "clock_nanosleep",
    "exit",
    "exit_group",
    "futex",
    "getcpu",
    "getpid",
    "getrandom",
    "getrusage",
    "gettid",
    "gettimeofday",
    "madvise",
    "membarrier",
    "mremap",
    "munmap",
    "nanosleep",
    "restart_syscall",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity",
    "sched_yield",
    "sigaltstack",
    "sysinfo",
    "time",
    "uname",
)
"""Memory, clocks, locks and the end of the process: what arithmetic on pictures needs, and nothing that names a file,
another process or the network. mmap, mprotect, read and write are allowed with conditions."""

DEADLY: Final = (
    "accept",
    "accept4",
    "add_key",
    "bind",
    "bpf",
    "chroot",
    "clone",
    "clone3",
    "connect",
    "execve",
    "execveat",
    "finit_module",
    "fork",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "kcmp",
    "kexec_load",
    "keyctl",
    "kill",
    "listen",
    "memfd_create",
    "mount",
    "name_to_handle_at",
    "open_by_handle_at",
    "perf_event_open",
    "pidfd_getfd",
    "pidfd_open",
    "pidfd_send_signal",
    "pivot_root",
    "process_vm_readv",
    "process_vm_writev",
    "ptrace",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "request_key",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "setns",
    "shmget",
    "socket",
    "socketpair",
    "umount2",
    "unshare",
    "userfaultfd",
    "vfork",
)
"""Calls that no decoder and no model makes: to see one means that somebody else is at the wheel."""

UNKNOWN_SYSCALL: Final = -1
"""A call that this version of libseccomp has no number for stays under the default, which is a refusal."""


class SeccompUnavailableError(Exception):
    """The filter cannot be installed on this machine. The message says what is missing."""


class Loadable(Protocol):
    """A finished filter that still has to be given to the kernel."""

    def load(self) -> None:
        """Put every thread of this process under the filter, for good; raises OSError when the kernel refuses."""


def build_filter(read_descriptor: int, write_descriptor: int) -> Loadable:
    """Build the filter, without putting it in force yet (libseccomp has to be loaded while there are files to open).

    Under it the process can read from the one descriptor, write to the other, use memory and end; it can open nothing,
    start nothing and make no memory executable. Loading it needs PR_SET_NO_NEW_PRIVS or CAP_SYS_ADMIN.

    Raises SeccompUnavailableError when libseccomp is missing or does not know this machine.
    """
    try:
        import pyseccomp  # noqa: PLC0415  the import itself fails where libseccomp is not installed
    except (ImportError, RuntimeError, OSError) as error:
        raise SeccompUnavailableError(f"libseccomp cannot be loaded ({error})") from error
    no_code = pyseccomp.Arg(2, pyseccomp.MASKED_EQ, PROT_EXEC, 0)
    private = pyseccomp.Arg(3, pyseccomp.MASKED_EQ, MAP_SHARED, 0)
    rules = [
        *((pyseccomp.ALLOW, name, ()) for name in ALLOWED),
        *((pyseccomp.KILL_PROCESS, name, ()) for name in DEADLY),
        (pyseccomp.ALLOW, "mmap", (no_code, private)),
        (pyseccomp.ALLOW, "mprotect", (no_code,)),
        (pyseccomp.ALLOW, "read", (pyseccomp.Arg(0, pyseccomp.EQ, read_descriptor),)),
        (pyseccomp.ALLOW, "write", (pyseccomp.Arg(0, pyseccomp.EQ, write_descriptor),)),
    ]
    try:
        built = pyseccomp.SyscallFilter(defaction=pyseccomp.ERRNO(errno.EPERM))
        built.set_attr(pyseccomp.Attr.CTL_TSYNC, 1)
        built.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.KILL_PROCESS)
        for action, name, conditions in rules:
            number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
            if number != UNKNOWN_SYSCALL:
                built.add_rule(action, number, *conditions)
    except OSError as error:
        raise SeccompUnavailableError(f"libseccomp cannot build the filter ({error})") from error
    return cast("Loadable", built)
