"""The settings that the chart renders are settings that the program takes, with the files and secrets of the pod."""

import re
from pathlib import Path

import pytest
import yaml

import rtcc_bridge
from rtcc_bridge.app.start_conditions import start_problems
from rtcc_bridge.audit.signing_key import load_signing_keys
from rtcc_bridge.broker.groups import groups_of_roles
from rtcc_bridge.reports.packet_archive import load_packet_key
from rtcc_bridge.settings import KafkaSettings, ProcessSettings, Settings
from rtcc_bridge.signing_keys import load_public_key
from rtcc_bridge.storage.open_master_keys import load_gallery_keys
from rtcc_bridge.topic_settings import TopicSettings
from tests.chart.option_sets import OPTIONS, PRODUCTION, SIGN_IN, SINGLE_NODE, option
from tests.chart.pod_files import DATABASE_URL, PodFiles, Site, lay_out
from tests.chart.rendering import (
    CHART,
    NAME,
    SHUTDOWN_SECONDS,
    Rendered,
    component_of,
    container_of,
    pod_of,
    render,
    secret_keys,
)
from tests.program_settings import load_with

EXPOSED = {name for name, given in OPTIONS.items() if SIGN_IN[0] in given}
"""The options of the profile production: their policy is signed."""
ALL_ROLES = ("web", "consumer", "matcher", "relay")
ROLES = [(name, role) for name in OPTIONS for role in (("single",) if OPTIONS[name][:2] == SINGLE_NODE else ALL_ROLES)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


def load(files: PodFiles, monkeypatch: pytest.MonkeyPatch) -> Settings:
    return load_with(files.environment, files.settings, monkeypatch)


@pytest.mark.parametrize(("name", "role"), ROLES)
def test_each_process_would_start(
    name: str, role: str, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = option(name)
    settings = load(lay_out(rendered, rendered.one("Deployment", role), site, tmp_path), monkeypatch)
    assert start_problems(settings) == ()
    assert settings.profile == ("production" if name in EXPOSED else "demo")
    assert settings.web.is_loopback == (name not in EXPOSED or role not in {"web", "single"})
    assert settings.kafka.group_instance_id is None
    assert settings.database.is_sqlite == (role == "single")


@pytest.mark.parametrize(("name", "role"), ROLES)
def test_each_path_of_the_settings_is_mounted_and_each_secret_comes_from_a_secret(name: str, role: str) -> None:
    rendered = option(name)
    deployment = rendered.one("Deployment", role)
    text = rendered.settings_text(role)
    mounts = [mount["mountPath"] for mount in container_of(deployment)["volumeMounts"]]
    paths = re.findall(r"(?:: |file://|sqlite\+aiosqlite:///)(/[^\s]+)", text)
    assert paths
    for path in paths:
        assert any(path == mount or path.startswith(f"{mount}/") for mount in mounts), path
    assert not re.search(r"^\s*(password|master_key|client_secret|transit_token):", text, re.MULTILINE)
    for entry in container_of(deployment)["env"]:
        if "value" not in entry:
            assert entry["valueFrom"].keys() == {"secretKeyRef"}


def test_secret_files_are_not_for_everybody() -> None:
    for name in OPTIONS:
        for workload in option(name).workloads:
            for volume in pod_of(workload)["spec"]["volumes"]:
                sources = volume.get("projected", {}).get("sources", ())
                if volume["name"] == "secrets":
                    assert volume["projected"]["defaultMode"] == 0o440
                    assert all("secret" in source for source in sources)


def test_a_file_that_others_may_read_is_seen_by_this_test(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = option("production")
    files = lay_out(rendered, rendered.one("Deployment", "matcher"), site, tmp_path)
    (files.mounts["/run/secrets/rtcc-bridge"] / "master-key").chmod(0o444)
    assert [one.path for one in start_problems(load(files, monkeypatch))] == ["objects.master_key_file"]


def test_traces_go_to_a_collector_whose_certificate_is_checked(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = option("tokens, a key service, traces")
    settings = load(lay_out(rendered, rendered.one("Deployment", "matcher"), site, tmp_path), monkeypatch)
    assert settings.tracing.endpoint == "https://collector.example.org:4318/v1/traces"
    assert settings.tracing.ca_file is not None
    assert settings.tracing.ca_file.is_file()


def test_the_migration_takes_the_database_and_nothing_else(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = option("production")
    job = rendered.one("Job", "migration")
    settings = load(lay_out(rendered, job, site, tmp_path), monkeypatch)
    assert settings.database.url.get_secret_value() == DATABASE_URL
    assert container_of(job)["args"] == ["db", "upgrade"]
    assert secret_keys(job) == {"database-url"}


def test_the_topics_are_looked_at_by_the_operators_user(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = option("production")
    job = rendered.one("Job", "topics")
    settings = load(lay_out(rendered, job, site, tmp_path), monkeypatch)
    assert settings.kafka.sasl.username == "rtcc-operator"
    assert container_of(job)["args"] == ["topics", "check"]
    assert container_of(option("a folder for objects").one("Job", "topics"))["args"] == ["topics", "create"]
    assert secret_keys(job) == {"kafka-operator"}


@pytest.mark.parametrize("name", ["everything that has a switch", "tools on one node"])
def test_the_tools_take_what_the_command_line_needs_as_the_operator(
    name: str, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = option(name)
    tools = rendered.one("Deployment", "tools")
    settings = load(lay_out(rendered, tools, site, tmp_path), monkeypatch)
    assert start_problems(settings) == ()
    assert settings.kafka.sasl.username == "rtcc-operator"
    assert "ports" not in container_of(tools)


def test_each_role_is_another_user_of_the_broker_and_the_web_is_none(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = option("production")
    users = {}
    for role in ("web", "consumer", "matcher", "relay"):
        files = lay_out(rendered, rendered.one("Deployment", role), site, tmp_path / role)
        users[role] = load(files, monkeypatch).kafka.sasl.username
    assert users == {"web": None, "consumer": "rtcc-consumer", "matcher": "rtcc-matcher", "relay": "rtcc-relay"}


def test_a_role_gets_only_the_secrets_that_it_needs() -> None:
    rendered = option("production")
    common = {"database-url", "master-key", "objects-access-key-id", "objects-secret-access-key"}
    assert {component_of(one): secret_keys(one) for one in rendered.daemons} == {
        "web": common | {"authority-key", "authority-public-keys", "packet-signing-key", "identity-client-secret"},
        "consumer": common | {"kafka-consumer", "authority-public-keys"},
        "matcher": common | {"kafka-matcher", "authority-public-keys", "gallery-key", "evaluation-public-key"},
        "relay": common | {"kafka-relay", "authority-key", "authority-public-keys", "audit-signing-key"},
    }


def test_p30_of_the_roles_the_matcher_alone_can_open_a_template(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = option("everything that has a switch")
    opens = {}
    for role in (*ALL_ROLES, "tools"):
        files = lay_out(rendered, rendered.one("Deployment", role), site, tmp_path / role)
        opens[role] = load_gallery_keys(load(files, monkeypatch).objects, may_create=False) is not None
    assert opens == {"web": False, "consumer": False, "matcher": True, "relay": False, "tools": True}


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("production", {"matcher"}),
        ("a trial on several nodes", set()),
        ("single node", set()),
        ("single node in production", {"single"}),
    ],
)
def test_who_searches_a_live_gallery_knows_whose_evaluation_of_a_pack_counts(
    name: str, roles: set[str], site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = option(name)
    found = set()
    for deployment in rendered.daemons:
        role = component_of(deployment)
        settings = load(lay_out(rendered, deployment, site, tmp_path / role), monkeypatch)
        if settings.matching.evaluation_key_file is not None:
            load_public_key("matching.evaluation_key_file", settings.matching.evaluation_key_file)
            found.add(role)
    assert found == roles


def test_discovery_packets_are_signed_and_shifts_looked_up_where_each_is_done(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = option("everything that has a switch")
    signing, looking = set(), set()
    for role in (*ALL_ROLES, "tools"):
        files = lay_out(rendered, rendered.one("Deployment", role), site, tmp_path / role)
        reports = load(files, monkeypatch).reports
        if reports.signing_key_file is not None:
            load_packet_key(reports.signing_key_file, may_create=False)
            signing.add(role)
        if reports.roster_file is not None:
            assert reports.roster_file.is_file()
            looking.add(role)
    assert signing == {"web", "tools"}
    assert looking == {"web", "relay", "tools"}


@pytest.mark.parametrize("name", ["production", "single node", "everything that has a switch"])
def test_the_journal_of_the_audit_log_outlives_the_pods_and_is_one_for_all(name: str) -> None:
    """What went on while the log took no entry (P23) would else go with the pod that did it."""
    rendered = option(name)
    for deployment in rendered.of_kind("Deployment"):
        folder = yaml.safe_load(rendered.settings_text(component_of(deployment)))["audit"]["journal_folder"]
        (volume,) = [one["name"] for one in container_of(deployment)["volumeMounts"] if one["mountPath"] == folder]
        (source,) = [one for one in pod_of(deployment)["spec"]["volumes"] if one["name"] == volume]
        assert source["persistentVolumeClaim"] == {"claimName": f"{NAME}-audit-journal"}
    claim = rendered.one("PersistentVolumeClaim", "audit-journal")
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


@pytest.mark.parametrize(("name", "role"), [("production", "relay"), ("single node", "single")])
def test_the_one_that_orders_the_audit_log_signs_it_and_no_other_process_can(
    name: str, role: str, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = option(name)
    for workload in rendered.workloads:
        files = lay_out(rendered, workload, site, tmp_path / component_of(workload))
        keys = load_signing_keys(load(files, monkeypatch).audit, may_create=False)
        assert (keys is not None) == (component_of(workload) == role)


@pytest.mark.parametrize("name", ["production", "exposed by a Gateway", "a provider of an authority of one's own"])
def test_people_sign_in_at_an_exposed_web_and_only_it_knows_the_client_s_secret(
    name: str, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = option(name)
    web = load(lay_out(rendered, rendered.one("Deployment", "web"), site, tmp_path / "web"), monkeypatch)
    assert (web.profile, web.web.public_url) == ("production", "https://rtcc.example.org")
    assert [str(one) for one in web.web.trusted_proxies] == ["198.51.100.0/24"]
    assert set(web.identity.roles.values()) >= {"analyst", "supervisor", "administrator", "requestor"}
    assert (web.identity.ca_file is not None) == (name == "a provider of an authority of one's own")
    holders = {component_of(one) for one in rendered.daemons if "identity-client-secret" in secret_keys(one)}
    assert holders == {"web"}
    matcher = load(lay_out(rendered, rendered.one("Deployment", "matcher"), site, tmp_path / "matcher"), monkeypatch)
    assert matcher.identity.issuer is None


def test_what_the_site_sets_reaches_the_process_and_what_a_role_sets_wins(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = render(
        *PRODUCTION,
        "--set=settings.intake.max_upload_bytes=12345678,settings.kafka.window=64,matcher.settings.kafka.window=32",
        "--set=settings.database.start_patience_seconds=45,matcher.settings.database.start_patience_seconds=0",
        "--set=settings.kafka.type_mapping.cad\\.opened=rtcc.incident.reported",
    )
    loaded = {}
    for role in ("web", "consumer", "matcher"):
        files = lay_out(rendered, rendered.one("Deployment", role), site, tmp_path / role)
        loaded[role] = load(files, monkeypatch)
    assert loaded["web"].intake.max_upload_bytes == 12345678
    assert (loaded["consumer"].kafka.window, loaded["matcher"].kafka.window) == (64, 32)
    assert loaded["consumer"].database.start_patience_seconds == 45
    assert loaded["matcher"].database.start_patience_seconds == 0
    assert loaded["consumer"].kafka.type_mapping == {"cad.opened": "rtcc.incident.reported"}


def test_matchers_are_scaled_by_the_groups_and_topics_that_they_read(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = option("matchers by lag")
    assert _scaled_by(plain) == _read_by_matchers(KafkaSettings())
    renamed = render(
        *OPTIONS["matchers by lag"],
        "--set=settings.kafka.group_prefix=north,settings.kafka.topics.probes_imminent=north.now",
    )
    files = lay_out(renamed, renamed.one("Deployment", "matcher"), site, tmp_path)
    assert _scaled_by(renamed) == _read_by_matchers(load(files, monkeypatch).kafka)
    assert ("north.matcher.imminent", "north.now") in _scaled_by(renamed)


def _read_by_matchers(kafka: KafkaSettings) -> set[tuple[str, str]]:
    """But for bookings: they may wait for the matchers that searches need."""
    read = {(group, topic) for group, topics in groups_of_roles(kafka)["matcher"].items() for topic in topics}
    return {(group, topic) for group, topic in read if topic != kafka.topics.gallery_records}


def _scaled_by(rendered: Rendered) -> set[tuple[str, str]]:
    triggers = rendered.one("ScaledObject", "matcher")["spec"]["triggers"]
    return {(one["metadata"]["consumerGroup"], one["metadata"]["topic"]) for one in triggers}


def test_what_the_chart_supposes_of_the_programs_defaults_is_so() -> None:
    assert ProcessSettings().shutdown_seconds == SHUTDOWN_SECONDS
    templates = "".join(file.read_text(encoding="utf-8") for file in (CHART / "templates").rglob("*.tpl"))
    assert 'dig "process" "shutdown_seconds" 16 ' in templates
    assert f'dig "kafka" "topics" "partitions" {TopicSettings().partitions} ' in templates


def test_the_chart_is_of_this_program() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["appVersion"] == rtcc_bridge.__version__
