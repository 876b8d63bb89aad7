"""A folder to build in, so that a pack appears whole under its final name or not at all."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def staging_folder(parent: Path) -> Iterator[Path]:
    """An empty folder in `parent`, which makes renaming it atomic; removed at the end unless it was renamed."""
    folder = parent / f"building-{uuid.uuid4().hex}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
