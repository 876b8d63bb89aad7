"""`rtcc-bridge policy`: what the two signers, and whoever compares policies, type and read."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from rtcc_bridge.cli import main
from rtcc_bridge.clock import SystemClock
from rtcc_bridge.commands.console import EXIT_CONFIGURATION, EXIT_FAILED, EXIT_REJECTED
from rtcc_bridge.policy.policy_file import load_policy
from rtcc_bridge.policy.policy_signatures import Signer
from tests.command_kit import entries_of, own_folder
from tests.policy_kit import SignedPolicy, write_policy

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    return lambda *arguments: CliRunner().invoke(main, ["policy", *map(str, arguments)])


@pytest.fixture
def policy(tmp_path: Path) -> SignedPolicy:
    """Unsigned, in date by the machine's clock, which the command goes by."""
    return SignedPolicy.make(tmp_path, SystemClock())


def sign(run: Run, policy: SignedPolicy, signer: Signer, *more: object) -> Result:
    return run("sign", policy.file, "--as", signer, "--key", policy.keys[signer].private, *more)


def verify(run: Run, policy: SignedPolicy, *more: object) -> Result:
    administrator, city = (policy.keys[signer].public for signer in Signer)
    return run("verify", policy.file, "--administrator-key", administrator, "--city-key", city, *more)


def test_two_people_sign_and_anybody_verifies(run: Run, policy: SignedPolicy) -> None:
    first = sign(run, policy, Signer.ADMINISTRATOR)
    assert first.exit_code == 0, first.output
    assert f"policy hash {policy.policy.hash}" in first.output
    assert "still to sign: city" in first.output
    half = verify(run, policy)
    assert half.exit_code == EXIT_FAILED
    assert "the city has not signed it" in half.output
    second = sign(run, policy, Signer.CITY)
    assert second.exit_code == 0
    assert "still to sign" not in second.output
    good = verify(run, policy)
    assert good.exit_code == 0
    assert policy.policy.hash in good.output
    policy.file.write_text(policy.file.read_text() + "# more\n")
    assert "was changed after it was signed" in verify(run, policy).output


def test_the_signature_file_can_be_elsewhere(run: Run, policy: SignedPolicy, tmp_path: Path) -> None:
    elsewhere = tmp_path / "signed.json"
    for signer in Signer:
        assert sign(run, policy, signer, "--signatures", elsewhere).exit_code == 0
    assert not policy.signatures.exists()
    assert set(json.loads(elsewhere.read_text())["signatures"]) == set(Signer)
    assert verify(run, policy).exit_code == EXIT_FAILED
    assert verify(run, policy, "--signatures", elsewhere).exit_code == 0


def test_one_person_does_not_sign_for_both(run: Run, policy: SignedPolicy) -> None:
    assert sign(run, policy, Signer.ADMINISTRATOR).exit_code == 0
    policy.keys[Signer.CITY] = policy.keys[Signer.ADMINISTRATOR]
    assert sign(run, policy, Signer.CITY).exit_code == EXIT_REJECTED
    assert "have the same key" in verify(run, policy).output


def test_what_cannot_be_signed_says_why(run: Run, policy: SignedPolicy) -> None:
    policy.file.write_text("surprise: 1")
    refused = sign(run, policy, Signer.CITY)
    assert refused.exit_code == EXIT_CONFIGURATION
    assert "surprise" in refused.output
    assert run("sign", policy.file, "--as", "mayor", "--key", "k").exit_code == 2


def test_verify_takes_the_keys_of_the_settings(run: Run, policy: SignedPolicy, tmp_path: Path) -> None:
    policy.sign()
    config = tmp_path / "settings.yaml"
    keys = {f"{signer}_key_file": str(pair.public) for signer, pair in policy.keys.items()}
    config.write_text(yaml.safe_dump({"policy": keys}))
    assert run("verify", policy.file, "--config", config).exit_code == 0
    assert "no key is named" in run("verify", policy.file).output


def test_diff_tells_each_field(run: Run, policy: SignedPolicy, tmp_path: Path) -> None:
    other = write_policy(
        tmp_path / "other.yaml", SystemClock().now().date(), lambda content: content["approval"].update(valid_hours=1)
    )
    told = run("diff", policy.file, other)
    assert told.exit_code == 0
    assert told.output.startswith("approval.valid_hours: from 24 to 1.")
    assert run("diff", policy.file, policy.file).output == "they are the same file\n"
    assert run("diff", policy.file, tmp_path / "gone.yaml").exit_code == EXIT_CONFIGURATION


def test_diff_replays_what_the_database_holds(run: Run, policy: SignedPolicy, tmp_path: Path) -> None:
    """An empty one here: what is judged how is tested in `tests/unit/probes/test_policy_replay.py`."""
    config = tmp_path / "settings.yaml"
    config.write_text(yaml.safe_dump({**own_folder(tmp_path), "policy": {"file": str(policy.file)}}))
    told = run("diff", policy.file, policy.file, "--replay", "--config", config)
    assert told.exit_code == 0, told.output
    assert "past searches: 0, refused attempts that can be judged: 0" in told.output
    assert "NEW refuses what OLD allows: 0" in told.output
    [look] = entries_of(tmp_path)
    policy_hash = load_policy(policy.file).hash
    assert (look["actor"], look["action"]) == ("administrator", "policy.replay")
    assert (look["subject"], look["details"]) == (f"policy/{policy_hash}", {"old": policy_hash})
