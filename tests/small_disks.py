"""File systems so small that a test can fill them."""

import os
import subprocess
from pathlib import Path


def mount_small_disk(folder: Path) -> bool:
    """Mounts a file system of 1 MiB there; False where this process may not."""
    return _run("mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder))


def unmount(folder: Path) -> None:
    _run("umount", str(folder))


def remount_read_only(folder: Path) -> None:
    _run("mount", "-o", "remount,ro", str(folder))


def fill(folder: Path) -> Path:
    """Takes all room that is left; the room comes back with the removal of the file that is returned."""
    free = os.statvfs(folder)
    filling = folder / "filling"
    filling.write_bytes(bytes(free.f_bavail * free.f_bsize))
    return filling


def _run(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True, timeout=20).returncode == 0
