"""Compiles `rtcc_bridge/matching/int8_rows.c` to a library beside it, where there is a C compiler for it.

Runs when the package is built (`hatch_build.py`), and by hand (`python -m scripts.int8_rows`). Without the library a
search takes longer and nothing else changes, so that no build fails for want of it.
"""

import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
SOURCE: Final = ROOT / "rtcc_bridge" / "matching" / "int8_rows.c"
LIBRARY: Final = SOURCE.with_name("libint8_rows.so")
WHEEL_TAG: Final = "py3-none-linux_x86_64"
"""Of a wheel that has the library, which knows no Python."""

_FLAGS: Final = ("-std=gnu11", "-O3", "-ffp-contract=off", "-fPIC", "-fvisibility=hidden", "-shared", "-s")
"""None for the processor that it is built on: each function of the file names the instructions that it uses."""


class NotCompiledError(Exception):
    """There is no library now; says why."""


def compile_library() -> None:
    """Leaves a library of the present source, or none. Blocks for a second. Raises NotCompiledError."""
    try:
        _compile()
    except NotCompiledError:
        LIBRARY.unlink(missing_ok=True)  # it may be of an earlier source
        raise


def _compile() -> None:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise NotCompiledError("it is for Linux on x86-64")
    compiler = shutil.which("cc")
    if compiler is None:
        raise NotCompiledError("there is no C compiler here (Debian: gcc libc6-dev)")
    with tempfile.TemporaryDirectory(dir=LIBRARY.parent, prefix=".int8_rows-") as folder:
        made = Path(folder) / LIBRARY.name
        command = [compiler, *_FLAGS, SOURCE.name, "-o", str(made)]
        done = subprocess.run(command, cwd=SOURCE.parent, capture_output=True, text=True, check=False)
        if done.returncode:
            raise NotCompiledError(f"{compiler} did not compile it: {' '.join(done.stderr.split())}")
        made.replace(LIBRARY)  # at once: who has it open keeps the old one


if __name__ == "__main__":
    try:
        compile_library()
    except NotCompiledError as why:
        sys.exit(f"{SOURCE.name} was left out: {why}")
    print(LIBRARY)
