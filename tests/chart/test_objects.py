"""What the chart renders is what Kubernetes knows, whatever options are chosen, and its objects fit each other."""

import json
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate.utils
import pytest

from tests.chart.option_sets import OPTIONS, PRODUCTION, option
from tests.chart.rendering import (
    CHART,
    NAME,
    NAMESPACE,
    OF_OPERATORS,
    Document,
    component_of,
    helm,
    pod_of,
    render,
    selects,
)

VERSIONS = ("1.30", kubernetes_validate.latest_version())
"""The oldest that Chart.yaml allows, and the newest whose schemas are at hand."""

every_option = pytest.mark.parametrize("name", OPTIONS)


@every_option
def test_helm_lints_it_strictly(name: str) -> None:
    done: subprocess.CompletedProcess[str] = helm("lint", str(CHART), "--strict", "--quiet", *OPTIONS[name])
    assert done.returncode == 0, done.stdout + done.stderr


def test_helm_lints_it_without_any_values() -> None:
    done = helm("lint", str(CHART), "--strict", "--quiet")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(autouse=True)
def _each_schema_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubernetes_validate.utils, "schema_contents", schema_contents)


schema_contents = cache(kubernetes_validate.utils.schema_contents)


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(version: str) -> None:
    every = {json.dumps(document, sort_keys=True): document for name in OPTIONS for document in option(name).objects}
    for document in every.values():
        if document["kind"] not in OF_OPERATORS:
            kubernetes_validate.validate(document, version, strict=True)


def test_the_validator_would_tell_of_a_field_that_is_not_known() -> None:
    broken: dict[str, Any] = {**option("production").one("Deployment", "web"), "specification": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)


@cache
def rendered_kinds() -> frozenset[str]:
    return frozenset(document["kind"] for name in OPTIONS for document in option(name).objects)


def test_the_options_render_every_object() -> None:
    kinds = {
        line.removeprefix("kind: ")
        for file in (CHART / "templates").rglob("*.*")
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.startswith("kind: ")
    }
    assert rendered_kinds() == kinds
    assert kinds > OF_OPERATORS


def test_a_template_holds_one_object() -> None:
    for file in (CHART / "templates").rglob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        assert "\n---" not in text
        assert text.count("\nkind: ") <= 1


@every_option
def test_names_are_the_releases_own_and_each_is_there_once(name: str) -> None:
    objects = option(name).objects
    keys = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(set(keys)) == len(keys)
    for one in objects:
        metadata = one["metadata"]
        assert metadata["name"].startswith(NAME)
        assert len(metadata["name"]) <= 63
        assert metadata["namespace"] == NAMESPACE
        assert metadata["labels"]["app.kubernetes.io/instance"] == "night"


@every_option
def test_each_selector_finds_the_pods_of_its_role_and_no_others(name: str) -> None:
    rendered = option(name)
    pods = {component_of(one): pod_of(one)["metadata"]["labels"] for one in rendered.workloads}
    found = {
        (one["kind"], one["metadata"]["name"].removeprefix(f"{NAME}-")): {
            role for role, labels in pods.items() if selects(selector, labels)
        }
        for one in rendered.objects
        if (selector := _selector(one)) is not None
    }
    serving = {component_of(one) for one in rendered.daemons}
    for (kind, suffix), roles in found.items():
        if suffix == "metrics":
            assert serving <= roles
        else:
            expected = "single" if kind == "Service" and "single" in pods else suffix
            assert roles == {expected}, kind
    deployments = {suffix for kind, suffix in found if kind == "Deployment"}
    assert deployments - {"tools"} == serving


def _selector(document: Document) -> dict[str, str] | None:
    spec = document.get("spec", {})
    match document["kind"]:
        case "Deployment" | "PodDisruptionBudget":
            labels: dict[str, str] = spec["selector"]["matchLabels"]
        case "NetworkPolicy":
            labels = spec["podSelector"]["matchLabels"]
        case "Service":
            labels = spec["selector"]
        case _:
            return None
    return labels


@every_option
def test_what_a_pod_refers_to_in_the_release_is_in_the_release(name: str) -> None:
    rendered = option(name)
    outside = {"kafka-authorities", "database-authorities", "identity-authorities", "policy", "roster"}
    for workload in rendered.workloads:
        spec = pod_of(workload)["spec"]
        for volume in spec["volumes"]:
            claim = volume.get("persistentVolumeClaim", {}).get("claimName", "packs")
            assert claim == "packs" or claim in rendered.names("PersistentVolumeClaim")
            for source in volume.get("projected", {}).get("sources", ()):
                config_map = source.get("configMap", {}).get("name", "policy")
                assert config_map in outside | rendered.names("ConfigMap")


def test_a_policy_comes_to_the_pods_byte_for_byte(tmp_path: Path) -> None:
    """What was signed is bytes: no line end may be added, taken away or written otherwise."""
    files = {
        "content": "  # first\r\ntitle: <a & b>\n\n\n",
        "signatures": '{"format": 1}',
        "administratorKey": "a",
        "cityKey": "c",
    }
    for name, text in files.items():
        (tmp_path / name).write_bytes(text.encode())
    rendered = render(PRODUCTION[0], *(f"--set-file=policy.{name}={tmp_path / name}" for name in files))
    data = rendered.one("ConfigMap", "policy")["data"]
    assert data == {"policy.yaml": files["content"], "policy.yaml.signatures": files["signatures"]}


def test_a_long_name_of_a_release_is_cut() -> None:
    done = helm("template", "r" * 53, str(CHART), *PRODUCTION)
    assert done.returncode == 0, done.stderr
    assert f"name: {'r' * 40}-consumer" in done.stdout


NOTES_AS_AN_OBJECT = """\
kind: Notes
text: {{ include (print $.Template.BasePath "/NOTES.txt") . | toJson }}
"""


@pytest.mark.parametrize(
    ("name", "said", "unsaid"),
    [
        (
            "a trial on several nodes",
            ("port-forward deployment/night-rtcc-bridge-web 8080:8080", "Secret rtcc-bridge, key master-key"),
            ("WARNING", "rtcc-bridge topics check", "evaluation-public-key"),
        ),
        (
            "single node",
            ("deployment/night-rtcc-bridge-single 8080:8080", "one process with all roles"),
            ("database-url",),
        ),
        (
            "production",
            (
                "https://RTCC.EXAMPLE.ORG/sign-in/callback",
                "/back-channel-logout",
                "Secret rtcc-bridge, key gallery-key",
            ),
            ("8080:8080",),
        ),
        ("external secrets", ("ClusterSecretStore vault, entry rtcc-bridge",), ("Secret rtcc-bridge, key",)),
        ("nothing that has a switch", ("WARNING: networkPolicy is off", "rtcc-bridge topics check"), ()),
    ],
)
def test_notes_tell_how_to_reach_it_and_what_it_needs(
    name: str, said: tuple[str, ...], unsaid: tuple[str, ...], tmp_path: Path
) -> None:
    chart = tmp_path / "rtcc-bridge"
    shutil.copytree(CHART, chart)
    (chart / "templates/notes.yaml").write_text(NOTES_AS_AN_OBJECT, encoding="utf-8")
    (notes,) = (one["text"] for one in render(*OPTIONS[name], chart=chart).of_kind("Notes"))
    assert "an investigative lead that needs corroboration, never an identification" in notes
    for text in said:
        assert text in notes
    for text in unsaid:
        assert text not in notes
