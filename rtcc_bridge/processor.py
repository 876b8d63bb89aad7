"""Whether the processor has the instructions that the compiled libraries are built for.

NumPy's wheels take x86-64-v2 for granted: without it the kernel ends the process at the import, without a word. Where
it is missing, that is mostly a virtual machine whose model of processor was left at the hypervisor's default. Nothing
needs AVX2, but the kernels of ONNX Runtime and NumPy are several times as fast with it. (Both were tried by QEMU's
emulation, `qemu-x86_64 -cpu qemu64` and `-cpu Nehalem`.) Only the standard library is used, since this is asked first.
"""

from pathlib import Path
from typing import Final

from rtcc_bridge.errors import ConfigurationProblem

CPUINFO: Final = Path("/proc/cpuinfo")
NEEDED: Final = ("cx16", "popcnt", "ssse3", "sse4_1", "sse4_2")
"""What x86-64-v2 adds (x86-64 psABI, "Micro-Architecture Levels"), as Linux names it."""
QUICK: Final = ("avx2", "fma")


def missing(names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the instruction sets that this processor does not have; none where Linux does not tell, or on ARM."""
    try:
        lines = CPUINFO.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return ()
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), None)
    return () if flags is None else tuple(name for name in names if name not in flags)


def problem() -> ConfigurationProblem | None:
    """Why nothing that computes can run on this processor; None when it can."""
    if not (lacking := missing(NEEDED)):
        return None
    return ConfigurationProblem(
        "processor",
        f"it has no {', '.join(lacking)}, and what compares faces is built for x86-64-v2",
        "Use a newer machine; of a virtual one, choose a model of processor that passes these on (in QEMU: host)",
    )


def remark() -> str | None:
    """What somebody should know who wonders why it is slow; None when there is nothing."""
    if not (lacking := missing(QUICK)):
        return None
    return f"it has no {', '.join(lacking)}: faces are found and compared on it, but several times as slowly"
