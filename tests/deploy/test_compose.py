"""The Compose file as far as it can be judged without an engine: structure, mounts, and what it tells the program."""

import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from rtcc_bridge.audit.signing_key import load_signing_keys
from rtcc_bridge.audit_settings import AuditSettings
from rtcc_bridge.cli import main
from rtcc_bridge.secret_files import read_secret_file
from rtcc_bridge.settings import ENVIRONMENT_PREFIX, ObjectSettings, Settings
from rtcc_bridge.storage.master_key import load_master_keys
from rtcc_bridge.storage.open_master_keys import load_gallery_keys
from tests.program_settings import load_with

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "deploy/compose"
CHART_FILES = ROOT / "deploy/helm/rtcc-bridge/files"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if "rtcc-bridge" in service["image"]}
ROLES = {name: service for name, service in OURS.items() if service["command"][0] == "serve"}

KNOWN_KEYS = {
    "cap_drop", "command", "depends_on", "environment", "healthcheck", "image", "network_mode", "read_only", "restart",
    "secrets", "security_opt", "stop_grace_period", "tmpfs", "user", "volumes",
}  # fmt: skip
"""Of the Compose specification, chapter "Services": those that are used here. A mistyped one would be ignored."""
CONDITIONS = {"service_started", "service_healthy", "service_completed_successfully"}
IMAGE = re.compile(r"^\$\{[A-Z]+_IMAGE:-[a-z0-9./-]+:[A-Za-z0-9._-]+\}$")
"""A variable with a default: the place for a name with a digest."""


def mounts(service: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Source and target of each volume."""
    for volume in service.get("volumes", ()):
        source, target = volume.split(":")[:2]
        yield source, target


def environment_of(service: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in service["environment"].items() if name.startswith(ENVIRONMENT_PREFIX)}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `prepare` makes."""
    folder = tmp_path_factory.mktemp("compose")
    subprocess.run([FOLDER / "prepare", folder], check=True)
    return folder


def test_the_file_follows_the_specification() -> None:
    assert set(COMPOSE) - {key for key in COMPOSE if key.startswith("x-")} == {"name", "services", "secrets", "volumes"}
    for name, service in SERVICES.items():
        assert set(service) <= KNOWN_KEYS, name
        for other, how in service.get("depends_on", {}).items():
            assert how["condition"] in CONDITIONS
            assert how["condition"] != "service_healthy" or "healthcheck" in SERVICES[other]
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"]), name
        named = {source for source, _ in mounts(service) if not source.startswith((".", "/"))}
        assert named <= set(COMPOSE["volumes"]), name


def test_every_image_has_a_place_for_its_digest(prepared: Path) -> None:
    told = (prepared / ".env").read_text()
    for service in SERVICES.values():
        assert IMAGE.match(service["image"])
        variable, _, default = service["image"][2:-1].partition(":-")
        assert f"#{variable}={default}\n" in told


def test_every_file_that_is_mounted_is_there(prepared: Path) -> None:
    for service in SERVICES.values():
        for source, _ in mounts(service):
            if not source.startswith("."):
                continue
            file = (FOLDER / source).resolve()
            if file.is_relative_to(CHART_FILES):
                assert file.exists() or not CHART_FILES.exists(), source
            else:
                assert file.exists() or (prepared / source).exists(), source
    for secret in COMPOSE["secrets"].values():
        assert (prepared / secret["file"]).is_file()


def test_nothing_listens_beyond_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, service in SERVICES.items():
        assert service["network_mode"] == "host", name
        assert not {"ports", "expose"} & set(service)
    spelled = (FOLDER / "compose.yaml").read_text()
    for address in re.findall(r"\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b", spelled):
        assert address == "127.0.0.1"
    for name, service in ROLES.items():
        settings = settings_of(service, monkeypatch)
        assert settings.operations.host == settings.web.host == "127.0.0.1", name


def test_no_process_is_more_than_it_has_to_be() -> None:
    for name, service in OURS.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert service["user"].startswith("${RTCC_UID:?"), name


def settings_of(service: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """What the program makes of the mounted file and the environment; unknown names in either are errors."""
    mounted = {target: source for source, target in mounts(service)}
    file = FOLDER / mounted[service["environment"][f"{ENVIRONMENT_PREFIX}CONFIG"]]
    return load_with(environment_of(service), file, monkeypatch)


def test_the_program_takes_the_settings_and_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    scraped = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"][0]["static_configs"]
    expected = {one["labels"]["role"]: one["targets"][0] for one in scraped}
    found = {}
    for name, service in OURS.items():
        settings = settings_of(service, monkeypatch)
        assert settings.process.shutdown_seconds < int(service["stop_grace_period"].removesuffix("s"))
        assert CliRunner().invoke(main, [*service["command"], "--help"]).exit_code == 0
        if name in ROLES:
            assert service["command"] == ["serve", "--roles", name]
            address = found[name] = f"{settings.operations.host}:{settings.operations.port}"
            assert f"http://{address}/healthz" in service["healthcheck"]["test"][-1]
    assert found == expected
    assert len(set(found.values())) == len(found)


def test_the_settings_name_what_is_mounted(monkeypatch: pytest.MonkeyPatch) -> None:
    service = ROLES["web"]
    settings = settings_of(service, monkeypatch)
    targets = [target for _, target in mounts(service)]
    secrets = [f"/run/secrets/{name}" for name in service["secrets"]]
    assert str(settings.objects.master_key_file) in secrets
    assert service["environment"]["PGPASSFILE"] in secrets
    for path in (settings.objects.url, settings.objects.ledger_url, str(settings.matching.packs_directory)):
        assert path is not None
        assert path.removeprefix("file://").startswith(f"{targets[2]}/")
    assert str(settings.policy.file) in targets


def test_the_relay_alone_gets_the_key_that_signs_the_audit_log(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, service in OURS.items():
        settings = settings_of(service, monkeypatch).audit
        assert ("audit-signing-key" in service["secrets"]) == (name == "relay")
        file = Path("/run/secrets/audit-signing-key") if name == "relay" else None
        assert settings.signing_key_file == file
    made = AuditSettings(signing_key_file=prepared / "secrets/audit-signing-key")
    assert load_signing_keys(made, may_create=False) is not None


def test_p30_the_matcher_alone_gets_the_key_of_templates(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, service in OURS.items():
        assert ("gallery-key" in service["secrets"]) == (name == "matcher")
        file = Path("/run/secrets/gallery-key") if name == "matcher" else None
        assert settings_of(service, monkeypatch).objects.gallery_key_file == file
    made = ObjectSettings(gallery_key_file=prepared / "secrets/gallery-key")
    assert load_gallery_keys(made, may_create=False) is not None


def test_prepare_makes_secrets_that_the_program_accepts_and_leaves_what_is_there(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = prepared / "secrets/master-key"
    settings = settings_of(ROLES["web"], monkeypatch)
    objects = settings.objects.model_copy(update={"master_key_file": key})
    assert load_master_keys(objects, may_create=False)
    before = read_secret_file("objects.master_key_file", key)
    for file in (prepared / "secrets").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    host, port, database, user, password = (prepared / "secrets/pgpass").read_text().strip().split(":")
    url = settings.database.url.get_secret_value()
    assert url == f"postgresql+asyncpg://{user}@{host}:{port}/{database}"
    assert password == (prepared / "secrets/postgres-password").read_text()
    assert SERVICES["postgres"]["environment"]["POSTGRES_USER"] == user
    assert SERVICES["postgres"]["environment"]["POSTGRES_DB"] == database
    subprocess.run([FOLDER / "prepare", prepared], check=True)
    assert read_secret_file("objects.master_key_file", key) == before


def test_grafana_reads_the_prometheus_and_the_dashboards_of_the_file() -> None:
    provisioning = FOLDER / "grafana/provisioning"
    source = yaml.safe_load((provisioning / "datasources/prometheus.yaml").read_text())["datasources"][0]
    listening = next(one for one in SERVICES["prometheus"]["command"] if one.startswith("--web.listen-address="))
    assert source["url"] == f"http://{listening.partition('=')[2]}"
    provider = yaml.safe_load((provisioning / "dashboards/rtcc-bridge.yaml").read_text())["providers"][0]
    targets = {target for _, target in mounts(SERVICES["grafana"])}
    assert {provider["options"]["path"], "/etc/grafana/provisioning"} <= targets


def test_prometheus_reads_the_rules_that_are_mounted() -> None:
    rules = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["rule_files"]
    targets = {target for _, target in mounts(SERVICES["prometheus"])}
    assert {f"/etc/prometheus/{name}" for name in rules} <= targets
