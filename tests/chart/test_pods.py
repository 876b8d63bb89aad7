"""What every pod promises: the restricted standard, probes that reach something, an end within its time."""

from collections.abc import Iterable
from typing import Any

import pytest
import yaml

from rtcc_bridge.app.roles import Role
from tests.chart.option_sets import OPTIONS, POLICY, PRODUCTION, SINGLE_NODE, option
from tests.chart.rendering import (
    OPERATIONS_PORT,
    SHUTDOWN_SECONDS,
    Document,
    component_of,
    container_of,
    pod_of,
    render,
)

every_option = pytest.mark.parametrize("name", OPTIONS)


@every_option
def test_every_container_keeps_to_the_restricted_standard(name: str) -> None:
    for workload in option(name).workloads:
        spec = pod_of(workload)["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["securityContext"].get("runAsUser", 10001) == 10001
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert not any("hostPath" in volume for volume in spec["volumes"])
        assert "initContainers" not in spec
        for container in spec["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "runAsNonRoot": True,
                "capabilities": {"drop": ["ALL"]},
            }


def test_a_cluster_may_choose_the_user_itself() -> None:
    for workload in option("nothing that has a switch").workloads:
        assert {"runAsUser", "fsGroup"}.isdisjoint(pod_of(workload)["spec"]["securityContext"])


@every_option
def test_no_service_of_the_namespace_gets_into_the_environment(name: str) -> None:
    """A Service named rtcc-bridge would be told as RTCC_BRIDGE_SERVICE_HOST, which the program refuses as unknown."""
    for workload in option(name).workloads:
        assert pod_of(workload)["spec"]["enableServiceLinks"] is False


@every_option
def test_the_account_has_no_token_either(name: str) -> None:
    rendered = option(name)
    for account in rendered.of_kind("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False
    assert not any(one["kind"] in {"Role", "ClusterRole", "RoleBinding"} for one in rendered.objects)


@every_option
def test_probes_ask_a_port_that_the_container_opens(name: str) -> None:
    rendered = option(name)
    for deployment in rendered.daemons:
        container = container_of(deployment)
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        settings = yaml.safe_load(rendered.settings_text(component_of(deployment)))
        for kind, path in {"startup": "/healthz", "liveness": "/healthz", "readiness": "/readyz"}.items():
            asked = container[f"{kind}Probe"]["httpGet"]
            assert asked["path"] == path
            assert ports[asked["port"]] == settings["operations"]["port"] == OPERATIONS_PORT
            # The readiness board gives each dependency two seconds.
            assert container[f"{kind}Probe"]["timeoutSeconds"] > 2
        assert settings["operations"]["host"] in {"0.0.0.0", "::"}


@every_option
def test_the_grace_period_covers_the_drain_and_the_shutdown(name: str) -> None:
    rendered = option(name)
    for deployment in rendered.daemons:
        sleep = container_of(deployment).get("lifecycle", {}).get("preStop", {}).get("sleep", {"seconds": 0})
        settings = yaml.safe_load(rendered.settings_text(component_of(deployment)))
        shutdown = settings.get("process", {}).get("shutdown_seconds", SHUTDOWN_SECONDS)
        assert pod_of(deployment)["spec"]["terminationGracePeriodSeconds"] > sleep["seconds"] + shutdown


def test_the_web_drains_before_it_is_asked_to_stop() -> None:
    lifecycle = container_of(option("production").one("Deployment", "web"))["lifecycle"]
    assert lifecycle["preStop"]["sleep"]["seconds"] == 5


def test_a_longer_shutdown_of_one_role_lengthens_its_grace_period_alone() -> None:
    rendered = render(
        *PRODUCTION, "--set=web.preStopSeconds=30", "--set-json=relay.settings.process.shutdown_seconds=19.5"
    )
    periods = {component_of(one): pod_of(one)["spec"]["terminationGracePeriodSeconds"] for one in rendered.daemons}
    assert periods == {"web": 51, "consumer": 21, "matcher": 21, "relay": 25}


def test_each_role_has_a_deployment_and_only_the_matcher_a_gpu() -> None:
    deployments = option("production").daemons
    roles = {component_of(one): container_of(one) for one in deployments}
    assert set(roles) == set(Role)
    for role, container in roles.items():
        assert container["args"] == ["serve", "--roles", role]
        assert ("nvidia.com/gpu" in container["resources"]["limits"]) == (role == "matcher")
        assert container["image"].endswith("-cuda") == (role == "matcher")


def test_on_sqlite_one_process_has_all_roles() -> None:
    (deployment,) = option("single node").daemons
    assert set(container_of(deployment)["args"][2].split(",")) == set(Role)
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}


def test_without_a_gpu_the_matcher_works_on_the_cpu() -> None:
    matcher = option("matchers on the CPU").one("Deployment", "matcher")
    container = container_of(matcher)
    assert "nvidia.com/gpu" not in container["resources"]["limits"]
    assert container["image"] == "REGISTRY.EXAMPLE.ORG/rtcc/rtcc-bridge:0.1.0"
    assert "tolerations" not in pod_of(matcher)["spec"]
    assert _device("matchers on the CPU") == ("cpu", False)


def test_with_a_gpu_it_goes_where_gpus_are_and_says_what_becomes_of_a_lost_one() -> None:
    pod = pod_of(option("production").one("Deployment", "matcher"))["spec"]
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in pod["tolerations"]
    assert _device("production") == ("auto", True)
    assert _device("matchers that need their GPU") == ("cuda", True)


def _of_each_role(text: str, roles: Iterable[str]) -> str:
    return f"--set={','.join(text.replace('ROLE', role) for role in roles)}"


@pytest.mark.parametrize(
    ("base", "roles"), [(PRODUCTION, tuple(Role)), (SINGLE_NODE, ("single",))], ids=["production", "single node"]
)
def test_a_role_goes_to_the_nodes_that_its_own_values_name(base: tuple[str, ...], roles: tuple[str, ...]) -> None:
    placed = "ROLE.nodeSelector.for=ROLE,ROLE.tolerations[0].key=ROLE,ROLE.tolerations[0].operator=Exists"
    rendered = render(*base, _of_each_role(placed, roles), _of_each_role("ROLE.priorityClassName=ROLE-first", roles))
    for deployment in rendered.daemons:
        role, spec = component_of(deployment), pod_of(deployment)["spec"]
        assert spec["nodeSelector"] == {"for": role}
        others = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
        assert spec["tolerations"] == [
            {"key": role, "operator": "Exists"},
            *(others if role in {"matcher", "single"} else []),
        ]
        assert spec["priorityClassName"] == f"{role}-first"
    for workload in rendered.workloads:
        if component_of(workload) not in roles:
            assert {"nodeSelector", "tolerations", "priorityClassName"}.isdisjoint(pod_of(workload)["spec"])


def test_every_pod_opens_the_registry_and_takes_the_image_of_its_kind_by_digest() -> None:
    digests = {"cpu": f"sha256:{64 * 'a'}", "cuda": f"sha256:{64 * 'b'}"}
    rendered = render(
        *PRODUCTION,
        "--set=image.pullSecrets[0]=first,image.pullSecrets[1]=second,tools.enabled=true",
        f"--set=image.cpu.digest={digests['cpu']},image.cuda.digest={digests['cuda']},image.cuda.tag=passed-over",
    )
    assert {component_of(one) for one in rendered.workloads} == {*Role, "tools", "migration", "topics"}
    for workload in rendered.workloads:
        assert pod_of(workload)["spec"]["imagePullSecrets"] == [{"name": "first"}, {"name": "second"}]
        kind = "cuda" if component_of(workload) == "matcher" else "cpu"
        assert container_of(workload)["image"] == f"REGISTRY.EXAMPLE.ORG/rtcc/rtcc-bridge@{digests[kind]}"


@pytest.mark.parametrize(("base", "role"), [(PRODUCTION, "matcher"), (SINGLE_NODE, "single")])
def test_the_number_and_the_name_of_the_gpus_are_those_of_the_values(base: tuple[str, ...], role: str) -> None:
    rendered = render(
        *base, "--set=matcher.gpu.count=2,matcher.gpu.resource=example\\.org/gpu,matcher.gpu.runtimeClassName=gpu"
    )
    for workload in rendered.workloads:
        limits, spec = container_of(workload)["resources"]["limits"], pod_of(workload)["spec"]
        assert "nvidia.com/gpu" not in limits
        assert limits.get("example.org/gpu") == (2 if component_of(workload) == role else None)
        assert spec.get("runtimeClassName") == ("gpu" if component_of(workload) == role else None)
        assert limits["memory"]


def _device(name: str) -> tuple[str, bool]:
    """Where a matcher computes, and whether its alert fires when not even the GPU's driver is found."""
    matching = yaml.safe_load(option(name).settings_text("matcher"))["matching"]
    return matching["device"], matching.get("expects_gpu", False)


def test_no_second_gpu_is_needed_for_an_upgrade_and_no_other_role_is_ever_short() -> None:
    strategies = {component_of(one): one["spec"]["strategy"]["rollingUpdate"] for one in option("production").daemons}
    assert strategies.pop("matcher") == {"maxSurge": 0, "maxUnavailable": 1}
    assert set(map(tuple, map(dict.items, strategies.values()))) == {(("maxSurge", 1), ("maxUnavailable", 0))}


@every_option
def test_pods_of_a_role_are_spread(name: str) -> None:
    for deployment in option(name).daemons:
        constraints = pod_of(deployment)["spec"].get("topologySpreadConstraints", ())
        assert constraints or name not in {"production", "matchers on the CPU", "a folder for objects"}
        for constraint in constraints:
            assert constraint["labelSelector"]["matchLabels"] == deployment["spec"]["selector"]["matchLabels"]
            assert constraint["whenUnsatisfiable"] == "ScheduleAnyway"


def test_a_drained_node_takes_one_pod_of_a_role_at_once() -> None:
    budgets = option("production").of_kind("PodDisruptionBudget")
    assert {one["spec"]["maxUnavailable"] for one in budgets} == {1}
    assert len(budgets) == len(Role)


@pytest.mark.parametrize("base", [PRODUCTION, SINGLE_NODE], ids=["production", "single node"])
def test_a_change_of_settings_or_policy_replaces_the_pods_that_it_concerns(base: tuple[str, ...]) -> None:
    before = _checksums(render(*base).daemons)
    log = _checksums(render(*base, "--set=settings.log.level=DEBUG").daemons)
    assert all(log[role]["checksum/settings"] != before[role]["checksum/settings"] for role in before)
    other = (*(one for one in base if one != POLICY), "--set=policy.content=other")
    policy = _checksums(render(*other).daemons)
    assert all(policy[role]["checksum/policy"] != before[role]["checksum/policy"] for role in before)


def test_a_setting_of_one_role_replaces_no_other() -> None:
    before = _checksums(option("production").daemons)
    after = _checksums(render(*PRODUCTION, "--set=web.settings.web.uploads=8").daemons)
    assert {role for role in before if before[role] != after[role]} == {"web"}


def _checksums(deployments: list[Document]) -> dict[str, dict[str, Any]]:
    return {
        component_of(one): {
            name: value
            for name, value in pod_of(one)["metadata"]["annotations"].items()
            if name.startswith("checksum/")
        }
        for one in deployments
    }
