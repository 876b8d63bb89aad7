"""Where the pages' commands are run: an empty folder, or a machine of its own with systemd.

Both have a network of their own, in which the pages' addresses are free and nothing else can be reached.
"""

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
_SECONDS: Final = 500.0
_CGROUPS: Final = Path("/sys/fs/cgroup")
_BROKER: Final = """
import asyncio, sys
from rtcc_bridge.broker.embedded import EmbeddedBroker

async def main():
    async with EmbeddedBroker(9092):
        shell = await asyncio.create_subprocess_exec("bash", "-euo", "pipefail", sys.argv[1])
        return await shell.wait()

sys.exit(asyncio.run(main()))
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a script ended. journal: what the units of the program said, on a machine with systemd."""

    code: int
    printed: str
    journal: str = ""


def run_in_an_empty_folder(script: str, folder: Path) -> Ended:
    """Runs a script in the folder, with the program on PATH and a broker at 127.0.0.1:9092."""
    file = folder.with_suffix(".sh")
    file.write_text(script)
    environment = {
        "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}",
        "HOME": str(folder),
        "SOURCE": str(ROOT),
        "RTCC_BRIDGE_KAFKA__ENABLE_IDEMPOTENCE": "false",  # the embedded broker does not know it
    }
    inside = f"ip link set lo up && exec {ROOT}/.venv/bin/python -c '{_BROKER}' {file}"
    alone = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    done = subprocess.run(
        [*alone, "--pid", "--fork", "--kill-child", "bash", "-c", inside],
        cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=_SECONDS, check=False,
    )  # fmt: skip
    return Ended(done.returncode, done.stdout)


def why_no_machine() -> str | None:
    """Why no machine can be booted here; None when one can."""
    if os.geteuid() != 0:
        return "booting systemd takes root"
    for program, package in (("systemd-run", "systemd"), ("dbus-daemon", "dbus"), ("pg_createcluster", "postgresql")):
        if shutil.which(program) is None:
            return f"there is no `{program}` (Debian: {package})"
    with _own_cgroup() as enter:
        tried = subprocess.run(
            ["bash", "-c", f"{enter}; exec unshare --mount --pid --fork --cgroup --net true"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    return None if tried.returncode == 0 else f"no namespaces: {tried.stderr.strip()}"


def run_on_a_machine(script: str, folder: Path) -> Ended:
    """Boots systemd on a copy of this machine, and runs a script in it as root (tests/docs/boot)."""
    (folder / "machine").mkdir()
    file = folder / "script"
    file.write_text(script)
    namespaces = ["--mount", "--pid", "--fork", "--kill-child", "--cgroup", "--net", "--uts", "--ipc"]
    with _own_cgroup() as enter:
        booted = subprocess.run(
            ["bash", "-c", f'{enter}; exec unshare "$@"', "boot", *namespaces, f"{ROOT}/tests/docs/boot", file, folder],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=_SECONDS,
            check=False,
        )  # fmt: skip
    code, printed, journal = (folder / name for name in ("code.txt", "printed.txt", "journal.txt"))
    return Ended(
        int(code.read_text() or "1") if code.exists() else 1,
        (printed.read_text() if printed.exists() else "") + booted.stdout,
        journal.read_text() if journal.exists() else "",
    )


@contextmanager
def _own_cgroup() -> Iterator[str]:
    """Yields a shell command that moves the shell into a control group of its own, in every hierarchy there is."""
    name = f"rtcc-{uuid.uuid4().hex[:8]}"
    hierarchies = [_CGROUPS] if (_CGROUPS / "cgroup.procs").exists() else sorted(_CGROUPS.iterdir())
    groups = [one / name for one in hierarchies if one.is_mount()]
    try:
        for group in groups:
            group.mkdir()
        yield (
            "for group in "
            + " ".join(map(str, groups))
            + '; do (echo $$ > "$group/cgroup.procs") 2> /dev/null || true; done'
        )
    finally:
        for folder in [below for group in groups for below in _folders_of(group)]:
            folder.rmdir()


def _folders_of(group: Path) -> list[Path]:
    """A control group with all below it, the deepest first: none can be removed before those in it."""
    return [Path(folder) for folder, _, _ in os.walk(group, topdown=False)]
