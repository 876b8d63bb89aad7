"""The lock files pin what pyproject.toml asks for, on every platform, and name no host and no path.

`scripts/lock` runs this after it has written them; a hand edit and a merge are caught here too.
"""

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.npm_tools import LOCK, require_pinned_by_hash

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "requirements"
RUNTIMES = ("onnxruntime", "onnxruntime-gpu")

PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ ;]+)( ; (?P<marker>[^\\/]+))? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
NOTE = re.compile(r"    # via [A-Za-z0-9._, ():\[\]-]+")
"""Why a package is there. Without a slash it cannot name a file or an address."""

PLATFORMS = (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"), ("win32", "AMD64"))
PYTHONS = ("3.11", "3.12", "3.13")
ENVIRONMENTS = [
    {
        "sys_platform": platform,
        "platform_machine": machine,
        "python_version": python,
        "python_full_version": f"{python}.0",
        "extra": "",
    }
    for (platform, machine), python in product(PLATFORMS, PYTHONS)
]


@dataclass(frozen=True)
class Pin:
    """One package of a lock file, where its marker holds."""

    version: Version
    marker: Marker | None

    def holds(self, environment: dict[str, str]) -> bool:
        return self.marker is None or self.marker.evaluate(environment)


def asked_for(file: str) -> list[Requirement]:
    """The direct dependencies that this lock file has to pin."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    shipped = ["reports", "tracing"]
    extras = {
        "runtime": shipped,
        "cuda": [*shipped, "cuda"],
        "demo": ["demo"],
        "dev": [*shipped, "demo", "milvus"],
    }[file]
    found = list(_expanded(project["project"], project["project"]["dependencies"]))
    for extra in extras:
        found += _expanded(project["project"], project["project"]["optional-dependencies"][extra])
    return found + [Requirement(one) for one in (project["dependency-groups"]["dev"] if file == "dev" else ())]


def _expanded(project: dict[str, Any], texts: Sequence[str]) -> Iterator[Requirement]:
    """An extra that names another one of the project's own stands for what that one asks for."""
    for requirement in map(Requirement, texts):
        if requirement.name != project["name"]:
            yield requirement
            continue
        for extra in requirement.extras:
            yield from _expanded(project, project["optional-dependencies"][extra])


def problems(text: str, requirements: Sequence[Requirement]) -> list[str]:
    """What is wrong with a lock file of that text."""
    lines = text.splitlines()
    strange = [line for line in lines if not any(shape.fullmatch(line) for shape in (PIN, HASH, NOTE))]
    if strange:
        return [f"neither a pin, nor a hash, nor a note: {line}" for line in strange]
    found = [
        f"{line} has no hash" for line, after in zip(lines, [*lines[1:], ""], strict=True) if _lacks_hash(line, after)
    ]
    pins: dict[str, list[Pin]] = {}
    for match in filter(None, map(PIN.fullmatch, lines)):
        marker = Marker(match["marker"]) if match["marker"] else None
        pins.setdefault(canonicalize_name(match["name"]), []).append(Pin(Version(match["version"]), marker))
    for environment in ENVIRONMENTS:
        found += _missing(pins, requirements, environment)
    return found


def _lacks_hash(line: str, after: str) -> bool:
    return PIN.fullmatch(line) is not None and HASH.fullmatch(after) is None


def _missing(
    pins: dict[str, list[Pin]], requirements: Sequence[Requirement], environment: dict[str, str]
) -> Iterator[str]:
    where = (
        f"on {environment['sys_platform']} {environment['platform_machine']}, Python {environment['python_version']}"
    )
    for requirement in requirements:
        if requirement.marker is None or requirement.marker.evaluate(environment):
            here = [pin.version for pin in pins.get(canonicalize_name(requirement.name), ()) if pin.holds(environment)]
            if len(here) != 1 or here[0] not in requirement.specifier:
                yield f"{requirement} {where} is pinned to {', '.join(map(str, here)) or 'nothing'}"
    runtimes = [name for name in RUNTIMES for pin in pins.get(name, ()) if pin.holds(environment)]
    wanted = "onnxruntime-gpu" if where.startswith("on linux x86_64") else "onnxruntime"
    if runtimes != [wanted]:
        yield f"{where} it installs {' and '.join(runtimes) or 'no runtime'} instead of {wanted}"


def test_every_lock_file_is_looked_at() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {"runtime.txt", "cuda.txt", "demo.txt", "dev.txt"}


@pytest.mark.parametrize("file", ["runtime", "cuda", "demo", "dev"])
def test_a_lock_file_pins_what_is_asked_for_on_every_platform_and_names_no_host_and_no_path(file: str) -> None:
    assert problems((FOLDER / f"{file}.txt").read_text(), asked_for(file)) == []


@pytest.mark.parametrize(
    ("damage", "replacement", "said"),
    [
        (r"\A", "--index-url https://packages.example/simple\n", "neither"),
        (r"\A", "--find-links /srv/wheels\n", "neither"),
        (r"\A", "-e file:///home/me/work\n", "neither"),
        (r"\A", "thing @ https://packages.example/thing.whl \\\n", "neither"),
        (r"# via aiohttp\n", "# via -r /home/me/requirements.in\n", "neither"),
        (r"(?m)^(onnxruntime==[^ ]+) ;.*\\$", r"\1 \\", "it installs onnxruntime and onnxruntime-gpu"),
        (r"(?ms)^onnxruntime==.*?(?=^[a-z])", "", "is pinned to nothing"),
        (r"(?ms)^click==.*?(?=^[a-z])", "", "is pinned to nothing"),
        (r"(?m)^click==[^ ]+", "click==1.0", "is pinned to 1.0"),
        (r"(?m)^(numpy==[^ ]+ ; python_full_version) < '3.12'", r"\1 < '3.11'", "is pinned to nothing"),
        (r"(?ms)^(click==[^\n]+\n).*?(?=    # via)", r"\1", "has no hash"),
    ],
    ids=[
        "an index",
        "a folder of wheels",
        "a local project",
        "an address",
        "a path in a note",
        "a marker gone",
        "a runtime gone",
        "a dependency gone",
        "an old version",
        "a gap between markers",
        "hashes gone",
    ],
)
def test_what_a_hand_edit_or_a_merge_may_leave_is_seen(damage: str, replacement: str, said: str) -> None:
    intact = (FOLDER / "runtime.txt").read_text()
    damaged = re.sub(damage, replacement, intact, count=1)
    assert damaged != intact
    assert any(said in problem for problem in problems(damaged, asked_for("runtime")))


@pytest.mark.parametrize("folder", ["browser", "tests/axe"])
def test_what_comes_by_npm_is_pinned_by_hash_and_names_no_registry(folder: str) -> None:
    require_pinned_by_hash(ROOT / folder / LOCK, at_least=1)
