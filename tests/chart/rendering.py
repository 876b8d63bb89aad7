"""Renders the chart with the real Helm, each set of values once, and finds objects in what comes out."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

import yaml

ROOT: Final = Path(__file__).resolve().parents[2]
CHART: Final = ROOT / "deploy/helm/rtcc-bridge"
HELM: Final = ROOT / "scripts/helm"
UNAVAILABLE: Final = 69
"""What scripts/helm ends with where Helm cannot be had."""

RELEASE: Final = "night"
NAMESPACE: Final = "rtcc"
NAME: Final = f"{RELEASE}-rtcc-bridge"
OPERATIONS_PORT: Final = 9464
SHUTDOWN_SECONDS: Final = 16.0
"""What the chart supposes of `process.shutdown_seconds`; test_settings.py asks the program."""

Document: TypeAlias = Mapping[str, Any]

OF_OPERATORS: Final = {
    "ExternalSecret", "HTTPRoute", "PodMonitor", "PrometheusRule", "ScaledObject", "ServiceMonitor",
    "TriggerAuthentication",
}  # fmt: skip
"""Kinds that are no part of Kubernetes."""


_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The one in C where there is one: a rendering has thousands of lines."""


class HelmMissingError(Exception):
    """Helm cannot be had here. The message says what is missing."""


class RefusedError(Exception):
    """Helm refuses the values. The message is Helm's."""


@dataclass(frozen=True)
class Rendered:
    """The objects of one rendering."""

    objects: tuple[Document, ...]

    def of_kind(self, kind: str) -> list[Document]:
        return [one for one in self.objects if one["kind"] == kind]

    def one(self, kind: str, suffix: str = "") -> Document:
        """The object of that kind whose name is the release's and this suffix."""
        name = f"{NAME}-{suffix}" if suffix else NAME
        (found,) = [one for one in self.of_kind(kind) if one["metadata"]["name"] == name]
        return found

    def names(self, kind: str) -> set[str]:
        return {one["metadata"]["name"] for one in self.of_kind(kind)}

    @property
    def workloads(self) -> list[Document]:
        return [one for one in self.objects if one["kind"] in {"Deployment", "Job"}]

    @property
    def daemons(self) -> list[Document]:
        """The Deployments that serve, which the tools do not."""
        return [one for one in self.of_kind("Deployment") if component_of(one) != "tools"]

    def settings_text(self, role: str) -> str:
        text: str = self.one("ConfigMap", role)["data"]["rtcc-bridge.yaml"]
        return text


def helm(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Raises HelmMissingError."""
    # Nobody's own cluster is asked. What lives for a moment collects no garbage: it takes a fifth less of a core.
    environment = os.environ | {"KUBECONFIG": os.devnull, "GOGC": "off"}
    done = subprocess.run([str(HELM), *arguments], capture_output=True, text=True, check=False, env=environment)
    if done.returncode == UNAVAILABLE:
        raise HelmMissingError(done.stderr.strip())
    return done


def render_anew(*arguments: str, chart: Path = CHART) -> Rendered:
    """Raises RefusedError, HelmMissingError."""
    done = helm("template", RELEASE, str(chart), f"--namespace={NAMESPACE}", *arguments)
    if done.returncode != 0:
        raise RefusedError(done.stderr)
    documents = yaml.load_all(done.stdout, Loader=_LOADER)
    return Rendered(tuple(one for one in documents if one is not None))


render = cache(render_anew)
"""The same for the same arguments: most tests look at few sets of values. Nobody may change what it returns."""


def pod_of(workload: Document) -> Document:
    template: Document = workload["spec"]["template"]
    return template


def container_of(workload: Document) -> Document:
    (container,) = pod_of(workload)["spec"]["containers"]
    found: Document = container
    return found


def component_of(workload: Document) -> str:
    component: str = pod_of(workload)["metadata"]["labels"]["app.kubernetes.io/component"]
    return component


def sources_of(workload: Document) -> Iterator[tuple[str, Document]]:
    """Mount path and source of each projected volume."""
    mounts = {mount["name"]: mount["mountPath"] for mount in container_of(workload)["volumeMounts"]}
    for volume in pod_of(workload)["spec"]["volumes"]:
        for source in volume.get("projected", {}).get("sources", ()):
            yield mounts[volume["name"]], source


def secret_keys(workload: Document) -> set[str]:
    """The keys of Secrets that its container gets, by environment or as files."""
    keys = {
        entry["valueFrom"]["secretKeyRef"]["key"] for entry in container_of(workload)["env"] if "valueFrom" in entry
    }
    for _, source in sources_of(workload):
        keys |= {item["key"] for item in source.get("secret", {}).get("items", ())}
    return keys


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return selector.items() <= labels.items()


def peers(rules: Sequence[Document]) -> set[tuple[str, int]]:
    """Address block (or "pods") and port of each rule of a NetworkPolicy's egress."""
    return {
        (peer.get("ipBlock", {}).get("cidr", "pods"), port["port"])
        for rule in rules
        for peer in rule["to"]
        for port in rule["ports"]
    }
