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
from tests.unit.qualification.packs import paper_pack

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def production_example(tmp_path: Path) -> Path:
    """The example for production, with its files in a folder of this test's."""
    authority = TestAuthority(tmp_path / "etc")
    for name in ("kafka-ca.pem", "database-ca.pem"):
        (tmp_path / "etc" / name).write_bytes(authority.ca_file.read_bytes())
    policy = SignedPolicy.make(tmp_path / "policy", SystemClock())
    policy.sign()
    pairs = {name: key_pair(tmp_path / name) for name in ("authority", "pack-key", "packets")}
    public = [(name.value, pair) for name, pair in policy.keys.items()]
    public += [("authority.pub", pairs["authority"]), ("pack-key.pub", pairs["pack-key"])]
    for name, pair in public:
        (tmp_path / "etc" / f"{name}.pem").write_bytes(pair.public.read_bytes())
    paper_pack(tmp_path / "state/packs/PACK", "PACK")
    secrets = {
        "kafka-password": "correct-horse",
        "master-key": base64.b64encode(bytes(range(32))).decode(),
        "identity-client-secret": "correct-horse",
        "packet-signing-key": pairs["packets"].private.read_text(),
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
        "/var/lib/rtcc-bridge": f"{tmp_path}/state",
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
        "etc/pack-key.pub.pem",
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


@pytest.mark.parametrize("name", ["master-key", "packet-signing-key"])
def test_a_key_that_it_names_has_to_be_one(name: str, production_example: Path) -> None:
    """Neither of these may be made by anything but the demo profile."""
    file = production_example.parent / "secrets" / name
    file.write_text("not a key")
    (problem,) = start_problems(load_settings(production_example))
    assert str(file) in {problem.path, problem.cause.split(" is not ")[0]}


def test_a_pack_that_is_not_there_is_told(production_example: Path) -> None:
    (production_example.parent / "state/packs/PACK/pack.json").unlink()
    (problem,) = start_problems(load_settings(production_example))
    assert problem.path == "matching.pack"


def test_a_witness_without_a_key_to_know_it_by_is_told(production_example: Path) -> None:
    text = production_example.read_text()
    production_example.write_text(text.replace("  # witness_url:", "  witness_url:"))
    (problem,) = start_problems(load_settings(production_example))
    assert problem.path == "audit.witness_key"


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
