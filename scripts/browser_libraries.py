"""Copies the libraries that the pages use out of what npm installs from `browser/package-lock.json` into the package.

Runs when the package is built (`hatch_build.py`), and by hand (`python -m scripts.browser_libraries`). What is there
and was made of the same lock file is left alone.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
SOURCE: Final = ROOT / "browser"
LOCK: Final = "package-lock.json"
TARGET: Final = ROOT / "rtcc_bridge" / "web" / "static" / "libraries"
FILES: Final = {
    "openseadragon.js": "openseadragon/build/openseadragon/openseadragon.min.js",
    "openseadragon.LICENSE.txt": "openseadragon/LICENSE.txt",
}
"""By the name that it gets, where npm puts it."""
_MARK: Final = "made-of"


class MissingProgramError(Exception):
    """There is no npm here."""


def copy_libraries() -> bool:
    """Says whether anything was copied. Blocks while npm fetches.

    Raises MissingProgramError, subprocess.CalledProcessError when npm fails.
    """
    wanted = hashlib.sha256((SOURCE / LOCK).read_bytes()).hexdigest()
    mark = TARGET / _MARK
    if mark.is_file() and mark.read_text() == wanted and all((TARGET / name).is_file() for name in FILES):
        return False
    npm = shutil.which("npm")
    if npm is None:
        raise MissingProgramError("the pages' libraries come by npm, which is not here: install Node.js (Debian: npm)")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("package.json", LOCK):
            shutil.copy(SOURCE / name, folder)
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        subprocess.run([npm, "ci", *quiet], cwd=folder, check=True)
        TARGET.mkdir(exist_ok=True)
        for name, place in FILES.items():
            shutil.copyfile(Path(folder) / "node_modules" / place, TARGET / name)
    mark.write_text(wanted)
    return True


if __name__ == "__main__":
    try:
        print("copied" if copy_libraries() else "up to date")
    except MissingProgramError as missing:
        sys.exit(str(missing))
