"""The image files, as far as they can be judged without an engine, and the bill of materials of what they install."""

import fnmatch
import json
import re
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from scripts.make_sbom import LOCKS, of_the_platform, write_sbom

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "deploy/docker/Dockerfile").read_text()
INSTRUCTIONS = [
    line.split(maxsplit=1) for line in DOCKERFILE.replace("\\\n", " ").splitlines() if line and not line.startswith("#")
]
STAGES = re.findall(r"^FROM (\S+) AS (\S+)$", DOCKERFILE, re.MULTILINE)


def instructions(name: str) -> list[str]:
    return [rest for word, rest in INSTRUCTIONS if word == name]


def test_every_stage_is_of_the_one_base_image_whose_digest_can_be_given() -> None:
    assert DOCKERFILE.index("ARG PYTHON_IMAGE=") < DOCKERFILE.index("FROM ")
    known = {"${PYTHON_IMAGE}"}
    for base, stage in STAGES:
        assert base in known
        known.add(stage)
    assert {"cpu", "cuda"} <= known
    copied_from = re.findall(r"COPY --from=(\S+)", DOCKERFILE)
    assert set(copied_from) == {"cpu-environment", "cuda-environment"} <= known


def test_everything_from_outside_is_pinned_by_hash() -> None:
    installs = [command for command in instructions("RUN") if "pip --python" in command]
    assert len(installs) == 4
    for command in installs:
        assert "--require-hashes" in command or "--no-deps --no-index" in command
    assert {"requirements/runtime.txt /tmp/lock.txt", "requirements/cuda.txt /tmp/lock.txt"} <= set(
        instructions("COPY")
    )


def test_the_program_is_not_root_and_is_told_to_stop_as_it_expects() -> None:
    assert instructions("USER") == ["10001:10001"]
    assert instructions("STOPSIGNAL") == ["SIGTERM"]
    assert [json.loads(one) for one in instructions("ENTRYPOINT")] == [["rtcc-bridge"]]
    assert "libseccomp2" in DOCKERFILE
    assert "libpangoft2-1.0-0" in DOCKERFILE, "a report as a PDF is set with it"


def test_the_engine_is_given_what_is_copied_and_nothing_else() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules[0] == "*"
    given = [rule.removeprefix("!") for rule in rules[1:]]
    copied = [one.split()[0] for one in instructions("COPY") if not one.startswith("--from")]
    assert sorted(set(copied)) == sorted(given)
    assert not any(
        fnmatch.fnmatch(file, pattern) for file in (".git/config", "config/policy.yaml") for pattern in given
    )


def bill_of(lock: str, file: Path) -> str:
    write_sbom(lock, file)
    return file.read_text()


@pytest.mark.parametrize("lock", LOCKS)
def test_the_bill_of_materials_names_what_is_installed_and_follows_its_schema(lock: str, tmp_path: Path) -> None:
    """And it is the same whenever it is made."""
    text = bill_of(lock, tmp_path / "first.json")
    if lock == "runtime":  # making one takes seconds
        assert bill_of(lock, tmp_path / "second.json") == text
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    assert bill["metadata"]["component"]["name"] == "rtcc-bridge"
    named = {f"{one['name']}=={one['version']}" for one in bill["components"]}
    pinned = set(
        re.findall(r"^([A-Za-z0-9._-]+==[^ ;]+)", (ROOT / f"requirements/{lock}.txt").read_text(), re.MULTILINE)
    )
    # Of what the lock file holds for other platforms, and for a later Python, nothing is installed.
    later = {"numpy==2.5.5", "av==19.0.2"}
    elsewhere = {pin for pin in pinned if pin.startswith(("onnxruntime==", "brotlicffi=="))} | later
    assert named == pinned - elsewhere
    assert any(name.startswith("onnxruntime-gpu==") for name in named)
    assert any(name.startswith("nvidia-cudnn") for name in named) == (lock == "cuda")


def test_only_what_another_platform_gets_is_left_out() -> None:
    lock = (
        "here==1.0 \\\n    --hash=sha256:aa\n    # via x\n"
        "there==2.0 ; sys_platform == 'win32' \\\n    --hash=sha256:bb\n"
        "marked==3.0 ; sys_platform == 'linux' and python_full_version < '3.12' \\\n    --hash=sha256:cc\n"
    )
    assert re.findall(r"^(\w+)==", of_the_platform(lock), re.MULTILINE) == ["here", "marked"]
