"""Builds a site of documents as `make docs` does."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def build_site(settings: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Builds into the folder what the settings (mkdocs.yml) say; the result is not judged here."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(settings), "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
