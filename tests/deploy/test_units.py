"""The units of a single server: systemd's own judgement of them, and what they tell the program.

That they start, and that the program can do its work under their limits, is tests/docs/test_runnable.py.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from rtcc_bridge.app.roles import Role
from rtcc_bridge.settings import ENVIRONMENT_PREFIX, Settings, load_settings
from tests.program_settings import load_with
from tests.tools import needs

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy/systemd"
PROGRAM = "/opt/rtcc-bridge/current/bin/rtcc-bridge"
MOST_EXPOSED = {Role.WEB: 2.0, Role.CONSUMER: 1.5, Role.MATCHER: 2.0, Role.RELAY: 1.5}
"""By `systemd-analyze security`: 0 is nothing, 10 everything; up to 2 it says "OK"."""

needs_systemd = needs("systemd-analyze", "systemd")


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units as they are installed, with a program that is there."""
    folder = tmp_path / "units"
    shutil.copytree(FOLDER, folder)
    program = tmp_path / "rtcc-bridge"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = folder / "rtcc-bridge@.service"
    unit.write_text(unit.read_text().replace(PROGRAM, str(program)))
    return folder


def analyze(units: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{units}:"}
    return subprocess.run(["systemd-analyze", *arguments], env=environment, capture_output=True, text=True, check=False)


@needs_systemd
def test_systemd_finds_nothing_to_complain_about(units: Path) -> None:
    wanted = ["rtcc-bridge.target", *(f"rtcc-bridge@{role}.service" for role in Role)]
    verified = analyze(units, "verify", "--recursive-errors=no", "--man=no", *wanted)
    assert verified.returncode == 0, verified.stderr
    assert verified.stderr == ""


@needs_systemd
def test_systemd_would_complain_about_a_mistyped_setting(units: Path) -> None:
    with (units / "rtcc-bridge@.service").open("a") as unit:
        unit.write("[Service]\nProtectSytem=strict\n")
    assert "ProtectSytem" in analyze(units, "verify", "--man=no", "rtcc-bridge@relay.service").stderr


@needs_systemd
@pytest.mark.parametrize("role", Role)
def test_a_process_is_exposed_no_more_than_it_has_to_be(units: Path, role: Role) -> None:
    threshold = f"--threshold={MOST_EXPOSED[role] * 10:.0f}"
    judged = analyze(units, "security", "--offline=true", "--no-pager", threshold, f"rtcc-bridge@{role}.service")
    assert judged.returncode == 0, judged.stdout + judged.stderr


def settings_of(role: Role, monkeypatch: pytest.MonkeyPatch) -> Settings:
    lines = (FOLDER / f"roles/{role}.env").read_text().splitlines()
    environment = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    return load_with(environment, FOLDER / "rtcc-bridge.yaml", monkeypatch)


def test_the_program_takes_the_settings_of_each_role(monkeypatch: pytest.MonkeyPatch) -> None:
    unit = (FOLDER / "rtcc-bridge@.service").read_text()
    stop_seconds = re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert stop_seconds is not None
    found = {role: settings_of(role, monkeypatch) for role in Role}
    assert len({settings.operations.port for settings in found.values()}) == len(Role)
    for role, settings in found.items():
        assert settings.process.shutdown_seconds < float(stop_seconds[1])
        assert settings.database.application_name == f"rtcc-bridge-{role}"


def test_every_variable_of_the_units_is_one_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    named = set()
    for file in [*FOLDER.rglob("*.service"), *FOLDER.rglob("*.conf"), FOLDER / "rtcc-bridge-admin"]:
        named |= set(re.findall(rf"{ENVIRONMENT_PREFIX}[A-Z_]+", file.read_text()))
    keys = {f"{ENVIRONMENT_PREFIX}OBJECTS__MASTER_KEY_FILE", f"{ENVIRONMENT_PREFIX}AUDIT__SIGNING_KEY_FILE"}
    assert named == {f"{ENVIRONMENT_PREFIX}CONFIG", *keys}
    for key in keys:
        monkeypatch.setenv(key, "/run/credentials/x/key")
    settings = load_settings()
    assert str(settings.objects.master_key_file) == str(settings.audit.signing_key_file) == "/run/credentials/x/key"


def test_the_relay_alone_is_shown_the_key_that_signs_the_audit_log() -> None:
    for file in [*FOLDER.rglob("*.service"), *FOLDER.rglob("*.conf"), FOLDER / "rtcc-bridge-admin"]:
        shown = "LoadCredential=audit-signing-key:" in file.read_text()
        assert shown == (file.parent.name == "rtcc-bridge@relay.service.d"), file


def test_the_folders_of_the_settings_are_made_and_may_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    made = dict(re.findall(r"^d (\S+)\s+\S+\s+(\S+)", (FOLDER / "rtcc-bridge.tmpfiles.conf").read_text(), re.MULTILINE))
    settings = settings_of(Role.WEB, monkeypatch)
    for path in (settings.objects.url, settings.objects.ledger_url, str(settings.matching.packs_directory)):
        assert path is not None
        folder = next(made for made in [Path(path.removeprefix("file://"))])
        assert any(made.get(str(one)) == "rtcc-bridge" for one in (folder, folder.parent)), path
    unit = (FOLDER / "rtcc-bridge@.service").read_text()
    assert "StateDirectory=rtcc-bridge\n" in unit
    assert "ReadWritePaths=-/srv/rtcc-bridge\n" in unit


def test_the_target_wants_every_role() -> None:
    wanted = re.findall(r"rtcc-bridge@(\w+)\.service", (FOLDER / "rtcc-bridge.target").read_text())
    assert sorted(wanted) == sorted(Role)
