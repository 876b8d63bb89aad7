"""Each role reaches what it needs and nothing else, and is reached by Prometheus alone."""

from typing import Any

import pytest
import yaml

from tests.chart.option_sets import OPTIONS, PRODUCTION, option
from tests.chart.rendering import NAME, OPERATIONS_PORT, Document, component_of, peers, pod_of, render, secret_keys

DNS = ("pods", 53)
BROKER = ("192.0.2.0/28", 9093)
DATABASE = ("192.0.2.16/28", 5432)
OBJECTS = ("192.0.2.32/28", 443)
IDENTITY = ("192.0.2.48/28", 443)
KEY_SERVICE = ("192.0.2.64/28", 8200)
COLLECTOR = ("192.0.2.80/28", 4318)
PROVIDER = ("192.0.2.112/28", 443)
CHECKPOINTS = ("192.0.2.128/28", 443)
WITNESS = ("192.0.2.144/28", 443)


def reached(name: str) -> dict[str, set[tuple[str, int]]]:
    return {
        one["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]: peers(one["spec"]["egress"])
        for one in option(name).of_kind("NetworkPolicy")
    }


def test_production() -> None:
    assert reached("production") == {
        "web": {DNS, DATABASE, OBJECTS, PROVIDER},
        "consumer": {DNS, BROKER, DATABASE, OBJECTS},
        "matcher": {DNS, BROKER, DATABASE, OBJECTS},
        "relay": {DNS, BROKER, DATABASE, OBJECTS, CHECKPOINTS},
        "migration": {DNS, DATABASE},
        "topics": {DNS, BROKER},
    }


def test_who_uses_tokens_a_key_service_or_a_collector_reaches_them() -> None:
    assert reached("tokens, a key service, traces") == {
        "web": {DNS, DATABASE, OBJECTS, KEY_SERVICE, COLLECTOR, PROVIDER},
        "consumer": {DNS, BROKER, IDENTITY, DATABASE, OBJECTS, COLLECTOR},
        "matcher": {DNS, BROKER, IDENTITY, DATABASE, OBJECTS, KEY_SERVICE, COLLECTOR},
        "relay": {DNS, BROKER, IDENTITY, DATABASE, OBJECTS, KEY_SERVICE, COLLECTOR, CHECKPOINTS},
        "migration": {DNS, DATABASE},
        "topics": {DNS, BROKER, IDENTITY},
    }


def test_a_role_that_sends_no_traces_reaches_no_collector() -> None:
    rendered = render(
        *PRODUCTION,
        "--set=matcher.settings.tracing.endpoint=https://collector:4318/v1/traces",
        "--set=networkPolicy.collector.to[0].ipBlock.cidr=192.0.2.80/28",
    )
    policies = rendered.of_kind("NetworkPolicy")
    tracing = {one["metadata"]["name"] for one in policies if COLLECTOR in peers(one["spec"]["egress"])}
    assert tracing == {f"{NAME}-matcher"}


def test_the_tools_reach_what_an_operator_works_with() -> None:
    assert reached("everything that has a switch")["tools"] == {DNS, BROKER, DATABASE, OBJECTS, CHECKPOINTS}


def test_one_process_on_sqlite_reaches_the_broker_alone() -> None:
    assert reached("single node") == {"single": {DNS, BROKER}}
    assert reached("single node in production") == {"single": {DNS, BROKER, PROVIDER, WITNESS}}


def test_checkpoints_leave_by_the_relay_alone() -> None:
    """And the others are not told where to."""
    witness = "settings.audit.witness_url=https://witness.example.org,settings.audit.witness_key=w+0123abcd+a2V5"
    rendered = render(*PRODUCTION, f"--set={witness},networkPolicy.witness.to[0].ipBlock.cidr=192.0.2.144/28")
    for role in ("web", "consumer", "matcher", "relay"):
        egress = peers(rendered.one("NetworkPolicy", role)["spec"]["egress"])
        assert ({CHECKPOINTS, WITNESS} <= egress) is (role == "relay")
        told = yaml.safe_load(rendered.settings_text(role))["audit"]
        assert ({"outside_url", "witness_url", "witness_key"} <= told.keys()) is (role == "relay")


def test_a_bucket_beside_objects_in_a_folder_is_reached_with_the_access_key() -> None:
    """The pictures of bookings by the matchers, the checkpoints outside by the relay."""
    folder = OPTIONS["a folder for objects"]
    rendered = render(*folder, "--set=settings.records.pictures_url=s3://records/pictures")
    reaching = {
        role
        for role in ("web", "consumer", "matcher", "relay")
        if OBJECTS in peers(rendered.one("NetworkPolicy", role)["spec"]["egress"])
    }
    assert reaching == {"matcher"}
    with_key = {component_of(one) for one in rendered.daemons if "objects-access-key-id" in secret_keys(one)}
    assert with_key == {"matcher", "relay"}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_pod_has_a_policy_that_lists_both_directions(name: str) -> None:
    rendered = option(name)
    policies = rendered.of_kind("NetworkPolicy")
    assert all(one["spec"]["policyTypes"] == ["Ingress", "Egress"] for one in policies)
    if name == "nothing that has a switch":
        assert policies == []
    else:
        assert set(reached(name)) == set(map(component_of, rendered.workloads))


@pytest.mark.parametrize("name", OPTIONS)
def test_no_rule_is_for_everybody(name: str) -> None:
    for policy in option(name).of_kind("NetworkPolicy"):
        for rule in (*policy["spec"]["egress"], *policy["spec"]["ingress"]):
            assert rule["ports"]
            assert rule.get("to") or rule.get("from")
            assert all(peer for peer in rule.get("to", rule.get("from")))


def test_prometheus_reaches_the_operations_port_and_nobody_reaches_anything_else() -> None:
    for policy in option("a trial on several nodes").of_kind("NetworkPolicy"):
        component = policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
        ports = _open_ports(policy)
        assert ports == (set() if component in {"migration", "topics"} else {("monitoring", OPERATIONS_PORT)})


@pytest.mark.parametrize(("name", "controller"), [("production", "ingress"), ("exposed by a Gateway", "gateways")])
def test_an_exposed_web_is_reached_by_its_controller(name: str, controller: str) -> None:
    policies = {one["metadata"]["name"].rpartition("-")[2]: one for one in option(name).of_kind("NetworkPolicy")}
    assert _open_ports(policies["web"]) == {("monitoring", OPERATIONS_PORT), (controller, 8080)}
    assert _open_ports(policies["matcher"]) == {("monitoring", OPERATIONS_PORT)}
    assert PROVIDER in reached(name)["web"]
    assert PROVIDER not in reached(name)["matcher"]


def _open_ports(policy: Document) -> set[tuple[str, int]]:
    rules: list[dict[str, Any]] = policy["spec"]["ingress"]
    return {
        (peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], port["port"])
        for rule in rules
        for peer in rule["from"]
        for port in rule["ports"]
    }


@pytest.mark.parametrize("setting", [(), ("--set=settings.records.pictures_url=s3://records/pictures",)])
def test_who_opens_and_seals_nothing_gets_no_more_where_bookings_are_taken(setting: tuple[str, ...]) -> None:
    """Matchers take them (P30)."""
    rendered = render(*OPTIONS["tokens, a key service, traces"], *setting)
    for role, works_with_templates in (("consumer", False), ("matcher", True)):
        policy, deployment = rendered.one("NetworkPolicy", role), rendered.one("Deployment", role)
        assert (KEY_SERVICE in peers(policy["spec"]["egress"])) is works_with_templates
        assert (
            any(volume["name"] == "packs" for volume in pod_of(deployment)["spec"]["volumes"]) is works_with_templates
        )
        assert ("gallery-key" in secret_keys(deployment)) is works_with_templates
