"""A Secret that is not in the cluster is told by its name and its key, before anything is changed."""

from collections.abc import Mapping

from tests.chart.cluster_api import cluster_api
from tests.chart.option_sets import OPTIONS, PRODUCTION, option
from tests.chart.rendering import NAMESPACE, RefusedError, render_anew, secret_keys

SECRET = "rtcc-bridge"
ALL_KEYS = {
    "database-url", "master-key", "authority-key", "authority-public-keys", "audit-signing-key", "gallery-key",
    "packet-signing-key", "evaluation-public-key", "identity-client-secret",
    "objects-access-key-id", "objects-secret-access-key",
    "kafka-consumer", "kafka-matcher", "kafka-relay", "kafka-operator",
}  # fmt: skip


def refusal(secrets: Mapping[str, Mapping[str, str]], *arguments: str) -> str:
    """What Helm says of this cluster; nothing when it would go on."""
    with cluster_api(NAMESPACE, secrets) as address:
        try:
            render_anew(*PRODUCTION, *arguments, "--dry-run=server", f"--kube-apiserver={address}")
        except RefusedError as error:
            return str(error)
    return ""


def test_the_keys_of_this_test_are_those_that_the_pods_use() -> None:
    assert set[str]().union(*map(secret_keys, option("production").workloads)) == ALL_KEYS


def test_nothing_is_said_when_all_is_there() -> None:
    assert refusal({SECRET: dict.fromkeys(ALL_KEYS, "eA==")}) == ""


def test_a_secret_that_is_missing_is_named_with_its_keys() -> None:
    said = refusal({})
    for key in ALL_KEYS:
        assert f"the Secret {SECRET} is not in the namespace {NAMESPACE}: make it, with the key {key} " in said


def test_a_key_that_is_missing_is_named() -> None:
    said = refusal({SECRET: dict.fromkeys(ALL_KEYS - {"master-key"}, "eA==")})
    assert f"the Secret {SECRET} has no key master-key (secrets.masterKey): add it" in said
    assert said.count("  - ") == 1


def test_a_secret_named_for_one_value_is_looked_for_where_it_is() -> None:
    there = {SECRET: dict.fromkeys(ALL_KEYS - {"master-key"}, "eA=="), "vaulted": {"key": "eA=="}}
    other = "--set=secrets.masterKey.secret=vaulted,secrets.masterKey.key=key"
    assert refusal(there, other) == ""


def test_external_secrets_are_not_looked_for() -> None:
    assert refusal({}, *OPTIONS["external secrets"][len(PRODUCTION) :]) == ""
