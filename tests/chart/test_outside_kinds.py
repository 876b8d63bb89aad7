"""The objects of operators, which no schema at hand knows: their structure is what the operators' documents ask for."""

import shutil
from pathlib import Path

import pytest
import yaml

from rtcc_bridge.commands.console import EXIT_CONFIGURATION
from tests.chart.option_sets import PRODUCTION, SINGLE_NODE, option
from tests.chart.rendering import (
    CHART,
    NAME,
    NAMESPACE,
    component_of,
    pod_of,
    render,
    render_anew,
    secret_keys,
    selects,
)


def test_the_exit_code_that_jobs_do_not_try_again_is_that_of_settings() -> None:
    assert EXIT_CONFIGURATION == 3


def test_an_external_secret_holds_what_the_pods_use() -> None:
    rendered = option("external secrets")
    spec = rendered.one("ExternalSecret", "external")["spec"]
    assert spec["secretStoreRef"] == {"name": "vault", "kind": "ClusterSecretStore"}
    assert {one["secretKey"] for one in spec["data"]} == set[str]().union(*map(secret_keys, rendered.workloads))
    assert all(one["remoteRef"] == {"key": "rtcc-bridge", "property": one["secretKey"]} for one in spec["data"])
    named = {
        entry["valueFrom"]["secretKeyRef"]["name"]
        for one in rendered.workloads
        for entry in pod_of(one)["spec"]["containers"][0]["env"]
        if "valueFrom" in entry
    }
    assert named == {spec["target"]["name"]}


def test_matchers_are_scaled_by_keda_as_their_own_user() -> None:
    rendered = option("matchers by lag")
    scaled = rendered.one("ScaledObject", "matcher")["spec"]
    assert scaled["scaleTargetRef"]["name"] == rendered.one("Deployment", "matcher")["metadata"]["name"]
    assert "replicas" not in rendered.one("Deployment", "matcher")["spec"]
    behavior = scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behavior == {"scaleDown": {"stabilizationWindowSeconds": 600}}, "KEDA's own cooldown is about none at all"
    for trigger in scaled["triggers"]:
        assert trigger["type"] == "kafka"
        assert trigger["metadata"]["tls"] == "enable"
        assert trigger["metadata"]["sasl"] == "scram_sha512"
        assert all(isinstance(value, str) for value in trigger["metadata"].values())
        assert trigger["authenticationRef"] == {"name": f"{NAME}-matcher-scaler"}
    proof = rendered.one("TriggerAuthentication", "matcher-scaler")["spec"]
    assert proof["secretTargetRef"] == [{"parameter": "password", "name": "rtcc-bridge", "key": "kafka-matcher"}]
    assert {one["parameter"] for one in proof["configMapTargetRef"]} == {"ca", "username"}
    assert rendered.one("ConfigMap", "matcher-scaler")["data"] == {"username": "rtcc-matcher"}


def test_keda_shows_a_certificate_where_the_matchers_do() -> None:
    rendered = option("matchers by lag, with certificates")
    proof = rendered.one("TriggerAuthentication", "matcher-scaler")["spec"]
    assert {one["parameter"]: one["name"] for one in proof["secretTargetRef"]} == {
        "ca": "strimzi",
        "cert": "m",
        "key": "m",
    }
    assert "sasl" not in rendered.one("ScaledObject", "matcher")["spec"]["triggers"][0]["metadata"]


def test_the_web_is_scaled_by_cpu_that_it_asks_for() -> None:
    rendered = option("production")
    scaler = rendered.one("HorizontalPodAutoscaler", "web")["spec"]
    deployment = rendered.one("Deployment", "web")
    assert scaler["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert "replicas" not in deployment["spec"]
    assert "cpu" in pod_of(deployment)["spec"]["containers"][0]["resources"]["requests"]


@pytest.mark.parametrize("name", ["production", "exposed by a Gateway"])
def test_there_is_no_exposure_without_tls(name: str) -> None:
    rendered = option(name)
    (port,) = rendered.one("Service", "web")["spec"]["ports"]
    for ingress in rendered.of_kind("Ingress"):
        assert ingress["spec"]["tls"] == [{"hosts": ["RTCC.EXAMPLE.ORG"], "secretName": "RTCC-TLS"}]
        (rule,) = ingress["spec"]["rules"]
        assert rule["host"] == "RTCC.EXAMPLE.ORG"
        assert rule["http"]["paths"][0]["backend"]["service"] == {
            "name": f"{NAME}-web",
            "port": {"name": port["name"]},
        }
    for route in rendered.of_kind("HTTPRoute"):
        assert route["spec"]["parentRefs"] == [{"name": "public", "namespace": "gateways", "sectionName": "https"}]
        assert route["spec"]["hostnames"] == ["RTCC.EXAMPLE.ORG"]
        (rule,) = route["spec"]["rules"]
        assert rule["backendRefs"] == [{"name": f"{NAME}-web", "port": port["port"]}]
    assert len(rendered.of_kind("Ingress")) + len(rendered.of_kind("HTTPRoute")) == 1


@pytest.mark.parametrize(("name", "stays"), [("single node in production", True), ("production", False)])
def test_the_only_board_stays_up_when_the_broker_is_down_or_an_evaluation_is_too_old(name: str, stays: bool) -> None:
    """Its pod is not ready then, as those of other roles are, which take nothing from the board."""
    spec = option(name).one("Service", "web")["spec"]
    assert spec.get("publishNotReadyAddresses", False) is stays


@pytest.mark.parametrize("name", ["a trial on several nodes", "single node", "nothing that has a switch"])
def test_nothing_leads_to_the_web_unless_it_is_exposed(name: str) -> None:
    rendered = option(name)
    assert rendered.names("Service") <= {f"{NAME}-metrics"}
    assert rendered.of_kind("Ingress") == rendered.of_kind("HTTPRoute") == []


@pytest.mark.parametrize(
    ("name", "kind", "list_of"),
    [
        ("production", "PodMonitor", "podMetricsEndpoints"),
        ("everything that has a switch", "ServiceMonitor", "endpoints"),
    ],
)
def test_every_pod_is_scraped_once_at_its_operations_port(name: str, kind: str, list_of: str) -> None:
    rendered = option(name)
    spec = rendered.one(kind)["spec"]
    (endpoint,) = spec[list_of]
    assert (endpoint["port"], endpoint["path"]) == ("ops", "/metrics")
    assert {"targetLabel": "job", "replacement": "rtcc-bridge"} in endpoint["relabelings"]
    selector = spec["selector"]["matchLabels"]
    if kind == "ServiceMonitor":
        service = rendered.one("Service", "metrics")
        assert selects(selector, service["metadata"]["labels"])
        selector = service["spec"]["selector"]
        assert not any(
            selects(spec["selector"]["matchLabels"], one["metadata"]["labels"])
            for one in rendered.of_kind("Service")
            if one is not service
        )
    for deployment in rendered.daemons:
        assert selects(selector, pod_of(deployment)["metadata"]["labels"]), component_of(deployment)


def test_prometheus_finds_its_objects_by_the_labels_that_the_site_gives() -> None:
    rendered = option("everything that has a switch")
    for kind in ("ServiceMonitor", "PrometheusRule"):
        assert rendered.one(kind)["metadata"]["labels"]["release"] == "kps"


ALERTS = """\
# Generated.
groups:
- name: of-the-test
  rules:
  - alert: Something
    expr: up == 0
    annotations:
      summary: 'On {{ $labels.instance }} it is {{ $value | humanize }}'
"""
DASHBOARD = '{"title": "Of the test", "legend": "{{role}}"}\n'


def test_alerts_and_dashboards_are_passed_on_as_they_are(tmp_path: Path) -> None:
    chart = tmp_path / "rtcc-bridge"
    shutil.copytree(CHART, chart, ignore=shutil.ignore_patterns("files"))
    assert render(*PRODUCTION, chart=chart).one("PrometheusRule")["spec"] == {"groups": []}
    (chart / "files/dashboards").mkdir(parents=True)
    (chart / "files/alerts.yaml").write_text(ALERTS, encoding="utf-8")
    (chart / "files/dashboards/floor.json").write_text(DASHBOARD, encoding="utf-8")
    rendered = render_anew(*PRODUCTION, chart=chart)
    assert rendered.one("PrometheusRule")["spec"] == yaml.safe_load(ALERTS)
    dashboards = rendered.one("ConfigMap", "dashboards")
    assert dashboards["data"] == {"floor.json": DASHBOARD}
    assert dashboards["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_an_alert_links_to_the_documents_of_the_site() -> None:
    rendered = render(*PRODUCTION, "--set=monitoring.rules.documents=https://docs.north.example")
    groups = rendered.one("PrometheusRule")["spec"]["groups"]
    alerts = [rule for group in groups for rule in group["rules"] if "alert" in rule]
    assert alerts
    for alert in alerts:
        assert alert["annotations"]["runbook_url"] == f"https://docs.north.example/runbooks/{alert['alert']}/"


def test_the_charts_own_alerts_and_dashboards_are_in_it() -> None:
    rendered = option("production")
    files = CHART / "files"
    alerts = files / "alerts.yaml"
    expected = yaml.safe_load(alerts.read_text(encoding="utf-8")) if alerts.exists() else {"groups": []}
    assert rendered.one("PrometheusRule")["spec"] == expected
    found = rendered.one("ConfigMap", "dashboards").get("data") or {}
    assert set(found) == {file.name for file in files.glob("dashboards/*.json")}


def test_volumes_with_evidence_outlive_the_release() -> None:
    claims = option("single node").of_kind("PersistentVolumeClaim")
    kept = ("packs", "objects", "database", "audit-journal")
    assert {one["metadata"]["name"] for one in claims} == {f"{NAME}-{one}" for one in kept}
    assert all(one["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"} for one in claims)
    named = render(*SINGLE_NODE, "--set=objects.volume.existingClaim=evidence,database.volume.existingClaim=rows")
    assert named.names("PersistentVolumeClaim") == {f"{NAME}-packs", f"{NAME}-audit-journal"}
    assert claims[0]["metadata"]["namespace"] == NAMESPACE
