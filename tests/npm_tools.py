"""Programs for Node.js that tests use: installed from a lock file, once for each state of it."""

import fcntl
import hashlib
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.tools import program

ROOT = Path(__file__).resolve().parents[1]
LOCK = "package-lock.json"


def installed(folder: Path, sources: Sequence[str]) -> Path:
    """A folder with what `folder` names installed, and these files of it. Does not return where there is no npm."""
    program("npm", "npm")
    cache = ROOT / ".cache" / folder.name
    cache.mkdir(parents=True, exist_ok=True)
    mark = cache / "installed"
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several processes of the tests one installs
        wanted = hashlib.sha256((folder / LOCK).read_bytes()).hexdigest()
        for name in ("package.json", LOCK, *sources):
            shutil.copy(folder / name, cache / name)
        if not mark.exists() or mark.read_text() != wanted:
            subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=cache, check=True)
            mark.write_text(wanted)
    return cache


def require_pinned_by_hash(lock: Path, at_least: int = 10) -> None:
    """The lock file names no registry and pins everything. at_least: so many packages it is known to hold."""
    packages = json.loads(lock.read_text())["packages"]
    assert len(packages) > at_least
    for name, package in packages.items():
        if name:
            assert "resolved" not in package, name
            assert package["integrity"].startswith("sha512-"), name
