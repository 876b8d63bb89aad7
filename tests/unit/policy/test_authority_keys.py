"""The keys of authority tokens: from files, or, in the demo, from the master keys."""

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from rtcc_bridge.errors import ConfigurationError, PolicyRefusalError
from rtcc_bridge.policy.authority_keys import AuthorityKeys, key_problems, load_authority_keys
from rtcc_bridge.policy.authority_token import SearchAuthority
from rtcc_bridge.settings import load_settings

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
FIRST, SECOND = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))
AUTHORITY = SearchAuthority(
    probe_id="probe",
    lane="routine",
    gallery_kind="actual",
    purpose="violent_offense",
    approval="granted",
    policy_hash="0" * 64,
    grounds="1" * 64,
)


def private_pem(key: Any, encryption: Any = None) -> bytes:
    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
    return pem


def public_pem(key: Any) -> bytes:
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def secret(file: Path, content: bytes) -> Path:
    file.write_bytes(content)
    file.chmod(0o600)
    return file


def from_files(signing: Path | None, public: Path | None) -> AuthorityKeys:
    named = {"signing_key_file": signing, "public_keys_file": public}
    return load_authority_keys(load_settings(authority=named, objects={"master_key": FIRST}))


def from_master_keys(*keys: str) -> AuthorityKeys:
    return load_authority_keys(load_settings(objects={"master_key": " ".join(keys)}))


def accepts(matcher: AuthorityKeys, signer: AuthorityKeys) -> bool:
    token = signer.require_signer().sign(AUTHORITY, now=NOW, until=None)
    try:
        return matcher.require_verifier().verify(token, now=NOW) == AUTHORITY
    except PolicyRefusalError:
        return False


def test_a_matcher_with_the_public_key_checks_and_cannot_sign(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    signer = from_files(secret(tmp_path / "key.pem", private_pem(key)), None)
    public = tmp_path / "public.pem"
    public.write_bytes(public_pem(key))
    matcher = from_files(None, public)
    assert accepts(matcher, signer)
    with pytest.raises(ConfigurationError, match=r"authority\.signing_key_file"):
        matcher.require_signer()


def test_while_a_key_is_replaced_matchers_know_both(tmp_path: Path) -> None:
    old, new, third = (Ed25519PrivateKey.generate() for _ in range(3))
    both = tmp_path / "public.pem"
    both.write_bytes(public_pem(old) + public_pem(new))
    matcher = from_files(None, both)
    signers = [from_files(secret(tmp_path / "key.pem", private_pem(key)), None) for key in (old, new, third)]
    assert [accepts(matcher, signer) for signer in signers] == [True, True, False]


def test_the_processes_of_one_demo_have_one_pair_while_its_master_key_is_replaced() -> None:
    before, replaced, other = from_master_keys(FIRST), from_master_keys(SECOND, FIRST), from_master_keys(SECOND)
    assert accepts(before, before)
    assert accepts(before, replaced), "the process that has not read the new master key yet"
    assert accepts(replaced, before)
    assert accepts(replaced, other), "when the old master key is taken away"
    assert not accepts(other, before)


def test_without_a_key_no_role_begins_and_the_settings_are_in_order_for_none() -> None:
    settings = load_settings(
        objects={"master_key_file": None, "transit_url": "https://vault.example", "transit_token": "t"}
    )
    keys = load_authority_keys(settings)
    for require in (keys.require_signer, keys.require_verifier):
        with pytest.raises(ConfigurationError):
            require()
    assert [problem.path for problem in key_problems(settings)] == ["authority.signing_key_file"]


def test_a_master_key_that_the_demo_will_make_is_no_problem_and_is_not_made(tmp_path: Path) -> None:
    settings = load_settings(objects={"master_key_file": tmp_path / "master.key"})
    assert list(key_problems(settings)) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no key",
        public_pem(Ed25519PrivateKey.generate()),
        private_pem(generate_ec(SECP256R1())),
        private_pem(Ed25519PrivateKey.generate(), BestAvailableEncryption(b"x")),
    ],
    ids=["nothing", "no key", "a public key", "another kind", "encrypted"],
)
def test_what_is_no_signing_key_is_named(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ConfigurationError, match=r"authority\.signing_key_file"):
        from_files(secret(tmp_path / "key.pem", content), None)


def test_a_signing_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    file = secret(tmp_path / "key.pem", private_pem(Ed25519PrivateKey.generate()))
    file.chmod(0o644)
    with pytest.raises(ConfigurationError, match="others may use it"):
        from_files(file, None)


@pytest.mark.parametrize(
    "content",
    [b"", b"no key", private_pem(Ed25519PrivateKey.generate()), public_pem(generate_ec(SECP256R1())),
     public_pem(Ed25519PrivateKey.generate()) + b"more"],
    ids=["nothing", "no key", "a private key", "another kind", "something behind it"],
)  # fmt: skip
def test_what_are_no_public_keys_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "public.pem"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"authority\.public_keys_file"):
        from_files(None, file)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        from_files(None, tmp_path / "absent.pem")
