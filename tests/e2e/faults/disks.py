"""Small file systems, and filling them."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """Mounts a file system of its own on the folder. Raises RuntimeError where that is not possible."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if mounted.returncode != 0:
        raise RuntimeError(f"no file system can be mounted: {mounted.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def why_no_small_disks(folder: Path) -> str | None:
    """Why no file system can be mounted here; None when one can."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return "mounting a small file system takes root"
    try:
        with small_disk(folder / "trial", 1):
            return None
    except RuntimeError as error:
        return str(error)


async def fill_disk(folder: Path, seconds: float) -> int:
    """Not a byte more fits on the folder's file system for a while."""
    filler = folder / "filler"
    try:
        await asyncio.to_thread(_fill, filler)
        await asyncio.sleep(seconds)
    finally:
        filler.unlink()
    return 1


def _fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file:
        piece = b"\0" * 65_536
        while piece:
            try:
                if file.write(piece) < len(piece):
                    raise OSError
            except OSError:  # the disk is full for a piece of this size: try smaller ones
                piece = piece[: len(piece) // 2]
