"""The Jobs before an installation or an upgrade need nothing that is not there by then."""

import pytest

from tests.chart.option_sets import OPTIONS, option
from tests.chart.rendering import NAME, Document, Rendered, container_of, pod_of

HOOK = "helm.sh/hook"


def annotation(document: Document, name: str) -> str:
    value: str = document["metadata"].get("annotations", {}).get(name, "")
    return value


def hooks(rendered: Rendered) -> list[Document]:
    return [one for one in rendered.objects if annotation(one, HOOK)]


@pytest.mark.parametrize("name", OPTIONS)
def test_what_a_job_uses_of_the_release_comes_before_it_with_the_same_hook(name: str) -> None:
    rendered = option(name)
    made_by_hooks = {(one["kind"], one["metadata"]["name"]): one for one in hooks(rendered)}
    for job in rendered.of_kind("Job"):
        spec = pod_of(job)["spec"]
        assert spec["serviceAccountName"] == ("own" if name == "nothing that has a switch" else "default")
        used = [
            ("ConfigMap", source["configMap"]["name"])
            for volume in spec["volumes"]
            for source in volume.get("projected", {}).get("sources", ())
            if source.get("configMap", {}).get("name", "").startswith(NAME)
        ]
        assert used
        for key in (*used, ("NetworkPolicy", job["metadata"]["name"])):
            assert annotation(made_by_hooks[key], HOOK) == annotation(job, HOOK)
            assert int(annotation(made_by_hooks[key], "helm.sh/hook-weight")) < int(
                annotation(job, "helm.sh/hook-weight")
            )
        assert not any("persistentVolumeClaim" in volume for volume in spec["volumes"])


@pytest.mark.parametrize("name", OPTIONS)
def test_hooks_leave_nothing_and_do_not_stand_in_their_own_way(name: str) -> None:
    for one in hooks(option(name)):
        assert annotation(one, "helm.sh/hook-delete-policy") == "before-hook-creation,hook-succeeded"


def test_they_run_before_everything_else() -> None:
    assert {annotation(one, HOOK) for one in hooks(option("production"))} == {"pre-install,pre-upgrade"}


def test_with_external_secrets_the_first_ones_wait_for_the_secret() -> None:
    rendered = option("external secrets")
    assert {annotation(one, HOOK) for one in hooks(rendered)} == {"post-install,pre-upgrade"}
    assert not annotation(rendered.one("ExternalSecret", "external"), HOOK)


def test_sqlite_has_no_migration_since_its_volume_is_in_use() -> None:
    assert option("single node").of_kind("Job") == []


@pytest.mark.parametrize("name", ["production", "external secrets", "a folder for objects"])
def test_settings_that_have_to_be_corrected_are_not_tried_again(name: str) -> None:
    for job in option(name).of_kind("Job"):
        (rule,) = job["spec"]["podFailurePolicy"]["rules"]
        assert rule["action"] == "FailJob"
        assert rule["onExitCodes"]["values"] == [3]
        assert rule["onExitCodes"]["containerName"] == container_of(job)["name"]
        assert pod_of(job)["spec"]["restartPolicy"] == "Never"
