"""Two signatures, by two keys, over these bytes and no others (P21)."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from rtcc_bridge.errors import ConfigurationError, ConflictError
from rtcc_bridge.policy import opening
from rtcc_bridge.policy.policy_file import read_policy
from rtcc_bridge.policy.policy_signatures import Signer
from tests.doubles import ManualClock
from tests.policy_kit import SignedPolicy
from tests.signing_keys import key_pair

ADMINISTRATOR, CITY = Signer.ADMINISTRATOR, Signer.CITY


@pytest.fixture
def signed(tmp_path: Path, clock: ManualClock) -> SignedPolicy:
    """A policy that both have signed."""
    made = SignedPolicy.make(tmp_path, clock)
    made.sign()
    return made


def refusal(policy: SignedPolicy) -> str:
    with pytest.raises(ConfigurationError) as refused:
        policy.opened()
    (problem,) = refused.value.problems
    assert problem.remedy
    return str(problem)


def test_two_signatures_let_a_policy_decide_whoever_signed_first(tmp_path: Path, clock: ManualClock) -> None:
    for number, order in enumerate([(ADMINISTRATOR, CITY), (CITY, ADMINISTRATOR)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        policy = SignedPolicy.make(folder, clock)
        assert "is not signed" in refusal(policy)
        policy.sign(order[0])
        assert f"the {order[1]} has not signed it" in refusal(policy)
        policy.sign(order[1])
        opened = policy.opened()
        assert (opened.policy, opened.remark, opened.ends_at) == (policy.policy, "", policy.policy.expires_at)


def test_what_another_program_has_to_check(signed: SignedPolicy) -> None:
    document = json.loads(signed.signatures.read_text())
    for signer in Signer:
        entry = document["signatures"][signer]
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(entry["public_key"]))
        message = f"rtcc-bridge policy\n{signer}\n{document['policy_hash']}".encode()
        key.verify(base64.b64decode(entry["signature"]), message)


def test_an_altered_policy_is_refused_whatever_the_signature_file_claims(signed: SignedPolicy) -> None:
    signed.file.write_bytes(signed.file.read_bytes() + b"\n# a comment\n")
    assert "was changed after it was signed" in refusal(signed)
    document = json.loads(signed.signatures.read_text())
    signed.signatures.write_text(json.dumps({**document, "policy_hash": signed.policy.hash}))
    assert "signature of the administrator is not that of the key" in refusal(signed)


def test_signing_an_altered_policy_leaves_the_old_signatures_out(signed: SignedPolicy) -> None:
    signed.write(lambda content: content.update(title="Another one"))
    signed.sign(ADMINISTRATOR)
    assert "the city has not signed it" in refusal(signed)


def test_the_administrators_signature_does_not_pass_for_the_citys(signed: SignedPolicy) -> None:
    """Neither copied, nor by a settings file that names one key twice, nor signed twice by the same key."""
    document = json.loads(signed.signatures.read_text())
    document["signatures"][CITY] = document["signatures"][ADMINISTRATOR]
    signed.signatures.write_text(json.dumps(document))
    assert "signature of the city is not that of the key" in refusal(signed)
    signed.keys[CITY] = signed.keys[ADMINISTRATOR]
    assert "have the same key" in refusal(signed)
    with pytest.raises(ConflictError, match="has signed as administrator already"):
        signed.sign(CITY)


def test_keys_that_were_exchanged_sign_nothing(signed: SignedPolicy) -> None:
    signed.keys[CITY], signed.keys[ADMINISTRATOR] = signed.keys[ADMINISTRATOR], signed.keys[CITY]
    assert "is not that of the key" in refusal(signed)


def test_a_third_key_signs_nothing(signed: SignedPolicy, tmp_path: Path) -> None:
    genuine = signed.keys[CITY]
    signed.keys[CITY] = key_pair(tmp_path / "somebody")
    signed.sign(CITY)
    signed.keys[CITY] = genuine
    assert "signature of the city is not that of the key" in refusal(signed)


def test_a_key_that_is_not_named_is_asked_for(signed: SignedPolicy, clock: ManualClock) -> None:
    files = opening.PolicyFiles(signed.file, None, signed.files.administrator_key, None)
    for demo in (False, True):  # half of the keys is a mistake in the demo, too
        with pytest.raises(ConfigurationError, match=r"policy\.city_key_file: no key is named"):
            opening.open_policy(files, demo=demo, now=clock.now())


def _with(**changes: Any) -> Callable[[dict[str, Any]], Any]:
    return lambda document: {**document, **changes}


@pytest.mark.parametrize(
    "damage",
    [
        _with(format=2),
        _with(more="x"),
        _with(policy_hash="abc"),
        _with(signatures={}),
        _with(signatures={"mayor": {"public_key": "", "signature": ""}}),
        _with(signatures={"administrator": {"public_key": "A", "signature": 5}}),
        _with(signatures={"administrator": {"public_key": "A", "signature": "not base64 \N{SNOWMAN}"}}),
        _with(signatures={"administrator": {"public_key": "A" * 201, "signature": ""}}),
        lambda document: [document],
        lambda _document: None,
    ],
)
def test_a_damaged_signature_file_is_none(signed: SignedPolicy, damage: Callable[[dict[str, Any]], Any]) -> None:
    signed.signatures.write_text(json.dumps(damage(json.loads(signed.signatures.read_text()))))
    assert refusal(signed)


def test_a_signature_file_that_breaks_off_is_damaged_at_any_length(signed: SignedPolicy) -> None:
    whole = signed.signatures.read_bytes()
    for length in range(0, len(whole) - 2, 7):
        signed.signatures.write_bytes(whole[:length])
        assert "is damaged" in refusal(signed)
    signed.signatures.write_bytes(whole + b" " * 10_000)
    assert "too large" in refusal(signed)
    signed.signatures.write_bytes(b"\xff\xfe")
    assert "is damaged" in refusal(signed)


def test_what_was_read_is_what_is_verified(signed: SignedPolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever exchanges the file between the reading and the verification gains nothing, in either direction."""
    good = signed.file.read_bytes()
    bad = good.replace(b"valid_hours: 24", b"valid_hours: 23")
    assert bad != good
    then = bad

    def read_then_exchanged(path: Path) -> bytes:
        content = read_policy(path)
        path.write_bytes(then)
        return content

    monkeypatch.setattr(opening, "read_policy", read_then_exchanged)
    assert signed.opened().policy.approval.valid_hours == 24
    then = good
    assert "was changed after it was signed" in refusal(signed)


def test_what_is_no_policy_is_not_signed(signed: SignedPolicy, clock: ManualClock) -> None:
    signed.write(lambda content: content.update(surprise=1))
    with pytest.raises(ConfigurationError, match="unknown field"):
        signed.sign()
    signed.write(days=1)
    clock.advance(24 * 3600)
    with pytest.raises(ConflictError, match="held until"):
        signed.sign()


def test_a_private_key_that_others_may_read_signs_nothing(signed: SignedPolicy) -> None:
    signed.keys[CITY].private.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 0600"):
        signed.sign(CITY)


@pytest.mark.parametrize(("days", "says"), [(-1, "still to come"), (0, ""), (99, ""), (100, "has expired")])
def test_a_policy_holds_from_its_first_day_to_the_end_of_its_last(
    signed: SignedPolicy, clock: ManualClock, days: int, says: str
) -> None:
    clock.advance(days * 24 * 3600 + (11 * 3600 + 3599 if days == 99 else 0))  # the clock stands at noon
    if not says:
        assert not signed.opened().remark
        return
    assert says in refusal(signed)
    lenient = signed.opened(demo=True)
    assert says in lenient.remark
    assert lenient.ends_at is None


def test_the_demo_says_that_its_policy_is_not_signed(tmp_path: Path, clock: ManualClock) -> None:
    policy = SignedPolicy.make(tmp_path, clock)
    without_keys = opening.PolicyFiles(policy.file, None, None, None)
    assert opening.open_policy(without_keys, demo=True, now=clock.now()).remark == "the policy is not signed"
    with pytest.raises(ConfigurationError, match="no key is named"):
        opening.open_policy(without_keys, demo=False, now=clock.now())
