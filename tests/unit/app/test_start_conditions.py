"""What `serve` would refuse to start for is found without making anything."""

import base64
from pathlib import Path

import pytest

from rtcc_bridge.app.start_conditions import start_problems
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.settings import load_settings
from tests.kafka_cluster.certificates import TestAuthority
from tests.policy_kit import SignedPolicy
from tests.signing_keys import key_pair

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def production_example(tmp_path: Path) -> Path:
    """The example for production, with its files in a folder of this test's."""
    authority = TestAuthority(tmp_path / "etc")
    for name in ("kafka-ca.pem", "database-ca.pem"):
        (tmp_path / "etc" / name).write_bytes(authority.ca_file.read_bytes())
    policy = SignedPolicy.make(tmp_path / "policy", SystemClock())
    policy.sign()
    for name, pair in (*policy.keys.items(), ("authority.pub", key_pair(tmp_path / "authority"))):
        (tmp_path / "etc" / f"{name}.pem").write_bytes(pair.public.read_bytes())
    secrets = {
        "kafka-password": "correct-horse",
        "master-key": base64.b64encode(bytes(range(32))).decode(),
        "identity-client-secret": "correct-horse",
    }
    (tmp_path / "secrets").mkdir()
    for name, text in secrets.items():
        file = tmp_path / "secrets" / name
        file.write_text(text)
        file.chmod(0o600)
    text = (ROOT / "config/production.yaml").read_text()
    places = {
        "/etc/rtcc-bridge": f"{tmp_path}/etc",
        "/run/secrets": f"{tmp_path}/secrets",
        "/var/lib/rtcc-bridge": f"{tmp_path}/packs",
        "config/policy.yaml": str(policy.file),
    }
    for place, instead in places.items():
        assert place in text
        text = text.replace(place, instead)
    file = tmp_path / "production.yaml"
    file.write_text(text)
    return file


def test_the_example_for_production_can_start(production_example: Path) -> None:
    settings = load_settings(production_example)
    assert start_problems(settings) == ()
    assert not settings.database.is_sqlite
    assert settings.kafka.topics.min_insync_replicas == 2


@pytest.mark.parametrize(
    "name",
    [
        "etc/kafka-ca.pem",
        "etc/database-ca.pem",
        "etc/administrator.pem",
        "etc/city.pem",
        "etc/authority.pub.pem",
        "secrets/kafka-password",
        "secrets/identity-client-secret",
    ],
)
def test_each_file_that_the_example_for_production_names_is_asked_for(name: str, production_example: Path) -> None:
    (production_example.parent / name).unlink()
    (problem,) = start_problems(load_settings(production_example))
    assert name in problem.cause


def test_both_signatures_are_asked_for(production_example: Path) -> None:
    (production_example.parent / "policy/policy.yaml.signatures").unlink()
    (problem,) = start_problems(load_settings(production_example))
    assert "is not signed" in problem.cause


def test_the_master_key_that_it_names_is_asked_for(production_example: Path) -> None:
    """It may be made by the demo profile alone."""
    file = production_example.parent / "secrets/master-key"
    file.write_text("not a key")
    (problem,) = start_problems(load_settings(production_example))
    assert problem.path == str(file)


def test_a_master_key_that_may_not_even_be_asked_for_is_told(tmp_path: Path) -> None:
    """As one in a folder that this user may not enter, for which the kernel has no answer either (but to root)."""
    out_of_reach = tmp_path / ("x" * 300)
    settings = load_settings(
        objects={"url": out_of_reach.as_uri(), "master_key_file": str(out_of_reach)},
        database={"url": f"sqlite+aiosqlite:///{tmp_path}/test.sqlite3"},
        matching={"packs_directory": str(tmp_path)},
        policy={"file": str(ROOT / "config/policy.yaml")},
    )
    [problem] = start_problems(settings)
    assert problem.path == "objects.master_key_file"
    assert "cannot be read" in problem.cause
