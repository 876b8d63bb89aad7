"""What makes a file survive a loss of power."""

import os
from pathlib import Path


def sync_to_disk(*paths: Path) -> None:
    """Returns when the files' contents and their names in their folders are on the disk. Blocks. Raises OSError.

    The database's commit survives a loss of power, so what it refers to has to as well.
    """
    for path in paths:
        _sync(path)
    for folder in {path.parent for path in paths}:
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Returns when the names in the folder are on the disk. Blocks. Raises OSError."""
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
