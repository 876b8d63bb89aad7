"""The units of a single server: systemd's own judgement of them, and what they tell the program.

That they start, and that the program can do its work under their limits, is tests/docs/test_runnable.py.
"""

import base64
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from rtcc_bridge.app.roles import Role
from rtcc_bridge.app.start_conditions import start_problems
from rtcc_bridge.app.template_keys import require_gallery_key
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.people.start_check import require_sign_in
from rtcc_bridge.policy.authority_keys import load_authority_keys
from rtcc_bridge.reports.packet_archive import load_packet_key
from rtcc_bridge.settings import ENVIRONMENT_PREFIX, Settings, load_settings
from rtcc_bridge.storage.open_master_keys import load_gallery_keys
from tests.policy_kit import SignedPolicy
from tests.program_settings import load_with
from tests.signing_keys import key_pair
from tests.tools import needs
from tests.unit.qualification.packs import paper_pack

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy/systemd"
PROGRAM = "/opt/rtcc-bridge/current/bin/rtcc-bridge"
MOST_EXPOSED = {Role.WEB: 2.0, Role.CONSUMER: 1.5, Role.MATCHER: 2.0, Role.RELAY: 1.5}
"""By `systemd-analyze security`: 0 is nothing, 10 everything; up to 2 it says "OK"."""

needs_systemd = needs("systemd-analyze", "systemd")


@pytest.fixture(params=["trial", "production"])
def units(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The units as they are installed, with a program that is there."""
    folder = tmp_path / "units"
    shutil.copytree(FOLDER, folder)
    if request.param == "production":
        shutil.copytree(FOLDER / "production", folder, dirs_exist_ok=True)
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
    for file in [*FOLDER.rglob("*.service"), *FOLDER.rglob("*.conf")]:
        named |= set(re.findall(rf"{ENVIRONMENT_PREFIX}[A-Z_]+", file.read_text()))
    named |= {f"{ENVIRONMENT_PREFIX}{name}" for name in shown_to_commands().values()}
    named.remove(f"{ENVIRONMENT_PREFIX}CONFIG")
    assert len(named) == 6
    for key in named:
        monkeypatch.setenv(key, "/run/credentials/x/key")
    settings = load_settings()
    assert {
        str(file)
        for file in (
            settings.objects.master_key_file,
            settings.objects.gallery_key_file,
            settings.audit.signing_key_file,
            settings.authority.signing_key_file,
            settings.reports.signing_key_file,
            settings.identity.client_secret_file,
        )
    } == {"/run/credentials/x/key"}


def shown_to_commands() -> dict[str, str]:
    """The keys that `rtcc-bridge-admin` shows to a command, and the setting by which it names each."""
    text = (FOLDER / "rtcc-bridge-admin").read_text()
    named = dict(re.findall(r"^ +name ([a-z-]+) ([A-Z_]+)$", text, re.MULTILINE))
    (loaded,) = re.findall(r"^for key in ([a-z -]+); do$", text, re.MULTILINE)
    assert set(loaded.split()) == named.keys()
    return named


KEYS_OF_PRODUCTION = {
    Role.WEB: {"master-key", "authority-key", "packet-signing-key", "identity-client-secret"},
    Role.CONSUMER: {"master-key"},
    Role.MATCHER: {"master-key", "gallery-key"},
    Role.RELAY: {"master-key", "authority-key", "audit-signing-key"},
}


@pytest.mark.parametrize("role", Role)
def test_in_production_each_role_is_shown_its_keys_and_no_other(role: Role) -> None:
    assert credentials_of(role).keys() == KEYS_OF_PRODUCTION[role]
    assert ("gallery-key" in credentials_of(role)) is (role is Role.MATCHER), "P30"


def credentials_of(role: Role) -> dict[str, str]:
    """The keys that systemd shows to a role in production, and the variable that names each, if one does."""
    files = [FOLDER / "rtcc-bridge@.service"]
    for folder in (FOLDER, FOLDER / "production"):
        files += sorted(folder.glob(f"rtcc-bridge@{role}.service.d/*.conf"))
    text = "\n".join(file.read_text() for file in files)
    shown = re.findall(r"^LoadCredential=([a-z-]+):/etc/rtcc-bridge/secrets/([a-z-]+)$", text, re.MULTILINE)
    assert all(name == file for name, file in shown)
    variables = {key: name for name, key in re.findall(r"^Environment=(\w+)=%d/([a-z-]+)$", text, re.MULTILINE)}
    return {name: variables.get(name, "") for name, _ in shown}


@pytest.fixture
def server(tmp_path: Path) -> Path:
    """A server whose settings are those of production; its files lie in this folder. Returns the settings."""
    policy = SignedPolicy.make(tmp_path / "etc", SystemClock())
    policy.sign()
    pairs = {name: key_pair(tmp_path / "pairs" / name) for name in ("authority", "pack-key", "packets")}
    public = [(name.value, pair) for name, pair in policy.keys.items()]
    public += [("authority.pub", pairs["authority"]), ("pack-key.pub", pairs["pack-key"])]
    for name, pair in public:
        (tmp_path / "etc" / f"{name}.pem").write_bytes(pair.public.read_bytes())
    paper_pack(tmp_path / "state/packs/PACK", "PACK")
    texts = {
        "authority-key": pairs["authority"].private.read_text(),
        "packet-signing-key": pairs["packets"].private.read_text(),
        "identity-client-secret": "correct-horse",
        **{
            name: base64.b64encode(os.urandom(32)).decode()
            for name in ("master-key", "gallery-key", "audit-signing-key")
        },
    }
    (tmp_path / "secrets").mkdir()
    for name, secret in texts.items():
        (tmp_path / "secrets" / name).write_text(secret)
        (tmp_path / "secrets" / name).chmod(0o400)
    text = (FOLDER / "production/rtcc-bridge.yaml").read_text()
    places = {
        "/etc/rtcc-bridge": "etc",
        "/var/lib/rtcc-bridge": "state",
        "/srv/rtcc-bridge": "removals",
        "/run/credentials/rtcc-bridge@web.service": "secrets",
    }
    for place, instead in places.items():
        assert place in text
        text = text.replace(place, str(tmp_path / instead))
    (tmp_path / "rtcc-bridge.yaml").write_text(text)
    return tmp_path / "rtcc-bridge.yaml"


def test_a_command_finds_nothing_wrong_with_a_server_in_production(
    server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = {
        f"{ENVIRONMENT_PREFIX}{name}": str(server.parent / "secrets" / key) for key, name in shown_to_commands().items()
    }
    settings = load_with(named, server, monkeypatch)
    assert start_problems(settings) == ()
    assert settings.profile == "production"


@pytest.mark.parametrize("role", Role)
def test_in_production_each_role_finds_the_keys_that_it_needs(
    role: Role, server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (FOLDER / f"roles/{role}.env").read_text().splitlines()
    environment = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    environment |= {name: str(server.parent / "secrets" / key) for key, name in credentials_of(role).items() if name}
    settings = load_with(environment, server, monkeypatch)
    keys = load_authority_keys(settings)
    keys.require_verifier()
    if role in {Role.WEB, Role.RELAY}:
        keys.require_signer()
    opens_templates = load_gallery_keys(settings.objects, may_create=False) is not None
    assert opens_templates == (role is Role.MATCHER)
    if opens_templates:
        require_gallery_key(settings)
    if role is Role.WEB:
        require_sign_in(settings)
        load_packet_key(settings.reports.signing_key_file, may_create=False)


def test_the_relay_alone_is_shown_the_key_that_signs_the_audit_log() -> None:
    for file in [*FOLDER.rglob("*.service"), *FOLDER.rglob("*.conf"), FOLDER / "rtcc-bridge-admin"]:
        shown = "LoadCredential=audit-signing-key:" in file.read_text()
        assert shown == (file == FOLDER / "rtcc-bridge@relay.service.d/10-audit-key.conf"), file


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
