"""Writes the software bill of materials of what a lock file installs, as CycloneDX JSON.

A lock file holds the branches of every platform. The bill is that of one, Linux on x86-64 with the Python of the
images, so that it names what is there and nothing else.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from packaging.markers import Marker

ROOT: Final = Path(__file__).resolve().parents[1]
LOCKS: Final = ("runtime", "cuda")
SPEC_VERSION: Final = "1.6"
PLATFORM: Final = {
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "os_name": "posix",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "python_version": "3.11",
    "python_full_version": "3.11.0",
    "extra": "",
}
_PIN: Final = re.compile(r"^(?P<pinned>[A-Za-z0-9._-]+==[^ ;]+)( ; (?P<marker>[^\\]+?))? \\$")


def of_the_platform(lock: str) -> str:
    """The pins of a lock file, with their hashes, that are installed on the platform."""
    kept: list[str] = []
    holds = True
    for line in lock.splitlines():
        pin = _PIN.match(line)
        if pin is not None:
            holds = pin["marker"] is None or Marker(pin["marker"]).evaluate(PLATFORM)
        if holds:
            kept.append(f"{pin['pinned']} \\" if pin else line)
    return "\n".join(kept) + "\n"


def write_sbom(lock: str, file: Path) -> None:
    """Writes the bill of requirements/LOCK.txt. Raises CalledProcessError when it would not follow its schema."""
    with tempfile.TemporaryDirectory() as folder:
        pins = Path(folder) / "lock.txt"
        pins.write_text(of_the_platform((ROOT / f"requirements/{lock}.txt").read_text()))
        file.parent.mkdir(parents=True, exist_ok=True)
        options = ["--spec-version", SPEC_VERSION, "--output-format", "JSON", "--output-reproducible", "--validate"]
        about = ["--pyproject", str(ROOT / "pyproject.toml"), "--mc-type", "application"]
        subprocess.run(
            [sys.executable, "-m", "cyclonedx_py", "requirements", *options, *about, "-o", str(file), str(pins)],
            check=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/sbom", description=__doc__)
    parser.add_argument("lock", choices=LOCKS)
    parser.add_argument("file", type=Path, nargs="?", help="default: var/sbom/LOCK.cdx.json")
    given = parser.parse_args()
    file = given.file or ROOT / f"var/sbom/{given.lock}.cdx.json"
    write_sbom(given.lock, file)
    print(file)


if __name__ == "__main__":
    main()
